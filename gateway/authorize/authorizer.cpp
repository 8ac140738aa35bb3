#include "authorize/authorizer.hpp"

#include <utility>

namespace sallyport::authorize {
namespace {

Denied deny(Denied::Why why, std::string_view reason, std::string detail) {
  return Denied{.why = why, .reason = reason, .detail = std::move(detail), .scopes = {}};
}

Denied deny(Denied::Why why, std::string detail) { return deny(why, name(why), std::move(detail)); }

// Why `requirement` is unmet; nullopt when it is met.
std::optional<Denied> judge(const Requirement& requirement, const Subject& subject) {
  if (satisfies(requirement, subject)) return std::nullopt;
  if (std::vector<std::string> scopes = satisfying_scopes(requirement, subject); !scopes.empty()) {
    Denied denied = deny(Denied::Why::insufficient_scope, "more scopes are needed");
    denied.scopes = std::move(scopes);
    return denied;
  }
  return deny(Denied::Why::requirement_unmet, "the route requires what the caller has not");
}

}  // namespace

std::string_view name(Denied::Why why) noexcept {
  switch (why) {
    case Denied::Why::no_credential: return "no_credential";
    case Denied::Why::credential_refused: return "credential_refused";
    case Denied::Why::ambiguous_credential: return "ambiguous_credential";
    case Denied::Why::insufficient_scope: return "insufficient_scope";
    case Denied::Why::requirement_unmet: return "requirement_unmet";
    case Denied::Why::unavailable: return "unavailable";
  }
  return "unknown";
}

Decision Authorizer::decide(std::size_t route, const RoutePolicy& policy, const identity::AuthOutcome& outcome,
                            const std::vector<http::PathParameter>& parameters, std::string_view client_address, WallTime now) {
  if (policy.access == Access::public_) {
    if (policy.require) return deny(Denied::Why::requirement_unmet, "the route is public and requires something");
    return identity::Permit(route, nullptr);
  }

  if (const auto* refused = std::get_if<identity::Refused>(&outcome)) {
    return deny(Denied::Why::credential_refused, identity::name(refused->reason), refused->detail);
  }
  if (const auto* ambiguous = std::get_if<identity::Ambiguous>(&outcome)) {
    return deny(Denied::Why::ambiguous_credential, ambiguous->detail);
  }
  if (const auto* unavailable = std::get_if<identity::Unavailable>(&outcome)) {
    return deny(Denied::Why::unavailable, unavailable->detail);
  }
  if (std::holds_alternative<identity::NotPresented>(outcome)) {
    if (policy.access == Access::optional && !policy.require) return identity::Permit(route, nullptr);
    return deny(Denied::Why::no_credential, "no credential of a kind that the route accepts");
  }

  const identity::IdentityPtr& identity = std::get<identity::IdentityPtr>(outcome);
  // A permit without identity means anonymous, so a null here must never become one.
  if (!identity) return deny(Denied::Why::unavailable, "authentication ended without an identity");
  if (now >= identity->facts().expires_at) {
    return deny(Denied::Why::credential_refused, identity::name(identity::RefusalReason::expired), "the identity has expired");
  }
  if (policy.require) {
    if (auto denied = judge(*policy.require, Subject{*identity, parameters, client_address, now})) return std::move(*denied);
  }
  return identity::Permit(route, identity);
}

}  // namespace sallyport::authorize
