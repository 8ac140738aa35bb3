#include "authenticate/jwt.hpp"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <memory>

#include "base/text.hpp"
#include "issuers.hpp"
#include "stage.hpp"

namespace sallyport::micro {
namespace {

using authenticate::Algorithm;

struct Verifying {
  explicit Verifying(const SignedToken& signed_token)
      : text(signed_token.token), keys(keys_of(signed_token)), expectations(testing::expectations({signed_token.algorithm})) {}
  std::string_view text;
  authenticate::KeySet keys;
  authenticate::Expectations expectations;
  [[nodiscard]] bool run() const {
    auto parsed = authenticate::UnverifiedJwt::parse(text);
    auto* token = std::get_if<authenticate::UnverifiedJwt>(&parsed);
    if (token == nullptr) return false;
    const auto verified = authenticate::JwtVerifier::verify(std::move(*token), keys, expectations, testing::kNow);
    return std::holds_alternative<identity::IdentityFacts>(verified);
  }
};

// r and s, 32 bytes each (RFC 7518 §3.4), as OpenSSL takes them.
std::string as_der(std::string_view raw) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> signature(ECDSA_SIG_new(), ECDSA_SIG_free);
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes, 32, nullptr), BN_bin2bn(bytes + 32, 32, nullptr));
  std::string der(static_cast<std::size_t>(i2d_ECDSA_SIG(signature.get(), nullptr)), '\0');
  auto* to = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &to);
  return der;
}

// What OpenSSL takes for the signature alone, decoded beforehand.
struct Bare {
  explicit Bare(const SignedToken& signed_token) : algorithm(signed_token.algorithm) {
    const std::size_t dot = signed_token.token.rfind('.');
    input = signed_token.token.substr(0, dot);
    if (!base64url_decode(signed_token.token.substr(dot + 1), signature)) throw std::runtime_error("no base64url");
    if (algorithm == Algorithm::es256) signature = as_der(signature);
    if (signed_token.pem.empty()) return;
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(signed_token.pem.data(), static_cast<int>(signed_token.pem.size())),
                                                        BIO_free);
    key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
    if (key == nullptr) throw std::runtime_error("no public key");
  }
  [[nodiscard]] bool run() const {
    const auto* bytes = reinterpret_cast<const unsigned char*>(input.data());
    if (key == nullptr) {
      std::array<unsigned char, 32> tag{};
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes, input.size(), tag.data(), nullptr);
      keep(tag[0]);
      return true;
    }
    const EVP_MD* digest = algorithm == Algorithm::eddsa ? nullptr : EVP_sha256();
    return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) == 1 &&
           EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(), bytes,
                            input.size()) == 1;
  }

  Algorithm algorithm;
  std::string input;
  std::string signature;
  std::string secret = std::string(32, 's');
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{nullptr, EVP_PKEY_free};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

template <class Verification>
Body repeat(const SignedToken& token) {
  auto at = std::make_shared<const Verification>(token);
  if (!at->run()) throw std::runtime_error("a token is not good");
  return [at] { keep(at->run()); };
}

}  // namespace

void add_verifications(std::vector<Stage>& to) {
  for (const SignedToken& token : kSignedTokens) {
    to.push_back({"verify " + std::string(name(token.algorithm)), [&token] { return repeat<Verifying>(token); },
                  [&token] { return repeat<Bare>(token); }, "OpenSSL's verification of the signature"});
  }
}

}  // namespace sallyport::micro
