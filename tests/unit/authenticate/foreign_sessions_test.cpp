// Sessions that express-session wrote, through the authenticator.
#include "authenticate/session_authenticator.hpp"

#include "base/text.hpp"
#include "support/allocations.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityPtr;
using Kind = store::Revocation::Kind;
using namespace std::chrono_literals;

std::string cookie_of(std::string_view id, char secret = 'f') {
  const Sha256 digest = hmac_sha256(Secret(std::string(32, secret)), id);
  std::string signature = base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  while (signature.ends_with('=')) signature.pop_back();
  return "s:" + std::string(id) + "." + signature;
}

constexpr std::string_view kAlice = R"({"cookie":{"expires":null,"originalMaxAge":null},"user":{"id":"alice"}})";
constexpr std::string_view kBob = R"({"cookie":{"expires":null,"originalMaxAge":null},"user":{"id":"bob"}})";
constexpr std::string_view kNobody = R"({"cookie":{"expires":null,"originalMaxAge":null}})";

class ForeignSessionsTest : public SessionBench {
 protected:
  IdentityPtr foreign_identity() {
    auto outcome = sessions_.try_foreign(cookie_, *settings_);
    if (!outcome) outcome = run(sessions_.ask_foreign(cookie_, settings_)).outcome;
    return std::get<IdentityPtr>(*outcome);
  }

  const std::string cookie_ = cookie_of("id-1");
};

TEST_F(ForeignSessionsTest, AreRecognisedAndRemembered) {
  store_.put_foreign("sess:", "id-1", kAlice);
  EXPECT_EQ(recall_foreign(cookie_), "ask");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(judge_foreign(cookie_), "alice");
  EXPECT_EQ(fetches(), 1U);
  EXPECT_EQ(foreign_identity()->facts().issuer_name, "foreign");
  const std::size_t before = test::allocations();
  for (int i = 0; i < 10; ++i) {
    if (!sessions_.try_foreign(cookie_, *settings_)) ADD_FAILURE() << i;
  }
  EXPECT_EQ(test::allocations(), before);
}

// Percent-encoding spells one cookie in thousands of ways: who has a session must not be able to push the others out, nor the store's doors
// in.
TEST_F(ForeignSessionsTest, AreAskedForOnceHoweverTheirCookieIsSpelled) {
  store_.put_foreign("sess:", "id-1", kAlice);
  const std::vector<std::string> spellings{cookie_, "s%3A" + cookie_.substr(2), "%73:" + cookie_.substr(2), "s:%69" + cookie_.substr(3)};
  for (const std::string& spelling : spellings) EXPECT_EQ(judge_foreign(spelling), "alice") << spelling;
  EXPECT_EQ(fetches(), 1U);
  EXPECT_EQ(sessions_.remembered(), 1U);
  EXPECT_EQ(metrics_.session_cache_misses, 1U);
  store_.remove_foreign("sess:", "id-1");
  for (const std::string& spelling : spellings) EXPECT_EQ(judge_foreign(spelling), "unknown_session") << spelling;
}

TEST_F(ForeignSessionsTest, F10_ForgedOnesNeverReachTheStore) {
  for (const std::string& cookie : {cookie_of("id-1", 'g'), std::string("s:id-1"), std::string("id-1"), std::string(), cookie_ + "x",
                                    std::string(16 * 1024, 's'), std::string("s:*.x")}) {
    EXPECT_EQ(judge_foreign(cookie), "malformed") << cookie.size();
    EXPECT_EQ(word_of(run(sessions_.ask_foreign(cookie, settings_))), "malformed") << cookie.size();
  }
  EXPECT_EQ(store_.calls(), 0U);
}

TEST_F(ForeignSessionsTest, F11_AreNoSessionsOfOurOwnNorTheOtherWayRound) {
  store_.put_foreign("sess:", "id-1", kAlice);
  const std::string own = create("root");
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  ASSERT_EQ(judge(own), "root");
  EXPECT_EQ(judge(cookie_), "malformed") << "though both are remembered";
  EXPECT_EQ(judge_foreign(own), "malformed");
}

