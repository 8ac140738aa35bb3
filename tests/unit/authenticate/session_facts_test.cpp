#include "authenticate/session_facts.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"
#include "support/mutations.hpp"
#include "support/token_factory.hpp"
#include "unit/authenticate/constant_time.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityFacts;
using identity::Refused;
using testing::kNow;
using testing::kNowSeconds;
using testing::need;
using namespace std::chrono_literals;
using namespace std::string_literals;

using Facts = std::variant<IdentityFacts, Refused>;

std::string facts_word(const Facts& reading) {
  if (const auto* refused = std::get_if<Refused>(&reading)) return std::string(name(refused->reason));
  return std::get<IdentityFacts>(reading).subject;
}

// Sessions of our own.

store::Session session_with(std::string_view claims) {
  return {.key = sha256("a"),
          .subject = "alice",
          .claims = need(store::SessionClaims::parse(std::string(claims), {})),
          .created_at = kNow - 1h,
          .last_seen_at = kNow - 1min,
          .idle_left = 29min,
          .absolute_left = 23h};
}
SessionSettings settings() {
  SessionSettings settings;
  settings.issuer = "https://gateway.example";
  return settings;
}
IdentityFacts own_facts(std::string_view claims) { return std::get<IdentityFacts>(facts_of(session_with(claims), settings(), kNow)); }

TEST(SessionFacts, SayWhatTheSessionSays) {
  const IdentityFacts facts = own_facts(R"({"roles":["admin","user"],"scope":"orders:read orders:write","tenant":"acme"})");
  EXPECT_EQ(facts.subject, "alice");
  EXPECT_EQ(facts.issuer, "https://gateway.example");
  EXPECT_EQ(facts.issuer_name, "edge");
  EXPECT_EQ(facts.method, identity::AuthMethod::session);
  EXPECT_EQ(facts.roles, (std::vector<std::string>{"admin", "user"}));
  EXPECT_EQ(facts.scopes, (std::vector<std::string>{"orders:read", "orders:write"}));
  EXPECT_EQ(*facts.claims.json().find("tenant")->string(), "acme");
  EXPECT_EQ(facts.expires_at, kNow + 23h);
  EXPECT_EQ(facts.issued_at, kNow - 1h);
  EXPECT_EQ(facts.authenticated_at, kNow - 1h);
  EXPECT_EQ(facts.session, store::handle_of(sha256("a")));
  EXPECT_EQ(facts.family, "");
  EXPECT_EQ(facts.token_id, "");
}

