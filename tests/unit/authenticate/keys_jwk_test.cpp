// JWK Sets: what is refused, what is skipped, what is used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::need;
using ::testing::SizeIs;
using testing::test_key;

struct Read {
  Result<KeySet> keys;
  std::vector<std::string> warnings;
};

Read read(std::string_view text) {
  std::vector<std::string> warnings;
  Result<KeySet> keys = KeySet::from_jwks(text, warnings);
  return {std::move(keys), std::move(warnings)};
}

std::string set_of(const std::vector<std::string>& jwks) {
  std::string text = "{\"keys\":[";
  for (const std::string& jwk : jwks) text += (text.back() == '[' ? "" : ",") + jwk;
  return text + "]}";
}

// One JWK as an object that tests change member by member.
class Jwk {
 public:
  explicit Jwk(Algorithm algorithm) : members_(members_of(test_key(algorithm).public_jwks)) { set("kid", R"("k")"); }
  static Jwk private_half(Algorithm algorithm) {
    Jwk jwk(algorithm);
    jwk.members_ = members_of(test_key(algorithm).private_jwks);
    return jwk;
  }

  Jwk& set(const std::string& name, std::string json) {
    members_[name] = std::move(json);
    return *this;
  }
  Jwk& set_bytes(const std::string& name, std::string_view bytes) { return set(name, '"' + base64url_encode(bytes) + '"'); }
  Jwk& remove(const std::string& name) {
    members_.erase(name);
    return *this;
  }
  [[nodiscard]] std::string bytes(const std::string& name) const {
    const std::string& json = members_.at(name);
    return base64url_decode(json.substr(1, json.size() - 2)).value();
  }
  [[nodiscard]] std::string text() const {
    std::string out = "{";
    for (const auto& [name, value] : members_) out += (out.size() > 1 ? ",\"" : "\"") + name + "\":" + value;
    return out + "}";
  }
  [[nodiscard]] std::string set_text() const { return set_of({text()}); }

 private:
  static std::map<std::string, std::string> members_of(const std::string& set) {
    std::map<std::string, std::string> members;
    const Json document = need(Json::parse(set));
    for (const auto& [name, value] : *document.find("keys")->array()->front().object()) members[name] = value.dump();
    return members;
  }

  std::map<std::string, std::string> members_;
};

std::string strong_key() { return Jwk(Algorithm::es256).set("kid", R"("strong")").text(); }

// The key of `jwk` is skipped beside a strong one, and a set of it alone is refused.
void expect_unusable(const Jwk& jwk, std::string_view why) {
  const Read beside = read(set_of({strong_key(), jwk.text()}));
  ASSERT_TRUE(beside.keys) << beside.keys.error().detail;
  EXPECT_EQ(beside.keys->size(), 1U) << jwk.text();
  ASSERT_THAT(beside.warnings, SizeIs(1)) << jwk.text();
  EXPECT_THAT(beside.warnings[0], HasSubstr("key 2"));
  EXPECT_THAT(beside.warnings[0], HasSubstr(std::string(why)));
  EXPECT_FALSE(read(jwk.set_text()).keys);
}

void expect_usable(const Jwk& jwk) {
  const Read result = read(jwk.set_text());
  EXPECT_TRUE(result.keys) << result.keys.error().detail;
  EXPECT_THAT(result.warnings, SizeIs(0));
}

TEST(KeySetFromJwks, ReadsEveryKindOfKey) {
  for (const Algorithm algorithm : testing::all_algorithms()) expect_usable(Jwk(algorithm));
}

TEST(KeySetFromJwks, E03_RefusesWhatIsNoJwkSet) {
  for (const char* text : {"", "null", "[]", "{}", "x", R"({"keys":null})", R"({"keys":{}})", R"({"keys":"x"})", R"({"keys":[]})",
                           R"({"keys":[null]})", R"({"keys":[1,"a",[]]})", R"({"keys":[{}]})", R"({"Keys":[]})"}) {
    EXPECT_FALSE(read(text).keys) << text;
  }
  EXPECT_FALSE(read(set_of({strong_key()}) + "x").keys);
  EXPECT_FALSE(read("\xEF\xBB\xBF" + set_of({strong_key()})).keys);
  EXPECT_TRUE(read(set_of({strong_key()})).keys);
}

