#include "authenticate/session_authenticator.hpp"

#include "support/allocations.hpp"
#include "support/mutations.hpp"
#include "unit/authenticate/constant_time.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityPtr;
using Kind = store::Revocation::Kind;
using namespace std::chrono_literals;

using SessionAuthenticatorTest = SessionBench;

TEST_F(SessionAuthenticatorTest, RecognisesASessionAndRemembersIt) {
  const std::string cookie = create("alice", R"({"roles":["admin"]})");
  EXPECT_EQ(recall(cookie), "ask");
  const IdentityPtr first = identity_of(cookie);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->facts().subject, "alice");
  EXPECT_EQ(first->facts().roles, std::vector<std::string>{"admin"});
  EXPECT_EQ(first->facts().session, store::handle_of(key_));
  EXPECT_EQ(first->facts().expires_at, clock_.wall_now() + 24h);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(identity_of(cookie), first) << "the very same";
  EXPECT_EQ(fetches(), 1U);
  EXPECT_EQ(sessions_.remembered(), 1U);
  EXPECT_EQ(metrics_.session_cache_hits, 10U);
  EXPECT_EQ(metrics_.session_cache_misses, 2U);
}

TEST_F(SessionAuthenticatorTest, AnswersWarmRequestsWithoutAllocating) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  const std::size_t calls = store_.calls();
  const std::size_t before = test::allocations();
  for (int i = 0; i < 100; ++i) {
    const auto known = sessions_.try_own(cookie, *settings_);
    if (!known || !std::holds_alternative<IdentityPtr>(*known)) ADD_FAILURE() << i;
  }
  EXPECT_EQ(test::allocations(), before);
  EXPECT_EQ(store_.calls(), calls);
}

TEST_F(SessionAuthenticatorTest, G01_RefusesMalformedCookiesWithoutAskingTheStore) {
  const std::string good = create();
  ASSERT_EQ(judge(good), "alice");
  const std::size_t calls = store_.calls();
  for (const std::string& cookie :
       {std::string(), std::string("x"), std::string(64, 'A'), std::string(10 * 1024, 'A'), good + "A", good.substr(1), "\"" + good + "\"",
        std::string(64, '*'), std::string("sess:{a}"), std::string(64, '\0')}) {
    EXPECT_EQ(judge(cookie), "malformed") << cookie.size();
    EXPECT_EQ(word_of(run(sessions_.ask_own(cookie, settings_))), "malformed") << "and where it was asked at once: " << cookie.size();
  }
  EXPECT_EQ(store_.calls(), calls);
  EXPECT_EQ(metrics_.session_cache_misses, 1U) << "what is none is no miss";
}

TEST_F(SessionAuthenticatorTest, F10_RefusesAForgedCookieWithoutAskingTheStoreEvenBesideTheGoodOne) {
  const std::string good = create();
  ASSERT_EQ(judge(good), "alice");
  const std::size_t calls = store_.calls();
  testing::for_each_flipped_bit(
      good, [&](std::string_view mutant, std::size_t bit) { ASSERT_EQ(recall(std::string(mutant)), "malformed") << bit; });
  testing::for_each_cut(good, [&](std::string_view cut) { ASSERT_EQ(recall(std::string(cut)), "malformed") << cut.size(); });
  EXPECT_EQ(store_.calls(), calls);
  EXPECT_EQ(judge(good), "alice");
}

TEST_F(SessionAuthenticatorTest, G03_TakesNoOtherKindOfIdOfOurs) {
  EXPECT_EQ(judge(keys_->refresh_token(keys_->make_family_id(), 1)), "malformed");
  EXPECT_EQ(store_.calls(), 0U);
}

TEST_F(SessionAuthenticatorTest, G12_ComparesTagsInConstantTime) {
  const std::string cookie = create();
  const auto before = testing::constant_time_comparisons();
  EXPECT_EQ(recall(cookie), "ask");
  const auto after = testing::constant_time_comparisons();
  EXPECT_EQ(after.count, before.count + 1);
  EXPECT_EQ(after.last_length, 16U) << "the whole tag";
}

