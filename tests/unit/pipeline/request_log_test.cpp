#include "pipeline/request_log.hpp"

#include <gtest/gtest.h>

namespace sallyport::pipeline {
namespace {

TEST(SubjectHashes, AreThoseOfTheirSubjectsHoweverManyShareAPlace) {
  SubjectHashes hashes;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 4 * SubjectHashes::kPlaces; ++i) {
      const std::string subject = "subject-" + std::to_string(i);
      ASSERT_EQ(hashes.of(subject), subject_hash(subject));
      ASSERT_EQ(hashes.of(subject), subject_hash(subject)) << "remembered";
    }
  }
}

TEST(SubjectHashes, TakeSubjectsOfEveryLength) {
  SubjectHashes hashes;
  for (const std::size_t bytes :
       {std::size_t{0}, SubjectHashes::kSubjectBytesMax, SubjectHashes::kSubjectBytesMax + 1, std::size_t{8000}}) {
    const std::string subject(bytes, 's');
    EXPECT_EQ(hashes.of(subject), subject_hash(subject)) << bytes;
    EXPECT_EQ(hashes.of(subject), subject_hash(subject)) << bytes;
  }
}

}  // namespace
}  // namespace sallyport::pipeline
