#include "authenticate/jwt_authenticator.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "support/request_builder.hpp"
#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using identity::Ambiguous;
using identity::IdentityPtr;
using identity::NotPresented;
using identity::RefusalReason;
using identity::Refused;
using testing::Claims;
using testing::kNow;
using testing::kNowSeconds;
using testing::need;
using testing::RequestBuilder;
using testing::test_key;
using namespace std::chrono_literals;
using namespace std::string_literals;

struct IssuerBuilder {
  IssuerSettings settings;
  std::string jwks;

  explicit IssuerBuilder(std::string name, Algorithm algorithm = Algorithm::es256) : jwks(test_key(algorithm).public_jwks) {
    settings.name = std::move(name);
    settings.expectations = testing::expectations({algorithm});
  }
  IssuerBuilder& iss(std::string value) {
    settings.expectations.issuer = std::move(value);
    return *this;
  }
  IssuerBuilder& audience(std::string value) {
    settings.expectations.audiences = {std::move(value)};
    return *this;
  }
  IssuerBuilder& token_from(std::vector<TokenPlace> places) {
    settings.token_from = std::move(places);
    return *this;
  }
  IssuerBuilder& keys(std::string text) {
    jwks = std::move(text);
    return *this;
  }
  [[nodiscard]] IssuerPtr build() const {
    auto issuer = std::make_shared<Issuer>();
    std::vector<std::string> warnings;
    issuer->settings = settings;
    issuer->keys = std::make_shared<const KeySet>(need(KeySet::from_jwks(jwks, warnings)));
    return issuer;
  }
};

const TokenPlace kAuthorization{TokenPlace::Kind::authorization, ""};
const TokenPlace kCookie{TokenPlace::Kind::cookie, "access"};

CredentialPlan plan_of(std::vector<IssuerPtr> issuers, std::vector<TokenPlace> places = {kAuthorization}) {
  return {{CredentialPlan::Kind::jwt}, std::move(issuers), std::move(places)};
}

class JwtAuthenticatorTest : public ::testing::Test {
 protected:
  identity::AuthOutcome ask(const std::string& token, const CredentialPlan& plan, WallTime now = kNow) {
    const auto request = RequestBuilder().field("Authorization", "Bearer " + token);
    return authenticator_.authenticate(request.head(), plan, now);
  }
  // The subject, or why not.
  std::string judge(const std::string& token, const CredentialPlan& plan, WallTime now = kNow) { return text(ask(token, plan, now)); }
  static std::string text(const identity::AuthOutcome& outcome) {
    if (const auto* verified = std::get_if<IdentityPtr>(&outcome)) return (*verified)->facts().subject;
    if (const auto* refused = std::get_if<Refused>(&outcome)) return std::string(name(refused->reason));
    if (std::holds_alternative<Ambiguous>(outcome)) return "ambiguous";
    return std::holds_alternative<NotPresented>(outcome) ? "not presented" : "unavailable";
  }

  VerifiedTokenCache cache_{1000, 10 * 1024 * 1024};
  JwtAuthenticator authenticator_{cache_};
  IssuerPtr corp_ = IssuerBuilder("corp").build();
  std::string token_ = testing::good_token(Algorithm::es256);
};

TEST_F(JwtAuthenticatorTest, VerifiesATokenAndFillsTheIdentity) {
  const auto outcome = ask(token_, plan_of({corp_}));
  const auto& identity = std::get<IdentityPtr>(outcome);
  EXPECT_EQ(identity->facts().subject, "alice");
  EXPECT_EQ(identity->facts().issuer_name, "corp");
  EXPECT_EQ(identity->facts().issuer, "https://issuer.example");
}

TEST_F(JwtAuthenticatorTest, AnswersTheSecondTimeFromTheCache) {
  const auto first = std::get<IdentityPtr>(ask(token_, plan_of({corp_})));
  const auto second = std::get<IdentityPtr>(ask(token_, plan_of({corp_})));
  EXPECT_EQ(first, second);
  EXPECT_EQ(cache_.hits(), 1U);
}

TEST_F(JwtAuthenticatorTest, TellsTheFourOutcomesApart) {
  const auto nothing = RequestBuilder();
  EXPECT_EQ(text(authenticator_.authenticate(nothing.head(), plan_of({corp_}), kNow)), "not presented");
  const auto two = RequestBuilder().field("Authorization", "Bearer " + token_).field("Authorization", "Bearer " + token_);
  EXPECT_EQ(text(authenticator_.authenticate(two.head(), plan_of({corp_}), kNow)), "ambiguous");
  const auto bare = RequestBuilder().field("Authorization", "Bearer");
  EXPECT_EQ(text(authenticator_.authenticate(bare.head(), plan_of({corp_}), kNow)), "malformed");
  EXPECT_EQ(judge("a.b.c", plan_of({corp_})), "malformed");
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
}

