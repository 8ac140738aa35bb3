#include "authenticate/credentials.hpp"

#include <gtest/gtest.h>

#include "support/request_builder.hpp"

namespace sallyport::authenticate {
namespace {

using testing::RequestBuilder;
using namespace std::string_literals;

CredentialPlan plan_with(std::vector<TokenPlace> places) {
  CredentialPlan plan;
  plan.steps = {{CredentialPlan::Step::Kind::jwt, ~std::uint64_t{0}}};
  plan.token_places = std::move(places);
  return plan;
}
const TokenPlace kInAuthorization{TokenPlace::Kind::authorization, ""};
const TokenPlace kInCookie{TokenPlace::Kind::cookie, "access_token"};
const TokenPlace kInHeader{TokenPlace::Kind::header, "x-token"};

// "token", "none", "two" or "unusable".
std::string found(const RequestBuilder& request, const CredentialPlan& plan) {
  const http::RequestHead head = request.head();
  const Credential credential = find_credential(head, plan);
  if (const auto* bearer = std::get_if<BearerToken>(&credential)) return "token "s.append(bearer->token);
  if (const auto* cookie = std::get_if<SessionCookie>(&credential))
    return (cookie->is_foreign ? "foreign " : "session ") + std::string(cookie->value);
  if (std::holds_alternative<TwoCredentials>(credential)) return "two";
  if (std::holds_alternative<UnusableCredential>(credential)) return "unusable";
  return "none";
}
std::string in_authorization(std::string_view value) {
  return found(RequestBuilder().field("Authorization", value), plan_with({kInAuthorization}));
}

TEST(Credentials, AreAbsentWhenNothingStandsThere) {
  EXPECT_EQ(found(RequestBuilder(), plan_with({kInAuthorization, kInCookie, kInHeader})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer abc"), plan_with({kInCookie})), "none") << "not a place of the plan";
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer abc"), plan_with({})), "none");
}

TEST(Credentials, AreNotLookedForWhereTheRouteTakesNoJwt) {
  CredentialPlan sessions = plan_with({kInAuthorization});
  sessions.steps = {{CredentialPlan::Step::Kind::session, 0}};
  sessions.sessions = std::make_shared<SessionSettings>();
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer abc"), sessions), "none");
}

TEST(Credentials, B16_TakeTheBearerSchemeInAnyLetterCase) {
  for (const char* scheme : {"Bearer", "bearer", "BEARER", "bEaReR"})
    EXPECT_EQ(in_authorization(scheme + " abc.def"s), "token abc.def") << scheme;
}

TEST(Credentials, B16_RefuseEverythingElseThatClaimsToBeABearer) {
  for (const char* value :
       {"Bearer", "Bearer  abc", "Bearer\tabc", "Bearer \tabc def", "Bearer,", "Bearer a b", "Bearer abc ", "Bearer,abc", "Bearer:abc",
        "Bearer=abc", "Bearer abc, Bearer def", "\"Bearer\" abc", "", " Bearer abc", ",Bearer abc",
        "Bearer\xC2\xA0"
        "abc"}) {
    EXPECT_EQ(in_authorization(value), "unusable") << value;
  }
}

TEST(Credentials, B16_TakeNoOtherScheme) {
  for (const char* value : {"Basic x", "Basic", "Negotiate abc", "Bearers abc", "Beare abc", "DPoP abc", "abc.def.ghi"}) {
    EXPECT_EQ(in_authorization(value), "none") << value;
  }
}

TEST(Credentials, B17_RefuseTwoAuthorizationFieldsOnEveryPlan) {
  for (const auto& plan : {plan_with({kInAuthorization}), plan_with({kInCookie}), CredentialPlan{}}) {
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Authorization", "Bearer b"), plan), "two");
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("authorization", "Bearer a"), plan), "two")
        << "even equal ones";
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Basic a").field("Authorization", "Bearer b"), plan), "two");
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer b").field("Authorization", ""), plan), "two");
  }
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a"), plan_with({kInAuthorization})), "token a");
}

TEST(Credentials, B18_IgnoreTokensInTheQuery) {
  EXPECT_EQ(found(RequestBuilder().target("/a?access_token=abc"), plan_with({kInAuthorization, kInCookie})), "none");
}

TEST(Credentials, AreFoundInCookiesAndHeaders) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "a=1; access_token=abc; b=2"), plan_with({kInCookie})), "token abc");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "abc"), plan_with({kInHeader})), "token abc");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", ""), plan_with({kInHeader})), "unusable");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token="), plan_with({kInCookie})), "unusable");
}

