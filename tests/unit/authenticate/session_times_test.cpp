// Idle and absolute ends, touches, and what is served while the store is away.
#include "authenticate/session_authenticator.hpp"

#include "support/identity_builder.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityPtr;
using Kind = store::Revocation::Kind;
using namespace std::chrono_literals;

TEST(SessionSettings, TouchesOnceAMinuteOrTenTimesAnIdleTimeout) {
  SessionSettings settings;
  EXPECT_EQ(settings.touch_interval(), 1min);
  settings.idle_timeout = 10min;
  EXPECT_EQ(settings.touch_interval(), 1min);
  settings.idle_timeout = 5min;
  EXPECT_EQ(settings.touch_interval(), 30s);
  settings.idle_timeout = 24h;
  EXPECT_EQ(settings.touch_interval(), 1min);
}

class SessionTimes : public SessionBench {
 protected:
  [[nodiscard]] std::size_t touches() const { return store_.calls("touch_session"); }
};

TEST_F(SessionTimes, G07_EndsAWarmSessionAtItsIdleTimeout) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(30min);
  EXPECT_EQ(recall(cookie), "ask");
  EXPECT_EQ(judge(cookie), "unknown_session");
  EXPECT_EQ(touches(), 0U) << "too late for a touch";
}

TEST_F(SessionTimes, G07_KeepsAWarmSessionUntilTheMomentBeforeItsIdleTimeout) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.fail_with(Fault::unavailable);  // so that no touch prolongs it
  clock_.advance(30min - 1ns);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  clock_.advance(1ns);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionTimes, G07_NeverOutlivesTheAbsoluteTimeoutHoweverMuchItIsUsed) {
  absolute_timeout_ = 1h;
  use_settings();
  const std::string cookie = create();
  for (auto time = 0min; time < 60min; time += 5min) {
    EXPECT_EQ(judge(cookie), "alice") << time.count();
    settle();
    clock_.advance(5min);
  }
  EXPECT_EQ(recall(cookie), "ask");
  EXPECT_EQ(judge(cookie), "unknown_session");
}

TEST_F(SessionTimes, G07_EndsAtTheVeryMomentOfTheAbsoluteTimeout) {
  absolute_timeout_ = idle_timeout_;
  use_settings();
  const std::string cookie = create();
  const IdentityPtr identity = identity_of(cookie);
  EXPECT_EQ(identity->facts().expires_at, clock_.wall_now() + 30min) << "which the authorizer looks at, too";
  clock_.advance(30min - 1ms);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U);
  clock_.advance(1ms);
  EXPECT_EQ(recall(cookie), "ask") << "a touch moves no absolute end";
}

// The authorizer would go by the wall clock, for as long as the session is remembered.
TEST_F(SessionTimes, ReadsASessionAnewWhenTheWallClockWasSet) {
  test::ManualClock stores_clock;
  testing::FakeStore store(context_, stores_clock);
  sessions_.use_store(store);
  const auto made = keys_->make_session_id();
  ASSERT_TRUE(run(store.create_session({made.key, "alice", *Json::parse("{}"), idle_timeout_, absolute_timeout_})));
  ASSERT_EQ(judge(made.text), "alice");
  clock_.set_forward(24h - 1ms);
  EXPECT_EQ(recall(made.text), "alice");
  clock_.set_forward(1ms);
  EXPECT_EQ(recall(made.text), "ask");
  EXPECT_EQ(identity_of(made.text)->facts().expires_at, clock_.wall_now() + 24h);
  EXPECT_EQ(recall(made.text), "alice");
  clock_.set_forward(-48h);
  EXPECT_EQ(recall(made.text), "alice");
  clock_.advance(30min);
  EXPECT_EQ(recall(made.text), "ask") << "a clock that was set back prolongs nothing";
}

