// One request and its answer, whatever the version of HTTP below. Everything after http/ sees this and never a socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.hpp"
#include "base/task.hpp"
#include "http/head.hpp"
#include "transport/peer_certificate.hpp"

namespace sallyport::transport {
class Stream;
}

namespace sallyport::http {

struct TrustedProxies;  // http/client_address.hpp

// Who is at the other end of the connection. Set once per connection, but for is_distrusted; outlives its exchanges.
struct Peer {
  std::string_view listener{};  // the listener's configured name
  // The IP address at the other end as text, IPv4-mapped IPv6 as IPv4, without a zone; with the PROXY protocol the one that the proxy
  // named. It may be a proxy's: whose request it is says client_address() (http/client_address.hpp).
  std::string_view address{};
  std::uint16_t port = 0;
  bool is_tls = false;
  std::string_view tls_version{};  // "TLSv1.3" or empty
  std::string_view server_name{};  // SNI or empty
  // The client's certificate, only once it has been verified (chain, purpose, time); nullptr: it showed none that counts.
  const transport::PeerCertificate* certificate = nullptr;
  // Only where `address` is a trusted proxy's, so that its forwarding headers mean something; nullptr: they mean nothing.
  const TrustedProxies* trusted_proxies = nullptr;
  // Certificates matter on this listener: a request whose Host is not the name of the TLS handshake is misdirected (421).
  bool asks_for_certificate = false;
  // A reload changed what the connection was let in on (its listener's authorities, networks, TLS version): no request follows the one at
  // hand, and what counts only with `certificate` counts no more.
  bool is_distrusted = false;
};

enum class BodyState : std::uint8_t {
  more,       // `bytes` is a piece of the body, not empty
  end,        // the body is complete; `bytes` is empty
  malformed,  // chunk framing broken
  too_large,  // over body_bytes_max
  timed_out,  // the body's deadline passed
  gone,       // the client went away before the end
};
struct BodyPiece {
  BodyState state;
  std::string_view bytes;  // valid until the next call on the exchange
};

// How the answer's body will be framed. The exchange picks what the client's version can carry:
// `stream` is chunked to 1.1 and until-close to 1.0. HEAD, 204 and 304 send no body whatever is written.
struct AnswerBody {
  enum class Kind : std::uint8_t { none, sized, stream } kind = Kind::none;
  std::uint64_t size = 0;  // of sized. For an answer to HEAD: the Content-Length to announce
};

// Belongs to the connection's worker. Call order: any read_body(), then start(), then write()s, then finish().
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const RequestHead& request() const noexcept = 0;
  [[nodiscard]] virtual const Peer& peer() const noexcept = 0;
  [[nodiscard]] virtual MonotonicTime started_at() const noexcept = 0;  // when the head was complete

  // The next piece. The first call answers `Expect: 100-continue` with 100, so authenticate before it.
  // After anything but `more` the same state is returned again.
  [[nodiscard]] virtual Task<BodyPiece> read_body() = 0;
  // As read_body(), but an empty `more` when nothing came for that long: for who must listen to another side as well.
  [[nodiscard]] virtual Task<BodyPiece> read_body_within(std::chrono::milliseconds /*patience*/) { return read_body(); }
  // What can be had of the body without waiting and without sending a 100; an empty `more` when nothing can.
  [[nodiscard]] virtual BodyPiece buffered_body() = 0;

  // Asks, before start(), that read_body() may go on after it, for an upstream that answers while it reads. Only one of read_body() and
  // write() may be under way at a time. False: it may not, and start() drops what is left of the body.
  [[nodiscard]] virtual bool keep_reading() noexcept { return false; }
  // Puts the head into the output buffer. `fields` must hold no framing and no hop-by-hop field: those are written here, with Date
  // where the fields have none. Calling it twice is a programmer's error.
  virtual void start(int status, std::span<const Field> fields, AnswerBody body) = 0;
  // Sends a piece of the body; false when the client is gone or too slow. Small pieces wait in the buffer until finish(), flush() or more.
  [[nodiscard]] virtual Task<bool> write(std::string_view bytes) = 0;
  // Sends what waits in the buffer.
  [[nodiscard]] virtual Task<bool> flush() = 0;
  // The answer is complete. False when it could not be sent whole.
  [[nodiscard]] virtual Task<bool> finish() = 0;

  [[nodiscard]] virtual bool started() const noexcept = 0;
  // The connection closes after this answer (or, when the answer was cut, now: a truncated answer must not look complete).
  virtual void close_after() noexcept = 0;
  virtual void abort() noexcept = 0;

  // Instead of start() and all that follows it, for a request with wants_websocket: sends a 101 with `fields` (Connection and Upgrade are
  // written here), after which the connection carries no more HTTP. Whoever called has the stream until his handler returns, and the
  // connection ends then. nullptr: the client is gone, or this version of HTTP has no such switch.
  [[nodiscard]] virtual Task<transport::Stream*> switch_protocols(std::span<const Field> /*fields*/) { co_return nullptr; }
  // What the client sent behind the head of its handshake, as far as it was read: the first bytes of the tunnel.
  [[nodiscard]] virtual std::string_view early_bytes() const noexcept { return {}; }
  // What the tunnel moved, for bytes_in() and bytes_out().
  virtual void count_tunnel(std::uint64_t /*from_client*/, std::uint64_t /*to_client*/) noexcept {}

  [[nodiscard]] virtual std::uint64_t bytes_in() const noexcept = 0;   // of the body, as content
  [[nodiscard]] virtual std::uint64_t bytes_out() const noexcept = 0;  // of the body, as content
};

// What the sessions call. One per worker.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Answers the exchange. An exception costs the connection, nothing else.
  [[nodiscard]] virtual Task<void> handle(Exchange& exchange) = 0;
  // The bytes were no request: answer with status_of(fault). The head holds what was understood before the fault, possibly nothing;
  // the session closes the connection afterwards.
  [[nodiscard]] virtual Task<void> refuse(Exchange& exchange, RequestFault fault, std::string_view detail) = 0;
};

}  // namespace sallyport::http
