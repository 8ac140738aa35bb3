#include "upstream/balance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sallyport::upstream {
namespace {

using ::testing::ElementsAre;

std::vector<ServerSettings> servers_with_weights(std::initializer_list<std::uint32_t> weights) {
  std::vector<ServerSettings> servers;
  for (const std::uint32_t weight : weights) servers.push_back({.host = "127.0.0.1", .port = 80, .weight = weight, .authority = "a"});
  return servers;
}

TEST(Balancer, SpreadsRequestsByWeight) {
  Balancer balancer(Balance::round_robin, servers_with_weights({5, 1, 4}));
  std::vector<int> picks(3);
  for (int i = 0; i < 1000; ++i) ++picks[balancer.pick().value()];
  EXPECT_THAT(picks, ElementsAre(500, 100, 400));
}

TEST(Balancer, InterleavesWeightsSmoothly) {
  Balancer balancer(Balance::round_robin, servers_with_weights({5, 1, 1}));
  std::string order;
  for (int i = 0; i < 7; ++i) order += static_cast<char>('a' + balancer.pick().value());
  EXPECT_EQ(order, "aabacaa");
}

TEST(Balancer, LeavesOutServersThatWereTried) {
  Balancer balancer(Balance::round_robin, servers_with_weights({1, 1}));
  EXPECT_EQ(balancer.pick({true, false}), 1U);
  EXPECT_EQ(balancer.pick({false, true}), 0U);
}

TEST(Balancer, HasNoneLeftWhenAllWereTried) {
  Balancer balancer(Balance::round_robin, servers_with_weights({1, 1}));
  EXPECT_EQ(balancer.pick({true, true}), std::nullopt);
  Balancer single(Balance::round_robin, servers_with_weights({1}));
  EXPECT_EQ(single.pick({true}), std::nullopt);
  EXPECT_EQ(single.pick(), 0U);
}

TEST(Balancer, PicksTheServerWithTheFewestRequestsPerWeight) {
  Balancer balancer(Balance::least_requests, servers_with_weights({1, 2}));
  balancer.began(0);
  EXPECT_EQ(balancer.pick(), 1U);
  balancer.began(1);  // 1/1 against 1/2
  EXPECT_EQ(balancer.pick(), 1U);
  balancer.began(1);
  balancer.began(1);  // 1/1 against 3/2
  EXPECT_EQ(balancer.pick(), 0U);
  balancer.ended(1);
  balancer.ended(1);
  balancer.ended(1);
  EXPECT_EQ(balancer.pick(), 1U);
  EXPECT_EQ(balancer.requests(0), 1U);
}

TEST(Balancer, GoesRoundAmongEquallyLoadedServers) {
  Balancer balancer(Balance::least_requests, servers_with_weights({1, 1, 1}));
  std::vector<int> picks(3);
  for (int i = 0; i < 30; ++i) ++picks[balancer.pick().value()];
  EXPECT_THAT(picks, ElementsAre(10, 10, 10));
}

}  // namespace
}  // namespace sallyport::upstream
