// A worker with one listener, for the tests of listen/.
#pragma once

#include <gmock/gmock.h>

#include <cstring>

#include "listen/listener.hpp"
#include "unit/transport/stream_fixture.hpp"

namespace sallyport::listen {

using namespace std::chrono_literals;
using test::Descriptor;
using test::Loop;

// What a session needs to name and these tests never call.
class NoHandler final : public http::RequestHandler {
 public:
  Task<void> handle(http::Exchange&) override { co_return; }
  Task<void> refuse(http::Exchange&, http::RequestFault, std::string_view) override { co_return; }
};

struct Seen {
  std::vector<std::string> peers;    // "address listener tls sni"
  const http::Peer* peer = nullptr;  // the last one, while it is connected
  int ended = 0;
  int trusted = 0;                    // who came from a trusted proxy
  std::vector<std::string> subjects;  // of the certificates that were shown; "" for none
};

// Echoes until the client ends; notes who came.
inline Task<void> echo(Seen& seen, transport::Stream& stream, const http::Peer& peer) {
  seen.peers.push_back(std::string(peer.address) + " " + std::string(peer.listener) + " " + std::string(peer.tls_version) + " " +
                       std::string(peer.server_name));
  seen.peer = &peer;
  seen.trusted += peer.trusted_proxies != nullptr ? 1 : 0;
  seen.subjects.push_back(peer.certificate != nullptr ? peer.certificate->subject : "");
  EXPECT_GT(peer.port, 0);
  EXPECT_EQ(peer.is_tls, !peer.tls_version.empty());
  std::array<char, 256> buffer{};
  for (;;) {
    const transport::IoResult got = co_await stream.read_some(buffer);
    if (!got.ok()) break;
    const transport::IoResult sent = co_await stream.write_all(std::span(buffer).first(got.bytes));
    if (!sent.ok()) break;
  }
  ++seen.ended;
}

inline ListenerSettings loopback_settings() {
  ListenerSettings settings;
  settings.name = "public";
  settings.host = "127.0.0.1";
  return settings;
}

// A worker with one listener.
struct Bench {
  ListenerSettings settings = loopback_settings();
  Seen seen;
  Loop loop;
  NoHandler handler;
  http::Draining draining;
  observe::WorkerMetrics metrics;
  SystemClock clock;
  observe::LineWriter writer{{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log{writer, observe::Level::error, clock};
  std::shared_ptr<SharedListener> shared;
  std::unique_ptr<Listener> listener;
  bool idle_while_served = true;

  ListenerContext worker() {
    return {loop.context,
            loop.wheel,
            handler,
            draining,
            metrics,
            log,
            clock,
            [this](transport::Stream& stream, const http::Peer& peer, const http::SessionContext&, http::SessionState& state) {
              state.idle = idle_while_served;
              return echo(seen, stream, peer);
            }};
  }
  std::unique_ptr<Listener> bind() {
    auto bound = Listener::bind(shared, worker());
    EXPECT_TRUE(bound) << bound.error().detail;
    return bound ? std::move(*bound) : nullptr;
  }
  void start() {
    auto made = SharedListener::create(settings, clock);
    ASSERT_TRUE(made) << made.error().detail;
    shared = std::move(*made);
    listener = bind();
    ASSERT_NE(listener, nullptr);
    listener->start();
  }
  void stop() {
    if (!listener) return;
    listener->drain(clock.monotonic_now());
    loop.run(listener->join());
  }
  // Runs the loop until `done` or far too long.
  void run_until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    loop.context.restart();
    while (!done() && std::chrono::steady_clock::now() < limit) loop.context.run_one_for(10ms);
    EXPECT_TRUE(done());
  }
  // How many handlers ran.
  std::size_t run_for(std::chrono::milliseconds time) {
    std::size_t handlers = 0;
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) handlers += loop.context.run_one_for(10ms);
    return handlers;
  }
  [[nodiscard]] SocketAddress address(const char* host = "127.0.0.1") const { return *SocketAddress::parse(host, shared->port()); }
  [[nodiscard]] int connect_descriptor(const char* host = "127.0.0.1") const {
    const SocketAddress to = address(host);
    const int descriptor = ::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{20, 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(::connect(descriptor, to.generic(), to.size), 0) << std::strerror(errno);
    return descriptor;
  }
  [[nodiscard]] Descriptor connect(const char* host = "127.0.0.1") const { return Descriptor(connect_descriptor(host)); }
  // The value of this listener's metric as /metrics shows it; -1 when it is not there.
  [[nodiscard]] int number(const std::string& metric, const std::string& labels = {}) const {
    const observe::ProcessMetrics process;
    const std::string all = observe::exposition(process, metrics);
    const std::string line = "\n" + metric + "{listener=\"public\"" + labels + "} ";
    const std::size_t at = all.find(line);
    return at == std::string::npos ? -1 : std::stoi(all.substr(at + line.size()));
  }
  [[nodiscard]] int refused(const std::string& reason = "full") const {
    return number("sallyport_connections_refused_total", ",reason=\"" + reason + "\"");
  }
};

// What has arrived at a client: a count, 0 for the end, -1 for nothing yet.
inline ssize_t waiting_bytes(const Descriptor& client) {
  char bytes[64];
  return ::recv(client.get(), bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
}

}  // namespace sallyport::listen