TEST(KeySetFromJwks, E03_SkipsElementsThatAreNoObjectsAndKeepsTheGoodOnes) {
  const Read result = read(set_of({"null", strong_key(), "[]"}));
  ASSERT_TRUE(result.keys);
  EXPECT_EQ(result.keys->size(), 1U);
  EXPECT_THAT(result.warnings, SizeIs(2));
}

TEST(KeySetFromJwks, RefusesDuplicateMembers) {
  const std::string jwk = Jwk(Algorithm::es256).text();
  EXPECT_FALSE(read(set_of({"{\"alg\":\"ES256\"," + jwk.substr(1)})).keys);
  EXPECT_FALSE(read("{\"keys\":[],\"keys\":[" + jwk + "]}").keys);
}

TEST(KeySetFromJwks, TakesTheLimitOfKeysAndRefusesOneMore) {
  std::vector<std::string> jwks;
  for (std::size_t i = 0; i < KeySet::kKeysMax; ++i)
    jwks.push_back(Jwk(Algorithm::eddsa).set("kid", "\"" + std::to_string(i) + "\"").text());
  ASSERT_TRUE(read(set_of(jwks)).keys);
  EXPECT_EQ(read(set_of(jwks)).keys->size(), KeySet::kKeysMax);
  jwks.push_back(strong_key());
  const Read result = read(set_of(jwks));
  ASSERT_FALSE(result.keys);
  EXPECT_EQ(result.keys.error().fault, Fault::too_large);
}

TEST(KeySetFromJwks, RefusesASetOverTheLimitOfBytes) {
  const std::string set = set_of({strong_key()});
  EXPECT_TRUE(read(set + std::string(KeySet::kBytesMax - set.size(), ' ')).keys);
  EXPECT_FALSE(read(set + std::string(KeySet::kBytesMax - set.size() + 1, ' ')).keys);
}

TEST(KeySetFromJwks, D05_SkipsKeysForAnotherPurpose) {
  expect_unusable(Jwk(Algorithm::rs256).set("use", R"("enc")"), "use");
  expect_unusable(Jwk(Algorithm::rs256).set("use", R"("SIG")"), "use");
  expect_unusable(Jwk(Algorithm::rs256).set("use", "null"), "use");
  expect_unusable(Jwk(Algorithm::rs256).set("key_ops", R"(["encrypt"])"), "key_ops");
  expect_unusable(Jwk(Algorithm::rs256).set("key_ops", R"(["sign"])"), "key_ops");
  expect_unusable(Jwk(Algorithm::rs256).set("key_ops", "[]"), "key_ops");
  expect_unusable(Jwk(Algorithm::rs256).set("key_ops", R"("verify")"), "key_ops");
  expect_unusable(Jwk(Algorithm::rs256).set("key_ops", R"(["verify",1])"), "key_ops");
  expect_usable(Jwk(Algorithm::rs256).set("use", R"("sig")").set("key_ops", R"(["verify","sign"])"));
  expect_usable(Jwk(Algorithm::rs256).remove("use"));
}

TEST(KeySetFromJwks, D05_BindsAKeyToItsOwnAlg) {
  const Read result = read(Jwk(Algorithm::rs256).set("alg", R"("PS384")").set_text());
  ASSERT_TRUE(result.keys);
  EXPECT_TRUE(result.keys->can_verify(Algorithm::ps384));
  EXPECT_FALSE(result.keys->can_verify(Algorithm::rs256));
  EXPECT_FALSE(result.keys->can_verify(Algorithm::ps256));
  const Read any = read(Jwk(Algorithm::rs256).remove("alg").set_text());
  ASSERT_TRUE(any.keys);
  EXPECT_TRUE(any.keys->can_verify(Algorithm::rs256));
  EXPECT_TRUE(any.keys->can_verify(Algorithm::ps512));
  EXPECT_FALSE(any.keys->can_verify(Algorithm::hs256));
}

