// The Set-Cookie lines of our own cookies: always Secure, HttpOnly, Path=/ and without Domain (DESIGN §2.2; hazards F03).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "authenticate/session_settings.hpp"

namespace sallyport::issue {

// Without max_age the cookie ends with the browser. `name` is a token, `value` of base64url characters and dots: std::invalid_argument
// otherwise, because either could end the field or add an attribute.
[[nodiscard]] std::string set_cookie(std::string_view name, std::string_view value, authenticate::SameSite same_site,
                                     std::optional<std::chrono::seconds> max_age);
// Makes the browser drop it.
[[nodiscard]] std::string clear_cookie(std::string_view name, authenticate::SameSite same_site);

}  // namespace sallyport::issue
