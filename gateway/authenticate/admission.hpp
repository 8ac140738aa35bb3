// Whether something new is worth the place of something remembered.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::authenticate {

// Asked by a full cache. While at least one in nine of those that went had ever been asked for again, whatever is new is worth a place.
// Below that it is worth one when it was offered before, lately: what comes once is then neither kept, nor does it push out what comes
// often. Being offered again is evidence, too, so that the cost of a wrong guess, one more verification, falls on one in nine at most.
// "Lately": among about as many offers as a quarter of the entries. Bounded by that; one per worker.
class Admission {
 public:
  explicit Admission(std::size_t entries_max) : offered_(std::bit_ceil(std::max<std::size_t>(entries_max / 4, 1))) {}

  // By the hash of a text, all of whose bits count, and which nobody can aim at.
  [[nodiscard]] bool admits(std::uint64_t hash) noexcept {
    if (credit_ > 0) return true;
    std::uint32_t& last = offered_[hash & (offered_.size() - 1)];
    const auto mark = static_cast<std::uint32_t>(hash >> 32);
    const bool is_again = last == mark;  // or one in four billion: it would be admitted too early
    last = mark;
    if (is_again) credit_ = kEarned;
    return is_again;
  }
  // An entry goes to make room for another. `was_found`: at least once since it was made.
  void dropped(bool was_found) noexcept {
    if (was_found) {
      credit_ = std::min(credit_ + kEarned, kCreditMax);
    } else if (credit_ > 0) {
      --credit_;
    }
  }

 private:
  static constexpr int kEarned = 8;
  static constexpr int kCreditMax = 64;

  int credit_ = kCreditMax;
  std::vector<std::uint32_t> offered_;  // by hash: another bit of the hash of what was last offered there
};

}  // namespace sallyport::authenticate
