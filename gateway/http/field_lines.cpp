#include "http/field_lines.hpp"

#include "base/text.hpp"

namespace sallyport::http {

FieldLines read_field_lines(std::string_view lines, std::size_t fields_max, std::vector<Field>& fields) {
  if (lines.find('\x7F') != std::string_view::npos) return FieldLines::malformed;
  while (!lines.starts_with('\r')) {
    std::size_t colon = 0;
    while (colon < lines.size() && is_tchar(static_cast<unsigned char>(lines[colon]))) ++colon;
    if (colon == 0 || colon == lines.size() || lines[colon] != ':') return FieldLines::malformed;
    const std::size_t end = lines.find('\r', colon);
    if (end == std::string_view::npos || lines.size() < end + 2) return FieldLines::malformed;
    if (fields.size() == fields_max) return FieldLines::too_many;
    const std::string_view name = lines.substr(0, colon);
    fields.push_back({name, trim_ows(lines.substr(colon + 1, end - colon - 1)), field_id(name)});
    lines.remove_prefix(end + 2);
  }
  return lines == "\r\n" ? FieldLines::good : FieldLines::malformed;
}

}  // namespace sallyport::http
