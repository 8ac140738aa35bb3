#include "base/event.hpp"

#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

namespace sallyport {

boost::asio::execution_context::id Events::id;

void Events::shutdown() noexcept {
  std::vector<Event::Place> ended;  // first out of the list, then destroyed: their end changes the list
  while (first_ != nullptr) {
    Event& event = *first_;
    for (Event::Place& place : event.waiting_) ended.push_back(std::move(place));
    event.waiting_.clear();
    event.unlink();
  }
}

Event::Event(const Executor& executor) : executor_(executor), events_(boost::asio::use_service<Events>(executor.context())) {}

Event::~Event() { unlink(); }

void Event::start_wait(Waiter waiter, boost::asio::cancellation_slot slot) {
  if (slot.is_connected()) slot.assign([this](boost::asio::cancellation_type) { wake(); });
  waiting_.push_back({std::move(waiter), slot});
  link();
}

void Event::wake() {
  if (waiting_.empty()) return;
  unlink();
  for (Place& place : std::exchange(waiting_, {})) {
    if (place.slot.is_connected()) place.slot.clear();
    boost::asio::post(executor_, [woken = std::move(place.waiter)]() mutable { woken(); });
  }
}

void Event::link() noexcept {
  if (std::exchange(is_linked_, true)) return;
  previous_ = nullptr;
  next_ = events_.first_;
  if (next_ != nullptr) next_->previous_ = this;
  events_.first_ = this;
}

void Event::unlink() noexcept {
  if (!std::exchange(is_linked_, false)) return;
  (previous_ != nullptr ? previous_->next_ : events_.first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

}  // namespace sallyport
