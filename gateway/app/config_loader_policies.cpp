// The policy files: routes (DESIGN §2.3).
#include <algorithm>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

using authorize::Access;
using pipeline::Establish;

constexpr std::string_view kCredentialsPath = "policies[].routes[].credentials[]";

struct RouteReading {
  Loading& loading;
  const MapReader& reader;
  pipeline::Route route;
  PendingRoute pending;
  std::vector<std::string> parameters;  // of the path
  std::optional<Access> access;
};

void read_match(RouteReading& reading, const Node& node) {
  Problems& problems = reading.loading.problems;
  route::Match& match = reading.route.match;
  const MapReader reader(problems, node, "policies[].routes[].match");
  if (const Node* path = reader.require("path", "a path like /orders/**")) {
    reading.pending.at = path->at;
    if (const auto text = read_text(problems, *path, "a path like /orders/**")) {
      const Result<route::PathPattern> pattern = route::PathPattern::parse(*text);
      if (pattern) {
        match.path = *pattern;
        reading.parameters = pattern->parameter_names();
      } else {
        problems.error(path->at, fmt::format("{} is no path pattern{}", shown(*path), because(*path, pattern.error())));
      }
    }
  }
  if (const Node* host = reader.find("host")) {
    if (const auto text = read_text(problems, *host, "a host like api.example.com or *.example.com")) {
      const Result<route::HostPattern> pattern = route::HostPattern::parse(*text);
      if (pattern) match.host = *pattern;
      if (!pattern) problems.error(host->at, fmt::format("{} is no host pattern{}", shown(*host), because(*host, pattern.error())));
    }
  }
  const Node* methods = reader.find("methods");
  if (methods == nullptr) return;
  for (const Node* item : read_list(problems, *methods, "a list of methods like [GET, POST]")) {
    const auto text = read_text(problems, *item, "a method like GET");
    if (!text) continue;
    if (const Result<void> checked = route::check_method(*text); !checked) {
      problems.error(item->at, fmt::format("{} cannot be a route's method{}", shown(*item), because(*item, checked.error())));
      continue;
    }
    if (std::ranges::find(match.methods, *text) != match.methods.end())
      problems.error(item->at, fmt::format("{} stands in the list twice", shown(*item)));
    match.methods.push_back(*text);
  }
}

void read_access(RouteReading& reading) {
  static const Words<Access> kAccess = {
      {"public", Access::public_}, {"optional", Access::optional}, {"authenticated", Access::authenticated}};
  if (const Node* node = reading.reader.require("access", "public, optional or authenticated; there is no default")) {
    reading.access = read_keyword(reading.loading.problems, *node, reading.reader.path_of("access"), kAccess);
  }
}

// `{ jwt: ISSUER }` -> the issuer; nullptr when it is at fault or none.
const KnownIssuer* read_token_credential(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, std::string(kCredentialsPath));
  const Node* name = reader.require("jwt", "the name of an issuer");
  if (name == nullptr) return nullptr;
  const auto text = read_text(problems, *name, "the name of an issuer");
  if (!text) return nullptr;
  const KnownIssuer* issuer = find_issuer(loading, *text);
  if (issuer == nullptr) {
    problems.error(name->at, *text == authenticate::kEdgeIssuerName
                                 ? std::string("the gateway issues no tokens of its own; expected `tokens` in the configuration")
                                 : fmt::format("there is no issuer {}", shown(*name)));
  }
  return issuer;
}

void use_sessions(Loading& loading, const Place& at) {
  if (!loading.sessions_used_at) loading.sessions_used_at = at;
}

void read_named_credentials(RouteReading& reading, const Node& node) {
  Loading& loading = reading.loading;
  std::vector<const KnownIssuer*> named;
  std::vector<authenticate::CredentialEntry> entries;
  bool has_session = false;
  for (const Node* item : read_list(loading.problems, node, "a list of { jwt: ISSUER }, session and client_certificate")) {
    if (item->kind == Node::Kind::scalar) {
      static const Words<bool> kWords = {{"session", false}, {"client_certificate", true}};
      const auto is_certificate = read_keyword(loading.problems, *item, kCredentialsPath, kWords);
      if (!is_certificate) continue;
      if (*is_certificate) {
        if (!loading.certificates_used_at) loading.certificates_used_at = item->at;
        const auto is_one = [](const authenticate::CredentialEntry& entry) { return entry.is_client_certificate; };
        if (std::ranges::any_of(entries, is_one)) loading.problems.error(item->at, "client_certificate stands in the list twice");
        entries.push_back({.is_session = false, .issuer = nullptr, .is_client_certificate = true});
        continue;
      }
      if (has_session) loading.problems.error(item->at, "session stands in the list twice");
      has_session = true;
      use_sessions(loading, item->at);
      entries.push_back({.is_session = true, .issuer = nullptr, .is_client_certificate = false});
      continue;
    }
    const KnownIssuer* issuer = read_token_credential(loading, *item);
    if (issuer == nullptr) continue;
    if (std::ranges::find(named, issuer) != named.end())
      loading.problems.error(item->at, fmt::format("the issuer '{}' stands in the list twice", issuer->name));
    named.push_back(issuer);
    if (issuer->issuer != nullptr) entries.push_back({.is_session = false, .issuer = issuer->issuer, .is_client_certificate = false});
  }
  reading.route.credentials = authenticate::make_plan(entries, loading.sessions);
}

