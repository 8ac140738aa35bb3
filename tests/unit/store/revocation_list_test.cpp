#include "store/revocation_list.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Revocation::Kind;

const WallTime kNow{std::chrono::sys_seconds(seconds(1'800'000'000))};
const WallTime kLater = kNow + hours(1);

Revocation revocation(Kind kind, std::string value, WallTime issued_before = kNow) {
  return {kind, std::move(value), issued_before, hours(1)};
}

TEST(RevocationList, RevokesNothingAtFirst) {
  const RevocationList list(10);
  EXPECT_FALSE(list.revokes({}, kNow));
  EXPECT_FALSE(list.revokes({.subject = "alice", .token_id = "t", .session = "s", .family = "f"}, kNow));
  EXPECT_FALSE(list.revoked_until("alice"));
  EXPECT_EQ(list.size(), 0U);
}

TEST(RevocationList, MatchesEachThingByItsOwnName) {
  struct Row {
    const char* what;
    Kind kind;
    RevocationList::Credential revoked;
    RevocationList::Credential spared;
  };
  const Row rows[] = {
      {"subject", Kind::subject, {.subject = "x"}, {.token_id = "x", .session = "x", .family = "x"}},
      {"token id", Kind::token_id, {.token_id = "x"}, {.subject = "x", .session = "x", .family = "x"}},
      {"session", Kind::session, {.session = "x"}, {.subject = "x", .token_id = "x", .family = "x"}},
      {"family", Kind::family, {.family = "x"}, {.subject = "x", .token_id = "x", .session = "x"}},
  };
  for (const Row& row : rows) {
    RevocationList list(10);
    ASSERT_TRUE(list.add(revocation(row.kind, "x"), kLater, kNow));
    EXPECT_TRUE(list.revokes(row.revoked, kNow)) << row.what;
    EXPECT_FALSE(list.revokes(row.spared, kNow)) << row.what;
    EXPECT_FALSE(list.revokes({.subject = "xx", .token_id = "X", .session = "", .family = "x "}, kNow)) << row.what;
  }
}

TEST(RevocationList, EverythingMatchesWhateverIsShown) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::everything, ""), kLater, kNow));
  EXPECT_TRUE(list.revokes({}, kNow));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kNow}, kNow));
  EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kNow + milliseconds(1)}, kNow));
}

TEST(RevocationList, WhatIsNotShownIsNotMatched) {
  RevocationList list(10);
  // An empty value would match whoever shows nothing.
  ASSERT_TRUE(list.add(revocation(Kind::subject, ""), kLater, kNow));
  ASSERT_TRUE(list.add(revocation(Kind::family, ""), kLater, kNow));
  EXPECT_FALSE(list.revokes({.token_id = "t"}, kNow));
}

TEST(RevocationList, RevokesWhatWasIssuedAtOrBeforeTheTime) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kLater, kNow));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kNow - milliseconds(1)}, kNow));
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kNow}, kNow));
  EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kNow + milliseconds(1)}, kNow));
  EXPECT_TRUE(list.revokes({.subject = "alice"}, kNow)) << "without a time: issued before everything";
}

// An issuer whose clock is ahead dates a token after the moment in which it is revoked.
TEST(RevocationList, ASessionFamilyOrTokenIsRevokedWhateverItSaysOfItsTime) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::token_id, "t1"), kLater, kNow));
  ASSERT_TRUE(list.add(revocation(Kind::session, "s1"), kLater, kNow));
  ASSERT_TRUE(list.add(revocation(Kind::family, "f1"), kLater, kNow));
  EXPECT_TRUE(list.revokes({.token_id = "t1", .issued_at = kNow + seconds(4), .in_whole_seconds = true}, kNow));
  EXPECT_TRUE(list.revokes({.session = "s1", .issued_at = kNow + seconds(4)}, kNow));
  EXPECT_TRUE(list.revokes({.family = "f1", .issued_at = kNow + seconds(4)}, kNow));
}

TEST(RevocationList, ATokenOfTheSecondOfTheRevocationIsRevoked) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice", kNow + milliseconds(300)), kLater, kNow));
  const auto revokes = [&](WallTime issued_at, bool in_whole_seconds) {
    return list.revokes({.subject = "alice", .issued_at = issued_at, .in_whole_seconds = in_whole_seconds}, kNow);
  };
  EXPECT_TRUE(revokes(kNow - seconds(1), true));
  EXPECT_TRUE(revokes(kNow, true));
  EXPECT_FALSE(revokes(kNow + seconds(1), true));
  EXPECT_TRUE(revokes(kNow + milliseconds(300), false));
  EXPECT_FALSE(revokes(kNow + milliseconds(301), false)) << "a precise time is taken precisely";
  EXPECT_TRUE(revokes(kNow + milliseconds(999), true)) << "a whole second stands for all of its moments";
}

TEST(RevocationList, OfTwoAboutTheSameThingTheLaterTimeCounts) {
  for (const bool later_first : {false, true}) {
    RevocationList list(1);
    const auto early = revocation(Kind::subject, "alice", kNow);
    const auto late = revocation(Kind::subject, "alice", kNow + seconds(10));
    ASSERT_TRUE(list.add(later_first ? late : early, kLater, kNow));
    ASSERT_TRUE(list.add(later_first ? early : late, kLater, kNow)) << "the same thing needs no further room";
    EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = kNow + seconds(10)}, kNow));
    EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = kNow + seconds(11)}, kNow));
    EXPECT_EQ(list.size(), 1U);
    EXPECT_EQ(list.revoked_until("alice"), kNow + seconds(10));
  }
}

