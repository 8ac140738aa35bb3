// A bounded table of credentials' texts: what the caches of verified tokens and of sessions are made of.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authenticate/keyed_hash.hpp"

namespace sallyport::authenticate {

// Text -> Value, bounded in entries and in bytes; over a bound the first that nobody used since the hand of the clock last passed goes
// (CLOCK: least recently used, by approximation). The whole text is compared; the hash only finds the place. Looking up never allocates.
// Entries are known by their place, which is theirs until they are removed. Value's default is empty and cheap.
template <class Value>
class ClockMap {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  ClockMap(std::size_t entries_max, std::size_t bytes_max)
      : entries_max_(std::min<std::size_t>(entries_max, kNone - 1)),
        bytes_max_(bytes_max),
        buckets_(std::bit_ceil(std::max<std::size_t>(entries_max_, 1)), kNone) {}

  [[nodiscard]] Place find(std::string_view text) const noexcept {
    const std::uint64_t hash = hash_of_(text);
    Place at = buckets_[slot(hash)];
    while (at != kNone && (entries_[at].hash != hash || entries_[at].text != text)) at = entries_[at].next;
    return at;
  }
  [[nodiscard]] Value& operator[](Place at) noexcept { return entries_[at].value; }
  [[nodiscard]] const Value& operator[](Place at) const noexcept { return entries_[at].value; }
  // Spares it when the hand comes by next.
  void use(Place at) noexcept { entries_[at].is_referenced = true; }

  // `text` must not be here. Makes room first: dropped(place) is called for each entry that goes, before it does. kNone: it alone is over a
  // bound. `bytes` is what the value holds outside itself.
  template <class Dropped>
  Place insert(std::string_view text, Value value, std::size_t bytes, Dropped dropped) {
    bytes += sizeof(Entry) + text.size();
    if (bytes > bytes_max_ || entries_max_ == 0) return kNone;
    while (size() >= entries_max_ || bytes_ + bytes > bytes_max_) {
      const Place victim = next_victim();
      dropped(victim);
      remove(victim);
    }
    std::string copy(text);  // before anything changes: it may throw
    const std::uint64_t hash = hash_of_(text);
    const Place at = take_place();
    entries_[at] = Entry{hash, std::move(copy), std::move(value), bytes, buckets_[slot(hash)], true, false};
    buckets_[slot(hash)] = at;
    bytes_ += bytes;
    return at;
  }

  void remove(Place at) noexcept {
    Entry& entry = entries_[at];
    Place* link = &buckets_[slot(entry.hash)];
    while (*link != at) link = &entries_[*link].next;
    *link = entry.next;
    bytes_ -= entry.bytes;
    entry = Entry{};
    free_.push_back(at);  // its room was reserved when the entry was made
  }

  void clear() {
    std::fill(buckets_.begin(), buckets_.end(), kNone);
    entries_.clear();
    free_.clear();
    hand_ = 0;
    bytes_ = 0;
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - free_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t entries_max() const noexcept { return entries_max_; }

 private:
  struct Entry {
    std::uint64_t hash = 0;
    std::string text;
    Value value{};
    std::size_t bytes = 0;
    Place next = kNone;  // in the bucket's chain
    bool is_taken = false;
    bool is_referenced = false;  // since the hand last passed
  };

  [[nodiscard]] std::size_t slot(std::uint64_t hash) const noexcept { return hash & (buckets_.size() - 1); }

  // Only while there is an entry: then two rounds suffice.
  Place next_victim() noexcept {
    for (;;) {
      hand_ = hand_ + 1 >= entries_.size() ? 0 : hand_ + 1;
      Entry& entry = entries_[hand_];
      if (!entry.is_taken) continue;
      if (!entry.is_referenced) return static_cast<Place>(hand_);
      entry.is_referenced = false;
    }
  }

  Place take_place() {
    if (free_.empty()) {
      if (free_.capacity() <= entries_.size()) free_.reserve(2 * entries_.size() + 1);  // so that remove() never allocates
      entries_.emplace_back();
      return static_cast<Place>(entries_.size() - 1);
    }
    const Place at = free_.back();
    free_.pop_back();
    return at;
  }

  const std::size_t entries_max_;
  const std::size_t bytes_max_;
  const KeyedHash hash_of_;
  std::vector<Place> buckets_;
  std::vector<Entry> entries_;
  std::vector<Place> free_;
  std::size_t hand_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace sallyport::authenticate