TEST(SessionFacts, NameTheSubjectAndTheIssuerAmongTheClaims) {
  const IdentityFacts facts = own_facts(R"({"sub":"root","iss":"https://elsewhere.example","a":1})");
  EXPECT_EQ(*facts.claims.json().find("sub")->string(), "alice") << "what was established, whatever the claims say";
  EXPECT_EQ(*facts.claims.json().find("iss")->string(), "https://gateway.example");
  EXPECT_EQ(facts.claims.json().object()->size(), 3U);
}

// Claims stay text until somebody asks, and text is put together.
TEST(SessionFacts, SayTheSameOfClaimsHoweverTheyAreWritten) {
  struct Row {
    const char* claims;
    const char* all;
  };
  const Row rows[] = {
      {"{}", R"({"sub":"alice","iss":"https://gateway.example"})"},
      {R"({"a":{"b":[1,"x",null]}})", R"({"sub":"alice","iss":"https://gateway.example","a":{"b":[1,"x",null]}})"},
      {R"( { "a" : 1 } )", R"({"sub":"alice","iss":"https://gateway.example","a":1})"},
      {"{ }", R"({"sub":"alice","iss":"https://gateway.example"})"},
      {R"({"iss":null})", R"({"sub":"alice","iss":"https://gateway.example"})"},
      {R"({"\u0073ub":"root","b":2})", R"({"sub":"alice","iss":"https://gateway.example","b":2})"},
      {R"({"r\u006fles":["admin"]})", R"({"sub":"alice","iss":"https://gateway.example","roles":["admin"]})"},
  };
  for (const Row& row : rows) EXPECT_EQ(own_facts(row.claims).claims.json().dump(), row.all) << row.claims;
  EXPECT_EQ(own_facts(R"({"r\u006fles":["admin"]})").roles, std::vector<std::string>{"admin"});
}

TEST(SessionFacts, NameASubjectAsItIsWhateverItHolds) {
  for (const std::string& subject : {"a\"b\\c"s, "m\xC3\xBCller"s, "\xFF"s, "a\r\nb"s, std::string("a\0b", 3)}) {
    store::Session session = session_with(R"({"a":1})");
    session.subject = subject;
    const auto facts = std::get<IdentityFacts>(facts_of(std::move(session), settings(), kNow));
    EXPECT_EQ(facts.subject, subject);
    EXPECT_EQ(*facts.claims.json().find("sub")->string(), subject);
    EXPECT_EQ(*facts.claims.json().find("a")->number(), 1.0);
  }
}

TEST(SessionFacts, ReadRolesAndScopesAsOfAToken) {
  EXPECT_EQ(own_facts(R"({"roles":"admin"})").roles, std::vector<std::string>{"admin"});
  EXPECT_EQ(own_facts(R"({"scope":["a b","c"]})").scopes, (std::vector<std::string>{"a b", "c"}));
  const IdentityFacts unreadable = own_facts(R"({"roles":["admin",7],"scope":7})");
  EXPECT_TRUE(unreadable.roles.empty() && unreadable.roles_unreadable);
  EXPECT_TRUE(unreadable.scopes.empty() && unreadable.scopes_unreadable);
  const IdentityFacts none = own_facts("{}");
  EXPECT_TRUE(none.roles.empty() && !none.roles_unreadable && none.scopes.empty() && !none.scopes_unreadable);
}

TEST(SessionFacts, KnowWhenTheCallerWasAuthenticated) {
  const auto at = [](std::string_view auth_time) { return own_facts(R"({"auth_time":)"s.append(auth_time) + "}").authenticated_at; };
  EXPECT_EQ(at(std::to_string(kNowSeconds - 7200)), kNow - 2h);
  EXPECT_EQ(at("null"), kNow - 1h);
  EXPECT_EQ(at(std::to_string(kNowSeconds + 5)), kNow + 5s) << "clocks differ";
  EXPECT_EQ(at(std::to_string(kNowSeconds + 6)), std::nullopt);
  EXPECT_EQ(at("\"yesterday\""), std::nullopt) << "what cannot be read is not the session's beginning";
}

TEST(SessionFacts, AreNotMadeOfASessionWithoutSubjectClaimsOrTime) {
  store::Session session = session_with("{}");
  session.subject = "";
  EXPECT_EQ(facts_word(facts_of(std::move(session), settings(), kNow)), "claim_missing");
  EXPECT_FALSE(store::SessionClaims::parse("[]", {}));
  EXPECT_FALSE(store::SessionClaims::parse("null", {}));
  session = session_with("{}");
  session.idle_left = 0ms;
  EXPECT_EQ(facts_word(facts_of(std::move(session), settings(), kNow)), "expired");
  session = session_with("{}");
  session.absolute_left = -1ms;
  EXPECT_EQ(facts_word(facts_of(std::move(session), settings(), kNow)), "expired");
  EXPECT_EQ(facts_word(facts_of(session_with("{}"), settings(), kNow)), "alice");
}

TEST(SessionFacts, SurviveALifeWithoutEnd) {
  store::Session session = session_with("{}");
  session.absolute_left = std::chrono::milliseconds::max();
  const auto facts = facts_of(std::move(session), settings(), kNow);
  EXPECT_EQ(std::get<IdentityFacts>(facts).expires_at, kNow + kSessionLifeMax);
}

// Sessions of other applications.

ForeignSessions foreign() {
  ForeignSessions foreign;
  foreign.name = "shop";
  foreign.subject = need(JsonPointer::parse("/passport/user"));
  foreign.claims = {{"roles", need(JsonPointer::parse("/profile/roles"))},
                    {"scope", need(JsonPointer::parse("/profile/scope"))},
                    {"email", need(JsonPointer::parse("/profile/email"))}};
  foreign.secrets.emplace_back("keyboard cat");
  return foreign;
}
store::ForeignSession record(std::string_view json, std::optional<std::chrono::milliseconds> left = std::nullopt) {
  return {"id-1", need(Json::parse(json)), left};
}
Facts read_facts(std::string_view json, std::optional<std::chrono::milliseconds> left = std::nullopt) {
  return facts_of(record(json, left), foreign(), kNow);
}
IdentityFacts foreign_facts(std::string_view json, std::optional<std::chrono::milliseconds> left = std::nullopt) {
  return std::get<IdentityFacts>(read_facts(json, left));
}
std::string with_expires(std::string_view json) {
  return R"({"cookie":{"originalMaxAge":60000,"httpOnly":true,"path":"/","expires":)"s.append(json) + R"(},"passport":{"user":"bob"}})";
}

TEST(ForeignFacts, SayWhatIsMapped) {
  const IdentityFacts facts = foreign_facts(R"({"cookie":{"expires":null},"passport":{"user":"bob"},)"
                                            R"("profile":{"roles":["admin"],"scope":"a b","email":"b@example.com","card":"4111"}})");
  EXPECT_EQ(facts.subject, "bob");
  EXPECT_EQ(facts.issuer, "shop");
  EXPECT_EQ(facts.issuer_name, "shop");
  EXPECT_EQ(facts.method, identity::AuthMethod::session);
  EXPECT_EQ(facts.roles, std::vector<std::string>{"admin"});
  EXPECT_EQ(facts.scopes, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(facts.claims.json().object()->size(), 5U) << "sub, iss and what is mapped; nothing else of the record";
  EXPECT_EQ(*facts.claims.json().find("email")->string(), "b@example.com");
  EXPECT_EQ(*facts.claims.json().find("sub")->string(), "bob");
  EXPECT_EQ(facts.session, "shop:" + store::handle_of(sha256("id-1"))) << "the id itself is nobody's business";
  EXPECT_EQ(facts.issued_at, std::nullopt);
  EXPECT_EQ(facts.authenticated_at, std::nullopt);
}

TEST(ForeignFacts, LeaveOutWhatIsNotThere) {
  const IdentityFacts facts = foreign_facts(R"({"cookie":{},"passport":{"user":"bob"}})");
  EXPECT_EQ(facts.claims.json().object()->size(), 2U);
  EXPECT_TRUE(facts.roles.empty());
}

TEST(ForeignFacts, CannotBeToldWhoTheyAre) {
  ForeignSessions settings = foreign();
  settings.claims = {{"sub", need(JsonPointer::parse("/other"))}, {"iss", need(JsonPointer::parse("/other"))}};
  const auto facts = facts_of(record(R"({"cookie":{},"passport":{"user":"bob"},"other":"root"})"), settings, kNow);
  EXPECT_EQ(*std::get<IdentityFacts>(facts).claims.json().find("sub")->string(), "bob");
  EXPECT_EQ(*std::get<IdentityFacts>(facts).claims.json().find("iss")->string(), "shop");
}

TEST(ForeignFacts, TakeTimesWhereTheyAreMapped) {
  ForeignSessions settings = foreign();
  settings.claims = {{"iat", need(JsonPointer::parse("/at"))}, {"auth_time", need(JsonPointer::parse("/at"))}};
  const std::string at = std::to_string(kNowSeconds - 60);
  const auto facts =
      std::get<IdentityFacts>(facts_of(record(R"({"cookie":{},"passport":{"user":"bob"},"at":)" + at + "}"), settings, kNow));
  EXPECT_EQ(facts.issued_at, kNow - 1min);
  EXPECT_EQ(facts.authenticated_at, kNow - 1min);
  const auto text = std::get<IdentityFacts>(facts_of(record(R"({"cookie":{},"passport":{"user":"bob"},"at":"now"})"), settings, kNow));
  EXPECT_EQ(text.issued_at, std::nullopt);
}

TEST(ForeignFacts, WantASubject) {
  const auto subject = [](std::string_view json) { return facts_word(read_facts(R"({"cookie":{},"passport":{"user":)"s.append(json) + "}}")); };
  EXPECT_EQ(subject("\"bob\""), "bob");
  EXPECT_EQ(subject("42"), "42");
  EXPECT_EQ(subject("-1"), "-1");
  EXPECT_EQ(subject("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(subject("0"), "0");
  EXPECT_EQ(subject("\"\""), "claim_invalid");
  EXPECT_EQ(subject("1.5"), "claim_invalid");
  EXPECT_EQ(subject("true"), "claim_invalid");
  EXPECT_EQ(subject("[\"bob\"]"), "claim_invalid");
  EXPECT_EQ(subject("{\"id\":\"bob\"}"), "claim_invalid");
  EXPECT_EQ(subject("null"), "claim_missing");
  EXPECT_EQ(facts_word(read_facts(R"({"cookie":{}})")), "claim_missing") << "nobody has signed in";
}

TEST(ForeignFacts, G05_WantARecordOfExpressSession) {
  for (const char* json : {"[]", "null", "7", "\"x\""}) EXPECT_EQ(facts_word(read_facts(json)), "malformed") << json;
  for (const char* cookie : {"null", "7", "\"x\"", "[]"}) {
    EXPECT_EQ(facts_word(read_facts(R"({"passport":{"user":"bob"},"cookie":)"s + cookie + "}")), "claim_invalid") << cookie;
  }
  EXPECT_EQ(facts_word(read_facts(R"({"passport":{"user":"bob"}})")), "claim_invalid") << "no cookie at all";
}

TEST(ForeignFacts, EndWithTheRecordTheCookieOrADay) {
  EXPECT_EQ(foreign_facts(with_expires("null")).expires_at, kNow + 24h);
  EXPECT_EQ(foreign_facts(with_expires("null"), 10min).expires_at, kNow + 10min);
  EXPECT_EQ(foreign_facts(with_expires("null"), std::chrono::milliseconds::max()).expires_at, kNow + 24h);
  // kNow is 2023-11-14T22:13:20Z.
  EXPECT_EQ(foreign_facts(with_expires("\"2023-11-14T22:23:20.500Z\"")).expires_at, kNow + 10min + 500ms);
  EXPECT_EQ(foreign_facts(with_expires("\"2023-11-14T22:23:20Z\"")).expires_at, kNow + 10min);
  EXPECT_EQ(foreign_facts(with_expires("\"2023-11-14T22:23:20.000Z\""), 5min).expires_at, kNow + 5min) << "the sooner";
  EXPECT_EQ(foreign_facts(with_expires("\"2023-11-14T22:23:20.000Z\""), 15min).expires_at, kNow + 10min);
  EXPECT_EQ(foreign_facts(with_expires("\"9999-12-31T23:59:59.999Z\"")).expires_at, kNow + 24h);
}

TEST(ForeignFacts, G07_AreRefusedFromTheVeryEnd) {
  EXPECT_EQ(facts_word(read_facts(with_expires("\"2023-11-14T22:13:20.001Z\""))), "bob");
  EXPECT_EQ(facts_word(read_facts(with_expires("\"2023-11-14T22:13:20.000Z\""))), "expired");
  EXPECT_EQ(facts_word(read_facts(with_expires("\"2023-11-14T22:13:19.999Z\""))), "expired");
  EXPECT_EQ(facts_word(read_facts(with_expires("\"0001-01-01T00:00:00.000Z\""))), "expired");
  EXPECT_EQ(facts_word(read_facts(with_expires("null"), 1ms)), "bob");
  EXPECT_EQ(facts_word(read_facts(with_expires("null"), 0ms)), "expired");
  EXPECT_EQ(facts_word(read_facts(with_expires("null"), -1ms)), "expired");
}

TEST(ForeignFacts, AreRefusedWhereTheEndCannotBeRead) {
  for (const char* expires : {"false",
                              "true",
                              "7",
                              "1731622400000",
                              "{}",
                              "[]",
                              "\"\"",
                              "\"never\"",
                              "\"2024-11-14\"",
                              "\"2024-11-14T22:13:20\"",
                              "\"2024-11-14T22:13:20.000\"",
                              "\"2024-11-14T22:13:20.000+00:00\"",
                              "\"2024-11-14 22:13:20.000Z\"",
                              "\"2024-11-14T22:13:20.0Z\"",
                              "\"2024-11-14T22:13:20.0000Z\"",
                              "\"2024-11-14T22:13:20.000Z \"",
                              "\" 2024-11-14T22:13:20.000Z\"",
                              "\"2024-13-14T22:13:20.000Z\"",
                              "\"2024-00-14T22:13:20.000Z\"",
                              "\"2024-02-30T22:13:20.000Z\"",
                              "\"2024-11-14T24:13:20.000Z\"",
                              "\"2024-11-14T22:60:20.000Z\"",
                              "\"2024-11-14T22:13:60.000Z\"",
                              "\"+024-11-14T22:13:20.000Z\"",
                              "\"2024-1-14T22:13:20.000Z\"",
                              "\"2024-11-14T22:13:2O.000Z\"",
                              "\"+275760-09-13T00:00:00.000Z\"",
                              "\"2024-11-14t22:13:20.000z\"",
                              "\"2024-11-14T22:13:20,000Z\"",
                              "\"Thu, 14 Nov 2024 22:13:20 GMT\""}) {
    EXPECT_EQ(facts_word(read_facts(with_expires(expires))), "claim_invalid") << expires;
  }
  EXPECT_EQ(facts_word(read_facts(with_expires("\"2024-02-29T22:13:20.000Z\""))), "bob") << "a leap year";
}

// Cookies of other applications.

constexpr std::string_view kId = "PJxq8wK8cGvjHqmwzgdeUAzjFJzLC2XO";

// cookie-signature, as its source has it: value + "." + base64(HMAC-SHA256(value)) without "=".
std::string sign(std::string_view id, std::string_view secret) {
  const Sha256 digest = hmac_sha256(Secret(std::string(secret)), id);
  std::string signature = base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  while (signature.ends_with('=')) signature.pop_back();
  return std::string(id) + "." + signature;
}
std::string encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = is_tchar(static_cast<unsigned char>(c)) && std::string_view("%^`|#$&+").find(c) == std::string_view::npos;
    out += is_plain ? std::string(1, c) : "%" + hex_encode(std::string(1, c));
  }
  return out;
}

TEST(ForeignCookie, IsOpenedPlainAndEncoded) {
  const std::string plain = "s:" + sign(kId, "keyboard cat");
  EXPECT_EQ(open_foreign_cookie(plain, foreign()), kId);
  EXPECT_EQ(open_foreign_cookie(encode(plain), foreign()), kId);
  EXPECT_EQ(open_foreign_cookie("s%3A" + plain.substr(2), foreign()), kId);
  EXPECT_EQ(open_foreign_cookie("s%3a" + plain.substr(2), foreign()), kId);
  EXPECT_EQ(open_foreign_cookie("%73:" + plain.substr(2), foreign()), kId);
}

TEST(ForeignCookie, IsSignedAsCookieSignatureDoes) {
  // The example of that package's documentation.
  ForeignSessions settings = foreign();
  settings.secrets.clear();
  settings.secrets.emplace_back("tobiiscool");
  EXPECT_EQ(open_foreign_cookie("s:hello.DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI", settings), "hello");
  EXPECT_EQ(open_foreign_cookie("s%3Ahello.DGDUkGlIkCzPz%2BC0B064FNgHdEjox7ch8tOBGslZ5QI", settings), "hello");
  EXPECT_EQ(open_foreign_cookie("s:hello.DGDUkGlIkCzPz-C0B064FNgHdEjox7ch8tOBGslZ5QI", settings), std::nullopt) << "no base64url";
}

TEST(ForeignCookie, IsOpenedByAnyOfTheSecrets) {
  ForeignSessions settings = foreign();
  const std::string cookie = "s:" + sign(kId, "older cat");
  EXPECT_EQ(open_foreign_cookie(cookie, settings), std::nullopt);
  settings.secrets.emplace_back("older cat");
  EXPECT_EQ(open_foreign_cookie(cookie, settings), kId);
  settings.secrets.clear();
  EXPECT_EQ(open_foreign_cookie(cookie, settings), std::nullopt) << "no secret, no session";
}

TEST(ForeignCookie, F10_IsRefusedWithAnyBitFlippedOrCut) {
  const std::string cookie = "s:" + sign(kId, "keyboard cat");
  testing::for_each_flipped_bit(cookie, [&](std::string_view mutant, std::size_t bit) {
    ASSERT_EQ(open_foreign_cookie(mutant, foreign()), std::nullopt) << bit << " " << mutant;
  });
  testing::for_each_cut(cookie, [&](std::string_view cut) { ASSERT_EQ(open_foreign_cookie(cut, foreign()), std::nullopt) << cut.size(); });
  for (const char* more : {"=", "A", " ", "%3D", "%00"}) EXPECT_EQ(open_foreign_cookie(cookie + more, foreign()), std::nullopt) << more;
}

TEST(ForeignCookie, IsRefusedInAnotherForm) {
  const std::string good = sign(kId, "keyboard cat");
  for (const std::string& cookie : {good, "j:" + good, "S:" + good, "s:" + std::string(kId), "s:"s, ""s, "s:."s, "s" + good,
                                    "\"s:" + good + "\"", "s%3" + good, "s%3G" + good, "s%" + good, "s:" + good + "%", "s%253A" + good}) {
    EXPECT_EQ(open_foreign_cookie(cookie, foreign()), std::nullopt) << cookie;
  }
}

TEST(ForeignCookie, G02_HoldsAnIdThatIsFitForAKey) {
  const auto open = [](std::string_view id) { return open_foreign_cookie(encode("s:" + sign(id, "keyboard cat")), foreign()); };
  for (const std::string& id : {"a b"s, "a\r\nb"s, "a\nb"s, "a\0b"s, "a\tb"s, "\x7F"s, "z\xC3\xB6"s, " "s, ""s}) {
    EXPECT_EQ(open(id), std::nullopt) << id;
  }
  for (const std::string& id : {"a"s, "a.b"s, "*?[]{}:"s, "~!"s}) EXPECT_EQ(open(id), id) << "the application made it: it is read as it is";
  EXPECT_EQ(open(std::string(200, 'x')), std::string(200, 'x'));
  EXPECT_EQ(open(std::string(201, 'x')), std::nullopt);
}

TEST(ForeignCookie, KeepsNoPercentThatEncodesNothing) {
  for (const char* id : {"a%zz", "a%4", "a%", "%%41", "a%4x"}) {
    EXPECT_EQ(open_foreign_cookie("s:" + sign(id, "keyboard cat"), foreign()), std::nullopt) << id;
    EXPECT_EQ(open_foreign_cookie(encode("s:" + sign(id, "keyboard cat")), foreign()), id) << "said properly";
  }
}

TEST(ForeignCookie, IsBounded) {
  EXPECT_EQ(open_foreign_cookie(std::string(16 * 1024, 'x'), foreign()), std::nullopt);
  EXPECT_EQ(open_foreign_cookie("s:" + std::string(16 * 1024, '%'), foreign()), std::nullopt);
}

TEST(ForeignCookie, G12_IsComparedInConstantTime) {
  const auto before = testing::constant_time_comparisons();
  ASSERT_NE(open_foreign_cookie("s:" + sign(kId, "keyboard cat"), foreign()), std::nullopt);
  const auto after = testing::constant_time_comparisons();
  EXPECT_EQ(after.count, before.count + 1);
  EXPECT_EQ(after.last_length, 43U);
}

}  // namespace
}  // namespace sallyport::authenticate
