#include "pipeline/respond.hpp"

#include "http/problem.hpp"

namespace sallyport::pipeline {
namespace {

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

std::string scope_parameter(const std::vector<std::string>& scopes) {
  std::string text = R"(, error="insufficient_scope", scope=")";
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    if (i != 0) text += ' ';
    text += scopes[i];
  }
  return text + '"';
}

}  // namespace

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
    case Why::unavailable: {
      Answer answer = make(503, "unavailable", "The credential could not be checked now. Try again.");
      answer.fields.emplace_back("Retry-After", "1");
      return answer;
    }
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
    case http::RequestFault::unknown_method: detail = "The method is not known here."; break;
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
    case Status::broken:
    case Status::answered:
    case Status::answer_cut:
    case Status::client_gone: break;
  }
  return make(502, "upstream_broken", "The service gave no valid answer.");
}

Answer answer_for_refused_claim() { return make(403, "claim_refused", "The caller may not use this resource."); }

Answer answer_for_loop() { return make(508, "loop", "The request came back to the gateway that sent it."); }

Answer answer_for_unknown_endpoint() { return make(404, "no_endpoint", "There is nothing at this address."); }

Answer answer_for_wrong_endpoint_method(std::string_view allow) {
  Answer answer = make(405, "method_not_allowed", "The method is not allowed on this resource.");
  answer.fields.emplace_back("Allow", allow);
  return answer;
}

namespace {

Task<int> send_document(http::Exchange& exchange, const Answer& answer, std::string_view content_type, std::string_view document,
                        std::string_view request_id) {
  std::vector<http::Field> fields;
  fields.reserve(answer.fields.size() + 3);
  fields.push_back({"Content-Type", content_type, http::FieldId::content_type});
  fields.push_back({"Cache-Control", "no-store"});
  fields.push_back({"X-Request-Id", request_id, http::FieldId::x_request_id});
  for (const auto& [name, value] : answer.fields) fields.push_back({name, value});
  if (answer.close) exchange.close_after();
  exchange.start(answer.status, fields, {http::AnswerBody::Kind::sized, document.size()});
  bool sent = co_await exchange.write(document);
  if (sent) sent = co_await exchange.finish();
  co_return answer.status;
}

}  // namespace

Task<int> send(http::Exchange& exchange, const Answer& answer, std::string_view request_id) {
  const std::string document = http::problem_json(answer.status, answer.title, answer.detail, request_id);
  const int status = co_await send_document(exchange, answer, http::kProblemContentType, document, request_id);
  co_return status;
}

Task<int> send_json(http::Exchange& exchange, std::string_view document, std::string_view request_id) {
  Answer answer;
  answer.status = 200;
  const int status = co_await send_document(exchange, answer, "application/json", document, request_id);
  co_return status;
}

}  // namespace sallyport::pipeline
