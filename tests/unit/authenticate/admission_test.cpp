#include "authenticate/admission.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::authenticate {
namespace {

// Of a cache that only ever drops what nobody asked for again.
Admission wary(std::size_t entries_max = 4096) {
  Admission admission(entries_max);
  for (int i = 0; i < 64; ++i) admission.dropped(false);
  return admission;
}
std::string text(int number) { return "token-" + std::to_string(number); }

TEST(Admission, AdmitsWhatIsNewUntilItProvesToBeOfNoUse) {
  Admission admission(4096);
  for (int i = 0; i < 64; ++i) {
    EXPECT_TRUE(admission.admits(text(i))) << i;
    admission.dropped(false);
  }
  EXPECT_FALSE(admission.admits(text(64)));
}

TEST(Admission, AdmitsAllThatIsNewWhileOneInNineIsAskedForAgain) {
  Admission admission(4096);
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(admission.admits(text(i))) << i;
    admission.dropped(i % 9 == 0);
  }
}

TEST(Admission, OtherwiseAdmitsWhatIsOfferedAgainLately) {
  Admission admission = wary();
  EXPECT_FALSE(admission.admits("once"));
  EXPECT_TRUE(admission.admits("once"));
}

TEST(Admission, ForgetsWhatWasOfferedLongAgo) {
  Admission admission = wary(64);
  EXPECT_FALSE(admission.admits("once"));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(admission.admits(text(i))) << i;
  EXPECT_FALSE(admission.admits("once"));
}

TEST(Admission, TakesEachThatIsOfferedAgainOrFoundForAReasonToAdmitMore) {
  Admission again = wary();
  EXPECT_FALSE(again.admits("again"));
  EXPECT_TRUE(again.admits("again"));
  Admission found = wary();
  found.dropped(true);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(again.admits(text(i))) << i;
    again.dropped(false);
    EXPECT_TRUE(found.admits(text(i))) << i;
    found.dropped(false);
  }
  EXPECT_FALSE(again.admits(text(8)));
  EXPECT_FALSE(found.admits(text(8)));
}

TEST(Admission, OfACacheWithoutRoomHoldsNothing) {
  Admission admission = wary(0);
  EXPECT_FALSE(admission.admits("a"));
  EXPECT_FALSE(admission.admits("b"));
}

}  // namespace
}  // namespace sallyport::authenticate
