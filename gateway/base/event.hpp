// Something that coroutines of one worker wait for. Waiting costs no timer and no system call.
#pragma once

#include <vector>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/container/small_vector.hpp>

#include "base/task.hpp"
#include "base/waiter.hpp"

namespace sallyport {

class Event;

// The events of one io_context: whoever still waits when it ends is destroyed then, as Asio's own operations are. Those who were woken in
// one turn of its loop go on by way of one handler: a batch of the store's answers wakes dozens.
class Events final : public boost::asio::execution_context::service {
 public:
  static boost::asio::execution_context::id id;
  explicit Events(boost::asio::execution_context& context) : boost::asio::execution_context::service(context) {}

 private:
  friend class Event;
  void shutdown() noexcept override;
  // Leaves `waiter` where it is when there is no memory.
  void post(const Executor& executor, Waiter& waiter);
  void run_woken(const Executor& executor);

  Event* first_ = nullptr;
  std::vector<Waiter> woken_;    // a handler is on its way while there are any
  std::vector<Waiter> running_;  // empty but while they run; keeps its room
};

// Belongs to the thread of its executor.
class Event {
 public:
  // Where events belong. Finding it takes a lock and a search, so whoever makes many of them keeps it; good while the io_context lives.
  class Home {
   public:
    explicit Home(const Executor& executor);

   private:
    friend class Event;
    Executor executor_;
    Events* events_;
  };
  explicit Event(const Home& home) : home_(home) {}
  explicit Event(const Executor& executor) : Event(Home(executor)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  // Whoever waits is destroyed, not resumed.
  ~Event();

  // Whoever waits goes on, by way of the io_context: safe to call from anywhere on its thread.
  void wake();

  // `auto wait = event.wait(); co_await std::move(wait);`: until wake() or until the coroutine is cancelled. Whoever waited looks at what
  // he waits for, and waits again when it is not there.
  struct Start {
    template <class Handler>
    void operator()(Handler&& handler, Event* event) const {
      const auto slot = boost::asio::get_associated_cancellation_slot(handler);
      event->start_wait(Waiter(std::forward<Handler>(handler)), slot);
    }
  };
  struct Wait {
    Event* event;
    template <class Token>
    auto operator()(Token&& token) -> decltype(boost::asio::async_initiate<Token, void()>(std::declval<Start>(), token, event)) {
      return boost::asio::async_initiate<Token, void()>(Start{}, token, event);
    }
  };
  [[nodiscard]] Wait wait() noexcept { return Wait{this}; }

 private:
  friend class Events;
  struct Place {
    Waiter waiter;
    boost::asio::cancellation_slot slot;
  };
  void start_wait(Waiter waiter, boost::asio::cancellation_slot slot);

  Home home_;
  using Waiting = boost::container::small_vector<Place, 1>;  // nearly always one: he costs no allocation
  Waiting waiting_;
  Event* previous_ = nullptr;  // in the home's list, while somebody waits
  Event* next_ = nullptr;
  bool is_linked_ = false;
  void link() noexcept;
  void unlink() noexcept;
};

}  // namespace sallyport