TEST_F(SessionAuthenticatorTest, RefusesASessionThatTheStoreDoesNotHave) {
  EXPECT_EQ(judge(keys_->make_session_id().text), "unknown_session");
  EXPECT_EQ(sessions_.remembered(), 0U);
}

TEST_F(SessionAuthenticatorTest, CannotAskWithoutKeysOrStore) {
  const std::string cookie = create();
  SessionAuthenticator bare({revocations_, clock_, tasks_, metrics_});
  EXPECT_EQ(word_of(*bare.try_own(cookie, *settings_)), "unavailable");
  bare.use_keys(keys_);
  EXPECT_EQ(word_of(*bare.try_own(cookie, *settings_)), "unavailable");
  EXPECT_EQ(word_of(run(bare.ask_own(cookie, settings_))), "unavailable");
  bare.use_store(store_);
  EXPECT_EQ(word_of(run(bare.ask_own(cookie, settings_))), "alice");
  sessions_.use_keys(nullptr);
  EXPECT_EQ(judge(cookie), "unavailable") << "the keys are not known yet: that is no no";
}

TEST_F(SessionAuthenticatorTest, F10_ForgetsWhatTheOldKeysOpened) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  sessions_.use_keys(keys_);
  EXPECT_EQ(recall(cookie), "alice") << "the same keys";
  sessions_.use_keys(tag_keys_of({'b', 'a'}));
  EXPECT_EQ(recall(cookie), "ask");
  EXPECT_EQ(judge(cookie), "alice") << "the old secret is kept";
  sessions_.use_keys(tag_keys_of({'b'}));
  EXPECT_EQ(judge(cookie), "malformed");
}

TEST_F(SessionAuthenticatorTest, F10_DoesNotRememberWhatWasOpenedByKeysThatWereReplacedMeanwhile) {
  const std::string cookie = create();
  store_.hang();
  auto asked = begin(sessions_.ask_own(cookie, settings_));
  sessions_.use_keys(tag_keys_of({'b'}));
  store_.release();
  settle();
  ASSERT_TRUE(asked->result);
  EXPECT_EQ(sessions_.remembered(), 0U);
  EXPECT_EQ(judge(cookie), "malformed");
}

// Changes.

TEST_F(SessionAuthenticatorTest, G08_RefusesASessionFromTheMomentThatItsEndIsHeard) {
  const std::string cookie = create();
  const std::string other = create("bob");
  ASSERT_EQ(judge(cookie), "alice");
  ASSERT_EQ(judge(other), "bob");
  store_.remove_session(keys_->open_session_id(cookie)->key);
  EXPECT_EQ(judge(cookie), "unknown_session");
  EXPECT_EQ(recall(other), "bob") << "exactly the changed one";
  EXPECT_EQ(metrics_.session_cache_invalidations, 1U);
}

TEST_F(SessionAuthenticatorTest, G11_SeesNewRolesFromTheMomentThatTheChangeIsHeard) {
  const std::string cookie = create("alice", R"({"roles":["user"]})");
  ASSERT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"user"});
  store_.set_claims(key_, *Json::parse(R"({"roles":["admin"]})"));
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
  EXPECT_EQ(recall(cookie), "alice");
}

TEST_F(SessionAuthenticatorTest, AsksAboutEverythingWhenEverythingMayHaveChanged) {
  const std::string cookie = create();
  const std::string other = create("bob");
  ASSERT_EQ(judge(cookie), "alice");
  ASSERT_EQ(judge(other), "bob");
  store_.tell_everything_changed();
  EXPECT_EQ(sessions_.remembered(), 0U);
  EXPECT_EQ(recall(cookie), "ask");
  EXPECT_EQ(judge(other), "bob");
  EXPECT_EQ(recall(other), "bob");
  EXPECT_EQ(sessions_.remembered(), 1U);
  EXPECT_EQ(metrics_.session_cache_invalidations, 2U);
  store_.flush();
  EXPECT_EQ(judge(cookie), "unknown_session");
  EXPECT_EQ(judge(other), "unknown_session");
}