void read_credentials(RouteReading& reading) {
  const Node* node = reading.reader.find("credentials");
  reading.pending.takes_every_kind = !reading.reader.has("credentials");
  if (reading.pending.takes_every_kind && reading.access == Access::authenticated) {
    reading.loading.wanting_somebody.push_back(reading.reader.place_of("access"));
  }
  if (node == nullptr) return;
  if (reading.access == Access::public_) {
    reading.loading.problems.error(reading.reader.place_of("credentials"),
                                   "a public route reads no credentials; expected access: optional or authenticated");
  }
  read_named_credentials(reading, *node);
}

void read_requirements(RouteReading& reading) {
  const Node* node = reading.reader.find("require");
  if (node == nullptr) return;
  if (reading.access == Access::public_) {
    reading.loading.problems.error(reading.reader.place_of("require"),
                                   "a public route has no identity to require anything of; expected access: optional or authenticated");
  }
  reading.route.policy.require = read_requirement(reading.loading, *node, reading.parameters);
}

void check_header(RouteReading& reading, const Member& member, const identity::IdentityHeader& header) {
  Problems& problems = reading.loading.problems;
  const std::string folded = identity::fold_name(header.name);
  for (const identity::IdentityHeader& other : reading.route.outbound.headers) {
    if (identity::fold_name(other.name) == folded) {
      problems.error(member.key.at,
                     fmt::format("{} and '{}' are one header to an upstream that reads '-', '_' and '.' alike; expected one of them",
                                 shown(member.key), other.name));
    }
  }
}

void read_identity_headers(RouteReading& reading, const Node& node) {
  Problems& problems = reading.loading.problems;
  if (node.kind != Node::Kind::map || node.members.empty()) {
    problems.error(node.at, "expected a mapping of header names to claims, like { X-User-Id: sub }");
    return;
  }
  for (const Member& member : node.members) {
    if (member.value.kind == Node::Kind::blank) {
      problems.error(member.value.at, fmt::format("{} is blank; expected the name of a claim", shown(member.key)));
      continue;
    }
    const auto source = read_text(problems, member.value, "sub, iss, method, roles, scopes, the name of a claim or a JSON pointer");
    if (!is_token(member.key.text)) {
      problems.error(member.key.at, fmt::format("{} is no header name (RFC 9110 §5.1)", shown(member.key)));
      continue;
    }
    if (identity::OwnedNames::is_reserved(member.key.text)) {
      problems.error(member.key.at,
                     fmt::format("{} is a reserved header and cannot carry identity; expected a name like X-User-Id", shown(member.key)));
      continue;
    }
    if (!source) continue;
    Result<identity::IdentityHeader> header = identity::parse_identity_header(member.key.text, *source);
    if (!header) {
      problems.error(member.value.at, fmt::format("{} cannot fill a header{}", shown(member.value), because(member.value, header.error())));
      continue;
    }
    check_header(reading, member, *header);
    reading.route.outbound.headers.push_back(std::move(*header));
  }
}

void read_identity(RouteReading& reading) {
  const Node* node = reading.reader.find("identity");
  if (node == nullptr) {
    reading.route.outbound.headers = identity::default_identity_headers();
    return;
  }
  const MapReader identity(reading.loading.problems, *node, "policies[].routes[].identity");
  if (const Node* headers = identity.require("headers", "a mapping of header names to claims")) read_identity_headers(reading, *headers);
  if (reading.access == Access::public_) {
    reading.loading.problems.warning(reading.reader.place_of("identity"),
                                     "a public route sends no identity: these headers are only removed from requests");
  }
}

