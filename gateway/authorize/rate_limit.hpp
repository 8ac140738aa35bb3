// How often somebody may come: token buckets of all workers of the process (GCRA), in tables of a fixed size.
//
// A bucket is one number, the time at which it will be full again, beside the 64-bit keyed hash of what it belongs to; neither addresses
// nor subjects are kept. Each kind of rule (LimitBy) has a table of its own, so that a flood of addresses moves nothing else. A table is
// cut into sets of eight buckets; a key has its place in one of them, which nobody can choose, because the hash is keyed at random.
//
// When a set is full, whoever comes new takes first a bucket that is full again (nothing is lost by that), else the one that is emptied
// least, and inherits what that one owes, up to half of his own. So a flood of addresses cannot wash a flooding key out: the buckets that
// are emptied most go last. To get half a bucket back, an attacker must hold the seven others of a set, which means all sets, as empty as
// his own. And whoever comes new during a flood still has half a bucket.
//
// What counts only once it has failed cannot take its token beforehand, and must not pass a hundred times while the first answer is
// awaited: attempts that are open are counted too, and there are never more of a key than it has tokens.
//
// Wiring: one RateLimiter per process, shared by all workers and kept over reloads; every Pipeline is given it
// (Surroundings::rate_limiter). Buckets are known by the rule's name, so they survive a reload, also one that changes the numbers.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/keyed_hash.hpp"

namespace sallyport::authorize {

enum class LimitBy : unsigned char { address, subject, route, failed_authentication };
[[nodiscard]] std::string_view name(LimitBy by) noexcept;

// One rule, compiled: a bucket of `burst` tokens that is filled with `requests` tokens in `per`.
struct RateLimit {
  std::string name;  // "orders/address": what its buckets are known by
  LimitBy by = LimitBy::address;
  std::uint64_t requests = 1;
  std::chrono::nanoseconds per{std::chrono::seconds(1)};
  std::uint64_t burst = 1;
  bool exact = false;  // across replicas, through the store

  // Of one token.
  [[nodiscard]] std::chrono::nanoseconds interval() const noexcept { return per / static_cast<std::int64_t>(requests); }
  // From empty to full.
  [[nodiscard]] std::chrono::nanoseconds fill_time() const noexcept { return interval() * static_cast<std::int64_t>(burst); }
};
// Whether the numbers mean something: an interval of a nanosecond or more, and no more than kFillTimeMax from empty to full.
inline constexpr std::chrono::hours kFillTimeMax{24 * 7};
[[nodiscard]] bool is_possible(const RateLimit& limit) noexcept;

// What is left of a bucket after a look at it.
struct Quota {
  bool allowed = false;
  std::uint64_t limit = 0;                  // the bucket's size
  std::uint64_t remaining = 0;              // whole tokens
  std::chrono::nanoseconds until_full{0};   // without further requests
  std::chrono::nanoseconds retry_after{0};  // until there is a token; 0 when there is one
};

// What a limit by address counts as one: the address, of IPv6 its /64 network. Text that is no address stands for itself.
class AddressKey {
 public:
  explicit AddressKey(std::string_view address) noexcept;
  // Valid while *this and the text that it was made of live.
  [[nodiscard]] std::string_view view() const noexcept { return size_ == 0 ? text_ : std::string_view(bytes_.data(), size_); }

 private:
  std::array<char, 9> bytes_{};
  std::size_t size_ = 0;
  std::string_view text_;
};

class RateLimiter {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kBucketsMax = 128 * 1024;  // of one kind: 2 MiB
  static constexpr std::size_t kOpenCounts = 64 * 1024;   // 256 KiB

  // Something whose outcome is open; until it ends. If it counts, charge() comes first.
  class Attempt {
   public:
    explicit Attempt(std::atomic<std::uint32_t>& open) noexcept : open_(&open) {}
    Attempt(Attempt&& other) noexcept : open_(std::exchange(other.open_, nullptr)) {}
    Attempt& operator=(Attempt&& other) noexcept {
      std::swap(open_, other.open_);
      return *this;
    }
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() {
      if (open_ != nullptr) open_->fetch_sub(1, std::memory_order_acq_rel);
    }

   private:
    std::atomic<std::uint32_t>* open_;
  };
  struct Begun {
    Quota quota;
    std::optional<Attempt> attempt = {};  // when it is allowed
    bool is_crowded = false;              // not now: there are tokens, and as many attempts are open
  };

  // `buckets_max` of each kind; rounded up to a power of two of whole sets.
  explicit RateLimiter(std::size_t buckets_max = kBucketsMax);

  ~RateLimiter();
  RateLimiter(const RateLimiter&) = delete;
  RateLimiter& operator=(const RateLimiter&) = delete;

  // All from any thread, without a lock; the first of a kind makes its table. Takes a token when there is one.
  [[nodiscard]] Quota take(const RateLimit& limit, std::string_view key, MonotonicTime now);
  // Takes none.
  [[nodiscard]] Quota look(const RateLimit& limit, std::string_view key, MonotonicTime now) const noexcept;
  // Takes none either, but no more attempts are open at a time than there are tokens. Must end before *this.
  [[nodiscard]] Begun begin(const RateLimit& limit, std::string_view key, MonotonicTime now);
  // Takes one whether there is one or not: something has happened that counts. The bucket is never emptier than empty.
  void charge(const RateLimit& limit, std::string_view key, MonotonicTime now);

  // Buckets in use, of all kinds: not full again at `now`. For tests.
  [[nodiscard]] std::size_t buckets_in_use(MonotonicTime now) const noexcept;

 private:
  // `key` 0: free. Its lowest six bits say how long the bucket takes to fill (as a power of two), so that buckets of different rules can be
  // compared. Both are read and written apart: between them somebody may take the bucket over, and one token is then counted for another.
  struct Bucket {
    std::atomic<std::uint64_t> key{0};
    std::atomic<std::uint64_t> full_at{0};  // nanoseconds of the monotonic clock
  };
  struct alignas(64) Set {
    std::array<Bucket, kWays> buckets;
  };
  enum class Mode : unsigned char { take, charge };

  [[nodiscard]] std::uint64_t key_of(const RateLimit& limit, std::string_view key) const noexcept;
  [[nodiscard]] Set& set_of(LimitBy by, std::uint64_t key);
  // The key's bucket, also from before a reload gave its rule other numbers; nullptr: there is none.
  [[nodiscard]] static Bucket* find(Set& set, std::uint64_t key, const RateLimit& limit, std::uint64_t now) noexcept;
  // The same; made when there is none.
  [[nodiscard]] static Bucket& place(Set& set, std::uint64_t key, const RateLimit& limit, std::uint64_t now) noexcept;
  Quota apply(const RateLimit& limit, std::string_view key, MonotonicTime now, Mode mode);

  KeyedHash hash_of_;
  std::size_t sets_;
  std::array<std::atomic<Set*>, 4> tables_{};  // by LimitBy; owned
  // By the hash of a key. Keys that share a count wait for each other a little sooner; none passes that should not.
  std::once_flag open_made_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> open_;
};

}  // namespace sallyport::authorize
