// Time, always passed in: decisions follow wall time (tokens, sessions), timers follow monotonic time.
#pragma once

#include <chrono>

namespace sallyport {

using WallTime = std::chrono::system_clock::time_point;
using MonotonicTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  [[nodiscard]] virtual MonotonicTime monotonic_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override { return std::chrono::system_clock::now(); }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace sallyport
