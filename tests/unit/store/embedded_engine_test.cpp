#include "store/embedded_engine.hpp"

#include <future>

#include "store_contract.hpp"
#include "support/manual_clock.hpp"
#include "support/temporary_folder.hpp"

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using Access = EmbeddedEngine::Access;

NewSession session_called(std::string_view id) { return {key_of(id), "alice", *Json::parse("{}"), minutes(30), hours(24)}; }

// Holds a lane until it is let go.
class Gate {
 public:
  // To be called on the lane.
  void pass() {
    reached_.set_value();
    open_.get_future().wait();
  }
  void wait_until_reached() { reached_.get_future().wait(); }
  void open() { open_.set_value(); }

 private:
  std::promise<void> reached_;
  std::promise<void> open_;
};

class EmbeddedEngineTest : public ::testing::Test {
 protected:
  void start(const std::string& path, const EngineLimits& limits = {}) {
    auto opened = EmbeddedEngine::open(path, limits, clock_, log_);
    ASSERT_TRUE(opened) << opened.error().detail;
    engine_ = std::move(*opened);
    mailbox_ = engine_->attach(worker_.context(), listener_, metrics_);
    worker_.start();
  }
  void TearDown() override {
    if (mailbox_ != nullptr) worker_.run([this] { mailbox_->close(); });
    worker_.stop();
    engine_.reset();
  }

  template <class T, class Work>
  [[nodiscard]] std::future<Result<T>> begin(Access access, Work work) {
    return boost::asio::co_spawn(
        worker_.context().get_executor(),
        [this, access, work = std::move(work)]() mutable { return ask<T>(mailbox_, engine_.get(), access, "test", std::move(work)); },
        boost::asio::use_future);
  }
  [[nodiscard]] std::future<Result<void>> begin_at(Gate& gate, Access access) {
    auto future = begin<void>(access, [&gate](EmbeddedTables& tables, WallTime now, ChangedSessions&) -> Result<void> {
      (void)tables.find_session(key_of("nobody"), now);  // the transaction has its snapshot from here on
      gate.pass();
      return {};
    });
    return future;
  }
  [[nodiscard]] std::future<Result<void>> begin_create(std::string_view id) {
    return begin<void>(Access::write, [session = session_called(id)](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) {
      changed.push_back(session.key);
      return tables.create_session(session, now);
    });
  }
  [[nodiscard]] Result<std::optional<Session>> find(std::string_view id) {
    return begin<std::optional<Session>>(Access::read, [key = key_of(id)](EmbeddedTables& tables, WallTime now,
                                                                          ChangedSessions&) { return tables.find_session(key, now); })
        .get();
  }
  void settle() {
    worker_.run([] {});
  }

