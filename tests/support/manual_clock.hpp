// A clock that the test moves.
#pragma once

#include "base/clock.hpp"

namespace sallyport::test {

class ManualClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override { return wall_; }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return monotonic_; }
  void advance(std::chrono::nanoseconds time) {
    wall_ += std::chrono::duration_cast<WallTime::duration>(time);
    monotonic_ += std::chrono::duration_cast<MonotonicTime::duration>(time);
  }

 private:
  WallTime wall_ = std::chrono::system_clock::now();
  MonotonicTime monotonic_ = std::chrono::steady_clock::now();
};

}  // namespace sallyport::test
