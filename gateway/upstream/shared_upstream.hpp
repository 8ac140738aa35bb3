// One upstream as all workers share it: what is known of its servers, how much is under way, what may be retried.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "observe/metrics.hpp"
#include "transport/tls_context.hpp"
#include "upstream/health_board.hpp"
#include "upstream/retry_budget.hpp"
#include "upstream/settings.hpp"

namespace sallyport::upstream {

// What one worker counts of one upstream. One thread writes, any may read: no read-modify-write is needed.
class alignas(64) UpstreamCounts {
 public:
  struct Count {
    std::atomic<std::uint64_t> value{0};
    void add(std::uint64_t by = 1) noexcept { value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const noexcept { return value.load(std::memory_order_relaxed); }
  };
  Count began;            // requests that a server was chosen for
  Count ended;            // and that are over
  Count retried;          // sent again
  Count retries_refused;  // would have been, but for the budget
  Count refused_unavailable;
  Count refused_requests;
  Count refused_pending;
};

// Outlives the workers' Upstreams: held by shared_ptr. Any thread, but where it says so.
class SharedUpstream {
 public:
  // Fault as transport::make_tls_client_context.
  [[nodiscard]] static Result<std::shared_ptr<SharedUpstream>> create(UpstreamSettings settings);
  SharedUpstream(UpstreamSettings settings, transport::SslContext tls);

  [[nodiscard]] const UpstreamSettings& settings() const noexcept { return settings_; }
  [[nodiscard]] ssl_ctx_st* tls() const noexcept { return tls_.get(); }  // nullptr when no server wants it
  // The name that a server's certificate must carry.
  [[nodiscard]] const std::string& tls_name(std::size_t server) const noexcept;
  [[nodiscard]] HealthBoard& board() noexcept { return board_; }
  [[nodiscard]] const HealthBoard& board() const noexcept { return board_; }

  // One more request under way, or without an answer. False, and nothing was counted: the limit is reached. Without a limit a branch.
  [[nodiscard]] bool enter() noexcept { return admit(requests_, settings_.limits.requests); }
  void leave() noexcept { release(requests_, settings_.limits.requests); }
  [[nodiscard]] bool begin_pending() noexcept { return admit(pending_, settings_.limits.pending); }
  void end_pending() noexcept { release(pending_, settings_.limits.pending); }

  // Whether the budget has room for a retry, which is then taken.
  [[nodiscard]] bool may_retry(MonotonicTime now);

  // A worker's counts; given back with drop().
  [[nodiscard]] std::shared_ptr<UpstreamCounts> add_worker();
  void drop(const std::shared_ptr<UpstreamCounts>& counts);

  // The control thread, several times a second: what comes with time.
  void advance(MonotonicTime now);
  // Of another configuration of the same upstream: what is known of servers that stayed, and the counts so far.
  void inherit(const SharedUpstream& other);
  [[nodiscard]] observe::UpstreamMetrics metrics() const;

 private:
  static bool admit(std::atomic<std::uint32_t>& count, const std::optional<std::uint32_t>& limit) noexcept {
    if (!limit) return true;
    if (count.fetch_add(1, std::memory_order_relaxed) < *limit) return true;
    count.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  static void release(std::atomic<std::uint32_t>& count, const std::optional<std::uint32_t>& limit) noexcept {
    if (limit) count.fetch_sub(1, std::memory_order_relaxed);
  }
  struct Totals {
    std::uint64_t began = 0, ended = 0, retried = 0, retries_refused = 0;
    std::uint64_t refused_unavailable = 0, refused_requests = 0, refused_pending = 0;
    void add(const UpstreamCounts& counts) noexcept;
  };
  [[nodiscard]] Totals totals() const;  // with the lock held

  const UpstreamSettings settings_;
  const transport::SslContext tls_;
  HealthBoard board_;
  alignas(64) std::atomic<std::uint32_t> requests_{0};
  alignas(64) std::atomic<std::uint32_t> pending_{0};
  mutable std::mutex mutex_;
  RetryBudget budget_;
  Totals gone_;  // of workers' Upstreams that ended, and of configurations before
  std::uint64_t ejections_before_ = 0;
  std::vector<std::shared_ptr<UpstreamCounts>> workers_;
};
using SharedUpstreamPtr = std::shared_ptr<SharedUpstream>;

}  // namespace sallyport::upstream
