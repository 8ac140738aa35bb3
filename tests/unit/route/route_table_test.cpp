#include "route/route_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace sallyport::route {
namespace {

Match match(std::string_view path, std::vector<std::string> methods = {}, std::string_view host = {}) {
  Match result{.host = std::nullopt, .path = PathPattern::parse(path).value(), .methods = std::move(methods)};
  if (!host.empty()) result.host = HostPattern::parse(host).value();
  return result;
}

RouteTable table_of(std::vector<Match> routes) {
  RouteTable::Built built = RouteTable::build(std::move(routes));
  for (const RouteConflict& conflict : built.conflicts)
    ADD_FAILURE() << conflict.route << " and " << conflict.other << ": " << conflict.detail;
  return std::move(built.table);
}

std::vector<RouteConflict> conflicts_of(std::vector<Match> routes) { return RouteTable::build(std::move(routes)).conflicts; }

RouteOutcome find(const RouteTable& table, std::string_view method, std::string_view path, std::string_view host = "any.example") {
  return table.find(host, http::method_of(method), method, path);
}

// The route's index, or -404, -405, -501.
int winner(const RouteTable& table, std::string_view method, std::string_view path, std::string_view host = "any.example") {
  const RouteOutcome outcome = find(table, method, path, host);
  if (const auto* found = std::get_if<Found>(&outcome)) return static_cast<int>(found->route);
  if (std::holds_alternative<MethodNotAllowed>(outcome)) return -405;
  if (std::holds_alternative<UnknownMethod>(outcome)) return -501;
  return -404;
}

TEST(RouteTable, J22_FindsNothingWhereNoRouteMatches) {
  const RouteTable table = table_of({match("/orders/**")});
  EXPECT_EQ(winner(table, "GET", "/orders/1"), 0);
  EXPECT_EQ(winner(table, "GET", "/"), -404);
  EXPECT_EQ(winner(table, "GET", "/other"), -404);
  EXPECT_EQ(winner(table, "GET", "*"), -404);
  EXPECT_EQ(winner(table, "GET", ""), -404);
  EXPECT_EQ(winner(RouteTable(), "GET", "/orders/1"), -404);
  EXPECT_EQ(winner(table_of({}), "GET", "/orders/1"), -404);
}

TEST(RouteTable, J14_KeepsToSegmentBorders) {
  const RouteTable table = table_of({match("/public/**"), match("/api/*")});
  EXPECT_EQ(winner(table, "GET", "/public/a"), 0);
  EXPECT_EQ(winner(table, "GET", "/publicx"), -404);
  EXPECT_EQ(winner(table, "GET", "/public.evil"), -404);
  EXPECT_EQ(winner(table, "GET", "/api/a"), 1);
  EXPECT_EQ(winner(table, "GET", "/apix"), -404);
  EXPECT_EQ(winner(table, "GET", "/api/a/b"), -404);
}

TEST(RouteTable, RestTakesTheNodeItsSlashAndAllBelow) {
  const RouteTable table = table_of({match("/a/**")});
  for (const std::string_view path : {"/a", "/a/", "/a/b", "/a/b/c/", "/a/**"}) EXPECT_EQ(winner(table, "GET", path), 0) << path;
  for (const std::string_view path : {"/", "/A", "/ab", "/b/a"}) EXPECT_EQ(winner(table, "GET", path), -404) << path;
  const RouteTable everything = table_of({match("/**")});
  for (const std::string_view path : {"/", "/a", "/a/", "/a/b"}) EXPECT_EQ(winner(everything, "GET", path), 0) << path;
}

TEST(RouteTable, OneSegmentIsNeverEmpty) {
  const RouteTable table = table_of({match("/a/{x}"), match("/b/*")});
  EXPECT_EQ(winner(table, "GET", "/a/1"), 0);
  EXPECT_EQ(winner(table, "GET", "/b/1"), 1);
  for (const std::string_view path : {"/a", "/a/", "/b", "/b/", "/a/1/"}) EXPECT_EQ(winner(table, "GET", path), -404) << path;
}

TEST(RouteTable, J10_ATrailingSlashIsPartOfThePath) {
  const RouteTable table = table_of({match("/admin"), match("/shop/"), match("/docs/**")});
  EXPECT_EQ(winner(table, "GET", "/admin"), 0);
  EXPECT_EQ(winner(table, "GET", "/admin/"), -404);
  EXPECT_EQ(winner(table, "GET", "/shop/"), 1);
  EXPECT_EQ(winner(table, "GET", "/shop"), -404);
  EXPECT_EQ(winner(table, "GET", "/docs"), 2);
  EXPECT_EQ(winner(table, "GET", "/docs/"), 2);
}

TEST(RouteTable, J09_LetterCaseMattersInPaths) {
  const RouteTable table = table_of({match("/admin/**"), match("/**")});
  EXPECT_EQ(winner(table, "GET", "/admin/x"), 0);
  EXPECT_EQ(winner(table, "GET", "/ADMIN/x"), 1);
  EXPECT_EQ(winner(table_of({match("/admin")}), "GET", "/Admin"), -404);
}

TEST(RouteTable, J06_ComparesTheDecodedFormOfUnreservedBytes) {
  const RouteTable table = table_of({match("/admin/**"), match("/public/**")});
  http::Target target;
  ASSERT_TRUE(target.assign("/%61dm%69n/x"));
  EXPECT_EQ(winner(table, "GET", target.path()), 0);
  // Encoded twice is another name, decoded by nobody here.
  ASSERT_TRUE(target.assign("/%2561dmin/x"));
  EXPECT_EQ(winner(table, "GET", target.path()), -404);
}

TEST(RouteTable, J21_TheMoreSpecificPathWinsInEveryOrderOfRoutes) {
  std::vector<std::string> patterns{"/a/b/c", "/a/b/*", "/a/b/**", "/a/{x}/c", "/a/{x}/**", "/a/**", "/**"};
  const std::vector<std::pair<std::string, std::string>> expected{
      {"/a/b/c", "/a/b/c"}, {"/a/b/d", "/a/b/*"},   {"/a/b/d/e", "/a/b/**"}, {"/a/b", "/a/b/**"},
      {"/a/b/", "/a/b/**"}, {"/a/z/c", "/a/{x}/c"}, {"/a/z/d", "/a/{x}/**"}, {"/a/z", "/a/{x}/**"},
      {"/a", "/a/**"},      {"/a/", "/a/**"},       {"/b", "/**"},           {"/", "/**"},
  };
  std::ranges::sort(patterns);
  do {
    std::vector<Match> routes;
    for (const std::string& pattern : patterns) routes.push_back(match(pattern));
    const RouteTable table = table_of(std::move(routes));
    for (const auto& [path, pattern] : expected) {
      const int route = winner(table, "GET", path);
      ASSERT_GE(route, 0) << path;
      ASSERT_EQ(patterns[static_cast<std::size_t>(route)], pattern) << path;
    }
  } while (std::ranges::next_permutation(patterns).found);
}

TEST(RouteTable, J21_ALiteralThatLeadsNowhereGivesWayToTheWildcard) {
  const RouteTable table = table_of({match("/a/b/c"), match("/{x}/b/d"), match("/a/*/e"), match("/*/*/f/**")});
  EXPECT_EQ(winner(table, "GET", "/a/b/c"), 0);
  EXPECT_EQ(winner(table, "GET", "/a/b/d"), 1);
  EXPECT_EQ(winner(table, "GET", "/a/b/e"), 2);
  EXPECT_EQ(winner(table, "GET", "/a/b/f/g"), 3);
  EXPECT_EQ(winner(table, "GET", "/a/b/g"), -404);
}

TEST(RouteTable, NamesTheSegmentsOfThePath) {
  const RouteTable table = table_of({match("/users/{user}/files/{file}", {"GET"}), match("/users/{owner}/files/*", {"PUT"})});
  const std::string path = "/users/a%20b/files/x.txt";
  const auto got = std::get<Found>(find(table, "GET", path));
  ASSERT_EQ(got.parameters.size(), 2u);
  EXPECT_EQ(got.parameters[0].name, "user");
  EXPECT_EQ(got.parameters[0].value, "a%20b");
  EXPECT_EQ(got.parameters[1].name, "file");
  EXPECT_EQ(got.parameters[1].value, "x.txt");

  const auto put = std::get<Found>(find(table, "PUT", path));
  EXPECT_EQ(put.route, 1u);
  ASSERT_EQ(put.parameters.size(), 1u);
  EXPECT_EQ(put.parameters[0].name, "owner");
  EXPECT_EQ(put.parameters[0].value, "a%20b");
}

TEST(RouteTable, NamesOutliveTheMoveOfTheTable) {
  RouteTable first = table_of({match("/{tenant}/**")});
  const std::string path = "/acme/x";
  const auto found = std::get<Found>(find(first, "GET", path));
  const RouteTable second = std::move(first);
  EXPECT_EQ(found.parameters.at(0).name, "tenant");
  EXPECT_EQ(winner(second, "GET", path), 0);
}

TEST(RouteTable, J19_OnlyListedMethodsPass) {
  const RouteTable table = table_of({match("/a", {"GET", "POST"})});
  EXPECT_EQ(winner(table, "GET", "/a"), 0);
  EXPECT_EQ(winner(table, "POST", "/a"), 0);
  for (const std::string_view method : {"HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"}) {
    EXPECT_EQ(winner(table, method, "/a"), -405) << method;
  }
  for (const std::string_view method : {"get", "Post", "PROPFIND"}) EXPECT_EQ(winner(table, method, "/a"), -501) << method;
  EXPECT_EQ(std::get<MethodNotAllowed>(find(table, "PUT", "/a")).allow, "GET, POST");
}

TEST(RouteTable, J26_HeadIsNotImpliedByGet) {
  const RouteTable table = table_of({match("/a", {"GET"}), match("/b", {"GET", "HEAD"}), match("/c")});
  EXPECT_EQ(winner(table, "HEAD", "/a"), -405);
  EXPECT_EQ(winner(table, "HEAD", "/b"), 1);
  EXPECT_EQ(winner(table, "HEAD", "/c"), 2);
}

TEST(RouteTable, ARouteWithoutAListTakesTheFixedSetAndNothingElse) {
  const RouteTable table = table_of({match("/**")});
  for (const std::string_view method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(winner(table, method, "/a"), 0) << method;
  }
  EXPECT_EQ(winner(table, "CONNECT", "/a"), -405);
  EXPECT_EQ(winner(table, "TRACE", "/a"), -405);
  EXPECT_EQ(winner(table, "PROPFIND", "/a"), -501);
  EXPECT_EQ(std::get<MethodNotAllowed>(find(table, "TRACE", "/a")).allow, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
}

TEST(RouteTable, AnyFurtherMethodPassesWhereItIsListed) {
  const RouteTable table = table_of({match("/dav/**", {"PROPFIND", "GET"}), match("/**")});
  EXPECT_EQ(winner(table, "PROPFIND", "/dav/a"), 0);
  EXPECT_EQ(winner(table, "propfind", "/dav/a"), -501);
  EXPECT_EQ(winner(table, "PROPFIND", "/a"), -501);
  EXPECT_EQ(std::get<MethodNotAllowed>(find(table, "PUT", "/dav/a")).allow, "GET, PROPFIND");
}

TEST(RouteTable, ListedMethodsGoBeforeNone) {
  const RouteTable table = table_of({match("/a/{x}"), match("/a/*", {"DELETE"}), match("/a/{y}", {"PUT", "PURGE"})});
  EXPECT_EQ(winner(table, "DELETE", "/a/1"), 1);
  EXPECT_EQ(winner(table, "PUT", "/a/1"), 2);
  EXPECT_EQ(winner(table, "GET", "/a/1"), 0);
  EXPECT_EQ(winner(table, "PURGE", "/a/1"), 2);
  EXPECT_EQ(winner(table, "LOCK", "/a/1"), -501);
}

TEST(RouteTable, J21_AMethodNeverSlipsToALaxerPattern) {
  const RouteTable table = table_of({match("/admin/**", {"GET"}), match("/admin/keys"), match("/**")});
  EXPECT_EQ(winner(table, "GET", "/admin/x"), 0);
  EXPECT_EQ(winner(table, "DELETE", "/admin/x"), -405);
  EXPECT_EQ(winner(table, "PROPFIND", "/admin/x"), -501);
  EXPECT_EQ(winner(table, "DELETE", "/admin/keys"), 1);
  EXPECT_EQ(winner(table, "DELETE", "/x"), 2);
}

TEST(RouteTable, J23_TheHostIsChosenFirst) {
  const RouteTable table =
      table_of({match("/a/**", {}, "api.example.com"), match("/a/**", {}, "*.example.com"), match("/a/**", {}, "*.api.example.com"),
                match("/a/b"), match("/only-here", {"GET"}, "api.example.com"), match("/only-here")});
  EXPECT_EQ(winner(table, "GET", "/a/b", "api.example.com"), 0);
  EXPECT_EQ(winner(table, "GET", "/a/b", "www.example.com"), 1);
  EXPECT_EQ(winner(table, "GET", "/a/b", "x.y.example.com"), 1);
  EXPECT_EQ(winner(table, "GET", "/a/b", "x.api.example.com"), 2);
  EXPECT_EQ(winner(table, "GET", "/a/b", "x.y.api.example.com"), 2);
  EXPECT_EQ(winner(table, "GET", "/a/b", "example.com"), 3) << "a suffix needs a label before it";
  EXPECT_EQ(winner(table, "GET", "/a/b", ".example.com"), 3) << "an empty label is none";
  EXPECT_EQ(winner(table, "GET", "/a/b", "evilexample.com"), 3);
  EXPECT_EQ(winner(table, "GET", "/a/b", "api.example.com.evil.test"), 3);
  EXPECT_EQ(winner(table, "GET", "/a/c", "evil.test"), -404);
  EXPECT_EQ(winner(table, "GET", "/a/b", ""), 3);
}

TEST(RouteTable, J23_AHostThatOwnsThePathDoesNotLendItsMethods) {
  const RouteTable table = table_of({match("/a/**", {"GET"}, "api.example.com"), match("/**", {}, "*.example.com"), match("/**")});
  EXPECT_EQ(winner(table, "GET", "/a/x", "api.example.com"), 0);
  EXPECT_EQ(winner(table, "DELETE", "/a/x", "api.example.com"), -405);
  EXPECT_EQ(winner(table, "DELETE", "/b", "api.example.com"), 1) << "a host without a fitting pattern is passed over";
  EXPECT_EQ(winner(table, "DELETE", "/a/x", "other.test"), 2);
}

// ---- conflicts

TEST(RouteTable, P07_TwoRoutesThatCouldBothWinAreConflicts) {
  struct Row {
    std::string name;
    Match first, second;
  };
  const std::vector<Row> rows{
      {"the same", match("/a"), match("/a")},
      {"star and name", match("/a/*"), match("/a/{x}")},
      {"two names", match("/a/{y}/**"), match("/a/{x}/**")},
      {"a method in common", match("/a", {"GET", "PUT"}), match("/a", {"POST", "PUT"})},
      {"a further method in common", match("/a", {"PURGE"}), match("/a", {"LOCK", "PURGE"})},
      {"the same host", match("/a", {}, "x.example"), match("/a", {}, "X.example.")},
      {"the same suffix", match("/a", {}, "*.x.example"), match("/a", {}, "*.x.example")},
  };
  for (const Row& row : rows) {
    const auto conflicts = conflicts_of({match("/other"), row.first, row.second});
    ASSERT_EQ(conflicts.size(), 1u) << row.name;
    EXPECT_EQ(conflicts[0].route, 2u) << row.name;
    EXPECT_EQ(conflicts[0].other, 1u) << row.name;
    EXPECT_FALSE(conflicts[0].detail.empty()) << row.name;
  }
}

TEST(RouteTable, P07_RoutesThatPrecedenceTellsApartAreNoConflicts) {
  EXPECT_TRUE(conflicts_of({match("/a"), match("/a/")}).empty());
  EXPECT_TRUE(conflicts_of({match("/a"), match("/a/**")}).empty());
  EXPECT_TRUE(conflicts_of({match("/a/*"), match("/a/**")}).empty());
  EXPECT_TRUE(conflicts_of({match("/a/*"), match("/*/a")}).empty());
  EXPECT_TRUE(conflicts_of({match("/a", {"GET"}), match("/a", {"POST"}), match("/a")}).empty());
  EXPECT_TRUE(conflicts_of({match("/a", {"GET"}), match("/a", {"get-all"})}).empty());
  EXPECT_TRUE(
      conflicts_of({match("/a", {}, "x.example"), match("/a", {}, "*.x.example"), match("/a"), match("/a", {}, "*.example")}).empty());
}

TEST(RouteTable, P07_ARouteThatCanNeverWinIsAConflict) {
  const std::vector<std::string> all{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  const auto spent = conflicts_of({match("/a/{x}"), match("/a/*", all)});
  ASSERT_EQ(spent.size(), 1u);
  EXPECT_EQ(spent[0].route, 0u);
  EXPECT_EQ(spent[0].other, 1u);
  const std::vector<std::string> most(all.begin(), all.end() - 1);
  EXPECT_TRUE(conflicts_of({match("/a/{x}"), match("/a/*", most)}).empty()) << "OPTIONS is left";
  EXPECT_EQ(conflicts_of({match("/a"), match("/a", most), match("/a", {"OPTIONS"})}).size(), 1u);
}

TEST(RouteTable, P07_ARestWhosePathsAllBelongToOthersCanNeverWin) {
  const auto covered = conflicts_of({match("/a/**"), match("/a"), match("/a/"), match("/a/{x}/**")});
  ASSERT_EQ(covered.size(), 1u);
  EXPECT_EQ(covered[0].route, 0u);
  EXPECT_EQ(covered[0].other, 3u);
  EXPECT_EQ(conflicts_of({match("/**"), match("/"), match("/*/**")}).size(), 1u);
  EXPECT_EQ(conflicts_of({match("/**"), match("/"), match("/*"), match("/*/"), match("/*/*/**")}).size(), 1u);

  EXPECT_TRUE(conflicts_of({match("/a/**"), match("/a"), match("/a/{x}/**")}).empty()) << "/a/ is left";
  EXPECT_TRUE(conflicts_of({match("/a/**"), match("/a/"), match("/a/{x}/**")}).empty()) << "/a is left";
  EXPECT_TRUE(conflicts_of({match("/a/**"), match("/a"), match("/a/"), match("/a/{x}")}).empty()) << "/a/b/c is left";
  EXPECT_TRUE(conflicts_of({match("/a/**"), match("/a"), match("/a/"), match("/a/b/**")}).empty()) << "/a/c is left";
}

TEST(RouteTable, P07_WhatNoRequestCanFulfilIsAConflict) {
  EXPECT_EQ(conflicts_of({match("/a", {"GET", "TRACE"})}).size(), 1u);
  EXPECT_EQ(conflicts_of({match("/a", {"get"})}).size(), 1u);
  EXPECT_EQ(conflicts_of({Match{}}).size(), 1u) << "no path is not every path";
  EXPECT_EQ(winner(RouteTable::build({Match{}}).table, "GET", "/"), -404);
}

// ---- against a second opinion

// Every pattern is tried on every path, and the winner is the greatest by the words of DESIGN §2.3.
struct Rank {
  int host;                   // 2000 exact, the suffix's length, 0 none
  std::vector<int> segments;  // 3 literal, 2 one segment, 1 the rest, 4 the end
  friend auto operator<=>(const Rank&, const Rank&) = default;
};

std::vector<std::string> segments_of(const std::string& path) {
  std::vector<std::string> segments{""};
  for (const char c : path.substr(1)) {
    if (c == '/') {
      segments.emplace_back();
    } else {
      segments.back().push_back(c);
    }
  }
  return segments;
}

std::optional<Rank> rank_of(const Match& route, const std::string& host, const std::string& path) {
  Rank rank{0, {}};
  if (route.host) {
    const std::string& name = route.host->name();
    if (!route.host->is_suffix()) {
      if (host != name) return std::nullopt;
      rank.host = 2000;
    } else {
      if (host.size() < name.size() + 2 || !host.ends_with("." + name)) return std::nullopt;
      rank.host = static_cast<int>(name.size());
    }
  }
  const std::vector<std::string> given = segments_of(path);
  const std::vector<Segment>& wanted = route.path.segments();
  std::size_t i = 0;
  for (const Segment& segment : wanted) {
    if (segment.kind == Segment::Kind::rest) {
      rank.segments.push_back(1);
      return rank;
    }
    if (i == given.size()) return std::nullopt;
    if (segment.kind == Segment::Kind::literal) {
      if (given[i] != segment.text) return std::nullopt;
      rank.segments.push_back(3);
    } else {
      if (given[i].empty()) return std::nullopt;
      rank.segments.push_back(2);
    }
    ++i;
  }
  if (i != given.size()) return std::nullopt;
  rank.segments.push_back(4);
  return rank;
}

int naive_winner(const std::vector<Match>& routes, const std::string& method, const std::string& path, const std::string& host) {
  std::optional<Rank> best;
  for (const Match& route : routes) {
    if (const auto rank = rank_of(route, host, path); rank && (!best || *rank > *best)) best = rank;
  }
  if (!best) return -404;
  const bool is_fixed = std::string_view(" GET HEAD POST PUT PATCH DELETE OPTIONS ").find(" " + method + " ") != std::string_view::npos;
  int unlisted = -1;
  for (std::size_t i = 0; i != routes.size(); ++i) {
    if (rank_of(routes[i], host, path) != best) continue;
    if (std::ranges::find(routes[i].methods, method) != routes[i].methods.end()) return static_cast<int>(i);
    if (routes[i].methods.empty() && is_fixed) unlisted = static_cast<int>(i);
  }
  if (unlisted >= 0) return unlisted;
  return is_fixed ? -405 : -501;
}

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
  template <class T>
  const T& one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

  std::string pattern() {
    std::string text;
    const std::size_t segments = 1 + below(4);
    for (std::size_t i = 0; i != segments; ++i) {
      switch (below(6)) {
        case 0: text += "/*"; break;
        case 1: text += "/{p" + std::to_string(i) + "}"; break;
        case 2:
          if (i + 1 == segments) {
            text += "/**";
            break;
          }
          [[fallthrough]];
        default: text += "/" + one_of(words_); break;
      }
    }
    if (!text.ends_with("**") && below(6) == 0) text += "/";
    return text;
  }
  std::string path() {
    std::string text;
    const std::size_t segments = below(5);
    for (std::size_t i = 0; i != segments; ++i) text += "/" + (below(8) == 0 ? std::string("zz") : one_of(words_));
    if (text.empty() || below(5) == 0) text += "/";
    return text;
  }
  std::string host() { return one_of(hosts_); }
  Match route() {
    std::vector<std::string> methods;
    while (below(2) == 0) methods.push_back(one_of(methods_));
    return match(pattern(), methods, one_of(host_patterns_));
  }
  std::string method() { return one_of(methods_); }

 private:
  std::mt19937_64 random_;
  std::vector<std::string> words_{"a", "b", "c", "ab", "%25"};
  std::vector<std::string> methods_{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"};
  std::vector<std::string> host_patterns_{"", "", "x.test", "a.x.test", "*.x.test", "*.test", "*.a.x.test"};
  std::vector<std::string> hosts_{"x.test", "a.x.test", "b.x.test", "c.a.x.test", "test", "ax.test", "other"};
};

TEST(RouteTable, J25_AgreesWithANaiveMatcherOnRandomRoutesAndPaths) {
  Generator generator(20240607);
  std::size_t found = 0, refused = 0, missed = 0, conflicting = 0;
  for (int round = 0; round != 5000; ++round) {
    std::vector<Match> routes;
    const std::size_t count = 1 + generator.below(12);
    for (std::size_t i = 0; i != count; ++i) {
      routes.push_back(generator.route());
      // A route that conflicts is left out, so that the rest is a table that would load.
      if (!conflicts_of(routes).empty()) {
        routes.pop_back();
        ++conflicting;
      }
    }
    const RouteTable table = table_of(routes);
    for (int i = 0; i != 20; ++i) {
      const std::string method = generator.method(), path = generator.path(), host = generator.host();
      const int expected = naive_winner(routes, method, path, host);
      ASSERT_EQ(winner(table, method, path, host), expected) << "round " << round << ": " << method << " " << host << path;
      ++(expected >= 0 ? found : expected == -404 ? missed : refused);
    }
  }
  // The comparison must have had something to compare.
  EXPECT_GT(found, 10'000u);
  EXPECT_GT(refused, 3'000u);
  EXPECT_GT(missed, 10'000u);
  EXPECT_GT(conflicting, 50u);
}

TEST(RouteTable, P07_EveryRouteOfATableWithoutConflictsWinsSomewhere) {
  Generator generator(7);
  for (int round = 0; round != 2000; ++round) {
    std::vector<Match> routes;
    for (int i = 0; i != 10; ++i) {
      routes.push_back(generator.route());
      if (!conflicts_of(routes).empty()) routes.pop_back();
    }
    const RouteTable table = table_of(routes);
    for (std::size_t i = 0; i != routes.size(); ++i) {
      // A path of its own: names that no literal has, tried with ends of several depths for `**`.
      std::string base;
      bool is_rest = false;
      for (const Segment& segment : routes[i].path.segments()) {
        is_rest = segment.kind == Segment::Kind::rest;
        if (!is_rest) base += "/" + (segment.kind == Segment::Kind::literal ? segment.text : std::string("fresh"));
      }
      const std::string& name = routes[i].host ? routes[i].host->name() : std::string("nobody.example");
      const std::string host = routes[i].host && routes[i].host->is_suffix() ? "fresh." + name : name;
      bool wins = false;
      for (const std::string_view tail : {"", "/", "/fresh", "/fresh/", "/fresh/fresh", "/fresh/fresh/fresh/fresh/fresh"}) {
        if (!is_rest && !tail.empty()) continue;
        for (const std::string_view method : {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"}) {
          wins = wins || winner(table, method, base + std::string(tail), host) == static_cast<int>(i);
        }
      }
      ASSERT_TRUE(wins) << "round " << round << ": " << routes[i].path.text();
    }
  }
}

// ---- cost

TEST(RouteTable, TenThousandRoutesCostAsMuchAsTen) {
  const auto steps_with = [](std::size_t count) {
    std::vector<Match> routes;
    for (std::size_t i = 0; i != count; ++i) routes.push_back(match("/service" + std::to_string(i) + "/{id}/items/**"));
    routes.push_back(match("/{tenant}/health"));
    routes.push_back(match("/**"));
    const RouteTable table = table_of(std::move(routes));
    std::vector<std::size_t> steps;
    for (const std::string_view path : {"/service7/1/items/2/3", "/service7/1/other", "/x/health", "/x/y/z", "/"}) {
      steps.push_back(0);
      static_cast<void>(table.find("any.example", http::Method::get, "GET", path, &steps.back()));
    }
    return steps;
  };
  EXPECT_EQ(steps_with(10), steps_with(10'000));
  EXPECT_LE(std::ranges::max(steps_with(10)), 8u);
}

TEST(RouteTable, J18_ALongPathCostsNoMoreThanThePatternsAreDeep) {
  const RouteTable table = table_of({match("/a/*/a/*/a/*/b"), match("/*/a/*/a/*/a/c"), match("/**")});
  std::string path;
  for (int i = 0; i != 10'000; ++i) path += "/a";
  std::size_t steps = 0;
  const RouteOutcome outcome = table.find("any.example", http::Method::get, "GET", path, &steps);
  EXPECT_EQ(std::get<Found>(outcome).route, 2u);
  EXPECT_LE(steps, 16u);
}

}  // namespace
}  // namespace sallyport::route
