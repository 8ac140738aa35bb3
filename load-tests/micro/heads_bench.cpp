#include <cstring>
#include <memory>

#include "http/response_parser.hpp"
#include "request.hpp"
#include "stage.hpp"

namespace sallyport::micro {
namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 01 Aug 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Content-Length: 54\r\nConnection: keep-alive\r\nCache-Control: no-cache\r\nETag: \"5f3e-18c\"\r\nVary: Accept-Encoding\r\n\r\n";

// Looks at each byte once, sixteen at a time or so, as memchr does for a byte that is not there.
Body one_look_at(std::string text) {
  return [text = std::move(text)] { keep(std::memchr(text.data(), '\x01', text.size())); };
}

struct RequestReading {
  http::Limits limits;
  http::RequestParser parser{limits};
  http::RequestHead head;
  std::string text = request_text(bearer(kSignedTokens[2]));
};

struct AnswerReading {
  http::ResponseParser parser;
  http::ResponseHead head;
};

}  // namespace

void add_heads(std::vector<Stage>& to) {
  to.push_back({"request head",
                [] {
                  return [at = std::make_shared<RequestReading>()] {
                    at->parser.reset();
                    keep(at->parser.parse(at->text, at->head).index());
                  };
                },
                [] { return one_look_at(request_text(bearer(kSignedTokens[2]))); }, "one look at each byte"});
  to.push_back({"answer head",
                [] {
                  return [at = std::make_shared<AnswerReading>()] {
                    at->parser.reset();
                    keep(at->parser.parse(kAnswer, http::Method::get, at->head).index());
                  };
                },
                [] { return one_look_at(std::string(kAnswer)); }, "one look at each byte"});
}

}  // namespace sallyport::micro
