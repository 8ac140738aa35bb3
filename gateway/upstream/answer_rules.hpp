// What a route says of its answers' fields (`response_headers`, `security_headers`, `cors`), compiled.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/head.hpp"

namespace sallyport::upstream {

struct AnswerRules {
  std::vector<std::string> remove;                       // names, letter case aside
  std::vector<std::pair<std::string, std::string>> set;  // instead of all that the answer has of that name
  std::vector<std::pair<std::string, std::string>> add;  // beside them
  bool is_strict = false;                                // `security_headers: strict`
  bool drops_cors = false;                               // Access-Control-* of the upstream go: the gateway answers for them
  bool varies_by_origin = false;                         // Vary names Origin
  friend bool operator==(const AnswerRules&, const AnswerRules&) = default;
};

// Of `fields`, which an upstream answered: removes, sets, adds, then the security headers. Views into `rules` and static text.
void apply(const AnswerRules& rules, bool is_tls, std::vector<http::Field>& fields);

// `security_headers: strict`, each where the answer has not its own: Strict-Transport-Security (over TLS only), X-Content-Type-Options,
// Referrer-Policy, Content-Security-Policy: frame-ancestors 'none' (not where the answer has a policy or an X-Frame-Options of its own),
// X-Frame-Options: DENY (not where its Content-Security-Policy speaks of frame-ancestors).
void add_security_headers(bool is_tls, std::vector<http::Field>& fields);

}  // namespace sallyport::upstream
