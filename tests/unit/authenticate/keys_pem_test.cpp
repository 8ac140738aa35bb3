// PEM files; and signatures that only OpenSSL's lower calls can make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using ::testing::HasSubstr;
using testing::need;
using ::testing::SizeIs;

constexpr std::string_view kInput = "signed";

using Pkey = std::shared_ptr<EVP_PKEY>;

Pkey rsa_pair(std::size_t bits = 2048) { return Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits), EVP_PKEY_free); }
Pkey ec_pair(const char* curve) { return Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve), EVP_PKEY_free); }
Pkey pair_of(const char* type) { return Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, type), EVP_PKEY_free); }

template <class Write>
std::string pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(bio), 1);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(length));
  BIO_free(bio);
  return text;
}
std::string public_pem(const Pkey& pkey) {
  return pem([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, pkey.get()); });
}
std::string private_pem(const Pkey& pkey) {
  return pem([&](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, pkey.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}
std::string traditional_pem(const Pkey& pkey) {
  return pem([&](BIO* bio) { return PEM_write_bio_PrivateKey_traditional(bio, pkey.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}
std::string encrypted_pem(const Pkey& pkey) {
  return pem([&](BIO* bio) { return PEM_write_bio_PKCS8PrivateKey(bio, pkey.get(), EVP_aes_128_cbc(), "pass", 4, nullptr, nullptr); });
}
std::string certificate_pem(const Pkey& pkey) {
  X509* certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, pkey.get());
  X509_sign(certificate, pkey.get(), EVP_sha256());
  std::string text = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  X509_free(certificate);
  return text;
}

std::string sign(const Pkey& pkey, std::string_view input, const std::function<void(EVP_PKEY_CTX*)>& configure = {}) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  EXPECT_EQ(EVP_DigestSignInit_ex(context, &options, "SHA256", nullptr, nullptr, pkey.get(), nullptr), 1);
  if (configure) configure(options);
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(pkey.get())), '\0');
  std::size_t length = signature.size();
  EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &length,
                           reinterpret_cast<const unsigned char*>(input.data()), input.size()),
            1);
  EVP_MD_CTX_free(context);
  signature.resize(length);
  return signature;
}

// block^d mod n: a signature of any padding that a test cares to invent.
std::string raw_rsa(const Pkey& pkey, const std::string& block) {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr);
  EVP_PKEY_sign_init(context);
  EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING);
  std::string signature(block.size(), '\0');
  std::size_t length = signature.size();
  EXPECT_EQ(EVP_PKEY_sign(context, reinterpret_cast<unsigned char*>(signature.data()), &length,
                          reinterpret_cast<const unsigned char*>(block.data()), block.size()),
            1);
  EVP_PKEY_CTX_free(context);
  return signature;
}

Result<KeySet> read_pem(const std::string& text, std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> ignored;
  return KeySet::from_pem(text, warnings == nullptr ? ignored : *warnings);
}

bool verifies(const KeySet& keys, Algorithm algorithm, std::string_view signature) {
  const VerificationKey* key = keys.find(std::nullopt, algorithm);
  return key != nullptr && key->verify(algorithm, kInput, signature) == Verification::valid;
}

TEST(KeySetFromPem, ReadsEveryFormOfAKey) {
  const Pkey rsa = rsa_pair();
  const std::string signature = sign(rsa, kInput);
  const std::string rsa_public = pem([&](BIO* bio) {
    unsigned char* der = nullptr;
    const int length = i2d_PublicKey(rsa.get(), &der);
    const int written = PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, length) > 0 ? 1 : 0;
    OPENSSL_free(der);
    return written;
  });
  for (const std::string& text : {public_pem(rsa), rsa_public, certificate_pem(rsa), private_pem(rsa), traditional_pem(rsa)}) {
    const Result<KeySet> keys = read_pem(text);
    ASSERT_TRUE(keys) << keys.error().detail << "\n" << text;
    EXPECT_EQ(keys->size(), 1U);
    EXPECT_TRUE(verifies(*keys, Algorithm::rs256, signature)) << text.substr(0, 40);
    EXPECT_FALSE(verifies(*keys, Algorithm::rs256, std::string(signature.size(), 'x')));
  }
}

TEST(KeySetFromPem, ReadsEveryKind) {
  EXPECT_TRUE(need(read_pem(public_pem(ec_pair("P-256")))).can_verify(Algorithm::es256));
  EXPECT_TRUE(need(read_pem(traditional_pem(ec_pair("P-384")))).can_verify(Algorithm::es384));
  EXPECT_TRUE(need(read_pem(private_pem(ec_pair("P-521")))).can_verify(Algorithm::es512));
  EXPECT_TRUE(need(read_pem(certificate_pem(rsa_pair()))).can_verify(Algorithm::ps256));
  EXPECT_TRUE(need(read_pem(public_pem(pair_of("ED25519")))).can_verify(Algorithm::eddsa));
}

