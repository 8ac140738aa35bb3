// How roles, scopes and the time of authentication are read out of claims: of a token and of a session alike. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "authenticate/numeric_date.hpp"
#include "base/json.hpp"

namespace sallyport::authenticate {

// nullptr (absent) or null: none. `unreadable` is set when the claim, or one element of it, has another type than it may: then there is
// none at all.

// A string is one role, an array of strings is many.
[[nodiscard]] std::vector<std::string> read_roles(const Json* claim, bool& unreadable);
// RFC 6749 §3.3: separated by single spaces; or an array of strings.
[[nodiscard]] std::vector<std::string> read_scopes(const Json* claim, bool& unreadable);
// `auth_time` (OpenID Connect Core §2). One that is no number, or lies after `latest`, is as good as none.
[[nodiscard]] std::optional<WallTime> read_authentication_time(const Json* claim, Instant latest);

}  // namespace sallyport::authenticate
