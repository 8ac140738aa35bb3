// The timer of coroutines that wait, bound to io_context's own executor like everything else (task.hpp). Deadlines of connections are
// transport/deadline_wheel.hpp.
#pragma once

#include <chrono>

#include <boost/asio/basic_waitable_timer.hpp>

#include "base/task.hpp"

namespace sallyport {

using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

// Waits that long, for a loop that looks again now and then.
[[nodiscard]] inline Task<void> pause(Executor executor, std::chrono::milliseconds time) {
  Timer timer(executor, time);
  auto waited = co_await timer.async_wait(as_result);
  static_cast<void>(waited);
}

}  // namespace sallyport
