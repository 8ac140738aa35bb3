#include "pipeline/form.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const std::optional<int> high = hex_digit(text[i + 1]);
    const std::optional<int> low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

}  // namespace

std::optional<Form> Form::parse(std::string_view text) {
  Form form;
  if (text.empty()) return form;
  for (const std::string_view pair : split(text, '&')) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0 || form.parameters_.size() == kParametersMax) return std::nullopt;
    std::optional<std::string> name = decode(pair.substr(0, equals));
    std::optional<std::string> value = decode(pair.substr(equals + 1));
    if (!name || !value) return std::nullopt;
    if (std::ranges::any_of(form.parameters_, [&](const auto& known) { return known.first == *name; })) return std::nullopt;
    form.parameters_.emplace_back(std::move(*name), std::move(*value));
  }
  return form;
}

const std::string* Form::find(std::string_view name) const noexcept {
  for (const auto& [known, value] : parameters_) {
    if (known == name) return value.empty() ? nullptr : &value;
  }
  return nullptr;
}

bool is_form(const http::RequestHead& request) noexcept {
  const http::Field* field = request.find(http::FieldId::content_type);
  if (field == nullptr || request.count(http::FieldId::content_type) != 1) return false;
  // Parameters (charset) change nothing: the text is percent-encoded ASCII.
  return equals_ignoring_case(trim_ows(field->value.substr(0, field->value.find(';'))), kFormType);
}

Task<std::variant<std::string, http::BodyState>> read_small_body(http::Exchange& exchange, std::size_t bytes_max) {
  std::string body;
  // What says that it is too long need not be read, nor be asked for with a 100.
  if (exchange.request().framing == http::Framing::length && exchange.request().content_length > bytes_max) {
    co_return http::BodyState::too_large;
  }
  for (;;) {
    const http::BodyPiece piece = co_await exchange.read_body();
    if (piece.state == http::BodyState::end) co_return body;
    if (piece.state != http::BodyState::more) co_return piece.state;
    if (piece.bytes.size() > bytes_max - body.size()) co_return http::BodyState::too_large;
    body.append(piece.bytes);
  }
}

}  // namespace sallyport::pipeline