TEST_F(JwtAuthenticatorTest, NeverCachesARefusal) {
  const std::string bad = token_.substr(0, token_.size() - 8) + "AAAAAAAA";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(judge(bad, plan_of({corp_})), "bad_signature");
  EXPECT_EQ(cache_.entries(), 0U);
}

TEST_F(JwtAuthenticatorTest, C11_RefusesAnIssuerThatTheRouteDoesNotAccept) {
  EXPECT_EQ(judge(token_, plan_of({IssuerBuilder("other").iss("https://other.example").build()})), "unknown_issuer");
  EXPECT_EQ(judge(token_, plan_of({})), "unknown_issuer");
  EXPECT_EQ(judge(testing::good_token(Algorithm::es256, Claims().remove("iss")), plan_of({corp_})), "unknown_issuer");
  EXPECT_EQ(judge(testing::good_token(Algorithm::es256, Claims().set("iss", "\"https://issuer.example/\"")), plan_of({corp_})),
            "unknown_issuer");
}

TEST_F(JwtAuthenticatorTest, C27_RefusesACachedTokenOneMomentAfterItsEnd) {
  const std::string token = testing::good_token(Algorithm::es256, Claims().set("exp", kNowSeconds + 1));
  EXPECT_EQ(judge(token, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow + 6s - 1ns), "alice");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow + 6s), "expired");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow + 7s), "expired");
}

TEST_F(JwtAuthenticatorTest, C10_FollowsAClockThatIsSetBackAndForth) {
  const std::string token = testing::good_token(Algorithm::es256, Claims().set("nbf", kNowSeconds));
  EXPECT_EQ(judge(token, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow - 1h), "not_yet_valid");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow), "alice");
  EXPECT_EQ(judge(token, plan_of({corp_}), kNow + 1h), "expired");
}

TEST_F(JwtAuthenticatorTest, C28_NeverMixesTokensThatDifferInTheSubjectAlone) {
  std::vector<std::string> tokens;
  for (int i = 0; i < 4; ++i)
    tokens.push_back(testing::good_token(Algorithm::es256, Claims().set("sub", "\"user-" + std::to_string(i) + "\"")));
  for (int round = 0; round < 20'000; ++round) {
    const std::size_t i = static_cast<std::size_t>(round) % tokens.size();
    ASSERT_EQ(judge(tokens[i], plan_of({corp_})), "user-" + std::to_string(i));
  }
}

TEST_F(JwtAuthenticatorTest, C29_JudgesACachedTokenAnewOnARouteOfAnotherIssuerOrAudience) {
  const IssuerPtr other = IssuerBuilder("other").iss("https://other.example").build();
  const IssuerPtr same_iss_other_audience = IssuerBuilder("strict").audience("admin").build();
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token_, plan_of({other})), "unknown_issuer");
  EXPECT_EQ(judge(token_, plan_of({same_iss_other_audience})), "wrong_audience");
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token_, plan_of({other, corp_})), "alice");
}

TEST_F(JwtAuthenticatorTest, C29_RefusesInTheOtherOrderToo) {
  const IssuerPtr strict = IssuerBuilder("strict").audience("admin").build();
  EXPECT_EQ(judge(token_, plan_of({strict})), "wrong_audience");
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token_, plan_of({strict})), "wrong_audience");
}

TEST_F(JwtAuthenticatorTest, C26_ForgetsATokenWhoseKeyIsGoneAfterAReload) {
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  const std::string rotated = need(SigningKey::public_jwks(need(SigningKey::generate_jwks(Algorithm::es256, "next"))));
  EXPECT_EQ(judge(token_, plan_of({IssuerBuilder("corp").keys(rotated).build()})), "unknown_key");
  EXPECT_EQ(judge(token_, plan_of({IssuerBuilder("corp").build()})), "alice") << "a reload that keeps the key";
}

TEST_F(JwtAuthenticatorTest, D13_RefusesATokenOfOneIssuerSignedWithTheKeyOfAnother) {
  const std::string foreign_jwks = need(SigningKey::generate_jwks(Algorithm::es256, "foreign-key"));
  const IssuerPtr foreign =
      IssuerBuilder("foreign").iss("https://foreign.example").keys(need(SigningKey::public_jwks(foreign_jwks))).build();
  const std::vector<SigningKey> foreign_key = need(SigningKey::from_jwks(foreign_jwks));
  const CredentialPlan both = plan_of({corp_, foreign});
  const std::string header = R"({"alg":"ES256","kid":"foreign-key"})";
  EXPECT_EQ(judge(testing::compact(header, Claims().text(), foreign_key.front()), both), "unknown_key");
  EXPECT_EQ(judge(testing::compact(R"({"alg":"ES256"})", Claims().text(), foreign_key.front()), both), "bad_signature");
  const std::string own = Claims().set("iss", "\"https://foreign.example\"").text();
  EXPECT_EQ(judge(testing::compact(header, own, foreign_key.front()), both), "alice");
}

