#include "store_contract.hpp"

#include <map>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

TEST_P(StoreContract, FindsASessionAsItWasCreated) {
  const auto session = new_session("a", "alice", minutes(30), hours(24));
  ASSERT_TRUE(create(here(), session));
  for (StoreWorker* worker : {&here(), &there()}) {
    const auto found = find(*worker, key_of("a"));
    ASSERT_TRUE(found) << found.error().detail;
    ASSERT_TRUE(found->has_value());
    const Session& it = **found;
    EXPECT_EQ(it.key, key_of("a"));
    EXPECT_EQ(it.subject, "alice");
    EXPECT_EQ(it.claims.json(), session.claims);
    EXPECT_EQ(it.created_at, it.last_seen_at);
    EXPECT_LT(kind_->clock().wall_now() - it.created_at, minutes(1));
    EXPECT_LT(it.created_at - kind_->clock().wall_now(), minutes(1));
    EXPECT_LE(it.idle_left, minutes(30));
    EXPECT_GT(it.idle_left, minutes(29));
    EXPECT_LE(it.absolute_left, hours(24));
    EXPECT_GT(it.absolute_left, hours(23));
  }
}

TEST_P(StoreContract, FindsNoSessionThatNobodyCreated) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", minutes(30), hours(24))));
  const auto found = find(here(), key_of("b"));
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->has_value());
}

TEST_P(StoreContract, G09_RemembersNoAbsence) {
  for (StoreWorker* worker : {&here(), &there()}) {
    const auto before = find(*worker, key_of("late"));
    ASSERT_TRUE(before);
    EXPECT_FALSE(before->has_value());
  }
  ASSERT_TRUE(create(here(), new_session("late", "alice", minutes(30), hours(24))));
  for (StoreWorker* worker : {&here(), &there()}) {
    const auto after = find(*worker, key_of("late"));
    ASSERT_TRUE(after);
    EXPECT_TRUE(after->has_value());
  }
}

TEST_P(StoreContract, KeepsSubjectsByteForByte) {
  const std::map<std::string, std::string> subjects{{"quotes", "a'b\"c;--"}, {"line ends", "a\r\nb"}, {"nul", std::string("a\0b", 3)},
                                                    {"braces", "{a}*?[b]"},  {"utf-8", "Zoë 漢字"},   {"long", std::string(255, 'x')},
                                                    {"a plain one", "ab"},   {"spaces", " a b "}};
  for (const auto& [what, subject] : subjects) ASSERT_TRUE(create(here(), new_session(what, subject, minutes(30), hours(1)))) << what;
  for (const auto& [what, subject] : subjects) {
    const auto found = find(there(), key_of(what));
    ASSERT_TRUE(found) << what;
    ASSERT_TRUE(found->has_value()) << what;
    EXPECT_EQ((*found)->subject, subject) << what;
    const auto listed = sessions_of(there(), subject);
    ASSERT_TRUE(listed) << what;
    ASSERT_EQ(listed->size(), 1U) << what;
    EXPECT_EQ(listed->front().key, key_of(what)) << what;
  }
}

TEST_P(StoreContract, RefusesWhatIsNoSession) {
  auto session = new_session("a", "", minutes(30), hours(24));
  EXPECT_FALSE(create(here(), session)) << "no subject";
  session = new_session("a", "alice", milliseconds(0), hours(24));
  EXPECT_FALSE(create(here(), session)) << "no idle time";
  session = new_session("a", "alice", minutes(30), milliseconds(0));
  EXPECT_FALSE(create(here(), session)) << "no life";
  session = new_session("a", "alice", minutes(30), hours(24));
  session.claims = claims("[]");
  EXPECT_FALSE(create(here(), session)) << "claims that are no object";
  EXPECT_FALSE(*find(here(), key_of("a")));
}

TEST_P(StoreContract, G07_ASessionEndsAtItsIdleTimeout) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", units(6), hours(24))));
  const milliseconds margin = is_exact() ? kMillisecond : units(2);
  pass(units(6) - margin);
  auto found = find(there(), key_of("a"));
  ASSERT_TRUE(found);
  ASSERT_TRUE(found->has_value()) << "a moment before";
  EXPECT_GT((*found)->idle_left, milliseconds(0));
  EXPECT_LE((*found)->idle_left, margin);
  pass(margin);
  if (is_exact()) {
    EXPECT_FALSE(*find(there(), key_of("a"))) << "at the very moment";
    pass(kMillisecond);
  } else {
    pass(units(1));
  }
  EXPECT_FALSE(*find(there(), key_of("a"))) << "a moment after";
  const auto touched = touch(here(), key_of("a"), hours(1));
  ASSERT_TRUE(touched);
  EXPECT_FALSE(*touched) << "what is over does not come back";
  EXPECT_FALSE(*find(here(), key_of("a")));
}