  test::TemporaryFolder folder_;
  test::ManualClock clock_;
  observe::LineWriter writer_{observe::Sink{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::error, clock_};
  observe::WorkerMetrics metrics_;
  RecordingListener listener_;
  ContextThread worker_;
  std::unique_ptr<EmbeddedEngine> engine_;
  std::shared_ptr<Mailbox> mailbox_;
};

TEST_F(EmbeddedEngineTest, OneFailureSpoilsNothingForTheOthersOfItsGroup) {
  start(folder_.file("db"));
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  auto before = begin_create("before");
  auto failing = begin<void>(Access::write, [](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) -> Result<void> {
    changed.push_back(key_of("half"));
    if (auto half = tables.create_session(session_called("half"), now); !half) return half;
    return make_error(Fault::mismatch, "on second thoughts");
  });
  auto throwing = begin<void>(Access::write, [](EmbeddedTables& tables, WallTime now, ChangedSessions&) -> Result<void> {
    (void)tables.create_session(session_called("thrown"), now);
    throw std::runtime_error("out of the blue");
  });
  auto after = begin_create("after");
  gate.open();
  EXPECT_TRUE(blocked.get());
  EXPECT_TRUE(before.get());
  EXPECT_EQ(failing.get().error().fault, Fault::mismatch);
  EXPECT_EQ(throwing.get().error().fault, Fault::internal);
  EXPECT_TRUE(after.get());
  EXPECT_TRUE(*find("before"));
  EXPECT_FALSE(*find("half")) << "what failed left nothing";
  EXPECT_FALSE(*find("thrown"));
  EXPECT_TRUE(*find("after"));
  settle();
  EXPECT_TRUE(listener_.heard_of(key_of("before")));
  EXPECT_FALSE(listener_.heard_of(key_of("half"))) << "what did not happen is not told";
  EXPECT_EQ(engine_->trouble(), "") << "the disk is not at fault";
}

TEST_F(EmbeddedEngineTest, WhatWaitsIsKeptBeforeTheFileIsLetGoAndWhatIsAskedLaterIsRefused) {
  const std::string path = folder_.file("db");
  start(path);
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  auto waiting = begin_create("waiting");
  settle();
  EXPECT_FALSE(engine_->has_let_go());
  std::thread letting_go([this] { engine_->let_go(); });
  gate.open();
  letting_go.join();
  EXPECT_TRUE(engine_->has_let_go());
  EXPECT_TRUE(blocked.get());
  EXPECT_TRUE(waiting.get());
  auto successor = EmbeddedEngine::open(path, {}, clock_, log_);
  ASSERT_TRUE(successor) << successor.error().detail;
  EXPECT_EQ(begin_create("late").get().error().fault, Fault::unavailable) << "at once: there is nothing to wait for";
  EXPECT_EQ(find("waiting").error().fault, Fault::unavailable) << "who knows what has become of it";
  engine_.reset();
  EXPECT_TRUE((*successor)->trouble().empty());
}

TEST_F(EmbeddedEngineTest, NothingIsToldOrAcknowledgedBeforeTheCommit) {
  start(folder_.file("db"));
  Gate first;
  Gate second;
  auto blocked = begin_at(first, Access::write);
  first.wait_until_reached();
  auto created = begin_create("a");
  auto behind = begin_at(second, Access::write);  // of the same group
  settle();
  first.open();
  second.wait_until_reached();  // "a" has run by now
  settle();
  EXPECT_EQ(created.wait_for(milliseconds(0)), std::future_status::timeout);
  EXPECT_FALSE(listener_.heard_of(key_of("a")));
  EXPECT_FALSE(*find("a")) << "the reader sees what is committed";
  second.open();
  EXPECT_TRUE(created.get());
  EXPECT_TRUE(behind.get());
  EXPECT_TRUE(listener_.heard_of(key_of("a"))) << "the news come before the answer";
  EXPECT_TRUE(*find("a"));
  EXPECT_TRUE(blocked.get());
}

TEST_F(EmbeddedEngineTest, ALookUpDoesNotWaitForTheWriter) {
  start(folder_.file("db"));
  ASSERT_TRUE(begin_create("a").get());
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  EXPECT_TRUE(*find("a"));
  gate.open();
  EXPECT_TRUE(blocked.get());
}

TEST_F(EmbeddedEngineTest, InMemoryOneLaneDoesBoth) {
  start("");
  ASSERT_TRUE(begin_create("a").get());
  EXPECT_TRUE(*find("a"));
  EXPECT_FALSE(*find("b"));
}

TEST_F(EmbeddedEngineTest, RefusesMoreThanItsQueueHolds) {
  EngineLimits limits;
  limits.queue_max = 5;
  start(folder_.file("db"), limits);
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  std::vector<std::future<Result<void>>> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(begin_create(std::to_string(i)));
  const auto refused = begin_create("one too many").get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  gate.open();
  EXPECT_TRUE(blocked.get());
  for (auto& one : waiting) EXPECT_TRUE(one.get());
  EXPECT_FALSE(*find("one too many"));
  EXPECT_TRUE(begin_create("later").get());
}

TEST_F(EmbeddedEngineTest, AGroupLargerThanItsLimitIsTakenInPieces) {
  EngineLimits limits;
  limits.group_max = 3;
  start(folder_.file("db"), limits);
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  std::vector<std::future<Result<void>>> waiting;
  for (int i = 0; i < 10; ++i) waiting.push_back(begin_create(std::to_string(i)));
  gate.open();
  EXPECT_TRUE(blocked.get());
  for (auto& one : waiting) EXPECT_TRUE(one.get());
  EXPECT_TRUE(*find("9"));
}

TEST_F(EmbeddedEngineTest, WhoeverWaitsTooLongIsToldSo) {
  EngineLimits limits;
  limits.call_timeout = milliseconds(20);
  start(folder_.file("db"), limits);
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  const auto late = begin_create("late").get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, Fault::timed_out);
  EXPECT_EQ(blocked.get().error().fault, Fault::timed_out);
  gate.open();
  EXPECT_TRUE(eventually([&] {
    const auto found = find("late");
    return found && found->has_value();
  })) << "it may have happened all the same";
}

