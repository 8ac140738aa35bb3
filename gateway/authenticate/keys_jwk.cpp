// JWK and JWK Set (RFC 7517; RFC 7518 §6; RFC 8037 §2).
#include <algorithm>
#include <unordered_set>

#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include "authenticate/keys_material.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, FreeWith<&OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, FreeWith<&OSSL_PARAM_free>>;

constexpr std::size_t kNumberBytesMax = 2048;  // before OpenSSL computes with it; 8192-bit keys need half of that

Error unusable(std::string detail) { return make_error(Fault::unsupported, std::move(detail)); }

// A member that must be a string when present.
Result<const std::string*> optional_text(const Json& jwk, std::string_view member) {
  const Json* value = jwk.find(member);
  if (value == nullptr) return nullptr;
  if (value->string() == nullptr) return unusable(std::string(member) + " is no string");
  return value->string();
}

// A required member of base64url bytes. Never named with its content: it may be secret.
Result<Secret> required_bytes(const Json& jwk, std::string_view member) {
  const Json* value = jwk.find(member);
  if (value == nullptr || value->string() == nullptr) return unusable("no string member " + std::string(member));
  std::optional<std::string> decoded = base64url_decode(*value->string());
  if (!decoded || decoded->empty()) return unusable(std::string(member) + " is no base64url");
  return Secret(std::move(*decoded));
}

// Base64urlUInt (RFC 7518 §2): the shortest form, so no leading zero bytes.
Result<BignumPtr> required_number(const Json& jwk, std::string_view member) {
  const Result<Secret> raw = required_bytes(jwk, member);
  if (!raw) return raw.error();
  const auto bytes = raw->reveal();
  if (bytes.size() > kNumberBytesMax) return unusable(std::string(member) + " is too long");
  if (bytes.front() == 0) return unusable(std::string(member) + " has leading zeros or is zero");
  BignumPtr number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  if (!number) return unusable(std::string(member) + " is no number");
  return number;
}

Result<PkeyPtr> build(const char* type, int selection, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* pkey = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &pkey, selection, parameters.get()) != 1) {
    return unusable("its values make no key");
  }
  return PkeyPtr(pkey);
}

int selection_of(KeyHalf half) { return half == KeyHalf::signing ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY; }

Result<PkeyPtr> read_rsa(const Json& jwk, KeyHalf half) {
  struct Member {
    std::string_view jwk;
    const char* openssl;
  };
  constexpr std::array<Member, 8> kMembers{{{"n", OSSL_PKEY_PARAM_RSA_N},
                                            {"e", OSSL_PKEY_PARAM_RSA_E},
                                            {"d", OSSL_PKEY_PARAM_RSA_D},
                                            {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
                                            {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},
                                            {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
                                            {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},
                                            {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}}};
  if (half == KeyHalf::signing && jwk.find("oth") != nullptr) return unusable("RSA of more than two primes");
  // RFC 7518 §6.3.2: the factors come all together or not at all.
  const std::size_t needed = half == KeyHalf::verifying ? 2 : jwk.find("p") == nullptr ? 3 : kMembers.size();
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  std::array<BignumPtr, kMembers.size()> numbers;  // the builder refers to them
  for (std::size_t i = 0; i < needed; ++i) {
    Result<BignumPtr> number = required_number(jwk, kMembers[i].jwk);
    if (!number) return number.error();
    numbers[i] = std::move(*number);
    if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), kMembers[i].openssl, numbers[i].get()) != 1)
      return unusable("its values make no key");
  }
  return build("RSA", selection_of(half), builder.get());
}

struct Curve {
  std::string_view name;
  KeyKind kind;
};
constexpr std::array<Curve, 3> kCurves{{{"P-256", KeyKind::ec_p256}, {"P-384", KeyKind::ec_p384}, {"P-521", KeyKind::ec_p521}}};

