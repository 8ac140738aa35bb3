#include "authenticate/keys.hpp"

#include <algorithm>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "authenticate/keys_material.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

constexpr std::array<AlgorithmFacts, kAlgorithmCount> kAlgorithms{{
    {"HS256", Family::hmac, KeyKind::secret, "SHA256", 32},
    {"HS384", Family::hmac, KeyKind::secret, "SHA384", 48},
    {"HS512", Family::hmac, KeyKind::secret, "SHA512", 64},
    {"RS256", Family::rsa_pkcs1, KeyKind::rsa, "SHA256", 32},
    {"RS384", Family::rsa_pkcs1, KeyKind::rsa, "SHA384", 48},
    {"RS512", Family::rsa_pkcs1, KeyKind::rsa, "SHA512", 64},
    {"PS256", Family::rsa_pss, KeyKind::rsa, "SHA256", 32},
    {"PS384", Family::rsa_pss, KeyKind::rsa, "SHA384", 48},
    {"PS512", Family::rsa_pss, KeyKind::rsa, "SHA512", 64},
    {"ES256", Family::ecdsa, KeyKind::ec_p256, "SHA256", 32},
    {"ES384", Family::ecdsa, KeyKind::ec_p384, "SHA384", 48},
    {"ES512", Family::ecdsa, KeyKind::ec_p521, "SHA512", 64},
    {"EdDSA", Family::eddsa, KeyKind::ed25519, "", 0},
}};

constexpr std::size_t index(Algorithm algorithm) noexcept { return static_cast<std::size_t>(algorithm); }

// A context that has done everything but the signature itself.
PkeyContextPtr ready_verifier(EVP_PKEY* pkey, Algorithm algorithm) {
  PkeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey, nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) != 1) return nullptr;
  if (EVP_PKEY_CTX_set_signature_md(context.get(), digest_of(algorithm)) != 1) return nullptr;
  const Family family = facts_of(algorithm).family;
  if (family == Family::rsa_pkcs1 && EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) != 1) return nullptr;
  if (family == Family::rsa_pss) {
    // RFC 7518 §3.5: the salt is as long as the hash, and MGF1 uses the same hash.
    if (EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), digest_of(algorithm)) != 1) {
      return nullptr;
    }
  }
  return context;
}

DigestContextPtr ready_whole_verifier(EVP_PKEY* pkey) {
  DigestContextPtr context(EVP_MD_CTX_new());
  if (!context || EVP_DigestVerifyInit_ex(context.get(), nullptr, nullptr, nullptr, nullptr, pkey, nullptr) != 1) return nullptr;
  return context;
}

// A hash that has taken in one block of the key's bytes, each changed by `pad`.
DigestContextPtr ready_hmac_half(const EVP_MD* digest, std::span<const unsigned char> key, unsigned char pad) {
  std::array<unsigned char, EVP_MAX_MD_SIZE * 2> block;  // SHA-512 has the longest, and the longest digest is half of it
  const auto block_bytes = static_cast<std::size_t>(EVP_MD_get_block_size(digest));
  DigestContextPtr context(EVP_MD_CTX_new());
  if (!context || block_bytes > block.size() || key.size() > block_bytes) return nullptr;
  block.fill(pad);
  for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  const bool is_ready =
      EVP_DigestInit_ex2(context.get(), digest, nullptr) == 1 && EVP_DigestUpdate(context.get(), block.data(), block_bytes) == 1;
  OPENSSL_cleanse(block.data(), block.size());
  return is_ready ? std::move(context) : nullptr;
}

HmacStates ready_hmac(std::span<const unsigned char> secret, Algorithm algorithm) {
  constexpr unsigned char kInnerPad = 0x36;
  constexpr unsigned char kOuterPad = 0x5C;
  const EVP_MD* digest = digest_of(algorithm);
  if (digest == nullptr || secret.empty()) return {};
  std::array<unsigned char, EVP_MAX_MD_SIZE> hashed;
  std::span<const unsigned char> key = secret;
  if (secret.size() > static_cast<std::size_t>(EVP_MD_get_block_size(digest))) {
    unsigned int length = 0;
    if (EVP_Digest(secret.data(), secret.size(), hashed.data(), &length, digest, nullptr) != 1) return {};
    key = std::span<const unsigned char>(hashed).first(length);
  }
  HmacStates states{ready_hmac_half(digest, key, kInnerPad), ready_hmac_half(digest, key, kOuterPad)};
  OPENSSL_cleanse(hashed.data(), hashed.size());
  if (!states.inner || !states.outer) return {};
  return states;
}

