#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using ::testing::HasSubstr;
using testing::need;
using testing::test_key;

class GeneratedKey : public ::testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(SigningKey, GeneratedKey, ::testing::ValuesIn(testing::all_algorithms()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(GeneratedKey, SaysItsAlgorithmUseAndKid) {
  const Json document = need(Json::parse(test_key(GetParam()).private_jwks));
  const Json& jwk = document.find("keys")->array()->front();
  EXPECT_EQ(*jwk.find("alg")->string(), name(GetParam()));
  EXPECT_EQ(*jwk.find("use")->string(), "sig");
  EXPECT_EQ(*jwk.find("kid")->string(), "test-key");
  const SigningKey& key = test_key(GetParam()).signing;
  EXPECT_EQ(key.algorithm(), GetParam());
  EXPECT_EQ(key.key_id(), "test-key");
}

TEST_P(GeneratedKey, HasNoKidUnlessAsked) {
  const Json document = need(Json::parse(need(SigningKey::generate_jwks(GetParam(), ""))));
  EXPECT_EQ(document.find("keys")->array()->front().find("kid"), nullptr);
}

TEST_P(GeneratedKey, KeepsItsSecretOutOfThePublicSet) {
  const Json document = need(Json::parse(need(SigningKey::public_jwks(test_key(GetParam()).private_jwks))));
  const JsonArray& keys = *document.find("keys")->array();
  ASSERT_EQ(keys.size(), is_symmetric(GetParam()) ? 0U : 1U);
  for (const Json& jwk : keys) {
    for (const char* member : {"d", "p", "q", "dp", "dq", "qi", "k"}) EXPECT_EQ(jwk.find(member), nullptr) << member;
  }
}

TEST_P(GeneratedKey, SignsATokenThatItsPublicHalfVerifies) {
  const std::string token = need(sign_jwt(test_key(GetParam()).signing, R"({"sub":"alice"})"));
  auto parsed = UnverifiedJwt::parse(token);
  ASSERT_TRUE(std::holds_alternative<UnverifiedJwt>(parsed));
  const UnverifiedJwt& jwt = std::get<UnverifiedJwt>(parsed);
  EXPECT_EQ(jwt.type(), "JWT");
  EXPECT_EQ(jwt.key_id(), "test-key");
  EXPECT_FALSE(JwtVerifier::verify_signature(jwt, test_key(GetParam()).verifying, {GetParam()}));
}

TEST(SigningKey, ReadsSeveralKeysInOrder) {
  const std::string a = need(SigningKey::generate_jwks(Algorithm::es256, "a"));
  const std::string b = need(SigningKey::generate_jwks(Algorithm::hs256, "b"));
  const std::string both = "{\"keys\":[" + a.substr(9, a.size() - 11) + "," + b.substr(9, b.size() - 11) + "]}";
  const std::vector<SigningKey> keys = need(SigningKey::from_jwks(both));
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(keys[0].key_id(), "a");
  EXPECT_EQ(keys[1].key_id(), "b");
}

TEST(SigningKey, RefusesPublicKeysAndHalvesThatDoNotBelongTogether) {
  for (const Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa}) {
    EXPECT_FALSE(SigningKey::from_jwks(test_key(algorithm).public_jwks)) << name(algorithm);
  }
  for (const Algorithm algorithm : {Algorithm::es256, Algorithm::eddsa, Algorithm::rs256}) {
    const std::string other = need(SigningKey::generate_jwks(algorithm, "test-key"));
    const Json document = need(Json::parse(other));
    const Json& donor = document.find("keys")->array()->front();
    std::string text = test_key(algorithm).private_jwks;
    const std::string member = algorithm == Algorithm::rs256 ? "n" : "x";
    const std::size_t at = text.find("\"" + member + "\":\"") + member.size() + 4;
    text.replace(at, text.find('"', at) - at, *donor.find(member)->string());
    EXPECT_FALSE(SigningKey::from_jwks(text)) << name(algorithm);
    EXPECT_TRUE(SigningKey::from_jwks(test_key(algorithm).private_jwks)) << name(algorithm);
  }
}

TEST(SigningKey, RefusesTwoKeysOfOneKidAndEmptySets) {
  const std::string a = need(SigningKey::generate_jwks(Algorithm::es256, "a"));
  const std::string b = need(SigningKey::generate_jwks(Algorithm::eddsa, "a"));
  EXPECT_FALSE(SigningKey::from_jwks("{\"keys\":[" + a.substr(9, a.size() - 11) + "," + b.substr(9, b.size() - 11) + "]}"));
  EXPECT_FALSE(SigningKey::from_jwks(R"({"keys":[]})"));
  EXPECT_FALSE(SigningKey::from_jwks("nonsense"));
}

TEST(SigningKey, NeverPutsKeyMaterialIntoAnError) {
  std::string text = test_key(Algorithm::eddsa).private_jwks;
  const Json document = need(Json::parse(text));
  const std::string d = *document.find("keys")->array()->front().find("d")->string();
  text.replace(text.find(d), d.size(), d.substr(1));
  const Result<std::vector<SigningKey>> keys = SigningKey::from_jwks(text);
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().detail.find(d.substr(1)), std::string::npos);
}

TEST(SignJwt, RefusesClaimsThatAreNoObject) {
  for (const char* claims : {"", "[]", "1", "{", R"({"a":1,"a":2})"}) {
    EXPECT_FALSE(sign_jwt(test_key(Algorithm::hs256).signing, claims)) << claims;
  }
  EXPECT_TRUE(sign_jwt(test_key(Algorithm::hs256).signing, "{}"));
}

TEST(SignJwt, WritesTheTypeThatIsAskedFor) {
  auto parsed = UnverifiedJwt::parse(need(sign_jwt(test_key(Algorithm::hs256).signing, "{}", "at+jwt")));
  ASSERT_TRUE(std::holds_alternative<UnverifiedJwt>(parsed));
  EXPECT_EQ(std::get<UnverifiedJwt>(parsed).type(), "at+jwt");
}

}  // namespace
}  // namespace sallyport::authenticate