// Whether every path of `pattern` begins with the segments of `prefix`.
bool begins_with(const route::PathPattern& pattern, std::string_view prefix) {
  const std::vector<std::string_view> wanted = split(prefix.substr(1), '/');
  const std::vector<route::Segment>& segments = pattern.segments();
  if (wanted.size() > segments.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (segments[i].kind != route::Segment::Kind::literal || segments[i].text != wanted[i]) return false;
  }
  return true;
}

void read_rewrite(RouteReading& reading, const Node& node) {
  Problems& problems = reading.loading.problems;
  const MapReader rewrite(problems, node, "policies[].routes[].rewrite");
  const Node* prefix = rewrite.require("strip_prefix", "a path like /orders");
  if (prefix == nullptr) return;
  const auto text = read_text(problems, *prefix, "a path like /orders");
  if (!text) return;
  if (!text->starts_with('/') || text->size() < 2 || text->ends_with('/')) {
    return problems.error(prefix->at,
                          fmt::format("{} cannot be stripped; expected a path like /orders, without a slash at the end", shown(*prefix)));
  }
  if (!reading.route.match.path.segments().empty() && !begins_with(reading.route.match.path, *text)) {
    return problems.error(prefix->at, fmt::format("the route's path does not begin with {}; expected the literal beginning of '{}'",
                                                  shown(*prefix), reading.route.match.path.text()));
  }
  reading.route.outbound.strip_prefix = *text;
}

void read_upstream_name(RouteReading& reading) {
  Loading& loading = reading.loading;
  const Node* node = reading.reader.require("upstream", "the name of an upstream");
  if (node == nullptr) return;
  const auto name = read_text(loading.problems, *node, "the name of an upstream");
  if (!name) return;
  const auto found = std::ranges::find(loading.upstreams, *name, &KnownUpstream::name);
  if (found == loading.upstreams.end()) {
    std::vector<std::string_view> names;
    for (const KnownUpstream& known : loading.upstreams) names.push_back(known.name);
    const std::string_view meant = node->expanded ? std::string_view() : nearest(*name, names);
    loading.problems.error(
        node->at, fmt::format("there is no upstream {}{}", shown(*node), meant.empty() ? "" : fmt::format("; did you mean '{}'?", meant)));
    return;
  }
  found->is_used = true;
  reading.route.upstream = static_cast<std::size_t>(found - loading.upstreams.begin());
  const upstream::UpstreamSettings& settings = loading.settings.upstreams[reading.route.upstream];
  if (settings.sends_server_host && !settings.servers.empty()) reading.route.outbound.fixed_host = settings.servers.front().host_field();
}

// What is taken out of requests: every place where any issuer's token may stand, so that a token which this route does not accept does not
// reach its upstream either, and the cookies that we set. Authorization is the identity stage's own affair; the cookies of
// sessions.foreign stay, because the application that wrote them reads them.
void plan_removal(const Loading& loading, identity::OutboundPlan& plan) {
  const auto add = [](std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const KnownIssuer& known : loading.issuers) {
    if (known.issuer == nullptr) continue;
    for (const authenticate::TokenPlace& place : known.issuer->settings.token_from) {
      switch (place.kind) {
        case authenticate::TokenPlace::Kind::authorization: break;
        case authenticate::TokenPlace::Kind::header: add(plan.credential_headers, place.name); break;
        case authenticate::TokenPlace::Kind::cookie: add(plan.our_cookies, place.name); break;
      }
    }
  }
  for (const std::string& name : our_cookies(loading)) add(plan.our_cookies, name);
  if (loading.edge) plan.refresh_cookie = loading.edge->settings().refresh_cookie;
}

void read_csrf(RouteReading& reading, const Node& node) {
  Problems& problems = reading.loading.problems;
  authorize::CsrfPolicy& csrf = reading.route.csrf;
  const std::string path = reading.reader.path_of("csrf");
  if (node.kind == Node::Kind::scalar) {
    static const Words<bool> kWords = {{"auto", false}, {"off", true}};
    csrf.off = read_keyword(problems, node, path, kWords).value_or(false);
    return;
  }
  const MapReader reader(problems, node, path);
  const Node* origins = reader.require("allowed_origins", "a list of origins like [https://app.example.com]");
  if (origins == nullptr) return;
  for (const Node* item : read_list(problems, *origins, "a list of origins like [https://app.example.com]")) {
    const auto text = read_text(problems, *item, "an origin like https://app.example.com");
    if (!text) continue;
    Result<std::string> origin = authorize::parse_origin(*text);
    if (!origin) {
      problems.error(item->at, fmt::format("{} is no origin{}; expected one like https://app.example.com", shown(*item),
                                           because(*item, origin.error())));
      continue;
    }
    if (std::ranges::find(csrf.allowed_origins, *origin) != csrf.allowed_origins.end())
      problems.error(item->at, fmt::format("{} stands in the list twice", shown(*item)));
    csrf.allowed_origins.push_back(std::move(*origin));
  }
}

