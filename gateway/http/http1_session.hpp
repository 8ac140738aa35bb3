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
  // For so long who was not told by an answer may still send a request, which is answered, with `Connection: close`. Where somebody else
  // goes on at this address, nobody has to see a connection closed under his request.
  std::chrono::milliseconds patience{0};
};

// What a session needs that outlives it. One per listener and worker.
struct SessionContext {
  RequestHandler& handler;
  const Limits& limits;
  const Timeouts& timeouts;
  const Draining& draining;
  const Clock& clock;
};

// What the worker may look at while the session runs.
struct SessionState {
  bool idle = true;  // no request is at hand: a draining worker may abort the stream at once
};

// Requests that a client may have answered one upon the other, because it pipelines them, before other connections get their turn.
inline constexpr unsigned kRequestsPerTurn = 16;

// Runs until the connection ends. `stream` is past its handshake. Requests are answered in the order they came (pipelining); bytes after a
// refused or closing request are never parsed. An exception of the handler closes this connection and goes on to the caller, which reports
// it.
[[nodiscard]] Task<void> serve_http1(transport::Stream& stream, const Peer& peer, const SessionContext& context, SessionState& state);

}  // namespace sallyport::http
