// What a route requires of an identity (DESIGN §2.3 "Requirements"), compiled. Pure; immutable after load.
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
#include "identity/verified_identity.hpp"
#include "http/path_parameter.hpp"

namespace sallyport::authorize {

// An IPv4 or IPv6 network. IPv4-mapped IPv6 addresses count as IPv4.
class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address. Fault::malformed; host bits that are set are malformed.
  [[nodiscard]] static Result<Network> parse(std::string_view text);
  [[nodiscard]] bool contains(std::string_view address) const noexcept;  // false for what is no address
  [[nodiscard]] bool is_everything() const noexcept { return prefix_ == 0; }

 private:
  std::array<unsigned char, 16> bytes_{};
  unsigned prefix_ = 0;
  bool is_v4_ = false;
};

enum class Access : unsigned char { public_, optional, authenticated };

struct Requirement;

// Text that may hold path parameters: "{user}" is the segment's value with its percent-encoding undone.
struct Template {
  std::string text;
  [[nodiscard]] static Result<Template> parse(std::string_view text, const std::vector<std::string>& parameter_names);
  // nullopt when a parameter is missing or its value does not decode to UTF-8: never matches.
  [[nodiscard]] std::optional<std::string> expand(const std::vector<http::PathParameter>& parameters) const;
  bool has_parameters = false;
};

struct ScopeIs { std::string scope; };
struct RoleIs { std::string role; };
struct SubjectIs { Template subject; };
struct IssuerIs { std::string issuer_name; };  // our configured name
struct MethodIs { identity::AuthMethod method; };
struct NetworkIs { std::vector<Network> networks; };      // any of
struct MaxAuthAge { std::chrono::seconds age; };          // auth_time is needed; absent refuses
struct ClaimTest {
  JsonPointer pointer;
  enum class Kind : unsigned char { equals, contains, one_of, exists } kind = Kind::exists;
  // equals, contains: one; one_of: several. Strings may be templates; other JSON scalars compare by value.
  std::vector<std::variant<Template, Json>> values;
  bool exists = true;  // of `exists`: whether it must
};
struct AllOf { std::vector<Requirement> parts; };  // never empty
struct AnyOf { std::vector<Requirement> parts; };  // never empty
struct Not { std::unique_ptr<Requirement> part; };

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

// True only when the identity shows it. `explanation`, where given, receives one line per test in order ("role admin: no").
[[nodiscard]] bool satisfies(const Requirement& requirement, const Subject& subject, std::vector<std::string>* explanation = nullptr);

// The scopes that `requirement` asks for beside each other (an `all`, or one alone): for WWW-Authenticate's scope="…".
[[nodiscard]] std::vector<std::string> required_scopes(const Requirement& requirement);

}  // namespace sallyport::authorize
