// Claims (hazards C): correctly signed, so that nothing but the claims decides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityFacts;
using identity::RefusalReason;
using identity::Refused;
using testing::Claims;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kNow;
using testing::kNowSeconds;
using testing::test_key;
using namespace std::chrono_literals;
using namespace std::string_literals;

Expectations expected() { return testing::expectations({Algorithm::hs256}); }  // tolerance 5 s

std::variant<IdentityFacts, Refused> judge_payload(std::string_view payload, const Expectations& expectations = expected(),
                                                   WallTime now = kNow) {
  auto parsed = UnverifiedJwt::parse(testing::compact(testing::header_for(Algorithm::hs256), payload, test_key(Algorithm::hs256).signing));
  if (auto* refused = std::get_if<Refused>(&parsed)) return std::move(*refused);
  return JwtVerifier::verify(std::get<UnverifiedJwt>(std::move(parsed)), test_key(Algorithm::hs256).verifying, expectations, now);
}

std::optional<RefusalReason> reason(const std::variant<IdentityFacts, Refused>& outcome) {
  const auto* refused = std::get_if<Refused>(&outcome);
  return refused == nullptr ? std::nullopt : std::optional(refused->reason);
}

std::optional<RefusalReason> judge(const Claims& claims, const Expectations& expectations = expected(), WallTime now = kNow) {
  return reason(judge_payload(claims.text(), expectations, now));
}

IdentityFacts facts(const Claims& claims, const Expectations& expectations = expected()) {
  auto outcome = judge_payload(claims.text(), expectations);
  if (const auto* refused = std::get_if<Refused>(&outcome)) throw std::runtime_error("refused: " + refused->detail);
  return std::get<IdentityFacts>(std::move(outcome));
}

WallTime at(double seconds) { return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(seconds))); }

constexpr std::nullopt_t kAccepted = std::nullopt;

TEST(JwtClaims, AreAcceptedWhenAllIsGood) {
  const IdentityFacts good = facts(Claims().set("jti", R"("t-1")").set("auth_time", kNowSeconds - 60));
  EXPECT_EQ(good.subject, "alice");
  EXPECT_EQ(good.issuer, "https://issuer.example");
  EXPECT_EQ(good.method, identity::AuthMethod::jwt);
  EXPECT_EQ(good.token_id, "t-1");
  EXPECT_EQ(good.expires_at, kNow + 605s);
  EXPECT_EQ(good.issued_at, kNow);
  EXPECT_EQ(good.authenticated_at, kNow - 60s);
  EXPECT_EQ(*good.claims.json().find("sub")->string(), "alice");
}

TEST(JwtClaims, C01_RequireExp) {
  EXPECT_EQ(judge(Claims().remove("exp")), RefusalReason::claim_missing);
  Expectations lax = expected();
  lax.require_claims = {};
  EXPECT_EQ(judge(Claims().remove("exp"), lax), RefusalReason::claim_missing);
}

TEST(JwtClaims, C02_RefuseDatesThatAreNoNumbers) {
  for (const char* member : {"exp", "nbf", "iat"}) {
    for (const char* json : {"\"1\"", "\"99999999999\"", "\"\"", "true", "false", "null", "[]", "[1800000000]", "{}"}) {
      EXPECT_EQ(judge(Claims().set(member, json)), RefusalReason::claim_invalid) << member << " " << json;
    }
  }
}

TEST(JwtClaims, C03_EndAtExpPlusTheTolerance) {
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds - 6)), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds - 5)), RefusalReason::expired) << "on or after (RFC 7519, section 4.1.4)";
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds - 4)), kAccepted);
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds)), kAccepted);
  const WallTime end = kNow + 5s;
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds), expected(), end - 1ns), kAccepted);
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds), expected(), end), RefusalReason::expired);
  Expectations strict = expected();
  strict.clock_tolerance = 0s;
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds), strict), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", kNowSeconds + 1), strict), kAccepted);
}

TEST(JwtClaims, C04_CompareFractionsExactly) {
  Expectations strict = expected();
  strict.clock_tolerance = 0s;
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.5"), strict, at(1700000000.25)), kAccepted);
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.5"), strict, at(1700000000.5)), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.5"), strict, at(1700000000.75)), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.99"), strict, kNow + 1s), RefusalReason::expired) << "never rounded up";
  EXPECT_EQ(judge(Claims().set("exp", "1.5")), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", "17000006e2")), kAccepted);
  EXPECT_EQ(judge(Claims().set("exp", "1E+10")), kAccepted);
  EXPECT_EQ(judge(Claims().set("exp", "17e8").remove("iat"), strict), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("nbf", "1700000000.75"), strict, at(1700000000.5)), RefusalReason::not_yet_valid);
  EXPECT_EQ(judge(Claims().set("nbf", "1700000000.75"), strict, at(1700000000.75)), kAccepted);
}

