#include "upstream/answer_rules.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::upstream {
namespace {

using http::Field;

// A year: browsers remember it that long, whatever is answered later. Without includeSubDomains, which would speak for other hosts.
constexpr Field kTransportSecurity{"Strict-Transport-Security", "max-age=31536000"};
constexpr Field kContentType{"X-Content-Type-Options", "nosniff"};
// Not no-referrer, with which browsers send `Origin: null` along with forms of the site itself.
constexpr Field kReferrer{"Referrer-Policy", "strict-origin-when-cross-origin"};
constexpr Field kPolicy{"Content-Security-Policy", "frame-ancestors 'none'"};
constexpr Field kFrames{"X-Frame-Options", "DENY"};
constexpr std::string_view kCorsPrefix = "Access-Control-";

const Field* find(const std::vector<Field>& fields, std::string_view name) noexcept {
  const auto found = std::ranges::find_if(fields, [name](const Field& field) { return equals_ignoring_case(field.name, name); });
  return found == fields.end() ? nullptr : &*found;
}

bool speaks_of_frames(const Field& field) noexcept {
  constexpr std::string_view kDirective = "frame-ancestors";
  if (!equals_ignoring_case(field.name, kPolicy.name)) return false;
  const auto same = [](char a, char b) { return ascii_lower(a) == b; };
  return !std::ranges::search(field.value, kDirective, same).empty();
}

bool is_removed(const AnswerRules& rules, const Field& field) noexcept {
  const std::string_view name = field.name;
  if (rules.drops_cors && name.size() > kCorsPrefix.size() && equals_ignoring_case(name.substr(0, kCorsPrefix.size()), kCorsPrefix)) {
    return true;
  }
  return std::ranges::any_of(rules.remove, [name](const std::string& removed) { return equals_ignoring_case(removed, name); }) ||
         std::ranges::any_of(rules.set, [name](const auto& set) { return equals_ignoring_case(set.first, name); });
}

}  // namespace

void apply(const AnswerRules& rules, bool is_tls, std::vector<Field>& fields) {
  std::erase_if(fields, [&rules](const Field& field) { return is_removed(rules, field); });
  for (const auto& [name, value] : rules.set) fields.push_back({name, value, http::field_id(name)});
  for (const auto& [name, value] : rules.add) fields.push_back({name, value, http::field_id(name)});
  if (rules.varies_by_origin) fields.push_back({"Vary", "Origin"});
  if (rules.is_strict) add_security_headers(is_tls, fields);
}

void add_security_headers(bool is_tls, std::vector<Field>& fields) {
  const bool has_policy = find(fields, kPolicy.name) != nullptr;
  const bool has_frames = find(fields, kFrames.name) != nullptr;
  const bool has_ancestors = std::ranges::any_of(fields, speaks_of_frames);
  if (is_tls && find(fields, kTransportSecurity.name) == nullptr) fields.push_back(kTransportSecurity);
  if (find(fields, kContentType.name) == nullptr) fields.push_back(kContentType);
  if (find(fields, kReferrer.name) == nullptr) fields.push_back(kReferrer);
  if (!has_policy && !has_frames) fields.push_back(kPolicy);
  if (!has_frames && !has_ancestors) fields.push_back(kFrames);
}

}  // namespace sallyport::upstream