TEST_F(SessionTimes, G07_NeverOutlivesTheAbsoluteTimeoutWhateverTheWallClockSays) {
  absolute_timeout_ = 1h;
  use_settings();
  test::ManualClock stores_clock;
  testing::FakeStore store(context_, stores_clock);
  sessions_.use_store(store);
  const auto made = keys_->make_session_id();
  ASSERT_TRUE(run(store.create_session({made.key, "alice", *Json::parse("{}"), idle_timeout_, absolute_timeout_})));
  ASSERT_EQ(judge(made.text), "alice");
  clock_.set_forward(-10h);
  for (auto time = 0min; time < 60min; time += 5min) {
    EXPECT_EQ(recall(made.text), "alice") << time.count();
    settle();
    clock_.advance(5min);
    stores_clock.advance(5min);
  }
  EXPECT_EQ(store.calls("touch_session"), 11U);
  EXPECT_EQ(recall(made.text), "ask");
}

TEST_F(SessionTimes, CountsFromTheMomentOfTheQuestion) {
  const std::string cookie = create();
  store_.hang();
  auto asked = begin(sessions_.ask_own(cookie, settings_));
  clock_.advance(10min);
  store_.release();
  settle();
  ASSERT_EQ(word_of(*asked->result), "alice");
  EXPECT_EQ(std::get<IdentityPtr>(asked->result->outcome)->facts().expires_at, clock_.wall_now() + 24h - 10min);
  store_.fail_with(Fault::unavailable);
  clock_.advance(20min - 1ms);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  clock_.advance(1ms);
  EXPECT_EQ(recall(cookie), "ask");
}

TEST_F(SessionTimes, KeepsASessionAliveThatIsUsed) {
  const std::string cookie = create();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(judge(cookie), "alice") << i;
    settle();
    clock_.advance(10min);
  }
  EXPECT_EQ(fetches(), 1U) << "and never asks for it again";
}

TEST_F(SessionTimes, TouchesAtMostOncePerInterval) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  const auto use_often = [&](std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 1s) {
      ASSERT_EQ(recall(cookie), "alice");
      settle();
      clock_.advance(1s);
    }
  };
  use_often(60s);
  EXPECT_EQ(touches(), 0U);
  use_often(60s);
  EXPECT_EQ(touches(), 1U);
  EXPECT_EQ(store_.last_touch(), 30min);
  use_often(600s);
  EXPECT_EQ(touches(), 11U);
}

TEST_F(SessionTimes, TouchesOnlyWhatIsUsed) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(20min);
  settle();
  EXPECT_EQ(touches(), 0U);
}

TEST_F(SessionTimes, LetsARequestGoOnWhileItTouches) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(2min);
  store_.hang();
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U);
  clock_.advance(5min);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U) << "one at a time";
  store_.release();
  settle();
  clock_.advance(5min);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 2U);
}

TEST_F(SessionTimes, MovesTheIdleEndOnlyWhenTheStoreSaysSo) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(10min);
  store_.fail_with(Fault::timed_out);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  store_.fail_with(std::nullopt);
  clock_.advance(20min);
  EXPECT_EQ(recall(cookie), "ask") << "the store heard of no use for 30 minutes";
}

TEST_F(SessionTimes, ForgetsASessionThatATouchFindsGone) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(2min);
  // Another replica ended it, and the word of it is lost.
  testing::FakeStore emptied(context_, clock_);
  sessions_.use_store(emptied);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(emptied.calls("touch_session"), 1U);
  EXPECT_EQ(recall(cookie), "ask");
}

TEST_F(SessionTimes, TouchesASessionWhoseUseTheStoreDoesNotKnowYetWhenItIsFetched) {
  const std::string cookie = create();
  clock_.advance(20min);
  EXPECT_EQ(judge(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U);
  clock_.advance(59s);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U);
  clock_.advance(29min);
  EXPECT_EQ(recall(cookie), "alice") << "30 minutes from the touch";
}

TEST_F(SessionTimes, DoesNotTouchASessionOfWhichTheStoreHasJustHeard) {
  const std::string cookie = create();
  clock_.advance(30s);
  EXPECT_EQ(judge(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 0U);
  clock_.advance(30s);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(touches(), 1U) << "a minute after the last use that the store knows of";
}

TEST_F(SessionTimes, DoesNotTakeACappedIdleTimeForAnOldUse) {
  absolute_timeout_ = 10min;
  use_settings();
  const std::string cookie = create();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(judge(cookie), "alice");
    store_.tell_everything_changed();
  }
  settle();
  EXPECT_EQ(touches(), 0U);
}

