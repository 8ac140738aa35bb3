// Parses a head whole and cut at every byte, and says in one word what became of it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <variant>

#include "http/request_parser.hpp"
#include "http/response_parser.hpp"

namespace sallyport::http {

// "ok", "incomplete" or the name of the fault.
inline std::string word(const HeadOutcome& outcome) {
  if (std::holds_alternative<HeadIncomplete>(outcome)) return "incomplete";
  if (const auto* refused = std::get_if<HeadRefused>(&outcome)) return std::string(name(refused->fault));
  return "ok";
}

inline std::string word(const ResponseOutcome& outcome) {
  if (std::holds_alternative<HeadIncomplete>(outcome)) return "incomplete";
  return std::holds_alternative<ResponseRefused>(outcome) ? "refused" : "ok";
}

// What the parser says when one more byte arrives at a time.
inline std::string verdict_byte_by_byte(std::string_view text, const Limits& limits, RequestHead& head) {
  RequestParser parser(limits);
  for (std::size_t size = 0; size <= text.size(); ++size) {
    const HeadOutcome outcome = parser.parse(text.substr(0, size), head);
    if (!std::holds_alternative<HeadIncomplete>(outcome)) return word(outcome);
  }
  return "incomplete";
}

// The verdict on a request's head. Cutting it anywhere must not change that.
inline std::string verdict(std::string_view text, RequestHead& head, const Limits& limits = {}) {
  RequestHead scratch;
  const std::string split = verdict_byte_by_byte(text, limits, scratch);
  RequestParser parser(limits);
  const std::string whole = word(parser.parse(text, head));
  EXPECT_EQ(whole, split) << "the verdict depends on how the bytes arrive";
  for (std::size_t cut = 1; cut < text.size() && text.size() < 2000; ++cut) {
    parser.reset();
    HeadOutcome outcome = parser.parse(text.substr(0, cut), scratch);
    if (std::holds_alternative<HeadIncomplete>(outcome)) outcome = parser.parse(text, scratch);
    EXPECT_EQ(whole, word(outcome)) << "cut at " << cut;
  }
  return whole;
}

// The head holds views: the text must stay.
std::string verdict(std::string&& text, RequestHead& head, const Limits& limits = {}) = delete;

inline std::string verdict(std::string_view text, const Limits& limits = {}) {
  RequestHead head;
  return verdict(text, head, limits);
}

inline std::string answer_verdict(std::string_view text, ResponseHead& head, Method method = Method::get) {
  ResponseParser parser;
  ResponseHead scratch;
  std::string split = "incomplete";
  for (std::size_t size = 0; size <= text.size() && split == "incomplete"; ++size) {
    split = word(parser.parse(text.substr(0, size), method, scratch));
  }
  parser.reset();
  const std::string whole = word(parser.parse(text, method, head));
  EXPECT_EQ(whole, split) << "the verdict depends on how the bytes arrive";
  return whole;
}

std::string answer_verdict(std::string&& text, ResponseHead& head, Method method = Method::get) = delete;

inline std::string answer_verdict(std::string_view text, Method method = Method::get) {
  ResponseHead head;
  return answer_verdict(text, head, method);
}

// A request with these field lines (each with its CRLF) behind a good Host.
inline std::string with_fields(std::string_view lines, std::string_view request_line = "POST /a HTTP/1.1") {
  std::string text(request_line);
  text.append("\r\nHost: a.example\r\n").append(lines).append("\r\n");
  return text;
}

inline std::string with_target(std::string_view target, std::string_view method = "GET") {
  return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n";
}

inline std::string with_host(std::string_view value) { return "GET / HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n"; }

}  // namespace sallyport::http
