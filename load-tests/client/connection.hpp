// One HTTP/1.1 connection to 127.0.0.1 that never blocks once it is open, with TLS or without.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::load {

using Moment = std::chrono::steady_clock::time_point;

struct SslFree {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
};
using Context = std::unique_ptr<SSL_CTX, SslFree>;
using Session = std::unique_ptr<SSL_SESSION, SslFree>;

// TLS 1.3 alone, and no look at certificates: what is measured is the other side.
[[nodiscard]] Context make_context();

class Connection {
 public:
  enum class State : std::uint8_t { handshaking, idle, busy, failed };

  // Connected, the handshake begun. `context` nullptr: no TLS. `session`, where given, is offered. Throws std::runtime_error.
  Connection(std::uint16_t port, SSL_CTX* context, SSL_SESSION* session = nullptr);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Goes on as far as it can: to be called when the descriptor is ready, which an edge-triggered epoll tells.
  State advance();
  // Of an idle one. `request` lives until the answer is there.
  State send(std::string_view request);
  // Says goodbye, as far as that can be done without waiting.
  void close_notify() noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] SSL* ssl() const noexcept { return ssl_.get(); }
  [[nodiscard]] int status() const noexcept { return status_; }  // of the last answer
  Moment due;                                                    // for whoever sends

 private:
  // Bytes, 0 for "not now", -1 for the end and every fault.
  [[nodiscard]] int read_some(char* to, int size) noexcept;
  [[nodiscard]] int write_some(const char* from, int size) noexcept;
  [[nodiscard]] int outcome(int result) const noexcept;
  bool write_request() noexcept;
  void read_answer();
  void take(std::string_view bytes);

  int descriptor_ = -1;
  std::unique_ptr<SSL, SslFree> ssl_;
  State state_ = State::handshaking;
  std::string_view unsent_;
  std::string head_;  // of the answer, until it is whole
  std::uint64_t body_left_ = 0;
  bool in_body_ = false;
  int status_ = 0;
};

// Level of what an epoll has to say, edge-triggered, for connections alone.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  void add(Connection& connection);
  // Those that are ready, at `until` at the latest.
  [[nodiscard]] const std::vector<Connection*>& wait(Moment until);

 private:
  int descriptor_;
  std::vector<Connection*> ready_;
};

}  // namespace sallyport::load
