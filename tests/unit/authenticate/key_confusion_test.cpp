// Keys that are asked to be others (hazards D01-D04).
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "unit/authenticate/judging.hpp"

namespace sallyport::authenticate {
namespace {

using testing::compact;
using testing::good_token;
using testing::header_for;
using testing::need;
using testing::test_key;
using namespace std::string_literals;

// HMAC over the token with `secret`, under the kid of the public key.
std::string hmac_token(std::string_view secret, Algorithm algorithm, std::string_view kid) {
  const std::string header = R"({"alg":")" + std::string(name(algorithm)) + R"(","kid":")" + std::string(kid) + "\"}";
  const std::string input = base64url_encode(header) + "." + base64url_encode(testing::Claims().text());
  const char* digest = algorithm == Algorithm::hs256 ? "SHA256" : algorithm == Algorithm::hs384 ? "SHA384" : "SHA512";
  std::array<unsigned char, 64> mac{};
  std::size_t length = 0;
  EXPECT_NE(EVP_Q_mac(nullptr, "HMAC", nullptr, digest, nullptr, secret.data(), secret.size(),
                      reinterpret_cast<const unsigned char*>(input.data()), input.size(), mac.data(), mac.size(), &length),
            nullptr);
  return input + "." + base64url_encode({reinterpret_cast<const char*>(mac.data()), length});
}

// Every text form of a public key that an attacker can have.
std::vector<std::string> known_forms(Algorithm algorithm) {
  const std::string& jwks = test_key(algorithm).public_jwks;
  const Json document = need(Json::parse(jwks));
  const Json& jwk = document.find("keys")->array()->front();
  const bool is_rsa = jwk.find("n") != nullptr;
  const std::string number = *jwk.find(is_rsa ? "n" : "x")->string();
  EVP_PKEY* pkey = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, pkey);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<std::size_t>(length));
  BIO_free(bio);
  EVP_PKEY_free(pkey);
  std::string crlf;
  for (const char c : pem) crlf += c == '\n' ? "\r\n"s : std::string(1, c);
  return {jwks, jwks.substr(9, jwks.size() - 11), jwk.dump(), number, *base64url_decode(number),
          pem,  pem.substr(0, pem.size() - 1),    crlf,       ""};
}

TEST(JwtVerifier, D01_D02_RefusesHmacKeyedWithAPublicKeyOrWithNothing) {
  for (const Algorithm key : {Algorithm::rs256, Algorithm::es256, Algorithm::eddsa}) {
    for (const std::string& secret : known_forms(key)) {
      for (const Algorithm mac : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
        const std::string token = hmac_token(secret, mac, "test-key");
        EXPECT_EQ(verify(token, key), RefusalReason::algorithm_refused);
        // Even on a list that should never have been accepted.
        EXPECT_EQ(verify(token, test_key(key).verifying, testing::expectations({key, mac})), RefusalReason::algorithm_refused);
      }
    }
  }
}

// CVE-2026-44699: the JWK has no alg to contradict the header.
TEST(JwtVerifier, D02_RefusesHmacWithAnEmptyKeyForAnRsaKeyWithoutAlg) {
  std::string jwks = test_key(Algorithm::rs256).public_jwks;
  const std::size_t at = jwks.find(R"(,"alg":"RS256")");
  ASSERT_NE(at, std::string::npos);
  jwks.erase(at, 14);
  std::vector<std::string> warnings;
  const KeySet keys = need(KeySet::from_jwks(jwks, warnings));
  for (const Algorithm mac : {Algorithm::hs256, Algorithm::hs384, Algorithm::hs512}) {
    EXPECT_EQ(verify(hmac_token("", mac, "test-key"), keys, testing::expectations({Algorithm::rs256, mac})),
              RefusalReason::algorithm_refused);
  }
  EXPECT_EQ(verify(good_token(Algorithm::rs256), keys, testing::expectations({Algorithm::rs256})), kAccepted);
}

TEST(JwtVerifier, D03_RefusesTheAlgorithmOfAnotherKind) {
  struct Row {
    Algorithm header;
    Algorithm key;
  };
  for (const Row& row :
       {Row{Algorithm::rs256, Algorithm::es256}, Row{Algorithm::es256, Algorithm::es384}, Row{Algorithm::es512, Algorithm::es256},
        Row{Algorithm::eddsa, Algorithm::rs256}, Row{Algorithm::es256, Algorithm::rs256}, Row{Algorithm::hs256, Algorithm::rs256}}) {
    const std::string token = compact(header_for(row.header), testing::Claims().text(), test_key(row.key).signing);
    EXPECT_EQ(verify(token, test_key(row.key).verifying, testing::expectations({row.header, row.key})), RefusalReason::algorithm_refused)
        << name(row.header) << " with a key of " << name(row.key);
  }
}

// Also CVE-2026-48523: the list is asked about the header's alg, and the key about the same one.
TEST(JwtVerifier, D04_RefusesAPssSignatureUnderAnRsHeaderAndTheReverse) {
  std::string jwks = test_key(Algorithm::rs256).private_jwks;
  jwks.erase(jwks.find(R"(,"alg":"RS256")"), 14);
  const std::string as_ps = jwks.substr(0, jwks.size() - 3) + R"(,"alg":"PS256"}]})";
  const std::vector<SigningKey> pss = need(SigningKey::from_jwks(as_ps));
  std::vector<std::string> warnings;
  const KeySet both = need(KeySet::from_jwks(jwks, warnings));
  const Expectations expected = testing::expectations({Algorithm::rs256, Algorithm::ps256});
  const SigningKey& pkcs1 = test_key(Algorithm::rs256).signing;
  EXPECT_EQ(verify(compact(header_for(Algorithm::rs256), testing::Claims().text(), pss.front()), both, expected),
            RefusalReason::bad_signature);
  EXPECT_EQ(verify(compact(header_for(Algorithm::ps256), testing::Claims().text(), pkcs1), both, expected), RefusalReason::bad_signature);
  EXPECT_EQ(verify(compact(header_for(Algorithm::ps256), testing::Claims().text(), pss.front()), both, expected), kAccepted);
  EXPECT_EQ(verify(compact(header_for(Algorithm::rs256), testing::Claims().text(), pkcs1), both, expected), kAccepted);
}

}  // namespace
}  // namespace sallyport::authenticate