TEST_F(SessionTimes, ATouchThatIsAnsweredLateMovesNoIdleEndBack) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(2min);
  store_.hang();
  ASSERT_EQ(recall(cookie), "alice");
  settle();
  ASSERT_EQ(touches(), 1U);
  store_.pass();
  clock_.advance(5min);
  ASSERT_TRUE(run(store_.touch_session(key_, idle_timeout_)));  // another replica's
  store_.tell_everything_changed();
  ASSERT_EQ(judge(cookie), "alice");
  store_.release();
  settle();
  store_.fail_with(Fault::unavailable);
  clock_.advance(30min - 1ms);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
}

TEST_F(SessionTimes, TouchesWhileItsMemoryIsBypassedToo) {
  const std::string cookie = create();
  store_.hear(false);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(judge(cookie), "alice") << i;
    settle();
    clock_.advance(20min);
  }
  EXPECT_EQ(touches(), 9U);
}

TEST_F(SessionTimes, TouchesNothingThatIsRevoked) {
  const std::string cookie = create();
  clock_.advance(20min);
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  EXPECT_EQ(judge(cookie), "revoked");
  clock_.advance(5min);
  EXPECT_EQ(judge(cookie), "revoked");
  settle();
  EXPECT_EQ(touches(), 0U);
}

TEST_F(SessionTimes, TellsWhenASessionEndsUnlessItIsUsed) {
  const std::string cookie = create();
  const IdentityPtr identity = identity_of(cookie);
  EXPECT_EQ(sessions_.idle_expires_at(identity->facts()), clock_.wall_now() + 30min);
  clock_.advance(10min);
  EXPECT_EQ(sessions_.idle_expires_at(identity->facts()), clock_.wall_now() + 20min);
  EXPECT_EQ(recall(cookie), "alice");
  settle();
  EXPECT_EQ(sessions_.idle_expires_at(identity->facts()), clock_.wall_now() + 30min) << "touched";
}

TEST_F(SessionTimes, TellsTheIdleEndOfASessionThatIsNotRemembered) {
  const std::string cookie = create();
  store_.hear(false);
  const IdentityPtr identity = identity_of(cookie);
  EXPECT_EQ(identity->facts().expires_at, clock_.wall_now() + 30min) << "it cannot hear of a touch";
  EXPECT_EQ(sessions_.idle_expires_at(identity->facts()), clock_.wall_now() + 30min);
}

struct CrowdedSessionTimes : SessionBench {
  CrowdedSessionTimes() : SessionBench(1) {}
};

TEST_F(CrowdedSessionTimes, TellsTheIdleEndOfASessionThatWasPushedOut) {
  const std::string cookie = create();
  const IdentityPtr identity = identity_of(cookie);
  const WallTime idle_end = clock_.wall_now() + 30min;
  clock_.advance(1min);
  EXPECT_EQ(judge(create("bob")), "bob");
  EXPECT_EQ(sessions_.remembered(), 1U);
  EXPECT_EQ(sessions_.idle_expires_at(identity->facts()), idle_end) << "as far as is known here";
  EXPECT_GT(identity->facts().expires_at, idle_end) << "nor does a tunnel of it end there";
}

TEST_F(SessionTimes, TellsNoIdleEndOfWhatIsNoSessionOfOurs) {
  identity::IdentityFacts token;
  token.expires_at = clock_.wall_now() + 1h;
  EXPECT_EQ(sessions_.idle_expires_at(token), std::nullopt);
  token.method = identity::AuthMethod::session;
  token.issuer_name = "foreign";
  EXPECT_EQ(sessions_.idle_expires_at(token), std::nullopt);
}

// The store is away.

