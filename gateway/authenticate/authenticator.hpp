// A request's credential -> Authentication, whatever its kind. One per worker.
#pragma once

#include <variant>

#include "authenticate/authentication.hpp"
#include "authenticate/certificate_authenticator.hpp"
#include "authenticate/credentials.hpp"
#include "authenticate/jwt_authenticator.hpp"
#include "authenticate/session_authenticator.hpp"

namespace sallyport::authenticate {

// A credential of which memory does not know enough: the store, or its issuer, must be asked. Views into the request.
using OpenQuestion = std::variant<BearerToken, SessionCookie>;

class Authenticator {
 public:
  // Both outlive *this.
  Authenticator(JwtAuthenticator& tokens, SessionAuthenticator& sessions)
      : tokens_(tokens), sessions_(sessions), certificates_(tokens.revocations()) {}

  // Decides from memory, or says what is to be given to ask(), with the same other arguments.
  // `certificate`: what the client showed at the TLS handshake and was verified there (http::Peer); nullptr: none.
  [[nodiscard]] std::variant<Authentication, OpenQuestion> try_authenticate(const http::RequestHead& request, const CredentialPlan& plan,
                                                                            WallTime now,
                                                                            const transport::PeerCertificate* certificate = nullptr);
  // Plan, certificate, and the request that `question` was asked about, outlive the call.
  [[nodiscard]] Task<Authentication> ask(const OpenQuestion& question, const CredentialPlan& plan, WallTime now,
                                         const transport::PeerCertificate* certificate = nullptr);

  [[nodiscard]] JwtAuthenticator& tokens() noexcept { return tokens_; }
  [[nodiscard]] SessionAuthenticator& sessions() noexcept { return sessions_; }

 private:
  [[nodiscard]] Task<Authentication> ask_for_key(BearerToken bearer, const CredentialPlan& plan, WallTime now,
                                                 const transport::PeerCertificate* certificate);

  JwtAuthenticator& tokens_;
  SessionAuthenticator& sessions_;
  CertificateAuthenticator certificates_;
};

// What a double-submit CSRF token is bound to: the session, the family of an edge token, else issuer and subject.
[[nodiscard]] std::string csrf_binding(const identity::IdentityFacts& facts);

}  // namespace sallyport::authenticate
