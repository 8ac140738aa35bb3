#include "store_contract.hpp"

#include <map>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

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

}  // namespace
}  // namespace sallyport::store
