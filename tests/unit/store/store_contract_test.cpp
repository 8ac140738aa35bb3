#include "store_contract.hpp"

#include <map>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

// Times in answers are the store's: never before the first look at a clock, never after the last.
constexpr milliseconds kMillisecond{1};

// Each kind gives its own instances.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreContract);

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
    EXPECT_EQ(it.claims, session.claims);
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

TEST_P(StoreContract, BeginsAFamilyWithItsFirstGeneration) {
  const auto family = new_family("f", "alice", hours(1), hours(10));
  const auto created = create(here(), family);
  ASSERT_TRUE(created) << created.error().detail;
  EXPECT_EQ(created->key, key_of("f"));
  EXPECT_EQ(created->subject, "alice");
  EXPECT_EQ(created->claims, family.claims);
  EXPECT_EQ(created->generation, 1U);
  EXPECT_EQ(created->started_at, created->rotated_at);
  EXPECT_LE(created->refresh_left, hours(1));
  EXPECT_GT(created->refresh_left, minutes(59));
}

TEST_P(StoreContract, RefusesWhatIsNoFamily) {
  EXPECT_FALSE(create(here(), new_family("f", "", hours(1), hours(10))));
  EXPECT_FALSE(create(here(), new_family("f", "alice", milliseconds(0), hours(10))));
  EXPECT_FALSE(create(here(), new_family("f", "alice", hours(1), milliseconds(0))));
  auto family = new_family("f", "alice", hours(1), hours(10));
  family.claims = Json();
  EXPECT_FALSE(create(here(), family));
  EXPECT_EQ(rotate(here(), key_of("f"), 1, {units(4), hours(1)})->outcome, Rotation::Outcome::gone);
}

TEST_P(StoreContract, RotatesAFamilyFromGenerationToGeneration) {
  const auto created = create(here(), new_family("f", "alice", hours(1), hours(10)));
  ASSERT_TRUE(created);
  for (std::uint64_t generation = 1; generation <= 5; ++generation) {
    const auto rotated = rotate(generation % 2 == 0 ? here() : there(), key_of("f"), generation, {units(4), minutes(30)});
    ASSERT_TRUE(rotated) << rotated.error().detail;
    EXPECT_EQ(rotated->outcome, Rotation::Outcome::rotated);
    EXPECT_EQ(rotated->family.key, key_of("f"));
    EXPECT_EQ(rotated->family.subject, "alice");
    EXPECT_EQ(rotated->family.claims, claims(R"({"scope":"orders:read","tenant":7})"));
    EXPECT_EQ(rotated->family.generation, generation + 1);
    EXPECT_EQ(rotated->family.started_at, created->started_at);
    EXPECT_GE(rotated->family.rotated_at, created->rotated_at);
    EXPECT_LE(rotated->family.refresh_left, minutes(30));
    EXPECT_GT(rotated->family.refresh_left, minutes(29));
  }
}

TEST_P(StoreContract, AnUnknownFamilyIsGone) {
  const auto rotated = rotate(here(), key_of("nobody"), 1, {units(4), hours(1)});
  ASSERT_TRUE(rotated);
  EXPECT_EQ(rotated->outcome, Rotation::Outcome::gone);
  EXPECT_TRUE(rotated->family.subject.empty());
}

TEST_P(StoreContract, H03_TheSpentTokenWithinTheWindowGetsTheSameSuccessor) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const auto rotated = rotate(here(), key_of("f"), 1, {units(6), hours(1)});
  ASSERT_TRUE(rotated);
  ASSERT_EQ(rotated->outcome, Rotation::Outcome::rotated);
  for (int again = 0; again < 3; ++again) {
    pass(units(1));
    const auto repeated = rotate(there(), key_of("f"), 1, {units(6), hours(1)});
    ASSERT_TRUE(repeated);
    EXPECT_EQ(repeated->outcome, Rotation::Outcome::repeated);
    EXPECT_EQ(repeated->family.generation, 2U);
    EXPECT_EQ(repeated->family.rotated_at, rotated->family.rotated_at) << "nothing changed";
    EXPECT_EQ(repeated->family.subject, "alice");
    EXPECT_EQ(repeated->family.claims, rotated->family.claims);
    EXPECT_LT(repeated->family.refresh_left, rotated->family.refresh_left);
  }
  EXPECT_EQ(rotate(here(), key_of("f"), 2, {units(6), hours(1)})->outcome, Rotation::Outcome::rotated) << "the successor is good still";
}

