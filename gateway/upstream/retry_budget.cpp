#include "upstream/retry_budget.hpp"

#include <algorithm>

namespace sallyport::upstream {

void RetryBudget::advance(MonotonicTime now, std::uint64_t requests_so_far) {
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (!begun_) {
    begun_ = true;
    current_ = second;
    seconds_.fill({requests_so_far, 0});
    return;
  }
  // Seconds that nobody told of saw no request; a longer silence empties the whole window.
  const std::int64_t first = std::max(current_ + 1, second - static_cast<std::int64_t>(kSeconds) + 1);
  for (std::int64_t s = first; s <= second; ++s) seconds_[static_cast<std::size_t>(s) % kSeconds] = {requests_so_far, 0};
  current_ = std::max(current_, second);
}

bool RetryBudget::take(MonotonicTime now, std::uint64_t requests_so_far) {
  advance(now, requests_so_far);
  std::uint64_t retries = 0;
  std::uint64_t before = requests_so_far;
  for (const Second& second : seconds_) {
    retries += second.retries;
    before = std::min(before, second.requests_before);
  }
  const std::uint64_t requests = requests_so_far - before;
  if (retries * 100 >= requests * settings_.percent + std::uint64_t{settings_.least} * 100) return false;
  ++seconds_[static_cast<std::size_t>(current_) % kSeconds].retries;
  return true;
}

}  // namespace sallyport::upstream
