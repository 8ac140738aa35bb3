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

#include "authenticate/admission.hpp"
#include "authenticate/hash_index.hpp"
#include "authenticate/identity_bytes.hpp"
#include "authenticate/keyed_hash.hpp"
#include "base/prefetch.hpp"

namespace sallyport::authenticate {

// Text -> Value, bounded in entries and in bytes; over a bound the first that nobody used since the hand of the clock last passed goes
// (CLOCK: least recently used, by approximation). The whole text is compared; the hash only finds the place. Looking up never allocates.
// Entries are known by their place, which is theirs until they are removed. Value's default is empty and cheap; it has an `identity`.
template <class Value>
class ClockMap {
 public:
  using Place = HashIndex::Place;
  static constexpr Place kNone = HashIndex::kNone;

  ClockMap(std::size_t entries_max, std::size_t bytes_max)
      : entries_max_(std::min<std::size_t>(entries_max, kNone - 1)), bytes_max_(bytes_max), admission_(entries_max_) {}

  [[nodiscard]] Place find(std::string_view text) const noexcept { return find(hash_of_(text), text); }
  // Asks for the memory that the next look for that text reads first.
  void prefetch(std::string_view text) const noexcept { index_.prefetch(hash_of_(text)); }
  [[nodiscard]] Value& operator[](Place at) noexcept { return entries_[at].value; }
  [[nodiscard]] const Value& operator[](Place at) const noexcept { return entries_[at].value; }
  // Spares it when the hand comes by next.
  void use(Place at) noexcept { marks_[at] = Mark::used; }

  // In the place of what is here for `text`. Makes room first: dropped(place) is called for each entry that goes, before it does. kNone: it
  // is not kept, because it alone is over a bound, or would push out others and is not worth it (Admission); `value` is as it was then.
  template <class Dropped>
  Place insert(std::string_view text, Value&& value, Dropped dropped) {
    const std::uint64_t hash = hash_of_(text);
    if (const Place old = find(hash, text); old != kNone) {
      dropped(old);
      remove(old);
    }
    if (entries_max_ == 0) return kNone;
    const bool lacks_place = size() >= entries_max_;
    if (lacks_place && !admission_.admits(hash)) return kNone;  // as most of what comes once: before anybody counts how large it is
    const std::size_t bytes = sizeof(Entry) + text.size() + bytes_of(*value.identity);
    if (bytes > bytes_max_) return kNone;
    const auto is_full = [&] { return size() >= entries_max_ || bytes_ + bytes > bytes_max_; };
    if (!lacks_place && is_full() && !admission_.admits(hash)) return kNone;
    while (is_full()) {
      const Place victim = next_victim();
      admission_.dropped(marks_[victim] != Mark::fresh);
      dropped(victim);
      remove(victim);
      fetch_next_victims();
    }
    std::string copy(text);  // before anything changes: it may throw
    const Place at = take_place();
    entries_[at] = Entry{std::move(copy), std::move(value), bytes};
    marks_[at] = Mark::fresh;
    index_.link(hash, at);
    bytes_ += bytes;
    return at;
  }

  void remove(Place at) noexcept {
    index_.unlink(at);
    marks_[at] = Mark::free;
    bytes_ -= entries_[at].bytes;
    entries_[at] = Entry{};
    free_.push_back(at);  // its room was reserved when the entry was made
  }

  void clear() {
    index_.clear();
    entries_.clear();
    marks_.clear();
    free_.clear();
    hand_ = 0;
    bytes_ = 0;
  }

  // All of them, one by one.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t at = 0; at < entries_.size(); ++at) {
      if (marks_[at] != Mark::free) visit(entries_[at].value);
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - free_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t entries_max() const noexcept { return entries_max_; }

 private:
  struct Entry {
    std::string text;
    Value value{};
    std::size_t bytes = 0;
  };
  enum class Mark : unsigned char {
    free,    // no entry is there
    fresh,   // never used
    unused,  // since the hand last passed
    used,
  };

  [[nodiscard]] Place find(std::uint64_t hash, std::string_view text) const noexcept {
    return index_.find(hash, [&](Place at) {
      sallyport::prefetch(&entries_[at]);
      return entries_[at].text == text;
    });
  }

  // Only while there is an entry: then two rounds suffice.
  Place next_victim() noexcept {
    for (;;) {
      hand_ = hand_ + 1 >= marks_.size() ? 0 : hand_ + 1;
      if (marks_[hand_] == Mark::fresh || marks_[hand_] == Mark::unused) return static_cast<Place>(hand_);
      if (marks_[hand_] == Mark::used) marks_[hand_] = Mark::unused;
    }
  }

  // Nobody used them for long, and all they hold is far away in memory. It is asked for some insertions ahead, each thing after what points
  // to it.
  void fetch_next_victims() const noexcept {
    const auto ahead = [&](std::size_t steps) -> const Entry& { return entries_[(hand_ + steps) % entries_.size()]; };
    sallyport::prefetch(&ahead(6));
    sallyport::prefetch(ahead(4).value.identity.get());
    prefetch_pieces(ahead(2).value.identity.get());
  }

  // All that may throw stands before the first change that anybody could see.
  Place take_place() {
    if (free_.empty()) {
      const std::size_t count = entries_.size() + 1;
      if (free_.capacity() < count) free_.reserve(2 * count);  // so that remove() never allocates
      index_.make_room(count);
      marks_.reserve(std::bit_ceil(count));
      entries_.emplace_back();
      marks_.push_back(Mark::free);
      return static_cast<Place>(count - 1);
    }
    const Place at = free_.back();
    free_.pop_back();
    return at;
  }

  const std::size_t entries_max_;
  const std::size_t bytes_max_;
  const KeyedHash hash_of_;
  Admission admission_;
  HashIndex index_;
  std::vector<Entry> entries_;
  std::vector<Mark> marks_;  // by place, as entries_; apart from them, so that the hand reads nothing of the entries that it spares
  std::vector<Place> free_;
  std::size_t hand_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace sallyport::authenticate
