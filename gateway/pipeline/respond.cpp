#include "pipeline/respond.hpp"

#include "base/json.hpp"
#include "http/problem.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kJsonContentType = "application/json";
constexpr std::string_view kChallenge = R"(Bearer realm="sallyport")";

Answer make(int status, std::string_view reason, std::string_view detail) {
  Answer answer;
  answer.status = status;
  answer.title = http::reason_phrase(status);
  answer.detail = detail;
  answer.reason = reason;
  return answer;
}

// RFC 6750 §3, §3.1.
Answer with_challenge(Answer answer, std::string_view parameters) {
  std::string value(kChallenge);
  value.append(parameters);
  answer.fields.emplace_back("WWW-Authenticate", std::move(value));
  return answer;
}

Answer try_again(std::string_view reason, std::string_view detail) {
  Answer answer = make(503, reason, detail);
  answer.fields.emplace_back("Retry-After", "1");
  return answer;
}

std::string scope_parameter(const std::vector<std::string>& scopes) {
  std::string text = R"(, error="insufficient_scope", scope=")";
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    if (i != 0) text += ' ';
    text += scopes[i];
  }
  return text + '"';
}

}  // namespace

void Answer::add_cookies(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) fields.emplace_back("Set-Cookie", line);
}

Answer answer_for(const authorize::Denied& denied) {
  using Why = authorize::Denied::Why;
  switch (denied.why) {
    case Why::no_credential: return with_challenge(make(401, "no_credential", "This resource needs a credential."), "");
    case Why::credential_refused:
      return with_challenge(make(401, "credential_refused", "The credential was not accepted."), R"(, error="invalid_token")");
    case Why::ambiguous_credential: return answer_for_two_credentials();
    case Why::insufficient_scope:
      return with_challenge(make(403, "insufficient_scope", "The credential does not carry the scope that this resource needs."),
                            scope_parameter(denied.scopes));
    case Why::requirement_unmet: return make(403, "requirement_unmet", "The caller may not use this resource.");
    case Why::unavailable: return answer_for_unavailable();
  }
  return make(500, "internal", "The gateway failed.");
}

Answer answer_for_two_credentials() {
  return with_challenge(make(400, "ambiguous_credential", "The request carries two credentials where one may be."),
                        R"(, error="invalid_request")");
}

Answer answer_for(const route::RouteOutcome& missed) {
  if (const auto* refused = std::get_if<route::MethodNotAllowed>(&missed)) {
    Answer answer = make(405, "method_not_allowed", "The method is not allowed on this resource.");
    answer.fields.emplace_back("Allow", refused->allow);
    return answer;
  }
  if (std::holds_alternative<route::UnknownMethod>(missed)) return make(501, "unknown_method", "The method is not known here.");
  return make(404, "no_route", "There is nothing at this address.");
}

