// What the admin listener answers, before it is sent.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/head.hpp"
#include "http/problem.hpp"

namespace sallyport::admin {

inline constexpr std::string_view kJson = "application/json";

struct Answer {
  int status;
  std::string_view content_type;  // kProblemContentType: `document` is the problem's detail until it is sent; empty: there is no body
  std::string document;
  std::vector<http::Field> fields;  // views of static text

  Answer(int answer_status, std::string_view type, std::string text)
      : status(answer_status), content_type(type), document(std::move(text)) {}
  [[nodiscard]] static Answer problem(int status, std::string detail) { return {status, http::kProblemContentType, std::move(detail)}; }
};

}  // namespace sallyport::admin
