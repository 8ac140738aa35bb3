// Target::assign: what it takes is canonical, and taking that again changes nothing (hazards J).
#include "http/target.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "fuzz/require.hpp"

using sallyport::require;
using sallyport::http::Target;
using sallyport::http::TargetForm;

namespace {

// Written apart from the parser: the properties that a router and an upstream rely on.
void check_path(std::string_view path) {
  require(path.starts_with('/'), "a path begins with a slash");
  require(path.find("//") == std::string_view::npos, "no empty segment");
  for (std::size_t at = 0; at < path.size(); ++at) {
    const auto byte = static_cast<unsigned char>(path[at]);
    require(byte > 0x20 && byte < 0x7F && byte != '\\' && byte != '#' && byte != '?', "only path bytes");
    if (byte != '%') continue;
    require(at + 2 < path.size(), "a percent sign has two digits");
    const auto high = sallyport::hex_digit(path[at + 1]);
    const auto low = sallyport::hex_digit(path[at + 2]);
    require(high && low && path[at + 1] < 'a' && path[at + 2] < 'a', "upper-case hex digits");
    const int decoded = *high * 16 + *low;
    require(decoded >= 0x20 && decoded != 0x7F && decoded != '/' && decoded != '\\', "no encoded slash or control byte");
    const bool letter = (decoded | 0x20) >= 'a' && (decoded | 0x20) <= 'z';
    const bool digit = decoded >= '0' && decoded <= '9';
    require(!letter && !digit && decoded != '-' && decoded != '.' && decoded != '_' && decoded != '~', "unreserved bytes stand plain");
  }
  for (const std::string_view segment : sallyport::split(path.substr(1), '/')) {
    const std::string_view bare = segment.substr(0, std::min(segment.find(';'), segment.find("%3B")));
    require(bare != "." && bare != "..", "no dot segment");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Target target;
  const auto assigned = target.assign(text);
  if (!assigned) {
    require(!assigned.error().detail.empty(), "a refusal has a reason");
    require(target.path().empty() && target.query().empty(), "a refused target is empty");
    return 0;
  }
  if (target.form() == TargetForm::asterisk) {
    require(text == "*", "only an asterisk is the asterisk form");
    return 0;
  }
  check_path(target.path());
  require(target.query().find('#') == std::string_view::npos, "no fragment in the query");
  require(target.has_query() || target.query().empty(), "no query without question mark");
  require((target.form() == TargetForm::absolute) == !target.authority().empty(), "absolute form has an authority");

  std::string sent(target.path());
  if (target.has_query()) sent.append("?").append(target.query());
  Target again;
  require(again.assign(sent).has_value(), "the canonical form is taken");
  require(again.form() == TargetForm::origin, "the canonical form is an origin form");
  require(again.path() == target.path() && again.query() == target.query(), "canonicalising twice changes nothing");
  return 0;
}
