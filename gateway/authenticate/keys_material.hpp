// The OpenSSL side of keys, shared by keys*.cpp and seen by nobody else.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "authenticate/keys.hpp"
#include "base/free_with.hpp"

namespace sallyport::authenticate {

using PkeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<&EVP_PKEY_free>>;
using PkeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, FreeWith<&EVP_PKEY_CTX_free>>;
using DigestContextPtr = std::unique_ptr<EVP_MD_CTX, FreeWith<&EVP_MD_CTX_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, FreeWith<&BN_clear_free>>;

inline const unsigned char* bytes(std::string_view text) noexcept { return reinterpret_cast<const unsigned char*>(text.data()); }

// A failed call leaves its errors on the thread's queue, where an unrelated TLS connection would find them and die (hazards R06).
struct CleanErrorQueue {
  CleanErrorQueue() = default;
  CleanErrorQueue(const CleanErrorQueue&) = delete;
  CleanErrorQueue& operator=(const CleanErrorQueue&) = delete;
  ~CleanErrorQueue() {
    if (ERR_peek_error() != 0) ERR_clear_error();  // clearing costs more than a look, and there is seldom anything
  }
};

enum class Family : std::uint8_t { hmac, rsa_pkcs1, rsa_pss, ecdsa, eddsa };

struct AlgorithmFacts {
  std::string_view name;
  Family family;
  KeyKind kind;        // the only kind of key that serves it
  const char* digest;  // OpenSSL's name; "" where the algorithm hashes by itself
  std::size_t digest_bytes;
};
[[nodiscard]] const AlgorithmFacts& facts_of(Algorithm algorithm) noexcept;
// Fetched once per process. nullptr: none, or not available.
[[nodiscard]] const EVP_MD* digest_of(Algorithm algorithm) noexcept;

// The length of R and of S, and of a coordinate; 0 unless `kind` is an elliptic curve of ECDSA.
[[nodiscard]] std::size_t coordinate_bytes(KeyKind kind) noexcept;

// RFC 2104: HMAC is a hash of a hash, and each begins with a block that the key alone decides. Both are kept behind that block.
struct HmacStates {
  DigestContextPtr inner;
  DigestContextPtr outer;
};

struct KeyMaterial {
  KeyKind kind{};
  std::optional<std::string> key_id;
  std::optional<Algorithm> algorithm;  // the key's own `alg`
  PkeyPtr pkey;                        // null when kind is secret
  Secret secret;
  std::string fingerprint;  // empty until prepare()
  // Ready-made contexts per algorithm that fits; copied for each verification, which is cheaper than setting one up.
  std::array<PkeyContextPtr, kAlgorithmCount> verifying;
  std::array<HmacStates, kAlgorithmCount> authenticating;
  DigestContextPtr verifying_whole;  // of Ed25519, which hashes by itself

  [[nodiscard]] bool fits(Algorithm candidate) const noexcept;
};

// Fills the ready-made contexts. Fault::unsupported: OpenSSL cannot use the key.
[[nodiscard]] Result<void> prepare(KeyMaterial& key);

// Takes a key that OpenSSL parsed: sets kind and pkey, or says why it cannot serve (kind, strength, point, exponent).
[[nodiscard]] Result<KeyMaterial> accept_public_key(PkeyPtr pkey);
// nullopt: strong. Otherwise why not.
[[nodiscard]] std::optional<std::string_view> weakness_of(std::span<const unsigned char> secret) noexcept;

enum class KeyHalf : std::uint8_t { verifying, signing };
// The elements of a JWK Set. Fault::malformed, too_large.
[[nodiscard]] Result<JsonArray> parse_jwk_set(std::string_view text);
// One element. The error says why it cannot serve as that half.
[[nodiscard]] Result<KeyMaterial> read_jwk(const Json& jwk, KeyHalf half);

// An identifier from outside, fit for a log line: printable ASCII, 64 bytes at most.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace sallyport::authenticate
