#include "admin/route_list.hpp"

#include <gtest/gtest.h>

namespace sallyport::admin {
namespace {

pipeline::Route route(std::string name, std::optional<std::string> host, std::string path, std::vector<std::string> methods,
                      authorize::Access access) {
  pipeline::Route route{.name = std::move(name),
                        .source = "policies/demo.yaml:4:5",
                        .match = {std::nullopt, *route::PathPattern::parse(path), std::move(methods)},
                        .credentials = {},
                        .policy = {access, std::nullopt},
                        .outbound = {},
                        .csrf = {},
                        .establish = pipeline::Establish::nothing,
                        .rules = {},
                        .websocket = {},
                        .upstream = 1};
  if (host) route.match.host = *route::HostPattern::parse(*host);
  return route;
}

pipeline::Snapshot snapshot_without_routes() {
  return {.routes = {},
          .table = {},
          .owned_names = identity::OwnedNames({}),
          .issuers = {},
          .upstream_names = {"web", "orders"},
          .any_credential = {},
          .sessions = std::make_shared<authenticate::SessionSettings>(),
          .edge = nullptr,
          .our_cookies = {},
          .revocation_times = {}};
}

TEST(RouteList, IsEmptyWithoutRoutes) { EXPECT_EQ(route_list(snapshot_without_routes()), "[]"); }

TEST(RouteList, ShowsEachRouteAsItWasUnderstood) {
  pipeline::Snapshot snapshot = snapshot_without_routes();
  snapshot.routes.push_back(route("pages", std::nullopt, "/public/**", {}, authorize::Access::public_));
  snapshot.routes.push_back(route("users", "*.Example.com", "/users/{user}", {"GET", "POST"}, authorize::Access::authenticated));
  snapshot.routes.push_back(route("maybe", "api.example.com", "/a", {}, authorize::Access::optional));
  EXPECT_EQ(
      route_list(snapshot),
      R"([{"name":"pages","source":"policies/demo.yaml:4:5",)"
      R"("match":{"path":"/public/**"},"access":"public","upstream":"orders"},)"
      R"({"name":"users","source":"policies/demo.yaml:4:5",)"
      R"("match":{"host":"*.example.com","path":"/users/{user}","methods":["GET","POST"]},"access":"authenticated","upstream":"orders"},)"
      R"({"name":"maybe","source":"policies/demo.yaml:4:5",)"
      R"("match":{"host":"api.example.com","path":"/a"},"access":"optional","upstream":"orders"}])");
}

}  // namespace
}  // namespace sallyport::admin