// DER of ECDSA-Sig-Value from R || S. The longest, P-521's, is 3 + 2 * (2 + 67) bytes, so nothing here grows with the input.
class DerSignature {
 public:
  // Both halves of the curve's coordinate length; the caller has checked it.
  DerSignature(const unsigned char* r, const unsigned char* s, std::size_t coordinate) noexcept {
    std::array<unsigned char, 2 * kIntegerMax> integers;
    std::size_t length = append_integer(integers.data(), r, coordinate);
    length += append_integer(integers.data() + length, s, coordinate);
    bytes_[size_++] = 0x30;
    if (length > 127) bytes_[size_++] = 0x81;
    bytes_[size_++] = static_cast<unsigned char>(length);
    std::memcpy(bytes_.data() + size_, integers.data(), length);
    size_ += length;
  }
  [[nodiscard]] const unsigned char* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t kIntegerMax = 2 + 1 + 66;

  static std::size_t append_integer(unsigned char* out, const unsigned char* number, std::size_t length) noexcept {
    while (length > 1 && *number == 0) {
      ++number;
      --length;
    }
    const std::size_t pad = *number >= 0x80 ? 1 : 0;  // or it would read as negative
    out[0] = 0x02;
    out[1] = static_cast<unsigned char>(length + pad);
    out[2] = 0;
    std::memcpy(out + 2 + pad, number, length);
    return 2 + pad + length;
  }

  std::array<unsigned char, 3 + 2 * kIntegerMax> bytes_;
  std::size_t size_ = 0;
};

bool verify_digest(EVP_PKEY_CTX* ready, Algorithm algorithm, std::string_view input, const unsigned char* signature, std::size_t length) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int digest_bytes = 0;
  if (EVP_Digest(input.data(), input.size(), digest.data(), &digest_bytes, digest_of(algorithm), nullptr) != 1) return false;
  const PkeyContextPtr context(EVP_PKEY_CTX_dup(ready));
  return context && EVP_PKEY_verify(context.get(), signature, length, digest.data(), digest_bytes) == 1;
}

bool verify_rsa(const KeyMaterial& key, Algorithm algorithm, std::string_view input, std::string_view signature) {
  if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(key.pkey.get()))) return false;
  return verify_digest(key.verifying[index(algorithm)].get(), algorithm, input, bytes(signature), signature.size());
}

// OpenSSL refuses r and s of zero and those not below the order of the curve.
bool verify_ecdsa(const KeyMaterial& key, Algorithm algorithm, std::string_view input, std::string_view signature) {
  const std::size_t coordinate = coordinate_bytes(key.kind);
  if (signature.size() != 2 * coordinate) return false;
  const DerSignature der(bytes(signature), bytes(signature) + coordinate, coordinate);
  return verify_digest(key.verifying[index(algorithm)].get(), algorithm, input, der.data(), der.size());
}

bool verify_eddsa(const KeyMaterial& key, std::string_view input, std::string_view signature) {
  constexpr std::size_t kSignatureBytes = 64;
  if (signature.size() != kSignatureBytes) return false;
  const DigestContextPtr context(EVP_MD_CTX_new());
  return context && EVP_MD_CTX_copy_ex(context.get(), key.verifying_whole.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(input), input.size()) == 1;
}

using Digest = std::array<unsigned char, EVP_MAX_MD_SIZE>;

// The digest of what `begun` has taken in and of `input` behind it; its length, or 0.
std::size_t finish_digest(EVP_MD_CTX* begun, std::span<const unsigned char> input, Digest& out) {
  const DigestContextPtr context(EVP_MD_CTX_new());
  unsigned int length = 0;
  if (!context || EVP_MD_CTX_copy_ex(context.get(), begun) != 1 || EVP_DigestUpdate(context.get(), input.data(), input.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), out.data(), &length) != 1) {
    return 0;
  }
  return length;
}

