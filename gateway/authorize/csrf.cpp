#include "authorize/csrf.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "http/host.hpp"

namespace sallyport::authorize {
namespace {

constexpr std::string_view kTokenField = "X-CSRF-Token";
constexpr std::string_view kHttps = "https";
constexpr std::string_view kHttp = "http";

// What the browser says about who made it send the request.
enum class Provenance : unsigned char { ours, foreign, untold };

struct OnlyField {
  std::size_t count = 0;
  std::string_view value;  // of the first
};

OnlyField only_field(const http::RequestHead& request, http::FieldId id) noexcept {
  const http::Field* field = request.find(id);
  if (field == nullptr) return {};
  return {request.count(id), field->value};
}

OnlyField only_token(const http::RequestHead& request) noexcept {
  OnlyField found;
  for (const http::Field& field : request.fields) {
    if (!equals_ignoring_case(field.name, kTokenField)) continue;
    if (found.count++ == 0) found.value = field.value;
  }
  return found;
}

struct Authority {
  std::string_view name;
  std::string_view port;  // empty: the scheme's default
};

// Of a host that is known to be one, or of text that is about to be compared with such a host: what is none never equals it.
Authority split_authority(std::string_view text, std::string_view default_port) noexcept {
  Authority parts{.name = text, .port = {}};
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
    parts = {.name = text.substr(0, colon), .port = text.substr(colon + 1)};
    if (parts.port == default_port) parts.port = {};
  }
  if (parts.name.ends_with('.')) parts.name.remove_suffix(1);
  return parts;
}

constexpr std::string_view default_port(std::string_view scheme) noexcept {
  if (scheme == kHttps) return "443";
  if (scheme == kHttp) return "80";
  return {};
}

// Whether `origin` is the one by which the client reached us.
bool is_own(std::string_view origin, const http::RequestHead& request, const http::Peer& peer) noexcept {
  const std::size_t separator = origin.find("://");
  if (separator == std::string_view::npos) return false;
  const std::string_view scheme = origin.substr(0, separator);
  // Behind TLS there is one scheme. Without it, who ends TLS in front of us keeps Host, but cannot tell us the scheme in a way that a
  // client could not; the host alone still keeps every other site out.
  if (scheme != kHttps && (scheme != kHttp || peer.is_tls)) return false;
  if (request.host.empty()) return false;
  const Authority theirs = split_authority(origin.substr(separator + 3), default_port(scheme));
  const Authority ours = split_authority(request.host, default_port(scheme));
  return equals_ignoring_case(theirs.name, ours.name) && theirs.port == ours.port;
}

bool is_allowed(std::string_view origin, const CsrfPolicy& policy) noexcept {
  return std::ranges::find(policy.allowed_origins, origin) != policy.allowed_origins.end();
}

Provenance provenance(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy) noexcept {
  const OnlyField origin = only_field(request, http::FieldId::origin);
  const OnlyField site = only_field(request, http::FieldId::sec_fetch_site);
  // Two of one name: whoever wrote the second, no browser did.
  if (origin.count > 1 || site.count > 1) return Provenance::foreign;
  const bool is_allowed_origin = origin.count == 1 && is_allowed(origin.value, policy);

  // Scripts cannot write Sec-Fetch-Site, and the browser knows the true addresses even where a proxy in front of us changes them.
  if (site.count == 1) {
    if (site.value == "same-origin" || site.value == "none") return Provenance::ours;
    return is_allowed_origin ? Provenance::ours : Provenance::foreign;
  }
  // `null` (sandboxed frames, data: URLs) is nobody's origin and so never ours.
  if (origin.count == 1) return is_allowed_origin || is_own(origin.value, request, peer) ? Provenance::ours : Provenance::foreign;
  return Provenance::untold;
}

bool is_scheme(std::string_view text) noexcept {
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.empty() || !is_letter(text[0])) return false;
  return std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; });
}

}  // namespace

std::string_view name(CsrfVerdict verdict) noexcept {
  switch (verdict) {
    case CsrfVerdict::not_needed: return "not_needed";
    case CsrfVerdict::same_origin: return "same_origin";
    case CsrfVerdict::token: return "token";
    case CsrfVerdict::refused: return "refused";
  }
  return "unknown";
}

CsrfVerdict check_csrf(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy,
                       const std::function<bool(std::string_view token)>& is_token) {
  if (http::is_safe(request.method)) return CsrfVerdict::not_needed;
  return check_websocket_origin(request, peer, policy, is_token);
}

CsrfVerdict check_websocket_origin(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy,
                                   const std::function<bool(std::string_view token)>& is_token) {
  if (policy.off) return CsrfVerdict::not_needed;
  switch (provenance(request, peer, policy)) {
    case Provenance::ours: return CsrfVerdict::same_origin;
    case Provenance::foreign: return CsrfVerdict::refused;
    case Provenance::untold: break;
  }
  const OnlyField token = only_token(request);
  if (token.count != 1 || token.value.empty()) return CsrfVerdict::refused;
  return is_token(token.value) ? CsrfVerdict::token : CsrfVerdict::refused;
}

bool is_cross_site(const http::RequestHead& request, const http::Peer& peer, const CsrfPolicy& policy) noexcept {
  if (policy.off || http::is_safe(request.method)) return false;
  return provenance(request, peer, policy) == Provenance::foreign;
}

Result<std::string> parse_origin(std::string_view text) {
  const std::size_t separator = text.find("://");
  if (separator == std::string_view::npos) return make_error(Fault::malformed, "an origin is scheme://host or scheme://host:port");
  const std::string scheme = to_lower(text.substr(0, separator));
  if (!is_scheme(scheme)) return make_error(Fault::malformed, "the origin's scheme is none");
  const std::string_view authority = text.substr(separator + 3);
  std::string host;
  if (const Result<void> parsed = http::parse_host(authority, host); !parsed) {
    return make_error(Fault::malformed, "the origin's " + parsed.error().detail + " (an origin ends with its host and port)");
  }
  std::string origin = scheme + "://" + host;
  const std::string_view port = split_authority(authority, default_port(scheme)).port;
  if (!port.empty()) origin.append(":").append(port);
  return origin;
}

}  // namespace sallyport::authorize
