#include "upstream/retry_budget.hpp"

#include <gtest/gtest.h>

namespace sallyport::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

int taken(RetryBudget& budget, MonotonicTime now, std::uint64_t requests, int attempts) {
  int count = 0;
  for (int i = 0; i < attempts; ++i) count += budget.take(now, requests) ? 1 : 0;
  return count;
}

TEST(RetryBudget, O14_GivesAShareOfTheRequestsAndAFewMore) {
  RetryBudget budget({.percent = 10, .least = 3});
  const MonotonicTime start{seconds(1000)};
  budget.advance(start, 0);
  EXPECT_EQ(taken(budget, start + seconds(1), 1000, 500), 103);
  EXPECT_EQ(taken(budget, start + seconds(2), 1000, 500), 0) << "spent is spent";
  EXPECT_EQ(taken(budget, start + seconds(2), 1100, 500), 10) << "and grows with the requests";
}

TEST(RetryBudget, O14_HalfOfAllRequestsFailingAddsATenth) {
  RetryBudget budget({.percent = 10, .least = 3});
  MonotonicTime now{seconds(1000)};
  budget.advance(now, 0);
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  for (int second = 0; second < 60; ++second) {
    for (int i = 0; i < 100; ++i) {
      ++requests;
      now += milliseconds(10);
      if (requests % 2 == 0 && budget.take(now, requests)) ++retries;
      budget.advance(now, requests);
    }
  }
  EXPECT_LE(retries, requests / 10 + 3 * 6 + 10);
  EXPECT_GE(retries, requests / 20);
}

TEST(RetryBudget, ForgetsWhatIsLongAgo) {
  RetryBudget budget({.percent = 10, .least = 3});
  const MonotonicTime start{seconds(1000)};
  budget.advance(start, 0);
  EXPECT_EQ(taken(budget, start, 0, 10), 3);
  EXPECT_EQ(taken(budget, start + seconds(9), 0, 10), 0);
  EXPECT_EQ(taken(budget, start + seconds(11), 0, 10), 3);
}

TEST(RetryBudget, OldRequestsEarnNothing) {
  RetryBudget budget({.percent = 10, .least = 0});
  const MonotonicTime start{seconds(1000)};
  budget.advance(start, 0);
  budget.advance(start + seconds(1), 1000);
  EXPECT_FALSE(budget.take(start + seconds(60), 1000));
  EXPECT_EQ(taken(budget, start + seconds(60), 1100, 50), 10);
}

TEST(RetryBudget, GivesNothingWhereNothingIsAllowed) {
  RetryBudget budget({.percent = 0, .least = 0});
  const MonotonicTime start{seconds(1000)};
  budget.advance(start, 0);
  EXPECT_FALSE(budget.take(start, 1'000'000));
}

}  // namespace
}  // namespace sallyport::upstream
