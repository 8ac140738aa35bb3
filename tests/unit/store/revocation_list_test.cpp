#include "store/revocation_list.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using What = Revocation::Kind;

const WallTime kStart{std::chrono::sys_seconds(seconds(1'800'000'000))};
const WallTime kLater = kStart + hours(1);

Revocation revocation(What kind, std::string value, WallTime issued_before = kStart) {
  return {kind, std::move(value), issued_before, hours(1)};
}

TEST(RevocationList, RevokesNothingAtFirst) {
  const RevocationList list(10);
  EXPECT_FALSE(list.revokes({}, kStart));
  EXPECT_FALSE(list.revokes({.subject = "alice", .token_id = "t", .session = "s", .family = "f"}, kStart));
  EXPECT_FALSE(list.revoked_until("alice"));
  EXPECT_EQ(list.size(), 0U);
}

TEST(RevocationList, MatchesEachThingByItsOwnName) {
  struct Row {
    const char* what;
    What kind;
    RevocationList::Credential revoked;
    RevocationList::Credential spared;
  };
  const Row rows[] = {
      {"subject", What::subject, {.subject = "x"}, {.token_id = "x", .session = "x", .family = "x"}},
      {"token id", What::token_id, {.token_id = "x"}, {.subject = "x", .session = "x", .family = "x"}},
      {"session", What::session, {.session = "x"}, {.subject = "x", .token_id = "x", .family = "x"}},
      {"family", What::family, {.family = "x"}, {.subject = "x", .token_id = "x", .session = "x"}},
  };
  for (const Row& row : rows) {
    RevocationList list(10);
    ASSERT_TRUE(list.add(revocation(row.kind, "x"), kLater, kStart));
    EXPECT_TRUE(list.revokes(row.revoked, kStart)) << row.what;
    EXPECT_FALSE(list.revokes(row.spared, kStart)) << row.what;
    EXPECT_FALSE(list.revokes({.subject = "xx", .token_id = "X", .session = "", .family = "x "}, kStart)) << row.what;
  }
}

TEST(RevocationList, EverythingMatchesWhateverIsShown) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::everything, ""), kLater, kStart));
  EXPECT_TRUE(list.revokes({}, kStart));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kStart}, kStart));
  EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kStart + milliseconds(1)}, kStart));
}

TEST(RevocationList, WhatIsNotShownIsNotMatched) {
  RevocationList list(10);
  // An empty value would match whoever shows nothing.
  ASSERT_TRUE(list.add(revocation(What::subject, ""), kLater, kStart));
  ASSERT_TRUE(list.add(revocation(What::family, ""), kLater, kStart));
  EXPECT_FALSE(list.revokes({.token_id = "t"}, kStart));
}

TEST(RevocationList, RevokesWhatWasIssuedAtOrBeforeTheTime) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kLater, kStart));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kStart - milliseconds(1)}, kStart));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kStart}, kStart));
  EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kStart + milliseconds(1)}, kStart));
  EXPECT_TRUE(list.revokes({.subject = "alice"}, kStart)) << "without a time: issued before everything";
}

// An issuer whose clock is ahead dates a token after the moment in which it is revoked.
TEST(RevocationList, ASessionFamilyOrTokenIsRevokedWhateverItSaysOfItsTime) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::token_id, "t1"), kLater, kStart));
  ASSERT_TRUE(list.add(revocation(What::session, "s1"), kLater, kStart));
  ASSERT_TRUE(list.add(revocation(What::family, "f1"), kLater, kStart));
  EXPECT_TRUE(list.revokes({.token_id = "t1", .issued_at = kStart + seconds(4), .in_whole_seconds = true}, kStart));
  EXPECT_TRUE(list.revokes({.session = "s1", .issued_at = kStart + seconds(4)}, kStart));
  EXPECT_TRUE(list.revokes({.family = "f1", .issued_at = kStart + seconds(4)}, kStart));
}

TEST(RevocationList, ATokenOfTheSecondOfTheRevocationIsRevoked) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::subject, "alice", kStart + milliseconds(300)), kLater, kStart));
  const auto revokes = [&](WallTime issued_at, bool in_whole_seconds) {
    return list.revokes({.subject = "alice", .issued_at = issued_at, .in_whole_seconds = in_whole_seconds}, kStart);
  };
  EXPECT_TRUE(revokes(kStart - seconds(1), true));
  EXPECT_TRUE(revokes(kStart, true));
  EXPECT_FALSE(revokes(kStart + seconds(1), true));
  EXPECT_TRUE(revokes(kStart + milliseconds(300), false));
  EXPECT_FALSE(revokes(kStart + milliseconds(301), false)) << "a precise time is taken precisely";
  EXPECT_TRUE(revokes(kStart + milliseconds(999), true)) << "a whole second stands for all of its moments";
}

TEST(RevocationList, OfTwoAboutTheSameThingTheLaterTimeCounts) {
  for (const bool later_first : {false, true}) {
    RevocationList list(1);
    const auto early = revocation(What::subject, "alice", kStart);
    const auto late = revocation(What::subject, "alice", kStart + seconds(10));
    ASSERT_TRUE(list.add(later_first ? late : early, kLater, kStart));
    ASSERT_TRUE(list.add(later_first ? early : late, kLater, kStart)) << "the same thing needs no further room";
    EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kStart + seconds(10)}, kStart));
    EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kStart + seconds(11)}, kStart));
    EXPECT_EQ(list.size(), 1U);
    EXPECT_EQ(list.revoked_until("alice"), kStart + seconds(10));
  }
}

