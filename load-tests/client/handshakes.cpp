#include <fmt/format.h>

#include <map>
#include <memory>

#include "connection.hpp"
#include "modes.hpp"

namespace sallyport::load {
namespace {

using std::chrono::steady_clock;

class OpenAndClose {
 public:
  OpenAndClose(const Target& target, const Handshakes& handshakes) : target_(target), handshakes_(handshakes), context_(make_context()) {
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<OpenAndClose*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->keep(ssl, Session(session));
      return 1;  // it is ours now
    });
  }

  int run() {
    const Moment began = steady_clock::now();
    const Moment end = began + handshakes_.duration;
    for (std::uint32_t i = 0; i < handshakes_.at_once; ++i) open();
    while (steady_clock::now() < end) {
      for (Connection* connection : poller_.wait(end)) go_on(*connection);
    }
    const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began).count();
    fmt::print(R"({{"handshakes":{},"resumed":{},"failed":{},"microseconds":{}}})"
               "\n",
               done_, resumed_, failed_, taken);
    return failed_ == 0 && done_ != 0 ? 0 : 1;
  }

 private:
  void open() {
    Session ticket;  // a copy: OpenSSL's client lets no session of TLS 1.3 be offered twice
    if (handshakes_.resume && !tickets_.empty()) ticket.reset(SSL_SESSION_dup(tickets_[next_ticket_++ % tickets_.size()].get()));
    auto connection = std::make_unique<Connection>(target_.port, context_.get(), ticket.get());
    poller_.add(*connection);
    Connection& opened = *connection;
    open_.emplace(opened.ssl(), Open{std::move(connection), false});
    go_on(opened);
  }

  // TLS 1.3 tells of tickets behind the handshake (RFC 8446 §4.6.1). Who resumed may get none, and goes on with the one it has.
  void go_on(Connection& connection) {
    Connection::State state = connection.advance();
    if (state == Connection::State::idle) state = connection.advance();
    const auto at = open_.find(connection.ssl());
    const bool is_complete = state == Connection::State::idle && (at->second.has_ticket || SSL_session_reused(connection.ssl()) == 1);
    if (!is_complete && state != Connection::State::failed) return;
    if (is_complete) {
      ++done_;
      resumed_ += SSL_session_reused(connection.ssl()) == 1 ? 1 : 0;
      connection.close_notify();
    } else {
      ++failed_;
    }
    open_.erase(at);
    open();
  }

  void keep(SSL* ssl, Session session) {
    open_.at(ssl).has_ticket = true;
    if (tickets_.size() < kTicketsMax) tickets_.push_back(std::move(session));
  }

  static constexpr std::size_t kTicketsMax = 64;
  struct Open {
    std::unique_ptr<Connection> connection;
    bool has_ticket;
  };

  const Target& target_;
  const Handshakes& handshakes_;
  const Context context_;
  Poller poller_;
  std::map<SSL*, Open> open_;
  std::vector<Session> tickets_;
  std::size_t next_ticket_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t resumed_ = 0;
  std::uint64_t failed_ = 0;
};

}  // namespace

int run_handshakes(const Target& target, const Handshakes& handshakes) { return OpenAndClose(target, handshakes).run(); }

}  // namespace sallyport::load
