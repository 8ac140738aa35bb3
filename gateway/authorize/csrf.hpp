// Cross-site request forgery: whether a browser was made to send this (DESIGN §2.3 `csrf`; OWASP CSRF). Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.hpp"

namespace sallyport::authorize {

// Of a route, compiled. Our own endpoints that change something have the default.
struct CsrfPolicy {
  bool off = false;
  std::vector<std::string> allowed_origins;  // beside the request's own, as parse_origin() gives them
};

enum class CsrfVerdict : unsigned char {
  not_needed,   // a safe method that opens no WebSocket, or the policy is off
  same_origin,  // Sec-Fetch-Site: same-origin or none, or Origin is ours or allowed
  token,        // neither was sent, and X-CSRF-Token is the one
  refused,
};
[[nodiscard]] std::string_view name(CsrfVerdict verdict) noexcept;

// For a request that a cookie authenticated; requests with a bearer token are exempt and must not be asked about.
// Sec-Fetch-Site decides where it stands (once; same-site and cross-site only with an allowed Origin); then Origin (once; `null` never);
// then the token. Own origin: scheme, host and port by which the client reached us; on a listener without TLS either scheme, because TLS
// may end in front of it. `is_token` is asked at most once, about an X-CSRF-Token that stands there once and is not empty.
[[nodiscard]] CsrfVerdict check_csrf(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy,
                                     const std::function<bool(std::string_view token)>& is_token);

// The same for a WebSocket handshake, which is a GET that no browser asks anybody about before it sends it, and that opens a way in which
// both sides may say anything: safe it is not.
[[nodiscard]] CsrfVerdict check_websocket_origin(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy,
                                                 const std::function<bool(std::string_view token)>& is_token);

// For a request that no cookie authenticated and that signs somebody in all the same (login CSRF): whether the browser says that another
// site made it send this, by the same rules. Whoever sends neither Sec-Fetch-Site nor Origin is no browser, and there is nobody to protect.
[[nodiscard]] bool is_cross_site(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy) noexcept;

// An allowed origin as it is configured -> as browsers spell it (RFC 6454 §6.2): lower case, default port left out. Any scheme, because
// applications on phones have their own (capacitor://localhost). Fault::malformed: no scheme://host[:port], or more than that.
[[nodiscard]] Result<std::string> parse_origin(std::string_view text);

}  // namespace sallyport::authorize
