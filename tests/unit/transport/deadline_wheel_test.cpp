#include "transport/deadline_wheel.hpp"

#include <random>
#include <thread>

#include "stream_fixture.hpp"

namespace sallyport::transport {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

// Far more than a loaded machine needs; the point is "fired at all", early is the error that matters.
constexpr auto kLateMax = 5s;

struct Fired {
  int count = 0;
  MonotonicTime at{};
  static void note(void* self) {
    auto& fired = *static_cast<Fired*>(self);
    ++fired.count;
    fired.at = SteadyClock::now();
  }
};

struct DeadlineWheelTest : ::testing::Test {
  boost::asio::io_context context{1};
  DeadlineWheel wheel{context, 1ms};  // a lap of about one second
};

TEST_F(DeadlineWheelTest, FiresOnceAndNeverEarly) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  const MonotonicTime when = SteadyClock::now() + 30ms;
  deadline.expire_at(when);
  EXPECT_TRUE(deadline.armed());
  context.run();
  EXPECT_EQ(fired.count, 1);
  EXPECT_GE(fired.at, when);
  EXPECT_LT(fired.at, when + kLateMax);
  EXPECT_FALSE(deadline.armed());
}

TEST_F(DeadlineWheelTest, ARearmToLaterFiresOnlyThen) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  deadline.expire_after(10ms);
  const MonotonicTime when = SteadyClock::now() + 60ms;
  deadline.expire_at(when);
  context.run();
  EXPECT_EQ(fired.count, 1);
  EXPECT_GE(fired.at, when);
}

TEST_F(DeadlineWheelTest, ARearmToEarlierFiresThen) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  deadline.expire_after(1h);
  const MonotonicTime when = SteadyClock::now() + 20ms;
  deadline.expire_at(when);
  context.run();
  EXPECT_EQ(fired.count, 1);
  EXPECT_GE(fired.at, when);
  EXPECT_LT(fired.at, when + kLateMax);
}

TEST_F(DeadlineWheelTest, ADeadlineBeyondOneLapGoesRoundAgain) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  const MonotonicTime when = SteadyClock::now() + 1ms * static_cast<int>(DeadlineWheel::kSlots) + 100ms;
  deadline.expire_at(when);
  context.run();
  EXPECT_EQ(fired.count, 1);
  EXPECT_GE(fired.at, when);
}

TEST_F(DeadlineWheelTest, APastDeadlineFiresAtTheNextTick) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  deadline.expire_at(SteadyClock::now() - 1h);
  EXPECT_EQ(fired.count, 0);  // never from within expire_at()
  context.run();
  EXPECT_EQ(fired.count, 1);
}

TEST_F(DeadlineWheelTest, ADisarmedDeadlineIsSilentAndTheWheelStandsStill) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  deadline.expire_after(10ms);
  deadline.disarm();
  context.run();  // returns: no work is left
  EXPECT_EQ(fired.count, 0);
  deadline.expire_after(1ms);  // and it goes again
  context.restart();
  context.run();
  EXPECT_EQ(fired.count, 1);
}

TEST_F(DeadlineWheelTest, ADestroyedDeadlineIsSilent) {
  Fired fired;
  Fired other;
  auto gone = std::make_unique<Deadline>(wheel, &Fired::note, &fired);
  Deadline stays(wheel, &Fired::note, &other);
  gone->expire_after(10ms);
  stays.expire_after(10ms);
  gone.reset();
  context.run();
  EXPECT_EQ(fired.count, 0);
  EXPECT_EQ(other.count, 1);
}

TEST_F(DeadlineWheelTest, AnExpiryMayDestroyItsNeighboursAndArmItself) {
  struct Neighbourhood {
    DeadlineWheel& wheel;
    std::vector<std::unique_ptr<Deadline>> all;
    int fired = 0;
    static void first_wins(void* self) {
      auto& here = *static_cast<Neighbourhood*>(self);
      ++here.fired;
      if (here.fired == 1) here.all.erase(here.all.begin() + 1, here.all.end());
      if (here.fired < 3) here.all.front()->expire_after(1ms);
    }
  } here{wheel, {}, 0};
  const MonotonicTime when = SteadyClock::now() + 10ms;
  for (int i = 0; i < 20; ++i) here.all.push_back(std::make_unique<Deadline>(wheel, &Neighbourhood::first_wins, &here));
  for (auto& deadline : here.all) deadline->expire_at(when);
  context.run();
  EXPECT_EQ(here.fired, 3);  // whoever came first, and then the one that is left, twice
}

