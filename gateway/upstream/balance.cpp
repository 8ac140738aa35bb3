#include "upstream/balance.hpp"

namespace sallyport::upstream {

Balancer::Balancer(Balance balance, std::span<const ServerSettings> servers) : balance_(balance) {
  servers_.reserve(servers.size());
  for (const ServerSettings& server : servers) servers_.push_back({.weight = server.weight});
}

bool Balancer::better(const Server& a, const Server& b) const noexcept {
  if (balance_ == Balance::least_requests) {
    // a.requests / a.weight < b.requests / b.weight, without division.
    const std::int64_t load_a = static_cast<std::int64_t>(a.requests) * b.weight;
    const std::int64_t load_b = static_cast<std::int64_t>(b.requests) * a.weight;
    if (load_a != load_b) return load_a < load_b;
  }
  return a.credit > b.credit;
}

std::optional<std::size_t> Balancer::pick(const std::vector<bool>& tried) {
  if (servers_.size() == 1 && tried.empty()) return 0;
  std::optional<std::size_t> best;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (!tried.empty() && tried[i]) continue;
    servers_[i].credit += servers_[i].weight;
    total += servers_[i].weight;
    if (!best || better(servers_[i], servers_[*best])) best = i;
  }
  if (best) servers_[*best].credit -= total;
  return best;
}

}  // namespace sallyport::upstream
