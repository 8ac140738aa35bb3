// GET /.gateway/session: the caller as JSON (DESIGN §3.3).
#pragma once

#include <string>
#include <variant>

#include "authenticate/jwt_authenticator.hpp"
#include "authorize/authorizer.hpp"
#include "http/head.hpp"
#include "pipeline/snapshot.hpp"

namespace sallyport::pipeline {

// The document, or why there is none (401, 400, 503 as on any route).
using SessionAnswer = std::variant<std::string, authorize::Denied>;

[[nodiscard]] SessionAnswer describe_caller(const http::RequestHead& request, const Snapshot& snapshot,
                                            authenticate::JwtAuthenticator& authenticator, WallTime now);

}  // namespace sallyport::pipeline
