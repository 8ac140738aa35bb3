#include <atomic>
#include <set>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include "issue/token_pairs.hpp"
#include "workshop.hpp"

namespace sallyport::issue {
namespace {

using identity::RefusalReason;

std::shared_ptr<SharedState> fresh() { return std::make_shared<SharedState>(); }

class RefreshDeskTest : public ::testing::Test {
 protected:
  [[nodiscard]] RefreshOutcome refresh(const std::string& token) { return gateway_.refresh(token, keys_); }
  // `count` at once, while the store holds its answer back; `meanwhile` happens before it lets go.
  template <class Meanwhile>
  std::vector<RefreshOutcome> refresh_at_once(const std::string& token, int count, Meanwhile meanwhile) {
    std::vector<RefreshOutcome> outcomes;
    gateway_.store.hold_rotations(gateway_.context.get_executor());
    for (int i = 0; i < count; ++i) {
      boost::asio::co_spawn(gateway_.context.get_executor(), gateway_.pairs.refresh(token, keys_, gateway_.tags),
                            [&](std::exception_ptr, RefreshOutcome outcome) { outcomes.push_back(std::move(outcome)); });
    }
    gateway_.context.restart();
    gateway_.context.poll();
    EXPECT_TRUE(outcomes.empty());
    meanwhile();
    gateway_.store.let_go();
    gateway_.context.restart();
    gateway_.context.run();
    return outcomes;
  }
  std::vector<RefreshOutcome> refresh_at_once(const std::string& token, int count) {
    return refresh_at_once(token, count, [] {});
  }
  [[nodiscard]] WallTime now() const { return gateway_.clock.wall_now(); }

  Gateway gateway_{fresh()};
  EdgeKeysPtr keys_ = edge_keys(Algorithm::es256);
  Judge judge_{keys_, gateway_.revocations};
  TokenPairPtr first_ = gateway_.begin(keys_);
};

TEST_F(RefreshDeskTest, SpendsATokenForItsSuccessor) {
  gateway_.advance(std::chrono::minutes(10));
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second->refresh, first_->refresh);
  EXPECT_NE(second->access, first_->access);
  EXPECT_EQ(second->family, first_->family);
  EXPECT_EQ(second->access_left, std::chrono::minutes(15));
  EXPECT_EQ(gateway_.tags->open_refresh_token(second->refresh)->generation, 2U);
  EXPECT_NE(judge_.identity(second->access, now()), nullptr);
  EXPECT_EQ(gateway_.refreshed("rotated"), 1U);
}

TEST_F(RefreshDeskTest, N01_NothingIsSpentBeforeWhatWasRevokedIsKnown) {
  gateway_.revocations.expect_history();
  EXPECT_TRUE(std::holds_alternative<RefreshUnavailable>(refresh(first_->refresh)));
  EXPECT_EQ(gateway_.store.asked("rotate_family"), 0);
  gateway_.revocations.complete();
  EXPECT_NE(pair_of(refresh(first_->refresh)), nullptr);
}

TEST_F(RefreshDeskTest, H01_AHundredAtOnceAreOneRotation) {
  const std::vector<RefreshOutcome> outcomes = refresh_at_once(first_->refresh, 100);
  ASSERT_EQ(outcomes.size(), 100U);
  for (const RefreshOutcome& outcome : outcomes) {
    ASSERT_NE(pair_of(outcome), nullptr);
    EXPECT_EQ(pair_of(outcome), pair_of(outcomes.front())) << "the very same pair";
  }
  EXPECT_EQ(gateway_.store.asked("rotate_family"), 1);
  EXPECT_EQ(gateway_.refreshed("rotated"), 1U);
  EXPECT_EQ(gateway_.refreshed("repeated"), 99U);
}

TEST_F(RefreshDeskTest, AsksForEachFamilyOnItsOwn) {
  const TokenPairPtr other = gateway_.begin(keys_);
  gateway_.store.hold_rotations(gateway_.context.get_executor());
  std::vector<RefreshOutcome> outcomes;
  for (const TokenPairPtr& pair : {first_, other}) {
    boost::asio::co_spawn(gateway_.context.get_executor(), gateway_.pairs.refresh(pair->refresh, keys_, gateway_.tags),
                          [&](std::exception_ptr, RefreshOutcome outcome) { outcomes.push_back(std::move(outcome)); });
  }
  gateway_.context.restart();
  gateway_.context.poll();
  EXPECT_EQ(gateway_.store.asked("rotate_family"), 2);
  gateway_.store.let_go();
  gateway_.context.run();
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_NE(pair_of(outcomes[0])->family, pair_of(outcomes[1])->family);
}

TEST_F(RefreshDeskTest, H02_TwoGatewaysGiveOneSuccessor) {
  const std::shared_ptr<SharedState> shared = fresh();
  Gateway one(shared);
  Gateway two(shared);
  const std::string token = one.begin(keys_)->refresh;
  const TokenPairPtr by_one = pair_of(one.refresh(token, keys_));
  const TokenPairPtr by_two = pair_of(two.refresh(token, keys_));
  ASSERT_NE(by_one, nullptr);
  ASSERT_NE(by_two, nullptr);
  EXPECT_EQ(by_one->refresh, by_two->refresh);
  EXPECT_EQ(claims_of(by_one->access), claims_of(by_two->access));
  EXPECT_EQ(shared->families.begin()->second.family.generation, 2U);
}

TEST_F(RefreshDeskTest, H03_AReplayWithinTheWindowGetsTheSameSuccessor) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  gateway_.advance(milliseconds(9999));
  const TokenPairPtr again = pair_of(refresh(first_->refresh));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->refresh, second->refresh);
  EXPECT_EQ(claims_of(again->access), claims_of(second->access)) << "same jti, same times: nothing new was made";
  EXPECT_EQ(gateway_.store.state().families.begin()->second.family.generation, 2U);
  EXPECT_EQ(gateway_.refreshed("rotated"), 1U);
  EXPECT_EQ(gateway_.refreshed("repeated"), 1U);
  EXPECT_EQ(gateway_.store.asked("revoke"), 0);
}

