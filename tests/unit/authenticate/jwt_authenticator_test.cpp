#include "authenticate/jwt_authenticator.hpp"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "authenticate/authenticator.hpp"
#include "support/request_builder.hpp"
#include "support/token_factory.hpp"
#include "unit/authenticate/session_bench.hpp"

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
    issuer->keys = std::make_shared<KeySource>(need(KeySet::from_jwks(jwks, warnings)));
    return issuer;
  }
};

const TokenPlace kBearer{TokenPlace::Kind::authorization, ""};
const TokenPlace kAccessCookie{TokenPlace::Kind::cookie, "access"};

CredentialPlan plan_of(std::vector<IssuerPtr> issuers, std::vector<TokenPlace> places = {kBearer}) {
  return {{{CredentialPlan::Step::Kind::jwt, ~std::uint64_t{0}}}, std::move(issuers), std::move(places), nullptr};
}

class JwtAuthenticatorTest : public SessionBench {
 protected:
  identity::AuthOutcome authenticate(const http::RequestHead& request, const CredentialPlan& plan, WallTime now) {
    return std::get<Authentication>(authenticator_.try_authenticate(request, plan, now)).outcome;
  }
  identity::AuthOutcome ask(const std::string& token, const CredentialPlan& plan, WallTime now = kNow) {
    const auto request = RequestBuilder().field("Authorization", "Bearer " + token);
    return authenticate(request.head(), plan, now);
  }
  // The subject, or why not.
  std::string judge(const std::string& token, const CredentialPlan& plan, WallTime now = kNow) { return word_of(ask(token, plan, now)); }

  [[nodiscard]] bool revoke_at(store::Revocation::Kind kind, std::string value, WallTime issued_before) {
    return revocations_.add({kind, std::move(value), issued_before, 1h}, kNow + 1h, kNow);
  }

  VerifiedTokenCache cache_{1000, 10 * 1024 * 1024};
  JwtAuthenticator tokens_{cache_, revocations_};
  Authenticator authenticator_{tokens_, sessions_};
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
  EXPECT_EQ(word_of(authenticate(nothing.head(), plan_of({corp_}), kNow)), "not presented");
  const auto two = RequestBuilder().field("Authorization", "Bearer " + token_).field("Authorization", "Bearer " + token_);
  EXPECT_EQ(word_of(authenticate(two.head(), plan_of({corp_}), kNow)), "ambiguous");
  const auto bare = RequestBuilder().field("Authorization", "Bearer");
  EXPECT_EQ(word_of(authenticate(bare.head(), plan_of({corp_}), kNow)), "malformed");
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
  const IssuerPtr by_cookie = IssuerBuilder("web").iss("https://web.example").token_from({kAccessCookie}).build();
  const CredentialPlan both = plan_of({corp_, by_cookie}, {kBearer, kAccessCookie});
  const std::string web = testing::good_token(Algorithm::es256, Claims().set("iss", "\"https://web.example\""));
  const auto ask_cookie = [&](const std::string& token) {
    const auto request = RequestBuilder().field("Cookie", "access=" + token);
    return word_of(authenticate(request.head(), both, kNow));
  };
  EXPECT_EQ(ask_cookie(web), "alice");
  EXPECT_EQ(judge(token_, both), "alice");
  // Both are in the cache now; the place is asked about all the same.
  EXPECT_EQ(judge(web, both), "unknown_issuer");
  EXPECT_EQ(ask_cookie(token_), "unknown_issuer");
}

TEST_F(JwtAuthenticatorTest, TakesOneTokenThatStandsAtTwoPlaces) {
  const IssuerPtr anywhere = IssuerBuilder("corp").token_from({kBearer, kAccessCookie}).build();
  const CredentialPlan plan = plan_of({anywhere}, {kBearer, kAccessCookie});
  const auto same = RequestBuilder().field("Authorization", "Bearer " + token_).field("Cookie", "access=" + token_);
  EXPECT_EQ(word_of(authenticate(same.head(), plan, kNow)), "alice");
  const auto different = RequestBuilder().field("Authorization", "Bearer " + token_).field("Cookie", "access=x" + token_);
  EXPECT_EQ(word_of(authenticate(different.head(), plan, kNow)), "ambiguous");
}

