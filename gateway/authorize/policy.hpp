// What a route requires of an identity (DESIGN §2.3 "Requirements"), compiled. Pure; immutable after load.
//
// A test says yes, no, or that it cannot tell. "Cannot tell" never becomes a yes, not even under `not`: that is a path parameter that does
// not decode, a client address that is none, and `max_auth_age` without a usable auth_time. A claim that is missing or of another type is
// a plain no, so `not: { claim: { name: suspended, equals: true } }` holds for a token without `suspended`.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/network.hpp"
#include "http/path_parameter.hpp"
#include "identity/verified_identity.hpp"

namespace sallyport::authorize {

using sallyport::Network;

enum class Access : unsigned char { public_, optional, authenticated };

struct Requirement;

// Text that may hold path parameters: "{user}" is the segment's value with its percent-encoding undone.
struct Template {
  std::string text;
  // Fault::malformed: a brace that is not of a {name}, or a name that is not among `parameter_names`. Braces cannot be escaped.
  [[nodiscard]] static Result<Template> parse(std::string_view text, const std::vector<std::string>& parameter_names);
  // nullopt when a parameter is missing or its value does not decode to UTF-8: never matches. Decoded once: "%2561" is "%61".
  [[nodiscard]] std::optional<std::string> expand(const std::vector<http::PathParameter>& parameters) const;
  bool has_parameters = false;
};

struct ScopeIs {
  std::string scope;
};
struct RoleIs {
  std::string role;
};
struct SubjectIs {
  Template subject;
};
struct IssuerIs {
  std::string issuer_name;  // our configured name
};
struct MethodIs {
  identity::AuthMethod method;
};
struct NetworkIs {
  std::vector<Network> networks;  // any of
};
struct MaxAuthAge {
  std::chrono::seconds age;  // auth_time is needed, and at most 60 s in the future; absent refuses
};
struct ClaimTest {
  JsonPointer pointer;
  enum class Kind : unsigned char { equals, contains, one_of, exists } kind = Kind::exists;
  // equals, contains: one; one_of: several. Strings may be templates; other JSON scalars compare by value. Strings are compared byte for
  // byte. `contains` looks for a whole element of an array; a claim that is a string contains nothing (no substrings).
  std::vector<std::variant<Template, Json>> values;
  bool exists = true;  // of `exists`: whether it must. A null claim does not exist
};
struct AllOf {
  std::vector<Requirement> parts;  // never empty
};
struct AnyOf {
  std::vector<Requirement> parts;  // never empty
};
struct Not {
  std::unique_ptr<Requirement> part;
};

struct Requirement {
  std::variant<ScopeIs, RoleIs, SubjectIs, IssuerIs, MethodIs, NetworkIs, MaxAuthAge, ClaimTest, AllOf, AnyOf, Not> test;
};

// What a requirement is judged on.
struct Subject {
  const identity::VerifiedIdentity& identity;
  const std::vector<http::PathParameter>& parameters;
  std::string_view client_address;
  WallTime now;
};

// True only when the identity shows it. `explanation`, where given, receives one line per test in order ("role admin: no"); the parts of
// `all`, `any` and `not` stand below it, indented by two spaces, and each is judged even where the answer is known already. The lines
// show what was configured, never a claim's value.
[[nodiscard]] bool satisfies(const Requirement& requirement, const Subject& subject, std::vector<std::string>* explanation = nullptr);

// The scopes that `requirement` asks for beside each other (an `all`, or one alone): for WWW-Authenticate's scope="…".
[[nodiscard]] std::vector<std::string> required_scopes(const Requirement& requirement);

// The scopes of a token with which `requirement` would have been satisfied, everything else as it is; of several ways the first that is
// written. Empty when it is satisfied already, or when no scope would help. Scopes under `not` are never asked for.
[[nodiscard]] std::vector<std::string> satisfying_scopes(const Requirement& requirement, const Subject& subject);

}  // namespace sallyport::authorize