TEST_F(RefreshDeskTest, H04_AReplayAfterTheWindowRevokesTheFamily) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  ASSERT_NE(judge_.identity(second->access, now()), nullptr);
  gateway_.advance(milliseconds(10'001));
  const RefreshOutcome replay = refresh(first_->refresh);
  EXPECT_EQ(refusal_of(replay), "reused");
  EXPECT_EQ(std::get<RefreshRefused>(replay).family, first_->family);
  EXPECT_EQ(std::get<RefreshRefused>(replay).subject, "alice");
  EXPECT_EQ(refusal_of(refresh(second->refresh)), "gone");
  EXPECT_EQ(judge_.refusal(first_->access, now()), RefusalReason::revoked);
  EXPECT_EQ(judge_.refusal(second->access, now()), RefusalReason::revoked);
  EXPECT_EQ(gateway_.store.asked("revoke"), 0) << "the store has said it already";
  EXPECT_EQ(gateway_.refreshed("reused"), 1U);
  EXPECT_EQ(counted(gateway_.metrics, "sallyport_revocations_total{kind=\"family\"}"), 1U);
}

TEST_F(RefreshDeskTest, H04_OneOfManyReplaysAtOnceIsTheTheft) {
  ASSERT_NE(pair_of(refresh(first_->refresh)), nullptr);
  gateway_.advance(seconds(11));
  std::map<std::string, int> reasons;
  for (const RefreshOutcome& outcome : refresh_at_once(first_->refresh, 10)) ++reasons[refusal_of(outcome)];
  EXPECT_EQ(reasons, (std::map<std::string, int>{{"reused", 1}, {"gone", 9}}));
}

TEST_F(RefreshDeskTest, H04_AsksForTheBroadcastWhereItDidNotArrive) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  gateway_.advance(seconds(11));
  gateway_.store.broadcasts_reuse = false;
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "reused");
  ASSERT_EQ(gateway_.store.state().revocations.size(), 1U);
  EXPECT_EQ(gateway_.store.state().revocations.front().kind, store::Revocation::Kind::family);
  EXPECT_EQ(gateway_.store.state().revocations.front().value, first_->family);
  EXPECT_EQ(gateway_.store.state().revocations.front().keep_for, keys_->settings().family_ttl);
  EXPECT_EQ(judge_.refusal(second->access, now()), RefusalReason::revoked);
}

