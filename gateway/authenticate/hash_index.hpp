// Places in a table, found by a hash.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/prefetch.hpp"

namespace sallyport::authenticate {

// Which places have a hash. Stands apart from what is at the places, and is small: a look for what is not there reads nothing of the
// entries, each of which would have to come from far away in memory, and one line of its own as a rule. Open addressing with linear
// probing, half full at most; what is unlinked leaves no gap (Knuth, The Art of Computer Programming, vol. 3, 6.4, algorithm R).
class HashIndex {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  // A place of that hash of which `is_it` says that it is the one; kNone: there is none. Of the hash 32 bits are compared.
  template <class IsIt>
  [[nodiscard]] Place find(std::uint64_t hash, IsIt is_it) const noexcept {
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::size_t at = first_of(tag);; at = next(at)) {
      const Slot& slot = slots_[at];
      if (slot.place == kNone || (slot.tag == tag && is_it(slot.place))) return slot.place;
    }
  }
  // Asks for the memory that find() looks at first.
  void prefetch(std::uint64_t hash) const noexcept { sallyport::prefetch(&slots_[first_of(static_cast<std::uint32_t>(hash))]); }

  // So that places below `count` can be linked without allocating. When it throws nothing has changed.
  void make_room(std::size_t count) {
    if (tags_.capacity() < count) tags_.reserve(std::bit_ceil(count));
    if (slots_.size() < 2 * count) grow(std::bit_ceil(2 * count));
    if (tags_.size() < count) tags_.resize(count);
  }
  // `at` is not linked.
  void link(std::uint64_t hash, Place at) noexcept {
    tags_[at] = static_cast<std::uint32_t>(hash);
    put({tags_[at], at});
  }
  // `at` is linked.
  void unlink(Place at) noexcept {
    std::size_t gap = first_of(tags_[at]);
    while (slots_[gap].place != at) gap = next(gap);
    for (std::size_t behind = next(gap); slots_[behind].place != kNone; behind = next(behind)) {
      // What stands behind goes into the gap, unless it would stand before where a look for it begins.
      const bool begins_behind_gap = distance(gap, first_of(slots_[behind].tag)) - 1 < distance(gap, behind);
      if (!begins_behind_gap) slots_[std::exchange(gap, behind)] = slots_[behind];
    }
    slots_[gap] = {};
  }
  void clear() noexcept {
    for (Slot& slot : slots_) slot = {};
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;  // the lower half of the hash: where a look begins, and more
    Place place = kNone;
  };
  using Slots = std::vector<Slot>;

  [[nodiscard]] std::size_t first_of(std::uint32_t tag) const noexcept { return tag & mask_; }
  [[nodiscard]] std::size_t next(std::size_t at) const noexcept { return (at + 1) & mask_; }
  [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const noexcept { return (to - from) & mask_; }

  void put(const Slot& slot) noexcept {
    std::size_t at = first_of(slot.tag);
    while (slots_[at].place != kNone) at = next(at);
    slots_[at] = slot;
  }
  void grow(std::size_t size) {
    const Slots before = std::exchange(slots_, Slots(size));
    mask_ = size - 1;
    for (const Slot& slot : before) {
      if (slot.place != kNone) put(slot);
    }
  }

  Slots slots_ = Slots(2);
  std::size_t mask_ = 1;             // their number is a power of two
  std::vector<std::uint32_t> tags_;  // by place
};

}  // namespace sallyport::authenticate
