// `require` of a route: YAML -> authorize::Requirement (DESIGN §2.3 "Requirements").
#include <algorithm>

#include <fmt/format.h>

#include "app/config_loading.hpp"

namespace sallyport::app {
namespace {

using authorize::ClaimTest;
using authorize::Requirement;
using authorize::Template;

constexpr std::string_view kPath = "policies[].routes[].require";

// What every test gets: its value, and what it may refer to.
struct TestReading {
  Loading& loading;
  const Node& node;
  const std::vector<std::string>& parameters;
};

template <class Test>
std::optional<Requirement> made(Test test) {
  return Requirement{std::move(test)};
}

std::optional<Template> read_template(const TestReading& reading, const Node& node, const std::string& text) {
  const Result<Template> parsed = Template::parse(text, reading.parameters);
  if (parsed) return *parsed;
  reading.loading.problems.error(node.at, fmt::format("{} cannot be compared with{}", shown(node), because(node, parsed.error())));
  return std::nullopt;
}

std::optional<Requirement> read_scope(const TestReading& reading) {
  auto text = read_text(reading.loading.problems, reading.node, "one scope like orders:read");
  if (!text) return std::nullopt;
  // RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E. It is also sent in WWW-Authenticate.
  const bool is_scope = std::ranges::all_of(*text, [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\\'; });
  if (is_scope) return made(authorize::ScopeIs{std::move(*text)});
  reading.loading.problems.error(reading.node.at,
                                 fmt::format("{} is no scope (RFC 6749 §3.3); expected one like orders:read", shown(reading.node)));
  return std::nullopt;
}

std::optional<Requirement> read_role(const TestReading& reading) {
  auto text = read_text(reading.loading.problems, reading.node, "one role like admin");
  if (!text) return std::nullopt;
  return made(authorize::RoleIs{std::move(*text)});
}

std::optional<Requirement> read_subject(const TestReading& reading) {
  const auto text = read_text(reading.loading.problems, reading.node, "a subject, or a path parameter like \"{user}\"");
  if (!text) return std::nullopt;
  auto subject = read_template(reading, reading.node, *text);
  if (!subject) return std::nullopt;
  return made(authorize::SubjectIs{std::move(*subject)});
}

std::optional<Requirement> read_issuer_test(const TestReading& reading) {
  auto name = read_text(reading.loading.problems, reading.node, "the name of an issuer");
  if (!name) return std::nullopt;
  // Sessions are vouched for by ourselves, those of other applications by them.
  const authenticate::SessionSettings& sessions = *reading.loading.sessions;
  const bool is_ours =
      (*name == authenticate::kEdgeIssuerName && reading.loading.sessions_used_at) || (sessions.foreign && *name == sessions.foreign->name);
  if (!is_ours && find_issuer(reading.loading, *name) == nullptr) {
    reading.loading.problems.error(reading.node.at, fmt::format("there is no issuer {}", shown(reading.node)));
    return std::nullopt;
  }
  return made(authorize::IssuerIs{std::move(*name)});
}

std::optional<Requirement> read_networks(const TestReading& reading) {
  authorize::NetworkIs test;
  const bool is_one = reading.node.kind == Node::Kind::scalar;
  const std::vector<const Node*> nodes = is_one ? std::vector<const Node*>{&reading.node}
                                                : read_list(reading.loading.problems, reading.node, "a list of networks like [10.0.0.0/8]");
  for (const Node* node : nodes) {
    const auto network = read_network(reading.loading.problems, *node);
    if (network) test.networks.push_back(*network);
  }
  if (test.networks.empty()) return std::nullopt;  // reported
  return made(std::move(test));
}

std::optional<Requirement> read_method(const TestReading& reading) {
  static const Words<identity::AuthMethod> kMethods = {{"jwt", identity::AuthMethod::jwt},
                                                       {"session", identity::AuthMethod::session},
                                                       {"client_certificate", identity::AuthMethod::client_certificate}};
  const auto method = read_keyword(reading.loading.problems, reading.node, fmt::format("{}.method", kPath), kMethods);
  if (!method) return std::nullopt;
  return made(authorize::MethodIs{*method});
}

std::optional<Requirement> read_max_auth_age(const TestReading& reading) {
  using std::chrono::seconds;
  const auto age = read_duration(reading.loading.problems, reading.node, {seconds(1), std::chrono::hours(24 * 366)});
  if (!age) return std::nullopt;
  return made(authorize::MaxAuthAge{std::chrono::floor<seconds>(*age)});
}

// One value of equals, contains or one_of: text may hold path parameters.
bool read_claim_value(const TestReading& reading, const Node& node, ClaimTest& test) {
  auto value = read_json_scalar(reading.loading.problems, node);
  if (!value) return false;
  if (const std::string* text = value->string()) {
    auto expected = read_template(reading, node, *text);
    if (!expected) return false;
    test.values.emplace_back(std::move(*expected));
  } else {
    test.values.emplace_back(std::move(*value));
  }
  return true;
}

// Which claim: by `name`, or by `pointer`.
bool read_claim_place(const TestReading& reading, const MapReader& claim, ClaimTest& test) {
  Problems& problems = reading.loading.problems;
  if (!claim.is_map()) return false;
  if (claim.has("name") == claim.has("pointer")) {
    problems.error(reading.node.at, fmt::format("{} stand here; expected name (a claim at the top) or pointer (a JSON pointer)",
                                                claim.has("name") ? "both name and pointer" : "neither name nor pointer"));
    return false;
  }
  if (claim.has("name")) {
    const Node* node = claim.find("name");
    if (node == nullptr) return false;
    const auto name = read_text(problems, *node, "the name of a claim");
    if (name) test.pointer = JsonPointer::member(*name);
    return name.has_value();
  }
  const Node* node = claim.find("pointer");
  if (node == nullptr) return false;
  const auto text = read_text(problems, *node, "a JSON pointer like /address/country");
  if (!text) return false;
  const Result<JsonPointer> pointer = JsonPointer::parse(*text);
  if (pointer) test.pointer = *pointer;
  if (!pointer) problems.error(node->at, fmt::format("{} is no JSON pointer{}", shown(*node), because(*node, pointer.error())));
  return pointer.has_value();
}

bool read_claim_test(const TestReading& reading, const Node& node, ClaimTest& test) {
  switch (test.kind) {
    case ClaimTest::Kind::equals:
    case ClaimTest::Kind::contains: return read_claim_value(reading, node, test);
    case ClaimTest::Kind::one_of: {
      const std::vector<const Node*> items = read_list(reading.loading.problems, node, "a list of values");
      // Every element is read, so that every fault is reported.
      return std::ranges::count_if(items, [&](const Node* item) { return read_claim_value(reading, *item, test); }) > 0;
    }
    case ClaimTest::Kind::exists: {
      const auto exists = read_boolean(reading.loading.problems, node);
      test.exists = exists.value_or(true);
      return exists.has_value();
    }
  }
  return false;
}

std::optional<Requirement> read_claim(const TestReading& reading) {
  static constexpr std::pair<std::string_view, ClaimTest::Kind> kKinds[] = {{"equals", ClaimTest::Kind::equals},
                                                                            {"contains", ClaimTest::Kind::contains},
                                                                            {"one_of", ClaimTest::Kind::one_of},
                                                                            {"exists", ClaimTest::Kind::exists}};
  const MapReader claim(reading.loading.problems, reading.node, fmt::format("{}.claim", kPath));
  ClaimTest test;
  const bool has_place = read_claim_place(reading, claim, test);
  bool has_test = false;
  int tests = 0;
  for (const auto& [key, kind] : kKinds) {
    if (!claim.has(key)) continue;
    if (++tests > 1) {
      reading.loading.problems.error(claim.place_of(key),
                                     "a second test; expected one of equals, contains, one_of, exists (or several claims in an `all`)");
      return std::nullopt;
    }
    test.kind = kind;
    const Node* value = claim.find(key);
    has_test = value != nullptr && read_claim_test(reading, *value, test);
  }
  if (claim.is_map() && tests == 0)
    reading.loading.problems.error(reading.node.at, "nothing is asked of the claim; expected one of equals, contains, one_of, exists");
  if (!has_place || !has_test) return std::nullopt;
  return made(std::move(test));
}

std::vector<Requirement> read_parts(const TestReading& reading) {
  std::vector<Requirement> parts;
  for (const Node* item : read_list(reading.loading.problems, reading.node, "a list of requirements")) {
    auto part = read_requirement(reading.loading, *item, reading.parameters);
    if (part) parts.push_back(std::move(*part));
  }
  return parts;
}

std::optional<Requirement> read_all(const TestReading& reading) {
  std::vector<Requirement> parts = read_parts(reading);
  if (parts.empty()) return std::nullopt;  // reported
  return made(authorize::AllOf{std::move(parts)});
}

std::optional<Requirement> read_any(const TestReading& reading) {
  std::vector<Requirement> parts = read_parts(reading);
  if (parts.empty()) return std::nullopt;  // reported
  return made(authorize::AnyOf{std::move(parts)});
}

std::optional<Requirement> read_not(const TestReading& reading) {
  auto part = read_requirement(reading.loading, reading.node, reading.parameters);
  if (!part) return std::nullopt;
  return made(authorize::Not{std::make_unique<Requirement>(std::move(*part))});
}

struct TestKind {
  std::string_view key;
  std::optional<Requirement> (*read)(const TestReading&);
};
constexpr TestKind kTests[] = {{"all", read_all},
                               {"any", read_any},
                               {"not", read_not},
                               {"scope", read_scope},
                               {"role", read_role},
                               {"subject", read_subject},
                               {"issuer", read_issuer_test},
                               {"network", read_networks},
                               {"method", read_method},
                               {"max_auth_age", read_max_auth_age},
                               {"claim", read_claim}};

}  // namespace

std::optional<Requirement> read_requirement(Loading& loading, const Node& node, const std::vector<std::string>& parameters) {
  const MapReader reader(loading.problems, node, std::string(kPath));
  if (!reader.is_map()) return std::nullopt;
  // Two tests in one mapping: does one suffice? Nobody should have to guess.
  if (node.members.size() > 1) {
    loading.problems.error(node.members[1].key.at, fmt::format("{} stands beside {}; expected one test, or both in an `all` or `any`",
                                                               shown(node.members[1].key), shown(node.members[0].key)));
  }
  if (node.members.empty()) loading.problems.error(node.at, "an empty requirement; expected one test like { role: admin }");
  std::optional<Requirement> requirement;
  for (const TestKind& kind : kTests) {
    const Node* value = reader.find(kind.key);
    if (value == nullptr) continue;
    requirement = kind.read(TestReading{loading, *value, parameters});
  }
  return node.members.size() == 1 ? std::move(requirement) : std::nullopt;
}

}  // namespace sallyport::app
