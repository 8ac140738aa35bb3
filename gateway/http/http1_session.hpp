// Serves one downstream connection of HTTP/1.0 and 1.1 (RFC 9112).
#pragma once

#include <memory>
#include <string>

#include "base/task.hpp"
#include "http/exchange.hpp"
#include "http/limits.hpp"
#include "transport/stream.hpp"

namespace sallyport::http {

// Told by the worker when it drains: sessions finish the request at hand, answer with `Connection: close`, and end.
struct Draining {
  bool value = false;
};

// What a session needs that outlives it. One per listener and worker.
struct SessionContext {
  RequestHandler& handler;
  const Limits& limits;
  const Timeouts& timeouts;
  const Draining& draining;
  const Clock& clock;
};

// Runs until the connection ends; never throws. `stream` is past its handshake. Requests are answered in the order they came
// (pipelining); bytes after a refused or closing request are never parsed. `on_idle` style hooks are not needed: the worker stops idle
// sessions by aborting their streams, which it knows.
// `idle` is set true while no request is at hand, so that a draining worker may abort the stream at once.
struct SessionState {
  bool idle = true;
};
[[nodiscard]] Task<void> serve_http1(transport::Stream& stream, Peer peer, const SessionContext& context, SessionState& state);

}  // namespace sallyport::http