class SessionOutage : public SessionTimes {
 protected:
  SessionOutage() {
    serve_cached_for_ = 5min;
    use_settings();
  }
  // The channel is silent and nothing is answered.
  void lose_store() {
    store_.hear(false);
    store_.fail_with(Fault::unavailable);
  }
};

TEST_F(SessionTimes, N18_ServesNothingFromMemoryDuringAnOutageUnlessToldTo) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.fail_with(Fault::unavailable);
  EXPECT_EQ(judge(cookie), "alice") << "changes are still heard";
  store_.hear(false);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_ServesRememberedSessionsForTheTimeThatIsSet) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(5min - 1ms);
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(fetches(), 3U) << "the store is asked first";
  clock_.advance(1ms);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_KnowsNoSessionThatItDidNotRemember) {
  const std::string cookie = create();
  lose_store();
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_CountsFromTheLastMomentAtWhichChangesWereHeard) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(3min);
  ASSERT_EQ(recall(cookie), "alice");
  settle();
  lose_store();
  clock_.advance(5min - 1ms);
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(1ms);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_NeedsNoRequestToKnowWhenChangesWereHeard) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  clock_.advance(10min);
  sessions_.look_at_channel();
  lose_store();
  sessions_.look_at_channel();
  clock_.advance(4min);
  EXPECT_EQ(judge(cookie), "alice");
}

TEST_F(SessionOutage, N18_ServesThroughTheLossOfTheChannelAndNoLonger) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  store_.tell_everything_changed();
  EXPECT_EQ(sessions_.remembered(), 0U);
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(2min);
  store_.tell_everything_changed();  // it came and went
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(3min);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N13_NothingIsServedThroughAnOutageThatBeganWithFlushall) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.flush();
  lose_store();
  EXPECT_EQ(judge(cookie), "unavailable") << "its session has ended, and that was heard";
}

TEST_F(SessionOutage, N18_AsksAgainWhenTheStoreIsBack) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  ASSERT_EQ(judge(cookie), "alice");
  store_.fail_with(std::nullopt);
  store_.lose_session(key_);
  EXPECT_EQ(judge(cookie), "unknown_session") << "the store's word counts, also while changes are not heard";
  store_.fail_with(Fault::unavailable);
  EXPECT_EQ(judge(cookie), "unavailable") << "and is not forgotten";
}

TEST_F(SessionOutage, N18_NeverServesPastAnIdleEnd) {
  idle_timeout_ = 2min;
  use_settings();
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  clock_.advance(2min - 1ms);
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(1ms);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_NeverServesPastAnAbsoluteEnd) {
  absolute_timeout_ = 2min;
  use_settings();
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  clock_.advance(2min - 1ms);
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(1ms);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_RefusesWhatWasRevokedBeforeOrDuringTheOutage) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  ASSERT_EQ(judge(cookie), "alice");
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  EXPECT_EQ(judge(cookie), "revoked");
}

TEST_F(SessionOutage, N18_ForgetsAtOnceWhatWasHeardToChange) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.set_claims(key_, *Json::parse("{}"));
  lose_store();
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_ServesWhatTheStoreSaidLastWhileItCouldBeAsked) {
  const std::string cookie = create("alice", R"({"roles":["admin"]})");
  ASSERT_EQ(judge(cookie), "alice");
  store_.hear(false);  // the channel first
  store_.lose_session(key_);
  ASSERT_TRUE(run(store_.create_session({key_, "alice", *Json::parse(R"({"roles":["user"]})"), idle_timeout_, absolute_timeout_})));
  ASSERT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"user"});
  store_.fail_with(Fault::unavailable);
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"user"});
}

TEST_F(SessionOutage, N18_WhatWasReadWithoutHearingChangesIsWorthNoLongerThanWhatItReplaces) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.hear(false);
  clock_.advance(4min);
  ASSERT_EQ(judge(cookie), "alice");
  store_.fail_with(Fault::unavailable);
  EXPECT_EQ(judge(cookie), "alice");
  clock_.advance(1min);
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_WhatWasReadWithoutHearingChangesIsNeverTakenForTrue) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.tell_everything_changed();
  store_.hear(false);
  ASSERT_EQ(judge(cookie), "alice");
  store_.hear(true);
  EXPECT_EQ(recall(cookie), "ask");
}

