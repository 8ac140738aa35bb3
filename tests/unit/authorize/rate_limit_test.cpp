#include "authorize/rate_limit.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace sallyport::authorize {
namespace {

using namespace std::chrono_literals;

const MonotonicTime kStart = MonotonicTime(std::chrono::hours(1000));

RateLimit limit_of(std::uint64_t requests, std::chrono::nanoseconds per, std::uint64_t burst, std::string name = "r/address") {
  RateLimit limit;
  limit.name = std::move(name);
  limit.requests = requests;
  limit.per = per;
  limit.burst = burst;
  return limit;
}

int taken(RateLimiter& limiter, const RateLimit& limit, std::string_view key, MonotonicTime now, int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += limiter.take(limit, key, now).allowed ? 1 : 0;
  return count;
}

TEST(RateLimiter, LetsTheBurstPassAndNotOneMore) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(60, 1min, 5);
  EXPECT_EQ(taken(limiter, limit, "a", kStart, 20), 5);
  const Quota refused = limiter.take(limit, "a", kStart);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.limit, 5U);
  EXPECT_EQ(refused.remaining, 0U);
  EXPECT_EQ(refused.retry_after, 1s);
}

TEST(RateLimiter, FillsTheBucketEvenly) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(60, 1min, 5);
  EXPECT_EQ(taken(limiter, limit, "a", kStart, 5), 5);
  EXPECT_EQ(taken(limiter, limit, "a", kStart + 999ms, 5), 0);
  EXPECT_EQ(taken(limiter, limit, "a", kStart + 1s, 5), 1);
  EXPECT_EQ(taken(limiter, limit, "a", kStart + 4s, 5), 3);
  EXPECT_EQ(taken(limiter, limit, "a", kStart + 1h, 20), 5) << "never more than the bucket holds";
}

TEST(RateLimiter, TellsWhatIsLeft) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(60, 1min, 5);
  const Quota first = limiter.take(limit, "a", kStart);
  EXPECT_TRUE(first.allowed);
  EXPECT_EQ(first.remaining, 4U);
  EXPECT_EQ(first.until_full, 1s);
  EXPECT_EQ(limiter.take(limit, "a", kStart).remaining, 3U);
}

TEST(RateLimiter, KeepsKeysAndRulesApart) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(1, 1min, 1);
  EXPECT_EQ(taken(limiter, limit, "a", kStart, 3), 1);
  EXPECT_EQ(taken(limiter, limit, "b", kStart, 3), 1);
  EXPECT_EQ(taken(limiter, limit_of(1, 1min, 1, "other/address"), "a", kStart, 3), 1);
}

TEST(RateLimiter, LookingTakesNothing) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(1, 1min, 1);
  EXPECT_TRUE(limiter.look(limit, "a", kStart).allowed);
  EXPECT_TRUE(limiter.look(limit, "a", kStart).allowed);
  EXPECT_EQ(taken(limiter, limit, "a", kStart, 2), 1);
  EXPECT_FALSE(limiter.look(limit, "a", kStart).allowed);
}

TEST(RateLimiter, ChargingNeverOwesMoreThanTheBucket) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(3, 3min, 3);
  for (int i = 0; i < 100; ++i) limiter.charge(limit, "a", kStart);
  EXPECT_FALSE(limiter.look(limit, "a", kStart).allowed);
  EXPECT_TRUE(limiter.look(limit, "a", kStart + 1min).allowed);
  EXPECT_EQ(limiter.look(limit, "a", kStart + 3min).remaining, 3U);
}

TEST(RateLimiter, NoMoreAttemptsAreOpenThanThereAreTokens) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(2, 2min, 2);
  RateLimiter::Begun first = limiter.begin(limit, "a", kStart);
  RateLimiter::Begun second = limiter.begin(limit, "a", kStart);
  ASSERT_TRUE(first.attempt && second.attempt);
  const RateLimiter::Begun third = limiter.begin(limit, "a", kStart);
  EXPECT_FALSE(third.attempt || third.quota.allowed);
  EXPECT_TRUE(third.is_crowded) << "it may yet be allowed";
  first.attempt.reset();
  RateLimiter::Begun again = limiter.begin(limit, "a", kStart);
  EXPECT_TRUE(again.attempt) << "what has not failed has taken nothing";
  // One fails: one token is left, and one attempt is open.
  limiter.charge(limit, "a", kStart);
  second.attempt.reset();
  EXPECT_TRUE(limiter.begin(limit, "a", kStart).is_crowded);
  limiter.charge(limit, "a", kStart);
  again.attempt.reset();
  const RateLimiter::Begun refused = limiter.begin(limit, "a", kStart);
  EXPECT_FALSE(refused.attempt || refused.is_crowded);
  EXPECT_EQ(refused.quota.retry_after, 1min);
}