TEST_F(RefreshDeskTest, H04_TheTheftIsToldThoughTheBroadcastFails) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  gateway_.advance(seconds(11));
  gateway_.store.broadcasts_reuse = false;
  gateway_.store.refused["revoke"] = Fault::unavailable;
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "reused");
  EXPECT_EQ(counted(gateway_.metrics, "sallyport_revocations_total{kind=\"family\"}"), 0U);
  EXPECT_EQ(refusal_of(refresh(second->refresh)), "gone") << "the thief can refresh nothing";
}

TEST_F(RefreshDeskTest, H05_TheGrandparentWithinTheWindowRevokesTheFamily) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  const TokenPairPtr third = pair_of(refresh(second->refresh));
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "reused");
  EXPECT_EQ(refusal_of(refresh(third->refresh)), "gone");
  EXPECT_EQ(judge_.refusal(third->access, now()), RefusalReason::revoked);
}

TEST_F(RefreshDeskTest, H07_WhoseAnswerWasLostGetsTheSameSuccessorByAskingAgain) {
  gateway_.store.lost["rotate_family"] = Fault::timed_out;
  EXPECT_TRUE(is_unavailable(refresh(first_->refresh)));
  gateway_.store.lost.clear();
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(gateway_.tags->open_refresh_token(second->refresh)->generation, 2U);
  EXPECT_EQ(gateway_.store.state().families.begin()->second.family.generation, 2U);
  EXPECT_EQ(gateway_.refreshed("unavailable"), 1U);
  EXPECT_EQ(gateway_.refreshed("repeated"), 1U);
}

TEST_F(RefreshDeskTest, H08_TheRotationEndsThoughWhoAskedIsGone) {
  boost::asio::cancellation_signal client;
  std::vector<RefreshOutcome> outcomes;
  const auto keep = [&](std::exception_ptr, RefreshOutcome outcome) { outcomes.push_back(std::move(outcome)); };
  const Executor executor = gateway_.context.get_executor();
  gateway_.store.hold_rotations(executor);
  boost::asio::co_spawn(executor, gateway_.pairs.refresh(first_->refresh, keys_, gateway_.tags),
                        boost::asio::bind_cancellation_slot(client.slot(), keep));
  boost::asio::co_spawn(executor, gateway_.pairs.refresh(first_->refresh, keys_, gateway_.tags), keep);
  gateway_.context.restart();
  gateway_.context.poll();
  client.emit(boost::asio::cancellation_type::terminal);
  gateway_.context.restart();
  gateway_.context.poll();
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(pair_of(outcomes.front()), nullptr);
  gateway_.store.let_go();
  gateway_.context.restart();
  gateway_.context.run();
  ASSERT_EQ(outcomes.size(), 2U);
  EXPECT_NE(pair_of(outcomes.back()), nullptr) << "who waited with it is not hurt";
  EXPECT_EQ(gateway_.store.asked("rotate_family"), 1);
  const TokenPairPtr again = pair_of(refresh(first_->refresh));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->refresh, pair_of(outcomes.back())->refresh);
}

TEST_F(RefreshDeskTest, H08_TheRotationEndsThoughNobodyIsLeft) {
  boost::asio::cancellation_signal client;
  const Executor executor = gateway_.context.get_executor();
  gateway_.store.hold_rotations(executor);
  gateway_.store.broadcasts_reuse = false;
  // The theft is found while nobody listens any more: the family is revoked all the same.
  ASSERT_NE(first_, nullptr);
  gateway_.store.state().families.begin()->second.family.generation = 7;
  boost::asio::co_spawn(executor, gateway_.pairs.refresh(first_->refresh, keys_, gateway_.tags),
                        boost::asio::bind_cancellation_slot(client.slot(), [](std::exception_ptr, RefreshOutcome) {}));
  gateway_.context.restart();
  gateway_.context.poll();
  client.emit(boost::asio::cancellation_type::terminal);
  gateway_.context.poll();
  EXPECT_TRUE(gateway_.store.state().revocations.empty());
  gateway_.store.let_go();
  gateway_.context.restart();
  gateway_.context.run();
  EXPECT_EQ(gateway_.store.state().revocations.size(), 1U);
  EXPECT_EQ(gateway_.desk.under_way(), 0U);
  EXPECT_EQ(judge_.refusal(first_->access, now()), RefusalReason::revoked);
}

