#include "authenticate/authenticator.hpp"

#include <algorithm>

#include "support/request_builder.hpp"
#include "support/token_factory.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using testing::Claims;
using testing::kNow;
using testing::kNowSeconds;
using testing::RequestBuilder;
using namespace std::string_literals;

const TokenPlace kAuthorization{TokenPlace::Kind::authorization, ""};
const TokenPlace kAccess{TokenPlace::Kind::cookie, "__Host-access"};

IssuerPtr issuer_of(std::string name, std::string iss, std::vector<TokenPlace> places, bool is_edge) {
  auto issuer = std::make_shared<Issuer>();
  std::vector<std::string> warnings;
  issuer->settings.name = std::move(name);
  issuer->settings.expectations = testing::expectations({Algorithm::es256});
  issuer->settings.expectations.issuer = std::move(iss);
  issuer->settings.token_from = std::move(places);
  issuer->keys = std::make_shared<KeySource>(testing::need(KeySet::from_jwks(testing::test_key(Algorithm::es256).public_jwks, warnings)));
  issuer->is_edge = is_edge;
  return issuer;
}

class AuthenticatorTest : public SessionBench {
 protected:
  std::optional<Authentication> recall(const RequestBuilder& request, const CredentialPlan& plan) {
    const http::RequestHead head = request.head();
    auto attempt = authenticator_.try_authenticate(head, plan, kNow);
    auto* const known = std::get_if<Authentication>(&attempt);
    return known == nullptr ? std::nullopt : std::optional(std::move(*known));
  }
  Authentication authenticate(const RequestBuilder& request, const CredentialPlan& plan) {
    const http::RequestHead head = request.head();
    auto attempt = authenticator_.try_authenticate(head, plan, kNow);
    if (auto* known = std::get_if<Authentication>(&attempt)) return std::move(*known);
    return run(authenticator_.ask(std::get<OpenQuestion>(attempt), plan, kNow));
  }
  Authentication authenticate(const RequestBuilder& request) { return authenticate(request, plan_); }
  // "alice by cookie", "expired by cookie, may refresh".
  std::string judge(const RequestBuilder& request, const CredentialPlan& plan) {
    const Authentication authentication = authenticate(request, plan);
    return word_of(authentication.outcome) + (authentication.by_cookie ? " by cookie" : "") +
           (authentication.may_refresh ? ", may refresh" : "");
  }
  std::string judge(const RequestBuilder& request) { return judge(request, plan_); }

  static RequestBuilder with_cookies(const std::string& cookies) { return RequestBuilder().field("Cookie", cookies); }
  static std::string edge_token(std::int64_t exp = kNowSeconds + 600) {
    return testing::good_token(Algorithm::es256, Claims().set("iss", "\"https://gateway.example\"").set("sid", "\"f-1\"").set("exp", exp));
  }
  static std::string corp_token(std::int64_t exp = kNowSeconds + 600) {
    return testing::good_token(Algorithm::es256, Claims().set("sub", "\"carol\"").set("exp", exp));
  }

  VerifiedTokenCache cache_{1000, 10 * 1024 * 1024};
  JwtAuthenticator tokens_{cache_, revocations_};
  Authenticator authenticator_{tokens_, sessions_};
  IssuerPtr corp_ = issuer_of("corp", "https://issuer.example", {kAuthorization, kAccess}, false);
  IssuerPtr edge_ = issuer_of("edge", "https://gateway.example", {kAuthorization, kAccess}, true);
  CredentialPlan plan_ = make_default_plan({corp_, edge_}, settings_);
};

TEST_F(AuthenticatorTest, TellsTheOutcomesApart) {
  EXPECT_EQ(judge(RequestBuilder()), "not presented, may refresh");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer " + corp_token())), "carol");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer")), "malformed");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer x").field("Authorization", "Bearer y")), "ambiguous");
  EXPECT_EQ(judge(with_cookies("__Host-session=" + create())), "alice by cookie");
  EXPECT_EQ(judge(with_cookies("__Host-session=x")), "malformed by cookie");
  EXPECT_EQ(judge(with_cookies("__Host-session=x; __Host-session=y")), "ambiguous");
  EXPECT_EQ(judge(with_cookies("__Host-access=" + edge_token())), "alice by cookie");
}

