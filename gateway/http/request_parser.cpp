#include "http/request_parser.hpp"

#include <algorithm>
#include <optional>

#include "base/text.hpp"
#include "http/field_lines.hpp"
#include "http/field_rules.hpp"
#include "http/head_scan.hpp"
#include "http/host.hpp"

namespace sallyport::http {

namespace {

// Longer than any registered method; a longer one is no attempt at HTTP (hazards K22).
constexpr std::size_t kMethodBytesMax = 64;

struct RequestLine {
  std::string_view method;
  std::string_view target;
  std::string_view version;
};

// "HTTP/" DIGIT "." DIGIT, RFC 9112 §2.3.
bool is_http_version(std::string_view text) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' && is_digit(text[7]);
}

std::optional<HeadRefused> check_version(std::string_view version) noexcept {
  if (!is_http_version(version)) return HeadRefused{RequestFault::malformed, "the request line does not end in an HTTP version"};
  if (version == "HTTP/1.1" || version == "HTTP/1.0") return std::nullopt;
  return HeadRefused{RequestFault::version_unsupported, "the HTTP version is neither 1.0 nor 1.1"};
}

// Judges as much of the request line as is there, so that an endless or foreign line is refused at once and not when the head is
// complete. `bytes` has passed scan_head: a CR in it is that of a CRLF. Finds the earliest fault, so that the verdict does not depend on
// how the bytes were cut.
std::optional<HeadRefused> check_request_line(std::string_view bytes, std::size_t target_bytes_max, RequestLine& line) noexcept {
  std::size_t method_end = 0;
  while (method_end < bytes.size() && is_tchar(static_cast<unsigned char>(bytes[method_end]))) {
    if (++method_end > kMethodBytesMax) return HeadRefused{RequestFault::malformed, "the method is too long"};
  }
  if (method_end == bytes.size()) return std::nullopt;
  if (method_end == 0 || bytes[method_end] != ' ') return HeadRefused{RequestFault::malformed, "the method is no token"};
  line.method = bytes.substr(0, method_end);

  const std::string_view rest = bytes.substr(method_end + 1);
  const std::string_view target = rest.substr(0, target_bytes_max + 1);
  const std::size_t space = target.find(' ');
  const std::size_t target_end = std::min(target.substr(0, space).find('\r'), space);
  if (target_end == std::string_view::npos) {
    if (rest.size() <= target_bytes_max) return std::nullopt;
    return HeadRefused{RequestFault::target_too_long, "the target is longer than target_bytes"};
  }
  line.target = rest.substr(0, target_end);
  if (line.target.empty()) return HeadRefused{RequestFault::malformed, "the request line has no target"};
  if (rest[target_end] == '\r') return HeadRefused{RequestFault::malformed, "the request line has no version"};

  const std::string_view version = rest.substr(target_end + 1);
  const std::size_t version_end = version.substr(0, 9).find('\r');
  if (version_end == std::string_view::npos && version.size() <= 8) return std::nullopt;
  line.version = version.substr(0, std::min<std::size_t>(version_end, 9));
  return check_version(line.version);
}

// `bytes` is the whole head, and its first line has been judged.
std::optional<HeadRefused> collect_fields(std::string_view bytes, std::size_t fields_max, RequestHead& head) {
  switch (read_field_lines(bytes.substr(bytes.find('\n') + 1), fields_max, head.fields)) {
    case FieldLines::good: return std::nullopt;
    case FieldLines::malformed: return HeadRefused{RequestFault::malformed, "a field line is malformed"};
    case FieldLines::too_many: return HeadRefused{RequestFault::head_too_large, "more than header_fields"};
  }
  return HeadRefused{RequestFault::malformed, "a field line is malformed"};
}

std::optional<HeadRefused> check_target(std::string_view text, RequestHead& head) {
  if (head.method == Method::connect || head.method == Method::trace) {
    return HeadRefused{RequestFault::method_refused, "CONNECT and TRACE are not served"};
  }
  if (!head.target.assign(text)) return HeadRefused{RequestFault::bad_target, "the target is ambiguous or malformed"};
  if (head.target.form() == TargetForm::asterisk && head.method != Method::options) {
    head.target.clear();
    return HeadRefused{RequestFault::bad_target, "an asterisk target on another method than OPTIONS"};
  }
  return std::nullopt;
}

std::optional<HeadRefused> check_host(RequestHead& head) {
  const std::size_t hosts = head.count(FieldId::host);
  if (hosts == 0) return HeadRefused{RequestFault::bad_host, "no Host"};
  if (hosts > 1) return HeadRefused{RequestFault::bad_host, "more than one Host"};
  const std::string_view host = head.find(FieldId::host)->value;
  if (!parse_host(host, head.host_name)) return HeadRefused{RequestFault::bad_host, "Host is malformed"};
  if (head.target.form() == TargetForm::absolute && !same_authority(head.target.authority(), host)) {
    return HeadRefused{RequestFault::bad_host, "the target's authority is not Host"};
  }
  head.host = host;
  return std::nullopt;
}

std::optional<HeadRefused> check_framing(RequestHead& head) {
  FramingFields framing;
  const std::string_view reason = read_framing(head.fields, head.version, framing);
  if (!reason.empty()) return HeadRefused{RequestFault::bad_framing, reason};
  if (framing.chunked) {
    head.framing = Framing::chunked;
  } else if (framing.content_length) {
    head.framing = Framing::length;
    head.content_length = *framing.content_length;
  }
  return std::nullopt;
}

std::optional<HeadRefused> check_connection(RequestHead& head) {
  ConnectionOptions options;
  const std::string_view reason = read_connection(head.fields, options);
  if (!reason.empty()) return HeadRefused{RequestFault::malformed, reason};
  head.keep_alive = options.persistent(head.version);
  // A body before the switch of protocols would be smuggled past it, so such a request is an ordinary one (hazards row 84).
  const bool has_body = head.framing == Framing::chunked || head.content_length > 0;
  head.wants_websocket = options.upgrade && !has_body && head.method == Method::get && head.version == Version::http_1_1 &&
                         head.count(FieldId::upgrade) == 1 && equals_ignoring_case(head.find(FieldId::upgrade)->value, "websocket");
  return std::nullopt;
}

// RFC 9110 §10.1.1. On 1.0 the expectation is ignored.
std::optional<HeadRefused> check_expect(RequestHead& head) {
  const std::size_t expectations = head.count(FieldId::expect);
  if (expectations == 0) return std::nullopt;
  if (expectations > 1 || !equals_ignoring_case(head.find(FieldId::expect)->value, "100-continue")) {
    return HeadRefused{RequestFault::expectation_failed, "an expectation other than 100-continue"};
  }
  head.expects_continue = head.version == Version::http_1_1;
  return std::nullopt;
}

void clear(RequestHead& head) noexcept {
  head.method = Method::other;
  head.method_text = {};
  head.version = Version::http_1_1;
  head.target.clear();
  head.host = {};
  head.host_name.clear();
  head.fields.clear();
  head.framing = Framing::none;
  head.content_length = 0;
  head.keep_alive = true;
  head.expects_continue = false;
  head.wants_websocket = false;
}

void take(const RequestLine& line, RequestHead& head) noexcept {
  if (line.method.empty()) return;
  head.method = method_of(line.method);
  head.method_text = line.method;
  if (line.version == "HTTP/1.0") head.version = Version::http_1_0;
}

// `bytes` is the whole head without a leading empty line.
std::optional<HeadRefused> read_head(std::string_view bytes, const RequestLine& line, const Limits& limits, RequestHead& head) {
  auto refused = collect_fields(bytes, limits.header_fields_max, head);
  if (!refused) refused = check_target(line.target, head);
  if (!refused) refused = check_host(head);
  if (!refused) refused = check_framing(head);
  if (!refused) refused = check_connection(head);
  if (!refused) refused = check_expect(head);
  return refused;
}

}  // namespace

HeadOutcome RequestParser::parse(std::string_view bytes, RequestHead& head) {
  clear(head);
  const std::string_view window = bytes.substr(0, limits_.header_bytes_max);
  const HeadScan scan = scan_head(window, scanned_, LeadingEmptyLine::skip_one);
  scanned_ = scan.position;

  std::string_view text = window.substr(0, scan.position);
  if (text.starts_with("\r\n")) text.remove_prefix(2);
  RequestLine line;
  const auto bad_line = check_request_line(text, limits_.target_bytes_max, line);
  take(line, head);
  if (bad_line) return *bad_line;

  switch (scan.state) {
    case HeadScan::State::refused: return HeadRefused{RequestFault::malformed, scan.detail};
    case HeadScan::State::incomplete:
      if (bytes.size() < limits_.header_bytes_max) {
        clear(head);  // the bytes may move before the next call
        return HeadIncomplete{};
      }
      return HeadRefused{RequestFault::head_too_large, "the head is longer than header_bytes"};
    case HeadScan::State::complete: break;
  }
  if (const auto refused = read_head(text, line, limits_, head)) return *refused;
  return HeadParsed{scan.position};
}

}  // namespace sallyport::http