// RFC 7518 §6.2: coordinates and `d` always have the full length of the curve.
Result<PkeyPtr> read_ec(const Json& jwk, KeyHalf half) {
  const Json* named = jwk.find("crv");
  const auto curve = std::find_if(kCurves.begin(), kCurves.end(), [&](const Curve& candidate) {
    return named != nullptr && named->string() != nullptr && *named->string() == candidate.name;
  });
  if (curve == kCurves.end()) return unusable("its curve is not P-256, P-384 or P-521");
  const std::size_t length = coordinate_bytes(curve->kind);
  std::string point(1, '\x04');  // uncompressed
  for (const std::string_view member : {"x", "y"}) {
    const Result<Secret> coordinate = required_bytes(jwk, member);
    if (!coordinate) return coordinate.error();
    if (coordinate->size() != length) return unusable(std::string(member) + " is not as long as the curve demands");
    point.append(reinterpret_cast<const char*>(coordinate->reveal().data()), length);
  }
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->name.data(), curve->name.size()) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1) {
    return unusable("its values make no key");
  }
  BignumPtr number;  // the builder refers to it
  if (half == KeyHalf::signing) {
    const Result<Secret> d = required_bytes(jwk, "d");
    if (!d) return d.error();
    if (d->size() != length) return unusable("d is not as long as the curve demands");
    number.reset(BN_bin2bn(d->reveal().data(), static_cast<int>(d->size()), nullptr));
    if (!number || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get()) != 1)
      return unusable("its values make no key");
  }
  return build("EC", selection_of(half), builder.get());
}

Result<PkeyPtr> read_okp(const Json& jwk, KeyHalf half) {
  const Json* named = jwk.find("crv");
  if (named == nullptr || named->string() == nullptr || *named->string() != "Ed25519") return unusable("its curve is not Ed25519");
  const Result<Secret> x = required_bytes(jwk, "x");
  if (!x) return x.error();
  PkeyPtr pkey(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, x->reveal().data(), x->size()));
  if (!pkey) return unusable("x makes no key");
  if (half == KeyHalf::verifying) return pkey;
  const Result<Secret> d = required_bytes(jwk, "d");
  if (!d) return d.error();
  PkeyPtr pair(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, d->reveal().data(), d->size()));
  // OpenSSL derives the point from `d`; the one that stands in the JWK must be the same.
  if (!pair || EVP_PKEY_eq(pair.get(), pkey.get()) != 1) return unusable("d does not belong to x");
  return pair;
}

// RFC 7517 §4.2 and §4.3: when the key says what it is for, it must be this.
Result<void> check_purpose(const Json& jwk, KeyHalf half) {
  const Result<const std::string*> use = optional_text(jwk, "use");
  if (!use) return use.error();
  if (*use != nullptr && **use != "sig") return unusable("its use is not sig");
  const Json* operations = jwk.find("key_ops");
  if (operations == nullptr) return {};
  if (operations->array() == nullptr) return unusable("key_ops is no array");
  const std::string_view needed = half == KeyHalf::signing ? "sign" : "verify";
  bool found = false;
  for (const Json& operation : *operations->array()) {
    if (operation.string() == nullptr) return unusable("key_ops holds something else than strings");
    found = found || *operation.string() == needed;
  }
  if (!found) return unusable("key_ops does not include " + std::string(needed));
  return {};
}

Result<KeyMaterial> read_secret(const Json& jwk) {
  Result<Secret> secret = required_bytes(jwk, "k");
  if (!secret) return secret.error();
  if (const auto weakness = weakness_of(secret->reveal())) return unusable("its secret is " + std::string(*weakness));
  KeyMaterial material;
  material.kind = KeyKind::secret;
  material.secret = std::move(*secret);
  return material;
}

Result<KeyMaterial> read_values(const Json& jwk, KeyHalf half) {
  const Json* kty = jwk.find("kty");
  if (kty == nullptr || kty->string() == nullptr) return unusable("no string member kty");
  if (*kty->string() == "oct") return read_secret(jwk);
  Result<PkeyPtr> pkey = *kty->string() == "RSA"   ? read_rsa(jwk, half)
                         : *kty->string() == "EC"  ? read_ec(jwk, half)
                         : *kty->string() == "OKP" ? read_okp(jwk, half)
                                                   : Result<PkeyPtr>(unusable("its kty is not RSA, EC, OKP or oct"));
  if (!pkey) return pkey.error();
  return accept_public_key(std::move(*pkey));
}