TEST_F(ForeignSessionsTest, WorkBeforeTheSecretOfOurOwnIsKnown) {
  store_.put_foreign("sess:", "id-1", kAlice);
  sessions_.use_keys(nullptr);
  EXPECT_EQ(judge_foreign(cookie_), "alice");
}

TEST_F(ForeignSessionsTest, G08_EndFromTheMomentThatTheApplicationEndsThem) {
  store_.put_foreign("sess:", "id-1", kAlice);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  store_.remove_foreign("sess:", "id-1");
  EXPECT_EQ(judge_foreign(cookie_), "unknown_session");
}

TEST_F(ForeignSessionsTest, G11_BecomeSomebodyElsesWhenTheApplicationSaysSo) {
  store_.put_foreign("sess:", "id-1", kAlice);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  store_.put_foreign("sess:", "id-1", kBob);
  EXPECT_EQ(judge_foreign(cookie_), "bob");
  store_.put_foreign("sess:", "id-1", kNobody);
  EXPECT_EQ(judge_foreign(cookie_), "claim_missing");
}

TEST_F(ForeignSessionsTest, AreNotRememberedWhenTheyChangedWhileTheyWereFetched) {
  store_.put_foreign("sess:", "id-1", kAlice);
  store_.on_decided([&](std::string_view) {
    store_.on_decided(nullptr);
    store_.put_foreign("sess:", "id-1", kBob);
  });
  EXPECT_EQ(judge_foreign(cookie_), "alice");
  EXPECT_EQ(judge_foreign(cookie_), "bob");
}

TEST_F(ForeignSessionsTest, ShareOneQuestion) {
  store_.put_foreign("sess:", "id-1", kAlice);
  store_.hang();
  auto first = begin(sessions_.ask_foreign(cookie_, settings_));
  auto second = begin(sessions_.ask_foreign(cookie_, settings_));
  EXPECT_EQ(fetches(), 1U);
  store_.release();
  settle();
  EXPECT_EQ(word_of(*first->result), "alice");
  EXPECT_EQ(word_of(*second->result), "alice");
}

TEST_F(ForeignSessionsTest, EndWithTheirRecord) {
  store_.put_foreign("sess:", "id-1", kAlice, 10min);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  EXPECT_EQ(foreign_identity()->facts().expires_at, clock_.wall_now() + 10min);
  clock_.advance(10min - 1ms);
  EXPECT_EQ(recall_foreign(cookie_), "alice");
  clock_.advance(1ms);
  EXPECT_EQ(recall_foreign(cookie_), "ask");
  EXPECT_EQ(judge_foreign(cookie_), "unknown_session");
}

TEST_F(ForeignSessionsTest, LiveOnWhereTheApplicationProlongedThem) {
  store_.put_foreign("sess:", "id-1", kAlice, 10min);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  clock_.advance(5min);
  store_.put_foreign("sess:", "id-1", kAlice, 10min);
  clock_.advance(6min);
  EXPECT_EQ(judge_foreign(cookie_), "alice");
}

TEST_F(ForeignSessionsTest, AreReadAnewOnceADay) {
  store_.put_foreign("sess:", "id-1", kAlice);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  clock_.advance(24h - 1ms);
  EXPECT_EQ(recall_foreign(cookie_), "alice");
  clock_.advance(1ms);
  EXPECT_EQ(recall_foreign(cookie_), "ask");
  EXPECT_EQ(judge_foreign(cookie_), "alice");
}

TEST_F(ForeignSessionsTest, AreNeverTouched) {
  store_.put_foreign("sess:", "id-1", kAlice);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(judge_foreign(cookie_), "alice");
    settle();
    clock_.advance(10min);
  }
  EXPECT_EQ(store_.calls(), 1U);
}

TEST_F(ForeignSessionsTest, AreReadAnewByNewSettings) {
  store_.put_foreign("sess:", "id-1", R"({"cookie":{},"user":{"id":"alice"},"account":"A-1"})");
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  foreign_->subject = *JsonPointer::parse("/account");
  use_settings();
  EXPECT_EQ(judge_foreign(cookie_), "A-1");
  foreign_->secrets.clear();
  foreign_->secrets.emplace_back(std::string(32, 'g'));
  use_settings();
  EXPECT_EQ(judge_foreign(cookie_), "malformed") << "the secret was replaced";
  foreign_.reset();
  use_settings();
  EXPECT_EQ(judge_foreign(cookie_), "malformed") << "they are not accepted any more";
}

