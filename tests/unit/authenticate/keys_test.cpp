#include "authenticate/keys.hpp"

#include <thread>

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "support/mutations.hpp"
#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using testing::need;
using testing::test_key;

constexpr std::string_view kSigningInput = "eyJhbGciOiJub25lIn0.e30";

const VerificationKey& verifier(Algorithm algorithm) {
  const VerificationKey* key = test_key(algorithm).verifying.find("test-key", algorithm);
  if (key == nullptr) throw std::runtime_error("no key");
  return *key;
}

TEST(Algorithm, NamesAreReadBackExactly) {
  for (const Algorithm algorithm : testing::all_algorithms()) EXPECT_EQ(parse_algorithm(name(algorithm)), algorithm);
  EXPECT_EQ(testing::all_algorithms().size(), kAlgorithmCount);
}

TEST(Algorithm, A02_A03_A05_A06_RefusesNoneAndEveryOtherSpelling) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv,      "n"sv,      "no"sv,     "non"sv,     "none"sv, "None"sv,   "NONE"sv, "nOnE"sv,    " none"sv, "none "sv, "none\0"sv,
        "rs256"sv, "RS256 "sv, " RS256"sv, "RS256\0"sv, "RS25"sv, "ES256K"sv, "RS1"sv,  "Ed25519"sv, "dir"sv,   "A128KW"sv}) {
    EXPECT_FALSE(parse_algorithm(text)) << text;
  }
  EXPECT_EQ(parse_algorithm("RS256"), Algorithm::rs256);
}

class KeyOfEveryAlgorithm : public ::testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(VerificationKey, KeyOfEveryAlgorithm, ::testing::ValuesIn(testing::all_algorithms()),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST_P(KeyOfEveryAlgorithm, VerifiesWhatItsPairSigned) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  EXPECT_EQ(verifier(GetParam()).verify(GetParam(), kSigningInput, signature), Verification::valid);
}

TEST_P(KeyOfEveryAlgorithm, B11_RefusesEveryFlippedBitOfTheSignature) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  const VerificationKey& key = verifier(GetParam());
  testing::for_each_flipped_bit(signature, [&](std::string_view mutant, std::size_t bit) {
    ASSERT_EQ(key.verify(GetParam(), kSigningInput, mutant), Verification::invalid) << "bit " << bit;
  });
  EXPECT_EQ(key.verify(GetParam(), kSigningInput, signature), Verification::valid);
}

TEST_P(KeyOfEveryAlgorithm, RefusesEveryFlippedBitOfTheInput) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  const VerificationKey& key = verifier(GetParam());
  testing::for_each_flipped_bit(kSigningInput, [&](std::string_view mutant, std::size_t bit) {
    ASSERT_EQ(key.verify(GetParam(), mutant, signature), Verification::invalid) << "bit " << bit;
  });
}

TEST_P(KeyOfEveryAlgorithm, B11_RefusesEveryCutAndEveryLengthening) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  const VerificationKey& key = verifier(GetParam());
  testing::for_each_cut(signature, [&](std::string_view cut) {
    ASSERT_EQ(key.verify(GetParam(), kSigningInput, cut), Verification::invalid) << cut.size() << " bytes";
  });
  for (const std::string& longer : {signature + '\0', '\0' + signature, signature + signature, signature + "x"}) {
    EXPECT_EQ(key.verify(GetParam(), kSigningInput, longer), Verification::invalid) << longer.size() << " bytes";
  }
}

TEST_P(KeyOfEveryAlgorithm, B13_RefusesASignatureOf16KiB) {
  EXPECT_EQ(verifier(GetParam()).verify(GetParam(), kSigningInput, std::string(16 * 1024, '\x41')), Verification::invalid);
  EXPECT_EQ(verifier(GetParam()).verify(GetParam(), kSigningInput, std::string(16 * 1024, '\0')), Verification::invalid);
}

// Also what keeps CVE-2026-44699 out: a key of one kind never becomes the key of another algorithm.
TEST_P(KeyOfEveryAlgorithm, D03_D04_RefusesEveryAlgorithmThatIsNotTheKeys) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  const VerificationKey& key = verifier(GetParam());
  for (const Algorithm other : testing::all_algorithms()) {
    EXPECT_EQ(key.fits(other), other == GetParam()) << name(other);
    EXPECT_EQ(key.verify(other, kSigningInput, signature), other == GetParam() ? Verification::valid : Verification::invalid)
        << name(other);
  }
}

