// application/x-www-form-urlencoded, read strictly, and the small bodies of our own endpoints.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "http/exchange.hpp"

namespace sallyport::pipeline {

class Form {
 public:
  static constexpr std::size_t kParametersMax = 32;

  // `name=value` pairs between `&`s, percent-encoded (RFC 6749 appendix B). nullopt: an empty pair or name, a pair without `=`, `%` without
  // two hex digits, a name that comes twice (RFC 6749 §3.2), more than kParametersMax. The empty text is the empty form.
  [[nodiscard]] static std::optional<Form> parse(std::string_view text);

  // nullptr: absent, or without a value, which is the same (RFC 6749 §3.2). Valid while *this lives.
  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return parameters_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

// Whether the request says, in one Content-Type, that its body is a form.
[[nodiscard]] bool is_form(const http::RequestHead& request) noexcept;

// The whole body, or the state that ended it: too_large also beyond `bytes_max`.
[[nodiscard]] Task<std::variant<std::string, http::BodyState>> read_small_body(http::Exchange& exchange, std::size_t bytes_max);

}  // namespace sallyport::pipeline