TEST(Credentials, F02_RefuseTwoCookiesOfOneNameWhereverTheyStand) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; access_token=b"), plan_with({kInCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; access_token=a"), plan_with({kInCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a").field("Cookie", "access_token=b"), plan_with({kInCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=; access_token=b"), plan_with({kInCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; other=b"), plan_with({kInCookie})), "token a");
}

TEST(Credentials, F01_SurviveCookiesThatAreNone) {
  for (const std::string& value : {";"s, "="s, ";;=;"s, ",;="s, "   "s, std::string(8192, ';'), ""s, "access_token"s, "=access_token"s}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value), plan_with({kInCookie})), "none") << value.substr(0, 10);
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value + "; access_token=abc"), plan_with({kInCookie})), "token abc")
        << value.substr(0, 10);
  }
}

TEST(Credentials, F05_PassOverCookieValuesWithForeignBytes) {
  for (const char byte : {'\x01', '\x80', ',', ' ', '"', '\\', '\x7F'}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=ab"s + byte + "cd"), plan_with({kInCookie})), "none")
        << static_cast<int>(byte);
  }
}

// Quotes are part of the value, as RFC 6265 has it: what stands between them is no token for us.
TEST(Credentials, F04_TakeQuotedValuesAsTheyStandAndNoAttributes) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=\"abc\""), plan_with({kInCookie})), "token \"abc\"");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=\"a\\\"bc\""), plan_with({kInCookie})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "$Version=1; $access_token=abc"), plan_with({kInCookie})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "$Version=1; access_token=abc; $Path=/"), plan_with({kInCookie})), "token abc");
}

TEST(Credentials, F06_TakeTheExactCookieNameOnly) {
  for (const char* value : {"xaccess_token=abc", "access_tokenx=abc", "access_token =abc", "\taccess_token=abc", "ACCESS_TOKEN=abc",
                            "__Host-access_token=abc", "a=access_token=abc", "\"access_token\"=abc", "access_toke=abc"}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value), plan_with({kInCookie})), "none") << value;
  }
}

TEST(Credentials, RefuseTwoHeadersOfTheTokensName) {
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "a").field("x-token", "a"), plan_with({kInHeader})), "two");
}

TEST(Credentials, RefuseDifferentTokensAtTwoPlaces) {
  const CredentialPlan plan = plan_with({kInAuthorization, kInCookie, kInHeader});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Cookie", "access_token=b"), plan), "two");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "b").field("Cookie", "access_token=a"), plan), "two");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Cookie", "access_token=a"), plan), "token a");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Basic x").field("Cookie", "access_token=a"), plan), "token a");
}

TEST(Credentials, DoNotFallThroughFromAnUnusableOneToTheNext) {
  const CredentialPlan plan = plan_with({kInAuthorization, kInCookie});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer").field("Cookie", "access_token=a"), plan), "unusable");
  const CredentialPlan reversed = plan_with({kInCookie, kInAuthorization});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer").field("Cookie", "access_token=a"), reversed), "unusable");
}

TEST(Credentials, SayAtWhichPlacesTheTokenStands) {
  const CredentialPlan plan = plan_with({kInAuthorization, kInCookie, kInHeader});
  const auto request = RequestBuilder().field("Cookie", "access_token=a").field("X-Token", "a");
  const http::RequestHead head = request.head();
  EXPECT_EQ(std::get<BearerToken>(find_credential(head, plan)).places, 0b110U);
}

// Steps, plans and sessions.

IssuerPtr issuer_of(std::string name, std::vector<TokenPlace> token_from) {
  auto issuer = std::make_shared<Issuer>();
  issuer->settings.name = std::move(name);
  issuer->settings.token_from = std::move(token_from);
  return issuer;
}
SessionSettingsPtr sessions_of(std::string cookie, std::optional<std::string> foreign = std::nullopt) {
  auto sessions = std::make_shared<SessionSettings>();
  sessions->cookie_name = std::move(cookie);
  if (foreign) sessions->foreign.emplace().cookie = *foreign;
  return sessions;
}
// "jwt 101, session, jwt 10": the bits of the places from the first on.
std::string steps_of(const CredentialPlan& plan) {
  std::string out;
  for (const auto& step : plan.steps) {
    if (!out.empty()) out += ", ";
    if (step.kind == CredentialPlan::Step::Kind::session) {
      out += "session";
      continue;
    }
    out += "jwt ";
    for (std::size_t i = 0; i < plan.token_places.size(); ++i) out += (step.places >> i & 1U) != 0 ? '1' : '0';
  }
  return out;
}

