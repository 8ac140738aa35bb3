#include "base/event.hpp"

#include <memory>
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
  const std::vector<Waiter> woken = std::exchange(woken_, {});
}

void Events::post(const Executor& executor, Waiter& waiter) {
  if (woken_.empty()) boost::asio::post(executor, [this, executor] { run_woken(executor); });  // first: one that finds nobody is no harm
  woken_.push_back(std::move(waiter));
}

void Events::run_woken(const Executor& executor) {
  running_.swap(woken_);
  std::size_t begun = 0;
  try {
    while (begun < running_.size()) running_[begun++]();
  } catch (...) {  // it is its own; the others have not been there yet
    std::vector<Waiter> rest = std::exchange(running_, {});
    for (; begun < rest.size(); ++begun) post(executor, rest[begun]);
    throw;
  }
  running_.clear();
}

Event::Home::Home(const Executor& executor) : executor_(executor), events_(&boost::asio::use_service<Events>(executor.context())) {}

Event::~Event() { unlink(); }

void Event::start_wait(Waiter waiter, boost::asio::cancellation_slot slot) {
  if (slot.is_connected()) slot.assign([this](boost::asio::cancellation_type) { wake(); });
  waiting_.push_back({std::move(waiter), slot});
  link();
}

void Event::wake() {
  if (waiting_.empty()) return;
  unlink();
  // Whatever becomes of posting, which runs nothing: nobody stays to be woken twice.
  const std::unique_ptr<Waiting, void (*)(Waiting*)> emptied(&waiting_, [](Waiting* waiting) { waiting->clear(); });
  for (Place& place : waiting_) {
    if (place.slot.is_connected()) place.slot.clear();
    home_.events_->post(home_.executor_, place.waiter);
  }
}

void Event::link() noexcept {
  if (std::exchange(is_linked_, true)) return;
  previous_ = nullptr;
  next_ = home_.events_->first_;
  if (next_ != nullptr) next_->previous_ = this;
  home_.events_->first_ = this;
}

void Event::unlink() noexcept {
  if (!std::exchange(is_linked_, false)) return;
  (previous_ != nullptr ? previous_->next_ : home_.events_->first_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

}  // namespace sallyport