TEST_P(StoreContract, H04_TheSpentTokenAfterTheWindowRevokesTheFamily) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  ASSERT_TRUE(create(here(), new_family("other", "alice", hours(1), hours(10))));
  const RotationRules rules{units(4), hours(1)};
  ASSERT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::rotated);
  pass(units(4));
  if (is_exact()) {
    EXPECT_EQ(rotate(there(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::repeated) << "the last moment of the window";
    pass(kMillisecond);
  } else {
    pass(units(1));
  }
  const auto reused = rotate(there(), key_of("f"), 1, rules);
  ASSERT_TRUE(reused);
  EXPECT_EQ(reused->outcome, Rotation::Outcome::reused);
  EXPECT_EQ(reused->family.key, key_of("f"));
  EXPECT_EQ(reused->family.subject, "alice") << "the audit log wants to know whose";
  EXPECT_EQ(rotate(here(), key_of("f"), 2, rules)->outcome, Rotation::Outcome::gone) << "all descendants are dead";
  EXPECT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::gone);
  EXPECT_EQ(rotate(here(), key_of("other"), 1, rules)->outcome, Rotation::Outcome::rotated) << "another login is not touched";
}

TEST_P(StoreContract, H04_TheRevocationOfAReusedFamilyIsHeardEverywhere) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const auto rotated = rotate(here(), key_of("f"), 1, {milliseconds(0), hours(1)});
  ASSERT_EQ(rotated->outcome, Rotation::Outcome::rotated);
  const auto family = handle_of(key_of("f"));
  const auto revoked = [&](StoreProcess& process) {
    return process.revocations().revokes({.subject = "alice", .family = family, .issued_at = rotated->family.rotated_at},
                                         kind_->clock().wall_now());
  };
  EXPECT_FALSE(revoked(this_process()));
  pass(units(1));
  ASSERT_EQ(rotate(here(), key_of("f"), 1, {milliseconds(0), hours(1)})->outcome, Rotation::Outcome::reused);
  EXPECT_TRUE(revoked(this_process())) << "at once where it was found";
  EXPECT_TRUE(eventually([&] { return revoked(other_process()); }));
}

TEST_P(StoreContract, H05_TheTokenBeforeTheSpentOneRevokesTheFamilyAtOnce) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const RotationRules rules{hours(1), hours(1)};
  ASSERT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::rotated);
  ASSERT_EQ(rotate(here(), key_of("f"), 2, rules)->outcome, Rotation::Outcome::rotated);
  EXPECT_EQ(rotate(there(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::reused);
  EXPECT_EQ(rotate(here(), key_of("f"), 3, rules)->outcome, Rotation::Outcome::gone);
}

TEST_P(StoreContract, H05_TheTwinOneStepBehindIsNoTheft) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const RotationRules rules{hours(1), hours(1)};
  ASSERT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::rotated);
  ASSERT_EQ(rotate(here(), key_of("f"), 2, rules)->outcome, Rotation::Outcome::rotated);
  EXPECT_EQ(rotate(there(), key_of("f"), 2, rules)->outcome, Rotation::Outcome::repeated);
  EXPECT_EQ(rotate(here(), key_of("f"), 3, rules)->outcome, Rotation::Outcome::rotated);
}

