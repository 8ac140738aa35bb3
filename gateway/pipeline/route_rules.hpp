// What a route asks beside its policy: rate limits, networks, CORS, header rules of answers. A route without any has none (nullptr).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "authorize/rate_limit.hpp"
#include "base/network.hpp"
#include "upstream/answer_rules.hpp"

namespace sallyport::pipeline {

struct CorsPolicy {
  bool passes = false;                       // `cors: pass`: the upstream answers, preflights included
  std::vector<std::string> allowed_origins;  // as authorize::parse_origin gives them, "null", or "*" alone (never with credentials)
  std::vector<std::string> allowed_methods;
  std::vector<std::string> allowed_headers;  // beside those that need no permission
  bool allow_credentials = false;
  std::string methods;  // the fields' values, joined; empty: no such field
  std::string headers;
  std::string exposed_headers;
  std::string max_age;
};

struct RouteRules {
  std::vector<authorize::RateLimit> limits;  // those of every route first
  std::vector<Network> allow;                // empty: every address
  std::vector<Network> deny;                 // wins
  bool has_cors = false;
  CorsPolicy cors;
  upstream::AnswerRules answers;
};
using RouteRulesPtr = std::shared_ptr<const RouteRules>;

// Whether the route's `allow` and `deny` let the address in. Text that is no address is let in only where neither says anything.
[[nodiscard]] bool admits(const RouteRules& rules, std::string_view address) noexcept;

}  // namespace sallyport::pipeline
