// `sallyport session create` and `sallyport revoke`: through the gateway that runs, else in the store itself.
#pragma once

#include <optional>
#include <string>

#include "app/commands.hpp"

namespace sallyport::app {

struct CreateSessionOptions {
  std::string config_path;
  std::string subject;
  std::string claims = "{}";
};
// The cookie's value on stdout. kUsage: the claims are no JSON object; kRefused: no route takes sessions, or the subject or its claims are
// refused; kStoreUnreachable: neither the gateway nor the store answers.
[[nodiscard]] int create_session(const CreateSessionOptions& options, const Streams& streams);

struct RevokeOptions {
  std::string config_path;
  // At most one of these, and at least one of all.
  std::optional<std::string> subject;
  std::optional<std::string> session;
  std::optional<std::string> token_id;
  std::optional<std::string> family;
  std::optional<std::string> issued_before;  // RFC 3339
};
// The same exit codes.
[[nodiscard]] int revoke(const RevokeOptions& options, const Streams& streams);

}  // namespace sallyport::app