TEST_F(JwtAuthenticatorTest, D14_KeepsEqualKidsOfTwoIssuersApart) {
  const std::string foreign_jwks = need(SigningKey::generate_jwks(Algorithm::es256, "test-key"));
  const IssuerPtr foreign =
      IssuerBuilder("foreign").iss("https://foreign.example").keys(need(SigningKey::public_jwks(foreign_jwks))).build();
  const std::vector<SigningKey> foreign_key = need(SigningKey::from_jwks(foreign_jwks));
  const CredentialPlan both = plan_of({corp_, foreign});
  const std::string header = testing::header_for(Algorithm::es256);
  EXPECT_EQ(judge(testing::compact(header, Claims().text(), foreign_key.front()), both), "bad_signature");
  const std::string own = Claims().set("iss", "\"https://foreign.example\"").text();
  EXPECT_EQ(judge(testing::compact(header, own, foreign_key.front()), both), "alice");
  EXPECT_EQ(judge(testing::compact(header, own, test_key(Algorithm::es256).signing), both), "bad_signature");
  EXPECT_EQ(judge(token_, both), "alice");
}

TEST_F(JwtAuthenticatorTest, RefusesATokenThatStandsWhereItsIssuerTakesNone) {
  const IssuerPtr by_cookie = IssuerBuilder("web").iss("https://web.example").token_from({kCookie}).build();
  const CredentialPlan both = plan_of({corp_, by_cookie}, {kAuthorization, kCookie});
  const std::string web = testing::good_token(Algorithm::es256, Claims().set("iss", "\"https://web.example\""));
  const auto ask_cookie = [&](const std::string& token) {
    const auto request = RequestBuilder().field("Cookie", "access=" + token);
    return text(authenticator_.authenticate(request.head(), both, kNow));
  };
  EXPECT_EQ(ask_cookie(web), "alice");
  EXPECT_EQ(judge(token_, both), "alice");
  // Both are in the cache now; the place is asked about all the same.
  EXPECT_EQ(judge(web, both), "unknown_issuer");
  EXPECT_EQ(ask_cookie(token_), "unknown_issuer");
}

TEST_F(JwtAuthenticatorTest, TakesOneTokenThatStandsAtTwoPlaces) {
  const IssuerPtr anywhere = IssuerBuilder("corp").token_from({kAuthorization, kCookie}).build();
  const CredentialPlan plan = plan_of({anywhere}, {kAuthorization, kCookie});
  const auto same = RequestBuilder().field("Authorization", "Bearer " + token_).field("Cookie", "access=" + token_);
  EXPECT_EQ(text(authenticator_.authenticate(same.head(), plan, kNow)), "alice");
  const auto different = RequestBuilder().field("Authorization", "Bearer " + token_).field("Cookie", "access=x" + token_);
  EXPECT_EQ(text(authenticator_.authenticate(different.head(), plan, kNow)), "ambiguous");
}

TEST_F(JwtAuthenticatorTest, B18_TakesNoTokenFromTheQuery) {
  const auto request = RequestBuilder().target("/a?access_token=" + token_);
  EXPECT_EQ(text(authenticator_.authenticate(request.head(), plan_of({corp_}), kNow)), "not presented");
}

TEST_F(JwtAuthenticatorTest, R06_LeavesOpenSslsErrorQueueEmptyAfterManyBadSignatures) {
  std::string bad = token_;
  bad.replace(bad.rfind('.') + 1, 8, "AAAAAAAA");
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(judge(bad, plan_of({corp_})), "bad_signature");
    ASSERT_EQ(ERR_peek_error(), 0U);
  }
}

TEST_F(JwtAuthenticatorTest, NamesTheIssuerButNoClaimInARefusal) {
  const auto outcome = ask(testing::good_token(Algorithm::es256, Claims().set("sub", "\"private-name\"").set("exp", 1)), plan_of({corp_}));
  const std::string& detail = std::get<Refused>(outcome).detail;
  EXPECT_NE(detail.find("corp"), std::string::npos);
  EXPECT_EQ(detail.find("private-name"), std::string::npos);
}

}  // namespace
}  // namespace sallyport::authenticate