bool verify_hmac(const KeyMaterial& key, Algorithm algorithm, std::string_view input, std::string_view signature) {
  const HmacStates& states = key.authenticating[index(algorithm)];
  Digest inner;
  Digest mac;
  const std::size_t inner_bytes = finish_digest(states.inner.get(), {bytes(input), input.size()}, inner);
  if (inner_bytes == 0) return false;
  const std::size_t mac_bytes = finish_digest(states.outer.get(), std::span(inner).first(inner_bytes), mac);
  if (mac_bytes == 0) return false;
  return equal_in_constant_time({reinterpret_cast<const char*>(mac.data()), mac_bytes}, signature);
}

// Of the public half in DER, which also says what kind of key it is.
Result<std::string> fingerprint_of(const KeyMaterial& key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  bool made = false;
  if (key.kind == KeyKind::secret) {
    const auto secret = key.secret.reveal();
    made = EVP_Digest(secret.data(), secret.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1;
  } else {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(key.pkey.get(), &der);
    made = size > 0 && EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &length, EVP_sha256(), nullptr) == 1;
    OPENSSL_free(der);
  }
  if (!made) return make_error(Fault::unsupported, "OpenSSL cannot use it");
  return std::string(reinterpret_cast<const char*>(digest.data()), length);
}

}  // namespace

const AlgorithmFacts& facts_of(Algorithm algorithm) noexcept { return kAlgorithms[index(algorithm)]; }

std::optional<Algorithm> parse_algorithm(std::string_view text) noexcept {
  for (std::size_t i = 0; i < kAlgorithms.size(); ++i) {
    if (kAlgorithms[i].name == text) return static_cast<Algorithm>(i);
  }
  return std::nullopt;
}

std::string_view name(Algorithm algorithm) noexcept { return facts_of(algorithm).name; }

bool is_symmetric(Algorithm algorithm) noexcept { return facts_of(algorithm).family == Family::hmac; }

const EVP_MD* digest_of(Algorithm algorithm) noexcept {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  static const EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  switch (facts_of(algorithm).digest_bytes) {
    case 32: return sha256;
    case 48: return sha384;
    case 64: return sha512;
  }
  return nullptr;
}

std::size_t coordinate_bytes(KeyKind kind) noexcept {
  switch (kind) {
    case KeyKind::ec_p256: return 32;
    case KeyKind::ec_p384: return 48;
    case KeyKind::ec_p521: return 66;
    case KeyKind::rsa:
    case KeyKind::ed25519:
    case KeyKind::secret: return 0;
  }
  return 0;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kBytesMax = 64;
  std::string out(text.substr(0, kBytesMax));
  std::replace_if(out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7E; }, '?');
  if (text.size() > kBytesMax) out += "...";
  return out;
}

bool KeyMaterial::fits(Algorithm candidate) const noexcept {
  const AlgorithmFacts& facts = facts_of(candidate);
  if (facts.kind != kind || (algorithm && *algorithm != candidate)) return false;
  return kind != KeyKind::secret || secret.size() >= facts.digest_bytes;  // RFC 7518 §3.2
}

Result<void> prepare(KeyMaterial& key) {
  Result<std::string> fingerprint = fingerprint_of(key);
  if (!fingerprint) return fingerprint.error();
  key.fingerprint = std::move(*fingerprint);
  if (key.kind == KeyKind::ed25519) {
    key.verifying_whole = ready_whole_verifier(key.pkey.get());
    if (!key.verifying_whole) return make_error(Fault::unsupported, "OpenSSL cannot use it");
    return {};
  }
  for (std::size_t i = 0; i < kAlgorithmCount; ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (!key.fits(algorithm)) continue;
    if (key.kind == KeyKind::secret) {
      key.authenticating[i] = ready_hmac(key.secret.reveal(), algorithm);
    } else {
      key.verifying[i] = ready_verifier(key.pkey.get(), algorithm);
    }
    if (!key.authenticating[i].inner && !key.verifying[i]) return make_error(Fault::unsupported, "OpenSSL cannot use it");
  }
  return {};
}

VerificationKey::VerificationKey(std::unique_ptr<const KeyMaterial> material) : material_(std::move(material)) {}
VerificationKey::~VerificationKey() = default;
VerificationKey::VerificationKey(VerificationKey&&) noexcept = default;
VerificationKey& VerificationKey::operator=(VerificationKey&&) noexcept = default;

KeyKind VerificationKey::kind() const noexcept { return material_->kind; }
const std::optional<std::string>& VerificationKey::key_id() const noexcept { return material_->key_id; }
const std::string& VerificationKey::fingerprint() const noexcept { return material_->fingerprint; }
bool VerificationKey::fits(Algorithm algorithm) const noexcept { return material_->fits(algorithm); }