TEST_F(ForeignSessionsTest, AreReadAnewByNewSettingsEvenUnderOurOwnName) {
  issuer_ = "foreign";  // as their sessions are called
  use_settings();
  store_.put_foreign("sess:", "id-1", R"({"cookie":{},"user":{"id":"alice"},"account":"A-1"})");
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  foreign_->subject = *JsonPointer::parse("/account");
  use_settings();
  EXPECT_EQ(judge_foreign(cookie_), "A-1");
}

TEST_F(ForeignSessionsTest, N08_AreNotBelievedUnderAnotherId) {
  store_.put_foreign("sess:", "id-1", kAlice);
  store_.answer_as_foreign("id-2");
  EXPECT_EQ(judge_foreign(cookie_), "unavailable");
  store_.answer_as_foreign(std::nullopt);
  EXPECT_EQ(judge_foreign(cookie_), "alice");
}

TEST_F(ForeignSessionsTest, NeverReadAnErrorAsNo) {
  store_.put_foreign("sess:", "id-1", kAlice);
  store_.fail_with(Fault::unsupported);
  EXPECT_EQ(judge_foreign(cookie_), "unavailable");
}

TEST_F(ForeignSessionsTest, AreRefusedWithTheirSubject) {
  store_.put_foreign("sess:", "id-1", kAlice);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  ASSERT_TRUE(revoke(Kind::subject, "bob"));
  EXPECT_EQ(judge_foreign(cookie_), "alice");
  ASSERT_TRUE(revoke(Kind::subject, "alice"));
  EXPECT_EQ(judge_foreign(cookie_), "revoked");
}

TEST_F(ForeignSessionsTest, AreRefusedByTheNameUnderWhichTheyAreLogged) {
  store_.put_foreign("sess:", "id-1", kAlice);
  const std::string name = foreign_identity()->facts().session;
  ASSERT_TRUE(revoke(Kind::session, name));
  EXPECT_EQ(judge_foreign(cookie_), "revoked");
}

TEST_F(ForeignSessionsTest, N18_AreServedInAnOutageForTheTimeThatIsSet) {
  serve_cached_for_ = 5min;
  use_settings();
  store_.put_foreign("sess:", "id-1", kAlice);
  ASSERT_EQ(judge_foreign(cookie_), "alice");
  store_.hear(false);
  store_.fail_with(Fault::unavailable);
  clock_.advance(5min - 1ms);
  EXPECT_EQ(judge_foreign(cookie_), "alice");
  EXPECT_EQ(judge_foreign("s%3A" + cookie_.substr(2)), "alice") << "in another spelling";
  clock_.advance(1ms);
  EXPECT_EQ(judge_foreign(cookie_), "unavailable");
}

TEST_F(ForeignSessionsTest, StandAsLongAsTheyAreTheSameSubjects) {
  store_.put_foreign("sess:", "id-1", kAlice);
  const IdentityPtr identity = foreign_identity();
  const auto stands = [&] { return run(sessions_.still_stands(identity)); };
  EXPECT_TRUE(stands());
  EXPECT_EQ(fetches(), 1U) << "from memory";
  store_.put_foreign("sess:", "id-1", kAlice);
  EXPECT_TRUE(stands());
  EXPECT_EQ(fetches(), 2U) << "asked by its id, which the identity does not show";
  store_.put_foreign("sess:", "id-1", kBob);
  EXPECT_FALSE(stands()) << "somebody else has signed in";
  ASSERT_EQ(judge_foreign(cookie_), "bob");
  EXPECT_FALSE(stands()) << "and is remembered";
  store_.put_foreign("sess:", "id-1", kNobody);
  EXPECT_FALSE(stands());
  store_.put_foreign("sess:", "id-1", kAlice);
  EXPECT_TRUE(stands());
  store_.fail_with(Fault::unavailable);
  store_.hear(false);
  EXPECT_TRUE(stands()) << "an outage ends nothing";
  store_.fail_with(std::nullopt);
  store_.remove_foreign("sess:", "id-1");
  EXPECT_FALSE(stands());
}

}  // namespace
}  // namespace sallyport::authenticate