// The wheel of a worker that is late, with nothing else on it.
TEST_F(DeadlineWheelTest, TheLastOneMayBeArmedFarAheadByALateExpiry) {
  DeadlineWheel slow(context, 50ms);
  struct Late {
    std::unique_ptr<Deadline> deadline;
    int fired = 0;
    static void fire(void* self) {
      auto& late = *static_cast<Late*>(self);
      ++late.fired;
      std::this_thread::sleep_for(75ms);  // a tick goes by
      late.deadline->expire_after(1h);    // beyond a lap
    }
  } late;
  late.deadline = std::make_unique<Deadline>(slow, &Late::fire, &late);
  late.deadline->expire_after(10ms);
  boost::asio::steady_timer end(context, 400ms);
  end.async_wait([&](const boost::system::error_code&) { slow.stop(); });
  context.run();
  EXPECT_EQ(late.fired, 1);
  EXPECT_TRUE(late.deadline->armed());
}

// How many deadlines fire without a turn of somebody else, and how many such turns there are until all have fired.
struct Mass {
  DeadlineWheel wheel;
  boost::asio::io_context& context;
  std::chrono::microseconds cost;
  std::vector<std::unique_ptr<Deadline>> all;
  std::size_t fired = 0;
  std::size_t turns = 0;
  std::size_t in_a_row = 0;
  std::size_t longest_row = 0;

  Mass(boost::asio::io_context& loop, std::chrono::milliseconds tick, std::chrono::microseconds each)
      : wheel(loop, tick), context(loop), cost(each) {
    const MonotonicTime when = SteadyClock::now() + 5ms;
    for (int i = 0; i < 1'000; ++i) all.push_back(std::make_unique<Deadline>(wheel, &Mass::fire, this));
    for (auto& deadline : all) deadline->expire_at(when);
    turn();
    context.run();
  }
  static void fire(void* self) {
    auto& mass = *static_cast<Mass*>(self);
    ++mass.fired;
    mass.longest_row = std::max(mass.longest_row, ++mass.in_a_row);
  }
  void turn() {
    if (in_a_row > 0) ++turns;
    in_a_row = 0;
    if (fired == all.size()) return;
    std::this_thread::sleep_for(cost);
    boost::asio::post(context, [this] { turn(); });
  }
};

TEST_F(DeadlineWheelTest, AMassThatExpiresTogetherLeavesTurnsToOthers) {
  const Mass mass(context, 200ms, 0us);  // nothing is late by ticks as long as these
  EXPECT_EQ(mass.fired, mass.all.size());
  EXPECT_LE(mass.longest_row, DeadlineWheel::kExpiriesMax + 10);
}

TEST_F(DeadlineWheelTest, AMassThatMakesTheWheelLateGoesFaster) {
  const Mass mass(context, 1ms, 1ms);
  EXPECT_EQ(mass.fired, mass.all.size());
  EXPECT_LT(mass.turns, mass.all.size() / DeadlineWheel::kExpiriesMax / 2);
}

TEST_F(DeadlineWheelTest, ThousandsAtRandomAreAllInTime) {
  struct Timed {
    Fired fired;
    MonotonicTime when;
    std::unique_ptr<Deadline> deadline;
  };
  std::mt19937 random(7);
  std::uniform_int_distribution<int> microseconds(-2'000, 150'000);
  std::vector<Timed> all(3'000);
  for (int round = 0; round < 3; ++round) {  // most are armed again before they fire
    for (Timed& timed : all) {
      if (!timed.deadline) timed.deadline = std::make_unique<Deadline>(wheel, &Fired::note, &timed.fired);
      timed.when = SteadyClock::now() + std::chrono::microseconds(microseconds(random));
      timed.deadline->expire_at(timed.when);
    }
  }
  context.run();
  for (const Timed& timed : all) {
    ASSERT_EQ(timed.fired.count, 1);
    ASSERT_GE(timed.fired.at, timed.when);
  }
}

TEST_F(DeadlineWheelTest, AStoppedWheelLetsTheLoopEnd) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  deadline.expire_after(1h);
  wheel.stop();
  context.run();
  EXPECT_EQ(fired.count, 0);
}

TEST_F(DeadlineWheelTest, TheCoarseTimeFollowsTheTicks) {
  Fired fired;
  Deadline deadline(wheel, &Fired::note, &fired);
  const MonotonicTime before = SteadyClock::now();
  deadline.expire_after(20ms);
  EXPECT_GE(wheel.coarse_now(), before);
  context.run();
  EXPECT_GE(wheel.coarse_now(), before + 20ms);
  EXPECT_LE(wheel.coarse_now(), SteadyClock::now());
}

TEST(DeadlineWheel, MayEndBeforeItsDeadlinesAndItsTimer) {
  boost::asio::io_context context(1);
  Fired fired;
  auto wheel = std::make_unique<DeadlineWheel>(context, 1ms);
  Deadline deadline(*wheel, &Fired::note, &fired);
  deadline.expire_after(1ms);
  wheel.reset();
  context.run();
  EXPECT_EQ(fired.count, 0);
}

}  // namespace
}  // namespace sallyport::transport
