// The four ways that authentication ends. A bad credential is an outcome, not an error.
#pragma once

#include <string>
#include <variant>

#include "identity/verified_identity.hpp"

namespace sallyport::identity {

// Why a credential was refused. For the audit log and the metrics (label `reason`); the client never sees it.
enum class RefusalReason : unsigned char {
  malformed,              // not a compact JWS, bad base64url, bad JSON, duplicate members
  header_refused,         // crit, b64, zip, jwk, jku, x5u, x5c, JWE, cty
  algorithm_refused,      // none, unknown, not on the issuer's list, not the key's
  token_type_refused,     // `typ`
  unknown_key,            // no key for the kid, or several without one
  bad_signature,
  unknown_issuer,         // not an issuer that this route accepts
  wrong_audience,
  expired,
  not_yet_valid,          // nbf or iat in the future
  too_old,                // max_age
  claim_invalid,          // wrong type, out of range
  claim_missing,          // exp, require_claims
  token_too_large,
  unknown_session,        // well made, but the store has none such: it is over, or was ended
  revoked,
  wrong_certificate,      // the token is bound to a client certificate that this connection does not have, or in a way we cannot check
};
[[nodiscard]] std::string_view name(RefusalReason reason) noexcept;  // "bad_signature"

struct NotPresented {};
// The credential is at fault: 401.
struct Refused {
  RefusalReason reason;
  std::string detail;  // for our log: issuer, kid; never a token or a claim value
};
// Two credentials where one may be: 400 invalid_request.
struct Ambiguous {
  std::string detail;
};
// The keys or the store could not be asked: 503. Never a no.
struct Unavailable {
  std::string detail;
};

using AuthOutcome = std::variant<IdentityPtr, NotPresented, Refused, Ambiguous, Unavailable>;

}  // namespace sallyport::identity