TEST_F(SessionOutage, N18_ServesNothingThatAReloadReadsOtherwise) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  lose_store();
  use_settings();
  EXPECT_EQ(judge(cookie), "alice");
  issuer_ = "https://other.example";
  use_settings();
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N18_ForgetsAnEpochThatIsLongPast) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  for (int i = 0; i < 16; ++i) store_.tell_everything_changed();
  lose_store();
  EXPECT_EQ(judge(cookie), "alice");
  store_.tell_everything_changed();
  EXPECT_EQ(judge(cookie), "unavailable");
}

TEST_F(SessionOutage, N03_LetsNobodyWaitForAStoreThatHangsLongerThanTheStoreItselfDoes) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.hear(false);
  store_.hang();
  auto asked = begin(sessions_.ask_own(cookie, settings_));
  EXPECT_FALSE(asked->result);
  store_.fail_with(Fault::timed_out);  // the store's own deadline
  store_.release();
  settle();
  ASSERT_TRUE(asked->result);
  EXPECT_EQ(word_of(*asked->result), "alice");
}

// Long answers and tunnels.

class StillStands : public SessionTimes {
 protected:
  bool stands(const IdentityPtr& identity) { return run(sessions_.still_stands(identity)); }
};

TEST_F(StillStands, AsksNobodyWhileTheSessionIsRemembered) {
  const IdentityPtr identity = identity_of(create());
  const std::size_t calls = store_.calls();
  EXPECT_TRUE(stands(identity));
  clock_.advance(5min);
  EXPECT_TRUE(stands(identity));
  settle();
  EXPECT_EQ(store_.calls(), calls) << "to look is no use";
}

TEST_F(StillStands, AsksTheStoreWhenMemoryDoesNotKnow) {
  const IdentityPtr identity = identity_of(create());
  store_.tell_everything_changed();
  EXPECT_TRUE(stands(identity));
  EXPECT_EQ(fetches(), 2U);
  store_.hear(false);
  EXPECT_TRUE(stands(identity));
  store_.remove_session(key_);
  EXPECT_FALSE(stands(identity));
}

TEST_F(StillStands, AsksTheStoreWhileChangesAreNotHeard) {
  const IdentityPtr identity = identity_of(create());
  store_.lose_session(key_);
  EXPECT_TRUE(stands(identity)) << "nobody was told";
  store_.hear(false);
  EXPECT_FALSE(stands(identity));
}

TEST_F(StillStands, IsNotForWhatIsNoSession) {
  const IdentityPtr token = testing::IdentityBuilder().subject("alice").build();
  store_.flush();
  EXPECT_TRUE(stands(token)) << "a token needs no session";
  const IdentityPtr nameless = testing::IdentityBuilder().method(identity::AuthMethod::session).build();
  EXPECT_FALSE(stands(nameless)) << "a session that cannot be asked for";
}

TEST_F(StillStands, EndsWithTheSession) {
  const IdentityPtr identity = identity_of(create());
  store_.remove_session(key_);
  EXPECT_FALSE(stands(identity));
}

TEST_F(StillStands, EndsWithARevocation) {
  const IdentityPtr identity = identity_of(create());
  const IdentityPtr bob = identity_of(create("bob"));
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  EXPECT_FALSE(stands(identity));
  EXPECT_TRUE(stands(bob));
}

TEST_F(StillStands, EndsAtTheIdleEndOfASessionThatNobodyUses) {
  const std::string cookie = create();
  const IdentityPtr identity = identity_of(cookie);
  clock_.advance(29min);
  EXPECT_TRUE(stands(identity));
  clock_.advance(1min);
  EXPECT_FALSE(stands(identity));
}

TEST_F(StillStands, OutlivesAnOutage) {
  const IdentityPtr identity = identity_of(create());
  store_.hear(false);
  store_.fail_with(Fault::unavailable);
  EXPECT_TRUE(stands(identity));
}

}  // namespace
}  // namespace sallyport::authenticate
