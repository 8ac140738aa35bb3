// A clock that the test moves.
#pragma once

#include <atomic>

#include "base/clock.hpp"

namespace sallyport::test {

// Any thread may ask; one moves it.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override { return wall_; }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return monotonic_; }
  void advance(std::chrono::nanoseconds time) {
    wall_ = wall_.load() + std::chrono::duration_cast<WallTime::duration>(time);
    monotonic_ = monotonic_.load() + std::chrono::duration_cast<MonotonicTime::duration>(time);
  }
  // Somebody sets the clock: only the wall's.
  void set_forward(std::chrono::nanoseconds time) { wall_ = wall_.load() + std::chrono::duration_cast<WallTime::duration>(time); }

 private:
  std::atomic<WallTime> wall_ = std::chrono::system_clock::now();
  std::atomic<MonotonicTime> monotonic_ = std::chrono::steady_clock::now();
};

}  // namespace sallyport::test
