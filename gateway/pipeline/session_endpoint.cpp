#include "pipeline/session_endpoint.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace sallyport::pipeline {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out += out.size() > 1 ? "," : "";
  append_json_string(out, name);
  out += ':';
  append_json_string(out, value);
}

void append_member(std::string& out, std::string_view name, const std::vector<std::string>& values) {
  out += out.size() > 1 ? "," : "";
  append_json_string(out, name);
  out += ":[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ',';
    append_json_string(out, values[i]);
  }
  out += ']';
}

std::string document_of(const identity::IdentityFacts& facts) {
  std::string out = "{";
  append_member(out, "subject", facts.subject);
  append_member(out, "issuer", facts.issuer);
  append_member(out, "method", identity::name(facts.method));
  append_member(out, "roles", facts.roles);
  append_member(out, "scopes", facts.scopes);
  append_member(out, "expires_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(facts.expires_at)));
  return out + "}";
}

}  // namespace

SessionAnswer describe_caller(const http::RequestHead& request, const Snapshot& snapshot, authenticate::JwtAuthenticator& authenticator,
                              WallTime now) {
  using Why = authorize::Denied::Why;
  const identity::AuthOutcome outcome = request.count(http::FieldId::authorization) > 1
                                            ? identity::AuthOutcome(identity::Ambiguous{"two Authorization fields"})
                                            : authenticator.authenticate(request, snapshot.any_credential, now);
  // The same judgement as on a route that asks for an identity and nothing else.
  const authorize::RoutePolicy policy{authorize::Access::authenticated, std::nullopt};
  authorize::Decision decision = authorize::Authorizer::decide(0, policy, outcome, {}, {}, now);
  if (auto* denied = std::get_if<authorize::Denied>(&decision)) return std::move(*denied);
  const auto* verified = std::get_if<identity::IdentityPtr>(&outcome);
  if (verified == nullptr) return authorize::Denied{Why::no_credential, "no_credential", "no credential", {}};
  return document_of((*verified)->facts());
}

}  // namespace sallyport::pipeline