TEST_P(StoreContract, H16_AGenerationNeverGivenOutRevokesTheFamily) {
  // As after a failover that lost the last rotation: the client holds generation 3, the store knows of 2.
  const std::map<std::string, std::uint64_t> generations{{"one ahead", 3},
                                                         {"far ahead", 1'000'000},
                                                         {"beyond signed numbers", 1ULL << 63},
                                                         {"the greatest", ~0ULL},
                                                         {"beyond a double's digits", (1ULL << 53) + 1}};
  for (const auto& [what, generation] : generations) {
    ASSERT_TRUE(create(here(), new_family(what, "alice", hours(1), hours(10)))) << what;
    const RotationRules rules{hours(1), hours(1)};
    ASSERT_EQ(rotate(here(), key_of(what), 1, rules)->outcome, Rotation::Outcome::rotated) << what;
    EXPECT_EQ(rotate(here(), key_of(what), generation, rules)->outcome, Rotation::Outcome::reused) << what;
    EXPECT_EQ(rotate(there(), key_of(what), 2, rules)->outcome, Rotation::Outcome::gone) << what;
  }
}

TEST_P(StoreContract, H16_GenerationZeroIsNotTheOneBeforeTheFirst) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  EXPECT_EQ(rotate(here(), key_of("f"), 0, {hours(1), hours(1)})->outcome, Rotation::Outcome::reused);
  EXPECT_EQ(rotate(here(), key_of("f"), 1, {hours(1), hours(1)})->outcome, Rotation::Outcome::gone);
}

TEST_P(StoreContract, H13_OfThiefAndUserNeitherKeepsTheFamily) {
  // The thief copies token 1 and uses it first; the user comes with it after the window, and is the one who finds out.
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const RotationRules rules{units(2), hours(1)};
  ASSERT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::rotated) << "the thief";
  ASSERT_EQ(rotate(here(), key_of("f"), 2, rules)->outcome, Rotation::Outcome::rotated) << "the thief again";
  pass(units(3));
  EXPECT_EQ(rotate(there(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::reused) << "the user";
  EXPECT_EQ(rotate(here(), key_of("f"), 3, rules)->outcome, Rotation::Outcome::gone) << "the thief";
  EXPECT_EQ(rotate(there(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::gone) << "the user";
}

TEST_P(StoreContract, H14_AfterALogoutNoSuccessorIsUsable) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const RotationRules rules{hours(1), hours(1)};
  ASSERT_EQ(rotate(here(), key_of("f"), 1, rules)->outcome, Rotation::Outcome::rotated);
  const auto ended = end_family(there(), key_of("f"));
  ASSERT_TRUE(ended);
  EXPECT_TRUE(*ended);
  for (const std::uint64_t generation : {1U, 2U, 3U}) {
    EXPECT_EQ(rotate(here(), key_of("f"), generation, rules)->outcome, Rotation::Outcome::gone) << generation;
  }
  EXPECT_FALSE(*end_family(here(), key_of("f"))) << "there is none any more";
}

TEST_P(StoreContract, H14_ALogoutThatRacesARefreshWins) {
  for (int round = 0; round < 20; ++round) {
    const std::string id = "f" + std::to_string(round);
    const RotationRules rules{hours(1), hours(1)};
    ASSERT_TRUE(create(here(), new_family(id, "alice", hours(1), hours(10))));
    auto rotation = begin_rotation(here(), key_of(id), 1, rules);
    auto logout = there().begin([id](Store& store) { return store.end_family(key_of(id)); });
    const auto outcome = rotation.get()->outcome;
    EXPECT_TRUE(*logout.get());
    EXPECT_TRUE(outcome == Rotation::Outcome::rotated || outcome == Rotation::Outcome::gone);
    EXPECT_EQ(rotate(here(), key_of(id), 2, rules)->outcome, Rotation::Outcome::gone);
  }
}

TEST_P(StoreContract, H02_AHundredParallelRotationsAreOne) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const RotationRules rules{hours(1), hours(1)};
  std::vector<std::future<Result<Rotation>>> rotations;
  for (int i = 0; i < 100; ++i) rotations.push_back(begin_rotation(i % 2 == 0 ? here() : there(), key_of("f"), 1, rules));
  std::map<Rotation::Outcome, int> outcomes;
  for (auto& rotation : rotations) {
    const auto outcome = rotation.get();
    ASSERT_TRUE(outcome) << outcome.error().detail;
    ++outcomes[outcome->outcome];
    EXPECT_EQ(outcome->family.generation, 2U) << "all get the same successor";
  }
  EXPECT_EQ(outcomes[Rotation::Outcome::rotated], 1);
  EXPECT_EQ(outcomes[Rotation::Outcome::repeated], 99);
}

TEST_P(StoreContract, H01_AHundredParallelRotationsOfOneWorkerAreOne) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  std::vector<std::future<Result<Rotation>>> rotations;
  for (int i = 0; i < 100; ++i) rotations.push_back(begin_rotation(here(), key_of("f"), 1, {hours(1), hours(1)}));
  std::map<Rotation::Outcome, int> outcomes;
  for (auto& rotation : rotations) ++outcomes[rotation.get()->outcome];
  EXPECT_EQ(outcomes[Rotation::Outcome::rotated], 1);
  EXPECT_EQ(outcomes[Rotation::Outcome::repeated], 99);
}

