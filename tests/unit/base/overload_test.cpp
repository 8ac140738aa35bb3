#include "base/overload.hpp"

#include <gtest/gtest.h>

namespace sallyport {
namespace {

TEST(Overload, LetsEverythingPassWithoutMarks) {
  Overload overload;
  overload.measured(UINT64_MAX);
  EXPECT_FALSE(Overload::Entry(overload).refused());
  EXPECT_FALSE(overload.refuses_connections());
  EXPECT_FALSE(overload.is_over());
}

TEST(Overload, RefusesTheRequestOverTheMarkUntilAnotherEnds) {
  Overload overload;
  overload.use({.memory_bytes = {}, .requests = 2});
  {
    const Overload::Entry first(overload);
    const Overload::Entry second(overload);
    EXPECT_FALSE(second.refused());
    EXPECT_EQ(overload.requests_in_flight(), 2U);
    EXPECT_TRUE(overload.is_over());
    const Overload::Entry third(overload);
    EXPECT_EQ(third.refused(), Overload::Reason::requests);
  }
  EXPECT_EQ(overload.requests_in_flight(), 0U);
  EXPECT_FALSE(Overload::Entry(overload).refused());
}

TEST(Overload, RefusesRequestsOverTheMemoryMarkAndConnectionsFarOverIt) {
  Overload overload;
  overload.use({.memory_bytes = std::uint64_t{1} << 40, .requests = {}});
  overload.measured((std::uint64_t{1} << 40) + 1);
  EXPECT_EQ(Overload::Entry(overload).refused(), Overload::Reason::memory);
  EXPECT_FALSE(overload.refuses_connections());
  overload.measured((std::uint64_t{9} << 37) + 1);
  EXPECT_TRUE(overload.refuses_connections());
  overload.measured(std::nullopt);
  EXPECT_TRUE(overload.refuses_connections()) << "what could not be read changes nothing";
  overload.measured(1);
  EXPECT_FALSE(Overload::Entry(overload).refused());
  EXPECT_FALSE(overload.refuses_connections());
}

TEST(Overload, CountsNobodyTwiceWhenTheMarksChangeMeanwhile) {
  Overload overload;
  {
    const Overload::Entry uncounted(overload);
    overload.use({.memory_bytes = {}, .requests = 1});
    EXPECT_EQ(overload.requests_in_flight(), 0U);
    const Overload::Entry counted(overload);
    overload.use({});
  }
  EXPECT_EQ(overload.requests_in_flight(), 0U);
}

TEST(Overload, ReadsTheMemoryOfThisProcess) {
  const auto resident = resident_memory();
  ASSERT_TRUE(resident);
  EXPECT_GT(*resident, 100'000U);
}

}  // namespace
}  // namespace sallyport
