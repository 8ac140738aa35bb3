#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.hpp"
#include "http/host.hpp"
#include "http/target.hpp"
#include "route/route_table.hpp"

namespace sallyport::route {
namespace {

constexpr std::string_view kOwnSegment = ".gateway";

Error malformed(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

bool is_name_byte(char c, bool first) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') return true;
  return !first && ((c >= '0' && c <= '9') || c == '-');
}

bool is_parameter_name(std::string_view name) {
  if (name.empty() || !is_name_byte(name.front(), true)) return false;
  return std::all_of(name.begin() + 1, name.end(), [](char c) { return is_name_byte(c, false); });
}

// The canonicaliser itself is asked, so that a pattern and the paths that it is compared with can never follow different rules.
Result<void> check_literal(std::string_view text) {
  for (const char c : text) {
    if (c == '?' || c == '#') return malformed(fmt::format("'{}' never stands in a path", c));
    if (c == '{' || c == '}') return malformed(fmt::format("a parameter is a whole segment, like /{{name}}, but here is \"{}\"", text));
    if (c == '*') return malformed(fmt::format("'*' is a whole segment, but here is \"{}\"", text));
  }
  const std::string path = fmt::format("/{}", text);
  http::Target target;
  if (const auto assigned = target.assign(path); !assigned) {
    return malformed(fmt::format("\"{}\" can never stand in a path: {}", text, assigned.error().detail));
  }
  if (target.path() != path) {
    return malformed(
        fmt::format("paths are compared in their canonical form: write \"{}\" instead of \"{}\"", target.path().substr(1), text));
  }
  return {};
}

Result<Segment> parse_segment(std::string_view text, bool is_last) {
  if (text.empty()) {
    if (!is_last) return malformed("an empty segment: paths with // are refused");
    return Segment{Segment::Kind::literal, {}};
  }
  if (text == "**") {
    if (!is_last) return malformed("** only stands at the end");
    return Segment{Segment::Kind::rest, {}};
  }
  if (text == "*") return Segment{Segment::Kind::any, {}};
  if (text.size() >= 2 && text.front() == '{' && text.back() == '}') {
    const std::string_view name = text.substr(1, text.size() - 2);
    if (!is_parameter_name(name)) return malformed(fmt::format("\"{}\" is no parameter name", name));
    return Segment{Segment::Kind::named, std::string(name)};
  }
  if (const auto checked = check_literal(text); !checked) return checked.error();
  return Segment{Segment::Kind::literal, std::string(text)};
}

}  // namespace

Result<PathPattern> PathPattern::parse(std::string_view text) {
  if (text.empty() || text.front() != '/') return malformed("a path begins with '/'");
  if (text.size() > kPatternBytesMax) return make_error(Fault::too_large, fmt::format("over {} bytes", kPatternBytesMax));

  const std::vector<std::string_view> pieces = split(text.substr(1), '/');
  if (pieces.size() > kPatternSegmentsMax) return make_error(Fault::too_large, fmt::format("over {} segments", kPatternSegmentsMax));
  if (pieces.front() == kOwnSegment) return malformed("/.gateway is answered by the gateway itself and never routed");

  PathPattern pattern;
  pattern.text_ = text;
  for (std::size_t i = 0; i != pieces.size(); ++i) {
    auto segment = parse_segment(pieces[i], i + 1 == pieces.size());
    if (!segment) return segment.error();
    if (segment->kind == Segment::Kind::named && std::ranges::find(pattern.segments_, *segment) != pattern.segments_.end()) {
      return malformed(fmt::format("the parameter {{{}}} stands there twice", segment->text));
    }
    pattern.segments_.push_back(std::move(*segment));
  }
  return pattern;
}

std::vector<std::string> PathPattern::parameter_names() const {
  std::vector<std::string> names;
  for (const Segment& segment : segments_) {
    if (segment.kind == Segment::Kind::named) names.push_back(segment.text);
  }
  return names;
}

Result<HostPattern> HostPattern::parse(std::string_view text) {
  HostPattern pattern;
  if (text == "*") return malformed("leave `host` out to take every host");
  if (text.starts_with("*.")) {
    pattern.is_suffix_ = true;
    text.remove_prefix(2);
  }
  if (text.find('*') != std::string_view::npos) return malformed("'*' is only the first label, like *.example.com");
  // The colons of an IPv6 literal stand within its brackets.
  const std::size_t after_literal = text.starts_with('[') ? std::min(text.find(']'), text.size()) : 0;
  if (text.find(':', after_literal) != std::string_view::npos)
    return malformed("a host without a port: the port does not matter for matching");
  if (pattern.is_suffix_ && (text.starts_with('[') || text.starts_with('.'))) return malformed("after *. stands a domain name");
  if (const auto parsed = http::parse_host(text, pattern.name_); !parsed) return parsed.error();
  return pattern;
}

Result<void> check_method(std::string_view token) {
  if (!is_token(token)) return malformed("a method is a token (RFC 9110 §9.1)");
  const std::array<std::string_view, 9> known{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"};
  for (const std::string_view name : known) {
    if (!equals_ignoring_case(token, name)) continue;
    if (name == "CONNECT" || name == "TRACE") return malformed(fmt::format("{} is refused on every route", name));
    if (token != name) return malformed(fmt::format("methods are case-sensitive: write {}", name));
  }
  return {};
}

}  // namespace sallyport::route
