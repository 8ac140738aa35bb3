// Places in a table, found by a hash.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sallyport::authenticate {

// Which places have a hash. Stands apart from what is at the places, and is small: a look for what is not there reads nothing of the
// entries, each of which would have to come from far away in memory.
class HashChains {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  explicit HashChains(std::size_t entries_max) : buckets_(std::bit_ceil(std::max<std::size_t>(entries_max, 1)), kNone) {}

  // The first place of that hash of which `is_it` says that it is the one; kNone: there is none.
  template <class IsIt>
  [[nodiscard]] Place find(std::uint64_t hash, IsIt is_it) const noexcept {
    Place at = buckets_[slot(hash)];
    while (at != kNone && (links_[at].hash != hash || !is_it(at))) at = links_[at].next;
    return at;
  }
  // So that places below `count` can be linked without allocating.
  void make_room(std::size_t count) {
    if (links_.size() < count) links_.resize(count);
  }
  // `at` is in no chain.
  void link(std::uint64_t hash, Place at) noexcept {
    Place& first = buckets_[slot(hash)];
    links_[at] = {hash, first};
    first = at;
  }
  // `at` is in a chain.
  void unlink(Place at) noexcept {
    Place* link = &buckets_[slot(links_[at].hash)];
    while (*link != at) link = &links_[*link].next;
    *link = links_[at].next;
  }
  void clear() noexcept {
    std::fill(buckets_.begin(), buckets_.end(), kNone);
    links_.clear();
  }

 private:
  struct Link {
    std::uint64_t hash = 0;
    Place next = kNone;
  };
  [[nodiscard]] std::size_t slot(std::uint64_t hash) const noexcept { return hash & (buckets_.size() - 1); }

  std::vector<Place> buckets_;
  std::vector<Link> links_;  // by place
};

}  // namespace sallyport::authenticate
