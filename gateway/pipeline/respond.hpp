// Outcome -> HTTP answer: the one place that knows which refusal is which status (DESIGN §3.2). The body never says which check failed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authorize/authorizer.hpp"
#include "http/exchange.hpp"
#include "http/websocket.hpp"
#include "pipeline/decide.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::pipeline {

// An answer of our own. Every one carries Cache-Control and X-Request-Id.
struct Answer {
  int status = 500;
  std::string_view title;                                        // static
  std::string_view detail;                                       // static; for the client
  std::vector<std::pair<std::string_view, std::string>> fields;  // beside the common ones
  std::string_view reason;                                       // static word for logs and metrics
  bool close = false;
  // Sent as application/json instead of the problem; a status of 204 has no body at all.
  std::optional<std::string> json;
  std::string_view cache_control = "no-store";

  // One Set-Cookie line each.
  void add_cookies(const std::vector<std::string>& lines);
};

[[nodiscard]] Answer answer_for(const authorize::Denied& denied);
[[nodiscard]] Answer answer_for(const route::RouteOutcome& missed);
[[nodiscard]] Answer answer_for(http::RequestFault fault);
[[nodiscard]] Answer answer_for(const upstream::ForwardResult& result);  // not for answered, answer_cut, client_gone, withheld
[[nodiscard]] Answer answer_for_two_credentials();
[[nodiscard]] Answer answer_for_refused_claim();
[[nodiscard]] Answer answer_for_loop();
[[nodiscard]] Answer answer_for_misdirected();  // 421
[[nodiscard]] Answer answer_for_unknown_endpoint();
[[nodiscard]] Answer answer_for_wrong_endpoint_method(std::string_view allow);
// A handshake that is none: 400, or 426 for another version of the protocol.
[[nodiscard]] Answer answer_for_bad_handshake(const http::HandshakeRefused& refused);
// 503 with Retry-After: the store or the keys could not be asked.
[[nodiscard]] Answer answer_for_unavailable();
// The upstream's X-Auth-Establish is none: 502.
[[nodiscard]] Answer answer_for_refused_establishment();
// The caller's credential was issued elsewhere and can be ended there only: 409.
[[nodiscard]] Answer answer_for_foreign_logout();
[[nodiscard]] Answer answer_for_bad_query();  // 400
[[nodiscard]] Answer answer_for_rate_limit(std::uint64_t retry_after_seconds);        // 429
[[nodiscard]] Answer answer_for_refused_preflight(std::string_view reason);           // 403
[[nodiscard]] Answer answer_for_overload();                                           // 503, and the connection closes

// A document of ours with 200.
[[nodiscard]] Answer json_answer(std::string document);
// RFC 6749 §5.1: a successful response of a token endpoint.
[[nodiscard]] Answer token_answer(std::string document);
// RFC 6749 §5.2: 400 with {"error": error}; `reason` is for our log.
[[nodiscard]] Answer oauth_error(std::string_view error, std::string_view reason);
[[nodiscard]] Answer empty_answer();  // 204

// Sends it: as application/problem+json (RFC 9457) unless it has a document of its own. Returns the status.
[[nodiscard]] Task<int> send(http::Exchange& exchange, const Answer& answer, std::string_view request_id);

}  // namespace sallyport::pipeline
