#include "app/watchdog.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>

#include "base/task_group.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class WatchdogTest : public ::testing::Test {
 protected:
  WatchdogTest() {
    watchdog_.add(loop_.get_executor());
    watchdog_.use(milliseconds(20));
    thread_ = std::thread([this] { loop_.run(); });
    tasks_.spawn(watchdog_.run());
  }
  ~WatchdogTest() override {
    watchdog_.stop();
    control_.run_for(milliseconds(100));
    work_.reset();
    thread_.join();
  }
  template <class Condition>
  [[nodiscard]] bool comes_true(Condition condition) {
    const auto end = steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && steady_clock::now() < end) control_.run_for(milliseconds(5));
    return condition();
  }
  // Holds the loop until it is let go, and a control thread that notices meanwhile.
  void hold() {
    std::promise<void> reached;
    boost::asio::post(loop_, [this, &reached] {
      reached.set_value();
      open_.get_future().wait();
    });
    reached.get_future().wait();
  }

  test::ManualClock clock_;
  observe::LineWriter writer_{observe::Sink{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::error, clock_};
  boost::asio::io_context control_;
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<Executor> work_{loop_.get_executor()};
  TaskGroup tasks_{control_, [](std::string_view what) { ADD_FAILURE() << what; }};
  Watchdog watchdog_{control_, log_};
  std::promise<void> open_;
  std::thread thread_;
};

TEST_F(WatchdogTest, M14_CountsALoopThatWasHeldUp) {
  hold();
  EXPECT_TRUE(comes_true([this] { return watchdog_.take_lag() > milliseconds(60); })) << "it shows while it lasts";
  EXPECT_EQ(watchdog_.stalls(), 0U) << "it is not over";
  open_.set_value();
  EXPECT_TRUE(comes_true([this] { return watchdog_.stalls() == 1; }));
}

TEST_F(WatchdogTest, ALoopThatAnswersIsNoStall) {
  watchdog_.use(std::chrono::seconds(5));
  std::size_t rounds = 0;
  EXPECT_TRUE(comes_true([&] { return ++rounds > 20; }));
  EXPECT_EQ(watchdog_.stalls(), 0U);
  EXPECT_LT(watchdog_.take_lag(), std::chrono::seconds(5));
}

}  // namespace
}  // namespace sallyport::app
