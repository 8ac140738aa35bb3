#include "transport/deadline_wheel.hpp"

#include <algorithm>

namespace sallyport::transport {

void Deadline::expire_at(MonotonicTime when) {
  armed_ = true;
  when_ = when;
  // The wheel will come by in time, and then move it on: nothing to do now.
  if (slot_ != nullptr && slot_time_ <= when) return;
  wheel_.insert(*this);
}

void Deadline::expire_after(std::chrono::milliseconds from_now) { expire_at(std::chrono::steady_clock::now() + from_now); }

void Deadline::unlink() noexcept {
  armed_ = false;
  if (slot_ != nullptr) wheel_.remove(*this);
}

DeadlineWheel::DeadlineWheel(boost::asio::io_context& context, std::chrono::milliseconds tick)
    : timer_(context.get_executor()),
      tick_(tick),
      start_(std::chrono::steady_clock::now()),
      now_(start_),
      alive_(std::make_shared<bool>(true)) {}

DeadlineWheel::~DeadlineWheel() {
  *alive_ = false;
  // Deadlines that outlive the wheel are in no list of it any more.
  for (Deadline*& slot : slots_) {
    while (slot != nullptr) remove(*slot);
  }
}

void DeadlineWheel::stop() {
  stopped_ = true;
  timer_.cancel();
}

std::uint64_t DeadlineWheel::ticks_until(MonotonicTime time) const noexcept {
  return time <= start_ ? 0 : static_cast<std::uint64_t>((time - start_) / tick_);
}

void DeadlineWheel::insert(Deadline& deadline) {
  if (linked_ == 0 && !is_walking_) {  // it stood still: nothing was waited for
    now_ = std::chrono::steady_clock::now();
    cursor_ = ticks_until(now_);
  }
  if (deadline.slot_ != nullptr) remove(deadline);
  // The first tick that is not before the deadline; a farther one than a lap is looked at again at the end of this lap.
  std::uint64_t tick = ticks_until(deadline.when_) + 1;
  tick = std::clamp<std::uint64_t>(tick, cursor_ + 1, cursor_ + kSlots - 1);
  deadline.slot_time_ = start_ + tick_ * static_cast<std::int64_t>(tick);
  deadline.slot_ = &slots_[tick % kSlots];
  deadline.previous_ = nullptr;
  deadline.next_ = *deadline.slot_;
  if (deadline.next_ != nullptr) deadline.next_->previous_ = &deadline;
  *deadline.slot_ = &deadline;
  ++linked_;
  if (!ticking_) wait_for_next_tick();
}

void DeadlineWheel::remove(Deadline& deadline) noexcept {
  if (deadline.previous_ != nullptr) {
    deadline.previous_->next_ = deadline.next_;
  } else {
    *deadline.slot_ = deadline.next_;
  }
  if (deadline.next_ != nullptr) deadline.next_->previous_ = deadline.previous_;
  deadline.previous_ = deadline.next_ = nullptr;
  deadline.slot_ = nullptr;
  --linked_;
}

void DeadlineWheel::tick() {
  struct Walk {
    explicit Walk(bool& flag) : is_walking(flag) { is_walking = true; }
    ~Walk() { is_walking = false; }
    bool& is_walking;
  } const walk(is_walking_);
  now_ = std::chrono::steady_clock::now();
  const std::uint64_t target = ticks_until(now_);
  const std::size_t expiries_max = kExpiriesMax + (target - cursor_);
  if (target > cursor_ + kSlots) cursor_ = target - kSlots;  // one lap visits every slot
  std::size_t fired = 0;
  while (cursor_ < target) {
    ++cursor_;
    Deadline*& slot = slots_[cursor_ % kSlots];
    // The head anew each time: whom a deadline wakes may arm and destroy others. What is put back goes to another slot.
    while (slot != nullptr) {
      Deadline& deadline = *slot;
      if (!deadline.armed_) {
        remove(deadline);
      } else if (deadline.when_ > now_) {
        insert(deadline);
      } else if (fired == expiries_max) {
        --cursor_;  // on with this slot when the sockets that are ready had their turn
        return;
      } else {
        ++fired;
        remove(deadline);
        deadline.armed_ = false;
        deadline.on_expiry_(deadline.owner_);
      }
    }
  }
}

void DeadlineWheel::wait_for_next_tick() {
  if (stopped_) return;
  ticking_ = true;
  timer_.expires_at(start_ + tick_ * static_cast<std::int64_t>(cursor_ + 1));
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& failure) {
    if (!*alive) return;
    ticking_ = false;
    if (failure || stopped_) return;
    tick();
    if (linked_ > 0 && !ticking_) wait_for_next_tick();
  });
}

}  // namespace sallyport::transport
