#include "pipeline/cors.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "pipeline/respond.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kRequestMethod = "Access-Control-Request-Method";
constexpr std::string_view kRequestHeaders = "Access-Control-Request-Headers";
constexpr std::string_view kPreflightVary = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

// The only field of that name; nullptr with none or several.
const http::Field* only(const http::RequestHead& request, std::string_view name) noexcept {
  const http::Field* found = nullptr;
  for (const http::Field& field : request.fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    if (found != nullptr) return nullptr;
    found = &field;
  }
  return found;
}

const http::Field* only_origin(const http::RequestHead& request) noexcept {
  return request.count(http::FieldId::origin) == 1 ? request.find(http::FieldId::origin) : nullptr;
}

bool is_any(const CorsPolicy& policy) noexcept { return policy.allowed_origins.size() == 1 && policy.allowed_origins.front() == "*"; }

bool allows_headers(const CorsPolicy& policy, const http::RequestHead& request) noexcept {
  for (const http::Field& field : request.fields) {
    if (!equals_ignoring_case(field.name, kRequestHeaders)) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view name = trim_ows(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      if (name.empty()) continue;
      const auto same = [name](const std::string& allowed) { return equals_ignoring_case(allowed, name); };
      if (std::ranges::none_of(policy.allowed_headers, same)) return false;
    }
  }
  return true;
}

}  // namespace

std::optional<Preflight> read_preflight(const http::RequestHead& request) noexcept {
  if (request.method != http::Method::options || request.framing != http::Framing::none) return std::nullopt;
  const http::Field* origin = only_origin(request);
  const http::Field* method = only(request, kRequestMethod);
  if (origin == nullptr || method == nullptr || !is_token(method->value)) return std::nullopt;
  return Preflight{origin->value, method->value};
}

bool allows_origin(const CorsPolicy& policy, std::string_view origin) noexcept {
  if (origin.empty()) return false;
  // `*` is for pages that have an origin; a sandbox or a file has none.
  if (is_any(policy)) return origin != "null";
  return std::ranges::find(policy.allowed_origins, origin) != policy.allowed_origins.end();
}

Answer answer_preflight(const CorsPolicy& policy, const Preflight& preflight, const http::RequestHead& request) {
  Answer answer;
  if (!allows_origin(policy, preflight.origin)) {
    answer = answer_for_refused_preflight("cors_origin");
  } else if (std::ranges::find(policy.allowed_methods, preflight.method) == policy.allowed_methods.end()) {
    answer = answer_for_refused_preflight("cors_method");
  } else if (!allows_headers(policy, request)) {
    answer = answer_for_refused_preflight("cors_header");
  } else {
    answer = empty_answer();
    answer.fields.emplace_back("Access-Control-Allow-Origin", is_any(policy) ? "*" : std::string(preflight.origin));
    if (policy.allow_credentials) answer.fields.emplace_back("Access-Control-Allow-Credentials", "true");
    answer.fields.emplace_back("Access-Control-Allow-Methods", policy.methods);
    if (!policy.headers.empty()) answer.fields.emplace_back("Access-Control-Allow-Headers", policy.headers);
    if (!policy.max_age.empty()) answer.fields.emplace_back("Access-Control-Max-Age", policy.max_age);
  }
  answer.fields.emplace_back("Vary", kPreflightVary);
  return answer;
}

void append_cors_fields(const CorsPolicy& policy, const http::RequestHead& request, std::vector<http::Field>& fields) {
  const http::Field* origin = only_origin(request);
  if (origin == nullptr || !allows_origin(policy, origin->value)) return;
  fields.push_back({"Access-Control-Allow-Origin", is_any(policy) ? std::string_view("*") : origin->value});
  if (policy.allow_credentials) fields.push_back({"Access-Control-Allow-Credentials", "true"});
  if (!policy.exposed_headers.empty()) fields.push_back({"Access-Control-Expose-Headers", policy.exposed_headers});
}

}  // namespace sallyport::pipeline
