// The Host field (RFC 9110 §7.2, RFC 3986 §3.2.2; hazards I14).
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sallyport::http {

// Checks `value` as uri-host [":" port] and writes the name for matching into `name`: lower case, one trailing dot dropped, without the
// port; IPv6 literals keep their brackets. Fault::malformed: empty, list, user info, path, bad port, bad brackets, over 255 bytes.
[[nodiscard]] Result<void> parse_host(std::string_view value, std::string& name);

// Whether an authority and a Host value name the same host and port (letter case and a trailing dot aside).
[[nodiscard]] bool same_authority(std::string_view a, std::string_view b);

}  // namespace sallyport::http