void read_establish(RouteReading& reading, const Node& node) {
  Loading& loading = reading.loading;
  static const Words<Establish> kWords = {{"session", Establish::session}, {"tokens", Establish::tokens}};
  const auto value = read_keyword(loading.problems, node, reading.reader.path_of("establish"), kWords);
  if (!value) return;
  reading.route.establish = *value;
  if (*value == Establish::session) use_sessions(loading, node.at);
  if (*value == Establish::tokens && !loading.tokens_at) {
    loading.problems.error(node.at, "the gateway issues no tokens of its own; expected `tokens` in the configuration");
  }
  const std::vector<std::string>& methods = reading.route.match.methods;
  if (!methods.empty() && std::ranges::find(methods, "POST") == methods.end()) {
    loading.problems.warning(node.at, "the route does not take POST: signing in by a safe method can be triggered by any link");
  }
}

// `true`, `false`, or a mapping, which means true.
void read_websocket(RouteReading& reading, const Node& node) {
  Problems& problems = reading.loading.problems;
  pipeline::WebSocketPlan plan;
  if (node.kind == Node::Kind::scalar) {
    if (!read_boolean(problems, node).value_or(false)) return;
  } else {
    const MapReader reader(problems, node, reading.reader.path_of("websocket"));
    if (const Node* idle = reader.require("idle_timeout", "a duration like 5m"))
      plan.idle_timeout = read_duration(problems, *idle, {std::chrono::seconds(1), std::chrono::hours(24)}).value_or(plan.idle_timeout);
  }
  const std::vector<std::string>& methods = reading.route.match.methods;
  if (!methods.empty() && std::ranges::find(methods, "GET") == methods.end())
    problems.error(reading.reader.place_of("websocket"), "a WebSocket begins with GET, which the route does not take");
  if (reading.reader.has("establish"))
    problems.error(reading.reader.place_of("websocket"), "a route that signs in opens no WebSockets; expected a route of their own");
  reading.route.websocket = plan;
}

void read_switches(RouteReading& reading) {
  Problems& problems = reading.loading.problems;
  if (const Node* node = reading.reader.find("forward_credentials")) {
    reading.route.outbound.forward_credentials = read_boolean(problems, *node).value_or(false);
  }
  if (const Node* node = reading.reader.find("csrf")) read_csrf(reading, *node);
  if (const Node* node = reading.reader.find("establish")) read_establish(reading, *node);
  if (const Node* node = reading.reader.find("rewrite")) read_rewrite(reading, *node);
  if (const Node* node = reading.reader.find("websocket")) read_websocket(reading, *node);
}

void read_route_name(RouteReading& reading) {
  Loading& loading = reading.loading;
  const Node* node = reading.reader.require("name", "a name for logs and metrics");
  if (node == nullptr) return;
  const auto name = read_name(loading.problems, *node);
  if (!name) return;
  const auto same = std::ranges::find(loading.routes, *name, &pipeline::Route::name);
  if (same != loading.routes.end())
    loading.problems.error(node->at, fmt::format("another route has the name '{}' already: {}", *name, same->source));
  reading.route.name = *name;
}

void read_route(Loading& loading, const Node& node) {
  const std::size_t errors_before = loading.problems.error_count();
  const MapReader reader(loading.problems, node, "policies[].routes[]");
  RouteReading reading{loading, reader, {}, {node.at}, {}, std::nullopt};
  reading.route.source = text(node.at);
  read_route_name(reading);
  if (const Node* match = reader.require("match", "{ path: /orders/** }")) read_match(reading, *match);
  read_access(reading);
  read_credentials(reading);
  read_requirements(reading);
  read_identity(reading);
  read_switches(reading);
  read_route_rules(loading, reader, reading.access == Access::public_, reading.route);
  read_upstream_name(reading);
  if (reading.access) reading.route.policy.access = *reading.access;
  reading.route.outbound.is_public = reading.access == Access::public_;
  // A route with problems would only add conflicts that are none.
  if (loading.problems.error_count() != errors_before) return;
  loading.routes.push_back(std::move(reading.route));
  loading.pending.push_back(reading.pending);
}

