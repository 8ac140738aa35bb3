// The keys with which the gateway signs its own access tokens, and itself as an issuer.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "authenticate/issuer.hpp"
#include "authenticate/keys.hpp"
#include "authenticate/session_settings.hpp"

namespace sallyport::issue {

// DESIGN §2.2 `tokens`.
struct TokenSettings {
  std::string issuer;
  std::vector<std::string> audiences;  // never empty
  std::string signing_keys_file;
  std::chrono::seconds access_ttl{std::chrono::minutes(15)};
  std::chrono::seconds refresh_ttl{std::chrono::hours(24 * 7)};
  std::chrono::seconds family_ttl{std::chrono::hours(24 * 30)};
  std::chrono::milliseconds reuse_window{std::chrono::seconds(10)};
  std::string access_cookie = "__Host-access";
  std::string refresh_cookie = "__Host-refresh";
  authenticate::SameSite same_site = authenticate::SameSite::strict;
};

// Immutable; part of the snapshot, shared by all workers.
class EdgeKeys {
 public:
  // `private_jwks`: the first key signs, all verify. Fault::malformed: no private JWK Set; secrets (HS*) in it; a key without a kid where
  // there are several; a key that is too weak to verify with; no issuer or no audience. Every key must be ES256/384/512, RS/PS256.., or
  // EdDSA.
  [[nodiscard]] static Result<std::shared_ptr<const EdgeKeys>> create(TokenSettings settings, std::string_view private_jwks,
                                                                      std::vector<std::string>& warnings);

  [[nodiscard]] const TokenSettings& settings() const noexcept { return settings_; }
  // The built-in issuer "edge" (is_edge): tokens from `Authorization` and from the access cookie, typ at+jwt.
  [[nodiscard]] const authenticate::IssuerPtr& issuer() const noexcept { return issuer_; }
  // GET /.gateway/jwks.json: the public halves.
  [[nodiscard]] const std::string& public_jwks() const noexcept { return public_jwks_; }
  [[nodiscard]] const authenticate::SigningKey& signing_key() const noexcept { return keys_.front(); }

 private:
  EdgeKeys() = default;
  TokenSettings settings_;
  std::vector<authenticate::SigningKey> keys_;
  authenticate::IssuerPtr issuer_;
  std::string public_jwks_;
};
using EdgeKeysPtr = std::shared_ptr<const EdgeKeys>;  // null without `tokens`

}  // namespace sallyport::issue