TEST_P(KeyOfEveryAlgorithm, R06_LeavesOpenSslsErrorQueueEmpty) {
  const VerificationKey& key = verifier(GetParam());
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  for (const std::string& bad :
       {std::string(), std::string("x"), std::string(signature.size(), '\xff'), std::string(signature.size(), '\0')}) {
    EXPECT_EQ(key.verify(GetParam(), kSigningInput, bad), Verification::invalid);
    EXPECT_EQ(ERR_peek_error(), 0U);
  }
}

TEST_P(KeyOfEveryAlgorithm, VerifiesOnSeveralThreadsAtOnce) {
  const std::string signature = need(test_key(GetParam()).signing.sign(kSigningInput));
  const VerificationKey& key = verifier(GetParam());
  std::array<int, 3> valid{};
  std::vector<std::thread> threads;
  for (int& count : valid) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) count += key.verify(GetParam(), kSigningInput, signature) == Verification::valid ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(valid, (std::array<int, 3>{20, 20, 20}));
}

// One set of keys for each way of choosing.
class KeyChoice : public ::testing::Test {
 protected:
  static std::string jwk(Algorithm algorithm, std::string_view kid) {
    const std::string set = need(SigningKey::public_jwks(need(SigningKey::generate_jwks(algorithm, kid))));
    return set.substr(9, set.size() - 11);  // {"keys":[ … ]}
  }
  static KeySet set_of(const std::vector<std::string>& jwks) {
    std::string text = "{\"keys\":[";
    for (const std::string& jwk : jwks) text += (text.back() == '[' ? "" : ",") + jwk;
    std::vector<std::string> warnings;
    return need(KeySet::from_jwks(text + "]}", warnings));
  }
};

TEST_F(KeyChoice, TakesTheKeyOfTheKid) {
  const KeySet keys = set_of({jwk(Algorithm::es256, "a"), jwk(Algorithm::es256, "b")});
  ASSERT_NE(keys.find("b", Algorithm::es256), nullptr);
  EXPECT_EQ(keys.find("b", Algorithm::es256)->key_id(), "b");
  EXPECT_EQ(keys.find("c", Algorithm::es256), nullptr);
  EXPECT_EQ(keys.find("", Algorithm::es256), nullptr);
}

TEST_F(KeyChoice, D03_FindsNoKeyWhenTheKidsKeyIsOfAnotherKind) {
  const KeySet keys = set_of({jwk(Algorithm::es256, "a"), jwk(Algorithm::es384, "b")});
  EXPECT_EQ(keys.find("a", Algorithm::es384), nullptr);
  EXPECT_EQ(keys.find("a", Algorithm::rs256), nullptr);
  EXPECT_EQ(keys.find("a", Algorithm::hs256), nullptr);
  EXPECT_NE(keys.find("a", Algorithm::es256), nullptr);
}

TEST_F(KeyChoice, A16_WithoutAKidTakesTheOnlyKeyThatFitsAndNeverOneOfTwo) {
  const KeySet one = set_of({jwk(Algorithm::es256, "a"), jwk(Algorithm::eddsa, "b")});
  EXPECT_NE(one.find(std::nullopt, Algorithm::es256), nullptr);
  const KeySet two = set_of({jwk(Algorithm::es256, "a"), jwk(Algorithm::es256, "b")});
  EXPECT_EQ(two.find(std::nullopt, Algorithm::es256), nullptr);
}

TEST_F(KeyChoice, KnowsWhatItHolds) {
  const KeySet keys = set_of({jwk(Algorithm::es256, "a"), jwk(Algorithm::eddsa, "b")});
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_TRUE(keys.has_public_keys());
  EXPECT_FALSE(keys.has_secrets());
  EXPECT_TRUE(keys.can_verify(Algorithm::es256));
  EXPECT_FALSE(keys.can_verify(Algorithm::es384));
  EXPECT_TRUE(keys.has_key_id("a"));
  EXPECT_FALSE(keys.has_key_id("A"));
}

