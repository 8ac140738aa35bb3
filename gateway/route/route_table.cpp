#include "route/route_table.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace sallyport::route {
namespace {

using MethodBits = unsigned;

// What a route without a list takes (DESIGN §3.5 "Methods"); CONNECT and TRACE are never routed.
constexpr std::array kFixedMethods{http::Method::get,   http::Method::head,    http::Method::post,   http::Method::put,
                                   http::Method::patch, http::Method::delete_, http::Method::options};
constexpr std::array<std::string_view, kFixedMethods.size()> kFixedNames{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

constexpr MethodBits bit(http::Method method) { return 1U << static_cast<unsigned>(method); }

constexpr MethodBits all_fixed_methods() {
  MethodBits bits = 0;
  for (const http::Method method : kFixedMethods) bits |= bit(method);
  return bits;
}
constexpr MethodBits kEveryFixedMethod = all_fixed_methods();

// Looked up by view: a request makes no string.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
template <class T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

struct NamedSegment {
  std::size_t index;  // which segment of the path
  std::string name;
};

// One route at the end of its pattern.
struct Candidate {
  std::size_t route;
  bool lists_methods;
  MethodBits methods;
  std::vector<std::string> other_methods;
  std::vector<NamedSegment> parameters;

  [[nodiscard]] bool takes(http::Method method, std::string_view method_text) const noexcept {
    if (method == http::Method::other) return std::ranges::find(other_methods, method_text) != other_methods.end();
    return (methods & bit(method)) != 0;
  }
};

// All routes of one pattern, and what they take together.
struct Owner {
  std::vector<Candidate> candidates;
  std::string allow;

  [[nodiscard]] bool exists() const noexcept { return !candidates.empty(); }
  [[nodiscard]] const Candidate* choose(http::Method method, std::string_view method_text) const noexcept {
    for (const bool listed : {true, false}) {
      for (const Candidate& candidate : candidates) {
        if (candidate.lists_methods == listed && candidate.takes(method, method_text)) return &candidate;
      }
    }
    return nullptr;
  }
};

struct Node {
  ByText<std::unique_ptr<Node>> literals;
  std::unique_ptr<Node> wildcard;  // `*` and `{name}`
  Owner exact;                     // patterns that end here
  Owner rest;                      // `**` below here
};

// `path` is what is left, from its '/' on; empty at the end. Depth first in the order of precedence: the first owner found is the most
// specific one. Every node has one way to it, so none is visited twice.
const Owner* find_owner(const Node& node, std::string_view path, std::size_t& steps) {
  ++steps;
  if (path.empty()) {
    if (node.exact.exists()) return &node.exact;
    return node.rest.exists() ? &node.rest : nullptr;
  }
  const std::size_t end = std::min(path.find('/', 1), path.size());
  const std::string_view segment = path.substr(1, end - 1);
  if (!node.literals.empty()) {
    if (const auto literal = node.literals.find(segment); literal != node.literals.end()) {
      if (const Owner* owner = find_owner(*literal->second, path.substr(end), steps)) return owner;
    }
  }
  if (node.wildcard && !segment.empty()) {
    if (const Owner* owner = find_owner(*node.wildcard, path.substr(end), steps)) return owner;
  }
  return node.rest.exists() ? &node.rest : nullptr;
}

std::vector<http::PathParameter> parameters_of(const Candidate& candidate, std::string_view path) {
  std::vector<http::PathParameter> parameters;
  parameters.reserve(candidate.parameters.size());
  std::size_t index = 0;
  std::size_t begin = 1;
  for (const NamedSegment& wanted : candidate.parameters) {
    for (; index != wanted.index; ++index) begin = path.find('/', begin) + 1;
    const std::size_t end = std::min(path.find('/', begin), path.size());
    parameters.push_back({wanted.name, path.substr(begin, end - begin)});
  }
  return parameters;
}

Candidate make_candidate(std::size_t route, const Match& match) {
  Candidate candidate{.route = route, .lists_methods = !match.methods.empty(), .methods = 0, .other_methods = {}, .parameters = {}};
  if (match.methods.empty()) candidate.methods = kEveryFixedMethod;
  for (const std::string& text : match.methods) {
    const http::Method method = http::method_of(text);
    if (method == http::Method::other) {
      if (!candidate.takes(method, text)) candidate.other_methods.push_back(text);
    } else {
      candidate.methods |= bit(method) & kEveryFixedMethod;
    }
  }
  const std::vector<Segment>& segments = match.path.segments();
  for (std::size_t i = 0; i != segments.size(); ++i) {
    if (segments[i].kind == Segment::Kind::named) candidate.parameters.push_back({i, segments[i].text});
  }
  return candidate;
}

Owner& place_of(Node& root, const PathPattern& pattern) {
  Node* node = &root;
  for (const Segment& segment : pattern.segments()) {
    if (segment.kind == Segment::Kind::rest) return node->rest;
    std::unique_ptr<Node>& next = segment.kind == Segment::Kind::literal ? node->literals[segment.text] : node->wildcard;
    if (!next) next = std::make_unique<Node>();
    node = next.get();
  }
  return node->exact;
}

std::string allow_of(const Owner& owner) {
  MethodBits methods = 0;
  for (const Candidate& candidate : owner.candidates) methods |= candidate.methods;
  std::string allow;
  const auto add = [&allow](std::string_view method) { allow.append(allow.empty() ? "" : ", ").append(method); };
  for (std::size_t i = 0; i != kFixedMethods.size(); ++i) {
    if ((methods & bit(kFixedMethods[i])) != 0) add(kFixedNames[i]);
  }
  std::vector<std::string_view> others;
  for (const Candidate& candidate : owner.candidates)
    others.insert(others.end(), candidate.other_methods.begin(), candidate.other_methods.end());
  std::ranges::sort(others);
  const auto repeated = std::ranges::unique(others);
  others.erase(repeated.begin(), repeated.end());
  for (const std::string_view method : others) add(method);
  return allow;
}

// Finds the conflicts in one host's tree and completes its owners.
class Review {
 public:
  Review(const std::vector<Match>& routes, std::vector<RouteConflict>& conflicts) : routes_(routes), conflicts_(conflicts) {}

  void walk_root(Node& root) { walk(root, Place::root); }

 private:
  enum class Place { root, below };

  void walk(Node& node, Place place) {
    for (auto& [text, child] : node.literals) walk(*child, Place::below);
    if (node.wildcard) walk(*node.wildcard, Place::below);
    complete(node.exact);
    complete(node.rest);
    if (node.rest.exists()) find_covered_rest(node, place);
  }

  void complete(Owner& owner) {
    owner.allow = allow_of(owner);
    for (std::size_t i = 0; i != owner.candidates.size(); ++i) {
      for (std::size_t j = 0; j != i; ++j) find_tie(owner.candidates[j], owner.candidates[i]);
    }
    for (const Candidate& candidate : owner.candidates) find_spent_methods(candidate, owner);
  }

  void find_tie(const Candidate& a, const Candidate& b) {
    if (a.lists_methods != b.lists_methods) return;
    if (!a.lists_methods) {
      add(b.route, a.route, fmt::format("both take every method of {}", text_of(b)));
      return;
    }
    if (const std::string common = common_method(a, b); !common.empty()) {
      add(b.route, a.route, fmt::format("both take {} {}", common, text_of(b)));
    }
  }

  // A route without a list gets what the others of its pattern leave over.
  void find_spent_methods(const Candidate& candidate, const Owner& owner) {
    if (candidate.lists_methods) return;
    MethodBits taken = 0;
    std::size_t other = candidate.route;
    for (const Candidate& rival : owner.candidates) {
      if (!rival.lists_methods) continue;
      taken |= rival.methods;
      other = rival.route;
    }
    if (taken == kEveryFixedMethod) {
      add(candidate.route, other, fmt::format("can never win: every method of {} is listed by another route", text_of(candidate)));
    }
  }

  // Whether patterns below `node`, its own `**` left out, own every path that reaches it: the end of the path, the slash after it, and any
  // further segment. Literals never own those: there is always another name. No path ends at the root.
  static bool is_covered(const Node& node, Place place) {
    if (place == Place::below && !node.exact.exists()) return false;
    const auto slash = node.literals.find(std::string_view());
    if (slash == node.literals.end() || !(slash->second->exact.exists() || slash->second->rest.exists())) return false;
    return node.wildcard && (node.wildcard->rest.exists() || is_covered(*node.wildcard, Place::below));
  }

  void find_covered_rest(const Node& node, Place place) {
    if (!is_covered(node, place)) return;
    const Node* cover = node.wildcard.get();
    while (!cover->rest.exists()) cover = cover->wildcard.get();
    const std::size_t other = cover->rest.candidates.front().route;
    for (const Candidate& candidate : node.rest.candidates) {
      add(candidate.route, other, fmt::format("can never win: more specific routes own every path of {}", text_of(candidate)));
    }
  }

  static std::string common_method(const Candidate& a, const Candidate& b) {
    for (std::size_t i = 0; i != kFixedMethods.size(); ++i) {
      if ((a.methods & b.methods & bit(kFixedMethods[i])) != 0) return std::string(kFixedNames[i]);
    }
    for (const std::string& method : a.other_methods) {
      if (b.takes(http::Method::other, method)) return method;
    }
    return {};
  }

  [[nodiscard]] const std::string& text_of(const Candidate& candidate) const { return routes_[candidate.route].path.text(); }
  void add(std::size_t route, std::size_t other, std::string detail) { conflicts_.push_back({route, other, std::move(detail)}); }

  const std::vector<Match>& routes_;
  std::vector<RouteConflict>& conflicts_;
};

// What no request can ever fulfil, whatever the other routes are.
void review_alone(std::size_t route, const Match& match, std::vector<RouteConflict>& conflicts) {
  if (match.path.segments().empty()) conflicts.push_back({route, route, "can never win: it has no path"});
  for (const std::string& method : match.methods) {
    if (const auto checked = check_method(method); !checked) {
      conflicts.push_back({route, route, fmt::format("method \"{}\": {}", method, checked.error().detail)});
    }
  }
}

}  // namespace

struct RouteTable::Nodes {
  ByText<Node> hosts;
  ByText<Node> suffixes;
  std::size_t suffix_bytes_max = 0;
  Node every_host;

