// The CSRF check as the pipeline asks for it: authorize/csrf with the keys behind double-submit tokens.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "authenticate/tag_keys.hpp"
#include "authorize/authorizer.hpp"
#include "authorize/csrf.hpp"

namespace sallyport::pipeline {

// Whether a double-submit token belongs to whoever the request's cookies name.
using IsTokenOfCaller = std::function<bool(const authenticate::TagKeys& keys, std::string_view token)>;

struct ForgeryCheck {
  authorize::CsrfVerdict verdict = authorize::CsrfVerdict::refused;
  // Why the request goes no further: refused (403), or a token was sent and the keys are not known yet (503). nullopt: it goes on.
  std::optional<authorize::Denied> denied = authorize::Denied{authorize::Denied::Why::requirement_unmet, "csrf", {}, {}};
};
enum class Asks : unsigned char { ordinarily, for_websocket };
// On a route that opens WebSockets or does not. A handshake is no safe request, good or bad as it may be.
[[nodiscard]] Asks how_it_asks(const http::RequestHead& request, bool route_opens_websockets) noexcept;

// `keys` is null until the store has told the shared secret.
[[nodiscard]] ForgeryCheck check_forgery(const http::RequestHead& request, const http::Peer& peer, const authorize::CsrfPolicy& policy,
                                         const authenticate::TagKeysPtr& keys, const IsTokenOfCaller& is_token_of_caller,
                                         Asks asks = Asks::ordinarily);

// The refusal (403) of a request that another site made the browser send.
[[nodiscard]] authorize::Denied forged();

}  // namespace sallyport::pipeline
