#include "upstream/balance.hpp"

#include <utility>

namespace sallyport::upstream {

Balancer::Balancer(Balance balance, std::span<const ServerSettings> servers, std::uint64_t seed) : balance_(balance), state_(seed) {
  servers_.reserve(servers.size());
  for (const ServerSettings& server : servers) servers_.push_back({.weight = server.weight});
}

std::optional<Pick> Balancer::pick(HealthBoard& board, const std::vector<bool>& tried, bool is_repeatable) {
  if (servers_.size() == 1 && tried.empty() && board.is_plain()) return Pick{0};
  if (!board.is_plain()) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      if ((tried.empty() || !tried[i]) && board.claim_trial(i, is_repeatable)) return Pick{i, true};
    }
  }
  std::int64_t total = weigh_fit(board, tried);
  if (total == 0) total = weigh_ejected(board, tried);
  if (total == 0) return std::nullopt;
  return Pick{balance_ == Balance::least_requests ? better_of_two(total) : next_in_turn(total)};
}

std::int64_t Balancer::weigh_fit(const HealthBoard& board, const std::vector<bool>& tried) noexcept {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const bool is_left_out = !tried.empty() && tried[i];
    servers_[i].current = is_left_out ? 0 : servers_[i].weight * board.share(i);
    total += servers_[i].current;
  }
  return total;
}

std::int64_t Balancer::weigh_ejected(const HealthBoard& board, const std::vector<bool>& tried) noexcept {
  std::int64_t total = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    const bool is_left_out = (!tried.empty() && tried[i]) || !board.is_merely_ejected(i);
    servers_[i].current = is_left_out ? 0 : servers_[i].weight;
    total += servers_[i].current;
  }
  return total;
}

std::size_t Balancer::next_in_turn(std::int64_t total) noexcept {
  Server* best = nullptr;
  for (Server& server : servers_) {
    if (server.current == 0) continue;
    server.credit += server.current;
    if (best == nullptr || server.credit > best->credit) best = &server;
  }
  best->credit -= total;
  return static_cast<std::size_t>(best - servers_.data());
}

std::size_t Balancer::better_of_two(std::int64_t total) noexcept {
  const std::size_t first = draw(total);
  const std::int64_t left = total - std::exchange(servers_[first].current, 0);
  if (left == 0) return first;
  const std::size_t second = draw(left);
  const Server& a = servers_[first];
  const Server& b = servers_[second];
  // a.requests / a.weight <= b.requests / b.weight, without division.
  return static_cast<std::int64_t>(a.requests) * b.weight <= static_cast<std::int64_t>(b.requests) * a.weight ? first : second;
}

std::size_t Balancer::draw(std::int64_t total) noexcept {
  auto ticket = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(total));
  std::size_t drawn = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i].current == 0) continue;
    drawn = i;
    if (ticket < servers_[i].current) break;
    ticket -= servers_[i].current;
  }
  return drawn;
}

// SplitMix64: spreads load, keeps no secret.
std::uint64_t Balancer::random() noexcept {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace sallyport::upstream
