#include "http/field_rules.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

constexpr std::size_t kContentLengthDigitsMax = 15;

void apply(std::string_view member, std::vector<Field>& fields, ConnectionOptions& options) noexcept {
  if (equals_ignoring_case(member, "close")) options.close = true;
  if (equals_ignoring_case(member, "keep-alive")) options.keep_alive = true;
  if (equals_ignoring_case(member, "upgrade")) options.upgrade = true;
  for (Field& field : fields) {
    if (equals_ignoring_case(field.name, member)) field.named_by_connection = true;
  }
}

constexpr bool is_separator(char c) noexcept {
  const char lower = ascii_lower(c);
  return !((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'));
}

// Whether the letters and digits of `name`, with a separator between its words and any number of separators there and around them, spell
// `wanted` (lower case, one '-').
bool spells(std::string_view name, std::string_view wanted) noexcept {
  while (!name.empty() && is_separator(name.front())) name.remove_prefix(1);
  while (!name.empty() && is_separator(name.back())) name.remove_suffix(1);
  for (const char c : wanted) {
    if (name.empty()) return false;
    if (c == '-' ? !is_separator(name.front()) : ascii_lower(name.front()) != c) return false;
    name.remove_prefix(1);
    while (c == '-' && !name.empty() && is_separator(name.front())) name.remove_prefix(1);
  }
  return name.empty();
}

// `Transfer--Encoding`, `_Content-Length`: nobody sends these in good faith, and what stands behind us may read them as framing (hazards
// K05). One other separator (`Content_Length`) is an alias, which identity/owned_names removes.
bool distorts_framing(std::string_view name) noexcept {
  constexpr std::string_view kLength = "content-length";
  constexpr std::string_view kCoding = "transfer-encoding";
  return (name.size() > kLength.size() && spells(name, kLength)) || (name.size() > kCoding.size() && spells(name, kCoding));
}

// RFC 9110 §5.6.1: tokens with commas between them, of which empty ones may be left out.
bool is_token_list(std::string_view list) noexcept {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view member = trim_ows(list.substr(0, comma));
    if (!member.empty() && !is_token(member)) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

}  // namespace

std::optional<std::uint64_t> parse_content_length(std::string_view value) noexcept {
  if (value.empty() || value.size() > kContentLengthDigitsMax) return std::nullopt;
  if (value.size() > 1 && value[0] == '0') return std::nullopt;
  return parse_decimal(value);
}

std::string_view read_framing(const std::vector<Field>& fields, Version version, FramingFields& framing) noexcept {
  for (const Field& field : fields) {
    if (field.id == FieldId::content_length) {
      if (framing.content_length) return "more than one Content-Length";
      framing.content_length = parse_content_length(field.value);
      if (!framing.content_length) return "Content-Length is not a plain number";
    } else if (field.id == FieldId::transfer_encoding) {
      if (framing.chunked) return "more than one Transfer-Encoding";
      if (!equals_ignoring_case(field.value, "chunked")) return "Transfer-Encoding is not chunked";
      if (version != Version::http_1_1) return "Transfer-Encoding on HTTP/1.0";
      framing.chunked = true;
    } else if (field.id == FieldId::other && distorts_framing(field.name)) {
      return "a field name that distorts a framing field's";
    }
  }
  if (framing.chunked && framing.content_length) return "Transfer-Encoding together with Content-Length";
  return {};
}

std::string_view read_connection(std::vector<Field>& fields, ConnectionOptions& options) noexcept {
  std::size_t members = 0;
  for (const Field& field : fields) {
    // Nobody's words here, but what cannot be read may be read differently by somebody else.
    if (field.id == FieldId::proxy_connection && !is_token_list(field.value)) return "a Proxy-Connection member is no token";
    if (field.id != FieldId::connection || field.value.empty()) continue;
    std::string_view rest = field.value;
    while (true) {
      const std::size_t comma = rest.find(',');
      const std::string_view member = trim_ows(rest.substr(0, comma));
      if (!is_token(member)) return "a Connection member is no token";
      if (++members > kConnectionMembersMax) return "too many Connection members";
      apply(member, fields, options);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return {};
}

}  // namespace sallyport::http
