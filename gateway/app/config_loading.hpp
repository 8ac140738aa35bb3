// What the parts of the loader share while one configuration is read. Internal to config_loader*.cpp.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/config_reader.hpp"
#include "app/settings.hpp"

namespace sallyport::app {

// An address to listen on: always an IP address, never a name.
struct Endpoint {
  std::string host;  // as inet_ntop() spells it, without brackets
  std::uint16_t port = 0;
  bool is_any = false;
  bool is_loopback = false;
};
// `127.0.0.1:8443` or `[::1]:8443`.
[[nodiscard]] std::optional<Endpoint> read_endpoint(Problems& problems, const Node& node);

// A name that something else may refer to. `is_complete` is false when its own section has problems: references to it are then
// right, and nothing more is said about it.
struct KnownIssuer {
  std::string name;
  std::string iss;  // empty when at fault
  Place at;
  authenticate::IssuerPtr issuer;  // nullptr when its own section has problems
};
struct KnownUpstream {
  std::string name;
  Place at;
  bool is_used = false;
};
struct KnownEndpoint {
  std::string owner;  // "listener 'public'"
  Endpoint endpoint;
};
struct KnownServer {
  Place at;
  std::string host;
  std::uint16_t port;
};

// A cookie that means something to the gateway: no other may have its name.
struct KnownCookie {
  std::string name;
  std::string owner;  // "the session cookie"
};

// What of a route is left until every route has been read.
struct PendingRoute {
  Place at;                       // of its path, or of the route where there is none
  bool takes_every_kind = false;  // it has no `credentials`
};

// A field that a header rule of some route is about.
struct HeaderRule {
  Place at;
  std::string name;
};

struct Loading {
  explicit Loading(Environment resolve) : environment(resolve) {}

  Environment environment;
  Problems problems;
  std::deque<Source> sources;  // places point to them
  Settings settings;
  std::vector<KnownIssuer> issuers;      // that of our own tokens, too: "edge"
  std::vector<KnownUpstream> upstreams;  // in the order of settings.upstreams
  std::vector<KnownEndpoint> endpoints;
  std::vector<KnownServer> servers;
  std::vector<KnownCookie> cookies;
  std::vector<authorize::RateLimit> limits_of_every_route;
  std::vector<HeaderRule> header_rules;
  std::vector<pipeline::Route> routes;
  std::vector<PendingRoute> pending;    // of each route
  std::vector<Place> wanting_somebody;  // where routes, faulty ones included, say that they want any identity

  bool has_store_path = false;
  bool has_redis = false;
  authenticate::SessionSettingsPtr sessions;  // never null once read_sessions() was called
  std::optional<Place> certificates_used_at;  // the first route that takes client certificates
  std::optional<Place> sessions_used_at;      // the first place that makes sessions something that is used
  std::optional<Place> tokens_at;             // of the section `tokens`, faulty or not
  issue::EdgeKeysPtr edge;                    // null without `tokens`, and where they are at fault
  std::chrono::milliseconds family_ttl{0};    // 0 without tokens
};

// Each reads one section into `loading`.
void read_listeners(Loading& loading, const Node& node);
void read_admin(Loading& loading, const Node& node);
void read_issuers(Loading& loading, const Node& node);
void read_upstreams(Loading& loading, const Node& node);
void read_store(Loading& loading, const Node& node);
// nullptr where there is no such section. Tokens are read before sessions, which take their issuer from them.
void read_tokens(Loading& loading, const Node* node);
void read_sessions(Loading& loading, const Node* node);
void read_revocations(Loading& loading, const Node* node);
// Before the policies, whose routes have these limits, too.
void read_rate_limits(Loading& loading, const Node& node);
void read_overload(Loading& loading, const Node& node);
void read_policies(Loading& loading, const Node& patterns);
// What a route asks beside its policy. `route` has its name and its match.
void read_route_rules(Loading& loading, const MapReader& reader, bool is_public, pipeline::Route& route);
// Reports header rules about fields that carry identity on any route.
void check_header_rules(Loading& loading);
[[nodiscard]] pipeline::RouteRulesPtr rules_of_every_request(const Loading& loading);
// The cookies that we set ourselves.
[[nodiscard]] std::vector<std::string> our_cookies(const Loading& loading);
// What only shows when every route is known: the plans of those that take every credential, and what is removed from requests.
void complete_routes(Loading& loading);
// What sessions and tokens need of the store. After the routes.
void check_store_suffices(Loading& loading, const Place& top);
// A requirement of a route whose path has `parameters`; nullopt when something is wrong with it.
[[nodiscard]] std::optional<authorize::Requirement> read_requirement(Loading& loading, const Node& node,
                                                                     const std::vector<std::string>& parameters);

// One file as a tree; nullopt when it cannot be read (reported at `named_by`, where the path stands; nullptr: in the file itself).
[[nodiscard]] std::optional<Node> read_source(Loading& loading, const std::string& name, const Node* named_by);

// Every issuer that is not at fault, and sessions where they are used.
[[nodiscard]] authenticate::CredentialPlan plan_of_every_kind(const Loading& loading);
[[nodiscard]] const KnownIssuer* find_issuer(const Loading& loading, std::string_view name);

// A list of different, non-empty texts.
[[nodiscard]] std::vector<std::string> read_texts(Problems& problems, const Node& node, std::string_view expected);
[[nodiscard]] std::optional<JsonPointer> read_json_pointer(Problems& problems, const Node& node, std::string_view example);
// One path of a secret file, or a list of them: the first is used, the others are still accepted. Each holds `bytes_min` or more.
struct SecretFile {
  std::string path;
  Secret secret;
};
[[nodiscard]] std::vector<SecretFile> read_secret_files(Problems& problems, const Node& node, std::size_t bytes_min);
// The name of a cookie that we set: a token, and with a warning unless browsers keep other hosts from setting it. nullopt: reported.
[[nodiscard]] std::optional<std::string> read_cookie_name(Problems& problems, const Node& node);
[[nodiscard]] std::optional<authenticate::SameSite> read_same_site(Problems& problems, const Node& node, std::string_view path);
// Reports at `at` when another cookie has the name already.
void claim_cookie(Loading& loading, const Place& at, std::string_view name, std::string_view owner);

}  // namespace sallyport::app
