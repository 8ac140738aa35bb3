// How sessions are kept and where they stand in a request (DESIGN §2.2 `sessions`). Immutable; part of the snapshot.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/secret.hpp"

namespace sallyport::authenticate {

enum class SameSite : unsigned char { strict, lax, none };

// Sessions of express-session with connect-redis: cookie `s:<id>.<signature>` (percent-encoded), signature = base64 without padding of
// HMAC-SHA256(secret, id); the record under prefix + id is JSON with `cookie.expires` (RFC 3339 or null).
struct ForeignSessions {
  std::string name = "foreign";  // as issuer name of its identities
  std::string cookie = "connect.sid";
  std::vector<Secret> secrets;  // any of them may have signed
  std::string prefix = "sess:";
  JsonPointer subject;                                      // a non-empty string or an integer, which is printed
  std::vector<std::pair<std::string, JsonPointer>> claims;  // claim name <- where it stands in the record; missing ones are left out
};

struct SessionSettings {
  std::string cookie_name = "__Host-session";
  SameSite same_site = SameSite::strict;
  std::chrono::milliseconds idle_timeout{std::chrono::minutes(30)};
  std::chrono::milliseconds absolute_timeout{std::chrono::hours(24)};
  // While the store cannot be asked, sessions that were remembered when it was lost are honoured for this long; 0: not at all.
  std::chrono::milliseconds serve_cached_for{0};
  std::string issuer = "sallyport";  // `iss` of session identities: `tokens.issuer` where there is one
  std::optional<ForeignSessions> foreign;

  // How much of the idle time may pass before the store is told of a use: a minute, or a tenth of a short idle timeout.
  [[nodiscard]] std::chrono::milliseconds touch_interval() const noexcept;
};
using SessionSettingsPtr = std::shared_ptr<const SessionSettings>;

// The name under which identities of our own sessions and tokens go (DESIGN §2.3: the built-in issuer).
inline constexpr std::string_view kEdgeIssuerName = "edge";

}  // namespace sallyport::authenticate