Answer answer_for(http::RequestFault fault) {
  std::string_view detail = "The request is malformed.";
  switch (fault) {
    case http::RequestFault::malformed:
    case http::RequestFault::bad_target:
    case http::RequestFault::bad_host:
    case http::RequestFault::bad_framing: break;
    case http::RequestFault::method_refused: detail = "The method is not allowed here."; break;
    case http::RequestFault::version_unsupported: detail = "This version of HTTP is not spoken here."; break;
    case http::RequestFault::expectation_failed: detail = "The expectation cannot be met."; break;
    case http::RequestFault::target_too_long: detail = "The target is too long."; break;
    case http::RequestFault::head_too_large: detail = "The header section is too large."; break;
    case http::RequestFault::body_too_large: detail = "The body is too large."; break;
    case http::RequestFault::timed_out: detail = "The request did not arrive in time."; break;
  }
  Answer answer = make(http::status_of(fault), http::name(fault), detail);
  if (fault == http::RequestFault::method_refused) answer.fields.emplace_back("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  answer.close = true;
  return answer;
}

Answer answer_for(const upstream::ForwardResult& result) {
  using Status = upstream::ForwardStatus;
  switch (result.status) {
    case Status::timed_out: return make(504, "upstream_timed_out", "The service did not answer in time.");
    case Status::connect_failed: return make(502, "upstream_unreachable", "The service could not be reached.");
    case Status::body_refused:
      switch (result.body) {
        case http::BodyState::too_large: return answer_for(http::RequestFault::body_too_large);
        case http::BodyState::timed_out: return answer_for(http::RequestFault::timed_out);
        case http::BodyState::malformed:
        case http::BodyState::more:
        case http::BodyState::end:
        case http::BodyState::gone: return answer_for(http::RequestFault::bad_framing);
      }
      break;
    case Status::unavailable: return try_again("upstream_unavailable", "The service cannot be reached now. Try again.");
    case Status::overloaded: return try_again("upstream_overloaded", "The service has enough to do now. Try again.");
    case Status::broken:
    case Status::answered:
    case Status::answer_cut:
    case Status::client_gone:
    case Status::withheld: break;
  }
  return make(502, "upstream_broken", "The service gave no valid answer.");
}

Answer answer_for_refused_claim() { return make(403, "claim_refused", "The caller may not use this resource."); }

Answer answer_for_loop() { return make(508, "loop", "The request came back to the gateway that sent it."); }

Answer answer_for_misdirected() {
  return make(421, "misdirected", "This connection was opened for another host.");
}

Answer answer_for_unknown_endpoint() { return make(404, "no_endpoint", "There is nothing at this address."); }

Answer answer_for_wrong_endpoint_method(std::string_view allow) {
  Answer answer = make(405, "method_not_allowed", "The method is not allowed on this resource.");
  answer.fields.emplace_back("Allow", allow);
  return answer;
}

Answer answer_for_bad_handshake(const http::HandshakeRefused& refused) {
  const bool is_version = refused.why == http::HandshakeRefused::Why::version;
  Answer answer = is_version ? make(426, "websocket_version", "Only version 13 of the WebSocket protocol is spoken here.")
                             : make(400, "websocket_handshake", "The WebSocket handshake is malformed.");
  if (is_version) answer.fields.emplace_back("Sec-WebSocket-Version", "13");
  answer.close = true;  // what came behind it was for a tunnel, and is no request
  return answer;
}

Answer answer_for_unavailable() {
  Answer answer = make(503, "unavailable", "What this request needs could not be asked now. Try again.");
  answer.fields.emplace_back("Retry-After", "1");
  return answer;
}

Answer answer_for_refused_establishment() { return make(502, "establish_refused", "The service gave no valid answer."); }

Answer answer_for_foreign_logout() {
  return make(
      409, "not_ours",
      "This session or token was issued elsewhere and is ended there. To end everything of this caller here, use ?everywhere=true.");
}

Answer answer_for_bad_query() { return make(400, "bad_query", "The query is not one that this resource knows."); }

Answer answer_for_rate_limit(std::uint64_t retry_after_seconds) {
  Answer answer = make(429, "rate_limited", "Too many requests. Try again later.");
  answer.fields.emplace_back("Retry-After", std::to_string(retry_after_seconds));
  return answer;
}

Answer answer_for_refused_preflight(std::string_view reason) {
  return make(403, reason, "This resource is not for pages of that origin, or not in that way.");
}

Answer answer_for_overload() {
  Answer answer = make(503, "overloaded", "There is too much to do now. Try again.");
  answer.fields.emplace_back("Retry-After", "1");
  answer.close = true;
  return answer;
}

Answer json_answer(std::string document) {
  Answer answer;
  answer.status = 200;
  answer.json = std::move(document);
  return answer;
}

Answer token_answer(std::string document) {
  Answer answer = json_answer(std::move(document));
  answer.fields.emplace_back("Pragma", "no-cache");
  return answer;
}

Answer oauth_error(std::string_view error, std::string_view reason) {
  std::string document = R"({"error":)";
  append_json_string(document, error);
  Answer answer = token_answer(document + "}");
  answer.status = 400;
  answer.reason = reason;
  return answer;
}

Answer empty_answer() {
  Answer answer;
  answer.status = 204;
  return answer;
}

Task<int> send(http::Exchange& exchange, const Answer& answer, std::string_view request_id) {
  const bool has_body = answer.status != 204;
  std::string document;
  if (answer.json) {
    document = *answer.json;
  } else if (has_body) {
    document = http::problem_json(answer.status, answer.title, answer.detail, request_id);
  }
  std::vector<http::Field> fields;
  fields.reserve(answer.fields.size() + 3);
  if (has_body) fields.push_back({"Content-Type", answer.json ? kJsonContentType : http::kProblemContentType, http::FieldId::content_type});
  fields.push_back({"Cache-Control", answer.cache_control});
  fields.push_back({"X-Request-Id", request_id, http::FieldId::x_request_id});
  for (const auto& [name, value] : answer.fields) fields.push_back({name, value});
  if (answer.close) exchange.close_after();
  using Kind = http::AnswerBody::Kind;
  exchange.start(answer.status, fields, has_body ? http::AnswerBody{Kind::sized, document.size()} : http::AnswerBody{});
  bool sent = true;
  if (has_body) sent = co_await exchange.write(document);
  if (sent) sent = co_await exchange.finish();
  co_return answer.status;
}

}  // namespace sallyport::pipeline