TEST_F(AuthenticatorTest, AsksOnlyWhereMemoryDoesNotKnow) {
  const auto session = with_cookies("__Host-session=" + create());
  EXPECT_FALSE(recall(session, plan_));
  EXPECT_EQ(judge(session), "alice by cookie");
  ASSERT_TRUE(recall(session, plan_));
  EXPECT_TRUE(recall(session, plan_)->by_cookie);
  EXPECT_TRUE(recall(with_cookies("__Host-access=" + edge_token()), plan_));
  EXPECT_TRUE(recall(RequestBuilder(), plan_));
}

TEST_F(AuthenticatorTest, LetsTheFirstKindDecideEvenWhenALaterOneWouldDo) {
  const std::string session = "__Host-session=" + create();
  const std::string access = "__Host-access=" + edge_token();
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer a.b.c").field("Cookie", session + "; " + access)), "malformed");
  EXPECT_EQ(judge(with_cookies("__Host-session=x; " + access)), "malformed by cookie");
  EXPECT_EQ(judge(with_cookies(session + "; __Host-access=x")), "alice by cookie");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer " + corp_token()).field("Cookie", session)), "carol");
}

TEST_F(AuthenticatorTest, AcceptsNothingThatThePlanDoesNotList) {
  const std::string session = "__Host-session=" + create();
  const CredentialPlan tokens = make_plan({{false, corp_}}, settings_);
  EXPECT_EQ(judge(with_cookies(session), tokens), "not presented");
  const CredentialPlan sessions = make_plan({{true, nullptr}}, settings_);
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer " + corp_token()), sessions), "not presented");
  EXPECT_EQ(judge(with_cookies("__Host-access=" + edge_token()), sessions), "not presented");
  EXPECT_EQ(judge(with_cookies(session), CredentialPlan{}), "not presented");
}

TEST_F(AuthenticatorTest, F11_TakesACookieUnderItsOwnNameOnly) {
  const std::string session = create();
  EXPECT_EQ(judge(with_cookies("__Host-access=" + session)), "malformed by cookie");
  EXPECT_EQ(judge(with_cookies("__Host-session=" + edge_token())), "malformed by cookie");
  EXPECT_EQ(judge(with_cookies("connect.sid=" + session)), "malformed by cookie");
}

TEST_F(AuthenticatorTest, RecognisesForeignSessions) {
  store_.put_foreign("sess:", "id-1", R"({"cookie":{},"user":{"id":"frank"}})");
  const Sha256 digest = hmac_sha256(Secret(std::string(32, 'f')), "id-1");
  std::string signature = base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  signature.erase(signature.find('='));
  const auto request = with_cookies("connect.sid=s%3Aid-1." + signature);
  EXPECT_FALSE(recall(request, plan_));
  EXPECT_EQ(judge(request), "frank by cookie");
  EXPECT_TRUE(recall(request, plan_));
  EXPECT_EQ(judge(with_cookies("__Host-session=" + create() + "; connect.sid=s%3Aid-1." + signature)), "alice by cookie") << "ours decides";
}

TEST_F(AuthenticatorTest, NeverReadsAnOutageAsNo) {
  const auto request = with_cookies("__Host-session=" + create());
  store_.fail_with(Fault::unavailable);
  EXPECT_EQ(judge(request), "unavailable by cookie");
}

// The refresh cookie may stand in.

TEST_F(AuthenticatorTest, MayRefreshWhereNothingIsPresented) {
  EXPECT_TRUE(authenticate(RequestBuilder()).may_refresh);
  EXPECT_TRUE(authenticate(RequestBuilder().field("Authorization", "Basic x")).may_refresh);
  EXPECT_TRUE(authenticate(with_cookies("other=1")).may_refresh);
}