TEST_F(SessionAuthenticatorTest, G11_DoesNotRememberASessionThatChangedWhileItWasFetched) {
  const std::string cookie = create("alice", R"({"roles":["user"]})");
  store_.on_decided([&](std::string_view command) {
    if (command != "find_session") return;
    store_.on_decided(nullptr);
    store_.set_claims(key_, *Json::parse(R"({"roles":["admin"]})"));
  });
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"user"}) << "for the request that asked before";
  EXPECT_EQ(sessions_.remembered(), 0U);
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
}

TEST_F(SessionAuthenticatorTest, DoesNotRememberASessionWhenEverythingChangedWhileItWasFetched) {
  const std::string cookie = create();
  store_.on_decided([&](std::string_view command) {
    if (command != "find_session") return;
    store_.on_decided(nullptr);
    store_.flush();
  });
  EXPECT_EQ(judge(cookie), "alice") << "for the request that asked before";
  EXPECT_EQ(judge(cookie), "unknown_session");
}

TEST_F(SessionAuthenticatorTest, DoesNotRememberWhatWasAskedOrAnsweredWhileChangesWereNotHeard) {
  const std::string cookie = create();
  store_.hear(false);
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(fetches(), 2U);
  store_.on_decided([&](std::string_view) { store_.hear(true); });
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(sessions_.remembered(), 0U) << "the change may have come before";
  store_.on_decided([&](std::string_view) { store_.hear(false); });
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(sessions_.remembered(), 0U) << "the change may come unheard";
  store_.on_decided(nullptr);
  store_.hear(true);
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(recall(cookie), "alice");
}

TEST_F(SessionAuthenticatorTest, BypassesItsMemoryWhileChangesAreNotHeard) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  store_.hear(false);
  EXPECT_EQ(recall(cookie), "ask");
  store_.remove_session(key_);
  EXPECT_EQ(judge(cookie), "unknown_session");
}

// A store that has no way without a coroutine, or not now.

TEST_F(SessionAuthenticatorTest, FindsWhereNothingTakesASeeker) {
  store_.take_seekers(false);
  const std::string cookie = create();
  EXPECT_EQ(judge(cookie), "alice");
  EXPECT_EQ(recall(cookie), "alice");
  EXPECT_EQ(judge(keys_->make_session_id().text), "unknown_session");
  const std::string bob = create("bob");
  store_.fail_with(Fault::timed_out);
  EXPECT_EQ(judge(bob), "unavailable");
}

// Nobody may wait for a question that was never asked.
TEST_F(SessionAuthenticatorTest, AsksAnewAfterThereWasNoMemoryToAsk) {
  const std::string cookie = create();
  store_.run_out_of_memory();
  const auto broken = begin(sessions_.ask_own(cookie, settings_));
  EXPECT_FALSE(broken->result) << "it throws";
  const auto next = begin(sessions_.ask_own(cookie, settings_));
  ASSERT_TRUE(next->result) << "it waits for the first";
  EXPECT_EQ(word_of(*next->result), "alice");
}

TEST_F(SessionAuthenticatorTest, N09_OneThatGoesAwayDoesNotCancelWhatIsFoundForTheOthers) {
  store_.take_seekers(false);
  const std::string cookie = create();
  store_.hang();
  auto leaves = begin(sessions_.ask_own(cookie, settings_));
  auto stays = begin(sessions_.ask_own(cookie, settings_));
  leaves->give_up.emit(boost::asio::cancellation_type::terminal);
  settle();
  ASSERT_TRUE(leaves->result) << "it is let go at once";
  EXPECT_FALSE(stays->result);
  store_.release();
  settle();
  ASSERT_TRUE(stays->result);
  EXPECT_EQ(word_of(*stays->result), "alice");
  EXPECT_EQ(fetches(), 1U);
}

// One question for many.

TEST_F(SessionAuthenticatorTest, AsksOnceForManyRequestsWithOneColdSession) {
  const std::string cookie = create();
  store_.hang();
  std::vector<std::unique_ptr<Pending<Authentication>>> asked;
  for (int i = 0; i < 20; ++i) asked.push_back(begin(sessions_.ask_own(cookie, settings_)));
  EXPECT_EQ(fetches(), 1U);
  store_.release();
  settle();
  for (const auto& pending : asked) {
    ASSERT_TRUE(pending->result);
    EXPECT_EQ(word_of(*pending->result), "alice");
  }
  EXPECT_EQ(fetches(), 1U);
}

