// Outcome -> HTTP answer: the one place that knows which refusal is which status (DESIGN §3.2). The body never says which check failed.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authorize/authorizer.hpp"
#include "http/exchange.hpp"
#include "pipeline/decide.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::pipeline {

// An answer of our own. Every one carries `Cache-Control: no-store` and X-Request-Id.
struct Answer {
  int status = 500;
  std::string_view title;                                        // static
  std::string_view detail;                                       // static; for the client
  std::vector<std::pair<std::string_view, std::string>> fields;  // beside the common ones
  std::string_view reason;                                       // static word for logs and metrics
  bool close = false;
};

[[nodiscard]] Answer answer_for(const authorize::Denied& denied);
[[nodiscard]] Answer answer_for(const route::RouteOutcome& missed);
[[nodiscard]] Answer answer_for(http::RequestFault fault);
[[nodiscard]] Answer answer_for(const upstream::ForwardResult& result);  // not for answered, answer_cut, client_gone
[[nodiscard]] Answer answer_for_two_credentials();
[[nodiscard]] Answer answer_for_refused_claim();
[[nodiscard]] Answer answer_for_loop();
[[nodiscard]] Answer answer_for_unknown_endpoint();
[[nodiscard]] Answer answer_for_wrong_endpoint_method(std::string_view allow);

// Sends it as application/problem+json (RFC 9457). Returns the status.
[[nodiscard]] Task<int> send(http::Exchange& exchange, const Answer& answer, std::string_view request_id);
// Sends a JSON document of our own with 200.
[[nodiscard]] Task<int> send_json(http::Exchange& exchange, std::string_view document, std::string_view request_id);

}  // namespace sallyport::pipeline