TEST(CredentialPlan, PutsAllJwtsAtThePlaceOfTheFirst) {
  const IssuerPtr corp = issuer_of("corp", {kInAuthorization});
  const IssuerPtr web = issuer_of("web", {kInCookie, kInAuthorization});
  const CredentialPlan plan = make_plan({{false, corp}, {true, nullptr}, {false, web}, {false, corp}}, sessions_of("session"));
  EXPECT_EQ(steps_of(plan), "jwt 11, session");
  EXPECT_EQ(plan.issuers, (std::vector<IssuerPtr>{corp, web}));
  EXPECT_EQ(plan.token_places, (std::vector<TokenPlace>{kInAuthorization, kInCookie}));
  EXPECT_EQ(steps_of(make_plan({{true, nullptr}, {false, corp}, {true, nullptr}}, sessions_of("session"))), "session, jwt 1");
}

TEST(CredentialPlan, TakesTokensFromAuthorizationWhereTheIssuerSaysNothing) {
  const CredentialPlan plan = make_plan({{false, issuer_of("corp", {})}}, nullptr);
  EXPECT_EQ(steps_of(plan), "jwt 1");
  EXPECT_EQ(plan.token_places, (std::vector<TokenPlace>{kInAuthorization}));
}

TEST(CredentialPlan, AcceptsNothingWhereNothingIsListed) {
  EXPECT_EQ(steps_of(make_plan({}, sessions_of("session"))), "");
  EXPECT_EQ(steps_of(make_default_plan({}, nullptr)), "");
}

TEST(CredentialPlan, IsNotMadeOfThingsThatAreNotThere) {
  EXPECT_THROW((void)make_plan({{true, nullptr}}, nullptr), std::invalid_argument);
  EXPECT_THROW((void)make_plan({{false, nullptr}}, sessions_of("session")), std::invalid_argument);
  EXPECT_THROW((void)make_default_plan({nullptr}, nullptr), std::invalid_argument);
}

TEST(CredentialPlan, LooksByDefaultAtHeadersThenTheSessionThenCookies) {
  const IssuerPtr corp = issuer_of("corp", {kInAuthorization, kInHeader});
  const IssuerPtr edge = issuer_of("edge", {kInAuthorization, kInCookie});
  EXPECT_EQ(steps_of(make_default_plan({corp, edge}, sessions_of("session"))), "jwt 110, session, jwt 001");
  EXPECT_EQ(steps_of(make_default_plan({corp}, sessions_of("session"))), "jwt 11, session");
  EXPECT_EQ(steps_of(make_default_plan({corp, edge}, nullptr)), "jwt 110, jwt 001");
  EXPECT_EQ(steps_of(make_default_plan({issuer_of("web", {kInCookie})}, sessions_of("session"))), "session, jwt 1");
}

TEST(CredentialPlan, KeepsItsMindWithMorePlacesThanItCanLookAt) {
  std::vector<TokenPlace> places;
  for (int i = 0; i < 70; ++i) places.push_back({TokenPlace::Kind::header, "x-token-" + std::to_string(i)});
  const CredentialPlan plan = make_default_plan({issuer_of("many", places)}, nullptr);
  EXPECT_EQ(plan.steps.front().places, ~std::uint64_t{0});
  EXPECT_EQ(found(RequestBuilder().field("X-Token-63", "a"), plan), "token a");
  EXPECT_EQ(found(RequestBuilder().field("X-Token-64", "a"), plan), "none");
}

class DefaultPlan : public ::testing::Test {
 protected:
  std::string judge(const RequestBuilder& request) const { return found(request, plan_); }

  const CredentialPlan plan_ =
      make_default_plan({issuer_of("edge", {kInAuthorization, kInCookie})}, sessions_of("__Host-session", "connect.sid"));
};

TEST_F(DefaultPlan, LetsTheFirstKindThatIsPresentDecide) {
  const auto all = "__Host-session=s; access_token=a; connect.sid=f";
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer t").field("Cookie", all)), "token t");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Basic t").field("Cookie", all)), "session s");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", all)), "session s");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "access_token=a; connect.sid=f")), "foreign f");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "access_token=a")), "token a");
  EXPECT_EQ(judge(RequestBuilder()), "none");
}

TEST_F(DefaultPlan, NeitherFallsThroughNorLooksFurther) {
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer").field("Cookie", "__Host-session=s")), "unusable");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=; access_token=a")), "unusable");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "connect.sid=; access_token=a")), "unusable");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=s; access_token=a; access_token=b")), "session s");
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Bearer t").field("Cookie", "__Host-session=s; __Host-session=s2")), "token t");
}