TEST_F(SessionAuthenticatorTest, TellsApartWhomItAsksFor) {
  const std::string alice = create();
  const std::string bob = create("bob");
  store_.hang();
  auto first = begin(sessions_.ask_own(alice, settings_));
  auto second = begin(sessions_.ask_own(bob, settings_));
  EXPECT_EQ(fetches(), 2U);
  store_.release();
  settle();
  EXPECT_EQ(word_of(*first->result), "alice");
  EXPECT_EQ(word_of(*second->result), "bob");
  EXPECT_EQ(recall(alice), "alice");
  EXPECT_EQ(recall(bob), "bob");
}

TEST_F(SessionAuthenticatorTest, N09_OneThatGoesAwayDoesNotCancelTheQuestionOfTheOthers) {
  const std::string cookie = create();
  store_.hang();
  auto leaves = begin(sessions_.ask_own(cookie, settings_));
  auto stays = begin(sessions_.ask_own(cookie, settings_));
  leaves->give_up.emit(boost::asio::cancellation_type::terminal);
  settle();
  ASSERT_TRUE(leaves->result) << "it is let go at once";
  EXPECT_EQ(word_of(*leaves->result), "unavailable");
  EXPECT_FALSE(stays->result);
  store_.release();
  settle();
  ASSERT_TRUE(stays->result);
  EXPECT_EQ(word_of(*stays->result), "alice");
  EXPECT_EQ(fetches(), 1U);
}

TEST_F(SessionAuthenticatorTest, N09_AQuestionThatNobodyWaitsForIsAnsweredAllTheSame) {
  const std::string cookie = create();
  store_.hang();
  auto leaves = begin(sessions_.ask_own(cookie, settings_));
  leaves->give_up.emit(boost::asio::cancellation_type::terminal);
  settle();
  store_.release();
  settle();
  EXPECT_EQ(recall(cookie), "alice");
}

TEST_F(SessionAuthenticatorTest, G08_AsksAnewForWhoComesAfterAChangeThatTheQuestionCannotKnowOf) {
  const std::string cookie = create();
  store_.hang();
  auto before = begin(sessions_.ask_own(cookie, settings_));  // decided already: alice
  store_.remove_session(key_);
  auto after = begin(sessions_.ask_own(cookie, settings_));
  EXPECT_EQ(fetches(), 2U);
  store_.release();
  settle();
  EXPECT_EQ(word_of(*before->result), "alice");
  EXPECT_EQ(word_of(*after->result), "unknown_session");
  EXPECT_EQ(recall(cookie), "ask");
}

TEST_F(SessionAuthenticatorTest, G08_AsksAnewForWhoComesAfterEverythingMayHaveChanged) {
  const std::string cookie = create();
  store_.hang();
  auto before = begin(sessions_.ask_own(cookie, settings_));
  store_.flush();
  auto after = begin(sessions_.ask_own(cookie, settings_));
  store_.release();
  settle();
  EXPECT_EQ(word_of(*before->result), "alice");
  EXPECT_EQ(word_of(*after->result), "unknown_session");
}

TEST_F(SessionAuthenticatorTest, SharesNoQuestionWhileChangesAreNotHeard) {
  const std::string cookie = create();
  store_.hear(false);
  store_.hang();
  auto before = begin(sessions_.ask_own(cookie, settings_));
  store_.remove_session(key_);
  auto after = begin(sessions_.ask_own(cookie, settings_));
  store_.release();
  settle();
  EXPECT_EQ(word_of(*after->result), "unknown_session") << "what was asked before it came is nothing for it";
}

