// Which servers of an upstream take requests: one board for all workers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "upstream/settings.hpp"

namespace sallyport::upstream {

// A server's standing changed: for the log.
struct HealthEvent {
  enum class Kind : unsigned char {
    unhealthy,  // by active checks
    healthy,    // by active checks
    ejected,    // by failed requests
    returned,   // from an ejection, by a request that succeeded
  };
  Kind kind;
  std::size_t server;
  std::string detail;
};

// A server is *fit* unless active checks found it bad (`unhealthy`) or too many requests failed (`ejected`).
//   ejected:  for EjectionSettings::time, longer with each repetition. Then it is on trial: it gets one request at a time, until one
//   succeeds
//             (it is back) or fails (it is out again, longer). Never ejected: the last fit server, and more than percent_max of them.
//   unhealthy: until active checks find it good again, which ends an ejection, too.
// Whoever comes back is given its full share over `slow_start`.
// Nobody fit: requests go to those that are merely ejected (a guess of ours must not close the service); nobody but unhealthy ones: to
// none.
//
// The request road reads atomics. Changes take a lock: failures in a row, trials, the control thread. Any thread.
class HealthBoard {
 public:
  static constexpr std::uint32_t kFullShare = 1000;
  static constexpr std::uint32_t kFirstShare = 100;  // at the beginning of a slow start
  static constexpr std::uint32_t kRepetitionsMax = 10;
  static constexpr std::size_t kEventsMax = 256;  // that nobody has taken yet; more are dropped

  HealthBoard(std::size_t servers, std::optional<EjectionSettings> ejection, std::chrono::milliseconds slow_start);
  HealthBoard(const HealthBoard&) = delete;
  HealthBoard& operator=(const HealthBoard&) = delete;

  // --- the request road ---
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Whether every server takes its full share: nothing else needs to be asked.
  [[nodiscard]] bool is_plain() const noexcept { return special_.load(std::memory_order_relaxed) == 0; }
  // 0: takes no requests; up to kFullShare.
  [[nodiscard]] std::uint32_t share(std::size_t server) const noexcept { return word(server) & kShareMask; }
  // Out because requests failed, not because checks say so.
  [[nodiscard]] bool is_merely_ejected(std::size_t server) const noexcept { return (word(server) & (kEjected | kUnhealthy)) == kEjected; }
  // Takes the one request that a server on trial may have now. Requests that could be repeated come first; others only when none of those
  // came for a while. Who got it says succeeded(), failed() or gave_up().
  [[nodiscard]] bool claim_trial(std::size_t server, bool is_repeatable) noexcept;
  void gave_up_trial(std::size_t server) noexcept;
  // A whole answer came; on trial its head.
  void succeeded(std::size_t server, bool on_trial, MonotonicTime now) noexcept;
  [[nodiscard]] bool has_failed(std::size_t server) const noexcept {
    return servers_[server].failures.load(std::memory_order_relaxed) != 0;
  }
  // No connection, no answer in time, or a broken one.
  void failed(std::size_t server, bool on_trial, MonotonicTime now) noexcept;

  // --- the control thread ---
  // The result of an active check. The very first decides alone: until then a server counts as healthy.
  void checked(std::size_t server, bool is_good, std::string_view why, const HealthSettings& health, MonotonicTime now);
  // What comes by itself with time: ends of ejections, growing shares.
  void advance(MonotonicTime now);
  // Takes over what another board knows of a server that is the same.
  void inherit(std::size_t server, const HealthBoard& other, std::size_t theirs);
  // Nobody checks any more.
  void forget_checks();

  // --- any thread ---
  [[nodiscard]] std::vector<HealthEvent> take_events();
  // Whether it takes requests as all others do.
  [[nodiscard]] bool is_fit(std::size_t server) const noexcept { return (word(server) & (kUnhealthy | kEjected)) == 0; }
  [[nodiscard]] bool is_unhealthy(std::size_t server) const noexcept { return (word(server) & kUnhealthy) != 0; }
  [[nodiscard]] std::uint64_t ejections() const noexcept { return ejections_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kShareMask = 0xFFFF;
  static constexpr std::uint32_t kUnhealthy = 1U << 16;
  static constexpr std::uint32_t kEjected = 1U << 17;     // and until a trial succeeded
  static constexpr std::uint32_t kOnTrial = 1U << 18;     // a trial may be claimed
  static constexpr std::uint32_t kTrialOfAny = 1U << 19;  // by any request

  // What is decided slowly, under mutex_.
  struct Slow {
    bool is_unhealthy = false;
    bool is_settled = false;   // by a first check
    bool was_healthy = false;  // by a check, ever
    std::uint32_t good = 0;
    std::uint32_t bad = 0;
    bool is_ejected = false;
    bool is_claimed = false;
    MonotonicTime out_until{};
    std::chrono::milliseconds out_for{0};
    MonotonicTime back_since{};
    std::uint32_t repetitions = 0;
    std::uint32_t share = kFullShare;
    std::optional<MonotonicTime> trial_since;
    bool takes_any = false;
    std::optional<MonotonicTime> warming_since;
  };
  // A line of the cache for each: workers write `failures`.
  struct alignas(64) Server {
    std::atomic<std::uint32_t> word{kFullShare};
    std::atomic<std::uint32_t> failures{0};
    Slow slow;
  };

  [[nodiscard]] std::uint32_t word(std::size_t server) const noexcept { return servers_[server].word.load(std::memory_order_relaxed); }
  // All below: with the lock held.
  void eject(std::size_t server, MonotonicTime now);
  [[nodiscard]] bool may_eject(std::size_t server) const noexcept;
  void come_back(Slow& slow, MonotonicTime now) const noexcept;
  void publish(std::size_t server) noexcept;
  void note(HealthEvent::Kind kind, std::size_t server, std::string detail);

  std::size_t size_;
  std::optional<EjectionSettings> ejection_;
  std::chrono::milliseconds slow_start_;
  std::unique_ptr<Server[]> servers_;
  std::atomic<std::uint32_t> special_{0};  // servers whose word is not kFullShare
  std::atomic<std::uint64_t> ejections_{0};
  mutable std::mutex mutex_;
  std::vector<HealthEvent> events_;
};

}  // namespace sallyport::upstream