// As a double, 1700000000.3 is 1700000000.29999995…: between two nanoseconds.
TEST(JwtClaims, C04_RoundNeverInTheTokensFavour) {
  Expectations strict = expected();
  strict.clock_tolerance = 0s;
  const WallTime below = kNow + 299'999'952ns;
  for (const char* member : {"nbf", "iat"}) {
    EXPECT_EQ(judge(Claims().set(member, "1700000000.3"), strict, below), RefusalReason::not_yet_valid) << member;
    EXPECT_EQ(judge(Claims().set(member, "1700000000.3"), strict, below + 1ns), kAccepted) << member;
  }
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.3"), strict, below), RefusalReason::expired);
  EXPECT_EQ(judge(Claims().set("exp", "1700000000.3"), strict, below - 1ns), kAccepted);
}

TEST(JwtClaims, C05_RefuseExpBeyondAnyClockAndBelowZero) {
  for (const char* exp : {"1e308", "9223372036854775807", "9223372036854775808", "18446744073709551615", "253402300800", "1e12"}) {
    EXPECT_EQ(judge(Claims().set("exp", exp)), RefusalReason::claim_invalid) << exp;
  }
  for (const char* exp :
       {"1e999", "18446744073709551616", "99999999999999999999", "NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1."}) {
    EXPECT_NE(judge(Claims().set("exp", exp)), kAccepted) << exp;
  }
  for (const char* exp : {"-1", "-0", "-0.0", "0", "0.5", "-1e308", "-9223372036854775808"}) {
    EXPECT_EQ(judge(Claims().set("exp", exp)), RefusalReason::expired) << exp;
  }
  EXPECT_EQ(judge(Claims().set("exp", "253402300799")), kAccepted) << "the last second of the year 9999";
  EXPECT_EQ(judge(Claims().set("exp", "253402300799.9")), kAccepted);
}

TEST(JwtClaims, C05_NeverOutliveTheClockType) { EXPECT_EQ(facts(Claims().set("exp", "253402300799")).expires_at, WallTime::max()); }

TEST(JwtClaims, C06_RefuseExpInMilliseconds) { EXPECT_EQ(judge(Claims().set("exp", "1700000600000")), RefusalReason::claim_invalid); }

TEST(JwtClaims, C07_RefuseMonstrousNumbersAtOnce) {
  EXPECT_EQ(judge(Claims().set("exp", "1e999999999")), RefusalReason::malformed);
  EXPECT_EQ(judge(Claims().set("exp", std::string(10'000, '9'))), RefusalReason::malformed);
  EXPECT_EQ(judge(Claims().set("exp", "0." + std::string(9'000, '9'))), RefusalReason::expired);
}

TEST(JwtClaims, C08_BeginAtNbfMinusTheTolerance) {
  EXPECT_EQ(judge(Claims().set("nbf", kNowSeconds + 6)), RefusalReason::not_yet_valid);
  EXPECT_EQ(judge(Claims().set("nbf", kNowSeconds + 5)), kAccepted);
  EXPECT_EQ(judge(Claims().set("nbf", kNowSeconds)), kAccepted);
  EXPECT_EQ(judge(Claims().set("nbf", "1e308")), RefusalReason::claim_invalid);
  EXPECT_EQ(judge(Claims().set("nbf", "-1e308")), kAccepted);
}

TEST(JwtClaims, C08_RefuseNbfAfterExpEvenInsideTheTolerance) {
  EXPECT_EQ(judge(Claims().set("nbf", kNowSeconds + 2).set("exp", kNowSeconds - 2)), RefusalReason::claim_invalid);
  EXPECT_EQ(judge(Claims().set("nbf", kNowSeconds - 2).set("exp", kNowSeconds - 2)), kAccepted);
}

TEST(JwtClaims, C09_RefuseIatInTheFutureAndRequireItForMaxAge) {
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds + 6)), RefusalReason::not_yet_valid);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds + 5)), kAccepted);
  EXPECT_EQ(judge(Claims().remove("iat")), kAccepted);
  Expectations aged = expected();
  aged.max_age = 60s;
  EXPECT_EQ(judge(Claims().remove("iat"), aged), RefusalReason::claim_missing);
  EXPECT_EQ(judge(Claims().set("iat", "null"), aged), RefusalReason::claim_invalid);
  EXPECT_EQ(judge(Claims(), aged), kAccepted);
}

TEST(JwtClaims, C09_RefuseWhatIsOlderThanMaxAgeAndTheTolerance) {
  Expectations aged = expected();
  aged.max_age = 60s;
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 65), aged), kAccepted);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 66), aged), RefusalReason::too_old);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 65), aged, kNow + 1ns), RefusalReason::too_old);
  EXPECT_EQ(judge(Claims().set("iat", "-1e308"), aged), RefusalReason::too_old);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 66)), kAccepted) << "without a max_age";
}

