// Which keys are strong enough to serve (hazards D08-D10).
#include <algorithm>

#include <openssl/core_names.h>

#include "authenticate/keys_material.hpp"

namespace sallyport::authenticate {
namespace {

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;  // the cost of verifying grows with the square: 16,384 bits would be a lever against us
constexpr int kExponentBitsMax = 32;

BignumPtr number_of(const EVP_PKEY* pkey, const char* parameter) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(pkey, parameter, &number) != 1) return nullptr;
  return BignumPtr(number);
}

// CVE-2017-15361: primes of the form k * M + (65537^a mod M) give moduli that are powers of 65537 modulo each small prime that divides M.
// A sound modulus passes all of these by chance with a probability below 2^-27.
bool has_roca_fingerprint(const BIGNUM* modulus) {
  constexpr std::array<unsigned, 17> kPrimes{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157};
  return std::all_of(kPrimes.begin(), kPrimes.end(), [&](unsigned prime) {
    const auto remainder = static_cast<unsigned>(BN_mod_word(modulus, prime));
    unsigned power = 1;
    do {
      if (power == remainder) return true;
      power = power * (65537 % prime) % prime;
    } while (power != 1);
    return false;
  });
}

std::optional<std::string> rsa_weakness(const EVP_PKEY* pkey) {
  const BignumPtr modulus = number_of(pkey, OSSL_PKEY_PARAM_RSA_N);
  const BignumPtr exponent = number_of(pkey, OSSL_PKEY_PARAM_RSA_E);
  if (!modulus || !exponent) return "it has no modulus or no exponent";
  const int bits = BN_num_bits(modulus.get());
  if (bits < kRsaBitsMin) return "RSA of " + std::to_string(bits) + " bits; at least 2048";
  if (bits > kRsaBitsMax) return "RSA of " + std::to_string(bits) + " bits; at most 8192";
  if (!BN_is_odd(modulus.get())) return "an even RSA modulus";
  if (!BN_is_odd(exponent.get()) || BN_is_one(exponent.get())) return "an RSA exponent that is even or 1";
  if (BN_num_bits(exponent.get()) > kExponentBitsMax) return "an RSA exponent over 32 bits";
  if (has_roca_fingerprint(modulus.get())) return "an RSA modulus with the ROCA fingerprint (CVE-2017-15361)";
  return std::nullopt;
}

// The points of order 1, 2, 4 and 8, whose signatures anyone can make: y as four little-endian words, without the sign bit. The last two
// are other spellings of 0 and 1.
bool has_small_order(const std::array<unsigned char, 32>& point) {
  using Words = std::array<std::uint64_t, 4>;
  constexpr std::uint64_t kOnes = ~std::uint64_t{0};
  constexpr std::uint64_t kTop = kOnes >> 1;
  constexpr std::array<Words, 7> kPoints{{{0, 0, 0, 0},
                                          {1, 0, 0, 0},
                                          {0xb027b2c28f95e826, 0xf098eff289f4c345, 0x3933c6d305acdfd5, 0x05fc536d880238b1},
                                          {0x4fd84d3d706a17c7, 0x0f67100d760b3cba, 0xc6cc392cfa53202a, 0x7a03ac9277fdc74e},
                                          {kOnes - 0x13, kOnes, kOnes, kTop},
                                          {kOnes - 0x12, kOnes, kOnes, kTop},
                                          {kOnes - 0x11, kOnes, kOnes, kTop}}};
  Words words{};
  for (std::size_t i = 0; i < point.size(); ++i) words[i / 8] |= std::uint64_t{point[i]} << (i % 8 * 8);
  words[3] &= kTop;
  return std::find(kPoints.begin(), kPoints.end(), words) != kPoints.end();
}

std::optional<std::string> ed25519_weakness(const EVP_PKEY* pkey) {
  std::array<unsigned char, 32> point{};
  std::size_t length = point.size();
  if (EVP_PKEY_get_raw_public_key(pkey, point.data(), &length) != 1 || length != point.size()) return "no Ed25519 point of 32 bytes";
  if (has_small_order(point)) return "an Ed25519 point of small order";
  return std::nullopt;
}

std::optional<KeyKind> curve_of(const EVP_PKEY* pkey) {
  int is_explicit = 0;
  if (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 && is_explicit == 1)
    return std::nullopt;
  std::array<char, 32> text{};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(pkey, text.data(), text.size(), &length) != 1) return std::nullopt;
  const std::string_view group(text.data(), length);
  if (group == "prime256v1" || group == "P-256") return KeyKind::ec_p256;
  if (group == "secp384r1" || group == "P-384") return KeyKind::ec_p384;
  if (group == "secp521r1" || group == "P-521") return KeyKind::ec_p521;
  return std::nullopt;
}

std::optional<KeyKind> kind_of(const EVP_PKEY* pkey) {
  switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA: return KeyKind::rsa;
    case EVP_PKEY_EC: return curve_of(pkey);
    case EVP_PKEY_ED25519: return KeyKind::ed25519;
  }
  return std::nullopt;
}

// Of the lists that attackers try first, those long enough to have passed the length check.
constexpr std::array<std::string_view, 12> kWellKnownSecrets{
    "a-string-secret-at-least-256-bits-long",
    "a-string-secret-at-least-384-bits-long-and-more",
    "a-string-secret-at-least-512-bits-long-which-is-actually-quite-long-and-random",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "qwertyuiopasdfghjklzxcvbnm123456",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "abcdefghijklmnopqrstuvwxyz123456",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    "this-is-a-very-long-secret-key-for-jwt-signing",
    "your-256-bit-secret-your-256-bit-secret",
};

// "secretsecretsecret…", 32 zero bytes: the whole is one short piece again and again.
bool repeats_a_short_piece(std::span<const unsigned char> secret) {
  constexpr std::size_t kPieceMax = 10;
  for (std::size_t piece = 1; piece <= kPieceMax && piece < secret.size(); ++piece) {
    if (std::equal(secret.begin() + static_cast<std::ptrdiff_t>(piece), secret.end(), secret.begin())) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string_view> weakness_of(std::span<const unsigned char> secret) noexcept {
  if (secret.size() < facts_of(Algorithm::hs256).digest_bytes) return "shorter than 32 bytes";
  if (repeats_a_short_piece(secret)) return "one short piece, repeated";
  const std::string_view text(reinterpret_cast<const char*>(secret.data()), secret.size());
  if (std::find(kWellKnownSecrets.begin(), kWellKnownSecrets.end(), text) != kWellKnownSecrets.end()) return "a well-known one";
  return std::nullopt;
}

Result<KeyMaterial> accept_public_key(PkeyPtr pkey) {
  if (!pkey) return make_error(Fault::malformed, "OpenSSL cannot read it");
  const std::optional<KeyKind> kind = kind_of(pkey.get());
  if (!kind) return make_error(Fault::unsupported, "not RSA, P-256, P-384, P-521 or Ed25519");
  if (*kind == KeyKind::rsa) {
    if (auto weakness = rsa_weakness(pkey.get())) return make_error(Fault::unsupported, std::move(*weakness));
  }
  if (*kind == KeyKind::ed25519) {
    if (auto weakness = ed25519_weakness(pkey.get())) return make_error(Fault::unsupported, std::move(*weakness));
  }
  const PkeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, pkey.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1)
    return make_error(Fault::unsupported, "OpenSSL's check of the public key fails");
  KeyMaterial material;
  material.kind = *kind;
  material.pkey = std::move(pkey);
  return material;
}

}  // namespace sallyport::authenticate
