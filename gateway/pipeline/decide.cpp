#include "pipeline/decide.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "http/client_address.hpp"
#include "http/websocket.hpp"
#include "pipeline/forgery.hpp"
#include "pipeline/request_cookies.hpp"
#include "pipeline/respond.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kRefreshLine =
    "refresh: a refresh cookie is there; when serving it is spent, and its new access token is judged instead";

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
  if (route.rules == nullptr) return;
  for (const authorize::RateLimit& limit : route.rules->limits) {
    out.push_back(fmt::format("rate limit when serving: {}, {} per {} ms, {} at once{}", limit.name, limit.requests,
                              std::chrono::duration_cast<std::chrono::milliseconds>(limit.per).count(), limit.burst,
                              limit.exact ? ", exact" : ""));
  }
}

void explain_outcome(const authenticate::Authentication& authentication, Explanation& out) {
  const identity::AuthOutcome& outcome = authentication.outcome;
  if (const auto* verified = std::get_if<identity::IdentityPtr>(&outcome)) {
    const identity::IdentityFacts& facts = (*verified)->facts();
    const bool is_session = facts.method == identity::AuthMethod::session;
    out.push_back(fmt::format("credential: verified, subject {} of issuer {}{}{}", facts.subject, facts.issuer_name,
                              is_session                                                 ? ", by session"
                              : facts.method == identity::AuthMethod::client_certificate ? ", by client certificate"
                                                                                         : "",
                              authentication.by_cookie ? ", in a cookie" : ""));
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

// A page of another site opens a WebSocket with the browser's client certificate. Browsers always say where a handshake comes from.
bool opens_foreign_websocket(const Question& question, const Route& route) {
  const http::RequestHead& request = question.request;
  if (!route.websocket || !http::asks_for_websocket(request) || request.find(http::FieldId::origin) == nullptr) return false;
  const auto no_token = [](std::string_view) { return false; };
  return authorize::check_websocket_origin(request, question.peer, route.csrf, no_token) == authorize::CsrfVerdict::refused;
}

// What serving does instead of all that follows.
void explain_preflight(const Question& question, Explanation& out) {
  const std::optional<PreflightOn> found = find_preflight(question);
  if (!found) return;
  const CorsPolicy& policy = found->route->rules->cors;
  if (policy.passes) {
    out.push_back(fmt::format("cors: a preflight of route {}; when serving it goes to the upstream as anonymous", found->route->name));
    return;
  }
  const Answer answer = answer_preflight(policy, found->preflight, question.request);
  out.push_back(fmt::format("cors: a preflight of route {}; when serving it is answered here with {}", found->route->name, answer.status));
}

// Why a request that the browser may have been made to send goes no further; nullopt when it does.
std::optional<authorize::Denied> refuse_forgery(const Question& question, const Route& route,
                                                const authenticate::Authentication& authentication) {
  const auto* verified = std::get_if<identity::IdentityPtr>(&authentication.outcome);
  if (verified != nullptr && authentication.by_cookie) {
    const auto is_token_of_caller = [verified](const authenticate::TagKeys& keys, std::string_view token) {
      return keys.is_csrf_token(token, authenticate::csrf_binding((*verified)->facts()));
    };
    const Asks asks = how_it_asks(question.request, route.websocket.has_value());
    ForgeryCheck check =
        check_forgery(question.request, question.peer, route.csrf, question.authenticator.sessions().keys(), is_token_of_caller, asks);
    if (question.explanation != nullptr) question.explanation->push_back(fmt::format("csrf: {}", authorize::name(check.verdict)));
    return std::move(check.denied);
  }
  // A browser sends its client certificate along whatever site the request comes from. Programs, which certificates are mostly for, have
  // no page that could make them send anything, and need no token.
  if (verified != nullptr && (*verified)->facts().method == identity::AuthMethod::client_certificate) {
    const bool is_forged =
        authorize::is_cross_site(question.request, question.peer, route.csrf) || opens_foreign_websocket(question, route);
    if (question.explanation != nullptr) question.explanation->push_back(is_forged ? "csrf: refused" : "csrf: not cross-site");
    if (is_forged) return forged();
  }
  // Nobody is known yet, but somebody will be: a page of another site must not sign its victim in as its author (login CSRF).
  if (verified == nullptr && route.establish != Establish::nothing) {
    const bool is_forged = authorize::is_cross_site(question.request, question.peer, route.csrf);
    if (question.explanation != nullptr) question.explanation->push_back(is_forged ? "csrf: refused" : "csrf: not cross-site");
    if (is_forged) return forged();
  }
  return std::nullopt;
}

}  // namespace

std::optional<BadRequest> check_request(const http::RequestHead& request) {
  // Which of two Authorization fields an upstream would believe is anybody's guess.
  if (request.count(http::FieldId::authorization) > 1) return BadRequest{"two Authorization fields"};
  return std::nullopt;
}

bool is_misdirected(const http::Peer& peer, const http::RequestHead& request) noexcept {
  if (!peer.asks_for_certificate || peer.server_name.empty()) return false;
  std::string_view name = peer.server_name;
  if (name.ends_with('.')) name.remove_suffix(1);
  return !equals_ignoring_case(name, request.host_name);
}

route::RouteOutcome find_route(const Question& question) {
  const http::RequestHead& request = question.request;
  // The route comes before the credential: it says which credentials count, and an unknown path costs no cryptography.
  route::RouteOutcome routed = question.snapshot.table.find(request.host_name, request.method, request.method_text, request.target.path());
  if (question.explanation != nullptr) {
    const auto* found = std::get_if<route::Found>(&routed);
    if (found != nullptr) {
      explain_route(question.snapshot.routes[found->route], *found, *question.explanation);
    } else {
      explain_miss(routed, *question.explanation);
    }
  }
  return routed;
}

std::optional<PreflightOn> find_preflight(const Question& question) {
  const http::RequestHead& request = question.request;
  if (request.method != http::Method::options) return std::nullopt;
  const std::optional<Preflight> preflight = read_preflight(request);
  if (!preflight) return std::nullopt;
  const route::RouteOutcome routed =
      question.snapshot.table.find(request.host_name, http::method_of(preflight->method), preflight->method, request.target.path());
  const auto* found = std::get_if<route::Found>(&routed);
  if (found == nullptr) return std::nullopt;
  const Route& route = question.snapshot.routes[found->route];
  if (route.rules == nullptr || !route.rules->has_cors) return std::nullopt;
  return PreflightOn{&route, found->route, *preflight};
}

std::optional<authorize::Denied> refuse_network(const Question& question, const Route& route) {
  if (route.rules == nullptr || (route.rules->allow.empty() && route.rules->deny.empty())) return std::nullopt;
  const http::ClientAddress client = http::client_address(question.peer, question.request);
  const bool is_in = admits(*route.rules, client.view());
  if (question.explanation != nullptr) question.explanation->push_back(is_in ? "network: let in" : "network: kept out");
  if (is_in) return std::nullopt;
  return authorize::Denied{authorize::Denied::Why::requirement_unmet, "network_refused", "the client's address is kept out", {}};
}

std::variant<authenticate::Authentication, authenticate::OpenQuestion> try_authenticate(const Question& question, const Route& route) {
  // Public routes neither read nor need a credential (DESIGN §3.5).
  if (route.policy.access == authorize::Access::public_) return authenticate::Authentication{};
  return question.authenticator.try_authenticate(question.request, route.credentials, question.now, question.peer.certificate);
}

RefreshCookies refresh_cookies(const Question& question, const authenticate::Authentication& authentication) noexcept {
  if (!authentication.may_refresh || question.snapshot.edge == nullptr) return {};
  const NamedCookies found = cookies_named(question.request, question.snapshot.edge->settings().refresh_cookie);
  return {found.count, found.value};
}

Verdict judge(const Question& question, const route::Found& found, const authenticate::Authentication& authentication) {
  const Route& route = question.snapshot.routes[found.route];
  Explanation* const explanation = question.explanation;
  const identity::AuthOutcome& outcome = authentication.outcome;
  const auto* verified = std::get_if<identity::IdentityPtr>(&outcome);

  // Before policy: what another site made the browser send is not the caller's wish, whatever he may do.
  if (std::optional<authorize::Denied> denied = refuse_forgery(question, route, authentication)) {
    if (explanation != nullptr) explanation->push_back(fmt::format("decision: refused, {}: {}", denied->reason, denied->detail));
    return DeniedOn{&route, std::move(*denied), verified != nullptr ? *verified : nullptr};
  }

  // Policy is judged on every request: the caches above remember who somebody is, never what he may do.
  const http::ClientAddress client = http::client_address(question.peer, question.request);
  const std::string_view client_address = client.view();
  authorize::Decision decision =
      authorize::Authorizer::decide(found.route, route.policy, outcome, found.parameters, client_address, question.now);
  if (explanation != nullptr) {
    std::optional<authorize::Subject> subject;
    if (verified != nullptr) subject.emplace(authorize::Subject{**verified, found.parameters, client_address, question.now});
    explain_decision(route, decision, subject ? &*subject : nullptr, *explanation);
  }
  if (auto* denied = std::get_if<authorize::Denied>(&decision)) {
    return DeniedOn{&route, std::move(*denied), verified != nullptr ? *verified : nullptr};
  }
  return Allowed{&route, std::get<identity::Permit>(std::move(decision))};
}

Verdict not_routed(route::RouteOutcome missed) { return Verdict(std::in_place_type<NotRouted>, std::move(missed)); }

Task<Verdict> decide(const Question& question) {
  if (const std::optional<BadRequest> bad = check_request(question.request)) {
    if (question.explanation != nullptr) question.explanation->push_back("decision: refused, " + std::string(bad->detail));
    co_return *bad;
  }
  if (question.explanation != nullptr) explain_preflight(question, *question.explanation);
  route::RouteOutcome routed = find_route(question);
  const auto* found = std::get_if<route::Found>(&routed);
  if (found == nullptr) co_return not_routed(std::move(routed));
  const Route& route = question.snapshot.routes[found->route];
  if (std::optional<authorize::Denied> denied = refuse_network(question, route)) {
    if (question.explanation != nullptr) question.explanation->push_back("decision: refused, network_refused");
    co_return DeniedOn{&route, std::move(*denied), nullptr};
  }
  auto attempt = try_authenticate(question, route);
  if (const auto* open = std::get_if<authenticate::OpenQuestion>(&attempt)) {
    authenticate::Authentication asked =
        co_await question.authenticator.ask(*open, route.credentials, question.now, question.peer.certificate);
    attempt = std::move(asked);
  }
  auto& who = std::get<authenticate::Authentication>(attempt);
  const RefreshCookies refresh = refresh_cookies(question, who);
  if (refresh.count > 1) who = authenticate::Authentication{.outcome = identity::Ambiguous{std::string(kTwoRefreshCookies)}};
  if (question.explanation != nullptr && route.policy.access != authorize::Access::public_) {
    explain_outcome(who, *question.explanation);
    if (refresh.count == 1) question.explanation->push_back(std::string(kRefreshLine));
  }
  co_return judge(question, *found, who);
}

}  // namespace sallyport::pipeline