TEST_F(DefaultPlan, B17_RefusesTwoAuthorizationFieldsBesideASession) {
  EXPECT_EQ(judge(RequestBuilder().field("Authorization", "Basic a").field("Authorization", "Basic b").field("Cookie", "__Host-session=s")),
            "two");
}

TEST_F(DefaultPlan, F02_RefusesTwoSessionCookiesWhereverTheyStand) {
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=good; __Host-session=bad")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=bad; __Host-session=good")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=s; __Host-session=s")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=s").field("Cookie", "__Host-session=s2")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=; __Host-session=s")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "connect.sid=a; connect.sid=b")), "two");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=s; connect.sid=a; connect.sid=b")), "session s");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=s; other=b")), "session s");
}

TEST_F(DefaultPlan, F01_SurvivesCookiesThatAreNone) {
  for (const std::string& value : {";"s, "="s, ";;=;"s, ",;="s, "   "s, std::string(8192, ';'), ""s, "__Host-session"s}) {
    EXPECT_EQ(judge(RequestBuilder().field("Cookie", value)), "none") << value.substr(0, 10);
    EXPECT_EQ(judge(RequestBuilder().field("Cookie", value + "; __Host-session=s")), "session s") << value.substr(0, 10);
  }
}

TEST_F(DefaultPlan, F04_TakesTheSessionCookieAsItStands) {
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__HOST-SESSION=s")), "none");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "$Version=1; $__Host-session=s")), "none");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=\"s\"")), "session \"s\"");
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=\"s\\\"\"")), "none");
}

TEST_F(DefaultPlan, F05_PassesOverSessionCookiesWithForeignBytes) {
  for (const char byte : {'\x01', '\x80', ',', ' ', '"', '\\', '\x7F', '\0'}) {
    EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session=ab"s + byte + "cd")), "none") << static_cast<int>(byte);
  }
}

TEST_F(DefaultPlan, F06_TakesTheExactNameOnly) {
  for (const char* value : {"session=s", "x__Host-session=s", "__Host-sessionx=s", "__Host-session =s", "\t__Host-session=s",
                            "a=__Host-session=s", "connect.sid2=s", "Connect.sid=s"}) {
    EXPECT_EQ(judge(RequestBuilder().field("Cookie", value)), "none") << value;
  }
}

// CVE-2024-24814: a server that puts a cookie together from as many pieces as another cookie says.
TEST_F(DefaultPlan, F08_PutsNoCookieTogetherFromPieces) {
  EXPECT_EQ(judge(RequestBuilder().field("Cookie", "__Host-session_chunks=99999999; __Host-session_0=a; __Host-session_1=b")), "none");
}

TEST_F(DefaultPlan, SaysWhetherACookieBroughtTheToken) {
  const auto by_cookie = [&](const RequestBuilder& request, const CredentialPlan& plan) {
    const http::RequestHead head = request.head();
    return std::get<BearerToken>(find_credential(head, plan)).by_cookie;
  };
  EXPECT_TRUE(by_cookie(RequestBuilder().field("Cookie", "access_token=a"), plan_));
  EXPECT_FALSE(by_cookie(RequestBuilder().field("Authorization", "Bearer a"), plan_));
  // Another site cannot have the browser send the header.
  const CredentialPlan both = plan_with({kInCookie, kInAuthorization});
  EXPECT_FALSE(by_cookie(RequestBuilder().field("Authorization", "Bearer a").field("Cookie", "access_token=a"), both));
  EXPECT_FALSE(by_cookie(RequestBuilder().field("X-Token", "a"), plan_with({kInHeader})));
}

TEST(OnlyCookie, IsThereOnceOrNotAtAll) {
  const auto only = [](const RequestBuilder& request) {
    const http::RequestHead head = request.head();
    const auto value = only_cookie(head, "refresh");
    return value ? std::optional<std::string>(*value) : std::nullopt;
  };
  EXPECT_EQ(only(RequestBuilder().field("Cookie", "a=1; refresh=r")), "r");
  EXPECT_EQ(only(RequestBuilder().field("Cookie", "refresh=")), "");
  EXPECT_EQ(only(RequestBuilder().field("Cookie", "refreshx=r; Refresh=r")), std::nullopt);
  EXPECT_EQ(only(RequestBuilder().field("Cookie", "refresh=r; refresh=r")), std::nullopt);
  EXPECT_EQ(only(RequestBuilder().field("Cookie", "refresh=r").field("Cookie", "refresh=s")), std::nullopt);
  EXPECT_EQ(only(RequestBuilder()), std::nullopt);
}

}  // namespace
}  // namespace sallyport::authenticate
