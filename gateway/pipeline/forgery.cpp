#include "pipeline/forgery.hpp"

#include <functional>

#include "http/websocket.hpp"

namespace sallyport::pipeline {

using authorize::CsrfVerdict;
using authorize::Denied;

Denied forged() {
  return {.why = Denied::Why::requirement_unmet,
          .reason = "csrf",
          .detail = "nothing shows that our own site made the browser send this",
          .scopes = {}};
}

Asks how_it_asks(const http::RequestHead& request, bool route_opens_websockets) noexcept {
  return route_opens_websockets && http::asks_for_websocket(request) ? Asks::for_websocket : Asks::ordinarily;
}

ForgeryCheck check_forgery(const http::RequestHead& request, const http::Peer& peer, const authorize::CsrfPolicy& policy,
                           const authenticate::TagKeysPtr& keys, const IsTokenOfCaller& is_token_of_caller, Asks asks) {
  bool could_not_ask = false;
  const auto is_token = [&](std::string_view token) {
    could_not_ask = keys == nullptr;
    return keys != nullptr && is_token_of_caller(*keys, token);
  };
  ForgeryCheck check;
  check.verdict = asks == Asks::for_websocket ? authorize::check_websocket_origin(request, peer, policy, std::ref(is_token))
                                              : authorize::check_csrf(request, peer, policy, std::ref(is_token));
  switch (check.verdict) {
    case CsrfVerdict::not_needed:
    case CsrfVerdict::same_origin:
    case CsrfVerdict::token: check.denied.reset(); break;
    case CsrfVerdict::refused:
      check.denied = could_not_ask ? Denied{.why = Denied::Why::unavailable,
                                            .reason = name(Denied::Why::unavailable),
                                            .detail = "the keys of CSRF tokens are not known yet",
                                            .scopes = {}}
                                   : forged();
      break;
  }
  return check;
}

}  // namespace sallyport::pipeline
