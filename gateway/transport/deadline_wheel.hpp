// Deadlines of one worker: thousands of connections, one timer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.hpp"
#include "base/task.hpp"

namespace sallyport::transport {

class DeadlineWheel;

// One deadline. Arming it again is a store in the common case (to a later time): no timer, no allocation.
// Belongs to the thread of its wheel. Fires at most kTick late, never early. Disarms itself when destroyed.
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
  static constexpr std::chrono::milliseconds kTick{50};
  static constexpr std::size_t kSlots = 1024;  // farther deadlines go round again

  explicit DeadlineWheel(boost::asio::io_context& context);
  ~DeadlineWheel();
  DeadlineWheel(const DeadlineWheel&) = delete;
  DeadlineWheel& operator=(const DeadlineWheel&) = delete;

  // The time at the last tick or at the last note_time(): precise to kTick, free to ask.
  [[nodiscard]] MonotonicTime coarse_now() const noexcept { return now_; }

  // Ends the ticking, so that the io_context can run out of work.
  void stop();

 private:
  friend class Deadline;
  void insert(Deadline& deadline) noexcept;
  void tick();
  void wait_for_next_tick();

  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer_;
  std::array<Deadline*, kSlots> slots_{};
  MonotonicTime now_;
  std::size_t armed_slots_ = 0;
  std::size_t cursor_ = 0;  // the slot whose time has come last
  bool stopped_ = false;
};

}  // namespace sallyport::transport
