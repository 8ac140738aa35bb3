#include "issue/establishment.hpp"

#include <string>

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace sallyport::issue {
namespace {

constexpr std::int64_t kNowSeconds = 1'700'000'000;
constexpr WallTime kNow = WallTime(std::chrono::seconds(kNowSeconds)) + std::chrono::milliseconds(700);

Result<Principal> read(const std::string& document) { return read_establishment(base64url_encode(document), kNow); }

Json json(const std::string& text) { return Json::parse(text).value(); }

std::string claim_of_size(std::size_t document_bytes) {
  const std::string begin = R"({"sub":"alice","x":")";
  return begin + std::string(document_bytes - begin.size() - 2, 'x') + "\"}";
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Establishment, ReadsASubjectAndWhatIsSaidOfIt) {
  const auto principal = read(R"({"roles":["admin"],"sub":"alice","email":"a@example.org"})");
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->subject, "alice");
  EXPECT_EQ(principal->claims, json(R"({"roles":["admin"],"email":"a@example.org","auth_time":1700000000})"));
}

TEST(Establishment, KeepsAnAuthenticationTimeOfThePastAndNoneOfTheFuture) {
  const auto stated = [](const std::string& time) { return read(R"({"sub":"alice","auth_time":)" + time + "}"); };
  EXPECT_EQ(*stated("1699990000")->claims.find("auth_time"), json("1699990000"));
  EXPECT_EQ(*stated("0")->claims.find("auth_time"), json("0"));
  // The clock of an upstream may be ahead a little; the login is no younger for it.
  EXPECT_EQ(*stated("1700000300")->claims.find("auth_time"), json("1700000000"));
  for (const char* bad : {"1700000301", "1700000000000", "-1", "1.5", "1e9", "\"1700000000\"", "null", "true", "[1]", "9223372036854775808",
                          "18446744073709551615"}) {
    const auto refused = stated(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().fault, Fault::malformed) << bad;
  }
}

TEST(Establishment, RefusesWhatOnlyTheGatewayMaySay) {
  for (const char* member : {"iss", "aud", "exp", "nbf", "iat", "jti", "sid", "typ", "cnf"}) {
    const auto refused = read(R"({"sub":"alice",")" + std::string(member) + R"(":1})");
    ASSERT_FALSE(refused) << member;
    EXPECT_EQ(refused.error().fault, Fault::malformed) << member;
  }
  EXPECT_FALSE(read(R"({"sub":"alice","\u0069ss":"x"})")) << "an escaped name is the name it spells";
  EXPECT_TRUE(read(R"({"sub":"alice","ISS":1})")) << "names are compared byte for byte";
}

struct BadSubject {
  const char* name;
  const char* member;
};

class EstablishmentSubject : public ::testing::TestWithParam<BadSubject> {};

TEST_P(EstablishmentSubject, IsRefused) {
  EXPECT_FALSE(read(std::string("{") + GetParam().member + R"("x":1})"));
  EXPECT_TRUE(read(R"({"sub":"alice","x":1})")) << "the twin";
}

INSTANTIATE_TEST_SUITE_P(Kinds, EstablishmentSubject,
                         ::testing::Values(BadSubject{"Absent", ""}, BadSubject{"Empty", R"("sub":"",)"},
                                           BadSubject{"Null", R"("sub":null,)"}, BadSubject{"Number", R"("sub":1,)"},
                                           BadSubject{"Array", R"("sub":["alice"],)"}, BadSubject{"Twice", R"("sub":"alice","sub":"bob",)"},
                                           BadSubject{"Nul", R"("sub":"a\u0000b",)"}, BadSubject{"Newline", R"("sub":"a\nb",)"},
                                           BadSubject{"Tab", R"("sub":"a\tb",)"}, BadSubject{"Delete", R"("sub":"a\u007fb",)"},
                                           BadSubject{"Bytes", "\"sub\":\"a\xFF\","}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Establishment, TakesASubjectOf255BytesAndNoMore) {
  EXPECT_TRUE(read(R"({"sub":")" + std::string(255, 's') + "\"}"));
  const auto refused = read(R"({"sub":")" + std::string(256, 's') + "\"}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::too_large);
  EXPECT_TRUE(read(R"({"sub":"Zoë Müller"})"));
}

TEST(Establishment, TakesFourKibibytesAndNoMore) {
  EXPECT_TRUE(read(claim_of_size(4096)));
  for (const std::size_t size : {std::size_t{4097}, std::size_t{4098}, std::size_t{4099}, std::size_t{100'000}}) {
    const auto refused = read(claim_of_size(size));
    ASSERT_FALSE(refused) << size;
    EXPECT_EQ(refused.error().fault, Fault::too_large) << size;
  }
}

TEST(Establishment, TakesThirtyTwoLevelsAndNoMore) {
  EXPECT_TRUE(read(R"({"sub":"alice","x":)" + nested(31) + "}"));
  EXPECT_FALSE(read(R"({"sub":"alice","x":)" + nested(32) + "}"));
  EXPECT_TRUE(make_principal("alice", json(R"({"x":)" + nested(31) + "}"), kNow));
  EXPECT_FALSE(make_principal("alice", json(R"({"x":)" + nested(32) + "}"), kNow));
}

TEST(Establishment, RefusesWhatIsNoStrictObjectInStrictBase64url) {
  for (const char* document :
       {"", "null", "[]", "\"alice\"", "{", "{} ", "{\"sub\":\"alice\"}x", "{'sub':'alice'}", "\xEF\xBB\xBF{\"sub\":\"a\"}"}) {
    EXPECT_FALSE(read(document)) << document;
  }
  const std::string good = base64url_encode(R"({"sub":"alice"})");
  ASSERT_TRUE(read_establishment(good, kNow));
  for (const std::string& text : {good + "=", good + "==", " " + good, good + "\n", good + ",", std::string("{\"sub\":\"alice\"}")}) {
    EXPECT_FALSE(read_establishment(text, kNow)) << text;
  }
}

TEST(Establishment, H15_NeverRepeatsAValueInWhatItSaysOfAFault) {
  const std::string secret = "hunter2-very-secret";
  for (const std::string& document :
       {R"({"sub":")" + secret + R"(\n"})", R"({"sub":"a","iss":")" + secret + "\"}", R"({"sub":"a","auth_time":")" + secret + "\"}",
        "{\"" + secret + "\":1,\"" + secret + "\":2}", "{\"sub\":\"" + secret}) {
    const auto refused = read(document);
    ASSERT_FALSE(refused) << document;
    EXPECT_EQ(refused.error().detail.find(secret), std::string::npos) << refused.error().detail;
  }
}

TEST(Establishment, MakesAPrincipalOfASubjectAndClaims) {
  const auto principal = make_principal("alice", json(R"({"tenant":"acme"})"), kNow);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->claims, json(R"({"tenant":"acme","auth_time":1700000000})"));
  EXPECT_FALSE(make_principal("alice", json(R"({"sub":"bob"})"), kNow)) << "two subjects";
  EXPECT_FALSE(make_principal("", json("{}"), kNow));
  EXPECT_FALSE(make_principal("a\xFF", json("{}"), kNow));
  EXPECT_FALSE(make_principal("alice", Json(), kNow)) << "no claims at all is not an empty set of them";
  EXPECT_FALSE(make_principal("alice", json("[]"), kNow));
  EXPECT_FALSE(make_principal("alice", json(R"({"exp":1})"), kNow));
  EXPECT_FALSE(make_principal("alice", json("{\"x\":\"" + std::string(4096, 'x') + "\"}"), kNow));
}

}  // namespace
}  // namespace sallyport::issue