TEST(KeySetFromPem, ReadsSeveralBlocksWithTextBetweenThemAndWithoutAFinalNewline) {
  std::string text = "The key of the old issuer:\n" + public_pem(ec_pair("P-256")) + "and of the new one\n" + public_pem(ec_pair("P-384"));
  text.pop_back();
  const KeySet keys = need(read_pem(text));
  EXPECT_EQ(keys.size(), 2U);
  EXPECT_TRUE(keys.can_verify(Algorithm::es256));
  EXPECT_TRUE(keys.can_verify(Algorithm::es384));
}

TEST(KeySetFromPem, RefusesDamagedBlocks) {
  const std::string good = public_pem(ec_pair("P-256"));
  EXPECT_FALSE(read_pem(""));
  EXPECT_FALSE(read_pem("no key here"));
  EXPECT_FALSE(read_pem("-----BEGIN PUBLIC KEY-----\n"));
  EXPECT_FALSE(read_pem("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"));
  EXPECT_FALSE(read_pem(good.substr(0, good.size() / 2)));
  EXPECT_FALSE(read_pem(good + good.substr(0, good.size() / 2))) << "a damaged block is not passed over in silence";
  std::string other_end = good;
  other_end.replace(other_end.find("END PUBLIC"), 10, "END FOOBAR");
  EXPECT_FALSE(read_pem(other_end));
  EXPECT_TRUE(read_pem(good));
}

TEST(KeySetFromPem, SurvivesEveryCutOfAFile) {
  const std::string good = private_pem(ec_pair("P-256"));
  for (std::size_t length = 0; length + 2 < good.size(); ++length) {
    const Result<KeySet> keys = read_pem(good.substr(0, length));
    EXPECT_FALSE(keys && length < good.find("-----END")) << length;
  }
}

TEST(KeySetFromPem, RefusesEncryptedKeys) {
  const Result<KeySet> keys = read_pem(encrypted_pem(ec_pair("P-256")));
  ASSERT_FALSE(keys);
  EXPECT_THAT(keys.error().detail, HasSubstr("encrypted"));
}

TEST(KeySetFromPem, D08_D09_SkipsWeakAndForeignKeysAndSaysSo) {
  const std::string strong = public_pem(ec_pair("P-256"));
  struct Row {
    std::string text;
    const char* why;
  };
  for (const Row& row : {Row{public_pem(rsa_pair(1024)), "1024 bits"}, Row{public_pem(ec_pair("secp256k1")), "not RSA"},
                         Row{public_pem(pair_of("X25519")), "not RSA"}, Row{public_pem(pair_of("ED448")), "not RSA"}}) {
    std::vector<std::string> warnings;
    const Result<KeySet> keys = read_pem(strong + row.text, &warnings);
    ASSERT_TRUE(keys);
    EXPECT_EQ(keys->size(), 1U);
    ASSERT_THAT(warnings, SizeIs(1));
    EXPECT_THAT(warnings[0], HasSubstr("PEM block 2"));
    EXPECT_THAT(warnings[0], HasSubstr(row.why));
    EXPECT_FALSE(read_pem(row.text));
  }
}

// CVE-2020-0601: parameters that spell out a curve may spell out another one.
TEST(KeySetFromPem, D09_SkipsCurvesGivenByExplicitParameters) {
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1);
  EVP_PKEY_CTX_set_ec_param_enc(context, OPENSSL_EC_EXPLICIT_CURVE);
  EVP_PKEY* raw = nullptr;
  ASSERT_EQ(EVP_PKEY_keygen(context, &raw), 1);
  EVP_PKEY_CTX_free(context);
  EXPECT_FALSE(read_pem(public_pem(Pkey(raw, EVP_PKEY_free))));
}

TEST(KeySetFromPem, TakesTheLimitOfKeysAndRefusesOneMore) {
  const std::string one = public_pem(pair_of("ED25519"));
  std::string text;
  for (std::size_t i = 0; i < KeySet::kKeysMax; ++i) text += one;
  EXPECT_EQ(need(read_pem(text)).size(), KeySet::kKeysMax);
  const Result<KeySet> more = read_pem(text + one);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().fault, Fault::too_large);
}

// Paddings.

class Pkcs1Padding : public ::testing::Test {
 protected:
  // EMSA-PKCS1-v1_5 (RFC 8017 §9.2) of the SHA-256 of kInput; `filling` is as long as the key demands unless given.
  std::string block(std::string_view prefix, std::string_view digest_info, std::string_view filling_byte = "\xFF") const {
    std::string hash(32, '\0');
    unsigned int length = 0;
    EVP_Digest(kInput.data(), kInput.size(), reinterpret_cast<unsigned char*>(hash.data()), &length, EVP_sha256(), nullptr);
    const std::string tail = std::string(digest_info) + hash;
    std::string out(prefix);
    while (out.size() + 1 + tail.size() < 256) out += filling_byte;
    return out + '\0' + tail;
  }
  bool is_valid(const std::string& block) const { return verifies(keys_, Algorithm::rs256, raw_rsa(pair_, block)); }

