#include "http/problem.hpp"

#include "base/json.hpp"
#include "http/head.hpp"

namespace sallyport::http {

std::string problem_json(int status, std::string_view title, std::string_view detail, std::string_view request_id) {
  std::string out = R"({"type":"about:blank","title":)";
  append_json_string(out, title.empty() ? reason_phrase(status) : title);
  out += R"(,"status":)";
  out += std::to_string(status);
  const auto member = [&out](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
  };
  member("detail", detail);
  member("request_id", request_id);
  out += '}';
  return out;
}

}  // namespace sallyport::http
