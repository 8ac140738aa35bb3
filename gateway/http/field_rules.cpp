#include "http/field_rules.hpp"

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
    }
  }
  if (framing.chunked && framing.content_length) return "Transfer-Encoding together with Content-Length";
  return {};
}

std::string_view read_connection(std::vector<Field>& fields, ConnectionOptions& options) noexcept {
  std::size_t members = 0;
  for (const Field& field : fields) {
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
