// RequestParser: the verdict does not depend on how the bytes were cut, what is taken is unambiguous (hazards I, K), and Beast takes it,
// too, and reads the same fields. The first byte says where to cut.
#include "http/request_parser.hpp"

#include <algorithm>
#include <cstdint>

#include "base/text.hpp"
#include "fuzz/require.hpp"
#include "support/beast_head.hpp"

using namespace sallyport::http;
using sallyport::require;

namespace {

const Limits kLimits = [] {
  Limits limits;
  limits.header_bytes_max = 2048;  // small, so that inputs reach them
  limits.target_bytes_max = 256;
  limits.header_fields_max = 20;
  return limits;
}();

bool same(const HeadOutcome& a, const HeadOutcome& b) {
  if (a.index() != b.index()) return false;
  if (const auto* refused = std::get_if<HeadRefused>(&a)) return refused->fault == std::get<HeadRefused>(b).fault;
  if (const auto* parsed = std::get_if<HeadParsed>(&a)) return parsed->bytes == std::get<HeadParsed>(b).bytes;
  return true;
}

void check_fields(std::string_view bytes, const RequestHead& head) {
  for (const Field& field : head.fields) {
    require(sallyport::is_token(field.name), "a field name is a token");
    require(field.name.data() >= bytes.data() && field.value.data() + field.value.size() <= bytes.data() + bytes.size(),
            "views into the bytes");
    require(field.value == sallyport::trim_ows(field.value), "no white space around a value");
    for (const char c : field.value) {
      const auto byte = static_cast<unsigned char>(c);
      require(byte == '\t' || (byte >= 0x20 && byte != 0x7F), "no control byte in a value");
    }
  }
}

void check_head(std::string_view bytes, const RequestHead& head) {
  check_fields(bytes, head);
  require(head.fields.size() <= kLimits.header_fields_max, "the field limit holds");
  require(bytes.size() <= kLimits.header_bytes_max, "the byte limit holds");
  require(head.count(FieldId::host) == 1 && !head.host_name.empty(), "exactly one host");
  require(head.host_name.find_first_of(",@/\\?#% \t") == std::string::npos, "a host name is a name");
  require(head.method != Method::connect && head.method != Method::trace, "no CONNECT and no TRACE");
  require(sallyport::is_token(head.method_text), "a method is a token");
  require(head.target.path().starts_with('/') || head.method == Method::options, "an asterisk is for OPTIONS");
  const std::size_t lengths = head.count(FieldId::content_length);
  const std::size_t codings = head.count(FieldId::transfer_encoding);
  require(lengths + codings <= 1, "at most one framing field");
  const Framing framing = lengths == 1 ? Framing::length : codings == 1 ? Framing::chunked : Framing::none;
  require(head.framing == framing, "the framing is that of the one field");
  if (lengths == 1) require(head.find(FieldId::content_length)->value == std::to_string(head.content_length), "the length is as written");
  if (codings == 1) require(head.version == Version::http_1_1, "no coding on HTTP/1.0");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  RequestHead head;
  RequestParser parser(kLimits);
  const HeadOutcome whole = parser.parse(bytes, head);
  if (const auto* parsed = std::get_if<HeadParsed>(&whole)) {
    const std::string_view taken = bytes.substr(0, parsed->bytes);
    require(taken.ends_with("\r\n\r\n"), "a head ends in an empty line");
    check_head(taken, head);
    require(sallyport::disagreement<true>(taken.substr(taken.starts_with("\r\n") ? 2 : 0), head.fields).empty(), "Beast agrees");
  }
  // The bytes arrive in pieces of 1 to 64 bytes.
  const std::size_t piece = 1 + data[0] % 64;
  RequestHead again;
  parser.reset();
  HeadOutcome split = HeadIncomplete{};
  for (std::size_t end = 0; std::holds_alternative<HeadIncomplete>(split); end += piece) {
    split = parser.parse(bytes.substr(0, end), again);
    if (end >= bytes.size()) break;
  }
  require(same(whole, split), "the verdict does not depend on the cut");
  if (std::holds_alternative<HeadParsed>(whole)) {
    require(again.fields.size() == head.fields.size() && again.target.path() == head.target.path(), "nor does the head");
  }
  return 0;
}
