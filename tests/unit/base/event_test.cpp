#include "base/event.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>

namespace sallyport {
namespace {

class EventTest : public ::testing::Test {
 protected:
  static Task<void> wait(Event& event, int& ended) {
    Event::Wait waiting = event.wait();
    co_await std::move(waiting);
    ++ended;
  }
  void spawn(Event& event) {
    boost::asio::co_spawn(context_.get_executor(), wait(event, ended_), [](const std::exception_ptr&) {});
  }
  void settle() {
    context_.restart();
    context_.poll();
  }

  boost::asio::io_context context_{1};
  int ended_ = 0;
};

TEST_F(EventTest, WakesEverybodyWhoWaitsAndNobodyLater) {
  Event event(context_.get_executor());
  event.wake();
  spawn(event);
  spawn(event);
  settle();
  EXPECT_EQ(ended_, 0) << "what happened before is not remembered";
  event.wake();
  EXPECT_EQ(ended_, 0) << "by way of the io_context";
  settle();
  EXPECT_EQ(ended_, 2);
  spawn(event);
  settle();
  EXPECT_EQ(ended_, 2);
}

TEST_F(EventTest, ThoseOfOneHomeAreEachTheirOwn) {
  const Event::Home home(context_.get_executor());
  Event first(home);
  {
    Event second(home);
    spawn(first);
    spawn(second);
    settle();
    second.wake();
    settle();
    EXPECT_EQ(ended_, 1);
  }
  first.wake();
  settle();
  EXPECT_EQ(ended_, 2);
}

TEST_F(EventTest, WhoIsWokenByWhoWasWokenGoesOnAfterThat) {
  Event first(context_.get_executor());
  Event second(context_.get_executor());
  std::string order;
  const auto tell = [](Event& awaited, Event* wakes, char name, std::string& said) -> Task<void> {
    Event::Wait waiting = awaited.wait();
    co_await std::move(waiting);
    said += name;
    if (wakes != nullptr) wakes->wake();
  };
  const auto spawn_teller = [&](Event& awaited, Event* wakes, char name) {
    boost::asio::co_spawn(context_.get_executor(), tell(awaited, wakes, name, order), [](const std::exception_ptr&) {});
  };
  spawn_teller(second, nullptr, 'c');
  spawn_teller(first, &second, 'a');
  spawn_teller(first, nullptr, 'b');
  settle();
  first.wake();
  settle();
  EXPECT_EQ(order, "abc");
}

// A handler of ours that throws is the io_context's caller's to hear of; the others who were woken go on all the same.
TEST_F(EventTest, WhoThrowsKeepsNobodyElseBack) {
  Event event(context_.get_executor());
  const auto start = [&](auto handler) { event.wait()(boost::asio::bind_executor(context_.get_executor(), std::move(handler))); };
  start([this] { ++ended_; });
  start([] { throw std::runtime_error("the test says so"); });
  start([this] { ++ended_; });
  start([this] { ++ended_; });
  event.wake();
  context_.restart();
  EXPECT_THROW(context_.poll(), std::runtime_error);
  EXPECT_EQ(ended_, 1);
  settle();
  EXPECT_EQ(ended_, 3);
}

TEST(Event, WhoWasWokenEndsWithTheIoContext) {
  auto value = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = value;
  {
    boost::asio::io_context context(1);
    Event event(context.get_executor());
    event.wait()([value = std::move(value)] { ADD_FAILURE() << "nobody runs it"; });
    event.wake();
    EXPECT_FALSE(seen.expired());
  }
  EXPECT_TRUE(seen.expired());
}

TEST_F(EventTest, ACancelledCoroutineGoesOn) {
  Event event(context_.get_executor());
  boost::asio::cancellation_signal give_up;
  boost::asio::co_spawn(context_.get_executor(), wait(event, ended_),
                        boost::asio::bind_cancellation_slot(give_up.slot(), [](const std::exception_ptr&) {}));
  settle();
  give_up.emit(boost::asio::cancellation_type::terminal);
  settle();
  EXPECT_EQ(ended_, 1);
  give_up.emit(boost::asio::cancellation_type::terminal);  // nobody is there any more
}

// What a frame holds is told by its end.
struct Held {
  std::shared_ptr<Event> event;  // of which it waits itself: no owner but the frame
  std::shared_ptr<int> value;
};
Task<void> hold(Held held) {
  Event::Wait waiting = held.event->wait();
  co_await std::move(waiting);
}

TEST(Event, WhoStillWaitsEndsWithTheIoContext) {
  auto value = std::make_shared<int>(0);
  const std::weak_ptr<int> seen = value;
  {
    boost::asio::io_context context(1);
    auto event = std::make_shared<Event>(context.get_executor());
    Held held{std::move(event), std::move(value)};
    boost::asio::co_spawn(context.get_executor(), hold(std::move(held)), [](const std::exception_ptr&) {});
    context.poll();
    EXPECT_FALSE(seen.expired());
  }
  EXPECT_TRUE(seen.expired());
}

}  // namespace
}  // namespace sallyport
