// The decision about one request: the very code that serves and that `sallyport explain` runs.
//
// In steps, because authentication may have to ask the store: the pipeline takes them one by one and stays synchronous wherever memory
// knows the answer; decide() takes them all. Nothing here changes anything: refresh tokens are spent elsewhere (refresher.hpp).
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "authenticate/authenticator.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"
#include "pipeline/cors.hpp"
#include "pipeline/snapshot.hpp"

namespace sallyport::pipeline {

struct Allowed {
  const Route* route;
  identity::Permit permit;
};
struct NotRouted {
  route::RouteOutcome outcome;  // NoRoute, MethodNotAllowed or UnknownMethod
};
struct BadRequest {  // two Authorization fields: 400 on every route
  std::string_view detail;
};
struct DeniedOn {
  const Route* route;
  authorize::Denied denied;
  identity::IdentityPtr identity;  // known even though denied (403), for the audit log; null otherwise
};
using Verdict = std::variant<Allowed, NotRouted, BadRequest, DeniedOn>;

// One line per step, in order, for explain: "route: orders (policies/demo.yaml:12:5) by /orders/**".
using Explanation = std::vector<std::string>;

// What a decision looks at; all of it outlives the decision.
struct Question {
  const http::RequestHead& request;
  const http::Peer& peer;
  const Snapshot& snapshot;
  authenticate::Authenticator& authenticator;
  WallTime now;
  Explanation* explanation = nullptr;
};

// Before everything, because it holds on every route and below /.gateway.
[[nodiscard]] std::optional<BadRequest> check_request(const http::RequestHead& request);

// Whether a request on a connection where client certificates matter is for another host than the TLS handshake named (RFC 9110 §15.5.20).
// A client that named none there may say which it means.
[[nodiscard]] bool is_misdirected(const http::Peer& peer, const http::RequestHead& request) noexcept;

// Step 1: which route.
[[nodiscard]] route::RouteOutcome find_route(const Question& question);
[[nodiscard]] Verdict not_routed(route::RouteOutcome missed);

// Before step 1: the route that a CORS preflight asks about, which is the one that its real request would take; nullopt where that has no
// `cors`, and for every other request.
struct PreflightOn {
  const Route* route = nullptr;
  std::size_t index = 0;
  Preflight preflight;
};
[[nodiscard]] std::optional<PreflightOn> find_preflight(const Question& question);

// Before step 2: an address that the route's `allow` and `deny` keep out (403, reason "network_refused").
[[nodiscard]] std::optional<authorize::Denied> refuse_network(const Question& question, const Route& route);

// Step 2: who, from memory, or what Authenticator::ask() is to be asked with the route's plan.
[[nodiscard]] std::variant<authenticate::Authentication, authenticate::OpenQuestion> try_authenticate(const Question& question,
                                                                                                      const Route& route);

// The refresh cookies that may stand in for what `authentication` lacks; no count where none may (also without `tokens`).
struct RefreshCookies {
  std::size_t count = 0;   // two are ambiguous: 400
  std::string_view value;  // of the first
};
inline constexpr std::string_view kTwoRefreshCookies = "two refresh cookies";
[[nodiscard]] RefreshCookies refresh_cookies(const Question& question, const authenticate::Authentication& authentication) noexcept;

// Step 3: whether he may. A request that a cookie authenticated, and one that signs in, must not come from another site (403, reason
// "csrf"); then the route's policy. `question.now` is when it is judged.
[[nodiscard]] Verdict judge(const Question& question, const route::Found& found, const authenticate::Authentication& authentication);

// All steps, for explain: with the store where it must be asked, without spending a refresh token, which it only mentions.
[[nodiscard]] Task<Verdict> decide(const Question& question);

}  // namespace sallyport::pipeline