TEST_F(RefreshDeskTest, OutlivesItsDesk) {
  auto desk =
      std::make_unique<RefreshDesk>(RefreshDesk::Surroundings{gateway_.store, gateway_.revocations, gateway_.clock, gateway_.metrics});
  std::vector<RefreshOutcome> outcomes;
  gateway_.store.hold_rotations(gateway_.context.get_executor());
  boost::asio::co_spawn(gateway_.context.get_executor(),
                        desk->refresh(*gateway_.tags->open_refresh_token(first_->refresh), keys_, gateway_.tags),
                        [&](std::exception_ptr, RefreshOutcome outcome) { outcomes.push_back(std::move(outcome)); });
  gateway_.context.restart();
  gateway_.context.poll();
  desk.reset();
  gateway_.store.let_go();
  gateway_.context.restart();
  gateway_.context.run();
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_NE(pair_of(outcomes.front()), nullptr);
}

TEST_F(RefreshDeskTest, H11_WhatCannotBeAskedSpendsNothing) {
  for (const Fault fault : {Fault::unavailable, Fault::timed_out, Fault::broken, Fault::internal}) {
    gateway_.store.refused["rotate_family"] = fault;
    EXPECT_TRUE(is_unavailable(refresh(first_->refresh)));
  }
  gateway_.store.refused.clear();
  EXPECT_NE(pair_of(refresh(first_->refresh)), nullptr);
  EXPECT_EQ(gateway_.refreshed("rotated"), 1U);
  EXPECT_EQ(gateway_.store.state().revocations.size(), 0U);
}

TEST_F(RefreshDeskTest, H13_ThiefAndUserBothEndRevoked) {
  const TokenPairPtr thiefs = pair_of(refresh(first_->refresh));
  ASSERT_NE(thiefs, nullptr);
  gateway_.advance(std::chrono::minutes(5));
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "reused") << "the user";
  EXPECT_EQ(refusal_of(refresh(thiefs->refresh)), "gone");
  EXPECT_EQ(judge_.refusal(thiefs->access, now()), RefusalReason::revoked);
  EXPECT_EQ(judge_.refusal(first_->access, now()), RefusalReason::revoked);
}

TEST_F(RefreshDeskTest, H14_ALogoutWhileTheStoreAnswersIsObeyed) {
  const auto outcomes = refresh_at_once(first_->refresh, 3, [&] {
    store::Revocation logout;
    logout.kind = store::Revocation::Kind::family;
    logout.value = first_->family;
    logout.issued_before = now();
    ASSERT_TRUE(gateway_.revocations.add(logout, now() + seconds(1000), now()));
  });
  for (const RefreshOutcome& outcome : outcomes) EXPECT_EQ(refusal_of(outcome), "revoked");
  EXPECT_TRUE(gateway_.store.state().families.empty()) << "the successor that the store knows is ended too";
  EXPECT_EQ(gateway_.refreshed("revoked"), 3U);
}

TEST_F(RefreshDeskTest, H14_ARevocationOfTheSubjectWhileTheStoreAnswersIsObeyed) {
  const auto outcomes = refresh_at_once(first_->refresh, 1, [&] {
    store::Revocation everywhere;
    everywhere.kind = store::Revocation::Kind::subject;
    everywhere.value = "alice";
    everywhere.issued_before = now();
    ASSERT_TRUE(gateway_.revocations.add(everywhere, now() + seconds(1000), now()));
  });
  EXPECT_EQ(refusal_of(outcomes.front()), "revoked");
}