TEST_F(EmbeddedEngineTest, ClosingEndsEveryCall) {
  start(folder_.file("db"));
  Gate gate;
  auto blocked = begin_at(gate, Access::write);
  gate.wait_until_reached();
  auto waiting = begin_create("a");
  settle();
  worker_.run([this] { mailbox_->close(); });
  EXPECT_EQ(blocked.get().error().fault, Fault::closed);
  EXPECT_EQ(waiting.get().error().fault, Fault::closed);
  gate.open();
  engine_->stop();
  settle();
  EXPECT_FALSE(listener_.heard_of(key_of("a"))) << "nobody is told any more";
}

TEST_F(EmbeddedEngineTest, AStoppedEngineRefuses) {
  start(folder_.file("db"));
  auto created = begin_create("a");
  settle();
  engine_->stop();
  EXPECT_TRUE(created.get()) << "what waited is done first";
  const auto late = begin_create("b").get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().fault, Fault::unavailable);
}

// A look-up that began before a session ended, and whose answer comes after the news of it, must not be believed.
TEST_F(EmbeddedEngineTest, AWatchSeesTheNewsThatOvertookAnAnswer) {
  start(folder_.file("db"));
  ASSERT_TRUE(begin_create("a").get());
  ASSERT_TRUE(begin_create("b").get());
  Gate first;
  Gate second;
  auto blocked = begin_at(first, Access::read);
  first.wait_until_reached();
  auto also_blocked = begin_at(second, Access::read);
  struct Seen {
    bool found_a = false;
    bool a_changed = false;
    bool b_changed = false;
  };
  auto look = [](std::shared_ptr<Mailbox> mailbox, EmbeddedEngine* engine) -> Task<Seen> {
    const Mailbox::Watch watch_a(mailbox, key_of("a"));
    const Mailbox::Watch watch_b(mailbox, key_of("b"));
    auto work = [](EmbeddedTables& tables, WallTime now, ChangedSessions&) { return tables.find_session(key_of("a"), now); };
    const auto found = co_await ask<std::optional<Session>>(mailbox, engine, Access::read, "test", work);
    co_return Seen{found && found->has_value(), watch_a.has_changed(), watch_b.has_changed()};
  };
  auto looking = boost::asio::co_spawn(
      worker_.context().get_executor(), [&look, this] { return look(mailbox_, engine_.get()); }, boost::asio::use_future);
  settle();
  first.open();
  second.wait_until_reached();  // the snapshot is taken
  const auto ended = begin<bool>(Access::write, [](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) {
                       changed.push_back(key_of("a"));
                       return tables.end_session(key_of("a"), now);
                     }).get();
  EXPECT_TRUE(*ended);
  second.open();
  const Seen seen = looking.get();
  EXPECT_TRUE(seen.found_a) << "the answer is of before";
  EXPECT_TRUE(seen.a_changed);
  EXPECT_FALSE(seen.b_changed);
  EXPECT_TRUE(blocked.get());
  EXPECT_TRUE(also_blocked.get());
}

}  // namespace
}  // namespace sallyport::store
