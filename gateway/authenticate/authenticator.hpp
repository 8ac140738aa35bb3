// A request's credential -> Authentication, whatever its kind. One per worker.
#pragma once

#include <variant>

#include "authenticate/certificate_authenticator.hpp"
#include "authenticate/credentials.hpp"
#include "authenticate/jwt_authenticator.hpp"
#include "authenticate/session_authenticator.hpp"

namespace sallyport::authenticate {

struct Authentication {
  identity::AuthOutcome outcome = identity::NotPresented{};
  // The credential came in a cookie: a page of another site may have made the browser send it (CSRF). A client certificate goes along in
  // the same way, and is known by the identity's method.
  bool by_cookie = false;
  // Nothing was presented, or it was the access cookie of ours and good but for its age; and the plan takes our access cookie. A refresh
  // cookie may stand in for it.
  bool may_refresh = false;
};

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
  [[nodiscard]] Task<Authentication> ask_for_session(SessionCookie cookie, SessionSettingsPtr settings);

  JwtAuthenticator& tokens_;
  SessionAuthenticator& sessions_;
  CertificateAuthenticator certificates_;
};

// What a double-submit CSRF token is bound to: the session, the family of an edge token, else issuer and subject.
[[nodiscard]] std::string csrf_binding(const identity::IdentityFacts& facts);

}  // namespace sallyport::authenticate
