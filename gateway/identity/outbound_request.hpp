// What goes to the upstream: theirs stripped, then ours set (DESIGN §3.1).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_buffer.hpp"
#include "http/exchange.hpp"
#include "http/websocket.hpp"
#include "identity/owned_names.hpp"
#include "identity/permit.hpp"

namespace sallyport::identity {

enum class FactKind : unsigned char { subject, issuer, method, roles, scopes, claim };

inline constexpr std::string_view kMethodHeader = "X-Auth-Method";

// One identity header of a route: a field name, and what fills it.
struct IdentityHeader {
  std::string name;
  FactKind fact = FactKind::claim;
  std::optional<JsonPointer> pointer;  // of `claim`
  friend bool operator==(const IdentityHeader&, const IdentityHeader&) = default;
};
// X-Auth-Subject, -Issuer, -Method, -Roles, -Scopes: what a route without `identity` gets.
[[nodiscard]] std::vector<IdentityHeader> default_identity_headers();
// A `headers:` entry: `sub`, `iss`, `roles`, `scopes`, `method`, another claim's name, or a JSON pointer.
// Fault::malformed: the field name is no token, reserved (OwnedNames::is_reserved), or X-Auth-Method for anything but `method`; the source
// is empty or no JSON pointer.
[[nodiscard]] Result<IdentityHeader> parse_identity_header(std::string_view field_name, std::string_view source);

// Of one value as it is sent, joined with its siblings where it is a list.
inline constexpr std::size_t kHeaderValueBytesMax = 4096;
// How often a request may pass a gateway of this name before it counts as going round (`Via`).
inline constexpr std::size_t kHopsMax = 5;

// Whether `Via` says that the request came through gateways of this name kHopsMax times or more: 508.
[[nodiscard]] bool is_looping(const http::RequestHead& request) noexcept;

// `request_headers`, compiled: fields of ours that say nothing about who the caller is. The names are neither framing nor hop by hop nor
// owned (OwnedNames); whoever builds the plan sees to that.
struct FieldRules {
  std::vector<std::string> remove;  // with their aliases
  std::vector<std::pair<std::string, std::string>> set;  // instead of the client's, aliases included
  std::vector<std::pair<std::string, std::string>> add;  // beside the client's
};

// Compiled per route at load: how requests of this route are written for its upstream. Credentials that go upstream or not:
//   public route         Authorization and token headers pass (nobody here read them); our cookies are removed
//   otherwise            a Bearer Authorization, token headers and our cookies are removed; another scheme (Basic) passes
//   forward_credentials  everything passes (without effect on public routes), but for the refresh cookie: it would let the upstream have
//                        tokens as the caller for as long as the family lives, and no upstream needs that (hazards H15)
struct OutboundPlan {
  std::vector<IdentityHeader> headers;  // X-Auth-Method always goes along, named here or not
  bool forward_credentials = false;
  std::vector<std::string> credential_headers;  // names of token_from headers other than Authorization; their aliases go with them
  std::vector<std::string> our_cookies;         // names of our cookies and of token_from cookies
  std::string refresh_cookie;                   // the one of our cookies that never goes upstream; empty: there is none
  std::shared_ptr<const FieldRules> fields;     // nullptr: none
  std::string strip_prefix;                     // `rewrite: { strip_prefix }`, on segment borders; empty: none. A path without it stays
  bool is_public = false;
  std::optional<std::string> fixed_host;  // `host: server`: sent instead of the client's
};

// What the request's surroundings add. Views need to live until build() returns.
struct OutboundContext {
  std::string_view client_address;
  std::string_view scheme;  // "https" or "http": how the client reached us
  std::string_view request_id;
  std::string_view traceparent;
  // The opening handshake that goes on to the upstream: its fields are written anew, and none of the client's own Sec-WebSocket-* pass.
  // nullptr: an ordinary request. Outlives the OutboundRequest.
  const http::WebSocketHandshake* websocket = nullptr;
  // A CORS preflight that nobody answers for: only what a browser says with one passes, no credential of any kind.
  bool is_preflight = false;
};

// A claim that may not become a header: 403, audited. A control byte (HTAB and DEL are some), more than kHeaderValueBytesMax, a comma in an
// element of a list, or a space at the beginning or end of a value or element, which its reader would drop and so take it for another.
// What is not refused but simply not sent: a missing, null or empty claim, an object, and a list that holds anything but scalars.
// Empty elements of a list are left out.
struct ClaimRefused {
  std::string header;
  std::string detail;
};

// The head for the upstream, already written (HTTP/1.1): request line, Host, passed fields, ours, framing, the empty line.
// Only a Permit makes one, and only forward() takes one. Hop-by-hop fields and those that `Connection` names go before ours are set, so
// that `Connection: X-Auth-Subject` has no effect. `Via: 1.1 sallyport` says once more what an incoming Via said of gateways of this name,
// and nothing else of it; tracestate goes along only with the trace that it belongs to.
class OutboundRequest {
 public:
  // Appends nothing to `out` on ClaimRefused. `out` is the connection's reused buffer; the request holds views into it, valid until it
  // changes. No allocation once the buffer has grown, but for claims that are numbers.
  [[nodiscard]] static std::variant<OutboundRequest, ClaimRefused> build(const Permit& permit, const OutboundPlan& plan,
                                                                         const OwnedNames& owned, const http::RequestHead& request,
                                                                         const OutboundContext& context, ByteBuffer& out);

  [[nodiscard]] std::string_view head() const noexcept { return head_; }
  [[nodiscard]] http::Method method() const noexcept { return method_; }
  [[nodiscard]] http::Framing framing() const noexcept { return framing_; }
  // False for a body where upstreams do not expect one (GET, HEAD, OPTIONS, DELETE, unregistered methods): one that leaves it unread would
  // take it for the next request on the connection, which nobody has judged. Such a request says `Connection: close`. False for a WebSocket
  // handshake, too: what its connection is after it, its answer decides.
  [[nodiscard]] bool may_share_connection() const noexcept { return may_share_connection_; }
  // What the upstream is asked to switch to; nullptr: nothing, and a 101 is a fault.
  [[nodiscard]] const http::WebSocketHandshake* websocket() const noexcept { return websocket_; }
  // The path and query that are sent: what was judged, apart from the configured rewrite.
  [[nodiscard]] std::string_view target() const noexcept { return target_; }

 private:
  OutboundRequest() = default;
  std::string_view head_;
  std::string_view target_;
  http::Method method_ = http::Method::other;
  http::Framing framing_ = http::Framing::none;
  bool may_share_connection_ = true;
  const http::WebSocketHandshake* websocket_ = nullptr;
};

}  // namespace sallyport::identity
