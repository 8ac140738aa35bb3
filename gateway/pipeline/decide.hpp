// The decision about one request, without any I/O: the very code that serves and that `sallyport explain` runs.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "authenticate/jwt_authenticator.hpp"
#include "http/head.hpp"
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

[[nodiscard]] Verdict decide(const http::RequestHead& request, std::string_view client_address, const Snapshot& snapshot,
                             authenticate::JwtAuthenticator& authenticator, WallTime now, Explanation* explanation = nullptr);

}  // namespace sallyport::pipeline
