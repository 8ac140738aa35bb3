// Host + method + canonical path -> the one route (DESIGN §2.3 "Precedence"). Pure; immutable after load.
//
// Who owns a path. The host is chosen first (exact, then the longest `*.suffix`, then none), then the most specific pattern of that host,
// segment by segment (literal over `{name}` or `*` over `**`; the end of the path over `**`). A host without a fitting pattern is passed
// over. The pattern so found owns the path: when no route of it takes the method the answer is 405, and no laxer pattern or host is asked.
// Otherwise `DELETE /admin/x` would slip past a strict `/admin/** [GET]` to an open `/**`. Within the pattern, a route that lists the
// method goes before one that lists none.
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

inline constexpr std::size_t kPatternBytesMax = 2048;
inline constexpr std::size_t kPatternSegmentsMax = 64;

// `/a` exactly; `/a/*`; `/a/**` that node and all below, so `/a`, `/a/` and `/a/b/c`; `/a/{name}`; `/**` everything. A trailing slash is a
// last, empty literal segment: `/a/` is not `/a`, and neither `*` nor `{name}` takes an empty segment.
class PathPattern {
 public:
  // Fault::malformed: no leading '/', an empty segment in the middle, `**` not last, a bad or repeated {name} (letters, digits, '_' and
  // '-', a letter or '_' first), '*' inside a segment, a literal that a canonical path can never hold (encoded unreserved bytes, dot
  // segments, control bytes, '?', '#'), anything at or below /.gateway, which no route ever sees. Fault::too_large: over the limits above.
  [[nodiscard]] static Result<PathPattern> parse(std::string_view text);
  [[nodiscard]] const std::vector<Segment>& segments() const noexcept { return segments_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::vector<std::string> parameter_names() const;

 private:
  std::vector<Segment> segments_;
  std::string text_;
};

// `api.example.com` exactly, `*.example.com` any name below it (at least one more label). Kept in lower case, without a trailing dot.
class HostPattern {
 public:
  // Fault::malformed: not a host, a port, '*' anywhere but as the first label, `*` alone (leave the host out for every host).
  [[nodiscard]] static Result<HostPattern> parse(std::string_view text);
  [[nodiscard]] bool is_suffix() const noexcept { return is_suffix_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }  // without "*."
 private:
  std::string name_;
  bool is_suffix_ = false;
};

// Whether a route may list `token`: a token other than CONNECT and TRACE, and not a known method in another letter case ("get"),
// which would never match. Fault::malformed.
[[nodiscard]] Result<void> check_method(std::string_view token);

struct Match {
  std::optional<HostPattern> host;
  PathPattern path;
  // Byte for byte. Empty: every one of the fixed set GET HEAD POST PUT PATCH DELETE OPTIONS, but no other token.
  // A list means itself: HEAD is not implied by GET.
  std::vector<std::string> methods;
};

struct Found {
  std::size_t route;                            // index into the routes that the table was built from
  std::vector<http::PathParameter> parameters;  // views into the table and the path
};
struct NoRoute {};         // 404
struct MethodNotAllowed {  // 405
  std::string allow;       // the Allow field's value: the methods of the pattern that owns the path
};
struct UnknownMethod {};  // 501: a token outside the fixed set that the path's owner does not list
using RouteOutcome = std::variant<Found, NoRoute, MethodNotAllowed, UnknownMethod>;

// Two routes that could both win (same host, `{a}` and `*` being one, a method in common or both without a list), or one that never can.
// Indices into the routes given; `other` is `route` itself when no single other one is to blame.
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

  // `host` lower case without port (RequestHead::host_name); `path` canonical. Time grows with the path's segments, not with the routes:
  // one look-up per segment, and once more for each way in which literals and wildcards of the *configuration* overlap on this path.
  // Allocates only for parameters and for Allow. `steps`, where given, is raised by the number of nodes that were visited.
  [[nodiscard]] RouteOutcome find(std::string_view host, http::Method method, std::string_view method_text, std::string_view path,
                                  std::size_t* steps = nullptr) const;

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
