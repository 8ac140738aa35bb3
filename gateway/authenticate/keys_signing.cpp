// Private keys: making them, reading them, signing.
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "authenticate/keys_material.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {

struct SigningKey::Impl {
  KeyMaterial material;  // pkey is the pair
  Algorithm algorithm{};
};

namespace {

using EcdsaSignature = std::unique_ptr<ECDSA_SIG, FreeWith<&ECDSA_SIG_free>>;

constexpr int kGeneratedRsaBits = 2048;

unsigned char* buffer_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }
Error failed(std::string_view what) { return make_error(Fault::internal, "OpenSSL: " + std::string(what)); }

// A key without `alg` signs by the usual algorithm of its kind.
Algorithm default_algorithm(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa: return Algorithm::rs256;
    case KeyKind::ec_p256: return Algorithm::es256;
    case KeyKind::ec_p384: return Algorithm::es384;
    case KeyKind::ec_p521: return Algorithm::es512;
    case KeyKind::ed25519: return Algorithm::eddsa;
    case KeyKind::secret: return Algorithm::hs256;
  }
  return Algorithm::hs256;
}

Result<std::string> sign_asymmetric(EVP_PKEY* pkey, Algorithm algorithm, std::string_view input) {
  const DigestContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;  // the digest context's own
  const char* digest = facts_of(algorithm).digest_bytes == 0 ? nullptr : facts_of(algorithm).digest;
  if (!context || EVP_DigestSignInit_ex(context.get(), &padding, digest, nullptr, nullptr, pkey, nullptr) != 1)
    return failed("cannot sign");
  if (facts_of(algorithm).family == Family::rsa_pss && (EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) != 1 ||
                                                        EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return failed("cannot pad");
  }
  std::string signature(static_cast<std::size_t>(EVP_PKEY_get_size(pkey)), '\0');
  std::size_t length = signature.size();
  if (EVP_DigestSign(context.get(), buffer_of(signature), &length, bytes(input), input.size()) != 1) return failed("cannot sign");
  signature.resize(length);
  return signature;
}

// RFC 7518 §3.4: R || S, each of the curve's full length.
Result<std::string> raw_ecdsa(std::string_view der, std::size_t coordinate) {
  const unsigned char* at = bytes(der);
  const EcdsaSignature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string raw(2 * coordinate, '\0');
  const int length = static_cast<int>(coordinate);
  if (!parsed || BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), buffer_of(raw), length) != length ||
      BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), buffer_of(raw) + coordinate, length) != length) {
    return failed("no ECDSA signature");
  }
  return raw;
}

Result<std::string> sign_hmac(std::span<const unsigned char> secret, Algorithm algorithm, std::string_view input) {
  std::string mac(facts_of(algorithm).digest_bytes, '\0');
  std::size_t length = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, facts_of(algorithm).digest, nullptr, secret.data(), secret.size(), bytes(input), input.size(),
                buffer_of(mac), mac.size(), &length) == nullptr) {
    return failed("cannot authenticate");
  }
  return mac;
}

// JWK text.

class JwkWriter {
 public:
  void member(std::string_view name, std::string_view value) {
    text_ += text_.empty() ? "{" : ",";
    append_json_string(text_, name);
    text_ += ':';
    append_json_string(text_, value);
  }
  [[nodiscard]] bool number(std::string_view name, const EVP_PKEY* pkey, const char* parameter, std::size_t length = 0) {
    BIGNUM* raw = nullptr;
    if (EVP_PKEY_get_bn_param(pkey, parameter, &raw) != 1) return false;
    const BignumPtr value(raw);
    std::string out(length != 0 ? length : static_cast<std::size_t>(BN_num_bytes(raw)), '\0');
    if (BN_bn2binpad(raw, buffer_of(out), static_cast<int>(out.size())) < 0) return false;
    member(name, base64url_encode(out));
    OPENSSL_cleanse(out.data(), out.size());
    return true;
  }
  [[nodiscard]] std::string finish() && { return std::move(text_) + "}"; }

 private:
  std::string text_;
};