Verification VerificationKey::verify(Algorithm algorithm, std::string_view signing_input, std::string_view signature) const {
  // Asked again here, whatever the caller did: a key must never meet an algorithm that is not its own.
  if (!fits(algorithm)) return Verification::invalid;
  const CleanErrorQueue clean;
  bool valid = false;
  switch (material_->kind) {
    case KeyKind::rsa: valid = verify_rsa(*material_, algorithm, signing_input, signature); break;
    case KeyKind::ec_p256:
    case KeyKind::ec_p384:
    case KeyKind::ec_p521: valid = verify_ecdsa(*material_, algorithm, signing_input, signature); break;
    case KeyKind::ed25519: valid = verify_eddsa(*material_, signing_input, signature); break;
    case KeyKind::secret: valid = verify_hmac(*material_, algorithm, signing_input, signature); break;
  }
  return valid ? Verification::valid : Verification::invalid;
}

void KeySet::add(KeyMaterial material) { keys_.push_back(VerificationKey(std::make_unique<const KeyMaterial>(std::move(material)))); }

Result<KeySet> KeySet::from_secret(Secret secret, const std::vector<Algorithm>& algorithms) {
  const CleanErrorQueue clean;
  std::size_t needed = facts_of(Algorithm::hs256).digest_bytes;
  for (const Algorithm algorithm : algorithms) {
    if (is_symmetric(algorithm)) needed = std::max(needed, facts_of(algorithm).digest_bytes);
  }
  if (secret.size() < needed) {
    return make_error(Fault::malformed, "the secret has " + std::to_string(secret.size()) + " bytes; its algorithms need at least " +
                                            std::to_string(needed) + " (RFC 7518, section 3.2)");
  }
  if (const auto weakness = weakness_of(secret.reveal()))
    return make_error(Fault::malformed, std::string("the secret is ").append(*weakness));
  KeyMaterial material;
  material.kind = KeyKind::secret;
  material.secret = std::move(secret);
  if (auto prepared = prepare(material); !prepared) return prepared.error();
  KeySet keys;
  keys.keys_have_ids_ = false;
  keys.add(std::move(material));
  return keys;
}

Result<KeySet> KeySet::from_text(std::string_view text, std::vector<std::string>& warnings) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && text[begin] == '{') return from_jwks(text, warnings);
  if (text.find("-----BEGIN") != std::string_view::npos) return from_pem(text, warnings);
  return make_error(Fault::malformed, "neither a JWK Set (\"{\") nor PEM (\"-----BEGIN\")");
}

const VerificationKey* KeySet::find(const std::optional<std::string>& key_id, Algorithm algorithm) const noexcept {
  const VerificationKey* found = nullptr;
  for (const VerificationKey& key : keys_) {
    if (key_id && keys_have_ids_ && key.key_id() != key_id) continue;
    if (!key.fits(algorithm)) continue;
    if (found != nullptr) return nullptr;  // RFC 7515 §4.1.4 leaves the choice to us: never by trying
    found = &key;
  }
  return found;
}

bool KeySet::has_fingerprint(std::string_view fingerprint) const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [&](const VerificationKey& key) { return key.fingerprint() == fingerprint; });
}

bool KeySet::has_key_id(std::string_view key_id) const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [&](const VerificationKey& key) { return key.key_id() && *key.key_id() == key_id; });
}

bool KeySet::has_public_keys() const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [](const VerificationKey& key) { return key.kind() != KeyKind::secret; });
}

bool KeySet::has_secrets() const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [](const VerificationKey& key) { return key.kind() == KeyKind::secret; });
}

bool KeySet::can_verify(Algorithm algorithm) const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [&](const VerificationKey& key) { return key.fits(algorithm); });
}

bool holds_private_keys(std::string_view text) {
  if (text.find("PRIVATE KEY-----") != std::string_view::npos) return true;
  const Result<Json> document = Json::parse(text, {.bytes_max = KeySet::kBytesMax});
  const Json* keys = document ? document->find("keys") : nullptr;
  if (keys == nullptr || keys->array() == nullptr) return false;
  return std::ranges::any_of(*keys->array(), [](const Json& key) { return key.find("d") != nullptr || key.find("k") != nullptr; });
}

}  // namespace sallyport::authenticate