TEST(KeySetFromJwks, D05_SkipsKeysWhoseAlgIsUnknownOrNotTheirs) {
  expect_unusable(Jwk(Algorithm::rs256).set("alg", R"("ES256")"), "alg");
  expect_unusable(Jwk(Algorithm::rs256).set("alg", R"("HS256")"), "alg");
  expect_unusable(Jwk(Algorithm::rs256).set("alg", R"("none")"), "alg");
  expect_unusable(Jwk(Algorithm::rs256).set("alg", R"("RSA-OAEP")"), "alg");
  expect_unusable(Jwk(Algorithm::rs256).set("alg", R"("rs256")"), "alg");
  expect_unusable(Jwk(Algorithm::rs256).set("alg", "7"), "alg");
  expect_unusable(Jwk(Algorithm::es256).set("alg", R"("ES384")"), "alg");
}

TEST(KeySetFromJwks, D06_RefusesASetWithTwoKeysOfOneKid) {
  const std::string one = Jwk(Algorithm::es256).text();
  const std::string other = Jwk(Algorithm::eddsa).text();
  const Read result = read(set_of({one, other}));
  ASSERT_FALSE(result.keys);
  EXPECT_THAT(result.keys.error().detail, HasSubstr("kid"));
  EXPECT_TRUE(read(set_of({one, Jwk(Algorithm::eddsa).set("kid", R"("K")").text()})).keys);
}

TEST(KeySetFromJwks, D07_RefusesSecretsBesidePublicKeys) {
  const std::string secret = Jwk(Algorithm::hs256).set("kid", R"("s")").text();
  EXPECT_FALSE(read(set_of({strong_key(), secret})).keys);
  EXPECT_FALSE(read(set_of({secret, strong_key()})).keys);
  // Unusable ones too: a secret in a public set went where it must not be.
  EXPECT_FALSE(read(set_of({strong_key(), R"({"kty":"oct","k":"AA","use":"enc"})"})).keys);
  EXPECT_TRUE(read(set_of({secret})).keys);
  EXPECT_TRUE(read(set_of({strong_key()})).keys);
}

// A real pair of 1024 bits, so that its length is its only fault.
std::string modulus_of_1024_bits() {
  EVP_PKEY* pkey = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024});
  BIGNUM* modulus = nullptr;
  EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &modulus);
  std::string bytes(128, '\0');
  BN_bn2binpad(modulus, reinterpret_cast<unsigned char*>(bytes.data()), 128);
  BN_free(modulus);
  EVP_PKEY_free(pkey);
  return bytes;
}

// Powers of 65537 have the fingerprint of CVE-2017-15361 by definition; this one has 2049 bits.
std::string modulus_with_roca_fingerprint() {
  BIGNUM* base = BN_new();
  BIGNUM* exponent = BN_new();
  BIGNUM* power = BN_new();
  BN_CTX* context = BN_CTX_new();
  BN_set_word(base, 65537);
  BN_set_word(exponent, 128);
  BN_exp(power, base, exponent, context);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(power)), '\0');
  BN_bn2bin(power, reinterpret_cast<unsigned char*>(bytes.data()));
  for (BIGNUM* number : {base, exponent, power}) BN_free(number);
  BN_CTX_free(context);
  return bytes;
}

TEST(KeySetFromJwks, D08_SkipsWeakRsaKeys) {
  const Jwk good(Algorithm::rs256);
  const std::string n = good.bytes("n");
  std::string even = n;
  even.back() = static_cast<char>(even.back() & 0xFE);
  expect_usable(good);
  expect_unusable(Jwk(good).set_bytes("n", modulus_of_1024_bits()), "1024 bits");
  expect_unusable(Jwk(good).set_bytes("n", even), "even RSA modulus");
  expect_unusable(Jwk(good).set_bytes("n", modulus_with_roca_fingerprint()), "ROCA");
  expect_unusable(Jwk(good).set_bytes("n", std::string(2048, '\xFF')), "16384 bits");
  expect_unusable(Jwk(good).set_bytes("n", std::string(2049, '\xFF')), "too long");
  expect_unusable(Jwk(good).set_bytes("n", std::string(256, '\xFF')), "OpenSSL's check");  // divisible by 3
}