TEST_F(RefreshDeskTest, ARevocationOfBeforeTheLoginHurtsNobody) {
  store::Revocation everything;
  everything.kind = store::Revocation::Kind::everything;
  everything.issued_before = now() - milliseconds(1);
  ASSERT_TRUE(gateway_.revocations.add(everything, now() + seconds(1000), now()));
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  ASSERT_NE(second, nullptr);
  EXPECT_NE(judge_.identity(second->access, now()), nullptr);
}

TEST_F(RefreshDeskTest, H15_SaysNothingOfTheTokenInAnyFault) {
  const auto says_it = [&](const RefreshOutcome& outcome) {
    const std::string& token = first_->refresh;
    if (const auto* away = std::get_if<RefreshUnavailable>(&outcome)) return away->detail.find(token) != std::string::npos;
    const auto& refused = std::get<RefreshRefused>(outcome);
    return refused.family == token || refused.subject == token || refused.reason == token;
  };
  gateway_.store.refused["rotate_family"] = Fault::unavailable;
  EXPECT_FALSE(says_it(refresh(first_->refresh)));
  gateway_.store.refused.clear();
  ASSERT_NE(pair_of(refresh(first_->refresh)), nullptr);
  gateway_.advance(seconds(11));
  EXPECT_FALSE(says_it(refresh(first_->refresh)));
  EXPECT_FALSE(says_it(refresh(first_->refresh)));
}

TEST_F(RefreshDeskTest, H16_ARotationThatTheStoreLostIsNoSecondLife) {
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  // A failover brought the old generation back.
  gateway_.store.state().families.begin()->second.family.generation = 1;
  EXPECT_EQ(refusal_of(refresh(second->refresh)), "reused") << "a token that was never given out, as far as the store knows";
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "gone");
  EXPECT_EQ(judge_.refusal(second->access, now()), RefusalReason::revoked);
}

TEST_F(RefreshDeskTest, H17_ClocksThatDifferAlarmNobodyAndExtendNothing) {
  const std::shared_ptr<SharedState> shared = fresh();
  Gateway ahead(shared, kStart + seconds(120));
  Gateway behind(shared, kStart - seconds(120));
  const std::string token = ahead.begin(keys_)->refresh;
  const TokenPairPtr by_one = pair_of(ahead.refresh(token, keys_));
  behind.store_clock.advance(milliseconds(9000));
  const TokenPairPtr by_two = pair_of(behind.refresh(token, keys_));
  ASSERT_NE(by_one, nullptr);
  ASSERT_NE(by_two, nullptr) << "still within the window, whatever the gateway's clock says";
  EXPECT_EQ(claims_of(by_one->access), claims_of(by_two->access));
  EXPECT_EQ(*claims_of(by_one->access).find("exp"), testing::need(Json::parse("1700000900")));
  EXPECT_EQ(by_one->access_left, seconds(780)) << "as this gateway will count";
  EXPECT_EQ(by_two->access_left, seconds(900)) << "and never more than a whole life";
  behind.store_clock.advance(milliseconds(1500));
  EXPECT_EQ(refusal_of(behind.refresh(token, keys_)), "reused");
}

TEST_F(RefreshDeskTest, APairIsNeverBornExpired) {
  TokenSettings settings = token_settings();
  settings.access_ttl = seconds(2);
  keys_ = edge_keys(Algorithm::es256, settings);
  const TokenPairPtr second = pair_of(refresh(first_->refresh));
  gateway_.advance(seconds(9));
  const TokenPairPtr again = pair_of(refresh(first_->refresh));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->refresh, second->refresh);
  EXPECT_EQ(again->access_left, seconds(2));
  EXPECT_EQ(*claims_of(again->access).find("iat"), *claims_of(second->access).find("iat"));
  EXPECT_EQ(*claims_of(again->access).find("exp"), testing::need(Json::parse("1700000011")));
  // A clock that is far ahead gains no more than the window.
  gateway_.clock.advance(std::chrono::hours(1));
  const TokenPairPtr far = pair_of(refresh(first_->refresh));
  ASSERT_NE(far, nullptr);
  EXPECT_EQ(*claims_of(far->access).find("exp"), testing::need(Json::parse("1700000012")));
  EXPECT_EQ(far->access_left, seconds(1));
}

