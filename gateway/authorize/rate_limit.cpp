#include "authorize/rate_limit.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/network.hpp"

namespace sallyport::authorize {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint64_t kClassBits = 6;
constexpr std::uint64_t kClassMask = (1U << kClassBits) - 1;

std::uint64_t count(nanoseconds time) noexcept { return static_cast<std::uint64_t>(time.count()); }
std::uint64_t count(MonotonicTime time) noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<nanoseconds>(time.time_since_epoch()).count());
}

// How empty a bucket is, as a fraction of itself in 1/1024; the fill time is known to a power of two only.
std::uint64_t emptiness(std::uint64_t key, std::uint64_t full_at, std::uint64_t now) noexcept {
  if (full_at <= now) return 0;
  const std::uint64_t fill_bits = key & kClassMask;
  const std::uint64_t owed = std::min(full_at - now, std::uint64_t{1} << std::min<std::uint64_t>(fill_bits, 53));
  return (owed << 10) >> fill_bits;
}

// `owed`: what is missing of the bucket, in time, never more than all of it.
Quota quota_of(const RateLimit& limit, std::uint64_t owed, bool allowed) noexcept {
  const std::uint64_t interval = count(limit.interval());
  const std::uint64_t left = count(limit.fill_time()) - owed;
  Quota quota{.allowed = allowed, .limit = limit.burst, .remaining = left / interval, .until_full = nanoseconds(owed)};
  if (left < interval) quota.retry_after = nanoseconds(interval - left);
  return quota;
}

std::uint64_t owed_at(const RateLimit& limit, std::uint64_t full_at, std::uint64_t now) noexcept {
  // More than all: the rule was another when this was written.
  return full_at <= now ? 0 : std::min(full_at - now, count(limit.fill_time()));
}

}  // namespace

std::string_view name(LimitBy by) noexcept {
  switch (by) {
    case LimitBy::address: return "address";
    case LimitBy::subject: return "subject";
    case LimitBy::route: return "route";
    case LimitBy::failed_authentication: return "failed_authentication";
  }
  return "unknown";
}

bool is_possible(const RateLimit& limit) noexcept {
  if (limit.requests == 0 || limit.burst == 0 || limit.per <= nanoseconds(0)) return false;
  if (limit.requests > count(limit.per)) return false;
  return limit.burst <= count(kFillTimeMax) / count(limit.interval());
}

AddressKey::AddressKey(std::string_view address) noexcept : text_(address) {
  constexpr std::size_t kNetworkBytes = 8;
  const auto parsed = IpAddress::parse(address);
  if (!parsed) return;
  bytes_[0] = parsed->is_v4() ? '4' : '6';
  size_ = 1 + (parsed->is_v4() ? std::size_t{4} : kNetworkBytes);
  std::memcpy(bytes_.data() + 1, parsed->bytes().data(), size_ - 1);
}

RateLimiter::RateLimiter(std::size_t buckets_max) : sets_(std::bit_ceil(std::max<std::size_t>(buckets_max / kWays, 1))) {}

RateLimiter::~RateLimiter() {
  for (const std::atomic<Set*>& table : tables_) delete[] table.load();
}

std::uint64_t RateLimiter::key_of(const RateLimit& limit, std::string_view key) const noexcept {
  // The rule's name is configured, the key is not: each is hashed for itself, so that no border between them can be moved.
  const std::array<std::uint64_t, 2> parts{hash_of_(limit.name), hash_of_(key)};
  const std::uint64_t hash = hash_of_({reinterpret_cast<const char*>(parts.data()), sizeof parts});
  const auto fill_bits = static_cast<std::uint64_t>(std::bit_width(count(limit.fill_time())));
  return (hash & ~kClassMask) | (fill_bits & kClassMask);
}

RateLimiter::Set& RateLimiter::set_of(LimitBy by, std::uint64_t key) {
  std::atomic<Set*>& table = tables_[static_cast<std::size_t>(by)];
  Set* sets = table.load(std::memory_order_acquire);
  if (sets == nullptr) {
    auto made = std::make_unique<Set[]>(sets_);
    if (table.compare_exchange_strong(sets, made.get(), std::memory_order_acq_rel)) sets = made.release();
  }
  return sets[(key >> kClassBits) & (sets_ - 1)];
}

RateLimiter::Bucket* RateLimiter::find(Set& set, std::uint64_t key, const RateLimit& limit, std::uint64_t now) noexcept {
  for (Bucket& bucket : set.buckets) {
    std::uint64_t held_by = bucket.key.load(std::memory_order_acquire);
    if (held_by == key) return &bucket;
    if (held_by == 0 || ((held_by ^ key) & ~kClassMask) != 0) continue;
    // The rule has other numbers now: a whole bucket of them is the most that may be owed.
    std::uint64_t full_at = bucket.full_at.load(std::memory_order_relaxed);
    if (bucket.key.compare_exchange_strong(held_by, key, std::memory_order_acq_rel)) {
      bucket.full_at.compare_exchange_strong(full_at, now + owed_at(limit, full_at, now), std::memory_order_acq_rel);
    }
    return &bucket;
  }
  return nullptr;
}

