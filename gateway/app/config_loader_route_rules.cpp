// What a route asks beside its policy: rate limits, networks, CORS, header rules; and `overload`.
#include <algorithm>

#include <fmt/format.h>

#include "app/config_loading.hpp"
#include "authorize/csrf.hpp"
#include "base/text.hpp"
#include "identity/owned_names.hpp"

namespace sallyport::app {
namespace {

using authorize::LimitBy;
using authorize::RateLimit;
using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::uint64_t kRequestsMax = 1'000'000'000;
constexpr std::size_t kLimitsMax = 16;  // of one list
constexpr std::size_t kValueBytesMax = 4096;

std::uint64_t read_count(Problems& problems, const Node& node) { return read_integer(problems, node, 1, kRequestsMax).value_or(1); }

// `scope` is the route's name, or empty for the limits of every route.
std::optional<RateLimit> read_limit(Problems& problems, const Node& node, std::string path, std::string_view scope) {
  static const Words<LimitBy> kBy = {{"address", LimitBy::address},
                                     {"subject", LimitBy::subject},
                                     {"route", LimitBy::route},
                                     {"failed_authentication", LimitBy::failed_authentication}};
  const MapReader reader(problems, node, std::move(path));
  if (!reader.is_map()) return std::nullopt;
  RateLimit limit;
  const Node* by = reader.require("by", "address, subject, route or failed_authentication");
  const auto kind = by != nullptr ? read_keyword(problems, *by, reader.path_of("by"), kBy) : std::nullopt;
  const Node* requests = reader.require("requests", "a number of requests");
  if (requests != nullptr) limit.requests = limit.burst = read_count(problems, *requests);
  const Node* per = reader.require("per", "a duration like 1m");
  if (per != nullptr) limit.per = read_duration(problems, *per, {milliseconds(1), hours(24)}).value_or(milliseconds(1));
  if (const Node* burst = reader.find("burst")) limit.burst = read_count(problems, *burst);
  if (const Node* exact = reader.find("exact")) limit.exact = read_boolean(problems, *exact).value_or(false);
  if (!kind || requests == nullptr || per == nullptr) return std::nullopt;
  limit.by = *kind;
  if (limit.by == LimitBy::route && scope.empty()) {
    problems.error(by->at, "a limit of every route has no route of its own; expected address, subject or failed_authentication");
    return std::nullopt;
  }
  if (!authorize::is_possible(limit)) {
    problems.error(reader.place_of("requests"),
                   "these numbers make no limit: at most one request in a nanosecond, and a week to fill the burst");
    return std::nullopt;
  }
  return limit;
}

std::vector<RateLimit> read_limits(Problems& problems, const Node& node, std::string_view path, std::string_view scope) {
  std::vector<RateLimit> limits;
  for (const Node* item : read_list(problems, node, "a list of limits like { by: address, requests: 100, per: 1m }")) {
    std::optional<RateLimit> limit = read_limit(problems, *item, std::string(path), scope);
    if (!limit) continue;
    const auto same = std::ranges::count(limits, limit->by, &RateLimit::by);
    limit->name = fmt::format("{}/{}", scope.empty() ? "*" : scope, authorize::name(limit->by));
    if (same != 0) limit->name += fmt::format("/{}", same + 1);
    limits.push_back(std::move(*limit));
  }
  if (limits.size() > kLimitsMax) problems.error(node.at, fmt::format("more than {} limits stand in one list", kLimitsMax));
  return limits;
}

std::vector<Network> read_networks(Problems& problems, const Node& node) {
  std::vector<Network> networks;
  for (const Node* item : read_list(problems, node, "a list of networks like [10.0.0.0/8]")) {
    if (const auto network = read_network(problems, *item)) networks.push_back(*network);
  }
  return networks;
}

std::vector<std::string> read_tokens_of(Problems& problems, const Node& node, std::string_view expected) {
  std::vector<std::string> tokens;
  for (const Node* item : read_list(problems, node, expected)) {
    const auto text = read_text(problems, *item, expected);
    if (!text) continue;
    if (!is_token(*text) || *text == "*") {
      problems.error(item->at, fmt::format("{} is no name; expected {}", shown(*item), expected));
      continue;
    }
    tokens.push_back(*text);
  }
  return tokens;
}

std::string joined(const std::vector<std::string>& items) { return fmt::format("{}", fmt::join(items, ", ")); }

void read_origins(Problems& problems, const Node& node, pipeline::CorsPolicy& cors) {
  for (const Node* item : read_list(problems, node, "a list of origins like [https://app.example.com]")) {
    const auto text = read_text(problems, *item, "an origin like https://app.example.com");
    if (!text) continue;
    if (*text == "*" || *text == "null") {
      cors.allowed_origins.push_back(*text);
      continue;
    }
    Result<std::string> origin = authorize::parse_origin(*text);
    if (!origin) {
      problems.error(item->at, fmt::format("{} is no origin{}; expected one like https://app.example.com", shown(*item),
                                           because(*item, origin.error())));
      continue;
    }
    cors.allowed_origins.push_back(std::move(*origin));
  }
  const bool has_any = std::ranges::find(cors.allowed_origins, "*") != cors.allowed_origins.end();
  if (has_any && cors.allowed_origins.size() != 1) problems.error(node.at, "\"*\" is every origin and stands alone");
}

void read_cors(Problems& problems, const MapReader& route_reader, const Node& node, const pipeline::Route& route,
               pipeline::RouteRules& rules) {
  pipeline::CorsPolicy& cors = rules.cors;
  rules.has_cors = true;
  const std::string path = route_reader.path_of("cors");
  if (node.kind == Node::Kind::scalar) {
    static const Words<bool> kWords = {{"pass", true}};
    cors.passes = read_keyword(problems, node, path, kWords).value_or(false);
    if (route_reader.has("establish"))
      problems.error(node.at, "a route that signs in answers preflights itself; expected cors: { allowed_origins: [...] }");
    return;
  }
  const MapReader reader(problems, node, path);
  if (const Node* origins = reader.require("allowed_origins", "a list of origins like [https://app.example.com]"))
    read_origins(problems, *origins, cors);
  if (const Node* methods = reader.find("allowed_methods")) {
    cors.allowed_methods = read_tokens_of(problems, *methods, "a list of methods like [GET, POST]");
  } else {
    cors.allowed_methods = route.match.methods;
    std::erase(cors.allowed_methods, "OPTIONS");
    if (route.match.methods.empty()) cors.allowed_methods = {"GET", "HEAD", "POST"};
  }
  if (const Node* headers = reader.find("allowed_headers"))
    cors.allowed_headers = read_tokens_of(problems, *headers, "a list of header names like [Authorization, Content-Type]");
  if (const Node* exposed = reader.find("exposed_headers"))
    cors.exposed_headers = joined(read_tokens_of(problems, *exposed, "a list of header names like [ETag]"));
  if (const Node* credentials = reader.find("allow_credentials"))
    cors.allow_credentials = read_boolean(problems, *credentials).value_or(false);
  if (const Node* max_age = reader.find("max_age")) {
    const auto time = read_duration(problems, *max_age, {milliseconds(0), hours(24)});
    if (time) cors.max_age = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*time).count());
  }
  if (cors.allow_credentials && !cors.allowed_origins.empty() && cors.allowed_origins.front() == "*") {
    problems.error(reader.place_of("allow_credentials"),
                   "credentials for every origin are credentials for anybody; expected a list of origins");
  }
  cors.methods = joined(cors.allowed_methods);
  cors.headers = joined(cors.allowed_headers);
  rules.answers.drops_cors = true;
  rules.answers.varies_by_origin = true;
}

