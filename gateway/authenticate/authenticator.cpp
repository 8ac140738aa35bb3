#include "authenticate/authenticator.hpp"

#include <algorithm>

namespace sallyport::authenticate {
namespace {

using identity::NotPresented;
using identity::RefusalReason;
using identity::Refused;

// Whether the plan looks for our own access token in a cookie: only there a refresh cookie may stand in for it.
bool takes_edge_cookie(const CredentialPlan& plan) {
  return std::any_of(plan.issuers.begin(), plan.issuers.end(), [](const IssuerPtr& issuer) {
    const std::vector<TokenPlace>& taken = issuer->settings.token_from;
    return issuer->is_edge &&
           std::any_of(taken.begin(), taken.end(), [](const TokenPlace& place) { return place.kind == TokenPlace::Kind::cookie; });
  });
}

}  // namespace

std::optional<Authentication> Authenticator::try_authenticate(const http::RequestHead& request, const CredentialPlan& plan, WallTime now) {
  const Credential credential = find_credential(request, plan);
  if (std::holds_alternative<NoCredential>(credential)) return Authentication{NotPresented{}, false, takes_edge_cookie(plan)};
  if (const auto* two = std::get_if<TwoCredentials>(&credential)) return Authentication{identity::Ambiguous{std::string(two->detail)}};
  if (const auto* unusable = std::get_if<UnusableCredential>(&credential)) {
    return Authentication{Refused{RefusalReason::malformed, std::string(unusable->detail)}};
  }
  if (const auto* bearer = std::get_if<BearerToken>(&credential)) {
    JwtAuthenticator::Judgement judged = tokens_.judge(*bearer, plan, now);
    return Authentication{std::move(judged.outcome), bearer->by_cookie, judged.is_expired_edge_token && bearer->by_cookie};
  }
  const auto& cookie = std::get<SessionCookie>(credential);
  auto outcome = cookie.is_foreign ? sessions_.try_foreign(cookie.value, *plan.sessions) : sessions_.try_own(cookie.value, *plan.sessions);
  if (!outcome) return std::nullopt;
  return Authentication{std::move(*outcome), true, false};
}

Task<Authentication> Authenticator::ask(const http::RequestHead& request, const CredentialPlan& plan, WallTime now) {
  const Credential credential = find_credential(request, plan);
  const auto* cookie = std::get_if<SessionCookie>(&credential);
  if (cookie == nullptr) {
    auto decided = try_authenticate(request, plan, now);
    co_return std::move(*decided);  // only a session cookie is ever undecided
  }
  std::string value(cookie->value);
  Task<identity::AuthOutcome> asked =
      cookie->is_foreign ? sessions_.ask_foreign(std::move(value), plan.sessions) : sessions_.ask_own(std::move(value), plan.sessions);
  Authentication authentication;
  authentication.by_cookie = true;
  authentication.outcome = co_await std::move(asked);
  co_return authentication;
}

std::string csrf_binding(const identity::IdentityFacts& facts) {
  if (!facts.session.empty()) return "session:" + facts.session;
  if (!facts.family.empty()) return "family:" + facts.family;
  // The length keeps apart what would read the same when it stands side by side.
  return "subject:" + std::to_string(facts.issuer.size()) + ":" + facts.issuer + facts.subject;
}

}  // namespace sallyport::authenticate