TEST_F(AuthenticatorTest, MayRefreshAnExpiredAccessCookieOfOurs) {
  EXPECT_EQ(judge(with_cookies("__Host-access=" + edge_token(kNowSeconds - 60))), "expired by cookie, may refresh");
  EXPECT_EQ(judge(with_cookies("__Host-access=" + edge_token())), "alice by cookie") << "what is good needs none";
}

TEST_F(AuthenticatorTest, MayNotRefreshWhatIsRefusedForAnythingElse) {
  std::string forged = edge_token(kNowSeconds - 60);
  forged.replace(forged.rfind('.') + 1, 8, "AAAAAAAA");
  EXPECT_EQ(judge(with_cookies("__Host-access=" + forged)), "bad_signature by cookie") << "its age says nothing then";
  EXPECT_EQ(judge(with_cookies("__Host-access=x")), "malformed by cookie");
  EXPECT_EQ(judge(with_cookies("__Host-access=")), "malformed");
  EXPECT_EQ(judge(with_cookies("__Host-access=a; __Host-access=b")), "ambiguous");
  EXPECT_EQ(judge(with_cookies("__Host-access=" + corp_token(kNowSeconds - 60))), "expired by cookie") << "not ours";
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer " + edge_token(kNowSeconds - 60))), "expired") << "no cookie";
  EXPECT_EQ(judge(with_cookies("__Host-session=" + keys_->make_session_id().text)), "unknown_session by cookie");
  ASSERT_TRUE(revocations_.add({store::Revocation::Kind::family, "f-1", kNow, std::chrono::hours(1)}, kNow + std::chrono::hours(1), kNow));
  EXPECT_EQ(judge(with_cookies("__Host-access=" + edge_token())), "revoked by cookie");
}

TEST_F(AuthenticatorTest, MayNotRefreshWhereThePlanTakesNoAccessCookieOfOurs) {
  EXPECT_FALSE(authenticate(RequestBuilder(), make_default_plan({corp_}, settings_)).may_refresh) << "of another issuer";
  EXPECT_FALSE(authenticate(RequestBuilder(), make_plan({{true, nullptr}}, settings_)).may_refresh);
  EXPECT_FALSE(authenticate(RequestBuilder(), CredentialPlan{}).may_refresh);
  const IssuerPtr by_header = issuer_of("edge", "https://gateway.example", {kAuthorization}, true);
  EXPECT_FALSE(authenticate(RequestBuilder(), make_default_plan({by_header, corp_}, settings_)).may_refresh) << "the cookie is another's";
  EXPECT_FALSE(
      authenticate(RequestBuilder(), make_default_plan({issuer_of("edge", "https://gateway.example", {}, true)}, settings_)).may_refresh);
  EXPECT_TRUE(authenticate(RequestBuilder(), make_plan({{false, edge_}}, nullptr)).may_refresh);
}

// CSRF tokens.

TEST(CsrfBinding, NamesTheSessionElseTheFamilyElseTheSubject) {
  identity::IdentityFacts facts;
  facts.issuer = "https://issuer.example";
  facts.subject = "alice";
  const std::string by_subject = csrf_binding(facts);
  facts.family = "f-1";
  const std::string by_family = csrf_binding(facts);
  facts.session = "f-1";
  const std::string by_session = csrf_binding(facts);
  EXPECT_NE(by_subject, by_family);
  EXPECT_NE(by_family, by_session);
  EXPECT_EQ(by_session, "session:f-1");
  EXPECT_EQ(by_family, "family:f-1");
}

TEST(CsrfBinding, TellsSubjectsOfDifferentIssuersApart) {
  const auto binding = [](std::string issuer, std::string subject) {
    identity::IdentityFacts facts;
    facts.issuer = std::move(issuer);
    facts.subject = std::move(subject);
    return csrf_binding(facts);
  };
  EXPECT_NE(binding("a", "bc"), binding("ab", "c"));
  EXPECT_NE(binding("a", "b"), binding("a", "c"));
  EXPECT_FALSE(binding("", "").empty()) << "a token is bound to something";
}

}  // namespace
}  // namespace sallyport::authenticate
