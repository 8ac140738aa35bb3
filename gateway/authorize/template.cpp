#include <algorithm>

#include <fmt/format.h>

#include "authorize/policy.hpp"
#include "base/text.hpp"

namespace sallyport::authorize {
namespace {

// Appends `text` with its percent-encoding undone; false when a '%' has no two digits.
bool append_decoded(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return false;
    const auto high = hex_digit(text[i + 1]);
    const auto low = hex_digit(text[i + 2]);
    if (!high || !low) return false;
    out.push_back(static_cast<char>(*high * 16 + *low));
    i += 2;
  }
  return true;
}

}  // namespace

Result<Template> Template::parse(std::string_view text, const std::vector<std::string>& parameter_names) {
  Template result;
  result.text = text;
  std::string_view rest = text;
  for (std::size_t brace = rest.find_first_of("{}"); brace != rest.npos; brace = rest.find_first_of("{}")) {
    const std::size_t end = rest[brace] == '{' ? rest.find_first_of("{}", brace + 1) : rest.npos;
    if (end == rest.npos || rest[end] != '}')
      return make_error(Fault::malformed, "braces stand around the name of a path parameter, like {user}");
    const std::string_view name = rest.substr(brace + 1, end - brace - 1);
    if (std::ranges::find(parameter_names, name) == parameter_names.end()) {
      return make_error(Fault::malformed, fmt::format("the path has no parameter {{{}}}", name));
    }
    result.has_parameters = true;
    rest.remove_prefix(end + 1);
  }
  return result;
}

std::optional<std::string> Template::expand(const std::vector<http::PathParameter>& parameters) const {
  if (!has_parameters) return text;
  std::string expanded;
  std::string_view rest = text;
  for (std::size_t open = rest.find('{'); open != rest.npos; open = rest.find('{')) {
    const std::size_t close = rest.find('}', open);
    if (close == rest.npos) return std::nullopt;
    const auto parameter = std::ranges::find(parameters, rest.substr(open + 1, close - open - 1), &http::PathParameter::name);
    if (parameter == parameters.end()) return std::nullopt;

    expanded.append(rest.substr(0, open));
    std::string value;
    // Each value alone: two of them could each be half of a character.
    if (!append_decoded(value, parameter->value) || !is_utf8(value)) return std::nullopt;
    expanded.append(value);
    rest.remove_prefix(close + 1);
  }
  expanded.append(rest);
  return expanded;
}

}  // namespace sallyport::authorize
