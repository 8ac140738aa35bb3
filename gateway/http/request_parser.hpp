// Bytes -> RequestHead, strictly (RFC 9112; DESIGN §5; hazards §0.1, I, J, K). Sans-IO.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "http/head.hpp"
#include "http/limits.hpp"

namespace sallyport::http {

struct HeadIncomplete {};  // more bytes are needed
struct HeadParsed {
  std::size_t bytes;  // the head took this many from the front, a skipped empty line included
};
struct HeadRefused {
  RequestFault fault;
  std::string_view detail;  // static text for our log
};
using HeadOutcome = std::variant<HeadIncomplete, HeadParsed, HeadRefused>;

// Finds the end of the head in the raw bytes, looking for folds and bare CR or LF in the same pass, then takes its lines apart, whole, and
// judges the fields. One instance per connection, used again for each request.
class RequestParser {
 public:
  explicit RequestParser(const Limits& limits) : limits_(limits) {}

  // `bytes` is everything received and not consumed, starting at the request. On HeadParsed, `head` holds views into `bytes`.
  // Called again with more bytes it goes on scanning where it stopped. On HeadRefused `head` holds what was understood; on HeadIncomplete nothing.
  // One empty line (CRLF) before the request line is skipped.
  [[nodiscard]] HeadOutcome parse(std::string_view bytes, RequestHead& head);
  // Before the next request.
  void reset() noexcept { scanned_ = 0; }

 private:
  const Limits& limits_;
  std::size_t scanned_ = 0;
};

}  // namespace sallyport::http