bool is_of_type(const Json& jwk, std::string_view type) {
  const Json* kty = jwk.find("kty");
  return kty != nullptr && kty->string() != nullptr && *kty->string() == type;
}

// Looked at before any key is judged: even an unusable secret in a public set is a secret that went where it must not be (hazards D07).
bool mixes_secrets_and_public_keys(const JsonArray& jwks) {
  const auto is_secret = [](const Json& jwk) { return is_of_type(jwk, "oct"); };
  const auto is_public = [](const Json& jwk) { return is_of_type(jwk, "RSA") || is_of_type(jwk, "EC") || is_of_type(jwk, "OKP"); };
  return std::any_of(jwks.begin(), jwks.end(), is_secret) && std::any_of(jwks.begin(), jwks.end(), is_public);
}

std::string key_label(std::size_t position, const Json& jwk) {
  std::string label = "key " + std::to_string(position);
  const Json* kid = jwk.find("kid");
  if (kid != nullptr && kid->string() != nullptr) label += " (kid " + printable(*kid->string()) + ")";
  return label;
}

}  // namespace

Result<JsonArray> parse_jwk_set(std::string_view text) {
  const Result<Json> document = Json::parse(text, {.bytes_max = KeySet::kBytesMax});
  if (!document) return make_error(document.error().fault, "no JWK Set: " + document.error().detail);
  const Json* keys = document->find("keys");
  if (keys == nullptr || keys->array() == nullptr)
    return make_error(Fault::malformed, "no JWK Set: no array member keys (RFC 7517, section 5)");
  if (keys->array()->size() > KeySet::kKeysMax)
    return make_error(Fault::too_large, "more than " + std::to_string(KeySet::kKeysMax) + " keys");
  return *keys->array();
}

Result<KeyMaterial> read_jwk(const Json& jwk, KeyHalf half) {
  if (jwk.object() == nullptr) return unusable("it is no object");
  const Result<const std::string*> kid = optional_text(jwk, "kid");
  if (!kid) return kid.error();
  const Result<const std::string*> alg = optional_text(jwk, "alg");
  if (!alg) return alg.error();
  if (auto purpose = check_purpose(jwk, half); !purpose) return purpose.error();
  std::optional<Algorithm> algorithm;
  if (*alg != nullptr) {
    algorithm = parse_algorithm(**alg);
    if (!algorithm) return unusable("its alg is none that signs JWTs");
  }
  Result<KeyMaterial> material = read_values(jwk, half);
  if (!material) return material;
  if (*kid != nullptr) material->key_id = **kid;
  material->algorithm = algorithm;
  if (algorithm && !material->fits(*algorithm)) return unusable("its alg does not fit its kind, curve or length");
  if (auto prepared = prepare(*material); !prepared) return prepared.error();
  return material;
}

Result<KeySet> KeySet::from_jwks(std::string_view text, std::vector<std::string>& warnings) {
  const CleanErrorQueue clean;
  const Result<JsonArray> jwks = parse_jwk_set(text);
  if (!jwks) return jwks.error();
  if (mixes_secrets_and_public_keys(*jwks)) return make_error(Fault::malformed, "secrets (kty oct) stand beside public keys");
  KeySet keys;
  std::unordered_set<std::string> ids;
  for (std::size_t i = 0; i < jwks->size(); ++i) {
    const Json& jwk = (*jwks)[i];
    Result<KeyMaterial> material = read_jwk(jwk, KeyHalf::verifying);
    if (!material) {
      warnings.push_back(key_label(i + 1, jwk) + " is not used: " + material.error().detail);
      continue;
    }
    if (material->key_id && !ids.insert(*material->key_id).second) {
      return make_error(Fault::malformed, "two keys have the kid " + printable(*material->key_id));
    }
    keys.add(std::move(*material));
  }
  if (keys.size() == 0) {
    const std::string first = warnings.empty() ? "" : "; " + warnings.back();
    return make_error(Fault::malformed, "no key of the set can serve" + first);
  }
  return keys;
}

}  // namespace sallyport::authenticate
