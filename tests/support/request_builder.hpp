// Request heads for tests that begin behind the parser.
#pragma once

#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "http/head.hpp"

namespace sallyport::testing {

// RequestBuilder().target("/a").field("Authorization", "Bearer x").head(). The head's views are valid while the builder lives.
// Values are taken as they are: what the parser would refuse or trim can be shown to the stages all the same.
class RequestBuilder {
 public:
  RequestBuilder& target(std::string value) {
    target_ = std::move(value);
    return *this;
  }
  RequestBuilder& field(std::string_view name, std::string_view value) {
    fields_.emplace_back(std::string(name), std::string(value));
    return *this;
  }
  [[nodiscard]] http::RequestHead head() const {
    http::RequestHead head;
    head.method = http::Method::get;
    head.method_text = "GET";
    if (!head.target.assign(target_)) throw std::invalid_argument("RequestBuilder: not a target");
    for (const auto& [name, value] : fields_) head.fields.push_back({.name = name, .value = value, .id = http::field_id(name)});
    return head;
  }

 private:
  std::string target_ = "/";
  std::deque<std::pair<std::string, std::string>> fields_;
};

}  // namespace sallyport::testing
