// The revocations that still matter, in memory: one list per process, fed by the store, asked by every worker.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "store/records.hpp"

namespace sallyport::store {

// Safe from every thread. Bounded: when `entries_max` are kept, add() refuses, and whoever revokes hears of it; none is ever dropped before
// its time for the sake of another.
class RevocationList {
 public:
  explicit RevocationList(std::size_t entries_max);
  ~RevocationList();

  // False: full. `revocation.issued_before` must be set; of two about the same thing the later time counts. `forget_at` by wall time.
  [[nodiscard]] bool add(const Revocation& revocation, WallTime forget_at, WallTime now);
  // Whether one more would find room.
  [[nodiscard]] bool has_room() const noexcept;

  // What a credential shows of itself. Whatever it does not show (empty, nullopt) cannot be matched by it, except that a credential
  // without issued_at counts as issued before everything.
  struct Credential {
    std::string_view subject = {};
    std::string_view token_id = {};
    std::string_view session = {};  // handle
    std::string_view family = {};   // handle
    std::optional<WallTime> issued_at = {};
    // Whether issued_at is in whole seconds (a JWT's iat): then a token of the very second of the revocation is revoked too.
    bool in_whole_seconds = false;
  };
  [[nodiscard]] bool revokes(const Credential& credential, WallTime now) const;

  // Whether the store has told all that was revoked, but for what comes in order from now on. It has from the start, unless it says
  // expect_history(): then from complete() on. Until then what is not found revoked is "could not ask", never good. Read it before
  // revokes(); expect_history() changes the generation, so that what was found not revoked before is asked for again.
  [[nodiscard]] bool is_complete() const noexcept { return is_complete_.load(std::memory_order_acquire); }
  void expect_history() noexcept {
    is_complete_.store(false, std::memory_order_release);
    generation_.fetch_add(1, std::memory_order_acq_rel);
  }
  void complete() noexcept { is_complete_.store(true, std::memory_order_release); }

  // Changes with every add() and expect_history(), and with nothing else. What was found not revoked at some generation need not be looked
  // up again while the generation stays: that is one atomic load on the road of a warm request. Read it before revokes().
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }

  // The latest second that a revocation of this subject (or of everything) covers; a token of a login after it must be dated later.
  [[nodiscard]] std::optional<WallTime> revoked_until(std::string_view subject) const;

  // Drops what no longer matters. Cheap; called now and then by the store.
  void forget(WallTime now);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<bool> is_complete_{true};
};

}  // namespace sallyport::store