TEST_F(JwtAuthenticatorTest, B18_TakesNoTokenFromTheQuery) {
  const auto request = RequestBuilder().target("/a?access_token=" + token_);
  EXPECT_EQ(word_of(authenticate(request.head(), plan_of({corp_}), kNow)), "not presented");
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

// Revocation.

using Kind = store::Revocation::Kind;

TEST_F(JwtAuthenticatorTest, RefusesATokenThatWasRevokedBeforeItWasSeen) {
  const std::string token = testing::good_token(Algorithm::es256, Claims().set("jti", "\"id-1\""));
  const std::string other = testing::good_token(Algorithm::es256, Claims().set("jti", "\"id-2\""));
  ASSERT_TRUE(revoke_at(Kind::token_id, "id-1", kNow));
  EXPECT_EQ(judge(token, plan_of({corp_})), "revoked");
  EXPECT_EQ(judge(other, plan_of({corp_})), "alice");
  EXPECT_EQ(cache_.entries(), 1U) << "a refusal is not cached";
}

TEST_F(JwtAuthenticatorTest, N01_NoTokenIsGoodBeforeWhatWasRevokedIsKnown) {
  const std::string revoked = testing::good_token(Algorithm::es256, Claims().set("jti", "\"id-1\""));
  revocations_.expect_history();
  for (const std::string& token : {token_, revoked}) {
    const auto outcome = ask(token, plan_of({corp_}));
    EXPECT_TRUE(std::holds_alternative<identity::Unavailable>(outcome)) << word_of(outcome);
  }
  EXPECT_EQ(cache_.entries(), 0U);
  EXPECT_EQ(judge("a.b.c", plan_of({corp_})), "malformed") << "what is bad in any case is refused";
  ASSERT_TRUE(revoke_at(Kind::token_id, "id-1", kNow));
  EXPECT_EQ(judge(revoked, plan_of({corp_})), "revoked") << "what was heard counts before all was";
  revocations_.complete();
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(revoked, plan_of({corp_})), "revoked");
}

TEST_F(JwtAuthenticatorTest, NoCachedTokenIsGoodWhenRevocationsAreNotHeardAnyMore) {
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  revocations_.expect_history();
  for (int i = 0; i < 2; ++i) {
    const auto outcome = ask(token_, plan_of({corp_}));
    EXPECT_TRUE(std::holds_alternative<identity::Unavailable>(outcome)) << word_of(outcome);
  }
  revocations_.complete();
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  EXPECT_EQ(cache_.entries(), 1U);
}

TEST_F(JwtAuthenticatorTest, G08_RefusesACachedTokenFromTheMomentThatItIsRevoked) {
  const std::string token = testing::good_token(Algorithm::es256, Claims().set("jti", "\"id-1\""));
  EXPECT_EQ(judge(token, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(token, plan_of({corp_})), "alice");
  ASSERT_TRUE(revoke_at(Kind::token_id, "id-1", kNow));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(judge(token, plan_of({corp_})), "revoked") << i;
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice") << "another token of the same subject";
}

TEST_F(JwtAuthenticatorTest, G08_KeepsCachedTokensThatARevocationDoesNotConcern) {
  EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(revoke_at(Kind::subject, "user-" + std::to_string(i), kNow));
    EXPECT_EQ(judge(token_, plan_of({corp_})), "alice");
  }
  EXPECT_EQ(cache_.hits(), 5U);
  EXPECT_EQ(cache_.entries(), 1U);
}

TEST_F(JwtAuthenticatorTest, RefusesASubjectsTokensUpToTheSecondOfItsRevocation) {
  const auto issued_at = [](std::string_view iat) { return testing::good_token(Algorithm::es256, Claims().set("iat", iat)); };
  // In the middle of a second.
  ASSERT_TRUE(revoke_at(Kind::subject, "alice", kNow - 10s + 500ms));
  const std::string second = std::to_string(kNowSeconds - 10);
  EXPECT_EQ(judge(issued_at(second), plan_of({corp_})), "revoked") << "a whole second may be any moment of it";
  EXPECT_EQ(judge(issued_at(second + ".4"), plan_of({corp_})), "revoked");
  EXPECT_EQ(judge(issued_at(second + ".6"), plan_of({corp_})), "alice") << "a fraction tells";
  EXPECT_EQ(judge(issued_at(std::to_string(kNowSeconds - 9)), plan_of({corp_})), "alice");
  EXPECT_EQ(judge(testing::good_token(Algorithm::es256, Claims().remove("iat")), plan_of({corp_})), "revoked") << "older than everything";
}