TEST(KeySetFromJwks, D08_SkipsRsaNumbersThatAreNotTheShortestForm) {
  const Jwk good(Algorithm::rs256);
  expect_unusable(Jwk(good).set_bytes("n", '\0' + good.bytes("n")), "leading zeros");
  expect_unusable(Jwk(good).set_bytes("n", std::string(1, '\0')), "zero");
  expect_unusable(Jwk(good).set("n", R"("")"), "n is no base64url");
  expect_unusable(Jwk(good).set_bytes("e", std::string("\0\1\0\1", 4)), "leading zeros");
}

TEST(KeySetFromJwks, D08_SkipsBadRsaExponents) {
  const Jwk good(Algorithm::rs256);
  expect_unusable(Jwk(good).set_bytes("e", "\x01"), "exponent");
  expect_unusable(Jwk(good).set_bytes("e", "\x02"), "exponent");
  expect_unusable(Jwk(good).set_bytes("e", std::string("\x01\x00\x00", 3)), "exponent");
  expect_unusable(Jwk(good).set_bytes("e", std::string("\x01\x00\x00\x00\x01", 5)), "exponent");
  expect_usable(Jwk(good).set_bytes("e", "\x03"));
}

TEST(KeySetFromJwks, D09_SkipsEcPointsThatAreNotOnTheirCurve) {
  for (const Algorithm algorithm : {Algorithm::es256, Algorithm::es384, Algorithm::es512}) {
    const Jwk good(algorithm);
    const std::string x = good.bytes("x");
    const std::string y = good.bytes("y");
    std::string off = y;
    off.back() = static_cast<char>(off.back() ^ 1);
    expect_usable(good);
    expect_unusable(Jwk(good).set_bytes("y", off), "no key");
    expect_unusable(Jwk(good).set_bytes("x", y).set_bytes("y", x), "no key");
    expect_unusable(Jwk(good).set_bytes("x", std::string(x.size(), '\0')).set_bytes("y", std::string(y.size(), '\0')), "no key");
    expect_unusable(Jwk(good).set_bytes("x", std::string(x.size(), '\xFF')), "no key");
    expect_unusable(Jwk(good).set_bytes("x", x.substr(1)), "as long as");
    expect_unusable(Jwk(good).set_bytes("x", '\0' + x), "as long as");
    expect_unusable(Jwk(good).set_bytes("y", std::string()), "y is no base64url");
  }
}

TEST(KeySetFromJwks, D09_SkipsOtherCurves) {
  const Jwk good(Algorithm::es256);
  expect_unusable(Jwk(good).set("crv", R"("secp256k1")"), "curve");
  expect_unusable(Jwk(good).set("crv", R"("P-384")"), "as long as");
  expect_unusable(Jwk(good).set("crv", R"("p-256")"), "curve");
  expect_unusable(Jwk(good).set("crv", "256"), "curve");
  expect_unusable(Jwk(good).remove("crv"), "curve");
  expect_unusable(Jwk(Algorithm::eddsa).set("crv", R"("X25519")"), "curve");
  expect_unusable(Jwk(Algorithm::eddsa).set("crv", R"("Ed448")"), "curve");
}

TEST(KeySetFromJwks, D09_SkipsEd25519PointsOfSmallOrderAndOfAWrongLength) {
  const Jwk good(Algorithm::eddsa);
  std::string one(32, '\0');
  one[0] = 1;
  std::string minus_one(32, '\xFF');
  minus_one[0] = '\xEC';
  minus_one[31] = '\x7F';
  std::string one_with_sign = one;
  one_with_sign[31] = '\x80';
  for (const std::string& point : {std::string(32, '\0'), one, minus_one, one_with_sign})
    expect_unusable(Jwk(good).set_bytes("x", point), "small order");
  expect_unusable(Jwk(good).set_bytes("x", good.bytes("x").substr(1)), "no key");
  expect_unusable(Jwk(good).set_bytes("x", good.bytes("x") + '\0'), "no key");
  expect_usable(good);
}