TEST_F(RefreshDeskTest, RefusesAnAnswerForAnotherFamilyOrGeneration) {
  store::Family& family = gateway_.store.state().families.begin()->second.family;
  const store::Digest key = family.key;
  family.key = sha256("another");
  EXPECT_TRUE(is_unavailable(refresh(first_->refresh)));
  family.key = key;
  EXPECT_NE(pair_of(refresh(first_->refresh)), nullptr) << "the twin";
}

TEST_F(RefreshDeskTest, G01_AsksNobodyAboutATokenThatIsNotOurs) {
  const int before = gateway_.store.asked();
  std::string flipped = first_->refresh;
  flipped[5] = flipped[5] == 'A' ? 'B' : 'A';
  const std::string foreign = tag_keys('o')->refresh_token(std::string(24, 'f'), 1);
  for (const std::string& token : {std::string(), std::string("x"), std::string(64, 'A'), flipped, foreign, first_->refresh + "=",
                                   first_->access, gateway_.tags->make_session_id().text}) {
    EXPECT_EQ(refusal_of(refresh(token)), "malformed") << token;
  }
  EXPECT_EQ(gateway_.store.asked(), before);
  EXPECT_EQ(gateway_.refreshed("malformed"), 8U);
}

TEST_F(RefreshDeskTest, ATokenThatIsOverIsGoneAndNoTheft) {
  gateway_.advance(std::chrono::hours(24 * 7));
  EXPECT_EQ(refusal_of(refresh(first_->refresh)), "gone");
  EXPECT_EQ(gateway_.store.asked("revoke"), 0);
}

// Two workers, driven by hand: what the one asks, the other's desk answers.
TEST(RefreshDesks, H01_AskTheOneDeskThatTheFamilyBelongsTo) {
  const std::shared_ptr<SharedState> shared = fresh();
  Gateway one(shared);
  Gateway two(shared);
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  RefreshDesks desks;
  desks.add(one.context.get_executor(), one.desk);
  desks.add(two.context.get_executor(), two.desk);
  TokenPairs of_one{{one.store, one.revocations, desks, one.clock, one.metrics, one.context.get_executor()}};
  TokenPairs of_two{{two.store, two.revocations, desks, two.clock, two.metrics, two.context.get_executor()}};
  for (int family = 0; family < 32; ++family) {
    const std::string token = one.begin(keys)->refresh;
    const int before = one.store.asked("rotate_family");
    one.store.hold_rotations(one.context.get_executor());
    two.store.hold_rotations(two.context.get_executor());
    std::vector<TokenPairPtr> pairs;
    const auto keep = [&](std::exception_ptr, RefreshOutcome outcome) { pairs.push_back(pair_of(outcome)); };
    boost::asio::co_spawn(one.context.get_executor(), of_one.refresh(token, keys, one.tags), keep);
    boost::asio::co_spawn(two.context.get_executor(), of_two.refresh(token, keys, one.tags), keep);
    const auto drive = [&] {
      for (int i = 0; i < 4; ++i) {
        for (Gateway* worker : {&one, &two}) {
          worker->context.restart();
          worker->context.poll();
        }
      }
    };
    drive();
    EXPECT_TRUE(pairs.empty());
    one.store.let_go();
    two.store.let_go();
    drive();
    ASSERT_EQ(pairs.size(), 2U);
    ASSERT_NE(pairs[0], nullptr);
    EXPECT_EQ(pairs[0], pairs[1]);
    EXPECT_EQ(one.store.asked("rotate_family"), before + 1) << "one question, by whichever worker";
  }
  EXPECT_GT(one.refreshed("rotated"), 0U) << "families are spread over the workers";
  EXPECT_GT(two.refreshed("rotated"), 0U);
  EXPECT_EQ(one.refreshed("rotated") + two.refreshed("rotated"), 32U);
}