TEST(JwtClaims, EndNoLaterThanMaxAgeAllows) {
  Expectations aged = expected();
  aged.max_age = 60s;
  const IdentityFacts young = facts(Claims().set("iat", kNowSeconds - 10), aged);
  EXPECT_EQ(young.expires_at, kNow + 55s + 1ns);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 10), aged, young.expires_at), RefusalReason::too_old);
  EXPECT_EQ(judge(Claims().set("iat", kNowSeconds - 10), aged, young.expires_at - 1ns), kAccepted);
  EXPECT_EQ(facts(Claims().set("exp", kNowSeconds + 1), aged).expires_at, kNow + 6s);
}

TEST(JwtClaims, C11_WantTheIssuerExactly) {
  for (const char* iss :
       {"\"https://issuer.exampl\"", "\"https://issuer.example/\"", "\"https://issuer.example.org\"", "\"issuer.example\"",
        "\"https://Issuer.example\"", "\"https://issuer.example \"", "\" https://issuer.example\"", "\"HTTPS://ISSUER.EXAMPLE\"",
        "\"https://iss\xD1\x83"
        "er.example\"",
        "[\"https://issuer.example\"]", "null", "1", "{}", "\"\"", "\"https://issuer.example\\u0000\""}) {
    EXPECT_EQ(judge(Claims().set("iss", iss)), RefusalReason::unknown_issuer) << iss;
  }
  EXPECT_EQ(judge(Claims().remove("iss")), RefusalReason::unknown_issuer);
  EXPECT_EQ(judge(Claims().set("iss", R"("https:\/\/issuer.example")")), kAccepted);
}

TEST(JwtClaims, C12_WantOneOfOurAudiences) {
  Expectations two = expected();
  two.audiences = {"api", "second"};
  for (const char* aud : {"\"api\"", "[\"api\"]", "[\"api\",\"other\"]", "[\"other\",\"api\"]", "[\"other\",\"second\"]", "\"second\""}) {
    EXPECT_EQ(judge(Claims().set("aud", aud), two), kAccepted) << aud;
  }
  for (const char* aud : {"\"other\"", "[\"other\"]", "[]", "[\"\"]", "\"\"", "\"API\"", "\"api,other\"", "\"api other\"", "\"ap\"",
                          "\"apis\"", "\" api\""}) {
    EXPECT_EQ(judge(Claims().set("aud", aud), two), RefusalReason::wrong_audience) << aud;
  }
  for (const char* aud : {"[1]", "{}", "null", "1", "true", "[[\"api\"]]", "[\"api\",1]", "[\"api\",null]", "{\"api\":1}"}) {
    EXPECT_EQ(judge(Claims().set("aud", aud), two), RefusalReason::claim_invalid) << aud;
  }
  EXPECT_EQ(judge(Claims().remove("aud"), two), RefusalReason::wrong_audience);
}

TEST(JwtClaims, C12_AcceptNoAudienceWhenNoneIsOurs) {
  Expectations none = expected();
  none.audiences = {};
  EXPECT_EQ(judge(Claims(), none), RefusalReason::wrong_audience);
  EXPECT_EQ(judge(Claims().remove("aud"), none), RefusalReason::wrong_audience);
}

TEST(JwtClaims, C13_WantASubjectThatIsAString) {
  EXPECT_EQ(judge(Claims().remove("sub")), RefusalReason::claim_missing);
  EXPECT_EQ(judge(Claims().set("sub", "null")), RefusalReason::claim_missing);
  for (const char* sub : {"\"\"", "7", "true", "[\"alice\"]", "{}"})
    EXPECT_EQ(judge(Claims().set("sub", sub)), RefusalReason::claim_invalid) << sub;
  Expectations lax = expected();
  lax.require_claims = {};
  EXPECT_EQ(judge(Claims().remove("sub"), lax), kAccepted);
  EXPECT_EQ(facts(Claims().remove("sub"), lax).subject, "");
  EXPECT_EQ(judge(Claims().set("sub", "7"), lax), RefusalReason::claim_invalid) << "present, but no string";
  EXPECT_EQ(judge(Claims().set("sub", "null"), lax), RefusalReason::claim_invalid);
}