RateLimiter::Bucket& RateLimiter::place(Set& set, std::uint64_t key, const RateLimit& limit, std::uint64_t now) noexcept {
  for (;;) {
    if (Bucket* const mine = find(set, key, limit, now)) return *mine;
    Bucket* victim = nullptr;
    std::uint64_t victims_key = 0;
    std::uint64_t victims_full_at = 0;
    std::uint64_t least = UINT64_MAX;
    for (Bucket& bucket : set.buckets) {
      const std::uint64_t held_by = bucket.key.load(std::memory_order_acquire);
      const std::uint64_t full_at = bucket.full_at.load(std::memory_order_relaxed);
      const std::uint64_t empty = held_by == 0 ? 0 : emptiness(held_by, full_at, now);
      if (empty >= least) continue;
      least = empty;
      victim = &bucket;
      victims_key = held_by;
      victims_full_at = full_at;
    }
    if (!victim->key.compare_exchange_strong(victims_key, key, std::memory_order_acq_rel)) continue;
    const std::uint64_t half = count(limit.fill_time()) / 2;
    const std::uint64_t inherited = std::min(least > 1024 ? half : count(limit.fill_time()) / 1024 * least, half);
    // Who was quicker to take a token from it has seen the old number, and keeps what he wrote.
    victim->full_at.compare_exchange_strong(victims_full_at, now + inherited, std::memory_order_acq_rel);
    return *victim;
  }
}

Quota RateLimiter::apply(const RateLimit& limit, std::string_view key, MonotonicTime now, Mode mode) {
  const std::uint64_t at = count(now);
  const std::uint64_t hash = key_of(limit, key);
  Bucket& bucket = place(set_of(limit.by, hash), hash, limit, at);
  const std::uint64_t interval = count(limit.interval());
  const std::uint64_t whole = count(limit.fill_time());
  std::uint64_t full_at = bucket.full_at.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t owed = owed_at(limit, full_at, at);
    const bool has_token = whole - owed >= interval;
    // Whoever is refused writes nothing: a flood is read only.
    if (!has_token && mode == Mode::take) return quota_of(limit, owed, false);
    const std::uint64_t then = std::min(owed + interval, whole);
    if (bucket.full_at.compare_exchange_weak(full_at, at + then, std::memory_order_relaxed)) return quota_of(limit, then, true);
  }
}

Quota RateLimiter::take(const RateLimit& limit, std::string_view key, MonotonicTime now) { return apply(limit, key, now, Mode::take); }

void RateLimiter::charge(const RateLimit& limit, std::string_view key, MonotonicTime now) {
  static_cast<void>(apply(limit, key, now, Mode::charge));
}

Quota RateLimiter::look(const RateLimit& limit, std::string_view key, MonotonicTime now) const noexcept {
  const std::uint64_t at = count(now);
  const std::uint64_t hash = key_of(limit, key);
  Set* const sets = tables_[static_cast<std::size_t>(limit.by)].load(std::memory_order_acquire);
  if (sets == nullptr) return quota_of(limit, 0, true);
  const Bucket* const bucket = find(sets[(hash >> kClassBits) & (sets_ - 1)], hash, limit, at);
  if (bucket == nullptr) return quota_of(limit, 0, true);
  const std::uint64_t owed = owed_at(limit, bucket->full_at.load(std::memory_order_relaxed), at);
  return quota_of(limit, owed, count(limit.fill_time()) - owed >= count(limit.interval()));
}

RateLimiter::Begun RateLimiter::begin(const RateLimit& limit, std::string_view key, MonotonicTime now) {
  std::call_once(open_made_, [this] { open_ = std::make_unique<std::atomic<std::uint32_t>[]>(kOpenCounts); });
  std::atomic<std::uint32_t>& open = open_[(key_of(limit, key) >> kClassBits) % kOpenCounts];
  // Counted before it looks, as others charge before they end: whoever is not counted any more is seen in the bucket.
  const std::uint32_t others = open.fetch_add(1, std::memory_order_acq_rel);
  Attempt attempt(open);
  Begun begun{.quota = look(limit, key, now)};
  begun.is_crowded = begun.quota.allowed && others >= begun.quota.remaining;
  if (begun.is_crowded) {
    begun.quota.allowed = false;
    begun.quota.remaining = 0;
  } else if (begun.quota.allowed) {
    begun.attempt = std::move(attempt);
  }
  return begun;
}

std::size_t RateLimiter::buckets_in_use(MonotonicTime now) const noexcept {
  std::size_t in_use = 0;
  for (const auto& table : tables_) {
    const Set* const sets = table.load(std::memory_order_acquire);
    for (std::size_t i = 0; sets != nullptr && i != sets_; ++i) {
      for (const Bucket& bucket : sets[i].buckets) {
        if (bucket.key.load(std::memory_order_relaxed) != 0 && bucket.full_at.load(std::memory_order_relaxed) > count(now)) ++in_use;
      }
    }
  }
  return in_use;
}

}  // namespace sallyport::authorize
