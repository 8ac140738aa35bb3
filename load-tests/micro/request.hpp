// The request that all stages are shown: what a browser sends to an API, 950 bytes or so with its token.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "http/request_parser.hpp"
#include "signed_tokens.hpp"

namespace sallyport::micro {

inline std::string request_text(std::string_view credential) {
  return "GET /api/v1/orders/4711?page=2&sort=date HTTP/1.1\r\n"
         "Host: api.example.com\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
         "Accept: application/json, text/plain, */*\r\n"
         "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
         "Accept-Encoding: gzip, deflate, br\r\n"
         "Referer: https://shop.example.com/orders\r\n"
         "Origin: https://shop.example.com\r\n"
         "Sec-Fetch-Dest: empty\r\n"
         "Sec-Fetch-Mode: cors\r\n"
         "Sec-Fetch-Site: same-site\r\n" +
         std::string(credential) +
         "\r\n"
         "\r\n";
}

inline std::string bearer(const SignedToken& token) { return "Authorization: Bearer " + std::string(token.token); }

// Parsed, with the text that it views into.
class ParsedRequest {
 public:
  explicit ParsedRequest(std::string_view credential) : text_(request_text(credential)) {
    http::RequestParser parser(limits_);
    if (!std::holds_alternative<http::HeadParsed>(parser.parse(text_, head_))) throw std::runtime_error("the request is none");
  }
  ParsedRequest(const ParsedRequest&) = delete;
  ParsedRequest& operator=(const ParsedRequest&) = delete;
  [[nodiscard]] const http::RequestHead& head() const noexcept { return head_; }

 private:
  http::Limits limits_;
  std::string text_;
  http::RequestHead head_;
};

}  // namespace sallyport::micro
