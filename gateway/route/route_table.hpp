// Host + method + canonical path -> the one route (DESIGN §2.3 "Precedence"). Pure; immutable after load.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "http/head.hpp"
#include "http/path_parameter.hpp"

namespace sallyport::route {

// One segment of a pattern: `/a` literal, `/*` or `/{name}` any one segment, `/**` the rest (last only).
struct Segment {
  enum class Kind : unsigned char { literal, any, named, rest } kind = Kind::literal;
  std::string text;  // the literal, or the parameter's name
  friend bool operator==(const Segment&, const Segment&) = default;
};

// `/a` exactly; `/a/*`; `/a/**` that node and all below; `/a/{name}`; a trailing slash is a last, empty literal segment.
class PathPattern {
 public:
  // Fault::malformed: no leading '/', an empty segment in the middle, `**` not last, a bad or repeated {name}, '*' inside a segment,
  // a literal that a canonical path can never hold (encoded unreserved bytes, dot segments, control bytes, '?', '#').
  [[nodiscard]] static Result<PathPattern> parse(std::string_view text);
  [[nodiscard]] const std::vector<Segment>& segments() const noexcept { return segments_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::vector<std::string> parameter_names() const;

 private:
  std::vector<Segment> segments_;
  std::string text_;
};

// `api.example.com` exactly, `*.example.com` any name below it (at least one more label). Lower case, without port.
class HostPattern {
 public:
  [[nodiscard]] static Result<HostPattern> parse(std::string_view text);
  [[nodiscard]] bool is_suffix() const noexcept { return is_suffix_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }  // without "*."
 private:
  std::string name_;
  bool is_suffix_ = false;
};

struct Match {
  std::optional<HostPattern> host;
  PathPattern path;
  std::vector<std::string> methods;  // empty: every one of the fixed set (DESIGN §3.5 "Methods"), but no other token
};

struct Found {
  std::size_t route;                       // index into the routes that the table was built from
  std::vector<http::PathParameter> parameters;   // views into the table and the path
};
struct NoRoute {};                          // 404
struct MethodNotAllowed {                   // 405
  std::string allow;                        // the Allow field's value, of every route that the path matches
};
struct UnknownMethod {};                    // 501: a token outside the fixed set that no route of this path lists
using RouteOutcome = std::variant<Found, NoRoute, MethodNotAllowed, UnknownMethod>;

// Two routes that could both win, or one that never can. Indices into the routes given.
struct RouteConflict {
  std::size_t route;
  std::size_t other;
  std::string detail;
};

class RouteTable {
 public:
  // Every conflict at once; the table is usable only when there is none.
  struct Built;
  [[nodiscard]] static Built build(std::vector<Match> routes);

  // `host` lower case without port (RequestHead::host_name); `path` canonical. Time grows with the path's segments, not with the routes.
  [[nodiscard]] RouteOutcome find(std::string_view host, http::Method method, std::string_view method_text, std::string_view path) const;

  RouteTable();
  ~RouteTable();
  RouteTable(RouteTable&&) noexcept;
  RouteTable& operator=(RouteTable&&) noexcept;

 private:
  struct Nodes;
  std::unique_ptr<Nodes> nodes_;
};

struct RouteTable::Built {
  RouteTable table;
  std::vector<RouteConflict> conflicts;
};

}  // namespace sallyport::route
