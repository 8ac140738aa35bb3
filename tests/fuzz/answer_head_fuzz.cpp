// ResponseParser: the verdict does not depend on how the bytes were cut, framing is unambiguous (hazards K28), and Beast takes what we take
// and reads the same fields.
// The first byte says where to cut and which method was asked.
#include "http/response_parser.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "fuzz/require.hpp"
#include "support/beast_head.hpp"

using namespace sallyport::http;
using sallyport::require;

namespace {

std::size_t count(const ResponseHead& head, FieldId id) {
  std::size_t found = 0;
  for (const Field& field : head.fields) found += field.id == id ? 1 : 0;
  return found;
}

void check_head(const ResponseHead& head, Method method) {
  require(head.status >= 100 && head.status <= 599, "a status has three digits");
  for (const Field& field : head.fields) {
    require(sallyport::is_token(field.name), "a field name is a token");
    require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos, "a value stays in its line");
  }
  const std::size_t lengths = count(head, FieldId::content_length);
  const std::size_t codings = count(head, FieldId::transfer_encoding);
  require(lengths + codings <= 1, "at most one framing field");
  const bool bodiless = head.status < 200 || head.status == 204 || head.status == 304 || method == Method::head;
  const Framing framing = bodiless       ? Framing::none
                          : lengths == 1 ? Framing::length
                          : codings == 1 ? Framing::chunked
                                         : Framing::until_close;
  require(head.framing == framing, "the framing is that of RFC 9112 6.3");
  require(head.framing != Framing::until_close || !head.keep_alive, "a body until close ends the connection");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Method method = data[0] >= 128 ? Method::head : Method::get;
  ResponseParser parser;
  ResponseHead head;
  const ResponseOutcome whole = parser.parse(bytes, method, head);
  if (const auto* parsed = std::get_if<HeadParsed>(&whole)) {
    require(bytes.substr(0, parsed->bytes).ends_with("\r\n\r\n"), "a head ends in an empty line");
    check_head(head, method);
    require(sallyport::disagreement<false>(bytes.substr(0, parsed->bytes), head.fields).empty(), "Beast agrees");
  }
  const std::size_t piece = 1 + data[0] % 64;
  ResponseHead again;
  parser.reset();
  ResponseOutcome split = HeadIncomplete{};
  for (std::size_t end = 0; std::holds_alternative<HeadIncomplete>(split); end += piece) {
    split = parser.parse(bytes.substr(0, end), method, again);
    if (end >= bytes.size()) break;
  }
  require(whole.index() == split.index(), "the verdict does not depend on the cut");
  return 0;
}