TEST(RevocationList, KeepsTheLongerOfTwoLives) {
  for (const bool longer_first : {false, true}) {
    RevocationList list(10);
    ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kNow + (longer_first ? hours(2) : hours(1)), kNow));
    ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kNow + (longer_first ? hours(1) : hours(2)), kNow));
    EXPECT_TRUE(list.revokes({.subject = "alice"}, kNow + hours(1)));
    list.forget(kNow + hours(1));
    EXPECT_TRUE(list.revokes({.subject = "alice"}, kNow + hours(2) - milliseconds(1)));
    list.forget(kNow + hours(2));
    EXPECT_EQ(list.size(), 0U);
  }
}

TEST(RevocationList, ForgetsWhatNoLongerMatters) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kNow + seconds(1), kNow));
  ASSERT_TRUE(list.add(revocation(Kind::token_id, "t"), kNow + seconds(2), kNow));
  EXPECT_TRUE(list.revokes({.subject = "alice"}, kNow + milliseconds(999)));
  EXPECT_FALSE(list.revokes({.subject = "alice"}, kNow + seconds(1))) << "over, forgotten or not";
  EXPECT_EQ(list.size(), 2U);
  list.forget(kNow + seconds(1));
  EXPECT_EQ(list.size(), 1U);
  EXPECT_FALSE(list.revoked_until("alice"));
  EXPECT_TRUE(list.revokes({.token_id = "t"}, kNow + seconds(1)));
  list.forget(kNow + seconds(2));
  EXPECT_EQ(list.size(), 0U);
  EXPECT_FALSE(list.revokes({.token_id = "t"}, kNow + seconds(1)));
}

TEST(RevocationList, RefusesWhenFullAndDropsNone) {
  RevocationList list(3);
  for (const char* id : {"a", "b"}) ASSERT_TRUE(list.add(revocation(Kind::token_id, id), kLater, kNow));
  EXPECT_TRUE(list.has_room());
  ASSERT_TRUE(list.add(revocation(Kind::token_id, "c"), kNow + seconds(1), kNow));
  EXPECT_FALSE(list.has_room());
  const auto generation = list.generation();
  EXPECT_FALSE(list.add(revocation(Kind::token_id, "d"), kLater, kNow));
  EXPECT_EQ(list.generation(), generation);
  for (const char* id : {"a", "b", "c"}) EXPECT_TRUE(list.revokes({.token_id = id}, kNow)) << id;
  EXPECT_FALSE(list.revokes({.token_id = "d"}, kNow));
  EXPECT_TRUE(list.add(revocation(Kind::token_id, "d"), kLater, kNow + seconds(1))) << "what is over makes room";
  EXPECT_FALSE(list.has_room());
}

TEST(RevocationList, ChangesItsGenerationWithEveryAdditionAndWithNothingElse) {
  RevocationList list(10);
  auto before = list.generation();
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kLater, kNow));
  EXPECT_NE(list.generation(), before);
  before = list.generation();
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice"), kLater, kNow));
  EXPECT_NE(list.generation(), before);
  before = list.generation();
  (void)list.revokes({.subject = "alice"}, kNow);
  list.forget(kLater);
  EXPECT_EQ(list.generation(), before);
}

TEST(RevocationList, SaysUntilWhenASubjectIsRevoked) {
  RevocationList list(10);
  ASSERT_TRUE(list.add(revocation(Kind::subject, "alice", kNow), kLater, kNow));
  EXPECT_EQ(list.revoked_until("alice"), kNow);
  EXPECT_FALSE(list.revoked_until("bob"));
  ASSERT_TRUE(list.add(revocation(Kind::everything, "ignored", kNow - seconds(5)), kLater, kNow));
  EXPECT_EQ(list.revoked_until("alice"), kNow);
  EXPECT_EQ(list.revoked_until("bob"), kNow - seconds(5));
  ASSERT_TRUE(list.add(revocation(Kind::everything, "", kNow + seconds(5)), kLater, kNow));
  EXPECT_EQ(list.revoked_until("alice"), kNow + seconds(5));
  EXPECT_EQ(list.size(), 2U) << "of everything there is one";
}

TEST(RevocationList, IsCompleteUnlessItsHistoryIsStillToCome) {
  RevocationList list(10);
  EXPECT_TRUE(list.is_complete());
  list.expect_history();
  EXPECT_FALSE(list.is_complete());
  ASSERT_TRUE(list.add({Kind::subject, "alice", kNow, hours(1)}, kLater, kNow));
  EXPECT_FALSE(list.is_complete()) << "one is not all";
  list.complete();
  EXPECT_TRUE(list.is_complete());
}

TEST(RevocationList, DemandsATime) {
  RevocationList list(10);
  EXPECT_THROW((void)list.add({Kind::subject, "alice", {}, hours(1)}, kLater, kNow), std::invalid_argument);
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
        if (seen > 0 && !list.revokes({.token_id = std::to_string(seen - 1)}, kNow)) ++missed;
      }
    });
  }
  for (int i = 0; i < kAdded; ++i) ASSERT_TRUE(list.add(revocation(Kind::token_id, std::to_string(i)), kLater, kNow));
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(missed, 0);
}

}  // namespace
}  // namespace sallyport::store
