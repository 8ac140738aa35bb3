#include "http/target.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

enum class PathByte : std::uint8_t { plain, percent, refused };

constexpr auto kPathBytes = [] {
  std::array<PathByte, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) {
    const bool printable = byte >= 0x21 && byte <= 0x7E;
    table[byte] = printable && byte != '\\' && byte != '#' ? PathByte::plain : PathByte::refused;
  }
  table['%'] = PathByte::percent;
  return table;
}();

constexpr bool is_unreserved(unsigned char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

constexpr char kHexDigits[] = "0123456789ABCDEF";

// The byte behind "%XX" at the front of `text`; nullopt when two hex digits do not follow.
std::optional<unsigned char> escaped_byte(std::string_view text) noexcept {
  if (text.size() < 3) return std::nullopt;
  const auto high = hex_digit(text[1]);
  const auto low = hex_digit(text[2]);
  if (!high || !low) return std::nullopt;
  return static_cast<unsigned char>(*high * 16 + *low);
}

// Whether two encoded bytes in a row begin an overlong UTF-8 form, which a lax decoder reads as an ASCII byte or as a
// shorter character: %C0%AF is a slash to it (hazards J13).
constexpr bool is_overlong(unsigned char lead, unsigned char next) noexcept {
  if (lead == 0xC0 || lead == 0xC1) return next >= 0x80 && next <= 0xBF;
  if (lead == 0xE0) return next >= 0x80 && next <= 0x9F;
  return lead == 0xF0 && next >= 0x80 && next <= 0x8F;
}

struct PathScan {
  std::string_view refused;  // why; empty when the bytes are fine
  bool rewrite = false;      // an unreserved byte is encoded, or a hex digit is lower case
};

PathScan scan_path(std::string_view path) noexcept {
  PathScan scan;
  unsigned char lead = 0;  // the encoded byte that ended just before `at`; 0 when there is none
  for (std::size_t at = 0; at < path.size();) {
    switch (kPathBytes[static_cast<unsigned char>(path[at])]) {
      case PathByte::plain:
        ++at;
        lead = 0;
        continue;
      case PathByte::refused: scan.refused = "path holds a byte that is not allowed there"; return scan;
      case PathByte::percent: break;
    }
    const auto byte = escaped_byte(path.substr(at));
    if (!byte) return {"path has a percent sign without two hex digits", false};
    if (*byte < 0x20 || *byte == 0x7F) return {"path has an encoded control byte", false};
    if (*byte == '/' || *byte == '\\') return {"path has an encoded slash or backslash", false};
    if (is_overlong(lead, *byte)) return {"path has an overlong UTF-8 form", false};
    if (is_unreserved(*byte) || path[at + 1] >= 'a' || path[at + 2] >= 'a') scan.rewrite = true;
    lead = *byte;
    at += 3;
  }
  return scan;
}

// RFC 3986 §6.2.2.1 and §6.2.2.2. `path` has passed scan_path.
void rewrite_path(std::string_view path, std::string& out) {
  out.clear();
  for (std::size_t at = 0; at < path.size();) {
    if (path[at] != '%') {
      out.push_back(path[at++]);
      continue;
    }
    const unsigned char byte = *escaped_byte(path.substr(at));
    if (is_unreserved(byte)) {
      out.push_back(static_cast<char>(byte));
    } else {
      out.push_back('%');
      out.push_back(kHexDigits[byte >> 4]);
      out.push_back(kHexDigits[byte & 15]);
    }
    at += 3;
  }
}

// "." and "..", also with parameters behind (`..;x`): servlet containers cut those off before they resolve dots (hazards J03).
bool is_dot_segment(std::string_view segment) noexcept {
  if (segment.empty() || segment[0] != '.') return false;
  segment.remove_prefix(segment.starts_with("..") ? 2 : 1);
  return segment.empty() || segment[0] == ';' || segment.starts_with("%3B");
}

// `path` is rewritten already. A trailing slash is an empty last segment, and allowed.
std::string_view check_segments(std::string_view path) noexcept {
  for (std::size_t at = 1; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    if (slash == at) return "path has an empty segment";
    if (is_dot_segment(path.substr(at, slash - at))) return "path has a dot segment";
    at = slash + 1;
  }
  return {};
}

bool is_query(std::string_view query) noexcept {
  for (const char c : query) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x21 || byte > 0x7E || c == '#') return false;
  }
  return true;
}

// The length of "http://" or "https://" at the front of `text`, letter case aside; 0 when neither is there.
std::size_t scheme_bytes(std::string_view text) noexcept {
  for (const std::string_view scheme : {std::string_view("http://"), std::string_view("https://")}) {
    if (equals_ignoring_case(text.substr(0, scheme.size()), scheme)) return scheme.size();
  }
  return 0;
}

Error refusal(std::string_view reason) { return make_error(Fault::malformed, std::string(reason)); }

}  // namespace

void Target::clear() noexcept {
  path_ = query_ = authority_ = {};
  path_in_storage_ = has_query_ = false;
  form_ = TargetForm::origin;
}

Result<void> Target::assign(std::string_view text) {
  clear();
  if (text == "*") {
    form_ = TargetForm::asterisk;
    path_ = text;
    return {};
  }
  std::string_view authority;
  const bool absolute = !text.starts_with('/');
  if (absolute) {
    const std::size_t scheme = scheme_bytes(text);
    if (scheme == 0) return refusal("target is neither a path nor an http URL");
    const std::size_t end = std::min(text.find_first_of("/?", scheme), text.size());
    authority = text.substr(scheme, end - scheme);
    if (authority.empty()) return refusal("target has no authority");
    text.remove_prefix(end);
  }
  const std::size_t question = text.find('?');
  const bool has_query = question != std::string_view::npos;
  const std::string_view query = has_query ? text.substr(question + 1) : std::string_view();
  std::string_view path = text.substr(0, question);
  if (path.empty()) path = "/";  // absolute form only: RFC 9112 §3.2.1

  const PathScan scan = scan_path(path);
  if (!scan.refused.empty()) return refusal(scan.refused);
  if (scan.rewrite) rewrite_path(path, storage_);
  const std::string_view reason = check_segments(scan.rewrite ? std::string_view(storage_) : path);
  if (!reason.empty()) return refusal(reason);
  if (!is_query(query)) return refusal("query holds a byte that is not allowed there");

  form_ = absolute ? TargetForm::absolute : TargetForm::origin;
  authority_ = authority;
  path_ = path;
  path_in_storage_ = scan.rewrite;
  query_ = query;
  has_query_ = has_query;
  return {};
}

}  // namespace sallyport::http