TEST(RateLimiter, BucketsSurviveAChangeOfTheNumbers) {
  RateLimiter limiter;
  EXPECT_EQ(taken(limiter, limit_of(2, 1min, 2), "a", kStart, 9), 2);
  EXPECT_EQ(taken(limiter, limit_of(2, 1min, 2), "a", kStart, 9), 0);
  // A minute was owed; a bucket that fills in two seconds owes no more than those, from the moment at which it is one.
  EXPECT_FALSE(limiter.look(limit_of(2, 2s, 2), "a", kStart + 1s).allowed);
  EXPECT_FALSE(limiter.take(limit_of(2, 2s, 2), "a", kStart + 1s).allowed);
  EXPECT_TRUE(limiter.take(limit_of(2, 2s, 2), "a", kStart + 2s).allowed);
}

TEST(RateLimiter, AFloodOfAddressesDoesNotWashOutWhoIsLimited) {
  RateLimiter limiter(256);
  const RateLimit limit = limit_of(10, 10min, 10);
  ASSERT_EQ(taken(limiter, limit, "flooding", kStart, 50), 10);
  for (int i = 0; i < 100'000; ++i) static_cast<void>(limiter.take(limit, fmt::format("address {}", i), kStart));
  EXPECT_LE(limiter.buckets_in_use(kStart), 256U);
  EXPECT_EQ(taken(limiter, limit, "flooding", kStart, 50), 0);
}

TEST(RateLimiter, WhoComesNewInAFloodHasHalfABucketAtLeast) {
  RateLimiter limiter(64);
  const RateLimit limit = limit_of(10, 10min, 10);
  for (int i = 0; i < 10'000; ++i) static_cast<void>(taken(limiter, limit, fmt::format("address {}", i), kStart, 20));
  for (int i = 0; i < 100; ++i) {
    const int count = taken(limiter, limit, fmt::format("new {}", i), kStart, 20);
    EXPECT_GE(count, 5);
    EXPECT_LE(count, 10);
  }
}

TEST(RateLimiter, FullBucketsGiveTheirPlaceWithoutLoss) {
  RateLimiter limiter(8);
  const RateLimit limit = limit_of(4, 4s, 4);
  for (int i = 0; i < 8; ++i) static_cast<void>(taken(limiter, limit, fmt::format("old {}", i), kStart, 4));
  EXPECT_EQ(taken(limiter, limit, "new", kStart + 4s, 9), 4);
}

TEST(RateLimiter, CountsWhatAllThreadsTake) {
  RateLimiter limiter;
  const RateLimit limit = limit_of(1000, 24h, 1000);
  std::atomic<int> count{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] { count += taken(limiter, limit, "a", kStart, 1000); });
  }
  for (std::thread& thread : threads) thread.join();
  // Two threads that make the first bucket at once may both have one of their own for a moment.
  EXPECT_GE(count.load(), 1000);
  EXPECT_LE(count.load(), 1004);
}

TEST(AddressKey, TakesAnIpv6NetworkAsOneAndAnIpv4AddressAsItself) {
  const auto key = [](std::string_view text) { return std::string(AddressKey(text).view()); };
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
  EXPECT_EQ(key("192.0.2.1"), key("::ffff:192.0.2.1"));
  EXPECT_NE(key("192.0.2.1"), key("192.0.2.2"));
  EXPECT_EQ(key("no address"), "no address");
}

TEST(RateLimit, RefusesNumbersThatMeanNothing) {
  EXPECT_TRUE(is_possible(limit_of(100, 1min, 20)));
  EXPECT_FALSE(is_possible(limit_of(0, 1min, 20)));
  EXPECT_FALSE(is_possible(limit_of(1, 1min, 0)));
  EXPECT_FALSE(is_possible(limit_of(1, 0s, 1)));
  EXPECT_FALSE(is_possible(limit_of(1'000'000'000, 1ms, 1)));
  EXPECT_TRUE(is_possible(limit_of(1, 24h, 7)));
  EXPECT_FALSE(is_possible(limit_of(1, 24h, 8)));
}

}  // namespace
}  // namespace sallyport::authorize
