// Cross-origin resource sharing (Fetch standard, "CORS protocol"): preflights answered here, and the fields of actual answers. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"
#include "pipeline/route_rules.hpp"

namespace sallyport::pipeline {

struct Answer;  // respond.hpp

// An OPTIONS with one Origin and one Access-Control-Request-Method, and without a body. nullopt: an ordinary request.
struct Preflight {
  std::string_view origin;
  std::string_view method;  // a token
};
[[nodiscard]] std::optional<Preflight> read_preflight(const http::RequestHead& request) noexcept;

[[nodiscard]] bool allows_origin(const CorsPolicy& policy, std::string_view origin) noexcept;

// 204 with what is allowed; 403 when the origin, the method or a header is not.
[[nodiscard]] Answer answer_preflight(const CorsPolicy& policy, const Preflight& preflight, const http::RequestHead& request);

// What an answer to a page of another origin says: nothing where its origin is not allowed. The value of Access-Control-Allow-Origin is the
// origin itself, byte for byte. Views into the policy and the request.
void append_cors_fields(const CorsPolicy& policy, const http::RequestHead& request, std::vector<http::Field>& fields);

}  // namespace sallyport::pipeline