TEST_P(StoreContract, G07_TouchMovesTheIdleEnd) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", units(6), hours(24))));
  const auto created = find(here(), key_of("a"));
  ASSERT_TRUE(created && created->has_value());
  for (int round = 0; round < 3; ++round) {
    pass(units(4));
    const auto touched = touch(there(), key_of("a"), units(6));
    ASSERT_TRUE(touched);
    ASSERT_TRUE(*touched) << round;
  }
  const auto found = find(here(), key_of("a"));
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->created_at, (*created)->created_at);
  EXPECT_GE((*found)->last_seen_at - (*created)->last_seen_at, units(12));
  EXPECT_GT((*found)->idle_left, units(3));
  pass(units(7));
  EXPECT_FALSE(*find(here(), key_of("a")));
}

TEST_P(StoreContract, G07_TouchNeverGoesPastTheAbsoluteEnd) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", units(6), units(10))));
  pass(units(4));
  ASSERT_TRUE(*touch(here(), key_of("a"), hours(5)));
  auto found = find(there(), key_of("a"));
  ASSERT_TRUE(found && found->has_value());
  EXPECT_LE((*found)->absolute_left, units(6));
  EXPECT_EQ((*found)->idle_left, (*found)->absolute_left) << "the idle end stands at the absolute one";
  const milliseconds margin = is_exact() ? kMillisecond : units(2);
  pass(units(6) - margin);
  ASSERT_TRUE(*touch(here(), key_of("a"), hours(5))) << "a moment before";
  EXPECT_TRUE(*find(there(), key_of("a")));
  pass(margin);
  if (!is_exact()) pass(units(1));
  EXPECT_FALSE(*find(there(), key_of("a"))) << "at the end";
  EXPECT_FALSE(*touch(here(), key_of("a"), hours(5)));
  pass(kMillisecond);
  EXPECT_FALSE(*find(there(), key_of("a"))) << "a moment after";
}

TEST_P(StoreContract, AnIdleTimeBeyondTheAbsoluteEndIsCutAtCreation) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", hours(5), units(6))));
  const auto found = find(here(), key_of("a"));
  ASSERT_TRUE(found && found->has_value());
  EXPECT_LE((*found)->idle_left, units(6));
  pass(units(7));
  EXPECT_FALSE(*find(here(), key_of("a")));
}

TEST_P(StoreContract, EndsASessionOnce) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_session("b", "alice", minutes(30), hours(24))));
  const auto ended = end_session(there(), key_of("a"));
  ASSERT_TRUE(ended);
  EXPECT_TRUE(*ended);
  EXPECT_FALSE(*find(here(), key_of("a")));
  EXPECT_FALSE(*end_session(here(), key_of("a"))) << "there is none any more";
  EXPECT_FALSE(*touch(here(), key_of("a"), hours(1)));
  EXPECT_TRUE(*find(here(), key_of("b"))) << "the other one lives";
}

TEST_P(StoreContract, ListsTheSessionsOfASubject) {
  ASSERT_TRUE(create(here(), new_session("a1", "alice", units(4), hours(24))));
  pass(std::max(kMillisecond, units(1) / 10));
  ASSERT_TRUE(create(there(), new_session("a2", "alice", hours(1), hours(24))));
  pass(std::max(kMillisecond, units(1) / 10));
  ASSERT_TRUE(create(here(), new_session("a3", "alice", hours(1), hours(24))));
  ASSERT_TRUE(create(here(), new_session("b", "bob", hours(1), hours(24))));
  const auto keys = [&](std::string subject) {
    std::vector<Digest> keys;
    const auto sessions = sessions_of(there(), std::move(subject));
    EXPECT_TRUE(sessions);
    if (sessions) {
      for (const Session& session : *sessions) keys.push_back(session.key);
    }
    return keys;
  };
  EXPECT_EQ(keys("alice"), (std::vector{key_of("a1"), key_of("a2"), key_of("a3")})) << "oldest first";
  EXPECT_EQ(keys("bob"), std::vector{key_of("b")});
  EXPECT_TRUE(keys("ali").empty());
  EXPECT_TRUE(keys("ALICE").empty());
  ASSERT_TRUE(*end_session(here(), key_of("a2")));
  pass(units(5));
  EXPECT_EQ(keys("alice"), std::vector{key_of("a3")}) << "without those that are over";
}

}  // namespace
}  // namespace sallyport::store