  static constexpr std::string_view kPrefix{"\x00\x01", 2};
  static constexpr std::string_view kSha256{"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20", 19};
  Pkey pair_ = rsa_pair();
  KeySet keys_ = need(read_pem(public_pem(pair_)));
};

TEST_F(Pkcs1Padding, B14_AcceptsTheOneCorrectForm) { EXPECT_TRUE(is_valid(block(kPrefix, kSha256))); }

TEST_F(Pkcs1Padding, B14_RefusesEveryOtherForm) {
  using namespace std::string_view_literals;
  const std::string good = block(kPrefix, kSha256);
  EXPECT_FALSE(is_valid(block("\x00\x02"sv, kSha256))) << "type 2";
  EXPECT_FALSE(is_valid(block("\x00\x00"sv, kSha256))) << "type 0";
  EXPECT_FALSE(is_valid(block(kPrefix, kSha256, "\xFE"))) << "another filling";
  EXPECT_FALSE(is_valid(block(kPrefix, "\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20"sv))) << "no NULL";
  EXPECT_FALSE(is_valid(block(kPrefix, "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x20"sv)))
      << "SHA-384's name";
  EXPECT_FALSE(is_valid(block(kPrefix, "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"sv))) << "SHA-1's name";
  EXPECT_FALSE(is_valid(block(kPrefix, "\x30\x81\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"sv)))
      << "BER length";
  EXPECT_FALSE(is_valid(block(kPrefix, ""sv))) << "no DigestInfo";
  // Bleichenbacher 2006: the hash moved to the left, rubbish behind it.
  std::string moved = good;
  moved.erase(2, 64);
  moved += std::string(64, 'x');
  EXPECT_FALSE(is_valid(moved));
}

TEST_F(Pkcs1Padding, B11_RefusesTheModulusItselfAndTheSignaturePlusTheModulus) {
  BIGNUM* modulus = nullptr;
  ASSERT_EQ(EVP_PKEY_get_bn_param(pair_.get(), OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
  std::string bytes(256, '\0');
  auto* raw = reinterpret_cast<unsigned char*>(bytes.data());
  BN_bn2binpad(modulus, raw, 256);
  EXPECT_FALSE(verifies(keys_, Algorithm::rs256, bytes));
  // The sum fits into as many bytes only when the signature is small enough: one of many inputs has such a one.
  const VerificationKey& key = *keys_.find(std::nullopt, Algorithm::rs256);
  BIGNUM* sum = BN_new();
  for (int i = 0; i < 64; ++i) {
    const std::string input = std::to_string(i);
    const std::string signature = sign(pair_, input);
    ASSERT_EQ(key.verify(Algorithm::rs256, input, signature), Verification::valid);
    BN_bin2bn(reinterpret_cast<const unsigned char*>(signature.data()), static_cast<int>(signature.size()), sum);
    BN_add(sum, sum, modulus);
    if (BN_num_bytes(sum) > 256) continue;
    BN_bn2binpad(sum, raw, 256);
    EXPECT_EQ(key.verify(Algorithm::rs256, input, bytes), Verification::invalid);
  }
  BN_free(sum);
  BN_free(modulus);
  EXPECT_TRUE(verifies(keys_, Algorithm::rs256, sign(pair_, kInput)));
}

class PssPadding : public ::testing::Test {
 protected:
  bool is_valid(int salt_bytes, const EVP_MD* mask_hash) const {
    return verifies(keys_, Algorithm::ps256, sign(pair_, kInput, [&](EVP_PKEY_CTX* context) {
                      EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING), 1);
                      EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt_bytes), 1);
                      EXPECT_EQ(EVP_PKEY_CTX_set_rsa_mgf1_md(context, mask_hash), 1);
                    }));
  }
  Pkey pair_ = rsa_pair();
  KeySet keys_ = need(read_pem(public_pem(pair_)));
};

TEST_F(PssPadding, B15_AcceptsASaltAsLongAsTheHashAlone) {
  EXPECT_TRUE(is_valid(32, EVP_sha256()));
  for (const int salt : {0, 20, 31, 33, 48, RSA_PSS_SALTLEN_MAX}) EXPECT_FALSE(is_valid(salt, EVP_sha256())) << salt;
}

TEST_F(PssPadding, B15_RefusesAnotherHashInTheMask) {
  EXPECT_FALSE(is_valid(32, EVP_sha1()));
  EXPECT_FALSE(is_valid(32, EVP_sha384()));
}

