#include "upstream/balance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sallyport::upstream {
namespace {

using ::testing::ElementsAre;

std::vector<ServerSettings> servers_with_weights(const std::vector<std::uint32_t>& weights) {
  std::vector<ServerSettings> servers;
  for (const std::uint32_t weight : weights) servers.push_back({.host = "127.0.0.1", .port = 80, .weight = weight, .authority = "a"});
  return servers;
}

// Every server of it is fit.
struct Row {
  Row(Balance balance, const std::vector<std::uint32_t>& weights, std::uint64_t seed = 1)
      : servers(servers_with_weights(weights)), board(servers.size(), EjectionSettings{}, {}), balancer(balance, servers, seed) {}

  std::optional<std::size_t> pick(const std::vector<bool>& tried = {}) {
    const std::optional<Pick> picked = balancer.pick(board, tried);
    return picked ? std::optional(picked->server) : std::nullopt;
  }
  std::vector<int> picks(int count) {
    std::vector<int> counts(servers.size());
    for (int i = 0; i < count; ++i) ++counts[pick().value()];
    return counts;
  }
  void make_unhealthy(std::size_t server) { board.checked(server, false, "answered 500", {}, {}); }

  std::vector<ServerSettings> servers;
  HealthBoard board;
  Balancer balancer;
};

TEST(Balancer, SpreadsRequestsByWeight) {
  Row row(Balance::round_robin, {5, 1, 4});
  EXPECT_THAT(row.picks(1000), ElementsAre(500, 100, 400));
}

TEST(Balancer, InterleavesWeightsSmoothly) {
  Row row(Balance::round_robin, {5, 1, 1});
  std::string order;
  for (int i = 0; i < 7; ++i) order += static_cast<char>('a' + row.pick().value());
  EXPECT_EQ(order, "aabacaa");
}

TEST(Balancer, LeavesOutServersThatWereTried) {
  for (const Balance balance : {Balance::round_robin, Balance::least_requests}) {
    Row row(balance, {1, 1});
    EXPECT_EQ(row.pick({true, false}), 1U);
    EXPECT_EQ(row.pick({false, true}), 0U);
  }
}

TEST(Balancer, HasNoneLeftWhenAllWereTried) {
  Row row(Balance::round_robin, {1, 1});
  EXPECT_EQ(row.pick({true, true}), std::nullopt);
  Row single(Balance::round_robin, {1});
  EXPECT_EQ(single.pick({true}), std::nullopt);
  EXPECT_EQ(single.pick(), 0U);
}

TEST(Balancer, PicksTheServerWithTheFewestRequestsPerWeight) {
  Row row(Balance::least_requests, {1, 2});
  row.balancer.began(0);
  EXPECT_EQ(row.pick(), 1U);
  row.balancer.began(1);  // 1/1 against 1/2
  EXPECT_EQ(row.pick(), 1U);
  row.balancer.began(1);
  row.balancer.began(1);  // 1/1 against 3/2
  EXPECT_EQ(row.pick(), 0U);
  row.balancer.ended(1);
  row.balancer.ended(1);
  row.balancer.ended(1);
  EXPECT_EQ(row.pick(), 1U);
  EXPECT_EQ(row.balancer.requests(0), 1U);
}

TEST(Balancer, NeverGivesTheMostLoadedOfThreeARequest) {
  Row row(Balance::least_requests, {1, 1, 1}, 7);
  row.balancer.began(2);
  const std::vector<int> picks = row.picks(300);
  EXPECT_EQ(picks[2], 0);
  EXPECT_GT(picks[0], 100);
  EXPECT_GT(picks[1], 100);
}

TEST(Balancer, SpreadsOverEquallyLoadedServersByWeight) {
  Row row(Balance::least_requests, {3, 1}, 11);
  const std::vector<int> picks = row.picks(4000);
  EXPECT_GT(picks[0], 2800);
  EXPECT_LT(picks[0], 3200);
}

TEST(Balancer, O08_LeavesOutUnhealthyServers) {
  for (const Balance balance : {Balance::round_robin, Balance::least_requests}) {
    Row row(balance, {1, 5, 1});
    row.make_unhealthy(1);
    const std::vector<int> picks = row.picks(100);
    EXPECT_EQ(picks[1], 0);
    EXPECT_GT(picks[0], 30);
    EXPECT_GT(picks[2], 30);
  }
}

TEST(Balancer, O08_HasNobodyWhenAllAreUnhealthy) {
  for (const Balance balance : {Balance::round_robin, Balance::least_requests}) {
    Row row(balance, {1, 1});
    row.make_unhealthy(0);
    EXPECT_EQ(row.pick(), 1U);
    row.make_unhealthy(1);
    EXPECT_EQ(row.pick(), std::nullopt);
  }
}

TEST(Balancer, AsksAnEjectedServerRatherThanNobody) {
  Row row(Balance::round_robin, {1, 1});
  for (int i = 0; i < 5; ++i) row.board.failed(0, false, MonotonicTime{});
  EXPECT_THAT(row.picks(10), ElementsAre(0, 10));
  row.make_unhealthy(1);
  EXPECT_THAT(row.picks(10), ElementsAre(10, 0));
}

TEST(Balancer, GivesAServerThatCameBackLittleAtFirst) {
  const std::vector<ServerSettings> servers = servers_with_weights({1, 1});
  HealthBoard board(2, EjectionSettings{}, std::chrono::seconds(10));
  Balancer balancer(Balance::round_robin, servers);
  const HealthSettings health;
  const MonotonicTime start{};
  board.checked(0, false, "", health, start);
  board.checked(0, true, "", health, start);
  std::vector<int> picks(2);
  for (int i = 0; i < 110; ++i) ++picks[balancer.pick(board)->server];
  EXPECT_THAT(picks, ElementsAre(10, 100));
}

}  // namespace
}  // namespace sallyport::upstream
