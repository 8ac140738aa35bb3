#include "authenticate/admission.hpp"

#include <gtest/gtest.h>

#include <string>

#include "authenticate/keyed_hash.hpp"

namespace sallyport::authenticate {
namespace {

// Of a cache that only ever drops what nobody asked for again.
Admission wary(std::size_t entries_max = 4096) {
  Admission admission(entries_max);
  for (int i = 0; i < 64; ++i) admission.dropped(false);
  return admission;
}
const KeyedHash kOfferHash;
std::uint64_t hash_at(int number) { return kOfferHash("token-" + std::to_string(number)); }

TEST(Admission, AdmitsWhatIsNewUntilItProvesToBeOfNoUse) {
  Admission admission(4096);
  for (int i = 0; i < 64; ++i) {
    EXPECT_TRUE(admission.admits(hash_at(i))) << i;
    admission.dropped(false);
  }
  EXPECT_FALSE(admission.admits(hash_at(64)));
}

TEST(Admission, AdmitsAllThatIsNewWhileOneInNineIsAskedForAgain) {
  Admission admission(4096);
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(admission.admits(hash_at(i))) << i;
    admission.dropped(i % 9 == 0);
  }
}

TEST(Admission, OtherwiseAdmitsWhatIsOfferedAgainLately) {
  Admission admission = wary();
  EXPECT_FALSE(admission.admits(kOfferHash("once")));
  EXPECT_TRUE(admission.admits(kOfferHash("once")));
}

TEST(Admission, ForgetsWhatWasOfferedLongAgo) {
  Admission admission = wary(64);
  EXPECT_FALSE(admission.admits(kOfferHash("once")));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(admission.admits(hash_at(i))) << i;
  EXPECT_FALSE(admission.admits(kOfferHash("once")));
}

TEST(Admission, TakesEachThatIsOfferedAgainOrFoundForAReasonToAdmitMore) {
  Admission again = wary();
  EXPECT_FALSE(again.admits(kOfferHash("again")));
  EXPECT_TRUE(again.admits(kOfferHash("again")));
  Admission found = wary();
  found.dropped(true);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(again.admits(hash_at(i))) << i;
    again.dropped(false);
    EXPECT_TRUE(found.admits(hash_at(i))) << i;
    found.dropped(false);
  }
  EXPECT_FALSE(again.admits(hash_at(8)));
  EXPECT_FALSE(found.admits(hash_at(8)));
}

TEST(Admission, OfACacheWithoutRoomHoldsNothing) {
  Admission admission = wary(0);
  EXPECT_FALSE(admission.admits(kOfferHash("a")));
  EXPECT_FALSE(admission.admits(kOfferHash("b")));
}

}  // namespace
}  // namespace sallyport::authenticate