// ECDSA.

struct Curve {
  const char* name;
  Algorithm algorithm;
  std::size_t coordinate;
};
class EcdsaForm : public ::testing::TestWithParam<Curve> {
 protected:
  std::string number(std::string_view which) const {
    BIGNUM* order = nullptr;
    EVP_PKEY_get_bn_param(pair_.get(), OSSL_PKEY_PARAM_EC_ORDER, &order);
    if (which == "n-1") BN_sub_word(order, 1);
    if (which == "n+1") BN_add_word(order, 1);
    std::string bytes(GetParam().coordinate, '\0');
    BN_bn2binpad(order, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(order);
    return bytes;
  }
  // R || S of a good signature.
  std::string good() const {
    const unsigned char* at = reinterpret_cast<const unsigned char*>(der_.data());
    ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der_.size()));
    const auto length = static_cast<int>(GetParam().coordinate);
    std::string raw(2 * GetParam().coordinate, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, length);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + length, length);
    ECDSA_SIG_free(signature);
    return raw;
  }
  bool is_valid(std::string_view signature) const { return verifies(keys_, GetParam().algorithm, signature); }

  // ES384 and ES512 hash with SHA-384 and SHA-512.
  std::string sign_der() const {
    const char* digest = GetParam().coordinate == 32 ? "SHA256" : GetParam().coordinate == 48 ? "SHA384" : "SHA512";
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EXPECT_EQ(EVP_DigestSignInit_ex(context, nullptr, digest, nullptr, nullptr, pair_.get(), nullptr), 1);
    std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(pair_.get())), '\0');
    std::size_t length = signature.size();
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &length,
                             reinterpret_cast<const unsigned char*>(kInput.data()), kInput.size()),
              1);
    EVP_MD_CTX_free(context);
    signature.resize(length);
    return signature;
  }

  Pkey pair_ = ec_pair(GetParam().name);
  KeySet keys_ = need(read_pem(public_pem(pair_)));
  std::string der_ = sign_der();
};
INSTANTIATE_TEST_SUITE_P(Curves, EcdsaForm,
                         ::testing::Values(Curve{"P-256", Algorithm::es256, 32}, Curve{"P-384", Algorithm::es384, 48},
                                           Curve{"P-521", Algorithm::es512, 66}),
                         [](const auto& info) { return std::string(name(info.param.algorithm)); });

TEST_P(EcdsaForm, B12_AcceptsRAndSAndRefusesDer) {
  EXPECT_TRUE(is_valid(good()));
  EXPECT_FALSE(is_valid(der_));
}

TEST_P(EcdsaForm, B12_RefusesNumbersOutsideTheOrder) {
  const std::size_t length = GetParam().coordinate;
  const std::string r = good().substr(0, length);
  const std::string s = good().substr(length);
  const std::string zero(length, '\0');
  const std::string ones(length, '\xFF');
  EXPECT_FALSE(is_valid(zero + zero));
  EXPECT_FALSE(is_valid(ones + ones));
  for (const std::string& number : {zero, ones, number("n"), number("n-1"), number("n+1")}) {
    EXPECT_FALSE(is_valid(number + s));
    EXPECT_FALSE(is_valid(r + number));
    EXPECT_FALSE(is_valid(number + number));
  }
  EXPECT_TRUE(is_valid(r + s));
}

TEST_P(EcdsaForm, B12_RefusesEveryOtherLength) {
  const std::string signature = good();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{96},
                                   std::size_t{132}, std::size_t{16'384}}) {
    if (length == signature.size()) continue;
    std::string other = signature;
    other.resize(length, '\1');
    EXPECT_FALSE(is_valid(other)) << length;
  }
  const std::size_t half = GetParam().coordinate;
  EXPECT_FALSE(is_valid('\0' + signature.substr(0, half) + '\0' + signature.substr(half))) << "leading zeros";
}

// Numbers with leading zero bytes: one in 128 signatures has one, and all must verify.
TEST_P(EcdsaForm, VerifiesSignaturesWhateverTheirLeadingBytes) {
  bool has_seen_a_zero = false;
  for (int i = 0; i < 4000 && !has_seen_a_zero; ++i) {
    der_ = sign_der();
    const std::string raw = good();
    // P-521's first byte is 0 or 1 always; its second tells.
    const std::size_t at = GetParam().coordinate == 66 ? 1 : 0;
    if (raw[at] != '\0' && raw[GetParam().coordinate + at] != '\0') continue;
    has_seen_a_zero = true;
    EXPECT_TRUE(is_valid(raw));
  }
  EXPECT_TRUE(has_seen_a_zero);
}

}  // namespace
}  // namespace sallyport::authenticate