TEST(RevocationList, KeepsTheLongerOfTwoLives) {
  for (const bool longer_first : {false, true}) {
    RevocationList list(10);
    ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kStart + (longer_first ? hours(2) : hours(1)), kStart));
    ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kStart + (longer_first ? hours(1) : hours(2)), kStart));
    EXPECT_TRUE(list.revokes({.subject = "alice"}, kStart + hours(1)));
    list.forget(kStart + hours(1));
    EXPECT_TRUE(list.revokes({.subject = "alice"}, kStart + hours(2) - milliseconds(1)));
    list.forget(kStart + hours(2));
    EXPECT_EQ(list.size(), 0U);
  }
}

TEST(RevocationList, ForgetsWhatNoLongerMatters) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kStart + seconds(1), kStart));
  ASSERT_TRUE(list.add(revocation(What::token_id, "t"), kStart + seconds(2), kStart));
  EXPECT_TRUE(list.revokes({.subject = "alice"}, kStart + milliseconds(999)));
  EXPECT_FALSE(list.revokes({.subject = "alice"}, kStart + seconds(1))) << "over, forgotten or not";
  EXPECT_EQ(list.size(), 2U);
  list.forget(kStart + seconds(1));
  EXPECT_EQ(list.size(), 1U);
  EXPECT_FALSE(list.revoked_until("alice"));
  EXPECT_TRUE(list.revokes({.token_id = "t"}, kStart + seconds(1)));
  list.forget(kStart + seconds(2));
  EXPECT_EQ(list.size(), 0U);
  EXPECT_FALSE(list.revokes({.token_id = "t"}, kStart + seconds(1)));
}

TEST(RevocationList, RefusesWhenFullAndDropsNone) {
  RevocationList list(3);
  for (const char* id : {"a", "b"}) ASSERT_TRUE(list.add(revocation(What::token_id, id), kLater, kStart));
  EXPECT_TRUE(list.has_room());
  ASSERT_TRUE(list.add(revocation(What::token_id, "c"), kStart + seconds(1), kStart));
  EXPECT_FALSE(list.has_room());
  const auto generation = list.generation();
  EXPECT_FALSE(list.add(revocation(What::token_id, "d"), kLater, kStart));
  EXPECT_EQ(list.generation(), generation);
  for (const char* id : {"a", "b", "c"}) EXPECT_TRUE(list.revokes({.token_id = id}, kStart)) << id;
  EXPECT_FALSE(list.revokes({.token_id = "d"}, kStart));
  EXPECT_TRUE(list.add(revocation(What::token_id, "d"), kLater, kStart + seconds(1))) << "what is over makes room";
  EXPECT_FALSE(list.has_room());
}

TEST(RevocationList, ChangesItsGenerationWithEveryAdditionAndWithNothingElse) {
  RevocationList list(10);
  auto before = list.generation();
  ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kLater, kStart));
  EXPECT_NE(list.generation(), before);
  before = list.generation();
  ASSERT_TRUE(list.add(revocation(What::subject, "alice"), kLater, kStart));
  EXPECT_NE(list.generation(), before);
  before = list.generation();
  (void)list.revokes({.subject = "alice"}, kStart);
  list.forget(kLater);
  EXPECT_EQ(list.generation(), before);
}

TEST(RevocationList, SaysUntilWhenASubjectIsRevoked) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(What::subject, "alice", kStart), kLater, kStart));
  EXPECT_EQ(list.revoked_until("alice"), kStart);
  EXPECT_FALSE(list.revoked_until("bob"));
  ASSERT_TRUE(list.add(revocation(What::everything, "ignored", kStart - seconds(5)), kLater, kStart));
  EXPECT_EQ(list.revoked_until("alice"), kStart);
  EXPECT_EQ(list.revoked_until("bob"), kStart - seconds(5));
  ASSERT_TRUE(list.add(revocation(What::everything, "", kStart + seconds(5)), kLater, kStart));
  EXPECT_EQ(list.revoked_until("alice"), kStart + seconds(5));
  EXPECT_EQ(list.size(), 2U) << "of everything there is one";
}

TEST(RevocationList, IsCompleteUnlessItsHistoryIsStillToCome) {
  RevocationList list(10);
  EXPECT_TRUE(list.is_complete());
  list.expect_history();
  EXPECT_FALSE(list.is_complete());
  ASSERT_TRUE(list.add({What::subject, "alice", kStart, hours(1)}, kLater, kStart));
  EXPECT_FALSE(list.is_complete()) << "one is not all";
  list.complete();
  EXPECT_TRUE(list.is_complete());
}

TEST(RevocationList, DemandsATime) {
  RevocationList list(10);
  EXPECT_THROW((void)list.add({What::subject, "alice", {}, hours(1)}, kLater, kStart), std::invalid_argument);
  EXPECT_EQ(list.size(), 0U);
}

// What a worker does: the generation first, then the list; not revoked at a generation stays so as long as the generation stays.
TEST(RevocationList, NoReaderMissesARevocationItsGenerationAlreadyShows) {
  constexpr int kAdded = 5000;
  RevocationList list(kAdded);
  const auto first = list.generation();
  std::vector<std::thread> readers;
  std::atomic<int> missed{0};
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      for (std::uint64_t seen = 0; seen < kAdded;) {
        seen = list.generation() - first;
        if (seen > 0 && !list.revokes({.token_id = std::to_string(seen - 1)}, kStart)) ++missed;
      }
    });
  }
  for (int i = 0; i < kAdded; ++i) ASSERT_TRUE(list.add(revocation(What::token_id, std::to_string(i)), kLater, kStart));
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace sallyport::store
