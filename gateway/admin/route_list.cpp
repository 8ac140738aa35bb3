#include "admin/route_list.hpp"

#include "base/json.hpp"

namespace sallyport::admin {
namespace {

std::string_view name(authorize::Access access) noexcept {
  switch (access) {
    case authorize::Access::public_: return "public";
    case authorize::Access::optional: return "optional";
    case authorize::Access::authenticated: return "authenticated";
  }
  return "unknown";
}

Json text(std::string_view value) { return Json(std::string(value)); }

Json match_object(const route::Match& match) {
  JsonObject object;
  if (match.host) object.emplace_back("host", text((match.host->is_suffix() ? "*." : "") + match.host->name()));
  object.emplace_back("path", text(match.path.text()));
  if (!match.methods.empty()) {
    JsonArray methods;
    for (const std::string& method : match.methods) methods.push_back(text(method));
    object.emplace_back("methods", Json(std::move(methods)));
  }
  return Json(std::move(object));
}

}  // namespace

std::string route_list(const pipeline::Snapshot& snapshot) {
  JsonArray routes;
  for (const pipeline::Route& route : snapshot.routes) {
    JsonObject object;
    object.emplace_back("name", text(route.name));
    object.emplace_back("source", text(route.source));
    object.emplace_back("match", match_object(route.match));
    object.emplace_back("access", text(name(route.policy.access)));
    object.emplace_back("upstream", text(snapshot.upstream_names.at(route.upstream)));
    routes.emplace_back(std::move(object));
  }
  return Json(std::move(routes)).dump();
}

}  // namespace sallyport::admin
