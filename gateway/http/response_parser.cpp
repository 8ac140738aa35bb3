#include "http/response_parser.hpp"

#include <algorithm>
#include <optional>

#include "base/text.hpp"
#include "http/field_lines.hpp"
#include "http/field_rules.hpp"
#include "http/head_scan.hpp"

namespace sallyport::http {

namespace {

// Each of these returns why the answer is refused; empty when it is not.

// "HTTP/1." DIGIT SP 3DIGIT SP reason, RFC 9112 §4. `line` begins with "HTTP/1.".
std::string_view read_status_line(std::string_view line, ResponseHead& head) {
  constexpr std::string_view kMalformed = "the answer's head is malformed";
  constexpr std::size_t kReason = std::string_view("HTTP/1.1 200 ").size();
  if (line.size() < kReason || (line[7] != '1' && line[7] != '0') || line[8] != ' ' || line[12] != ' ') return kMalformed;
  const std::optional<std::uint64_t> status = parse_decimal(line.substr(9, 3));
  if (!status || line.find('\x7F') != std::string_view::npos) return kMalformed;
  if (*status < 100 || *status > 599) return "the answer's status is not from 100 to 599";
  head.status = static_cast<int>(*status);
  head.version = line[7] == '1' ? Version::http_1_1 : Version::http_1_0;
  return {};
}

// `bytes` is the whole head.
std::string_view collect(std::string_view bytes, ResponseHead& head) {
  const std::size_t line_end = bytes.find('\r');
  const std::string_view reason = read_status_line(bytes.substr(0, line_end), head);
  if (!reason.empty()) return reason;
  switch (read_field_lines(bytes.substr(line_end + 2), Limits::kAnswerHeaderFieldsMax, head.fields)) {
    case FieldLines::good: return {};
    case FieldLines::malformed: return "the answer's head is malformed";
    case FieldLines::too_many: return "the answer has too many fields";
  }
  return "the answer's head is malformed";
}

// RFC 9112 §6.3, and stricter where a peer might see a body that we do not (hazards K28).
std::string_view frame(Method request_method, ResponseHead& head) {
  FramingFields framing;
  const std::string_view reason = read_framing(head.fields, head.version, framing);
  if (!reason.empty()) return reason;
  head.content_length = framing.content_length.value_or(0);
  if (head.status < 200 || head.status == 204) {
    // RFC 9110 §8.6, RFC 9112 §6.1: neither field may stand here. A length of zero says nothing wrong.
    if (framing.chunked || head.content_length > 0) return "the answer announces a body that its status forbids";
    return {};
  }
  if (head.status == 304 || request_method == Method::head) return {};
  if (framing.chunked) {
    head.framing = Framing::chunked;
  } else {
    head.framing = framing.content_length ? Framing::length : Framing::until_close;
  }
  return {};
}

std::string_view connect(ResponseHead& head) {
  ConnectionOptions options;
  const std::string_view reason = read_connection(head.fields, options);
  head.keep_alive = head.framing != Framing::until_close && options.persistent(head.version);
  return reason;
}

void clear(ResponseHead& head) noexcept {
  head.status = 0;
  head.version = Version::http_1_1;
  head.fields.clear();
  head.framing = Framing::none;
  head.content_length = 0;
  head.keep_alive = true;
}

}  // namespace

ResponseOutcome ResponseParser::parse(std::string_view bytes, Method request_method, ResponseHead& head) {
  clear(head);
  // HTTP/0.9 and other protocols are refused by their first bytes, not when a deadline passes.
  constexpr std::string_view kStart = "HTTP/1.";
  const std::size_t known = std::min(bytes.size(), kStart.size());
  if (bytes.substr(0, known) != kStart.substr(0, known)) return ResponseRefused{"the answer is not HTTP/1"};

  const std::string_view window = bytes.substr(0, Limits::kAnswerHeaderBytesMax);
  const HeadScan scan = scan_head(window, scanned_, LeadingEmptyLine::refuse);
  scanned_ = scan.position;
  switch (scan.state) {
    case HeadScan::State::refused: return ResponseRefused{scan.detail};
    case HeadScan::State::incomplete:
      if (bytes.size() < Limits::kAnswerHeaderBytesMax) return HeadIncomplete{};
      return ResponseRefused{"the answer's head is too large"};
    case HeadScan::State::complete: break;
  }
  std::string_view reason = collect(window.substr(0, scan.position), head);
  if (reason.empty()) reason = frame(request_method, head);
  if (reason.empty()) reason = connect(head);
  if (!reason.empty()) return ResponseRefused{reason};
  return HeadParsed{scan.position};
}

}  // namespace sallyport::http