std::string strong_bytes(std::size_t length) {
  std::string bytes;
  for (std::size_t i = 0; i < length; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 11 + 1));
  return bytes;
}

TEST(SharedSecret, D10_IsRefusedWhenShorterThanTheHash) {
  struct Row {
    Algorithm algorithm;
    std::size_t needed;
  };
  for (const Row& row : {Row{Algorithm::hs256, 32}, Row{Algorithm::hs384, 48}, Row{Algorithm::hs512, 64}}) {
    EXPECT_FALSE(KeySet::from_secret(Secret(strong_bytes(row.needed - 1)), {row.algorithm})) << name(row.algorithm);
    EXPECT_TRUE(KeySet::from_secret(Secret(strong_bytes(row.needed)), {row.algorithm})) << name(row.algorithm);
  }
  EXPECT_FALSE(KeySet::from_secret(Secret(strong_bytes(32)), {Algorithm::hs256, Algorithm::hs512}));
  EXPECT_FALSE(KeySet::from_secret(Secret(), {Algorithm::hs256}));
}

TEST(SharedSecret, D10_IsRefusedWhenWellKnownOrOnePieceRepeated) {
  for (const std::string& weak : {std::string(32, 'a'), std::string(64, '\0'), std::string("secretsecretsecretsecretsecretsecret"),
                                  std::string("a-string-secret-at-least-256-bits-long"), std::string("qwertyuiopasdfghjklzxcvbnm123456"),
                                  std::string("12345678901234567890123456789012")}) {
    const Result<KeySet> keys = KeySet::from_secret(Secret(weak), {Algorithm::hs256});
    ASSERT_FALSE(keys) << weak;
    EXPECT_EQ(keys.error().fault, Fault::malformed);
    EXPECT_EQ(keys.error().detail.find(weak), std::string::npos) << "the secret itself is in the message";
  }
}

// Up to a block of the hash the secret is padded, beyond it is hashed first (RFC 2104 §2).
TEST(SharedSecret, VerifiesAsOpenSslAuthenticates) {
  struct Row {
    Algorithm algorithm;
    const char* digest;
  };
  for (const Row& row : {Row{Algorithm::hs256, "SHA256"}, Row{Algorithm::hs384, "SHA384"}, Row{Algorithm::hs512, "SHA512"}}) {
    for (const std::size_t length : {64U, 65U, 127U, 128U, 129U, 1000U}) {
      const std::string secret = strong_bytes(length);
      const KeySet keys = need(KeySet::from_secret(Secret(secret), {row.algorithm}));
      const VerificationKey* key = keys.find(std::nullopt, row.algorithm);
      ASSERT_NE(key, nullptr);
      for (const std::string& input : {std::string(), std::string(kSigningInput), strong_bytes(1000)}) {
        std::string mac(EVP_MAX_MD_SIZE, '\0');
        std::size_t mac_bytes = 0;
        ASSERT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, row.digest, nullptr, secret.data(), secret.size(),
                            reinterpret_cast<const unsigned char*>(input.data()), input.size(),
                            reinterpret_cast<unsigned char*>(mac.data()), mac.size(), &mac_bytes),
                  nullptr);
        mac.resize(mac_bytes);
        EXPECT_EQ(key->verify(row.algorithm, input, mac), Verification::valid) << row.digest << ' ' << length;
        EXPECT_EQ(key->verify(row.algorithm, input + "x", mac), Verification::invalid) << row.digest << ' ' << length;
      }
    }
  }
}

TEST(SharedSecret, FitsOnlyHashesThatAreNotLongerThanItself) {
  const KeySet keys = need(KeySet::from_secret(Secret(strong_bytes(48)), {Algorithm::hs256}));
  EXPECT_TRUE(keys.can_verify(Algorithm::hs256));
  EXPECT_TRUE(keys.can_verify(Algorithm::hs384));
  EXPECT_FALSE(keys.can_verify(Algorithm::hs512));
  EXPECT_FALSE(keys.can_verify(Algorithm::rs256));
  EXPECT_TRUE(keys.has_secrets());
  EXPECT_FALSE(keys.has_public_keys());
}

}  // namespace
}  // namespace sallyport::authenticate
