// `sallyport keys` and `sallyport token`: for tests, tours and a first look at somebody's tokens.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.hpp"
#include "authenticate/keys.hpp"
#include "base/clock.hpp"

namespace sallyport::app {

// A private JWK Set on stdout. Without `key_id` one is made up.
[[nodiscard]] int generate_keys(authenticate::Algorithm algorithm, const std::optional<std::string>& key_id, const Streams& streams);
// The public halves of a private JWK Set on stdout: what a `jwks_file` should hold.
[[nodiscard]] int print_public_keys(const std::string& keys_file, const Streams& streams);

struct SignOptions {
  std::string keys_file;
  std::string claims;
  std::optional<std::string> key_id;
  std::string type = "JWT";
  std::chrono::seconds ttl{15 * 60};
  std::uint64_t count = 1;  // more than one: a line each, told apart by a `jti`
};
// A compact JWS on stdout. `iat` and `exp` are added unless the claims have them.
[[nodiscard]] int sign_token(const SignOptions& options, WallTime now, const Streams& streams);

struct VerifyOptions {
  std::string keys_file;
  std::vector<authenticate::Algorithm> algorithms;
  std::optional<std::string> token;  // nullopt: one per line on stdin
};
// The signature alone, and with a token given stderr says so (scripts read lines: nothing else stands beside them). `valid` or `refused:
// REASON` per token; kDone when every one was valid.
[[nodiscard]] int verify_tokens(const VerifyOptions& options, const Streams& streams);

}  // namespace sallyport::app