  Node& root_for(const std::optional<HostPattern>& host) {
    if (!host) return every_host;
    if (!host->is_suffix()) return hosts[host->name()];
    suffix_bytes_max = std::max(suffix_bytes_max, host->name().size());
    return suffixes[host->name()];
  }

  // The first pattern, in the order of precedence, that the path fits.
  const Owner* owner_of(std::string_view host, std::string_view path, std::size_t& steps) const {
    if (const auto exact = hosts.find(host); exact != hosts.end()) {
      if (const Owner* owner = find_owner(exact->second, path, steps)) return owner;
    }
    // From the left, so the longest suffix comes first. A suffix needs a label before it.
    for (std::size_t dot = suffixes.empty() ? host.npos : host.find('.', 1); dot != host.npos; dot = host.find('.', dot + 1)) {
      const std::string_view suffix = host.substr(dot + 1);
      if (suffix.size() > suffix_bytes_max) continue;
      if (const auto found = suffixes.find(suffix); found != suffixes.end()) {
        if (const Owner* owner = find_owner(found->second, path, steps)) return owner;
      }
    }
    return find_owner(every_host, path, steps);
  }
};

RouteTable::RouteTable() = default;
RouteTable::~RouteTable() = default;
RouteTable::RouteTable(RouteTable&&) noexcept = default;
RouteTable& RouteTable::operator=(RouteTable&&) noexcept = default;

RouteTable::Built RouteTable::build(std::vector<Match> routes) {
  Built built;
  built.table.nodes_ = std::make_unique<Nodes>();
  Nodes& nodes = *built.table.nodes_;
  for (std::size_t i = 0; i != routes.size(); ++i) {
    review_alone(i, routes[i], built.conflicts);
    if (routes[i].path.segments().empty()) continue;
    place_of(nodes.root_for(routes[i].host), routes[i].path).candidates.push_back(make_candidate(i, routes[i]));
  }

  Review review(routes, built.conflicts);
  for (auto& [name, node] : nodes.hosts) review.walk_root(node);
  for (auto& [name, node] : nodes.suffixes) review.walk_root(node);
  review.walk_root(nodes.every_host);
  // In the order of the routes: what the operator reads must not depend on a hash.
  std::ranges::sort(built.conflicts, {}, [](const RouteConflict& conflict) { return std::pair(conflict.route, conflict.other); });
  return built;
}

RouteOutcome RouteTable::find(std::string_view host, http::Method method, std::string_view method_text, std::string_view path,
                              std::size_t* steps) const {
  if (!nodes_ || path.empty() || path.front() != '/') return NoRoute{};
  std::size_t visited = 0;
  const Owner* owner = nodes_->owner_of(host, path, visited);
  if (steps != nullptr) *steps += visited;

  if (owner == nullptr) return NoRoute{};
  if (const Candidate* candidate = owner->choose(method, method_text)) {
    return Found{candidate->route, parameters_of(*candidate, path)};
  }
  if (method == http::Method::other) return UnknownMethod{};
  return MethodNotAllowed{owner->allow};
}

}  // namespace sallyport::route
