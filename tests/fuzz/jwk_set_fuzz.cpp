// Any bytes as a key file: JWK Set, PEM, secret, private set. What is taken must be within the rules, and nothing may leave errors behind.
#include <cstdint>

#include <openssl/err.h>

#include "authenticate/keys.hpp"
#include "fuzz/require.hpp"

namespace {

using namespace sallyport;
using authenticate::Algorithm;
using authenticate::KeySet;
using authenticate::SigningKey;
using authenticate::VerificationKey;

void check(const Result<KeySet>& keys) {
  require(ERR_peek_error() == 0, "no error stays on the queue");
  if (!keys) return;
  require(keys->size() > 0 && keys->size() <= KeySet::kKeysMax, "as many keys as a set may have");
  require(keys->has_public_keys() != keys->has_secrets(), "secrets or public keys");
  for (std::size_t i = 0; i < authenticate::kAlgorithmCount; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    const VerificationKey* key = keys->find(std::nullopt, algorithm);
    if (key == nullptr) continue;
    require(keys->can_verify(algorithm) && key->fits(algorithm), "the key that is found fits");
    require(is_symmetric(algorithm) == keys->has_secrets(), "secrets are for HMAC alone");
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{32}, std::size_t{64}, std::size_t{96}, std::size_t{132}, std::size_t{256}}) {
      require(key->verify(algorithm, "input", std::string(length, '\0')) == authenticate::Verification::invalid, "zeros are no signature");
    }
  }
  require(ERR_peek_error() == 0, "no error stays on the queue");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> warnings;
  check(KeySet::from_text(text, warnings));
  check(KeySet::from_jwks(text, warnings));
  check(KeySet::from_pem(text, warnings));
  for (const std::string& warning : warnings) {
    for (const char c : warning) require(c >= 0x20 && c <= 0x7E, "warnings are printable");
  }
  check(KeySet::from_secret(Secret(std::string(text)), {Algorithm::hs256}));
  const auto signing = SigningKey::from_jwks(text);
  require(ERR_peek_error() == 0, "no error stays on the queue");
  require(!signing || !signing->empty(), "a private set has a key");
  return 0;
}
