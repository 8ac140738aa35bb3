#include "upstream/health_board.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Event = HealthEvent::Kind;

const MonotonicTime kStart{seconds(1000)};
const HealthSettings kHealth{.path = "/", .healthy_after = 2, .unhealthy_after = 3};

std::vector<Event> kinds(HealthBoard& board) {
  std::vector<Event> found;
  for (const HealthEvent& event : board.take_events()) found.push_back(event.kind);
  return found;
}

void fail(HealthBoard& board, std::size_t server, int times, MonotonicTime now = kStart) {
  for (int i = 0; i < times; ++i) board.failed(server, false, now);
}

void check(HealthBoard& board, bool is_good, int times = 1) {
  for (int i = 0; i < times; ++i) board.checked(0, is_good, "", kHealth, kStart);
}

TEST(HealthBoard, EveryServerIsFitUntilAFirstResult) {
  HealthBoard board(2, EjectionSettings{}, {});
  EXPECT_TRUE(board.is_plain());
  EXPECT_EQ(board.share(0), HealthBoard::kFullShare);
}

TEST(HealthBoard, O08_TheFirstBadCheckIsEnoughAndOneGoodOneMendsIt) {
  HealthBoard board(2, EjectionSettings{}, {});
  check(board, false);
  EXPECT_EQ(board.share(0), 0U);
  EXPECT_FALSE(board.is_plain());
  check(board, true);
  EXPECT_EQ(board.share(0), HealthBoard::kFullShare);
  EXPECT_TRUE(board.is_plain());
  EXPECT_THAT(kinds(board), ::testing::ElementsAre(Event::unhealthy, Event::healthy));
}

TEST(HealthBoard, O08_AServerThatWorkedLeavesAfterAFewBadChecksOnly) {
  HealthBoard board(1, EjectionSettings{}, {});
  check(board, true);
  check(board, false, 2);
  EXPECT_TRUE(board.is_fit(0));
  check(board, true);
  check(board, false, 2);
  EXPECT_TRUE(board.is_fit(0)) << "not in a row";
  check(board, false);
  EXPECT_FALSE(board.is_fit(0)) << "checks may say so of the last one, too";
}

TEST(HealthBoard, O08_AFlappingServerStaysOutUntilItIsGoodSeveralTimesInARow) {
  HealthBoard board(2, EjectionSettings{}, {});
  check(board, true);
  check(board, false, 3);
  for (int i = 0; i < 10; ++i) {
    check(board, true);
    EXPECT_FALSE(board.is_fit(0));
    check(board, false);
  }
  EXPECT_THAT(kinds(board), ::testing::ElementsAre(Event::unhealthy)) << "no storm of events";
  check(board, true, 2);
  EXPECT_TRUE(board.is_fit(0));
}

TEST(HealthBoard, EjectsAServerAfterFailuresInARow) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 4);
  EXPECT_TRUE(board.is_fit(0));
  board.succeeded(0, false, kStart);
  fail(board, 0, 4);
  EXPECT_TRUE(board.is_fit(0)) << "not in a row";
  fail(board, 0, 1);
  EXPECT_FALSE(board.is_fit(0));
  EXPECT_TRUE(board.is_merely_ejected(0));
  EXPECT_EQ(board.ejections(), 1U);
  EXPECT_THAT(kinds(board), ::testing::ElementsAre(Event::ejected));
}

TEST(HealthBoard, EjectsNobodyWhereThatIsOff) {
  HealthBoard board(2, std::nullopt, {});
  fail(board, 0, 100);
  EXPECT_TRUE(board.is_plain());
}

TEST(HealthBoard, NeverEjectsTheLastServer) {
  HealthBoard single(1, EjectionSettings{.percent_max = 100}, {});
  fail(single, 0, 100);
  EXPECT_TRUE(single.is_plain());
  HealthBoard pair(2, EjectionSettings{.percent_max = 100}, {});
  fail(pair, 0, 5);
  fail(pair, 1, 100);
  EXPECT_FALSE(pair.is_fit(0));
  EXPECT_TRUE(pair.is_fit(1));
  HealthBoard half(2, EjectionSettings{.percent_max = 100}, {});
  half.checked(1, false, "", kHealth, kStart);
  fail(half, 0, 100);
  EXPECT_TRUE(half.is_fit(0)) << "the other is unhealthy";
}

TEST(HealthBoard, EjectsNoMoreThanItsPartOfTheServers) {
  HealthBoard board(4, EjectionSettings{.percent_max = 50}, {});
  for (std::size_t i = 0; i < 4; ++i) fail(board, i, 5);
  EXPECT_FALSE(board.is_fit(0));
  EXPECT_FALSE(board.is_fit(1));
  EXPECT_TRUE(board.is_fit(2));
  EXPECT_TRUE(board.is_fit(3));
  HealthBoard strict(4, EjectionSettings{.percent_max = 20}, {});
  fail(strict, 0, 100);
  EXPECT_TRUE(strict.is_plain());
}

