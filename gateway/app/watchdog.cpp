#include "app/watchdog.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

namespace sallyport::app {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int kLooksPerStall = 4;
constexpr int kLasting = 10;  // so many times too long: worth a line before it is over

microseconds since(std::chrono::steady_clock::time_point then, std::chrono::steady_clock::time_point now) {
  return std::chrono::duration_cast<microseconds>(now - then);
}

}  // namespace

Watchdog::Watchdog(boost::asio::io_context& control, const observe::Log& log) : timer_(control.get_executor()), log_(log) {}

void Watchdog::add(Executor loop) { loops_.push_back(Loop{.executor = std::move(loop)}); }

void Watchdog::stop() {
  stopped_ = true;
  timer_.cancel();
}

Task<void> Watchdog::run() {
  while (!stopped_) {
    look(std::chrono::steady_clock::now());
    timer_.expires_after(stall_ / kLooksPerStall);
    auto waited = co_await timer_.async_wait(as_result);
    static_cast<void>(waited);
  }
}

void Watchdog::look(Instant now) {
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    Loop& loop = loops_[i];
    if (loop.is_asked && loop.pulse->answered.load(std::memory_order_acquire)) {
      loop.is_asked = false;
      note(i, loop, microseconds(loop.pulse->lag_microseconds.load(std::memory_order_relaxed)));
    }
    if (!loop.is_asked) {
      ask(loop, now);
    } else if (!loop.is_reported && since(loop.asked, now) > kLasting * stall_) {
      loop.is_reported = true;
      log_.event(observe::Level::warning, "event_loop_stalled",
                 fmt::format("worker {} has not answered for {} ms, and does not yet", i,
                             std::chrono::duration_cast<milliseconds>(since(loop.asked, now)).count()));
    }
  }
}

void Watchdog::ask(Loop& loop, Instant now) {
  loop.asked = now;
  loop.is_asked = true;
  loop.is_reported = false;
  loop.pulse->answered.store(false, std::memory_order_relaxed);
  boost::asio::post(loop.executor, [pulse = loop.pulse, now] {
    pulse->lag_microseconds.store(since(now, std::chrono::steady_clock::now()).count(), std::memory_order_relaxed);
    pulse->answered.store(true, std::memory_order_release);
  });
}

void Watchdog::note(std::size_t number, Loop& loop, microseconds lag) {
  lag_ = std::max(lag_, lag);
  loop.is_reported = false;
  if (lag <= stall_) return;
  ++stalls_;
  log_.event(observe::Level::warning, "event_loop_stalled",
             fmt::format("worker {} was held up for {} ms", number, std::chrono::duration_cast<milliseconds>(lag).count()));
}

std::uint64_t Watchdog::stalls() const noexcept { return stalls_; }

microseconds Watchdog::take_lag() {
  const Instant now = std::chrono::steady_clock::now();
  microseconds longest = std::exchange(lag_, microseconds(0));
  for (const Loop& loop : loops_) {
    if (loop.is_asked && !loop.pulse->answered.load(std::memory_order_acquire)) longest = std::max(longest, since(loop.asked, now));
  }
  return longest;
}

}  // namespace sallyport::app
