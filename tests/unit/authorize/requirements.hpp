// Requirements written as they would stand in a policy.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "authorize/policy.hpp"

namespace sallyport::authorize::testing {

inline Requirement scope(std::string name) { return {ScopeIs{std::move(name)}}; }
inline Requirement role(std::string name) { return {RoleIs{std::move(name)}}; }

inline const std::vector<std::string>& parameter_names() {
  static const std::vector<std::string> names{"user", "tenant"};
  return names;
}
inline Template text(std::string_view value) { return Template::parse(value, parameter_names()).value(); }
inline Requirement subject(std::string_view value) { return {SubjectIs{text(value)}}; }

inline std::variant<Template, Json> value(std::string_view json) {
  Json parsed = Json::parse(json).value();
  if (const std::string* string = parsed.string()) return text(*string);
  return parsed;
}
// claim("tenant", ClaimTest::Kind::one_of, {"\"acme\"", "7"})
inline Requirement claim(std::string_view name, ClaimTest::Kind kind, const std::vector<std::string>& values) {
  ClaimTest test{
      .pointer = name.starts_with('/') ? JsonPointer::parse(name).value() : JsonPointer::member(name), .kind = kind, .values = {}};
  for (const std::string& json : values) test.values.push_back(value(json));
  return {std::move(test)};
}
inline Requirement equals(std::string_view name, const std::string& json) { return claim(name, ClaimTest::Kind::equals, {json}); }
inline Requirement contains(std::string_view name, const std::string& json) { return claim(name, ClaimTest::Kind::contains, {json}); }
inline Requirement exists(std::string_view name, bool wanted = true) {
  Requirement requirement = claim(name, ClaimTest::Kind::exists, {});
  std::get<ClaimTest>(requirement.test).exists = wanted;
  return requirement;
}

inline Requirement network(std::string_view text) { return {NetworkIs{{Network::parse(text).value()}}}; }
inline Requirement max_auth_age(std::chrono::seconds age) { return {MaxAuthAge{age}}; }

template <class... Parts>
std::vector<Requirement> parts(Parts... requirements) {
  std::vector<Requirement> result;
  (result.push_back(std::move(requirements)), ...);
  return result;
}
template <class... Parts>
Requirement all(Parts... requirements) {
  return {AllOf{parts(std::move(requirements)...)}};
}
template <class... Parts>
Requirement any(Parts... requirements) {
  return {AnyOf{parts(std::move(requirements)...)}};
}
inline Requirement negation(Requirement requirement) { return {Not{std::make_unique<Requirement>(std::move(requirement))}}; }

}  // namespace sallyport::authorize::testing
