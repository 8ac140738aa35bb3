#include "authenticate/session_cache.hpp"

#include <gtest/gtest.h>

#include "support/identity_builder.hpp"

namespace sallyport::authenticate {
namespace {

using testing::IdentityBuilder;
using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr std::size_t kPlenty = 64 * 1024 * 1024;

CachedSession session_of(std::string_view id, std::string subject = "alice", SessionKind kind = SessionKind::own) {
  CachedSession session;
  session.kind = kind;
  session.key = sha256(id);
  session.identity = IdentityBuilder().subject(std::move(subject)).build();
  session.epoch = 1;
  return session;
}
std::string subject_at(SessionCache& cache, std::string_view cookie, SessionKind kind = SessionKind::own) {
  const CachedSession* session = cache.find(kind, cookie);
  return session == nullptr ? "" : session->identity->facts().subject;
}
bool holds(SessionCache& cache, std::string_view id, SessionKind kind = SessionKind::own) {
  return cache.find(kind, sha256(id)) != nullptr;
}

TEST(SessionCache, FindsByCookieAndByKey) {
  SessionCache cache(10, kPlenty);
  cache.insert("cookie-a", session_of("a"));
  cache.insert("cookie-b", session_of("b", "bob"));
  EXPECT_EQ(subject_at(cache, "cookie-a"), "alice");
  EXPECT_EQ(subject_at(cache, "cookie-b"), "bob");
  EXPECT_EQ(subject_at(cache, "cookie-"), "");
  EXPECT_EQ(subject_at(cache, "cookie-ab"), "");
  EXPECT_TRUE(holds(cache, "a"));
  EXPECT_FALSE(holds(cache, "c"));
  EXPECT_EQ(cache.size(), 2U);
}

// Where they are looked for depends on a part of the key only.
TEST(SessionCache, TellsApartKeysThatBeginAlike) {
  SessionCache cache(10, kPlenty);
  CachedSession a = session_of("a");
  CachedSession b = session_of("a", "bob");
  b.key.back() ^= 1U;
  const store::Digest key_of_b = b.key;
  cache.insert("cookie-a", std::move(a));
  cache.insert("cookie-b", std::move(b));
  EXPECT_EQ(cache.size(), 2U);
  ASSERT_NE(cache.find(SessionKind::own, key_of_b), nullptr);
  EXPECT_EQ(cache.find(SessionKind::own, key_of_b)->identity->facts().subject, "bob");
  EXPECT_EQ(cache.find(SessionKind::own, sha256("a"))->identity->facts().subject, "alice");
  EXPECT_TRUE(cache.forget(SessionKind::own, key_of_b));
  EXPECT_TRUE(holds(cache, "a"));
}

TEST(SessionCache, KeepsTheKindsApart) {
  SessionCache cache(10, kPlenty);
  cache.insert("cookie", session_of("a", "alice", SessionKind::foreign));
  EXPECT_EQ(subject_at(cache, "cookie", SessionKind::own), "");
  EXPECT_EQ(subject_at(cache, "cookie", SessionKind::foreign), "alice");
  EXPECT_FALSE(holds(cache, "a", SessionKind::own));
  EXPECT_FALSE(cache.forget(SessionKind::own, sha256("a")));
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_TRUE(cache.forget(SessionKind::foreign, sha256("a")));
}

TEST(SessionCache, ReplacesWhatIsThere) {
  SessionCache cache(10, kPlenty);
  cache.insert("cookie", session_of("a"));
  cache.insert("cookie", session_of("b", "bob"));
  EXPECT_EQ(subject_at(cache, "cookie"), "bob");
  EXPECT_FALSE(holds(cache, "a"));
  EXPECT_TRUE(holds(cache, "b"));
  EXPECT_EQ(cache.size(), 1U);
}

TEST(SessionCache, HoldsASessionOnceHoweverItsCookieIsSpelled) {
  SessionCache cache(10, kPlenty);
  cache.insert("one", session_of("a"));
  cache.insert("two", session_of("a"));
  cache.insert("three", session_of("b", "bob"));
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(subject_at(cache, "one"), "");
  EXPECT_EQ(subject_at(cache, "two"), "alice");
  EXPECT_TRUE(cache.forget(SessionKind::own, sha256("a")));
  EXPECT_EQ(subject_at(cache, "two"), "");
  EXPECT_EQ(subject_at(cache, "three"), "bob");
  EXPECT_TRUE(cache.forget(SessionKind::own, sha256("b")));
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(SessionCache, ForgetsEverything) {
  SessionCache cache(10, kPlenty);
  cache.insert("one", session_of("a"));
  cache.clear();
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_FALSE(holds(cache, "a"));
  cache.insert("one", session_of("a"));
  EXPECT_TRUE(holds(cache, "a"));
}

TEST(SessionCache, CountsWhatIsOfAnEpoch) {
  SessionCache cache(10, kPlenty);
  cache.insert("one", session_of("a"));
  CachedSession later = session_of("b");
  later.epoch = 2;
  cache.insert("two", std::move(later));
  EXPECT_EQ(cache.size_of(1), 1U);
  EXPECT_EQ(cache.size_of(2), 1U);
  EXPECT_EQ(cache.size_of(3), 0U);
}

// Few places for the keys: most chains have several entries, and the evicted are in the middle of them.
TEST(SessionCache, KeepsItsChainsWholeWhileItEvicts) {
  SessionCache cache(8, kPlenty);
  for (int i = 0; i < 10'000; ++i) {
    const std::string id = std::to_string(i % 37);
    cache.insert("cookie-" + std::to_string(i % 53) + "-" + id, session_of(id, id));
    ASSERT_LE(cache.size(), 8U);
    ASSERT_TRUE(holds(cache, id)) << i;
    if (i % 5 == 0) {
      cache.forget(SessionKind::own, sha256(std::to_string((i + 3) % 37)));
      ASSERT_FALSE(holds(cache, std::to_string((i + 3) % 37)));
    }
  }
  std::size_t linked = 0;
  for (int id = 0; id < 37; ++id) linked += holds(cache, std::to_string(id)) ? 1 : 0;
  EXPECT_EQ(linked, cache.size()) << "each entry is in its chain";
}

// Sessions that are used once: what they would push out is worth more.
TEST(SessionCache, IsNotFlushedBySessionsThatNobodyUsesAgain) {
  SessionCache cache(100, kPlenty);
  const auto insert = [&](const std::string& id) { cache.insert("cookie-" + id, session_of(id)); };
  for (int i = 0; i < 1000; ++i) insert(std::to_string(i));
  for (int turn = 0; turn < 2; ++turn) insert("again");
  for (int i = 1000; i < 10'000; ++i) insert(std::to_string(i));
  EXPECT_TRUE(holds(cache, "again")) << "although nobody asked for it since";
  EXPECT_EQ(subject_at(cache, "cookie-again"), "alice");
  EXPECT_EQ(cache.size(), 100U);
}

TEST(SessionCache, SparesWhatWasFoundAndNotWhatWasPeekedAt) {
  SessionCache cache(3, kPlenty);
  for (const auto* id : {"found", "found too", "peeked at"}) cache.insert("cookie of "s + id, session_of(id));
  EXPECT_TRUE(holds(cache, "found"));
  EXPECT_TRUE(holds(cache, "found too"));
  EXPECT_NE(cache.peek(SessionKind::own, sha256("peeked at")), nullptr);
  cache.insert("cookie of another", session_of("another"));
  EXPECT_EQ(cache.peek(SessionKind::own, sha256("peeked at")), nullptr);
  EXPECT_TRUE(holds(cache, "found"));
  EXPECT_TRUE(holds(cache, "found too"));
}

TEST(SessionCache, IsBoundedInBytes) {
  constexpr std::size_t kBytes = 50 * 1024;
  SessionCache cache(1'000'000, kBytes);
  for (int i = 0; i < 1000; ++i) {
    const std::string id = std::to_string(i);
    CachedSession session = session_of(id);
    session.identity = IdentityBuilder().claims(R"({"a":")" + std::string(4000, 'x') + "\"}").build();
    cache.insert(id, std::move(session));
    ASSERT_LE(cache.bytes(), kBytes);
  }
  EXPECT_GE(cache.size(), 5U);
  EXPECT_LE(cache.size(), 12U);
  CachedSession giant = session_of("giant");
  giant.identity = IdentityBuilder().claims(R"({"a":")" + std::string(kBytes, 'x') + "\"}").build();
  cache.insert("giant", std::move(giant));
  EXPECT_EQ(subject_at(cache, "giant"), "") << "alone over the bound";
  EXPECT_GE(cache.size(), 5U) << "and not at the cost of the others";
}

TEST(SessionCache, HoldsNothingWhereItMayHoldNothing) {
  SessionCache cache(0, kPlenty);
  cache.insert("one", session_of("a"));
  EXPECT_EQ(cache.size(), 0U);
  EXPECT_FALSE(holds(cache, "a"));
}

TEST(Hearing, KnowsUntilWhenEachEpochWasGood) {
  const MonotonicTime start{};
  Hearing hearing;
  EXPECT_EQ(hearing.good_until(hearing.epoch()), std::nullopt) << "never";
  hearing.is_good(start + 1s);
  hearing.is_good(start + 2s);
  const std::uint64_t first = hearing.epoch();
  EXPECT_EQ(hearing.good_until(first), start + 2s);
  hearing.everything_changed();
  hearing.is_good(start + 10s);
  EXPECT_EQ(hearing.good_until(first), start + 2s);
  EXPECT_EQ(hearing.good_until(hearing.epoch()), start + 10s);
  for (int i = 0; i < 15; ++i) hearing.everything_changed();
  EXPECT_EQ(hearing.good_until(first), start + 2s);
  hearing.everything_changed();
  EXPECT_EQ(hearing.good_until(first), std::nullopt) << "its place was taken";
}

}  // namespace
}  // namespace sallyport::authenticate
