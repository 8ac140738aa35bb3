#include "authenticate/credentials.hpp"

#include <gtest/gtest.h>

#include "support/request_builder.hpp"

namespace sallyport::authenticate {
namespace {

using testing::RequestBuilder;
using namespace std::string_literals;

CredentialPlan plan_of(std::vector<TokenPlace> places) {
  CredentialPlan plan;
  plan.kinds = {CredentialPlan::Kind::jwt};
  plan.token_places = std::move(places);
  return plan;
}
const TokenPlace kAuthorization{TokenPlace::Kind::authorization, ""};
const TokenPlace kCookie{TokenPlace::Kind::cookie, "access_token"};
const TokenPlace kHeader{TokenPlace::Kind::header, "x-token"};

// "token", "none", "two" or "unusable".
std::string found(const RequestBuilder& request, const CredentialPlan& plan) {
  const http::RequestHead head = request.head();
  const Credential credential = find_credential(head, plan);
  if (const auto* bearer = std::get_if<BearerToken>(&credential)) return "token "s.append(bearer->token);
  if (std::holds_alternative<TwoCredentials>(credential)) return "two";
  if (std::holds_alternative<UnusableCredential>(credential)) return "unusable";
  return "none";
}
std::string in_authorization(std::string_view value) {
  return found(RequestBuilder().field("Authorization", value), plan_of({kAuthorization}));
}

TEST(Credentials, AreAbsentWhenNothingStandsThere) {
  EXPECT_EQ(found(RequestBuilder(), plan_of({kAuthorization, kCookie, kHeader})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer abc"), plan_of({kCookie})), "none") << "not a place of the plan";
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer abc"), plan_of({})), "none");
}

TEST(Credentials, AreNotLookedForWhereTheRouteTakesNoJwt) {
  CredentialPlan sessions = plan_of({kAuthorization});
  sessions.kinds = {CredentialPlan::Kind::session};
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
  for (const auto& plan : {plan_of({kAuthorization}), plan_of({kCookie}), CredentialPlan{}}) {
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Authorization", "Bearer b"), plan), "two");
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("authorization", "Bearer a"), plan), "two")
        << "even equal ones";
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Basic a").field("Authorization", "Bearer b"), plan), "two");
    EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer b").field("Authorization", ""), plan), "two");
  }
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a"), plan_of({kAuthorization})), "token a");
}

TEST(Credentials, B18_IgnoreTokensInTheQuery) {
  EXPECT_EQ(found(RequestBuilder().target("/a?access_token=abc"), plan_of({kAuthorization, kCookie})), "none");
}

TEST(Credentials, AreFoundInCookiesAndHeaders) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "a=1; access_token=abc; b=2"), plan_of({kCookie})), "token abc");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "abc"), plan_of({kHeader})), "token abc");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", ""), plan_of({kHeader})), "unusable");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token="), plan_of({kCookie})), "unusable");
}

TEST(Credentials, F02_RefuseTwoCookiesOfOneNameWhereverTheyStand) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; access_token=b"), plan_of({kCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; access_token=a"), plan_of({kCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a").field("Cookie", "access_token=b"), plan_of({kCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=; access_token=b"), plan_of({kCookie})), "two");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=a; other=b"), plan_of({kCookie})), "token a");
}

TEST(Credentials, F01_SurviveCookiesThatAreNone) {
  for (const std::string& value : {";"s, "="s, ";;=;"s, ",;="s, "   "s, std::string(8192, ';'), ""s, "access_token"s, "=access_token"s}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value), plan_of({kCookie})), "none") << value.substr(0, 10);
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value + "; access_token=abc"), plan_of({kCookie})), "token abc")
        << value.substr(0, 10);
  }
}

TEST(Credentials, F05_PassOverCookieValuesWithForeignBytes) {
  for (const char byte : {'\x01', '\x80', ',', ' ', '"', '\\', '\x7F'}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=ab"s + byte + "cd"), plan_of({kCookie})), "none")
        << static_cast<int>(byte);
  }
}

// Quotes are part of the value, as RFC 6265 has it: what stands between them is no token for us.
TEST(Credentials, F04_TakeQuotedValuesAsTheyStandAndNoAttributes) {
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=\"abc\""), plan_of({kCookie})), "token \"abc\"");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "access_token=\"a\\\"bc\""), plan_of({kCookie})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "$Version=1; $access_token=abc"), plan_of({kCookie})), "none");
  EXPECT_EQ(found(RequestBuilder().field("Cookie", "$Version=1; access_token=abc; $Path=/"), plan_of({kCookie})), "token abc");
}

TEST(Credentials, F06_TakeTheExactCookieNameOnly) {
  for (const char* value : {"xaccess_token=abc", "access_tokenx=abc", "access_token =abc", "\taccess_token=abc", "ACCESS_TOKEN=abc",
                            "__Host-access_token=abc", "a=access_token=abc", "\"access_token\"=abc", "access_toke=abc"}) {
    EXPECT_EQ(found(RequestBuilder().field("Cookie", value), plan_of({kCookie})), "none") << value;
  }
}

TEST(Credentials, RefuseTwoHeadersOfTheTokensName) {
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "a").field("x-token", "a"), plan_of({kHeader})), "two");
}

TEST(Credentials, RefuseDifferentTokensAtTwoPlaces) {
  const CredentialPlan plan = plan_of({kAuthorization, kCookie, kHeader});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Cookie", "access_token=b"), plan), "two");
  EXPECT_EQ(found(RequestBuilder().field("X-Token", "b").field("Cookie", "access_token=a"), plan), "two");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer a").field("Cookie", "access_token=a"), plan), "token a");
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Basic x").field("Cookie", "access_token=a"), plan), "token a");
}

TEST(Credentials, DoNotFallThroughFromAnUnusableOneToTheNext) {
  const CredentialPlan plan = plan_of({kAuthorization, kCookie});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer").field("Cookie", "access_token=a"), plan), "unusable");
  const CredentialPlan reversed = plan_of({kCookie, kAuthorization});
  EXPECT_EQ(found(RequestBuilder().field("Authorization", "Bearer").field("Cookie", "access_token=a"), reversed), "unusable");
}

TEST(Credentials, SayAtWhichPlacesTheTokenStands) {
  const CredentialPlan plan = plan_of({kAuthorization, kCookie, kHeader});
  const auto request = RequestBuilder().field("Cookie", "access_token=a").field("X-Token", "a");
  const http::RequestHead head = request.head();
  EXPECT_EQ(std::get<BearerToken>(find_credential(head, plan)).places, 0b110U);
}

}  // namespace
}  // namespace sallyport::authenticate
