#include "pipeline/own_endpoints.hpp"

#include <array>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "pipeline/form.hpp"
#include "pipeline/request_cookies.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kPrefix = "/.gateway";
constexpr std::size_t kFormBytesMax = 8 * 1024;

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

std::string rfc3339(WallTime time) { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(time)); }

// Why a body was not read whole; nullopt: nobody is left to answer.
std::optional<Answer> answer_for_body(http::BodyState state) {
  switch (state) {
    case http::BodyState::too_large: return answer_for(http::RequestFault::body_too_large);
    case http::BodyState::timed_out: return answer_for(http::RequestFault::timed_out);
    case http::BodyState::gone: return std::nullopt;
    case http::BodyState::malformed:
    case http::BodyState::more:
    case http::BodyState::end: break;
  }
  return answer_for(http::RequestFault::bad_framing);
}

Answer refused(RequestRecord& record, Answer answer) {
  record.decision = "refused";
  if (record.reason.empty()) record.reason = answer.reason;
  return answer;
}

Answer refused(RequestRecord& record, const authorize::Denied& denied) {
  record.reason = denied.reason;
  record.detail = denied.detail;
  return refused(record, answer_for(denied));
}

// RFC 6749 §5.2 for what the client got wrong; nothing of it is secret.
Answer bad_request(RequestRecord& record, std::string_view error, std::string_view detail) {
  record.detail = detail;
  return refused(record, oauth_error(error, error));
}

}  // namespace

bool is_own_endpoint(std::string_view path) noexcept {
  return path.starts_with(kPrefix) && (path.size() == kPrefix.size() || path[kPrefix.size()] == '/');
}

std::string caller_document(const identity::IdentityFacts& facts, std::optional<WallTime> idle_expires_at, std::string_view csrf_token) {
  std::string out = "{";
  append_member(out, "subject", facts.subject);
  append_member(out, "issuer", facts.issuer);
  append_member(out, "method", identity::name(facts.method));
  append_member(out, "roles", facts.roles);
  append_member(out, "scopes", facts.scopes);
  append_member(out, "expires_at", rfc3339(facts.expires_at));
  if (idle_expires_at) append_member(out, "idle_expires_at", rfc3339(*idle_expires_at));
  if (!csrf_token.empty()) append_member(out, "csrf_token", csrf_token);
  return out + "}";
}

Task<std::optional<Answer>> OwnEndpoints::serve(http::Exchange& exchange, const Snapshot& snapshot, RequestRecord& record) {
  const http::RequestHead& request = exchange.request();
  struct Endpoint {
    std::string_view path;
    bool is_read;  // GET and HEAD; else POST
    bool needs_tokens;
  };
  static constexpr std::array kEndpoints{Endpoint{"/.gateway/session", true, false}, Endpoint{"/.gateway/refresh", false, true},
                                         Endpoint{"/.gateway/logout", false, false}, Endpoint{"/.gateway/jwks.json", true, true}};
  const Endpoint* found = nullptr;
  for (const Endpoint& endpoint : kEndpoints) {
    if (request.target.path() == endpoint.path) found = &endpoint;
  }
  if (found == nullptr || (found->needs_tokens && snapshot.edge == nullptr)) {
    const Answer refusal = answer_for_unknown_endpoint();
    record.reason = refusal.reason;
    co_return refusal;
  }
  record.route = found->path;
  const bool is_read = request.method == http::Method::get || request.method == http::Method::head;
  if (found->is_read ? !is_read : request.method != http::Method::post) {
    const Answer refusal = answer_for_wrong_endpoint_method(found->is_read ? "GET, HEAD" : "POST");
    record.reason = refusal.reason;
    co_return refusal;
  }
  Visit visit{exchange, record, {request, exchange.peer(), snapshot, surroundings_.authenticator, surroundings_.clock.wall_now()}};
  std::optional<Answer> answer = co_await call(found->path, visit);
  if (answer && !record.decision.empty()) surroundings_.log.decided(record, exchange);
  co_return answer;
}

Task<std::optional<Answer>> OwnEndpoints::call(std::string_view path, Visit& visit) {
  if (path == "/.gateway/jwks.json") co_return jwks(visit);
  if (check_request(visit.question.request)) co_return refused(visit.record, answer_for_two_credentials());
  if (path == "/.gateway/refresh") {
    std::optional<Answer> answer = co_await refresh(visit);
    co_return answer;
  }
  if (path == "/.gateway/logout") {
    Answer answer = co_await logout(visit);
    co_return answer;
  }
  Answer answer = co_await session(visit);
  co_return answer;
}

Task<authenticate::Authentication> OwnEndpoints::authenticate(Visit& visit) {
  Question& question = visit.question;
  const authenticate::CredentialPlan& plan = question.snapshot.any_credential;
  auto attempt = question.authenticator.try_authenticate(question.request, plan, question.now, question.peer.certificate);
  if (const auto* open = std::get_if<authenticate::OpenQuestion>(&attempt)) {
    authenticate::Authentication asked = co_await question.authenticator.ask(*open, plan, question.now, question.peer.certificate);
    question.now = surroundings_.clock.wall_now();
    co_return asked;
  }
  co_return std::get<authenticate::Authentication>(std::move(attempt));
}

void OwnEndpoints::note_identity(Visit& visit, const authenticate::Authentication& who) const {
  const auto* verified = std::get_if<identity::IdentityPtr>(&who.outcome);
  if (verified == nullptr) return;
  visit.record.identity = *verified;
  visit.record.auth_method = identity::name((*verified)->facts().method);
}