TEST(RefreshDesks, LeaveARotationToTheOwnersThread) {
  const std::shared_ptr<SharedState> shared = fresh();
  Gateway one(shared);
  Gateway two(shared);
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  RefreshDesks desks;
  desks.add(one.context.get_executor(), one.desk);
  desks.add(two.context.get_executor(), two.desk);
  TokenPairs of_two{{two.store, two.revocations, desks, two.clock, two.metrics, two.context.get_executor()}};
  int own = 0;
  for (int family = 0; family < 32; ++family) {
    const std::string token = one.begin(keys)->refresh;
    const int before = one.store.asked("rotate_family");
    TokenPairPtr pair;
    boost::asio::co_spawn(two.context.get_executor(), of_two.refresh(token, keys, one.tags),
                          [&](std::exception_ptr, RefreshOutcome outcome) { pair = pair_of(outcome); });
    two.context.restart();
    two.context.poll();
    if (one.store.asked("rotate_family") == before + 1) {
      ++own;
    } else {
      EXPECT_EQ(pair, nullptr);
      one.context.restart();
      one.context.poll();
      EXPECT_EQ(one.store.asked("rotate_family"), before + 1);
      two.context.restart();
      two.context.poll();
    }
    EXPECT_NE(pair, nullptr);
  }
  EXPECT_GT(own, 0);
  EXPECT_LT(own, 32) << "the asker's thread never does the other's work";
}

TEST(RefreshDesks, AnswerOnTheThreadThatAsked) {
  constexpr int kWorkers = 4;
  constexpr int kFamilies = 16;
  constexpr int kAskers = 8;  // of each family, on each worker
  const std::shared_ptr<SharedState> shared = fresh();
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  std::vector<std::unique_ptr<Gateway>> workers;
  RefreshDesks desks;
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Gateway>(shared));
    workers.back()->store.is_recorded = false;
    desks.add(workers.back()->context.get_executor(), workers.back()->desk);
  }
  std::vector<std::string> tokens;
  for (int i = 0; i < kFamilies; ++i) tokens.push_back(workers.front()->begin(keys)->refresh);

  std::atomic<int> open = kWorkers * kFamilies * kAskers;
  std::vector<std::vector<std::string>> successors(kWorkers);
  std::vector<std::unique_ptr<TokenPairs>> pairs;
  std::vector<boost::asio::executor_work_guard<Executor>> guards;
  for (const auto& worker : workers) {
    guards.emplace_back(worker->context.get_executor());
    pairs.push_back(std::make_unique<TokenPairs>(TokenPairs::Surroundings{worker->store, worker->revocations, desks, worker->clock,
                                                                          worker->metrics, worker->context.get_executor()}));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      Gateway& worker = *workers[static_cast<std::size_t>(i)];
      for (int n = 0; n < kFamilies * kAskers; ++n) {
        boost::asio::co_spawn(
            worker.context.get_executor(),
            pairs[static_cast<std::size_t>(i)]->refresh(tokens[static_cast<std::size_t>(n % kFamilies)], keys, worker.tags),
            [&, i](std::exception_ptr, RefreshOutcome outcome) {
              const TokenPairPtr pair = pair_of(outcome);
              successors[static_cast<std::size_t>(i)].push_back(pair == nullptr ? "" : pair->refresh);
              if (--open == 0) {
                for (auto& guard : guards) guard.get_executor().context().stop();
              }
            });
      }
      worker.context.restart();
      worker.context.run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> distinct;
  for (const auto& of_worker : successors) {
    EXPECT_EQ(of_worker.size(), static_cast<std::size_t>(kFamilies * kAskers));
    distinct.insert(of_worker.begin(), of_worker.end());
  }
  EXPECT_EQ(distinct.size(), static_cast<std::size_t>(kFamilies)) << "one successor of each, and nobody refused";
  EXPECT_EQ(distinct.count(""), 0U);
}

TEST(RefreshDesks, WithoutADeskCannotBeAsked) {
  Gateway gateway(fresh());
  const RefreshDesks none;
  TokenPairs pairs{{gateway.store, gateway.revocations, none, gateway.clock, gateway.metrics, gateway.context.get_executor()}};
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const std::string token = gateway.begin(keys)->refresh;
  EXPECT_TRUE(is_unavailable(run(gateway.context, pairs.refresh(token, keys, gateway.tags))));
}

}  // namespace
}  // namespace sallyport::issue