TEST_F(SessionAuthenticatorTest, SharesNoQuestionThatWasAskedBeforeTheChannelWasLostOrCameBack) {
  const std::string cookie = create();
  store_.hang();
  auto heard = begin(sessions_.ask_own(cookie, settings_));
  store_.hear(false);
  auto unheard = begin(sessions_.ask_own(cookie, settings_));
  EXPECT_EQ(fetches(), 2U);
  store_.release();
  settle();
  store_.hang();
  unheard = begin(sessions_.ask_own(cookie, settings_));
  store_.hear(true);
  heard = begin(sessions_.ask_own(cookie, settings_));
  EXPECT_EQ(fetches(), 4U);
  store_.release();
  settle();
  EXPECT_EQ(word_of(*heard->result), "alice");
}

TEST_F(SessionAuthenticatorTest, G11_AnAnswerThatComesLateDoesNotReplaceANewerOne) {
  const std::string cookie = create("alice", R"({"roles":["user"]})");
  store_.hang();
  auto early = begin(sessions_.ask_own(cookie, settings_));
  store_.pass();
  clock_.advance(1ms);
  store_.set_claims(key_, *Json::parse(R"({"roles":["admin"]})"));
  ASSERT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
  ASSERT_EQ(recall(cookie), "alice");
  store_.release();
  settle();
  ASSERT_TRUE(early->result);
  EXPECT_EQ(recall(cookie), "alice") << "nor drop it";
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
}

TEST_F(SessionAuthenticatorTest, G11_NorDoesOneThatCouldHearOfNoChange) {
  const std::string cookie = create("alice", R"({"roles":["user"]})");
  store_.hear(false);
  store_.hang();
  auto early = begin(sessions_.ask_own(cookie, settings_));
  store_.pass();
  clock_.advance(1ms);
  store_.hear(true);  // by itself: everything_changed() would mark the early one
  store_.lose_session(key_);
  ASSERT_TRUE(run(store_.create_session({key_, "alice", *Json::parse(R"({"roles":["admin"]})"), idle_timeout_, absolute_timeout_})));
  ASSERT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
  store_.release();
  settle();
  ASSERT_TRUE(early->result);
  EXPECT_EQ(identity_of(cookie)->facts().roles, std::vector<std::string>{"admin"});
}

// Errors.

TEST_F(SessionAuthenticatorTest, NeverReadsAnErrorAsNo) {
  const std::string cookie = create();
  for (const Fault fault : {Fault::unavailable, Fault::timed_out, Fault::broken, Fault::malformed, Fault::internal, Fault::not_found,
                            Fault::mismatch, Fault::closed, Fault::too_large, Fault::unsupported}) {
    store_.fail_with(fault);
    EXPECT_EQ(judge(cookie), "unavailable") << name(fault);
  }
  store_.fail_with(std::nullopt);
  EXPECT_EQ(judge(cookie), "alice") << "and nothing of it stays";
}

TEST_F(SessionAuthenticatorTest, N08_DoesNotBelieveAnAnswerAboutAnotherSession) {
  create("bob");
  const store::Digest bob = key_;
  const std::string cookie = create();
  store_.answer_as(bob);
  EXPECT_EQ(judge(cookie), "unavailable");
  EXPECT_EQ(sessions_.remembered(), 0U);
  store_.answer_as(std::nullopt);
  EXPECT_EQ(judge(cookie), "alice");
}

TEST_F(SessionAuthenticatorTest, G05_RefusesASessionOfNobody) {
  const std::string cookie = create();
  store_.set_subject(key_, "");
  EXPECT_EQ(judge(cookie), "claim_missing");
  EXPECT_EQ(sessions_.remembered(), 0U);
}

TEST_F(SessionAuthenticatorTest, G10_TakesASubjectAsItStands) {
  EXPECT_EQ(judge(create("eve\r\nX-Auth-Roles: admin")), "eve\r\nX-Auth-Roles: admin") << "whoever makes a header of it refuses it";
}

// Revocation.