Task<Answer> OwnEndpoints::session(Visit& visit) {
  Question& question = visit.question;
  authenticate::Authentication who = co_await authenticate(visit);
  std::vector<std::string> cookies;
  if (const RefreshCookies found = refresh_cookies(question, who); found.count != 0) {
    const authorize::CsrfPolicy csrf;
    RefreshedInLine refreshed = co_await surroundings_.refresher.refresh_in_line(question, question.snapshot.any_credential, csrf, found,
                                                                                 visit.record, visit.exchange);
    who = std::move(refreshed.authentication);
    cookies = std::move(refreshed.cookies);
    question.now = surroundings_.clock.wall_now();
  }
  note_identity(visit, who);
  // The same judgement as on a route that asks for an identity and nothing else.
  const authorize::RoutePolicy policy{authorize::Access::authenticated, std::nullopt};
  const authorize::Decision decision = authorize::Authorizer::decide(0, policy, who.outcome, {}, {}, question.now);
  Answer answer;
  if (const auto* denied = std::get_if<authorize::Denied>(&decision)) {
    answer = refused(visit.record, *denied);
  } else {
    const identity::IdentityFacts& facts = std::get<identity::Permit>(decision).identity()->facts();
    authenticate::SessionAuthenticator& sessions = question.authenticator.sessions();
    std::string csrf_token;
    if (who.by_cookie && sessions.keys() != nullptr) csrf_token = sessions.keys()->csrf_token(authenticate::csrf_binding(facts));
    answer = json_answer(caller_document(facts, sessions.idle_expires_at(facts), csrf_token));
    visit.record.decision = "allowed";
  }
  answer.add_cookies(cookies);
  co_return answer;
}

Answer OwnEndpoints::jwks(const Visit& visit) {
  Answer answer = json_answer(visit.question.snapshot.edge->public_jwks());
  answer.cache_control = "public, max-age=300";
  return answer;
}

Task<std::optional<Answer>> OwnEndpoints::refresh(Visit& visit) {
  std::variant<std::string, http::BodyState> body = co_await read_small_body(visit.exchange, kFormBytesMax);
  if (const auto* state = std::get_if<http::BodyState>(&body)) {
    std::optional<Answer> answer = answer_for_body(*state);
    if (answer) answer = refused(visit.record, std::move(*answer));
    co_return answer;
  }
  std::string& text = std::get<std::string>(body);
  if (text.empty()) {
    Answer answer = co_await refresh_by_cookie(visit);
    co_return answer;
  }
  Answer answer = co_await refresh_by_form(visit, std::move(text));
  co_return answer;
}

Task<Answer> OwnEndpoints::refresh_by_form(Visit& visit, std::string body) {
  RequestRecord& record = visit.record;
  if (!is_form(visit.question.request)) co_return bad_request(record, "invalid_request", "the body is no form");
  const std::optional<Form> form = Form::parse(body);
  if (!form) co_return bad_request(record, "invalid_request", "the form is malformed");
  const std::string* grant_type = form->find("grant_type");
  if (grant_type == nullptr) co_return bad_request(record, "invalid_request", "no grant_type");
  if (*grant_type != "refresh_token") co_return bad_request(record, "unsupported_grant_type", "another grant_type");
  const std::string* token = form->find("refresh_token");
  if (token == nullptr) co_return bad_request(record, "invalid_request", "no refresh_token");

  authenticate::TagKeysPtr tags = visit.question.authenticator.sessions().keys();
  const issue::RefreshOutcome outcome =
      co_await surroundings_.refresher.spend(*token, visit.question.snapshot.edge, std::move(tags), record, visit.exchange);
  if (const auto* unavailable = std::get_if<issue::RefreshUnavailable>(&outcome)) {
    record.detail = unavailable->detail;
    co_return refused(record, answer_for_unavailable());
  }
  if (const auto* bad = std::get_if<issue::RefreshRefused>(&outcome)) co_return refused(record, oauth_error("invalid_grant", bad->reason));
  record.decision = "allowed";
  co_return token_answer(issue::token_response_json(*std::get<issue::TokenPairPtr>(outcome)));
}

Task<Answer> OwnEndpoints::refresh_by_cookie(Visit& visit) {
  RequestRecord& record = visit.record;
  const Question& question = visit.question;
  const issue::TokenSettings& settings = question.snapshot.edge->settings();
  const NamedCookies cookie = cookies_named(question.request, settings.refresh_cookie);
  if (cookie.count != 1) {
    co_return bad_request(record, "invalid_request", cookie.count == 0 ? "neither a form nor a refresh cookie" : kTwoRefreshCookies);
  }
  const authorize::CsrfPolicy csrf;
  const Refresher::CookieOutcome spent =
      co_await surroundings_.refresher.spend_cookie(question, csrf, cookie.value, record, visit.exchange);
  if (const auto* denied = std::get_if<authorize::Denied>(&spent)) co_return refused(record, *denied);
  const auto& outcome = std::get<issue::RefreshOutcome>(spent);
  if (const auto* unavailable = std::get_if<issue::RefreshUnavailable>(&outcome)) {
    record.detail = unavailable->detail;
    co_return refused(record, answer_for_unavailable());
  }
  if (const auto* bad = std::get_if<issue::RefreshRefused>(&outcome)) {
    Answer answer = oauth_error("invalid_grant", bad->reason);
    answer.add_cookies(issue::clear_token_cookies(settings));
    co_return refused(record, std::move(answer));
  }
  record.decision = "allowed";
  Answer answer = empty_answer();
  answer.add_cookies(issue::token_cookies(*std::get<issue::TokenPairPtr>(outcome), settings));
  co_return answer;
}

}  // namespace sallyport::pipeline