bool write_rsa(JwkWriter& out, const EVP_PKEY* pkey, KeyHalf half) {
  out.member("kty", "RSA");
  if (!out.number("n", pkey, OSSL_PKEY_PARAM_RSA_N) || !out.number("e", pkey, OSSL_PKEY_PARAM_RSA_E)) return false;
  if (half == KeyHalf::verifying) return true;
  return out.number("d", pkey, OSSL_PKEY_PARAM_RSA_D) && out.number("p", pkey, OSSL_PKEY_PARAM_RSA_FACTOR1) &&
         out.number("q", pkey, OSSL_PKEY_PARAM_RSA_FACTOR2) && out.number("dp", pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1) &&
         out.number("dq", pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2) && out.number("qi", pkey, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
}

bool write_ec(JwkWriter& out, const EVP_PKEY* pkey, KeyKind kind, KeyHalf half) {
  const std::size_t length = coordinate_bytes(kind);
  out.member("kty", "EC");
  out.member("crv", kind == KeyKind::ec_p256 ? "P-256" : kind == KeyKind::ec_p384 ? "P-384" : "P-521");
  if (!out.number("x", pkey, OSSL_PKEY_PARAM_EC_PUB_X, length) || !out.number("y", pkey, OSSL_PKEY_PARAM_EC_PUB_Y, length)) return false;
  return half == KeyHalf::verifying || out.number("d", pkey, OSSL_PKEY_PARAM_PRIV_KEY, length);
}

bool write_ed25519(JwkWriter& out, const EVP_PKEY* pkey, KeyHalf half) {
  std::string raw(32, '\0');
  std::size_t length = raw.size();
  out.member("kty", "OKP");
  out.member("crv", "Ed25519");
  if (EVP_PKEY_get_raw_public_key(pkey, buffer_of(raw), &length) != 1) return false;
  out.member("x", base64url_encode(raw));
  if (half == KeyHalf::verifying) return true;
  if (EVP_PKEY_get_raw_private_key(pkey, buffer_of(raw), &length) != 1) return false;
  out.member("d", base64url_encode(raw));
  OPENSSL_cleanse(raw.data(), raw.size());
  return true;
}

bool write_values(JwkWriter& out, const KeyMaterial& key, KeyHalf half) {
  switch (key.kind) {
    case KeyKind::rsa: return write_rsa(out, key.pkey.get(), half);
    case KeyKind::ec_p256:
    case KeyKind::ec_p384:
    case KeyKind::ec_p521: return write_ec(out, key.pkey.get(), key.kind, half);
    case KeyKind::ed25519: return write_ed25519(out, key.pkey.get(), half);
    case KeyKind::secret:
      if (half == KeyHalf::verifying) return false;
      out.member("kty", "oct");
      out.member("k", base64url_encode({reinterpret_cast<const char*>(key.secret.reveal().data()), key.secret.size()}));
      return true;
  }
  return false;
}

Result<std::string> write_jwk(const KeyMaterial& key, KeyHalf half) {
  JwkWriter out;
  if (!write_values(out, key, half)) return failed("the key cannot be written");
  if (key.key_id) out.member("kid", *key.key_id);
  out.member("use", "sig");
  if (key.algorithm) out.member("alg", name(*key.algorithm));
  return std::move(out).finish();
}

PkeyPtr generate_pair(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa: return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(kGeneratedRsaBits)));
    case KeyKind::ec_p256: return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
    case KeyKind::ec_p384: return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"));
    case KeyKind::ec_p521: return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-521"));
    case KeyKind::ed25519: return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
    case KeyKind::secret: return nullptr;
  }
  return nullptr;
}

Result<KeyMaterial> generate(Algorithm algorithm) {
  KeyMaterial key;
  key.kind = facts_of(algorithm).kind;
  key.algorithm = algorithm;
  if (key.kind == KeyKind::secret) {
    std::string secret(facts_of(algorithm).digest_bytes, '\0');
    fill_random({buffer_of(secret), secret.size()});
    key.secret = Secret(std::move(secret));
    return key;
  }
  key.pkey = generate_pair(key.kind);
  if (!key.pkey) return failed("cannot make a key");
  return key;
}

}  // namespace

