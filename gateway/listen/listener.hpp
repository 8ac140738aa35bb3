// One address as one worker serves it: accepts, shakes hands, and runs a session per connection.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/overload.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "http/http1_session.hpp"
#include "listen/shared_listener.hpp"
#include "listen/socket_address.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/readiness.hpp"
#include "transport/stream.hpp"

namespace sallyport::listen {

// The parts of a worker that its listeners use. All outlive the listener.
struct ListenerContext {
  boost::asio::io_context& context;
  transport::DeadlineWheel& wheel;
  http::RequestHandler& handler;
  const http::Draining& draining;
  observe::WorkerMetrics& metrics;
  const observe::Log& log;
  const Clock& clock;
  // What runs on a connection that is ready; the tests put their own here.
  using Serve = std::function<Task<void>(transport::Stream&, const http::Peer&, const http::SessionContext&, http::SessionState&)>;
  Serve serve = &http::serve_http1;
  const Overload* overload = nullptr;  // when even saying no to a request costs too much; nullptr: never
};

// Belongs to the worker's thread, but for bind(). After start(), destroy it only when join() has returned or the io_context runs no more.
class Listener {
 public:
  static constexpr std::size_t kAcceptsPerRound = 64;      // then the connections at hand get their turn
  static constexpr std::chrono::milliseconds kPause{100};  // without descriptors
  // Of all descriptors that the process may have, these are not for clients: upstreams, stores and files need some too.
  static constexpr std::uint64_t kReservedShare = 4;  // one in four

  // Takes the sockets that SharedListener::next_sockets() has for it. Fault::unavailable naming the address and the reason.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> bind(std::shared_ptr<SharedListener> shared, ListenerContext worker);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void start();
  // No new connections; those that wait in the kernel are reset, unless another process has the sockets, too
  // (SharedListener::descriptors()) and takes them.
  void stop_accepting() noexcept;
  // stop_accepting(); what is idle ends now, requests under way may finish until `deadline`, the rest is aborted then. Called again, it
  // only moves the deadline. The worker sets its http::Draining before.
  void drain(MonotonicTime deadline);
  void abort_all() noexcept;
  // After a SharedListener::commit(): connections that were let in on something else end, idle ones now, the others with the request at
  // hand. Where the trust is the same, nobody notices.
  void end_distrusted() noexcept;
  // Returns when the accepting and every connection have ended.
  [[nodiscard]] Task<void> join() { return tasks_.join(); }

  [[nodiscard]] std::uint16_t port() const noexcept { return shared_->port(); }
  [[nodiscard]] std::size_t connections() const noexcept { return live_count_; }

 private:
  struct Connection;
  // Who connected. A SocketAddress is three times as large, and what a coroutine is given stays in its frame.
  struct Client {
    std::optional<IpAddress> address;  // nullopt: it came over a Unix socket
    std::string address_text;
    std::uint16_t port;
  };
  // A listening socket, and who accepts from it.
  struct Door {
    Door(boost::asio::io_context& context, UniqueDescriptor listening)
        : socket(std::move(listening)), pause_timer(context.get_executor()) {}
    UniqueDescriptor socket;
    std::optional<transport::Readiness> readiness;
    Timer pause_timer;
  };
  Listener(std::shared_ptr<SharedListener> shared, ListenerContext worker);

  enum class Accepted : std::uint8_t { one, none_left, cannot };
  [[nodiscard]] Task<void> accept_loop(Door& door);
  [[nodiscard]] Accepted accept_one(Door& door);
  void admit(UniqueDescriptor socket, const SocketAddress& peer);
  void refuse_for_want_of_descriptors(const Door& door);
  [[nodiscard]] Task<void> pause(Door& door);
  // A connection that is not wanted: counted, and its reason told to whoever debugs.
  void refuse(std::string_view reason, std::string_view address);
  [[nodiscard]] Task<void> serve(UniqueDescriptor socket, SharedListener::Slot slot, ListenerStatePtr state, Client client);
  // Whether the client at `address` may come in; takes its place in `slot`.
  [[nodiscard]] bool let_in(const ListenerState& state, const std::optional<IpAddress>& address, SharedListener::Slot& slot);
  [[nodiscard]] Task<bool> read_proxy_header(Connection& connection);
  [[nodiscard]] Task<bool> shake_hands(Connection& connection);
  static void on_drain_deadline(void* self) { static_cast<Listener*>(self)->abort_all(); }

  std::shared_ptr<SharedListener> shared_;
  ListenerContext worker_;
  std::vector<std::unique_ptr<Door>> doors_;
  UniqueDescriptor reserve_;      // given up for a moment to take and drop a client when there is no other descriptor
  std::uint64_t descriptor_end_;  // clients get descriptors below it
  transport::Deadline drain_deadline_;
  Connection* first_ = nullptr;  // the live ones
  std::size_t live_count_ = 0;
  bool accepting_ = false;
  bool short_of_descriptors_ = false;
  bool drained_idle_ = false;
  TaskGroup tasks_;
};

}  // namespace sallyport::listen
