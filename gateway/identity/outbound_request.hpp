// What goes to the upstream: theirs stripped, then ours set (DESIGN §3.1).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_buffer.hpp"
#include "http/exchange.hpp"
#include "identity/owned_names.hpp"
#include "identity/permit.hpp"

namespace sallyport::identity {

enum class FactKind : unsigned char { subject, issuer, method, roles, scopes, claim };

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
[[nodiscard]] Result<IdentityHeader> parse_identity_header(std::string_view field_name, std::string_view source);

inline constexpr std::size_t kHeaderValueBytesMax = 4096;

// Compiled per route at load: how requests of this route are written for its upstream.
struct OutboundPlan {
  std::vector<IdentityHeader> headers;          // X-Auth-Method always goes along, named here or not
  bool forward_credentials = false;             // false: the bearer token is removed when it was the credential's place
  std::vector<std::string> credential_headers;  // names (lower case) of token_from headers: removed unless forward_credentials or public
  std::vector<std::string> our_cookies;         // cookie names that are removed unless forward_credentials: always on public routes
  std::string strip_prefix;                     // `rewrite: { strip_prefix }`; empty: none
  bool is_public = false;                       // Authorization passes on; our cookies are still removed
  std::optional<std::string> fixed_host;        // `host: server`: sent instead of the client's
};

// What the request's surroundings add. Views need to live until build() returns.
struct OutboundContext {
  std::string_view client_address;
  std::string_view scheme;          // "https" or "http": how the client reached us
  std::string_view request_id;
  std::string_view traceparent;
};

// A claim that may not become a header: 403, audited.
struct ClaimRefused {
  std::string header;
  std::string detail;
};

// The head for the upstream, already written (HTTP/1.1): request line, Host, passed fields, ours, framing, the empty line.
// Only a Permit makes one, and only forward() takes one.
class OutboundRequest {
 public:
  // Appends nothing to `out` on ClaimRefused. `out` is the connection's reused buffer; the request holds a view into it.
  [[nodiscard]] static std::variant<OutboundRequest, ClaimRefused> build(const Permit& permit, const OutboundPlan& plan,
                                                                         const OwnedNames& owned, const http::RequestHead& request,
                                                                         const OutboundContext& context, ByteBuffer& out);

  [[nodiscard]] std::string_view head() const noexcept { return head_; }
  [[nodiscard]] http::Method method() const noexcept { return method_; }
  [[nodiscard]] http::Framing framing() const noexcept { return framing_; }
  // The path and query that are sent: what was judged, apart from the configured rewrite.
  [[nodiscard]] std::string_view target() const noexcept { return target_; }

 private:
  OutboundRequest() = default;
  std::string_view head_;
  std::string_view target_;
  http::Method method_ = http::Method::other;
  http::Framing framing_ = http::Framing::none;
};

}  // namespace sallyport::identity