TEST_F(JwtAuthenticatorTest, RefusesEverythingThatWasIssuedBefore) {
  ASSERT_TRUE(revoke_at(Kind::everything, "", kNow + 1s));
  EXPECT_EQ(judge(token_, plan_of({corp_})), "revoked");
  EXPECT_EQ(judge(testing::good_token(Algorithm::es256, Claims().set("iat", kNowSeconds + 3)), plan_of({corp_})), "alice");
}

// Tokens of the edge.

IssuerPtr edge_issuer(std::vector<TokenPlace> places = {kBearer, kAccessCookie}) {
  auto issuer = std::make_shared<Issuer>(*IssuerBuilder("edge").iss("https://gateway.example").token_from(std::move(places)).build());
  issuer->is_edge = true;
  return issuer;
}
Claims edge_claims() { return Claims().set("iss", "\"https://gateway.example\"").set("sid", "\"family-1\""); }
std::string edge_token(const Claims& claims = edge_claims()) { return testing::good_token(Algorithm::es256, claims); }

TEST_F(JwtAuthenticatorTest, ReadsTheFamilyOfATokenOfTheEdge) {
  const auto outcome = ask(edge_token(), plan_of({edge_issuer()}));
  EXPECT_EQ(std::get<IdentityPtr>(outcome)->facts().family, "family-1");
}

TEST_F(JwtAuthenticatorTest, RefusesATokenOfTheEdgeWithoutAFamily) {
  const CredentialPlan plan = plan_of({edge_issuer()});
  EXPECT_EQ(judge(edge_token(edge_claims().remove("sid")), plan), "claim_missing");
  EXPECT_EQ(judge(edge_token(edge_claims().set("sid", "null")), plan), "claim_missing");
  EXPECT_EQ(judge(edge_token(edge_claims().set("sid", "7")), plan), "claim_invalid");
  EXPECT_EQ(judge(edge_token(edge_claims().set("sid", "\"\"")), plan), "claim_invalid");
  EXPECT_EQ(judge(edge_token(), plan), "alice");
}

TEST_F(JwtAuthenticatorTest, ReadsNoFamilyOutOfTheTokensOfOthers) {
  const std::string token = testing::good_token(Algorithm::es256, Claims().set("sid", "\"family-1\""));
  const auto outcome = ask(token, plan_of({corp_}));
  EXPECT_EQ(std::get<IdentityPtr>(outcome)->facts().family, "");
  ASSERT_TRUE(revoke_at(Kind::family, "family-1", kNow));
  EXPECT_EQ(judge(token, plan_of({corp_})), "alice");
  EXPECT_EQ(judge(testing::good_token(Algorithm::es256), plan_of({corp_})), "alice") << "sid is not required of others";
}

TEST_F(JwtAuthenticatorTest, RefusesATokenWhoseFamilyWasRevoked) {
  const CredentialPlan plan = plan_of({edge_issuer()});
  EXPECT_EQ(judge(edge_token(), plan), "alice");
  ASSERT_TRUE(revoke_at(Kind::family, "family-1", kNow));
  EXPECT_EQ(judge(edge_token(), plan), "revoked");
  EXPECT_EQ(judge(edge_token(edge_claims().set("sid", "\"family-2\"")), plan), "alice");
}

TEST_F(JwtAuthenticatorTest, KnowsAnExpiredTokenOfTheEdgeFromAForgedOne) {
  const IssuerPtr edge = edge_issuer();
  const CredentialPlan plan = plan_of({edge, corp_}, {kBearer, kAccessCookie});
  const auto is_expired_edge_token = [&](const std::string& token) {
    return tokens_.judge({.token = token, .places = 0b10, .by_cookie = true}, plan, kNow).is_expired_edge_token;
  };
  const std::string expired = edge_token(edge_claims().set("exp", kNowSeconds - 60));
  EXPECT_TRUE(is_expired_edge_token(expired));
  std::string forged = expired;
  forged.replace(forged.rfind('.') + 1, 8, "AAAAAAAA");
  EXPECT_FALSE(is_expired_edge_token(forged));
  EXPECT_FALSE(is_expired_edge_token(edge_token())) << "good";
  EXPECT_FALSE(is_expired_edge_token(edge_token(edge_claims().set("exp", kNowSeconds - 60).set("aud", "\"other\""))));
  EXPECT_FALSE(is_expired_edge_token(edge_token(edge_claims().set("nbf", kNowSeconds + 60))));
  EXPECT_FALSE(is_expired_edge_token(testing::good_token(Algorithm::es256, Claims().set("exp", kNowSeconds - 60)))) << "of another issuer";
}

}  // namespace
}  // namespace sallyport::authenticate