// The subject stays as it is; whoever makes a header of it refuses control bytes (identity/outbound_request).
TEST(JwtClaims, C13_KeepTheSubjectByteForByte) {
  EXPECT_EQ(facts(Claims().set("sub", R"("a\r\nX-Role: admin\u0000b")")).subject, "a\r\nX-Role: admin\0b"s);
}

TEST(JwtClaims, WantEveryRequiredClaim) {
  Expectations more = expected();
  more.require_claims = {"sub", "exp", "tenant"};
  EXPECT_EQ(judge(Claims(), more), RefusalReason::claim_missing);
  EXPECT_EQ(judge(Claims().set("tenant", "null"), more), RefusalReason::claim_missing);
  EXPECT_EQ(judge(Claims().set("tenant", "false"), more), kAccepted);
  EXPECT_EQ(judge(Claims().set("Tenant", "1"), more), RefusalReason::claim_missing);
}

TEST(JwtClaims, WantATokenIdThatIsAString) {
  for (const char* jti : {"1", "null", "[]"}) EXPECT_EQ(judge(Claims().set("jti", jti)), RefusalReason::claim_invalid) << jti;
  EXPECT_EQ(judge(Claims().set("jti", "\"1\"")), kAccepted);
}

TEST(JwtClaims, TakeNoAuthenticationTimeThatIsNoNumberOrInTheFuture) {
  for (const char* json : {"\"1\"", "null", "[]", "1700000006", "1e308"}) {
    EXPECT_EQ(facts(Claims().set("auth_time", json)).authenticated_at, std::nullopt) << json;
  }
  EXPECT_EQ(facts(Claims().set("auth_time", kNowSeconds + 5)).authenticated_at, kNow + 5s);
}

TEST(JwtClaims, C16_TakeRolesAsWholeElementsOnly) {
  EXPECT_THAT(facts(Claims().set("roles", R"("admin")")).roles, ElementsAre("admin"));
  EXPECT_THAT(facts(Claims().set("roles", R"(["admin","user"])")).roles, ElementsAre("admin", "user"));
  EXPECT_THAT(facts(Claims().set("roles", R"("user admin")")).roles, ElementsAre("user admin"));
  EXPECT_THAT(facts(Claims().set("roles", R"("administrator")")).roles, ElementsAre("administrator"));
  EXPECT_THAT(facts(Claims().set("roles", R"(["user,admin"])")).roles, ElementsAre("user,admin"));
  for (const char* json :
       {"null", "1", "true", "{}", "\"\"", "[]", R"(["admin",1])", R"([["admin"]])", R"({"admin":true})", R"(["admin",null])"}) {
    EXPECT_THAT(facts(Claims().set("roles", json)).roles, IsEmpty()) << json;
  }
  EXPECT_THAT(facts(Claims()).roles, IsEmpty());
  EXPECT_FALSE(facts(Claims()).roles_unreadable);
  EXPECT_FALSE(facts(Claims().set("roles", "null")).roles_unreadable);
  EXPECT_TRUE(facts(Claims().set("roles", R"(["admin",1])")).roles_unreadable);
  EXPECT_TRUE(facts(Claims().set("roles", R"({"0":"admin"})")).roles_unreadable);
  EXPECT_TRUE(facts(Claims().set("scope", "1")).scopes_unreadable);
}

TEST(JwtClaims, C17_SplitScopesAtSingleSpacesOnly) {
  EXPECT_THAT(facts(Claims().set("scope", R"("read write")")).scopes, ElementsAre("read", "write"));
  EXPECT_THAT(facts(Claims().set("scope", R"("read  write")")).scopes, ElementsAre("read", "write"));
  EXPECT_THAT(facts(Claims().set("scope", R"(" read ")")).scopes, ElementsAre("read"));
  EXPECT_THAT(facts(Claims().set("scope", R"("readwrite")")).scopes, ElementsAre("readwrite"));
  EXPECT_THAT(facts(Claims().set("scope", R"("read\twrite")")).scopes, ElementsAre("read\twrite"));
  EXPECT_THAT(facts(Claims().set("scope", R"("read\u00a0write")")).scopes, ElementsAre("read\xC2\xA0write"));
  EXPECT_THAT(facts(Claims().set("scope", R"("read,write")")).scopes, ElementsAre("read,write"));
  EXPECT_THAT(facts(Claims().set("scope", R"(["read write","admin"])")).scopes, ElementsAre("read write", "admin"));
  for (const char* json : {"null", "1", "{}", "\"\"", "\" \"", "[]", R"(["read",1])"}) {
    EXPECT_THAT(facts(Claims().set("scope", json)).scopes, IsEmpty()) << json;
  }
}

