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

std::variant<Authentication, OpenQuestion> Authenticator::try_authenticate(const http::RequestHead& request, const CredentialPlan& plan,
                                                                           WallTime now, const transport::PeerCertificate* certificate) {
  const Credential credential = find_credential(request, plan, certificate);
  if (std::holds_alternative<NoCredential>(credential)) return Authentication{NotPresented{}, false, takes_edge_cookie(plan)};
  if (const auto* two = std::get_if<TwoCredentials>(&credential)) return Authentication{identity::Ambiguous{std::string(two->detail)}};
  if (const auto* unusable = std::get_if<UnusableCredential>(&credential)) {
    return Authentication{Refused{RefusalReason::malformed, std::string(unusable->detail)}};
  }
  if (const auto* bearer = std::get_if<BearerToken>(&credential)) {
    JwtAuthenticator::Judgement judged = tokens_.judge(*bearer, plan, now, certificate);
    if (judged.worth_asking) return OpenQuestion(*bearer);
    return Authentication{std::move(judged.outcome), bearer->by_cookie, judged.is_expired_edge_token && bearer->by_cookie};
  }
  if (const auto* shown = std::get_if<ClientCertificate>(&credential)) {
    return Authentication{certificates_.authenticate(*shown->certificate, now), false, false};
  }
  const auto& cookie = std::get<SessionCookie>(credential);
  auto outcome = cookie.is_foreign ? sessions_.try_foreign(cookie.value, *plan.sessions) : sessions_.try_own(cookie.value, *plan.sessions);
  if (!outcome) return OpenQuestion(cookie);
  return Authentication{std::move(*outcome), true, false};
}

// The token's key may have come after the keys that we have.
Task<Authentication> Authenticator::ask_for_key(BearerToken bearer, const CredentialPlan& plan, WallTime now,
                                                const transport::PeerCertificate* certificate) {
  JwtAuthenticator::Judgement judged = tokens_.judge(bearer, plan, now, certificate);
  if (judged.worth_asking) {
    const std::shared_ptr<KeySource> source = judged.worth_asking;
    Task<bool> asking = KeySource::ask(source, std::move(judged.key_id));
    const bool has_answered = co_await std::move(asking);
    // Without an answer the same judgement stands, unless another request brought the key meanwhile.
    judged = tokens_.judge(bearer, plan, now, certificate, has_answered ? source.get() : nullptr);
  }
  Authentication authentication;
  authentication.outcome = std::move(judged.outcome);
  authentication.by_cookie = bearer.by_cookie;
  authentication.may_refresh = judged.is_expired_edge_token && bearer.by_cookie;
  co_return authentication;
}

Task<Authentication> Authenticator::ask(const OpenQuestion& question, const CredentialPlan& plan, WallTime now,
                                        const transport::PeerCertificate* certificate) {
  if (const auto* bearer = std::get_if<BearerToken>(&question)) return ask_for_key(*bearer, plan, now, certificate);
  const auto& cookie = std::get<SessionCookie>(question);
  std::string value(cookie.value);
  return cookie.is_foreign ? sessions_.ask_foreign(std::move(value), plan.sessions) : sessions_.ask_own(std::move(value), plan.sessions);
}

std::string csrf_binding(const identity::IdentityFacts& facts) {
  if (!facts.session.empty()) return "session:" + facts.session;
  if (!facts.family.empty()) return "family:" + facts.family;
  // The length keeps apart what would read the same when it stands side by side.
  return "subject:" + std::to_string(facts.issuer.size()) + ":" + facts.issuer + facts.subject;
}

}  // namespace sallyport::authenticate