TEST_P(StoreContract, ARefreshTokenThatExpiredIsGoneAndNoTheft) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", units(6), hours(10))));
  ASSERT_EQ(rotate(here(), key_of("f"), 1, {hours(1), units(6)})->outcome, Rotation::Outcome::rotated);
  const milliseconds margin = is_exact() ? kMillisecond : units(2);
  pass(units(6) - margin);
  EXPECT_EQ(rotate(here(), key_of("f"), 1, {hours(1), units(6)})->outcome, Rotation::Outcome::repeated) << "a moment before";
  pass(margin);
  if (!is_exact()) pass(units(1));
  EXPECT_EQ(rotate(here(), key_of("f"), 2, {hours(1), units(6)})->outcome, Rotation::Outcome::gone);
  EXPECT_EQ(rotate(here(), key_of("f"), 1, {hours(1), units(6)})->outcome, Rotation::Outcome::gone);
  EXPECT_FALSE(this_process().revocations().revokes({.family = handle_of(key_of("f"))}, kind_->clock().wall_now()));
}

TEST_P(StoreContract, NoRotationOutlivesTheFamily) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(5), units(10))));
  const auto early = rotate(here(), key_of("f"), 1, {units(1), hours(5)});
  ASSERT_EQ(early->outcome, Rotation::Outcome::rotated);
  EXPECT_LE(early->family.refresh_left, units(10));
  pass(units(6));
  const auto late = rotate(here(), key_of("f"), 2, {units(1), hours(5)});
  ASSERT_EQ(late->outcome, Rotation::Outcome::rotated);
  EXPECT_LE(late->family.refresh_left, units(4));
  EXPECT_GT(late->family.refresh_left, milliseconds(0));
  pass(units(4));
  if (!is_exact()) pass(units(1));
  EXPECT_EQ(rotate(here(), key_of("f"), 3, {units(1), hours(5)})->outcome, Rotation::Outcome::gone);
}

