// Snapshots for tests, without YAML: routes by pattern, one issuer.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/snapshot.hpp"
#include "support/token_factory.hpp"

namespace sallyport::testing {

inline authenticate::IssuerPtr test_issuer(std::string name, std::string iss, std::string audience, authenticate::Algorithm algorithm) {
  authenticate::Expectations expected = expectations({algorithm});
  expected.issuer = std::move(iss);
  expected.audiences = {std::move(audience)};
  auto issuer = std::make_shared<authenticate::Issuer>();
  issuer->settings.name = std::move(name);
  issuer->settings.expectations = std::move(expected);
  issuer->settings.token_from = {authenticate::TokenPlace{}};
  std::vector<std::string> warnings;
  issuer->keys = std::make_shared<authenticate::KeySource>(need(authenticate::KeySet::from_jwks(test_key(algorithm).public_jwks, warnings)));
  return issuer;
}

// `tokens` of the gateway https://edge.example, signed with the test key of ES256.
inline issue::EdgeKeysPtr test_edge_keys() {
  issue::TokenSettings settings;
  settings.issuer = "https://edge.example";
  settings.audiences = {"api"};
  std::vector<std::string> warnings;
  return need(issue::EdgeKeys::create(settings, test_key(authenticate::Algorithm::es256).private_jwks, warnings));
}

// Issuers and tokens first: a route takes what is there when it is added.
class SnapshotBuilder {
 public:
  // Returns the route, to be refined before build(); valid until the next add().
  pipeline::Route& add(std::string name, std::string_view pattern, authorize::Access access) {
    pipeline::Route route;
    route.name = std::move(name);
    route.source = "test.yaml:1:1";
    route.match.path = need(route::PathPattern::parse(pattern));
    route.policy.access = access;
    route.credentials = plan();
    route.outbound.headers = identity::default_identity_headers();
    route.outbound.is_public = access == authorize::Access::public_;
    route.outbound.our_cookies = our_cookies();
    if (edge_ != nullptr) route.outbound.refresh_cookie = edge_->settings().refresh_cookie;
    routes_.push_back(std::move(route));
    return routes_.back();
  }
  SnapshotBuilder& accept(authenticate::IssuerPtr issuer) {
    issuers_.push_back(std::move(issuer));
    return *this;
  }
  SnapshotBuilder& issue_tokens(issue::EdgeKeysPtr edge) {
    edge_ = std::move(edge);
    return accept(edge_->issuer());
  }
  SnapshotBuilder& keep_sessions(authenticate::SessionSettings settings) {
    sessions_ = std::make_shared<const authenticate::SessionSettings>(std::move(settings));
    return *this;
  }
  // Bearer tokens, the session cookie, tokens in cookies.
  [[nodiscard]] authenticate::CredentialPlan plan() const { return authenticate::make_default_plan(issuers_, sessions_); }
  [[nodiscard]] std::vector<std::string> our_cookies() const {
    std::vector<std::string> names{sessions_->cookie_name};
    if (edge_ != nullptr) {
      names.push_back(edge_->settings().access_cookie);
      names.push_back(edge_->settings().refresh_cookie);
    }
    return names;
  }
  [[nodiscard]] pipeline::SnapshotPtr build() {
    std::vector<route::Match> matches;
    for (const pipeline::Route& route : routes_) matches.push_back(route.match);
    route::RouteTable::Built built = route::RouteTable::build(std::move(matches));
    if (!built.conflicts.empty()) throw std::runtime_error("test data: " + built.conflicts.front().detail);
    return std::make_shared<pipeline::Snapshot>(pipeline::Snapshot{.routes = std::move(routes_),
                                                                   .table = std::move(built.table),
                                                                   .owned_names = identity::OwnedNames({}),
                                                                   .issuers = issuers_,
                                                                   .upstream_names = {"web"},
                                                                   .any_credential = plan(),
                                                                   .sessions = sessions_,
                                                                   .edge = edge_,
                                                                   .our_cookies = our_cookies(),
                                                                   .revocation_times = {}});
  }

 private:
  authenticate::SessionSettingsPtr sessions_ = std::make_shared<const authenticate::SessionSettings>();
  issue::EdgeKeysPtr edge_;
  std::vector<authenticate::IssuerPtr> issuers_;
  std::vector<pipeline::Route> routes_;
};

}  // namespace sallyport::testing
