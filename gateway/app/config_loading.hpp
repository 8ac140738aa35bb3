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

struct Loading {
  explicit Loading(Environment resolve) : environment(resolve) {}

  Environment environment;
  Problems problems;
  std::deque<Source> sources;  // places point to them
  Settings settings;
  std::vector<KnownIssuer> issuers;
  std::vector<KnownUpstream> upstreams;  // in the order of settings.upstreams
  std::vector<KnownEndpoint> endpoints;
  std::vector<KnownServer> servers;
  std::vector<pipeline::Route> routes;
  std::vector<Place> route_places;  // of each route's path, or of the route where there is none
};

// Each reads one section into `loading`.
void read_listeners(Loading& loading, const Node& node);
void read_admin(Loading& loading, const Node& node);
void read_issuers(Loading& loading, const Node& node);
void read_upstreams(Loading& loading, const Node& node);
void read_policies(Loading& loading, const Node& patterns);
// A requirement of a route whose path has `parameters`; nullopt when something is wrong with it.
[[nodiscard]] std::optional<authorize::Requirement> read_requirement(Loading& loading, const Node& node,
                                                                     const std::vector<std::string>& parameters);

// One file as a tree; nullopt when it cannot be read (reported at `named_by`, where the path stands; nullptr: in the file itself).
[[nodiscard]] std::optional<Node> read_source(Loading& loading, const std::string& name, const Node* named_by);

// What a route accepts that takes the tokens of `issuers`.
[[nodiscard]] authenticate::CredentialPlan plan_credentials(std::vector<authenticate::IssuerPtr> issuers);
[[nodiscard]] const KnownIssuer* find_issuer(const Loading& loading, std::string_view name);

}  // namespace sallyport::app
