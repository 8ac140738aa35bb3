#include "authorize/policy.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sallyport::authorize {
namespace {

constexpr std::chrono::seconds kAuthTimeTolerance{60};
constexpr std::chrono::seconds kAuthAgeMax = std::chrono::years(100);  // far below what would overflow the clock

enum class Answer : unsigned char { no, cannot_tell, yes };
enum class Scopes : unsigned char { as_held, as_if_granted };

constexpr Answer answer(bool value) noexcept { return value ? Answer::yes : Answer::no; }
constexpr Answer opposite(Answer value) noexcept {
  switch (value) {
    case Answer::no: return Answer::yes;
    case Answer::cannot_tell: return Answer::cannot_tell;
    case Answer::yes: return Answer::no;
  }
  return Answer::cannot_tell;
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

bool has_element(const std::vector<std::string>& elements, const std::string& wanted) {
  return !wanted.empty() && std::ranges::find(elements, wanted) != elements.end();
}

// `text` against a template, without a copy where it has no parameters.
Answer matches(std::string_view text, const Template& expected, const Subject& subject) {
  if (!expected.has_parameters) return answer(text == expected.text);
  const auto expanded = expected.expand(subject.parameters);
  return expanded ? answer(text == *expanded) : Answer::cannot_tell;
}

bool same_type(const Json& a, const Json& b) noexcept {
  return (a.is_number() && b.is_number()) || a.value().index() == b.value().index();
}

Answer matches(const Json& claim, const std::variant<Template, Json>& expected, const Subject& subject) {
  // A claim of another type says neither yes nor no: `not: { equals: true }` must not let "true" in.
  if (const auto* value = std::get_if<Json>(&expected)) return same_type(claim, *value) ? answer(claim == *value) : Answer::cannot_tell;
  const std::string* text = claim.string();
  return text != nullptr ? matches(*text, std::get<Template>(expected), subject) : Answer::cannot_tell;
}

Answer matches_any(const Json& claim, const std::vector<std::variant<Template, Json>>& values, const Subject& subject) {
  Answer best = Answer::no;
  for (const auto& value : values) best = std::max(best, matches(claim, value, subject));
  return best;
}

Answer judge(const ClaimTest& test, const Subject& subject) {
  const Json* claim = test.pointer.find(subject.identity.facts().claims.json());
  const bool present = claim != nullptr && !claim->is_null();
  switch (test.kind) {
    case ClaimTest::Kind::exists: return answer(present == test.exists);
    case ClaimTest::Kind::equals:
    case ClaimTest::Kind::one_of: return present ? matches_any(*claim, test.values, subject) : Answer::no;
    case ClaimTest::Kind::contains: {
      if (!present) return Answer::no;
      const JsonArray* elements = claim->array();
      if (elements == nullptr) return Answer::cannot_tell;
      Answer best = Answer::no;
      for (const Json& element : *elements) best = std::max(best, matches_any(element, test.values, subject));
      return best;
    }
  }
  return Answer::cannot_tell;
}

Answer judge(const MaxAuthAge& test, const Subject& subject) {
  const auto& authenticated_at = subject.identity.facts().authenticated_at;
  if (!authenticated_at || *authenticated_at > subject.now + kAuthTimeTolerance) return Answer::cannot_tell;
  return answer(*authenticated_at >= subject.now - std::min(test.age, kAuthAgeMax));
}

Answer judge(const NetworkIs& test, const Subject& subject) {
  const bool inside = std::ranges::any_of(test.networks, [&](const Network& network) { return network.contains(subject.client_address); });
  if (inside) return Answer::yes;
  // What is no address is in no network, but it is not known to be outside of one either.
  return Network::is_address(subject.client_address) ? Answer::no : Answer::cannot_tell;
}

std::string describe(const std::variant<Template, Json>& value) {
  if (const auto* json = std::get_if<Json>(&value)) return json->dump();
  return fmt::format("\"{}\"", std::get<Template>(value).text);
}

std::string describe(const ClaimTest& test) {
  const auto with_values = [&](std::string_view verb) {
    std::string text = fmt::format("claim {} {}", test.pointer.text(), verb);
    for (const auto& value : test.values) text.append(&value == &test.values.front() ? " " : ", ").append(describe(value));
    return text;
  };
  switch (test.kind) {
    case ClaimTest::Kind::equals: return with_values("equals");
    case ClaimTest::Kind::contains: return with_values("contains");
    case ClaimTest::Kind::one_of: return with_values("one_of");
    case ClaimTest::Kind::exists: return fmt::format("claim {} {}", test.pointer.text(), test.exists ? "exists" : "is absent");
  }
  return {};
}

std::string describe(const Requirement& requirement) {
  return std::visit(Overloaded{
                        [](const ScopeIs& test) { return "scope " + test.scope; },
                        [](const RoleIs& test) { return "role " + test.role; },
                        [](const SubjectIs& test) { return fmt::format("subject \"{}\"", test.subject.text); },
                        [](const IssuerIs& test) { return "issuer " + test.issuer_name; },
                        [](const MethodIs& test) { return fmt::format("method {}", identity::name(test.method)); },
                        [](const NetworkIs&) { return std::string("network"); },
                        [](const MaxAuthAge& test) { return fmt::format("max_auth_age {}s", test.age.count()); },
                        [](const ClaimTest& test) { return describe(test); },
                        [](const AllOf&) { return std::string("all"); },
                        [](const AnyOf&) { return std::string("any"); },
                        [](const Not&) { return std::string("not"); },
                    },
                    requirement.test);
}

constexpr std::string_view word(Answer value) noexcept {
  switch (value) {
    case Answer::no: return "no";
    case Answer::cannot_tell: return "cannot tell";
    case Answer::yes: return "yes";
  }
  return {};
}

class Judge {
 public:
  Judge(const Subject& subject, Scopes scopes, std::vector<std::string>* explanation = nullptr)
      : subject_(subject), scopes_(scopes), explanation_(explanation) {}

  Answer judge(const Requirement& requirement) {
    if (explanation_ == nullptr) return judge_parts(requirement);
    // The line stands above those of its parts, whose answers it needs.
    const std::size_t line = explanation_->size();
    explanation_->emplace_back();
    ++depth_;
    const Answer result = judge_parts(requirement);
    --depth_;
    (*explanation_)[line] = fmt::format("{:{}}{}: {}", "", depth_ * 2, describe(requirement), word(result));
    return result;
  }

 private:
  Answer judge_parts(const Requirement& requirement) {
    const identity::IdentityFacts& facts = subject_.identity.facts();
    return std::visit(
        Overloaded{
            [&](const ScopeIs& test) { 
              if (scopes_ == Scopes::as_if_granted || has_element(facts.scopes, test.scope)) return Answer::yes;
              return facts.scopes_unreadable ? Answer::cannot_tell : Answer::no;
            },
            [&](const RoleIs& test) { 
              if (has_element(facts.roles, test.role)) return Answer::yes;
              return facts.roles_unreadable ? Answer::cannot_tell : Answer::no;
            },
            [&](const SubjectIs& test) { return facts.subject.empty() ? Answer::no : matches(facts.subject, test.subject, subject_); },
            [&](const IssuerIs& test) { return answer(!test.issuer_name.empty() && facts.issuer_name == test.issuer_name); },
            [&](const MethodIs& test) { return answer(facts.method == test.method); },
            [&](const AllOf& group) { return judge_all(group); },
            [&](const AnyOf& group) { return judge_any(group); },
            [&](const Not& test) { return judge_not(test); },
            [&](const auto& test) { return authorize::judge(test, subject_); },
        },
        requirement.test);
  }

  // An empty group cannot be configured; if one came to be, it must not let anybody in, nor its opposite.
  Answer judge_all(const AllOf& group) {
    if (group.parts.empty()) return Answer::cannot_tell;
    Answer worst = Answer::yes;
    for (const Requirement& part : group.parts) {
      worst = std::min(worst, judge(part));
      if (worst == Answer::no && explanation_ == nullptr) break;
    }
    return worst;
  }

  Answer judge_any(const AnyOf& group) {
    if (group.parts.empty()) return Answer::cannot_tell;
    Answer best = Answer::no;
    for (const Requirement& part : group.parts) {
      best = std::max(best, judge(part));
      if (best == Answer::yes && explanation_ == nullptr) break;
    }
    return best;
  }

  // What one has too much of cannot be granted.
  Answer judge_not(const Not& test) {
    if (!test.part) return Answer::cannot_tell;
    const Scopes outside = std::exchange(scopes_, Scopes::as_held);
    const Answer result = opposite(judge(*test.part));
    scopes_ = outside;
    return result;
  }

  const Subject& subject_;
  Scopes scopes_;
  std::vector<std::string>* explanation_;
  std::size_t depth_ = 0;
};

void add_once(std::vector<std::string>& scopes, const std::string& scope) {
  if (std::ranges::find(scopes, scope) == scopes.end()) scopes.push_back(scope);
}

void collect_required(const Requirement& requirement, std::vector<std::string>& scopes) {
  if (const auto* scope = std::get_if<ScopeIs>(&requirement.test)) add_once(scopes, scope->scope);
  if (const auto* group = std::get_if<AllOf>(&requirement.test)) {
    for (const Requirement& part : group->parts) collect_required(part, scopes);
  }
}

// `requirement` is satisfied once its scopes are granted.
void collect_satisfying(const Requirement& requirement, const Subject& subject, std::vector<std::string>& scopes) {
  if (const auto* scope = std::get_if<ScopeIs>(&requirement.test)) add_once(scopes, scope->scope);
  if (const auto* all = std::get_if<AllOf>(&requirement.test)) {
    for (const Requirement& part : all->parts) collect_satisfying(part, subject, scopes);
  }
  if (const auto* any = std::get_if<AnyOf>(&requirement.test)) {
    if (satisfies(requirement, subject)) return;
    const auto first = std::ranges::find_if(
        any->parts, [&](const Requirement& part) { return Judge(subject, Scopes::as_if_granted).judge(part) == Answer::yes; });
    if (first != any->parts.end()) collect_satisfying(*first, subject, scopes);
  }
}

}  // namespace

bool satisfies(const Requirement& requirement, const Subject& subject, std::vector<std::string>* explanation) {
  return Judge(subject, Scopes::as_held, explanation).judge(requirement) == Answer::yes;
}

std::vector<std::string> required_scopes(const Requirement& requirement) {
  std::vector<std::string> scopes;
  collect_required(requirement, scopes);
  return scopes;
}

std::vector<std::string> satisfying_scopes(const Requirement& requirement, const Subject& subject) {
  std::vector<std::string> scopes;
  if (satisfies(requirement, subject) || Judge(subject, Scopes::as_if_granted).judge(requirement) != Answer::yes) return scopes;
  collect_satisfying(requirement, subject, scopes);
  return scopes;
}

}  // namespace sallyport::authorize
