#include "base/task_group.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>

namespace sallyport {
namespace {

namespace asio = boost::asio;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using testing::ElementsAre;

struct Fixture {
  asio::io_context context{1};
  std::vector<std::string> exceptions;
  std::vector<std::string> events;
  TaskGroup group{context, [this](std::string_view what) { exceptions.emplace_back(what); }};
  Timer gate{context.get_executor(), std::chrono::steady_clock::time_point::max()};
};

Task<void> note(Fixture* fixture, std::string event) {
  fixture->events.push_back(std::move(event));
  co_return;
}

Task<void> note_after_gate(Fixture* fixture, std::string event) {
  auto opened = co_await fixture->gate.async_wait(as_result);
  (void)opened;
  fixture->events.push_back(std::move(event));
}

Task<void> fail(std::string what) {
  if (!what.empty()) throw std::runtime_error(what);
  throw 42;
  co_return;
}

Task<void> join_and_note(Fixture* fixture, std::string event) {
  co_await fixture->group.join();
  fixture->events.push_back(std::move(event));
}

Task<void> spawn_another(Fixture* fixture) {
  fixture->group.spawn(note_after_gate(fixture, "second"));
  fixture->events.emplace_back("first");
  co_return;
}

void start(Fixture& fixture, Task<void> task) {
  asio::co_spawn(fixture.context.get_executor(), std::move(task), [](const std::exception_ptr& e) { EXPECT_FALSE(e); });
}

TEST(TaskGroup, RunsWhatItIsGiven) {
  Fixture fixture;
  fixture.group.spawn(note(&fixture, "a"));
  fixture.group.spawn(note(&fixture, "b"));
  EXPECT_EQ(fixture.group.size(), 2U);
  fixture.context.run();
  EXPECT_THAT(fixture.events, ElementsAre("a", "b"));
  EXPECT_EQ(fixture.group.size(), 0U);
}

TEST(TaskGroup, JoinsAtOnceWhenNothingRuns) {
  Fixture fixture;
  start(fixture, join_and_note(&fixture, "joined"));
  fixture.context.run();
  EXPECT_THAT(fixture.events, ElementsAre("joined"));
}

TEST(TaskGroup, JoinsOnlyWhenTheLastTaskIsOver) {
  Fixture fixture;
  fixture.group.spawn(note_after_gate(&fixture, "task"));
  start(fixture, join_and_note(&fixture, "joined"));
  fixture.context.poll();
  EXPECT_TRUE(fixture.events.empty());
  EXPECT_EQ(fixture.group.size(), 1U);
  fixture.gate.cancel();
  fixture.context.restart();
  fixture.context.run();
  EXPECT_THAT(fixture.events, ElementsAre("task", "joined"));
}

TEST(TaskGroup, WakesEveryJoiner) {
  Fixture fixture;
  fixture.group.spawn(note_after_gate(&fixture, "task"));
  start(fixture, join_and_note(&fixture, "one"));
  start(fixture, join_and_note(&fixture, "two"));
  fixture.context.poll();
  fixture.gate.cancel();
  fixture.context.restart();
  fixture.context.run();
  EXPECT_THAT(fixture.events, testing::UnorderedElementsAre("task", "one", "two"));
}

TEST(TaskGroup, WaitsForTasksThatTasksSpawn) {
  Fixture fixture;
  fixture.group.spawn(spawn_another(&fixture));
  start(fixture, join_and_note(&fixture, "joined"));
  fixture.context.poll();
  EXPECT_THAT(fixture.events, ElementsAre("first"));
  fixture.gate.cancel();
  fixture.context.restart();
  fixture.context.run();
  EXPECT_THAT(fixture.events, ElementsAre("first", "second", "joined"));
}

TEST(TaskGroup, BeginsATaskAtOnceOnItsOwnThread) {
  Fixture fixture;
  fixture.context.get_executor().execute([&] {
    fixture.group.spawn(note(&fixture, "task"));
    fixture.events.emplace_back("after");
  });
  fixture.context.run();
  EXPECT_THAT(fixture.events, ElementsAre("task", "after"));
}

TEST(TaskGroup, ReportsAnExceptionAndLivesOn) {
  Fixture fixture;
  fixture.group.spawn(fail("it broke"));
  fixture.group.spawn(fail(""));
  fixture.group.spawn(note(&fixture, "still here"));
  start(fixture, join_and_note(&fixture, "joined"));
  fixture.context.run();
  EXPECT_THAT(fixture.exceptions, ElementsAre("it broke", "an exception that is no std::exception"));
  EXPECT_THAT(fixture.events, ElementsAre("still here", "joined"));
}

TEST(TaskGroup, LeavesNothingBehindWhenTheContextGoesFirst) {
  const auto owned = std::make_shared<int>(1);
  {
    auto context = std::make_unique<asio::io_context>(1);
    TaskGroup group(*context, [](std::string_view) {});
    auto gate = std::make_shared<Timer>(context->get_executor(), std::chrono::steady_clock::time_point::max());
    group.spawn([](std::shared_ptr<int> mine, std::shared_ptr<Timer> timer) -> Task<void> {
      auto opened = co_await timer->async_wait(as_result);
      (void)opened;
      *mine = 2;
    }(owned, gate));
    context->poll();
    EXPECT_EQ(owned.use_count(), 2);
  }
  EXPECT_EQ(owned.use_count(), 1);
  EXPECT_EQ(*owned, 1);
}

}  // namespace
}  // namespace sallyport
