// Notices event loops that are held up: a worker that does not get to its next event in time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/task.hpp"
#include "base/timer.hpp"
#include "observe/log.hpp"

namespace sallyport::app {

// Belongs to the control thread. Posts to every loop in turn and looks how long the answer takes: one event for each worker, several times
// within `stall`. Only tells; nothing is ever ended.
//
// Log events: event_loop_stalled (warning) when a stall is over, with the worker and the length, which is exact to a quarter of `stall`;
// and once while it lasts, when it is ten times too long.
class Watchdog {
 public:
  Watchdog(boost::asio::io_context& control, const observe::Log& log);

  // Before the loop's thread runs, and in the order of their numbers. The executor outlives run().
  void add(Executor loop);
  void use(std::chrono::milliseconds stall) noexcept { stall_ = stall; }

  // Goes on until stop(). Spawned by its owner, who joins it; the loops may have ended by then.
  [[nodiscard]] Task<void> run();
  void stop();

  [[nodiscard]] std::uint64_t stalls() const noexcept;
  // The longest since the last call, of all loops; those that have not answered yet count as far as they got.
  [[nodiscard]] std::chrono::microseconds take_lag();

 private:
  using Instant = std::chrono::steady_clock::time_point;
  // Shared with what is posted to a loop, which may never run.
  struct Pulse {
    std::atomic<bool> answered{true};
    std::atomic<std::int64_t> lag_microseconds{0};  // of the last answer
  };
  struct Loop {
    Executor executor;
    std::shared_ptr<Pulse> pulse = std::make_shared<Pulse>();
    Instant asked{};
    bool is_asked = false;
    bool is_reported = false;  // while it lasts
  };

  void look(Instant now);
  void ask(Loop& loop, Instant now);
  void note(std::size_t number, Loop& loop, std::chrono::microseconds lag);

  Timer timer_;
  const observe::Log& log_;
  std::chrono::milliseconds stall_{1'000};
  std::vector<Loop> loops_;
  std::uint64_t stalls_ = 0;
  std::chrono::microseconds lag_{0};
  bool stopped_ = false;
};

}  // namespace sallyport::app
