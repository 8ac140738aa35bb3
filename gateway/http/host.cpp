#include "http/host.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstring>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

constexpr std::size_t kHostBytesMax = 255;

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Names that resolve: letters, digits, '-', '.', '_'. Sub-delims and percent-encoding of RFC 3986's reg-name are refused, since
// no host that we could route to has them and every parser reads them differently (hazards I14).
constexpr bool is_name_char(char c) noexcept {
  const char lower = ascii_lower(c);
  return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '.' || c == '_';
}

bool is_port_number(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5 || text[0] == '0') return false;
  unsigned value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

bool is_ipv6(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size()) return false;
  std::memcpy(buffer.data(), text.data(), text.size());
  in6_addr address{};
  return std::memchr(text.data(), '\0', text.size()) == nullptr && inet_pton(AF_INET6, buffer.data(), &address) == 1;
}

struct HostParts {
  std::string_view name;  // without trailing dot; with brackets
  std::string_view port;  // empty: none
};

// The reason why `value` is no host; empty when it is one.
std::string_view split_host(std::string_view value, HostParts& parts) noexcept {
  if (value.empty()) return "host is empty";
  if (value.size() > kHostBytesMax) return "host is longer than 255 bytes";
  std::size_t end = 0;
  if (value[0] == '[') {
    const std::size_t bracket = value.find(']');
    if (bracket == std::string_view::npos) return "host has an unclosed bracket";
    if (!is_ipv6(value.substr(1, bracket - 1))) return "host has no IPv6 address in its brackets";
    end = bracket + 1;
  } else {
    while (end < value.size() && is_name_char(value[end])) ++end;
  }
  if (end < value.size()) {
    if (value[end] != ':') return "host holds a byte that no name has";
    parts.port = value.substr(end + 1);
    if (!is_port_number(parts.port)) return "host has a bad port";
  }
  parts.name = value.substr(0, end);
  if (parts.name.ends_with('.')) parts.name.remove_suffix(1);
  if (parts.name.empty() || parts.name[0] == '.' || parts.name.ends_with('.') || parts.name.find("..") != std::string_view::npos) {
    return "host has an empty label";
  }
  return {};
}

}  // namespace

Result<void> parse_host(std::string_view value, std::string& name) {
  HostParts parts;
  const std::string_view reason = split_host(value, parts);
  if (!reason.empty()) {
    name.clear();
    return make_error(Fault::malformed, std::string(reason));
  }
  name.assign(parts.name);
  for (char& c : name) c = ascii_lower(c);
  return {};
}

bool same_authority(std::string_view a, std::string_view b) {
  HostParts left;
  HostParts right;
  if (!split_host(a, left).empty() || !split_host(b, right).empty()) return false;
  return equals_ignoring_case(left.name, right.name) && left.port == right.port;
}

}  // namespace sallyport::http