TEST(KeySetFromJwks, D10_SkipsWeakSecrets) {
  for (const std::string& weak : {std::string(31, 'k'), std::string(32, 'k'), std::string("secretsecretsecretsecretsecretsecret")}) {
    EXPECT_FALSE(read(Jwk(Algorithm::hs256).set_bytes("k", weak).set_text()).keys);
  }
  EXPECT_FALSE(read(Jwk(Algorithm::hs256).set("alg", R"("HS384")").set_text()).keys) << "32 bytes for a hash of 48";
  EXPECT_TRUE(read(Jwk(Algorithm::hs256).set_text()).keys);
}

TEST(KeySetFromJwks, D12_UsesThePublicHalfOfAPrivateKeyAndNeverLogsTheRest) {
  for (const Algorithm algorithm : {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa}) {
    const Jwk jwk = Jwk::private_half(algorithm);
    expect_usable(jwk);
    const Read damaged = read(set_of({strong_key(), Jwk(jwk).set("kid", "7").text()}));
    ASSERT_THAT(damaged.warnings, SizeIs(1));
    EXPECT_EQ(damaged.warnings[0].find(base64url_encode(jwk.bytes("d"))), std::string::npos);
    // The private member is not even read.
    expect_usable(Jwk(jwk).set("d", "[{}]"));
  }
}

TEST(KeySetFromJwks, SkipsMembersOfAWrongTypeAndBadBase64url) {
  expect_unusable(Jwk(Algorithm::es256).set("kid", "7"), "kid");
  expect_unusable(Jwk(Algorithm::es256).set("kid", "null"), "kid");
  expect_unusable(Jwk(Algorithm::es256).set("kty", "1"), "kty");
  expect_unusable(Jwk(Algorithm::es256).set("kty", R"("ec")"), "kty");
  expect_unusable(Jwk(Algorithm::es256).remove("kty"), "kty");
  expect_unusable(Jwk(Algorithm::es256).set("x", "1"), "x");
  expect_unusable(Jwk(Algorithm::es256).remove("y"), "y");
  expect_unusable(Jwk(Algorithm::rs256).remove("n"), "n");
  const Jwk rsa(Algorithm::rs256);
  expect_unusable(Jwk(rsa).set("e", R"("AQAB=")"), "e is no base64url");
  expect_unusable(Jwk(rsa).set("e", R"("AQ AB")"), "e is no base64url");
  expect_unusable(Jwk(rsa).set("e", R"("+/AB")"), "e is no base64url");
}

TEST(KeySetFromJwks, NamesKeysInWarningsWithoutControlBytes) {
  const Read result = read(set_of({strong_key(), Jwk(Algorithm::es256).set("kid", R"("a\u0000\r\nb")").set("use", R"("enc")").text()}));
  EXPECT_THAT(result.warnings, Contains(HasSubstr("key 2 (kid a???b)")));
  const Read longer =
      read(set_of({strong_key(), Jwk(Algorithm::es256).set("kid", '"' + std::string(9000, 'k') + '"').set("use", R"("enc")").text()}));
  ASSERT_THAT(longer.warnings, SizeIs(1));
  EXPECT_LT(longer.warnings[0].size(), 200U);
}

TEST(KeySetFromText, ChoosesByTheFirstBytes) {
  std::vector<std::string> warnings;
  EXPECT_TRUE(KeySet::from_text(" \n" + set_of({strong_key()}), warnings));
  EXPECT_FALSE(KeySet::from_text("", warnings));
  EXPECT_FALSE(KeySet::from_text("[" + set_of({strong_key()}) + "]", warnings));
  EXPECT_FALSE(KeySet::from_text("ssh-ed25519 AAAA", warnings));
}

}  // namespace
}  // namespace sallyport::authenticate
