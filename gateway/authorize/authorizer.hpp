// Outcome of authentication + policy of the route -> Permit or Denied. The only maker of permits.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "authorize/policy.hpp"
#include "identity/auth_outcome.hpp"
#include "identity/permit.hpp"

namespace sallyport::authorize {

// Compiled per route. There is no default for `access`: a route states it.
struct RoutePolicy {
  Access access;
  std::optional<Requirement> require;
};

struct Denied {
  enum class Why : unsigned char {
    no_credential,         // 401
    credential_refused,    // 401 invalid_token
    ambiguous_credential,  // 400 invalid_request
    insufficient_scope,    // 403 with the scopes
    requirement_unmet,     // 403
    unavailable,           // 503
  } why;
  std::string_view reason;               // for metrics and audit: a name from a fixed set; static storage
  std::string detail;               // for our log only
  std::vector<std::string> scopes;  // of insufficient_scope
};
[[nodiscard]] std::string_view name(Denied::Why why) noexcept;

using Decision = std::variant<identity::Permit, Denied>;

class Authorizer {
 public:
  // public: a permit without identity; `outcome` is not looked at. (A public route that requires something contradicts itself: nobody gets
  // in.) An identity at or after its expires_at counts as refused, wherever it comes from. optional: NotPresented is a permit without
  // identity, unless the route requires something (an anonymous caller satisfies nothing); everything bad is refused. authenticated: an
  // identity is needed. insufficient_scope is the answer when more scopes alone would have satisfied `require`; Denied::scopes are those
  // (satisfying_scopes).
  [[nodiscard]] static Decision decide(std::size_t route, const RoutePolicy& policy, const identity::AuthOutcome& outcome,
                                       const std::vector<http::PathParameter>& parameters, std::string_view client_address, WallTime now);
};

}  // namespace sallyport::authorize
