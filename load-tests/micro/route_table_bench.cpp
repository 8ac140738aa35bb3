#include "route/route_table.hpp"

#include <memory>
#include <unordered_map>

#include "stage.hpp"
#include "support/token_factory.hpp"

namespace sallyport::micro {
namespace {

constexpr std::string_view kHost = "api.example.com";
constexpr std::string_view kPath = "/v7/service-0/items/4711/lines";

std::vector<std::string> patterns(std::size_t count) {
  std::vector<std::string> all{"/public/**", "/v7/service-0/items/{id}/*"};
  for (std::size_t i = 1; all.size() < count; ++i) {
    all.push_back("/v" + std::to_string(i % 10) + "/service-" + std::to_string(i) + (i % 2 == 0 ? "/**" : "/items/{id}/*"));
  }
  return all;
}

Body find(std::size_t routes) {
  std::vector<route::Match> matches;
  for (const std::string& pattern : patterns(routes)) {
    matches.push_back({.host = std::nullopt, .path = testing::need(route::PathPattern::parse(pattern)), .methods = {}});
  }
  auto built = std::make_shared<const route::RouteTable::Built>(route::RouteTable::build(std::move(matches)));
  if (!std::holds_alternative<route::Found>(built->table.find(kHost, http::Method::get, "GET", kPath)))
    throw std::runtime_error("no route");
  return [built] { keep(built->table.find(kHost, http::Method::get, "GET", kPath).index()); };
}

// The whole path as a key: what could be done if nothing but literal paths were routed.
Body look_up(std::size_t routes) {
  auto table = std::make_shared<std::unordered_map<std::string_view, std::size_t>>();
  auto all = std::make_shared<const std::vector<std::string>>(patterns(routes));
  for (const std::string& pattern : *all) table->emplace(pattern, table->size());
  table->emplace(kPath, table->size());
  return [table, all] { keep(table->find(kPath)->second); };
}

}  // namespace

void add_routes(std::vector<Stage>& to) {
  for (const std::size_t count : {10U, 10'000U}) {
    to.push_back({"route of " + std::to_string(count), [count] { return find(count); }, [count] { return look_up(count); },
                  "the path as a key of a hash table"});
  }
}

}  // namespace sallyport::micro