TEST_P(StoreContract, EndsAllOfASubjectAndNothingOfAnother) {
  ASSERT_TRUE(create(here(), new_session("s1", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(there(), new_session("s2", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_session("s3", "bob", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_family("f1", "alice", hours(1), hours(10))));
  ASSERT_TRUE(create(here(), new_family("f2", "bob", hours(1), hours(10))));
  ASSERT_TRUE(end_all_of(there(), "alice"));
  EXPECT_FALSE(*find(here(), key_of("s1")));
  EXPECT_FALSE(*find(here(), key_of("s2")));
  EXPECT_TRUE(*find(here(), key_of("s3")));
  EXPECT_TRUE(sessions_of(here(), "alice")->empty());
  EXPECT_EQ(rotate(here(), key_of("f1"), 1, {units(1), hours(1)})->outcome, Rotation::Outcome::gone);
  EXPECT_EQ(rotate(here(), key_of("f2"), 1, {units(1), hours(1)})->outcome, Rotation::Outcome::rotated);
  EXPECT_TRUE(end_all_of(here(), "nobody")) << "there is nothing to end, and that is fine";
}

TEST_P(StoreContract, EndsAllOfASubjectWithManySessions) {
  std::vector<std::future<Result<void>>> created;
  for (int i = 0; i < 1200; ++i) {
    created.push_back(here().begin([session = new_session("many" + std::to_string(i), "alice", minutes(30), hours(24))](Store& store) {
      return store.create_session(session);
    }));
    if (created.size() < 200) continue;  // as many at once as a store surely takes
    for (auto& one : created) ASSERT_TRUE(one.get());
    created.clear();
  }
  const auto listed = sessions_of(there(), "alice");
  ASSERT_TRUE(listed) << listed.error().detail;
  EXPECT_EQ(listed->size(), 1000U) << "a list is bounded";
  ASSERT_TRUE(end_all_of(there(), "alice"));
  EXPECT_TRUE(sessions_of(here(), "alice")->empty());
  for (const int i : {0, 599, 1199}) EXPECT_FALSE(*find(here(), key_of("many" + std::to_string(i)))) << i;
}

TEST_P(StoreContract, ARevocationIsHeardByTheOtherProcess) {
  struct Row {
    const char* what;
    Revocation revocation;
    RevocationList::Credential credential;
    RevocationList::Credential spared;
  };
  const std::string handle = handle_of(key_of("s"));
  const std::vector<Row> rows{
      {"subject", {Revocation::Kind::subject, "alice", {}, hours(1)}, {.subject = "alice"}, {.subject = "alic"}},
      {"session", {Revocation::Kind::session, handle, {}, hours(1)}, {.session = handle}, {.family = handle}},
      {"token id", {Revocation::Kind::token_id, "jti 1\n", {}, hours(1)}, {.token_id = "jti 1\n"}, {.token_id = "jti 1"}},
      {"family", {Revocation::Kind::family, handle, {}, hours(1)}, {.family = handle}, {.token_id = handle}},
      {"everything", {Revocation::Kind::everything, "", {}, hours(1)}, {.subject = "zoe"}, {}},
  };
  for (const Row& row : rows) {
    const auto now = [&] { return kind_->clock().wall_now(); };
    for (StoreProcess* process : {&this_process(), &other_process()})
      EXPECT_FALSE(process->revocations().revokes(row.credential, now())) << row.what;
    const auto generation = other_process().revocations().generation();
    ASSERT_TRUE(revoke(here(), row.revocation)) << row.what;
    EXPECT_TRUE(this_process().revocations().revokes(row.credential, now())) << row.what << ": by the time of the answer";
    EXPECT_TRUE(eventually([&] { return other_process().revocations().revokes(row.credential, now()); })) << row.what;
    EXPECT_NE(other_process().revocations().generation(), generation) << row.what;
    if (row.revocation.kind == Revocation::Kind::everything) continue;
    EXPECT_FALSE(other_process().revocations().revokes(row.spared, now())) << row.what;
  }
}

TEST_P(StoreContract, ARevocationSparesWhatIsIssuedAfterIt) {
  ASSERT_TRUE(create(here(), new_session("before", "alice", minutes(30), hours(24))));
  const auto before = find(here(), key_of("before"));
  pass(std::max(kMillisecond, units(1) / 10));
  ASSERT_TRUE(revoke(here(), {Revocation::Kind::subject, "alice", {}, hours(1)}));
  pass(std::max(kMillisecond, units(1) / 10));
  ASSERT_TRUE(create(there(), new_session("after", "alice", minutes(30), hours(24))));
  const auto after = find(here(), key_of("after"));
  ASSERT_TRUE(before && *before && after && *after);
  const auto& list = this_process().revocations();
  EXPECT_TRUE(list.revokes({.subject = "alice", .issued_at = (*before)->created_at}, kind_->clock().wall_now()));
  EXPECT_FALSE(list.revokes({.subject = "alice", .issued_at = (*after)->created_at}, kind_->clock().wall_now()));
}

TEST_P(StoreContract, ARevocationMayBeDatedBack) {
  const auto now = kind_->clock().wall_now();
  ASSERT_TRUE(revoke(here(), {Revocation::Kind::everything, "", now - hours(2), hours(1)}));
  const auto revokes = [&](WallTime issued_at) {
    return other_process().revocations().revokes({.subject = "alice", .issued_at = issued_at}, kind_->clock().wall_now());
  };
  EXPECT_TRUE(eventually([&] { return revokes(now - hours(3)); }));
  EXPECT_TRUE(revokes(now - hours(2)));
  EXPECT_FALSE(revokes(now - hours(2) + std::chrono::seconds(1)));
}

TEST_P(StoreContract, RevocationsAreThereAfterARestart) {
  if (!is_durable()) GTEST_SKIP() << "it promises nothing beyond its process";
  ASSERT_TRUE(revoke(here(), {Revocation::Kind::subject, "alice", {}, hours(1)}));
  ASSERT_TRUE(revoke(there(), {Revocation::Kind::token_id, "jti", {}, hours(1)}));
  restart();
  for (StoreProcess* process : {&this_process(), &other_process()}) {
    EXPECT_TRUE(eventually([&] { return process->revocations().revokes({.subject = "alice"}, kind_->clock().wall_now()); }));
    EXPECT_TRUE(eventually([&] { return process->revocations().revokes({.token_id = "jti"}, kind_->clock().wall_now()); }));
    EXPECT_FALSE(process->revocations().revokes({.subject = "bob", .token_id = "other"}, kind_->clock().wall_now()));
  }
}

TEST_P(StoreContract, AFullListRefusesARevocationAndSaysSo) {
  std::vector<std::future<Result<void>>> revocations;
  for (std::size_t i = 0; i < StoreProcess::kRevocationsMax; ++i) {
    revocations.push_back(
        here().begin([i](Store& store) { return store.revoke({Revocation::Kind::token_id, "jti" + std::to_string(i), {}, hours(1)}); }));
    if (revocations.size() < 100) continue;
    for (auto& one : revocations) ASSERT_TRUE(one.get()) << i;
    revocations.clear();
  }
  const auto refused = revoke(here(), {Revocation::Kind::token_id, "one more", {}, hours(1)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::too_large);
  EXPECT_TRUE(this_process().revocations().revokes({.token_id = "jti0"}, kind_->clock().wall_now())) << "none is dropped for another";
}

TEST_P(StoreContract, SessionsAndFamiliesAreThereAfterARestart) {
  if (!is_durable()) GTEST_SKIP() << "it promises nothing beyond its process";
  ASSERT_TRUE(create(here(), new_session("kept", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_session("ended", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(*end_session(here(), key_of("ended")));
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  const auto rotated = rotate(here(), key_of("f"), 1, {hours(1), hours(1)});
  ASSERT_EQ(rotated->outcome, Rotation::Outcome::rotated);
  restart();
  EXPECT_TRUE(*find(here(), key_of("kept")));
  EXPECT_FALSE(*find(here(), key_of("ended")));
  const auto repeated = rotate(here(), key_of("f"), 1, {hours(1), hours(1)});
  ASSERT_TRUE(repeated);
  EXPECT_EQ(repeated->outcome, Rotation::Outcome::repeated) << "H07: the answer was lost with the process, and the client asks again";
  EXPECT_EQ(repeated->family.generation, 2U);
  EXPECT_EQ(repeated->family.rotated_at, rotated->family.rotated_at);
}

TEST_P(StoreContract, AListenerHearsOfASessionThatAnotherEnded) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_session("b", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(*find(there(), key_of("a")));  // only who looked at it has something to forget
  ASSERT_TRUE(*find(there(), key_of("b")));
  there().settle();
  there().listener_.forget();
  ASSERT_TRUE(*end_session(here(), key_of("a")));
  EXPECT_TRUE(eventually([&] { return there().listener_.heard_of(key_of("a")); }));
  EXPECT_FALSE(there().listener_.heard_of(key_of("b"))) << "exactly the changed ones";
  EXPECT_EQ(there().listener_.everything(), 0U);
}

TEST_P(StoreContract, AListenerHearsOfSessionsThatEndWithTheirSubject) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(create(here(), new_session("b", "bob", minutes(30), hours(24))));
  for (StoreWorker* worker : {&here(), &there()}) {
    ASSERT_TRUE(*find(*worker, key_of("a")));
    ASSERT_TRUE(*find(*worker, key_of("b")));
    worker->listener_.forget();
  }
  ASSERT_TRUE(end_all_of(here(), "alice"));
  EXPECT_TRUE(eventually([&] { return there().listener_.heard_of(key_of("a")); }));
  EXPECT_TRUE(eventually([&] { return here().listener_.heard_of(key_of("a")); }));
  EXPECT_FALSE(there().listener_.heard_of(key_of("b")));
}

TEST_P(StoreContract, AListenerHearsOfATouch) {
  ASSERT_TRUE(create(here(), new_session("a", "alice", minutes(30), hours(24))));
  ASSERT_TRUE(*find(there(), key_of("a")));
  there().listener_.forget();
  ASSERT_TRUE(*touch(here(), key_of("a"), minutes(30)));
  EXPECT_TRUE(eventually([&] { return there().listener_.heard_of(key_of("a")); }));
}

TEST_P(StoreContract, HearsChangesWhileAllIsWell) {
  EXPECT_TRUE(here().hears_changes());
  EXPECT_TRUE(there().hears_changes());
  EXPECT_EQ(this_process().trouble(), "");
}

TEST_P(StoreContract, OfTwoProposedSecretsTheFirstStays) {
  const auto first = agree(here(), "session-tag", "first proposal");
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(*first, "first proposal");
  EXPECT_EQ(*agree(there(), "session-tag", "second proposal"), "first proposal");
  EXPECT_EQ(*agree(there(), "another name", "third proposal"), "third proposal");
  if (!is_durable()) return;
  restart();
  EXPECT_EQ(*agree(there(), "session-tag", "fourth proposal"), "first proposal");
}

TEST_P(StoreContract, TwoWhoProposeASecretAtOnceAgree) {
  for (int round = 0; round < 20; ++round) {
    const std::string name = "secret" + std::to_string(round);
    auto one = here().begin([name](Store& store) { return store.agree_on_secret(name, Secret(std::string("\0\r\n1", 4))); });
    auto two = there().begin([name](Store& store) { return store.agree_on_secret(name, Secret(std::string("\0\r\n2", 4))); });
    const auto first = one.get();
    const auto second = two.get();
    ASSERT_TRUE(first && second);
    ASSERT_EQ(first->size(), 4U);
    EXPECT_TRUE(std::ranges::equal(first->reveal(), second->reveal()));
  }
}

TEST_P(StoreContract, AStoreMayBeDestroyedWithCallsUnderWay) {
  ASSERT_TRUE(create(here(), new_family("f", "alice", hours(1), hours(10))));
  std::vector<std::future<Result<Rotation>>> rotations;
  std::vector<std::future<Result<std::optional<Session>>>> looks;
  for (int i = 0; i < 50; ++i) {
    rotations.push_back(begin_rotation(here(), key_of("f"), 1, {hours(1), hours(1)}));
    looks.push_back(here().begin([](Store& store) { return store.find_session(key_of("nobody")); }));
  }
  here().detach();
  for (auto& rotation : rotations) {
    const auto outcome = rotation.get();  // every call ends
    if (outcome) {
      EXPECT_EQ(outcome->family.generation, 2U);
    }
  }
  for (auto& look : looks) {
    const auto found = look.get();
    if (found) {
      EXPECT_FALSE(found->has_value());
    }
  }
  EXPECT_EQ(rotate(there(), key_of("f"), 2, {hours(1), hours(1)})->outcome, Rotation::Outcome::rotated) << "for others it goes on";
}

}  // namespace
}  // namespace sallyport::store
