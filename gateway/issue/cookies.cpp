#include "issue/cookies.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/text.hpp"

namespace sallyport::issue {
namespace {

std::string_view name_of(authenticate::SameSite same_site) {
  switch (same_site) {
    case authenticate::SameSite::strict: return "Strict";
    case authenticate::SameSite::lax: return "Lax";
    case authenticate::SameSite::none: return "None";
  }
  return "Strict";
}

bool is_value_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

}  // namespace

std::string set_cookie(std::string_view name, std::string_view value, authenticate::SameSite same_site,
                       std::optional<std::chrono::seconds> max_age) {
  if (!is_token(name)) throw std::invalid_argument("a cookie's name is no token");
  if (!std::all_of(value.begin(), value.end(), is_value_char)) throw std::invalid_argument("a cookie's value is not of base64url and dots");
  std::string line(name);
  line += '=';
  line += value;
  line += "; Path=/; Secure; HttpOnly; SameSite=";
  line += name_of(same_site);
  if (max_age) {
    line += "; Max-Age=";
    line += std::to_string(max_age->count());
  }
  return line;
}

std::string clear_cookie(std::string_view name, authenticate::SameSite same_site) {
  return set_cookie(name, "", same_site, std::chrono::seconds(0));
}

}  // namespace sallyport::issue