SigningKey::SigningKey(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
SigningKey::~SigningKey() = default;
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;

Algorithm SigningKey::algorithm() const noexcept { return impl_->algorithm; }
const std::optional<std::string>& SigningKey::key_id() const noexcept { return impl_->material.key_id; }

Result<std::string> SigningKey::sign(std::string_view signing_input) const {
  const CleanErrorQueue clean;
  const KeyMaterial& key = impl_->material;
  if (key.kind == KeyKind::secret) return sign_hmac(key.secret.reveal(), impl_->algorithm, signing_input);
  Result<std::string> signature = sign_asymmetric(key.pkey.get(), impl_->algorithm, signing_input);
  if (!signature || facts_of(impl_->algorithm).family != Family::ecdsa) return signature;
  return raw_ecdsa(*signature, coordinate_bytes(key.kind));
}

bool SigningKey::verifies_itself() const {
  constexpr std::string_view kProbe = "sallyport";
  const Result<std::string> signature = sign(kProbe);
  if (!signature) return false;
  if (impl_->material.kind == KeyKind::secret) return true;
  const Result<std::string> half = write_jwk(impl_->material, KeyHalf::verifying);
  if (!half) return false;
  std::vector<std::string> warnings;
  const Result<KeySet> keys = KeySet::from_jwks("{\"keys\":[" + *half + "]}", warnings);
  return keys && keys->keys_.front().verify(impl_->algorithm, kProbe, *signature) == Verification::valid;
}

Result<std::vector<SigningKey>> SigningKey::from_jwks(std::string_view text) {
  const CleanErrorQueue clean;
  const Result<JsonArray> jwks = parse_jwk_set(text);
  if (!jwks) return jwks.error();
  std::vector<SigningKey> keys;
  for (std::size_t i = 0; i < jwks->size(); ++i) {
    const std::string label = "key " + std::to_string(i + 1);
    Result<KeyMaterial> material = read_jwk((*jwks)[i], KeyHalf::signing);
    if (!material) return make_error(Fault::malformed, label + ": " + material.error().detail);
    for (const SigningKey& earlier : keys) {
      if (material->key_id && earlier.key_id() == material->key_id) return make_error(Fault::malformed, label + ": its kid is taken");
    }
    auto impl = std::make_unique<Impl>();
    impl->algorithm = material->algorithm.value_or(default_algorithm(material->kind));
    impl->material = std::move(*material);
    keys.push_back(SigningKey(std::move(impl)));
    if (!keys.back().verifies_itself()) return make_error(Fault::malformed, label + ": its private and public half do not belong together");
  }
  if (keys.empty()) return make_error(Fault::malformed, "the set holds no key");
  return keys;
}

Result<std::string> SigningKey::generate_jwks(Algorithm algorithm, std::string_view key_id) {
  const CleanErrorQueue clean;
  Result<KeyMaterial> key = generate(algorithm);
  if (!key) return key.error();
  if (!key_id.empty()) key->key_id = std::string(key_id);
  const Result<std::string> jwk = write_jwk(*key, KeyHalf::signing);
  if (!jwk) return jwk.error();
  return "{\"keys\":[" + *jwk + "]}";
}

Result<std::string> SigningKey::public_jwks(std::string_view private_jwks) {
  const CleanErrorQueue clean;
  const Result<std::vector<SigningKey>> keys = from_jwks(private_jwks);
  if (!keys) return keys.error();
  std::string out = "{\"keys\":[";
  for (const SigningKey& key : *keys) {
    if (key.impl_->material.kind == KeyKind::secret) continue;
    const Result<std::string> jwk = write_jwk(key.impl_->material, KeyHalf::verifying);
    if (!jwk) return jwk.error();
    if (out.back() != '[') out += ',';
    out += *jwk;
  }
  return out + "]}";
}

Result<std::string> sign_jwt(const SigningKey& key, std::string_view claims, std::string_view type) {
  const Result<Json> parsed = Json::parse(claims);
  if (!parsed || parsed->object() == nullptr) return make_error(Fault::malformed, "the claims are no JSON object");
  std::string header = "{\"alg\":";
  append_json_string(header, name(key.algorithm()));
  if (!type.empty()) {
    header += ",\"typ\":";
    append_json_string(header, type);
  }
  if (key.key_id()) {
    header += ",\"kid\":";
    append_json_string(header, *key.key_id());
  }
  header += '}';
  std::string token = base64url_encode(header) + '.' + base64url_encode(claims);
  const Result<std::string> signature = key.sign(token);
  if (!signature) return signature.error();
  token += '.';
  token += base64url_encode(*signature);
  return token;
}

}  // namespace sallyport::authenticate
