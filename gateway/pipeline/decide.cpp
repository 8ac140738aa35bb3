#include "pipeline/decide.hpp"

#include <fmt/format.h>

namespace sallyport::pipeline {
namespace {

std::string access_name(authorize::Access access) {
  switch (access) {
    case authorize::Access::public_: return "public";
    case authorize::Access::optional: return "optional";
    case authorize::Access::authenticated: return "authenticated";
  }
  return "unknown";
}

void explain_route(const Route& route, const route::Found& found, Explanation& out) {
  out.push_back(fmt::format("route: {} ({}) by {}{}", route.name, route.source,
                            route.match.host ? (route.match.host->is_suffix() ? "*." : "") + route.match.host->name() : "",
                            route.match.path.text()));
  for (const http::PathParameter& parameter : found.parameters) {
    out.push_back(fmt::format("path parameter: {} = {}", parameter.name, parameter.value));
  }
  out.push_back("access: " + access_name(route.policy.access));
}

void explain_outcome(const identity::AuthOutcome& outcome, Explanation& out) {
  if (const auto* verified = std::get_if<identity::IdentityPtr>(&outcome)) {
    const identity::IdentityFacts& facts = (*verified)->facts();
    out.push_back(fmt::format("credential: verified, subject {} of issuer {}", facts.subject, facts.issuer_name));
  } else if (std::holds_alternative<identity::NotPresented>(outcome)) {
    out.push_back("credential: none was presented");
  } else if (const auto* refused = std::get_if<identity::Refused>(&outcome)) {
    out.push_back(fmt::format("credential: refused, {}: {}", identity::name(refused->reason), refused->detail));
  } else if (const auto* ambiguous = std::get_if<identity::Ambiguous>(&outcome)) {
    out.push_back("credential: ambiguous, " + ambiguous->detail);
  } else if (const auto* unavailable = std::get_if<identity::Unavailable>(&outcome)) {
    out.push_back("credential: could not be checked, " + unavailable->detail);
  }
}

void explain_decision(const Route& route, const authorize::Decision& decision, const authorize::Subject* subject, Explanation& out) {
  if (route.policy.require && subject != nullptr) {
    std::vector<std::string> lines;
    static_cast<void>(authorize::satisfies(*route.policy.require, *subject, &lines));
    for (std::string& line : lines) out.push_back("require: " + std::move(line));
  }
  if (const auto* denied = std::get_if<authorize::Denied>(&decision)) {
    out.push_back(fmt::format("decision: refused, {}: {}", denied->reason, denied->detail));
  } else {
    out.push_back("decision: allowed");
  }
}

void explain_miss(const route::RouteOutcome& outcome, Explanation& out) {
  if (const auto* refused = std::get_if<route::MethodNotAllowed>(&outcome)) {
    out.push_back("route: the path is known, the method is not allowed there; allowed: " + refused->allow);
  } else if (std::holds_alternative<route::UnknownMethod>(outcome)) {
    out.push_back("route: no route of this path lists the method");
  } else {
    out.push_back("route: none matches");
  }
  out.push_back("decision: refused");
}

}  // namespace

Verdict decide(const http::RequestHead& request, std::string_view client_address, const Snapshot& snapshot,
               authenticate::JwtAuthenticator& authenticator, WallTime now, Explanation* explanation) {
  // First of all, because it holds on every route: which of two Authorization fields an upstream would believe is anybody's guess.
  if (request.count(http::FieldId::authorization) > 1) {
    if (explanation != nullptr) explanation->push_back("decision: refused, two Authorization fields");
    return BadRequest{"two Authorization fields"};
  }

  // The route comes before the credential: it says which credentials count, and an unknown path costs no cryptography.
  route::RouteOutcome routed = snapshot.table.find(request.host_name, request.method, request.method_text, request.target.path());
  const auto* found = std::get_if<route::Found>(&routed);
  if (found == nullptr) {
    if (explanation != nullptr) explain_miss(routed, *explanation);
    return NotRouted{std::move(routed)};
  }
  const Route& route = snapshot.routes[found->route];
  if (explanation != nullptr) explain_route(route, *found, *explanation);

  // Public routes neither read nor need a credential (DESIGN §3.5).
  identity::AuthOutcome outcome = identity::NotPresented{};
  if (route.policy.access != authorize::Access::public_) {
    outcome = authenticator.authenticate(request, route.credentials, now);
    if (explanation != nullptr) explain_outcome(outcome, *explanation);
  }

  // Policy is judged on every request: the cache above remembers who somebody is, never what he may do.
  authorize::Decision decision = authorize::Authorizer::decide(found->route, route.policy, outcome, found->parameters, client_address, now);
  const auto* verified = std::get_if<identity::IdentityPtr>(&outcome);
  if (explanation != nullptr) {
    std::optional<authorize::Subject> subject;
    if (verified != nullptr) subject.emplace(authorize::Subject{**verified, found->parameters, client_address, now});
    explain_decision(route, decision, subject ? &*subject : nullptr, *explanation);
  }
  if (auto* denied = std::get_if<authorize::Denied>(&decision)) {
    return DeniedOn{&route, std::move(*denied), verified != nullptr ? *verified : nullptr};
  }
  return Allowed{&route, std::get<identity::Permit>(std::move(decision))};
}

}  // namespace sallyport::pipeline