void read_policy(Loading& loading, const Node& root) {
  const MapReader policy(loading.problems, root, "policies[]");
  if (!policy.is_map()) return;
  if (const Node* version = policy.require("version", "1")) static_cast<void>(read_integer(loading.problems, *version, 1, 1));
  if (const Node* routes = policy.require("routes", "a list of routes")) {
    for (const Node* route : read_list(loading.problems, *routes, "a list of routes")) read_route(loading, *route);
  }
}

// Whether `inner` lies below the node that `outer` takes with everything below it. A whole site behind `/**` with a public page is how
// sites are built; a public corner inside a protected section is worth a look.
bool is_corner_of(const route::Match& inner, const route::Match& outer) {
  const std::vector<route::Segment>& below = inner.path.segments();
  const std::vector<route::Segment>& section = outer.path.segments();
  const bool same_host =
      !outer.host || (inner.host && inner.host->name() == outer.host->name() && inner.host->is_suffix() == outer.host->is_suffix());
  if (!same_host || section.size() < 2 || section.back().kind != route::Segment::Kind::rest || below.size() < section.size()) return false;
  return std::equal(section.begin(), section.end() - 1, below.begin());
}

void warn_of_public_corners(Loading& loading) {
  for (std::size_t i = 0; i < loading.routes.size(); ++i) {
    if (loading.routes[i].policy.access != Access::public_) continue;
    for (const pipeline::Route& section : loading.routes) {
      if (section.policy.access != Access::authenticated || !is_corner_of(loading.routes[i].match, section.match)) continue;
      loading.problems.warning(loading.pending[i].at, fmt::format("route '{}' is public below the authenticated route '{}' ({})",
                                                                  loading.routes[i].name, section.name, section.source));
    }
  }
}

}  // namespace

void read_policies(Loading& loading, const Node& patterns) {
  Problems& problems = loading.problems;
  std::vector<std::string> files;
  for (const Node* pattern : read_list(problems, patterns, "a list of policy files or patterns like policies/*.yaml")) {
    const auto text = read_text(problems, *pattern, "the path of a policy file, or a pattern like policies/*.yaml");
    if (!text) continue;
    problems.was_read(folder_of_pattern(resolve(*pattern->at.source, *text)));
    const Result<std::vector<std::string>> found = expand_pattern(*pattern->at.source, *text);
    if (!found) {
      problems.error(pattern->at, fmt::format("{}: {}", shown(*pattern), found.error().detail));
      continue;
    }
    for (const std::string& file : *found) {
      if (std::ranges::find(files, file) != files.end()) {
        problems.error(pattern->at, fmt::format("{} names the file {} a second time", shown(*pattern), file));
        continue;
      }
      files.push_back(file);
      if (const std::optional<Node> root = read_source(loading, file, pattern)) read_policy(loading, *root);
    }
  }
  warn_of_public_corners(loading);
}

std::vector<std::string> our_cookies(const Loading& loading) {
  std::vector<std::string> names;
  if (loading.sessions_used_at) names.push_back(loading.sessions->cookie_name);
  if (loading.edge) {
    names.push_back(loading.edge->settings().access_cookie);
    names.push_back(loading.edge->settings().refresh_cookie);
  }
  return names;
}

namespace {

// A route that takes client certificates where no listener asks for one would wait for ever.
void check_certificates_are_asked_for(Loading& loading) {
  const auto asks = [](const listen::ListenerSettings& listener) { return listener.tls && listener.tls->clients; };
  if (!loading.certificates_used_at || std::ranges::any_of(loading.settings.listeners, asks)) return;
  loading.problems.error(*loading.certificates_used_at,
                         "no listener asks for client certificates; expected client_ca_file and client_certificate in a listener's tls");
}

}  // namespace

void complete_routes(Loading& loading) {
  check_certificates_are_asked_for(loading);
  check_header_rules(loading);
  const authenticate::CredentialPlan every = plan_of_every_kind(loading);
  for (std::size_t i = 0; i < loading.routes.size(); ++i) {
    pipeline::Route& route = loading.routes[i];
    plan_removal(loading, route.outbound);
    if (!loading.pending[i].takes_every_kind) continue;
    route.credentials = every;
  }
  if (!loading.issuers.empty() || loading.sessions_used_at) return;
  for (const Place& place : loading.wanting_somebody) {
    loading.problems.error(place,
                           "nobody could ever pass: no issuer is configured; expected `issuers`, `sessions` or `tokens` in the "
                           "configuration");
  }
}

}  // namespace sallyport::app