TEST_F(SessionAuthenticatorTest, G08_RefusesAWarmSessionFromTheMomentThatItIsRevoked) {
  const std::vector<std::pair<Kind, std::string>> rows{{Kind::subject, "alice"}, {Kind::everything, ""}, {Kind::session, ""}};
  for (const auto& [kind, value] : rows) {
    const std::string cookie = create();
    ASSERT_EQ(judge(cookie), "alice");
    ASSERT_TRUE(revoke(kind, kind == Kind::session ? store::handle_of(key_) : value));
    const std::size_t calls = store_.calls();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(judge(cookie), "revoked") << store::name(kind);
    EXPECT_EQ(store_.calls(), calls) << "from memory";
    clock_.advance(1s);
  }
}

TEST_F(SessionAuthenticatorTest, G08_RefusesAColdSessionThatWasRevokedAndFromThenOnFromMemory) {
  const std::string cookie = create();
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  EXPECT_EQ(judge(cookie), "revoked");
  const std::size_t calls = store_.calls();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(judge(cookie), "revoked");
  EXPECT_EQ(store_.calls(), calls);
}

TEST_F(SessionAuthenticatorTest, N01_NoSessionIsGoodBeforeWhatWasRevokedIsKnown) {
  const std::string cookie = create();
  revocations_.expect_history();
  EXPECT_TRUE(std::holds_alternative<identity::Unavailable>(outcome_of(cookie)));
  EXPECT_EQ(recall(cookie), "ask") << "nothing was remembered";
  revocations_.complete();
  EXPECT_EQ(judge(cookie), "alice");
}

TEST_F(SessionAuthenticatorTest, KeepsWarmSessionsThatARevocationDoesNotConcern) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(revoke(Kind::subject, "user-" + std::to_string(i)));
    ASSERT_TRUE(revoke(Kind::session, store::handle_of(sha256("another"))));
    EXPECT_EQ(recall(cookie), "alice");
  }
}

TEST_F(SessionAuthenticatorTest, AcceptsASessionThatBeganAfterTheRevocationOfItsSubject) {
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  clock_.advance(1ms);
  EXPECT_EQ(judge(create()), "alice");
}

// Reload.

TEST_F(SessionAuthenticatorTest, KeepsItsSessionsThroughAReloadThatLeavesTheIssuerAsItIs) {
  const std::string cookie = create();
  ASSERT_EQ(judge(cookie), "alice");
  use_settings();
  EXPECT_EQ(recall(cookie), "alice");
  issuer_ = "https://other.example";
  use_settings();
  EXPECT_EQ(recall(cookie), "ask");
  EXPECT_EQ(identity_of(cookie)->facts().issuer, "https://other.example");
}

TEST_F(SessionAuthenticatorTest, SharesNoQuestionBetweenTwoSettings) {
  const std::string cookie = create();
  store_.hang();
  auto before = begin(sessions_.ask_own(cookie, settings_));
  issuer_ = "https://other.example";
  use_settings();
  auto after = begin(sessions_.ask_own(cookie, settings_));
  store_.release();
  settle();
  EXPECT_EQ(std::get<IdentityPtr>(before->result->outcome)->facts().issuer, "https://gateway.example");
  EXPECT_EQ(std::get<IdentityPtr>(after->result->outcome)->facts().issuer, "https://other.example");
}

// Bounds.

class SmallMemory : public SessionBench {
 protected:
  SmallMemory() : SessionBench(10) {}
};

TEST_F(SmallMemory, HoldsNoMoreThanItMay) {
  std::vector<std::string> cookies;
  for (int i = 0; i < 11; ++i) {
    cookies.push_back(create("user-" + std::to_string(i)));
    ASSERT_EQ(judge(cookies.back()), "user-" + std::to_string(i));
    EXPECT_LE(sessions_.remembered(), 10U);
  }
  EXPECT_EQ(sessions_.remembered(), 10U);
  for (std::size_t i = 0; i < cookies.size(); ++i) EXPECT_EQ(judge(cookies[i]), "user-" + std::to_string(i)) << "forgotten is not refused";
}

TEST_F(SmallMemory, KeepsWhatIsUsed) {
  const std::string used = create();
  ASSERT_EQ(judge(used), "alice");
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(judge(create("passer-by")), "passer-by");
    ASSERT_EQ(recall(used), "alice") << i;
  }
}

}  // namespace
}  // namespace sallyport::authenticate
