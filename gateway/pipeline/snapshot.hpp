// One configuration, compiled: what a request is judged by. Immutable and shared; a request ends with the one it began with (invariant 5).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "authenticate/credentials.hpp"
#include "authorize/authorizer.hpp"
#include "authorize/csrf.hpp"
#include "identity/outbound_request.hpp"
#include "identity/owned_names.hpp"
#include "issue/edge_keys.hpp"
#include "issue/revoker.hpp"
#include "pipeline/route_rules.hpp"
#include "route/route_table.hpp"

namespace sallyport::pipeline {

// What a 2xx answer with X-Auth-Establish makes on a route (DESIGN §3.3).
enum class Establish : unsigned char { nothing, session, tokens };

// `websocket`: requests of this route may become tunnels (RFC 6455).
struct WebSocketPlan {
  std::chrono::milliseconds idle_timeout = std::chrono::minutes(5);  // without a byte either way
};

struct Route {
  std::string name;
  std::string source;  // "policies/demo.yaml:12:5", for explain and GET /routes
  route::Match match;
  authenticate::CredentialPlan credentials;
  authorize::RoutePolicy policy;
  identity::OutboundPlan outbound;
  authorize::CsrfPolicy csrf;
  Establish establish = Establish::nothing;
  RouteRulesPtr rules;                     // nullptr: none
  std::optional<WebSocketPlan> websocket;  // nullopt: `Upgrade` is removed, and the request is an ordinary one
  std::size_t upstream = 0;                // index into the worker's upstreams, in the order of the configuration
};

struct Snapshot {
  std::vector<Route> routes;  // RouteTable's indices point here
  route::RouteTable table;
  identity::OwnedNames owned_names;
  std::vector<authenticate::IssuerPtr> issuers;
  std::vector<std::string> upstream_names;
  authenticate::CredentialPlan any_credential;  // every issuer and sessions: for GET /.gateway/session
  authenticate::SessionSettingsPtr sessions;    // never null
  issue::EdgeKeysPtr edge;                      // null without `tokens`
  std::vector<std::string> our_cookies;         // that we set: session, access, refresh; an upstream may not set them
  issue::RevocationTimes revocation_times;
  // The rate limits of every route, for what belongs to none: our own endpoints and addresses without a route.
  RouteRulesPtr every_request = {};
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace sallyport::pipeline
