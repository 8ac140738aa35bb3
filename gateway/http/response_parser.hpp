// Bytes of an upstream -> ResponseHead, as strictly as requests (RFC 9112 §4, §6.3; hazards K28, O04-O06). Sans-IO.
#pragma once

#include <string_view>
#include <variant>

#include "http/head.hpp"
#include "http/request_parser.hpp"

namespace sallyport::http {

struct ResponseRefused {
  std::string_view detail;  // static text for our log; the answer is 502 and the connection is thrown away
};
using ResponseOutcome = std::variant<HeadIncomplete, HeadParsed, ResponseRefused>;

class ResponseParser {
 public:
  // 1xx heads are parsed like others (status 100..199, framing none); the caller drops them and counts.
  // `request_method` decides the framing (HEAD has no body, RFC 9112 §6.3). A 101 is returned as such: whoever did not ask refuses it.
  [[nodiscard]] ResponseOutcome parse(std::string_view bytes, Method request_method, ResponseHead& head);
  void reset() noexcept { scanned_ = 0; }

 private:
  std::size_t scanned_ = 0;
};

}  // namespace sallyport::http
