// The field names that only the gateway may set (DESIGN §3.1, §3.5; hazards I).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::identity {

// A name folded: lower case, and everything but letters and digits read as '-' ('_' and '.' above all). Upstreams that follow CGI cannot
// tell names apart that fold alike.
[[nodiscard]] std::string fold_name(std::string_view name);
[[nodiscard]] bool fold_alike(std::string_view a, std::string_view b) noexcept;  // no allocation

// Every name that is removed from requests on every route. Built once per configuration; immutable.
//
// Removed in every spelling: the identity headers (DESIGN §3.1 and those configured), X-Forwarded-*, Forwarded, X-Real-IP, X-Original-URL,
// X-Rewrite-URL, X-Request-Id, Via, traceparent, framing and hop-by-hop fields, Expect; `Proxy` (becomes HTTP_PROXY in CGI programs), and
// X-Accel-*, X-Sendfile and X-Sendfile-Type, which are a server's own orders.
// Removed unless spelled exactly (letter case aside), since the exact field goes by its own rules: Host, Authorization, Cookie,
// Content-Type, Content-Encoding, Origin, tracestate.
// Left alone: X-HTTP-Method-Override and its like. Policy judges the request's own method; an upstream that honours an override must not
// stand behind a route that counts on the method.
class OwnedNames {
 public:
  // `identity_headers`: every identity header of every route, in any case.
  explicit OwnedNames(const std::vector<std::string>& identity_headers);

  // Whether a field of that name must not come from a client. Separators at the ends do not count (`X-User-Id_`). No allocation.
  [[nodiscard]] bool owns(std::string_view name) const noexcept;

  // Whether `name` may not be configured as an identity header, in any spelling: X-Forwarded-*, Host, Cookie, Authorization, Content-*,
  // framing, hop by hop, and everything else above that is not itself an identity header.
  [[nodiscard]] static bool is_reserved(std::string_view name);

 private:
  struct Slot {
    std::string folded;  // empty: free
    bool exact_passes = false;
  };
  void add(std::string_view name, bool exact_passes);

  // Open addressing over a hash of the folded name; at most a quarter is filled.
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  // For most names one look here suffices: the lengths (bit 63: and above) of the folded names that begin with a letter or digit.
  std::array<std::uint64_t, 36> lengths_{};
};

}  // namespace sallyport::identity