TEST(HealthBoard, PutsAnEjectedServerOnTrialWhenItsTimeIsOver) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 5);
  board.advance(kStart + seconds(10) - milliseconds(1));
  EXPECT_FALSE(board.claim_trial(0, true));
  board.advance(kStart + seconds(10));
  EXPECT_FALSE(board.claim_trial(1, true)) << "is on no trial";
  EXPECT_FALSE(board.claim_trial(0, false)) << "not with a request that cannot be repeated";
  ASSERT_TRUE(board.claim_trial(0, true));
  EXPECT_FALSE(board.claim_trial(0, true)) << "one at a time";
  EXPECT_FALSE(board.is_fit(0));
  board.succeeded(0, true, kStart + seconds(11));
  EXPECT_TRUE(board.is_plain());
  EXPECT_THAT(kinds(board), ::testing::ElementsAre(Event::ejected, Event::returned));
}

TEST(HealthBoard, TakesAnyRequestForATrialThatNobodyElseWants) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 5);
  board.advance(kStart + seconds(10));
  EXPECT_FALSE(board.claim_trial(0, false));
  board.advance(kStart + seconds(20));
  EXPECT_TRUE(board.claim_trial(0, false));
}

TEST(HealthBoard, ATrialWithoutAVerdictIsGivenToTheNext) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 5);
  board.advance(kStart + seconds(10));
  ASSERT_TRUE(board.claim_trial(0, true));
  board.gave_up_trial(0);
  EXPECT_TRUE(board.claim_trial(0, true));
}

TEST(HealthBoard, IsOutLongerWithEachRepetition) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 5);
  MonotonicTime now = kStart;
  for (int times = 1; times < 15; ++times) {
    const seconds out(10 * std::min(times, 10));
    board.advance(now + out - milliseconds(1));
    EXPECT_FALSE(board.claim_trial(0, true)) << times;
    now += out;
    board.advance(now);
    ASSERT_TRUE(board.claim_trial(0, true)) << times;
    board.failed(0, true, now);
  }
}

TEST(HealthBoard, BeginsAnewWithAServerThatWasGoodForLong) {
  HealthBoard board(2, EjectionSettings{}, {});
  fail(board, 0, 5);
  board.advance(kStart + seconds(10));
  ASSERT_TRUE(board.claim_trial(0, true));
  board.succeeded(0, true, kStart + seconds(10));
  const MonotonicTime later = kStart + seconds(100);
  fail(board, 0, 5, later);
  board.advance(later + seconds(10));
  EXPECT_TRUE(board.claim_trial(0, true));
}

TEST(HealthBoard, AGoodCheckEndsTheEjectionOfAServerThatWasUnhealthy) {
  HealthBoard board(2, EjectionSettings{}, {});
  check(board, true);
  fail(board, 0, 5);
  check(board, false, 3);
  EXPECT_FALSE(board.is_merely_ejected(0));
  check(board, true, 2);
  EXPECT_TRUE(board.is_plain());
}

TEST(HealthBoard, AGoodCheckAloneEndsNoEjection) {
  HealthBoard board(2, EjectionSettings{}, {});
  check(board, true);
  fail(board, 0, 5);
  check(board, true, 10);
  EXPECT_FALSE(board.is_fit(0)) << "its health page works, its service does not";
}

TEST(HealthBoard, GrowsTheShareOfAServerThatCameBack) {
  HealthBoard board(2, EjectionSettings{}, seconds(10));
  check(board, false);
  check(board, true);
  EXPECT_EQ(board.share(0), 100U);
  board.advance(kStart + seconds(5));
  EXPECT_EQ(board.share(0), 550U);
  board.advance(kStart + seconds(10));
  EXPECT_EQ(board.share(0), HealthBoard::kFullShare);
  EXPECT_TRUE(board.is_plain());
}

TEST(HealthBoard, InheritsWhatIsKnownOfAServer) {
  HealthBoard old(2, EjectionSettings{}, {});
  old.checked(1, false, "", kHealth, kStart);
  HealthBoard board(3, EjectionSettings{}, {});
  board.inherit(0, old, 1);
  board.inherit(1, old, 0);
  EXPECT_FALSE(board.is_fit(0));
  EXPECT_TRUE(board.is_fit(1));
  EXPECT_FALSE(board.is_plain());
  board.forget_checks();
  EXPECT_TRUE(board.is_plain());
}

TEST(HealthBoard, KeepsABoundedNumberOfEvents) {
  HealthBoard board(2, EjectionSettings{}, {});
  for (int i = 0; i < 1000; ++i) {
    check(board, true, 2);
    check(board, false, 3);
  }
  EXPECT_EQ(board.take_events().size(), HealthBoard::kEventsMax);
}

}  // namespace
}  // namespace sallyport::upstream
