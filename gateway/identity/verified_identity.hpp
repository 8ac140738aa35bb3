// Who the caller was proven to be. Only an authenticator makes one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "identity/claims.hpp"

namespace sallyport::authenticate {
class CertificateAuthenticator;
class JwtAuthenticator;
class SessionAuthenticator;
}  // namespace sallyport::authenticate
namespace sallyport::testing {
class IdentityBuilder;  // tests/support: the only other maker
}

namespace sallyport::identity {

enum class AuthMethod : unsigned char { jwt, session, client_certificate };
[[nodiscard]] std::string_view name(AuthMethod method) noexcept;  // "jwt", "session", "client_certificate"

// What an authenticator learned. All text is as it stood in the verified token or session, unescaped.
struct IdentityFacts {
  std::string subject;                 // RFC 7519 §4.1.2; empty when the issuer's require_claims leaves `sub` out
  std::string issuer;                  // the `iss` value
  std::string issuer_name;             // our configured name for it
  AuthMethod method = AuthMethod::jwt;
  std::vector<std::string> roles;      // whole elements, in order
  std::vector<std::string> scopes;
  bool roles_unreadable = false;       // the claim is there and is neither a string nor an array of strings: roles is empty, and a
  bool scopes_unreadable = false;      // requirement on them can be judged neither way
  Claims claims;                       // every claim of the token, or of the session
  WallTime expires_at;                 // never used at or after this (tolerance is already in it)
  std::optional<WallTime> idle_expires_at;   // of a session of ours: its idle end when the store was asked, which a use moves
  std::optional<WallTime> issued_at;
  std::optional<WallTime> authenticated_at;  // `auth_time`
  std::string token_id;                // `jti`; empty when absent. Of a client certificate: its thumbprint
  std::string session;                 // of a session: its handle; of a foreign one: "<name>:" and the SHA-256 of its id in hex
  std::string family;                  // of an access token of ours: its family's handle
  std::string key;                     // of a token: the fingerprint of the key that verified it (VerificationKey::fingerprint)
  std::string certificate;             // of a token that counts only with one client certificate: its thumbprint (RFC 8705 §3.1)
};

// Immutable, and shared on one thread: a warm request takes a reference, never a copy.
class VerifiedIdentity {
 public:
  [[nodiscard]] const IdentityFacts& facts() const noexcept { return facts_; }

 private:
  friend class authenticate::CertificateAuthenticator;
  friend class authenticate::JwtAuthenticator;
  friend class authenticate::SessionAuthenticator;
  friend class testing::IdentityBuilder;
  explicit VerifiedIdentity(IdentityFacts&& facts) : facts_(std::move(facts)) {}

  IdentityFacts facts_;
};

using IdentityPtr = std::shared_ptr<const VerifiedIdentity>;  // never null inside an outcome

}  // namespace sallyport::identity
