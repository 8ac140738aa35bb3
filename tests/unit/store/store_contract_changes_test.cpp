// What one worker does is heard by all, and is there after a restart.
#include "store_contract.hpp"

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

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
    EXPECT_TRUE(eventually([&] { return other_process().revocations().generation() != generation; })) << row.what;  // moves last
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

TEST_P(StoreContract, H07_SessionsAndFamiliesAreThereAfterARestart) {
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
