// X-Auth-Establish: what an upstream says of the caller that it has just recognised (DESIGN §3.3).
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/result.hpp"
#include "http/head.hpp"

namespace sallyport::issue {

// A subject and what is to be known of it, ready to become a session or a token family.
struct Principal {
  std::string subject;
  Json claims;  // an object: everything but `sub`; holds `auth_time`
};

inline constexpr std::size_t kEstablishmentBytesMax = 4 * 1024;  // of the JSON, decoded
inline constexpr std::size_t kEstablishmentDepthMax = 32;        // the store and the token wrap it once more
inline constexpr std::size_t kSubjectBytesMax = 255;

// Base64url of a strict JSON object of at most 4 KiB with a non-empty string `sub` of at most 255 bytes without control characters.
// Members that only the gateway may state (iss aud exp nbf iat jti sid typ cnf) make it malformed; `auth_time` must be an integer not below
// 0, and is set to `now` where absent. One that is later than `now` would make a login younger than it is: up to five minutes are taken
// for the skew of a clock and become `now`, more is malformed. Fault::malformed or too_large; the detail never holds a value.
[[nodiscard]] Result<Principal> read_establishment(std::string_view value, WallTime now);
// The same from a subject and a JSON object without `sub` (POST /sessions, `session create`).
[[nodiscard]] Result<Principal> make_principal(std::string subject, Json claims, WallTime now);

}  // namespace sallyport::issue