enum class Direction { request, answer };

// Why a rule may not be about that field; empty when it may. `sets`: it would write it, not only remove it.
std::string_view why_not(std::string_view name, Direction direction, bool sets) {
  const std::string folded = identity::fold_name(name);
  static const identity::OwnedNames kOwned({});
  if (kOwned.owns(name)) return "is the gateway's own, or about framing or one hop only";
  if (folded == "host") return "decides which site is meant; expected `host: server` of the upstream";
  if (folded == "date" || folded == "set-cookie2") return "is not a rule's to change";
  if (direction == Direction::request) {
    if (sets && (folded == "authorization" || folded == "cookie")) return "would be a credential, and nothing secret stands in this file";
    return {};
  }
  if (folded.starts_with("ratelimit-")) return "is the gateway's own";
  if (sets && folded == "set-cookie") return "could set a cookie that the gateway believes";
  if (sets && (folded == "content-encoding" || folded == "content-range")) return "says what the body is";
  return {};
}

bool is_value(std::string_view value) noexcept {
  return !value.empty() && value.size() <= kValueBytesMax && trim_ows(value) == value &&
         std::ranges::none_of(value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct FieldChanges {
  std::vector<std::string> remove;
  Pairs set;
  Pairs add;
};

bool is_usable(Problems& problems, const Place& at, std::string_view spelled, std::string_view name, Direction direction, bool sets) {
  if (!is_token(name)) {
    problems.error(at, fmt::format("{} is no header name (RFC 9110 §5.1)", spelled));
    return false;
  }
  const std::string_view reason = why_not(name, direction, sets);
  if (reason.empty()) return true;
  problems.error(at, fmt::format("{} {}", spelled, reason));
  return false;
}

void read_pairs(Problems& problems, const Node& node, Direction direction, Pairs& pairs) {
  if (node.kind != Node::Kind::map || node.members.empty()) {
    problems.error(node.at, "expected a mapping of header names to values, like { X-Frame-Options: DENY }");
    return;
  }
  for (const Member& member : node.members) {
    if (member.value.kind == Node::Kind::blank) {
      problems.error(member.value.at, fmt::format("{} is blank; expected a value", shown(member.key)));
      continue;
    }
    const auto value = read_text(problems, member.value, "the header's value");
    if (!value || !is_usable(problems, member.key.at, shown(member.key), member.key.text, direction, true)) continue;
    if (!is_value(*value)) {
      problems.error(member.value.at, fmt::format("{} cannot be a header's value", shown(member.value)));
      continue;
    }
    pairs.emplace_back(member.key.text, *value);
  }
}

FieldChanges read_changes(Problems& problems, const Node& node, std::string path, Direction direction, std::vector<HeaderRule>& named) {
  FieldChanges changes;
  const MapReader reader(problems, node, std::move(path));
  if (!reader.is_map()) return changes;
  if (reader.node().members.empty()) problems.error(node.at, "expected add, set or remove");
  if (const Node* set = reader.find("set")) read_pairs(problems, *set, direction, changes.set);
  if (const Node* add = reader.find("add")) read_pairs(problems, *add, direction, changes.add);
  if (const Node* remove = reader.find("remove")) {
    for (const Node* item : read_list(problems, *remove, "a list of header names")) {
      const auto name = read_text(problems, *item, "the name of a header");
      if (name && is_usable(problems, item->at, shown(*item), *name, direction, false)) changes.remove.push_back(*name);
    }
  }
  for (const auto& [name, value] : changes.set) {
    const auto same = [&name](const std::string& removed) { return identity::fold_alike(removed, name); };
    if (std::ranges::any_of(changes.remove, same)) problems.error(node.at, fmt::format("'{}' is both set and removed", name));
  }
  for (const Pairs* pairs : {&changes.set, &changes.add}) {
    for (const auto& pair : *pairs) named.push_back({node.at, pair.first});
  }
  for (const std::string& name : changes.remove) named.push_back({node.at, name});
  return changes;
}

void read_header_rules(Loading& loading, const MapReader& reader, pipeline::Route& route, pipeline::RouteRules& rules) {
  Problems& problems = loading.problems;
  if (const Node* node = reader.find("request_headers")) {
    FieldChanges changes = read_changes(problems, *node, reader.path_of("request_headers"), Direction::request, loading.header_rules);
    route.outbound.fields = std::make_shared<const identity::FieldRules>(
        identity::FieldRules{std::move(changes.remove), std::move(changes.set), std::move(changes.add)});
  }
  if (const Node* node = reader.find("response_headers")) {
    FieldChanges changes = read_changes(problems, *node, reader.path_of("response_headers"), Direction::answer, loading.header_rules);
    const auto is_cors = [](const auto& pair) { return identity::fold_name(pair.first).starts_with("access-control-"); };
    if (rules.answers.drops_cors && (std::ranges::any_of(changes.set, is_cors) || std::ranges::any_of(changes.add, is_cors)))
      problems.error(node->at, "`cors` answers for Access-Control-* on this route");
    rules.answers.remove = std::move(changes.remove);
    rules.answers.set = std::move(changes.set);
    rules.answers.add = std::move(changes.add);
  }
  if (const Node* node = reader.find("security_headers")) {
    static const Words<bool> kWords = {{"strict", true}, {"off", false}};
    rules.answers.is_strict = read_keyword(problems, *node, reader.path_of("security_headers"), kWords).value_or(false);
  }
}

}  // namespace

void read_rate_limits(Loading& loading, const Node& node) {
  loading.limits_of_every_route = read_limits(loading.problems, node, "rate_limits[]", {});
}

void read_overload(Loading& loading, const Node& node) {
  const MapReader reader(loading.problems, node, "overload");
  if (!reader.is_map()) return;
  const Node* memory = reader.find("memory");
  const Node* requests = reader.find("requests");
  if (memory == nullptr && requests == nullptr) loading.problems.error(node.at, "expected memory, requests or both");
  constexpr std::uint64_t kMemoryMin = 64ULL << 20;
  constexpr std::uint64_t kMemoryMax = 1ULL << 50;
  if (memory != nullptr) loading.settings.overload.memory_bytes = read_size(loading.problems, *memory, kMemoryMin, kMemoryMax);
  if (requests != nullptr) loading.settings.overload.requests = read_integer(loading.problems, *requests, 1, kRequestsMax);
}

void read_route_rules(Loading& loading, const MapReader& reader, bool is_public, pipeline::Route& route) {
  Problems& problems = loading.problems;
  pipeline::RouteRules rules;
  rules.limits = loading.limits_of_every_route;
  if (is_public) std::erase_if(rules.limits, [](const RateLimit& limit) { return limit.by == LimitBy::subject; });
  if (const Node* node = reader.find("rate_limits")) {
    const std::string path = reader.path_of("rate_limits") + "[]";
    std::vector<RateLimit> own = read_limits(problems, *node, path, route.name.empty() ? std::string_view("-") : route.name);
    if (is_public && std::ranges::find(own, LimitBy::subject, &RateLimit::by) != own.end())
      problems.error(node->at, "a public route knows no subject; expected by: address");
    rules.limits.insert(rules.limits.end(), own.begin(), own.end());
  }
  if (const Node* node = reader.find("allow")) rules.allow = read_networks(problems, *node);
  if (const Node* node = reader.find("deny")) rules.deny = read_networks(problems, *node);
  if (const Node* node = reader.find("cors")) read_cors(problems, reader, *node, route, rules);
  read_header_rules(loading, reader, route, rules);
  const bool has_any =
      !rules.limits.empty() || !rules.allow.empty() || !rules.deny.empty() || rules.has_cors || rules.answers != upstream::AnswerRules{};
  if (has_any) route.rules = std::make_shared<const pipeline::RouteRules>(std::move(rules));
}

void check_header_rules(Loading& loading) {
  for (const HeaderRule& rule : loading.header_rules) {
    for (const pipeline::Route& route : loading.routes) {
      const auto same = [&rule](const identity::IdentityHeader& header) { return identity::fold_alike(header.name, rule.name); };
      if (std::ranges::none_of(route.outbound.headers, same)) continue;
      loading.problems.error(
          rule.at, fmt::format("'{}' carries the identity of callers on route '{}' and is not a rule's to change", rule.name, route.name));
      break;
    }
  }
}

pipeline::RouteRulesPtr rules_of_every_request(const Loading& loading) {
  pipeline::RouteRules rules;
  for (const RateLimit& limit : loading.limits_of_every_route) {
    if (limit.by != LimitBy::subject) rules.limits.push_back(limit);
  }
  return rules.limits.empty() ? nullptr : std::make_shared<const pipeline::RouteRules>(std::move(rules));
}

}  // namespace sallyport::app
