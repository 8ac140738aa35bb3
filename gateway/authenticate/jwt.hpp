// The compact JWS (RFC 7515 §7.1) before and at verification. The pure core: no clock, no network, any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/keys.hpp"
#include "base/clock.hpp"
#include "identity/auth_outcome.hpp"

namespace sallyport::authenticate {

inline constexpr std::size_t kTokenBytesMax = 16 * 1024;

// Split, decoded and syntactically checked; nothing in it is proven. Refuses here, without any cryptography: wrong part count, bad
// base64url, bad JSON, duplicate members, alg none or unknown, crit, b64, zip, jwk, jku, x5u, x5c, x5t, cty, JWE.
class UnverifiedJwt {
 public:
  [[nodiscard]] static std::variant<UnverifiedJwt, identity::Refused> parse(std::string_view token);

  [[nodiscard]] Algorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] const std::optional<std::string>& key_id() const noexcept { return key_id_; }
  [[nodiscard]] const std::optional<std::string>& type() const noexcept { return type_; }
  // The `iss` of the unproven claims, to choose the issuer whose keys then prove it; nullopt when absent or no string.
  [[nodiscard]] std::optional<std::string_view> claimed_issuer() const noexcept;

 private:
  friend class JwtVerifier;
  std::string signing_input_;
  std::string signature_;
  Json claims_;
  Algorithm algorithm_{};
  std::optional<std::string> key_id_;
  std::optional<std::string> type_;
};

// What a token must satisfy. No defaults on purpose: whoever verifies says it all.
struct Expectations {
  std::string issuer;                   // exact
  std::vector<std::string> audiences;   // any of these in aud; never empty
  std::vector<Algorithm> algorithms;    // never empty
  std::chrono::seconds clock_tolerance;
  std::optional<std::chrono::seconds> max_age;
  std::vector<std::string> require_claims;   // beside exp; `sub` among them must be a non-empty string
  std::optional<std::string> token_type;     // RFC 7515 §4.1.9
  JsonPointer roles;
  JsonPointer scopes;
};

// Checks signature and claims (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725). Facts on success.
// `now` is wall time; the tolerance applies to exp, nbf and iat. facts.expires_at = exp + tolerance.
class JwtVerifier {
 public:
  [[nodiscard]] static std::variant<identity::IdentityFacts, identity::Refused> verify(const UnverifiedJwt& token, const KeySet& keys,
                                                                                       const Expectations& expectations, WallTime now);
  // The signature alone, for `token verify`.
  [[nodiscard]] static std::optional<identity::Refused> verify_signature(const UnverifiedJwt& token, const KeySet& keys,
                                                                         const std::vector<Algorithm>& algorithms);
};

}  // namespace sallyport::authenticate
