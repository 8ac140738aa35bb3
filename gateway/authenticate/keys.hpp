// Keys that verify signatures: JWK (RFC 7517, 7518, 8037), PEM, shared secrets. The key decides the algorithm, never the header.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace sallyport::authenticate {

// RFC 7518 §3.1, RFC 8037 §3.1. `none` does not exist here.
enum class Algorithm : std::uint8_t { hs256, hs384, hs512, rs256, rs384, rs512, ps256, ps384, ps512, es256, es384, es512, eddsa };
inline constexpr std::size_t kAlgorithmCount = 13;
// Exact spelling, case-sensitive; nullopt for everything else, "none" included.
[[nodiscard]] std::optional<Algorithm> parse_algorithm(std::string_view text) noexcept;
[[nodiscard]] std::string_view name(Algorithm algorithm) noexcept;
[[nodiscard]] bool is_symmetric(Algorithm algorithm) noexcept;

enum class KeyKind : std::uint8_t { rsa, ec_p256, ec_p384, ec_p521, ed25519, secret };

enum class Verification : std::uint8_t { valid, invalid };

struct KeyMaterial;  // keys_material.hpp: the OpenSSL side

// One key. Immutable and safe to use from every thread; verifying allocates an OpenSSL context at most.
// Strong enough by construction: RSA of 2048 to 8192 bits with an odd exponent of 3 to 2^32 and without the ROCA fingerprint, EC points on
// P-256, P-384 or P-521, Ed25519 points of no small order, secrets at least as long as a SHA-256 and not of a well-known pattern.
class VerificationKey {
 public:
  ~VerificationKey();
  VerificationKey(VerificationKey&&) noexcept;
  VerificationKey& operator=(VerificationKey&&) noexcept;

  [[nodiscard]] KeyKind kind() const noexcept;
  [[nodiscard]] const std::optional<std::string>& key_id() const noexcept;
  // Stands for the key itself, whatever its id and algorithm: a SHA-256.
  [[nodiscard]] const std::string& fingerprint() const noexcept;
  // Whether this key may verify `algorithm`: its kind fits, and its own `alg` (when it has one) says the same.
  [[nodiscard]] bool fits(Algorithm algorithm) const noexcept;
  // `signature` as in the JWS (RFC 7518 §3.4: R || S for ES). False-proof: any OpenSSL error is invalid, and its error queue is left empty.
  // Call only with an algorithm that fits().
  [[nodiscard]] Verification verify(Algorithm algorithm, std::string_view signing_input, std::string_view signature) const;

 private:
  friend class KeySet;
  friend class SigningKey;
  explicit VerificationKey(std::unique_ptr<const KeyMaterial> material);
  std::unique_ptr<const KeyMaterial> material_;
};

// Private or shared keys stand in this text: JWK members (of a document of at most KeySet::kBytesMax), or a PEM block.
[[nodiscard]] bool holds_private_keys(std::string_view text);

// The keys of one issuer.
class KeySet {
 public:
  static constexpr std::size_t kKeysMax = 100;
  static constexpr std::size_t kBytesMax = 1024 * 1024;

  // A JWK Set. Keys that cannot serve (use: enc, unknown type, weak, off the curve) are skipped with a line in `warnings`.
  // Of private JWKs the public half counts; private members are neither read nor logged.
  // Fault::malformed: no JWK Set; duplicate kid; `oct` beside public keys; none left that can serve. Fault::too_large: over kKeysMax or
  // kBytesMax.
  [[nodiscard]] static Result<KeySet> from_jwks(std::string_view text, std::vector<std::string>& warnings);
  // One or more PEM blocks: public keys, certificates (their key), or private keys (their public half).
  [[nodiscard]] static Result<KeySet> from_pem(std::string_view text, std::vector<std::string>& warnings);
  // One shared secret, for HS*. Fault::malformed when shorter than the hash of the strongest of `algorithms`, or a well-known weak one.
  [[nodiscard]] static Result<KeySet> from_secret(Secret secret, const std::vector<Algorithm>& algorithms);
  // By content: "{" begins a JWK Set, "-----BEGIN" begins PEM.
  [[nodiscard]] static Result<KeySet> from_text(std::string_view text, std::vector<std::string>& warnings);

  // With a kid: the key of that id, if it fits. Without, or when these keys have no ids because PEM and secret files cannot give them any:
  // the key that fits, when exactly one does. nullptr otherwise.
  [[nodiscard]] const VerificationKey* find(const std::optional<std::string>& key_id, Algorithm algorithm) const noexcept;
  [[nodiscard]] bool has_public_keys() const noexcept;
  [[nodiscard]] bool has_secrets() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }
  // Whether at least one key may verify `algorithm`.
  [[nodiscard]] bool can_verify(Algorithm algorithm) const noexcept;
  // Whether the key is one of these, whatever its id.
  [[nodiscard]] bool has_fingerprint(std::string_view fingerprint) const noexcept;
  // Whether a key of that id exists, whatever it may verify. For the reason of a refusal; find() decides.
  [[nodiscard]] bool has_key_id(std::string_view key_id) const noexcept;

 private:
  friend class SigningKey;
  void add(KeyMaterial material);

  std::vector<VerificationKey> keys_;
  bool keys_have_ids_ = true;  // of a JWK Set, where a key without a kid has none to be found by
};

// A private key that signs: tests, `token sign`, and later the tokens that the gateway issues.
class SigningKey {
 public:
  ~SigningKey();
  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;

  // The keys of a private JWK Set, in order. Fault::malformed.
  [[nodiscard]] static Result<std::vector<SigningKey>> from_jwks(std::string_view text);
  // A new key, as a private JWK Set of one. Algorithms: ES256, RS256 (2048 bits), EdDSA, HS256 — and the other ES/RS/PS/HS.
  [[nodiscard]] static Result<std::string> generate_jwks(Algorithm algorithm, std::string_view key_id);
  // The public halves of a private JWK Set, as a JWK Set. Secrets are left out.
  [[nodiscard]] static Result<std::string> public_jwks(std::string_view private_jwks);

  [[nodiscard]] Algorithm algorithm() const noexcept;
  [[nodiscard]] const std::optional<std::string>& key_id() const noexcept;
  // The raw JWS signature over `signing_input`.
  [[nodiscard]] Result<std::string> sign(std::string_view signing_input) const;

 private:
  struct Impl;
  explicit SigningKey(std::unique_ptr<const Impl> impl);
  // Signs a probe and verifies it with the public half: the halves belong together and OpenSSL can use them.
  [[nodiscard]] bool verifies_itself() const;
  std::unique_ptr<const Impl> impl_;
};

// A compact JWS of `claims` (a JSON object as text): header {"alg","typ":"JWT" or `type`,"kid"}.
[[nodiscard]] Result<std::string> sign_jwt(const SigningKey& key, std::string_view claims, std::string_view type = "JWT");

}  // namespace sallyport::authenticate