TEST(JwtClaims, C18_C24_RefuseDuplicateNamesHoweverTheyAreSpelled) {
  const std::string good = Claims().text();
  EXPECT_EQ(reason(judge_payload(R"({"sub":"mallory",)" + good.substr(1))), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload(R"({"s\u0075b":"mallory",)" + good.substr(1))), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload(R"({"e\u0078p":0,)" + good.substr(1))), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload(R"({"x":{"a":1,"a":2},)" + good.substr(1))), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload(R"({"x":{"a":1,"b":2},)" + good.substr(1))), kAccepted);
}

TEST(JwtClaims, C24_ReadEscapedNamesAsTheNamesTheySpell) {
  const std::string rest = Claims().remove("exp").text().substr(1);
  EXPECT_EQ(reason(judge_payload(R"({"e\u0078p":0,)" + rest)), RefusalReason::expired);
  EXPECT_EQ(reason(judge_payload(R"({"e\u0078p":1700000600,)" + rest)), kAccepted);
}

TEST(JwtClaims, C19_RefusePayloadsThatAreNoObject) {
  for (const char* payload : {"null", "[]", "\"x\"", "1", "true", "{", "x", " ", "[{}]"}) {
    EXPECT_EQ(reason(judge_payload(payload)), RefusalReason::malformed) << payload;
  }
}

TEST(JwtClaims, C20_RefuseAnythingBehindTheObject) {
  const std::string good = Claims().text();
  for (const std::string& tail : {"x"s, "{}"s, "\0"s, "}"s, ","s, "\v"s})
    EXPECT_EQ(reason(judge_payload(good + tail)), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload("\xEF\xBB\xBF" + good)), RefusalReason::malformed);
  EXPECT_EQ(reason(judge_payload(" \r\n\t" + good + " \r\n\t")), kAccepted);
}

TEST(JwtClaims, C21_TakeNestingUpToTheLimit) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  // The object itself is the first level of JsonLimits::depth_max.
  EXPECT_EQ(judge(Claims().set("x", nested(63))), kAccepted);
  EXPECT_EQ(judge(Claims().set("x", nested(64))), RefusalReason::malformed);
  EXPECT_EQ(judge(Claims().set("x", nested(1025))), RefusalReason::malformed);
  EXPECT_EQ(judge(Claims().set("x", nested(5000))), RefusalReason::malformed);
  EXPECT_EQ(judge(Claims().set("x", nested(100'000))), RefusalReason::token_too_large);
}

TEST(JwtClaims, C22_RefuseTooManyBeforeAnyCryptography) {
  Claims many;
  for (int i = 0; i < 10'000; ++i) many.set("c" + std::to_string(i), "1");
  EXPECT_EQ(judge(many), RefusalReason::token_too_large);
  EXPECT_EQ(judge(Claims().set("x", '"' + std::string(1024 * 1024, 'x') + '"')), RefusalReason::token_too_large);
}

TEST(JwtClaims, C23_RefuseInvalidUtf8) {
  for (const char* bytes : {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    EXPECT_EQ(judge(Claims().set("x", "\""s + bytes + "\"")), RefusalReason::malformed);
  }
  EXPECT_EQ(judge(Claims().set("x", R"("\ud800")")), RefusalReason::malformed) << "a lone surrogate";
  EXPECT_EQ(judge(Claims().set("x", "\"\xE2\x82\xAC\"")), kAccepted);
}

TEST(JwtClaims, C30_FollowThePointerAndNothingThatLooksLikeIt) {
  Expectations nested = expected();
  nested.roles = *JsonPointer::parse("/realm_access/roles");
  EXPECT_THAT(facts(Claims().set("realm_access", R"({"roles":["admin"]})"), nested).roles, ElementsAre("admin"));
  for (const char* json : {"null", "1", "[]", R"(["roles"])", R"({"Roles":["admin"]})", R"({"roles":{"0":"admin"}})", "{}"}) {
    EXPECT_THAT(facts(Claims().set("realm_access", json), nested).roles, IsEmpty()) << json;
  }
  EXPECT_THAT(facts(Claims().set("realm_access.roles", R"(["admin"])"), nested).roles, IsEmpty());
  EXPECT_THAT(facts(Claims().set("realm_access/roles", R"(["admin"])"), nested).roles, IsEmpty());
  nested.roles = JsonPointer::member("https://example.com/roles");
  EXPECT_THAT(facts(Claims().set("https://example.com/roles", R"(["admin"])"), nested).roles, ElementsAre("admin"));
}

}  // namespace
}  // namespace sallyport::authenticate
