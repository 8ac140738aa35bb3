// Deadlines of one worker: thousands of connections, one timer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.hpp"
#include "base/task.hpp"

namespace sallyport::transport {

class DeadlineWheel;

// One deadline. Arming it again is a store in the common case (to a later time): no timer, no allocation.
// Belongs to the thread of its wheel. Never fires early, and at most two ticks late when the thread is not busy. Disarms itself when
// destroyed. `on_expiry` may do anything but destroy the wheel: arm, disarm and destroy deadlines, this one too.
class Deadline {
 public:
  Deadline(DeadlineWheel& wheel, void (*on_expiry)(void* owner), void* owner) noexcept
      : wheel_(wheel), on_expiry_(on_expiry), owner_(owner) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() { unlink(); }

  void expire_at(MonotonicTime when);
  void expire_after(std::chrono::milliseconds from_now);
  void disarm() noexcept { armed_ = false; }
  [[nodiscard]] bool armed() const noexcept { return armed_; }
  [[nodiscard]] MonotonicTime when() const noexcept { return when_; }

 private:
  friend class DeadlineWheel;
  void unlink() noexcept;

  DeadlineWheel& wheel_;
  void (*on_expiry_)(void*);
  void* owner_;
  MonotonicTime when_{};
  MonotonicTime slot_time_{};  // when the wheel looks at it again; never later than when_
  bool armed_ = false;
  Deadline* previous_ = nullptr;
  Deadline* next_ = nullptr;
  Deadline** slot_ = nullptr;  // the list it is in; nullptr when in none
};

class DeadlineWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{10};  // the default
  static constexpr std::size_t kSlots = 1024;            // farther deadlines go round again
  // Fired in one go, and one more for each tick that the wheel is behind. Thousands that were opened together expire together, each with an
  // answer to send and a socket to close: others' requests have their turns between, and deadlines after the mass do not wait for long.
  static constexpr std::size_t kExpiriesMax = 4;

  explicit DeadlineWheel(boost::asio::io_context& context, std::chrono::milliseconds tick = kTick);
  ~DeadlineWheel();
  DeadlineWheel(const DeadlineWheel&) = delete;
  DeadlineWheel& operator=(const DeadlineWheel&) = delete;

  // The time at the last tick: precise to a tick while any deadline is armed, and free to ask.
  [[nodiscard]] MonotonicTime coarse_now() const noexcept { return now_; }

  // Ends the ticking, so that the io_context can run out of work. No deadline fires afterwards.
  void stop();

 private:
  friend class Deadline;
  void insert(Deadline& deadline);
  void remove(Deadline& deadline) noexcept;
  void tick();
  void wait_for_next_tick();
  [[nodiscard]] std::uint64_t ticks_until(MonotonicTime time) const noexcept;

  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer_;
  std::array<Deadline*, kSlots> slots_{};
  std::chrono::milliseconds tick_;
  MonotonicTime start_;
  MonotonicTime now_;
  std::uint64_t cursor_ = 0;  // the last tick that was looked at; tick t stands at start_ + t * tick_
  std::size_t linked_ = 0;    // deadlines in the slots: none, and the wheel stands still
  bool ticking_ = false;
  bool is_walking_ = false;  // through the slots: the cursor is where the walk is, whatever is linked
  bool stopped_ = false;
  std::shared_ptr<bool> alive_;  // a timer that is already on its way to us may arrive after our end
};

}  // namespace sallyport::transport
