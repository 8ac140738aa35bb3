#include "issue/edge_keys.hpp"

#include <string>

#include <gtest/gtest.h>

#include "workshop.hpp"

namespace sallyport::issue {
namespace {

using authenticate::SigningKey;
using authenticate::TokenPlace;

std::string key(Algorithm algorithm, const std::string& id) { return testing::need(SigningKey::generate_jwks(algorithm, id)); }

Result<EdgeKeysPtr> create(const std::string& jwks, const TokenSettings& settings = token_settings()) {
  std::vector<std::string> warnings;
  return EdgeKeys::create(settings, jwks, warnings);
}

TEST(EdgeKeys, AreAnIssuerLikeAnyOther) {
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const authenticate::Issuer& issuer = *keys->issuer();
  EXPECT_TRUE(issuer.is_edge);
  EXPECT_EQ(issuer.settings.name, "edge");
  EXPECT_EQ(issuer.settings.expectations.issuer, "https://gateway.example");
  EXPECT_EQ(issuer.settings.expectations.audiences, std::vector<std::string>{"api"});
  EXPECT_EQ(issuer.settings.expectations.algorithms, std::vector<Algorithm>{Algorithm::es256});
  EXPECT_EQ(issuer.settings.expectations.clock_tolerance, seconds(5));
  EXPECT_EQ(issuer.settings.expectations.token_type, "at+jwt");
  EXPECT_EQ(issuer.settings.expectations.require_claims, std::vector<std::string>{"sub"});
  const std::vector<TokenPlace> places{{TokenPlace::Kind::authorization, ""}, {TokenPlace::Kind::cookie, "__Host-access"}};
  EXPECT_EQ(issuer.settings.token_from, places);
}

TEST(EdgeKeys, SignWithTheFirstAndAllowTheAlgorithmsOfAll) {
  const EdgeKeysPtr keys = edge_keys(joined({key(Algorithm::eddsa, "new"), key(Algorithm::es256, "old"), key(Algorithm::es256, "older")}));
  EXPECT_EQ(keys->signing_key().key_id(), "new");
  EXPECT_EQ(keys->signing_key().algorithm(), Algorithm::eddsa);
  EXPECT_EQ(keys->issuer()->settings.expectations.algorithms, (std::vector<Algorithm>{Algorithm::eddsa, Algorithm::es256}));
}

TEST(EdgeKeys, ShowTheirPublicHalvesAndNothingElse) {
  const EdgeKeysPtr keys =
      edge_keys(joined({testing::test_key(Algorithm::rs256).private_jwks, key(Algorithm::es256, "e"), key(Algorithm::eddsa, "o")}));
  const Json shown = testing::need(Json::parse(keys->public_jwks()));
  ASSERT_EQ(shown.find("keys")->array()->size(), 3U);
  for (const Json& one : *shown.find("keys")->array()) {
    for (const char* secret : {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}) EXPECT_EQ(one.find(secret), nullptr) << secret;
    EXPECT_NE(one.find("kid"), nullptr);
    EXPECT_EQ(*one.find("use")->string(), "sig");
  }
}

TEST(EdgeKeys, RefuseSecretsBecauseWhoeverVerifiesCouldSign) {
  const auto refused = create(key(Algorithm::hs256, "s"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::malformed);
  EXPECT_FALSE(create(joined({key(Algorithm::es256, "e"), key(Algorithm::hs512, "s")})));
}

TEST(EdgeKeys, RefuseAKeyWithoutAnIdBesideOthers) {
  const std::string nameless = key(Algorithm::es256, "");
  EXPECT_TRUE(create(nameless)) << "alone it needs none";
  EXPECT_FALSE(create(joined({nameless, key(Algorithm::eddsa, "e")})));
  EXPECT_FALSE(create(joined({key(Algorithm::eddsa, "e"), nameless})));
  EXPECT_FALSE(create(joined({key(Algorithm::eddsa, "e"), key(Algorithm::es256, "e")}))) << "nor may two have the same";
}

TEST(EdgeKeys, RefuseWhatIsNoPrivateKeySet) {
  const std::string good = key(Algorithm::es256, "e");
  ASSERT_TRUE(create(good));
  EXPECT_FALSE(create(testing::need(SigningKey::public_jwks(good))));
  for (const char* text : {"", "{}", "[]", R"({"keys":[]})", R"({"keys":{}})", "-----BEGIN PRIVATE KEY-----"}) {
    const auto refused = create(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().fault, Fault::malformed) << text;
  }
}

TEST(EdgeKeys, RefuseToBeNobodyOrForNobody) {
  const std::string good = key(Algorithm::es256, "e");
  TokenSettings nobody = token_settings();
  nobody.issuer.clear();
  EXPECT_FALSE(create(good, nobody));
  TokenSettings for_nobody = token_settings();
  for_nobody.audiences.clear();
  EXPECT_FALSE(create(good, for_nobody));
}

TEST(EdgeKeys, H15_NeverRepeatAKeyInWhatTheySayOfAFault) {
  const std::string secret =
      testing::need(Json::parse(key(Algorithm::hs256, "s"))).find("keys")->array()->front().find("k")->string()->data();
  const auto refused = create(R"({"keys":[{"kty":"oct","kid":"s","k":")" + secret + R"("}]})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail.find(secret), std::string::npos);
}

}  // namespace
}  // namespace sallyport::issue
