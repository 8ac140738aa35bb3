// The compact JWS (RFC 7515 §7.1) before and at verification. The pure core: no clock, no network, any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/jose_header.hpp"
#include "authenticate/keys.hpp"
#include "base/clock.hpp"
#include "identity/auth_outcome.hpp"

namespace sallyport::authenticate {

inline constexpr std::size_t kTokenBytesMax = 16 * 1024;

// Split, decoded and syntactically checked; nothing in it is proven. Refuses here, without any cryptography: wrong part count, bad
// base64url, an empty part, what JoseHeader refuses. The payload may be any bytes: for `token verify`.
class UnverifiedJws {
 public:
  [[nodiscard]] static std::variant<UnverifiedJws, identity::Refused> parse(std::string_view token);

  [[nodiscard]] Algorithm algorithm() const noexcept { return header_.algorithm; }
  [[nodiscard]] const std::optional<std::string>& key_id() const noexcept { return header_.key_id; }
  [[nodiscard]] const std::optional<std::string>& type() const noexcept { return header_.type; }

 private:
  friend class UnverifiedJwt;
  friend class JwtVerifier;
  // The decoded payload goes to `payload`.
  [[nodiscard]] std::optional<identity::Refused> read(std::string_view token, std::string& payload);

  std::string signing_input_;
  std::string signature_;
  JoseHeader header_;
};

// A JWS whose payload is a strict JSON object.
class UnverifiedJwt : public UnverifiedJws {
 public:
  [[nodiscard]] static std::variant<UnverifiedJwt, identity::Refused> parse(std::string_view token);

  // The `iss` of the unproven claims, to choose the issuer whose keys then prove it; nullopt when absent or no string.
  [[nodiscard]] std::optional<std::string_view> claimed_issuer() const noexcept;

 private:
  friend class JwtVerifier;
  [[nodiscard]] std::optional<identity::Refused> read_claims(std::string_view token);
  Json claims_;
};

// What a token must satisfy. No defaults on purpose: whoever verifies says it all.
struct Expectations {
  std::string issuer;                  // exact
  std::vector<std::string> audiences;  // any of these in aud; never empty
  std::vector<Algorithm> algorithms;   // never empty
  std::chrono::seconds clock_tolerance;
  std::optional<std::chrono::seconds> max_age;
  std::vector<std::string> require_claims;  // beside exp; `sub` among them must be a non-empty string
  std::optional<std::string> token_type;    // RFC 7515 §4.1.9
  JsonPointer roles;
  JsonPointer scopes;
};

// Checks signature and claims (RFC 7515 §5.2, RFC 7519 §7.2, RFC 8725). Facts on success.
// `now` is wall time. With the tolerance t, a token is good while nbf - t <= now < exp + t and iat - t <= now <= iat + max_age + t;
// fractions of a second count and are never rounded in the token's favour. nbf after exp, and exp after the year 9999, are claim_invalid.
// facts.expires_at is the end of that time: never at or after it. facts.issuer_name is left empty.
// `cnf` (RFC 7800) may bind the token to a client certificate, by `x5t#S256` alone (RFC 8705 §3.1): facts.certificate, for the caller to
// compare. Any other `cnf` asks for a check that nobody here makes: wrong_certificate.
// The token's claims become the facts', and are gone from it.
// A role or scope claim of a wrong type, or with one element of a wrong type, gives none at all, never a part.
class JwtVerifier {
 public:
  [[nodiscard]] static std::variant<identity::IdentityFacts, identity::Refused> verify(UnverifiedJwt&& token, const KeySet& keys,
                                                                                       const Expectations& expectations, WallTime now);
  // The signature alone, for `token verify`: the algorithm is among `algorithms`, a key is found for it, and it verifies.
  [[nodiscard]] static std::optional<identity::Refused> verify_signature(const UnverifiedJws& token, const KeySet& keys,
                                                                         const std::vector<Algorithm>& algorithms);

 private:
  // `facts` count only when nothing is refused.
  [[nodiscard]] static std::optional<identity::Refused> establish(UnverifiedJwt& token, const KeySet& keys,
                                                                  const Expectations& expectations, WallTime now,
                                                                  identity::IdentityFacts& facts);
  // The key that verified the signature: one of `keys`.
  [[nodiscard]] static std::variant<const VerificationKey*, identity::Refused> find_signer(const UnverifiedJws& token, const KeySet& keys,
                                                                                           const std::vector<Algorithm>& algorithms);
};

}  // namespace sallyport::authenticate
