// Two streams copied into each other after a switch of protocols: what a WebSocket is to the gateway.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/byte_buffer.hpp"
#include "base/task.hpp"
#include "http/websocket.hpp"
#include "observe/metrics.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/stream.hpp"

namespace sallyport::http {

enum class TunnelEnd : std::uint8_t {
  closed,            // both sides ended in order
  client_gone,       // the client's connection broke
  upstream_gone,     // the upstream's did
  caller_ended,      // the caller's token or session is over: 4401
  going_away,        // the worker drains: 1001
  idle,              // not a byte either way for too long: 1000
  client_framing,    // the client broke the framing: 1002
  upstream_framing,  // the upstream did: the sockets alone
};
// A word for logs: "caller_ended".
[[nodiscard]] std::string_view name(TunnelEnd end) noexcept;

class Tunnel;

// The tunnels of one worker: counted, and ended when the worker has to. Belongs to its thread; outlives its tunnels.
class Tunnels {
 public:
  // Before the worker's own deadline, which cuts every connection: so long the last frames may take.
  static constexpr std::chrono::milliseconds kFarewell{1'000};

  Tunnels(transport::DeadlineWheel& wheel, observe::WorkerMetrics& metrics) noexcept
      : metrics_(metrics), drain_deadline_(wheel, &Tunnels::on_drain_deadline, this) {}
  Tunnels(const Tunnels&) = delete;
  Tunnels& operator=(const Tunnels&) = delete;

  // Ends those that are still open kFarewell before `deadline`. Called again, it moves the deadline.
  void drain(MonotonicTime deadline);
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  friend class Tunnel;
  static void on_drain_deadline(void* self) { static_cast<Tunnels*>(self)->end_all(); }
  void end_all() noexcept;

  observe::WorkerMetrics& metrics_;
  transport::Deadline drain_deadline_;
  Tunnel* first_ = nullptr;
  std::size_t size_ = 0;
};

// Bytes go from one stream to the other as they come, with back-pressure: what the receiver does not take at once waits in a buffer, and
// nothing more is read until it is gone. Between bytes a direction holds no buffer. A side that ends in order ends its direction only; one
// that breaks ends the tunnel. The frames of both directions are followed, so that a last word of ours can stand between two of them.
class Tunnel {
 public:
  static constexpr std::size_t kReadBytes = 64 * 1024;                 // at once; also the most that ever waits in a direction
  static constexpr std::size_t kTurnBytes = 256 * 1024;                // moved without a wait before other connections get their turn
  static constexpr std::size_t kStepBytes = 4 * 1024;                  // what a step counts for at least
  static constexpr std::chrono::milliseconds kHalfClosedIdle{30'000};  // the idle time once one side has ended
  static constexpr std::chrono::milliseconds kGoodbyeTime{500};        // for the rest of a frame and the close frame to go out
  static constexpr std::chrono::milliseconds kLingerTime{500};         // for the client to read it before the socket goes
  static constexpr std::size_t kLingerBytesMax = 64 * 1024;

  struct Ends {
    transport::Stream& client;
    transport::Stream& upstream;
  };
  // What each side has sent already.
  struct Early {
    std::string_view of_client;
    std::string_view of_upstream;
  };
  Tunnel(Tunnels& tunnels, Ends ends, Early early, std::chrono::milliseconds idle_timeout);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // Until the tunnel is over. Both streams are closed then.
  [[nodiscard]] Task<TunnelEnd> run();
  // Ends it from outside: what stands above for each reason goes out where the framing allows it. The first reason counts. Safe at any
  // time; run() goes on to its end by itself.
  void end(TunnelEnd why) noexcept;

  [[nodiscard]] std::uint64_t bytes_from_client() const noexcept { return upward_.bytes; }
  [[nodiscard]] std::uint64_t bytes_to_client() const noexcept { return downward_.bytes; }

 private:
  friend class Tunnels;

  struct Way {
    transport::Stream& from;
    transport::Stream& to;
    FrameBorders borders;
    ByteBuffer waiting;  // read, and not taken by `to` yet
    std::uint64_t bytes = 0;
    std::uint64_t* counted = nullptr;  // the metric beside `bytes`
    TunnelEnd framing_fault;
    TunnelEnd from_gone;
    TunnelEnd to_gone;
    bool ended = false;  // `from` ended in order, and all of it was passed on
  };

  [[nodiscard]] Task<void> pump(Way& way);
  // Whether the way goes on. False: it has ended, or the tunnel has.
  [[nodiscard]] Task<bool> send_waiting(Way& way);
  // Counts and judges what was read. False: it must not go on, and the tunnel is over.
  [[nodiscard]] bool take_read(Way& way, std::string_view bytes);
  // What `to` takes at once; the rest waits. False: it is gone, and so is the tunnel.
  [[nodiscard]] bool pass_on(Way& way, std::string_view bytes);
  void end_way(Way& way, transport::IoStatus status) noexcept;
  [[nodiscard]] bool is_turn_over(std::size_t bytes) noexcept;
  void touch();
  void cut(TunnelEnd why) noexcept;

  [[nodiscard]] Task<void> say_goodbye();
  [[nodiscard]] Task<bool> reach_border();
  [[nodiscard]] Task<void> linger();

  Tunnels& tunnels_;
  transport::Stream& client_;
  transport::Stream& upstream_;
  std::chrono::milliseconds idle_timeout_;
  transport::Deadline idle_;
  Way upward_;
  Way downward_;
  std::size_t turn_bytes_ = 0;
  bool over_ = false;  // end_ says why
  bool cut_ = false;   // and both streams are closed
  TunnelEnd end_ = TunnelEnd::closed;
  Tunnel* previous_ = nullptr;
  Tunnel* next_ = nullptr;
};

}  // namespace sallyport::http
