// How many requests may be sent again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "base/clock.hpp"
#include "upstream/settings.hpp"

namespace sallyport::upstream {

// A failing upstream must not get the load of its clients a second time (hazards O14): retries stay below `percent` of the requests of the
// last kWindow, and `least` more. Pure; not for several threads at once.
class RetryBudget {
 public:
  static constexpr std::chrono::seconds kWindow{10};

  explicit RetryBudget(RetryBudgetSettings settings) : settings_(settings) {}

  // How many requests there were ever, told at least once a second; time never goes back.
  void advance(MonotonicTime now, std::uint64_t requests_so_far);
  // Takes one retry when there is room.
  [[nodiscard]] bool take(MonotonicTime now, std::uint64_t requests_so_far);

 private:
  static constexpr std::size_t kSeconds = static_cast<std::size_t>(kWindow.count());
  struct Second {
    std::uint64_t requests_before = 0;  // when it began
    std::uint32_t retries = 0;
  };

  RetryBudgetSettings settings_;
  std::array<Second, kSeconds> seconds_{};
  std::int64_t current_ = 0;  // seconds of the monotonic clock
  bool begun_ = false;
};

}  // namespace sallyport::upstream
