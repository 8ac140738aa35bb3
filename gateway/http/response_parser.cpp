#include "http/response_parser.hpp"

#include <algorithm>
#include <limits>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "http/field_rules.hpp"
#include "http/head_scan.hpp"

namespace sallyport::http {

namespace {

namespace beast = boost::beast;

// As in the request parser: Beast reads the lines, we judge the fields.
class AnswerCollector final : public beast::http::basic_parser<false> {
 public:
  explicit AnswerCollector(ResponseHead& head) : head_(head) {
    header_limit(std::numeric_limits<std::uint32_t>::max());
    body_limit(boost::none);
    skip(true);
  }

 private:
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int, beast::error_code&) override {}
  void on_response_impl(int code, beast::string_view, int version, beast::error_code&) override {
    head_.status = code;
    head_.version = version == 10 ? Version::http_1_0 : Version::http_1_1;
  }
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, beast::error_code& ec) override {
    if (head_.fields.size() == Limits::kAnswerHeaderFieldsMax) {
      ec = beast::http::error::header_limit;
      return;
    }
    const std::string_view text(name.data(), name.size());
    head_.fields.push_back({text, {value.data(), value.size()}, field_id(text)});
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view, beast::error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view, beast::error_code&) override { return 0; }
  void on_finish_impl(beast::error_code&) override {}

  ResponseHead& head_;
};

// Each of these returns why the answer is refused; empty when it is not.

std::string_view collect(std::string_view bytes, ResponseHead& head) {
  AnswerCollector parser(head);
  beast::error_code ec;
  const std::size_t used = parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec == beast::http::error::header_limit) return "the answer has too many fields";
  if (ec || used != bytes.size() || !parser.is_done()) return "the answer's head is malformed";
  if (head.status < 100 || head.status > 599) return "the answer's status is not from 100 to 599";
  return {};
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
