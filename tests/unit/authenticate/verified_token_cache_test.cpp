#include "authenticate/verified_token_cache.hpp"

#include <gtest/gtest.h>

#include "support/allocations.hpp"
#include "support/identity_builder.hpp"
#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using testing::IdentityBuilder;
using testing::kNow;
using namespace std::chrono_literals;

constexpr std::size_t kRoomy = 1024 * 1024;

IssuerPtr issuer() {
  static const IssuerPtr one = std::make_shared<Issuer>();
  return one;
}
identity::IdentityPtr identity_of(std::string subject, WallTime expires_at = kNow + 1h) {
  return IdentityBuilder().subject(std::move(subject)).expires_at(expires_at).build();
}
// As long as real ones, and alike but for their ends.
std::string token(int number) {
  std::string text(600, 'x');
  return text += std::to_string(number);
}

TEST(VerifiedTokenCache, FindsWhatWasInserted) {
  VerifiedTokenCache cache(10, kRoomy);
  EXPECT_EQ(cache.find("a.b.c", kNow).identity, nullptr);
  const identity::IdentityPtr alice = identity_of("alice");
  cache.insert("a.b.c", issuer(), alice, kNow);
  const VerifiedTokenCache::Hit hit = cache.find("a.b.c", kNow);
  EXPECT_EQ(hit.identity, alice);
  EXPECT_EQ(hit.issuer, issuer().get());
  EXPECT_EQ(cache.hits(), 1U);
  EXPECT_EQ(cache.misses(), 1U);
  EXPECT_EQ(cache.entries(), 1U);
  cache.clear();
  EXPECT_EQ(cache.find("a.b.c", kNow).identity, nullptr);
  EXPECT_EQ(cache.entries(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(VerifiedTokenCache, FindsNothingForATokenThatDiffersAnywhere) {
  VerifiedTokenCache cache(10, kRoomy);
  const std::string good = token(1);
  cache.insert(good, issuer(), identity_of("alice"), kNow);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string other = good;
    other[i] = '_';
    ASSERT_EQ(cache.find(other, kNow).identity, nullptr) << i;
    ASSERT_EQ(cache.find(std::string_view(good).substr(0, i), kNow).identity, nullptr) << i;
  }
  EXPECT_EQ(cache.find(good + "x", kNow).identity, nullptr);
  EXPECT_NE(cache.find(good, kNow).identity, nullptr);
}

TEST(VerifiedTokenCache, C27_NeverAnswersAtOrPastTheExpiry) {
  VerifiedTokenCache cache(10, kRoomy);
  cache.insert("t", issuer(), identity_of("alice", kNow + 10s), kNow);
  EXPECT_NE(cache.find("t", kNow + 10s - 1ns).identity, nullptr);
  EXPECT_EQ(cache.find("t", kNow + 10s).identity, nullptr);
  EXPECT_EQ(cache.entries(), 0U) << "an expired entry is dropped at once";
}

// nbf and iat were judged by a clock that has been set back since.
TEST(VerifiedTokenCache, C10_DoesNotAnswerBeforeTheMomentOfVerification) {
  VerifiedTokenCache cache(10, kRoomy);
  cache.insert("t", issuer(), identity_of("alice"), kNow);
  EXPECT_NE(cache.find("t", kNow).identity, nullptr);
  EXPECT_EQ(cache.find("t", kNow - 1ns).identity, nullptr);
}

TEST(VerifiedTokenCache, C28_NeverMixesIdentities) {
  VerifiedTokenCache cache(64, kRoomy);
  for (int round = 0; round < 100'000; ++round) {
    const int number = round % 50;
    VerifiedTokenCache::Hit hit = cache.find(token(number), kNow);
    if (!hit.identity) {
      cache.insert(token(number), issuer(), identity_of("subject-" + std::to_string(number)), kNow);
      hit = cache.find(token(number), kNow);
    }
    ASSERT_EQ(hit.identity->facts().subject, "subject-" + std::to_string(number));
  }
  EXPECT_EQ(cache.entries(), 50U);
}

TEST(VerifiedTokenCache, HoldsNoMoreThanItsEntries) {
  VerifiedTokenCache cache(8, kRoomy);
  for (int i = 0; i < 8; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  EXPECT_EQ(cache.entries(), 8U);
  for (int i = 8; i < 1000; ++i) {
    cache.insert(token(i), issuer(), identity_of("s"), kNow);
    ASSERT_EQ(cache.entries(), 8U);
    ASSERT_NE(cache.find(token(i), kNow).identity, nullptr) << "the newest is there";
  }
  EXPECT_LT(cache.bytes(), kRoomy);
}

TEST(VerifiedTokenCache, HoldsNoMoreThanItsBytes) {
  VerifiedTokenCache one(10, kRoomy);
  one.insert(token(100), issuer(), identity_of("s"), kNow);
  const std::size_t each = one.bytes();
  ASSERT_GT(each, 600U);
  VerifiedTokenCache cache(1000, 5 * each);
  for (int i = 100; i < 200; ++i) {
    cache.insert(token(i), issuer(), identity_of("s"), kNow);
    ASSERT_LE(cache.bytes(), 5 * each);
  }
  EXPECT_EQ(cache.entries(), 5U);
  VerifiedTokenCache exact(10, each);
  exact.insert(token(100), issuer(), identity_of("s"), kNow);
  EXPECT_EQ(exact.entries(), 1U);
  VerifiedTokenCache small(10, each - 1);
  small.insert(token(100), issuer(), identity_of("s"), kNow);
  EXPECT_EQ(small.entries(), 0U) << "a token that alone is too large is not kept";
}

TEST(VerifiedTokenCache, CountsTheClaims) {
  VerifiedTokenCache small(10, kRoomy);
  small.insert("t", issuer(), IdentityBuilder().build(), kNow);
  VerifiedTokenCache large(10, kRoomy);
  std::string numbers = "1";
  for (int i = 0; i < 1000; ++i) numbers += ",1";
  large.insert("t", issuer(), IdentityBuilder().claims(R"({"x":[)" + numbers + "]}").build(), kNow);
  EXPECT_LT(small.bytes(), 2000U);
  EXPECT_GT(large.bytes(), 1000 * sizeof(Json));
}

TEST(VerifiedTokenCache, KeepsWhatIsAskedForWhenRoomIsNeeded) {
  VerifiedTokenCache cache(4, kRoomy);
  cache.insert("hot", issuer(), identity_of("s"), kNow);
  for (int i = 0; i < 100; ++i) {
    ASSERT_NE(cache.find("hot", kNow).identity, nullptr) << i;
    cache.insert(token(i), issuer(), identity_of("s"), kNow);
  }
}

// Tokens that are shown once each: a client with many of them, or with a new one for each request.
TEST(VerifiedTokenCache, IsNotFlushedByTokensThatNobodyShowsAgain) {
  VerifiedTokenCache cache(100, kRoomy);
  for (int i = 0; i < 1000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  for (int turn = 0; turn < 2; ++turn) cache.insert("rare", issuer(), identity_of("s"), kNow);
  for (int i = 1000; i < 10'000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  EXPECT_NE(cache.find("rare", kNow).identity, nullptr) << "although nobody asked for it since";
  EXPECT_EQ(cache.entries(), 100U);
}

TEST(VerifiedTokenCache, WhereHardlyAnyIsShownTwiceRemembersTheOneThatIs) {
  VerifiedTokenCache cache(100, kRoomy);
  for (int i = 0; i < 1000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  cache.insert("often", issuer(), identity_of("s"), kNow);
  EXPECT_EQ(cache.find("often", kNow).identity, nullptr);
  cache.insert("often", issuer(), identity_of("s"), kNow);
  EXPECT_NE(cache.find("often", kNow).identity, nullptr);
}

TEST(VerifiedTokenCache, RemembersEachNewTokenAtOnceWhereTokensAreShownAgain) {
  VerifiedTokenCache cache(100, kRoomy);
  for (int i = 0; i < 1000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  for (int i = 1000; i < 3000; ++i) {
    if (cache.find(token(i), kNow).identity == nullptr) cache.insert(token(i), issuer(), identity_of("s"), kNow);
    if (cache.find(token(i), kNow).identity == nullptr) cache.insert(token(i), issuer(), identity_of("s"), kNow);
    ASSERT_NE(cache.find(token(i), kNow).identity, nullptr) << i;
  }
  const std::uint64_t misses = cache.misses();
  for (int i = 3000; i < 4000; ++i) {
    if (cache.find(token(i), kNow).identity == nullptr) cache.insert(token(i), issuer(), identity_of("s"), kNow);
    ASSERT_NE(cache.find(token(i), kNow).identity, nullptr) << i;
  }
  EXPECT_EQ(cache.misses() - misses, 1000U) << "verified once each";
}

// Also where the bytes are what is full.
TEST(VerifiedTokenCache, PushesNothingOutOfItsBytesForTokensThatNobodyShowsAgain) {
  VerifiedTokenCache cache(10'000, 100'000);
  for (int i = 0; i < 1000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  for (int turn = 0; turn < 2; ++turn) cache.insert("rare", issuer(), identity_of("s"), kNow);
  for (int i = 1000; i < 10'000; ++i) cache.insert(token(i), issuer(), identity_of("s"), kNow);
  EXPECT_NE(cache.find("rare", kNow).identity, nullptr);
}

TEST(VerifiedTokenCache, ReplacesAnEntryOfTheSameToken) {
  VerifiedTokenCache cache(4, kRoomy);
  cache.insert("t", issuer(), identity_of("old"), kNow);
  const std::size_t bytes = cache.bytes();
  cache.insert("t", issuer(), identity_of("new"), kNow);
  EXPECT_EQ(cache.find("t", kNow).identity->facts().subject, "new");
  EXPECT_EQ(cache.entries(), 1U);
  EXPECT_EQ(cache.bytes(), bytes);
}

TEST(VerifiedTokenCache, OfNoEntriesKeepsNothing) {
  VerifiedTokenCache cache(0, kRoomy);
  cache.insert("t", issuer(), identity_of("s"), kNow);
  EXPECT_EQ(cache.find("t", kNow).identity, nullptr);
}

TEST(VerifiedTokenCache, HoldsTheIssuerAsLongAsTheEntry) {
  auto mortal = std::make_shared<Issuer>();
  const std::weak_ptr<Issuer> watch = mortal;
  VerifiedTokenCache cache(4, kRoomy);
  cache.insert("t", mortal, identity_of("s", kNow + 1s), kNow);
  mortal.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(cache.find("t", kNow + 1s).identity, nullptr);
  EXPECT_TRUE(watch.expired());
}

TEST(VerifiedTokenCache, NeverAllocatesToFind) {
  VerifiedTokenCache cache(64, kRoomy);
  for (int i = 0; i < 64; ++i) cache.insert(token(i), issuer(), identity_of("s", kNow + std::chrono::seconds(i)), kNow);
  std::vector<std::string> tokens;
  for (int i = 0; i < 70; ++i) tokens.push_back(token(i));
  const std::size_t before = test::allocations();
  std::size_t found = 0;
  for (const std::string& one : tokens) found += cache.find(one, kNow + 32s).identity ? 1U : 0U;
  EXPECT_EQ(test::allocations(), before);
  EXPECT_EQ(found, 31U);
}

TEST(VerifiedTokenCache, WorksThroughManyInsertionsExpiriesAndReplacements) {
  VerifiedTokenCache cache(100, 100'000);
  std::uint32_t state = 1;
  const auto next = [&](std::uint32_t below) { return (state = state * 1'664'525U + 1'013'904'223U) / 7 % below; };
  WallTime now = kNow;
  for (int round = 0; round < 50'000; ++round) {
    now += std::chrono::milliseconds(next(50));
    const int number = static_cast<int>(next(300));
    const VerifiedTokenCache::Hit hit = cache.find(token(number), now);
    if (hit.identity) {
      ASSERT_EQ(hit.identity->facts().subject, std::to_string(number));
      ASSERT_LT(now, hit.identity->facts().expires_at);
    }
    if (!hit.identity || next(10) == 0) {
      cache.insert(token(number), issuer(), identity_of(std::to_string(number), now + std::chrono::seconds(next(20))), now);
    }
    ASSERT_LE(cache.entries(), 100U);
    ASSERT_LE(cache.bytes(), 100'000U);
  }
  EXPECT_GT(cache.hits(), 1000U);
}

}  // namespace
}  // namespace sallyport::authenticate
