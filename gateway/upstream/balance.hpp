// Which server is asked next. Pure: no clock, no sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "upstream/settings.hpp"

namespace sallyport::upstream {

// Belongs to one worker. round_robin is the smooth weighted kind: weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
// least_requests takes the server with the fewest requests per weight; ties go round robin.
class Balancer {
 public:
  Balancer(Balance balance, std::span<const ServerSettings> servers);

  // The index of the next server, leaving out those whose flag in `tried` is set; nullopt when none is left.
  // An empty `tried` leaves none out.
  [[nodiscard]] std::optional<std::size_t> pick(const std::vector<bool>& tried = {});

  // A request went to the server, and was over. Calls come in pairs.
  void began(std::size_t server) noexcept { ++servers_[server].requests; }
  void ended(std::size_t server) noexcept { --servers_[server].requests; }
  [[nodiscard]] std::uint32_t requests(std::size_t server) const noexcept { return servers_[server].requests; }
  [[nodiscard]] std::size_t size() const noexcept { return servers_.size(); }

 private:
  struct Server {
    std::int64_t weight;
    std::int64_t credit = 0;  // grows by the weight at each pick, shrinks by the sum of all when picked
    std::uint32_t requests = 0;
  };
  // Whether a is to be preferred to b.
  [[nodiscard]] bool better(const Server& a, const Server& b) const noexcept;

  Balance balance_;
  std::vector<Server> servers_;
};

}  // namespace sallyport::upstream
