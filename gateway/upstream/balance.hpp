// Which server is asked next. Pure: no clock, no sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "upstream/health_board.hpp"
#include "upstream/settings.hpp"

namespace sallyport::upstream {

struct Pick {
  std::size_t server;
  bool on_trial = false;  // HealthBoard::claim_trial(): its outcome must be told
};

// Belongs to one worker, and counts this worker's requests alone.
//   round_robin     the smooth weighted kind: weights 5, 1, 1 give a a b a c a a, not a a a a a b c
//   least_requests  two different servers at random, by weight, and of these the one with fewer requests per weight: as good as looking at
//                   all, without every worker running to the same one
class Balancer {
 public:
  // `seed`: of the random choices; any number.
  Balancer(Balance balance, std::span<const ServerSettings> servers, std::uint64_t seed = 1);

  // The next server, leaving out those whose flag in `tried` is set and those that `board` says are not fit; see there for who is asked
  // when none is. nullopt: nobody is left. An empty `tried` leaves none out. `is_repeatable`: the request could be sent again.
  [[nodiscard]] std::optional<Pick> pick(HealthBoard& board, const std::vector<bool>& tried = {}, bool is_repeatable = true);

  // A request went to the server, and was over. Calls come in pairs.
  void began(std::size_t server) noexcept { ++servers_[server].requests; }
  void ended(std::size_t server) noexcept { --servers_[server].requests; }
  [[nodiscard]] std::uint32_t requests(std::size_t server) const noexcept { return servers_[server].requests; }
  [[nodiscard]] std::size_t size() const noexcept { return servers_.size(); }

 private:
  struct Server {
    std::int64_t weight;
    std::int64_t credit = 0;   // grows by the effective weight at each pick, shrinks by the sum of all when picked
    std::int64_t current = 0;  // the effective weight of the pick under way; 0: left out
    std::uint32_t requests = 0;
  };
  // The sum of the weights of those that may be asked.
  [[nodiscard]] std::int64_t weigh_fit(const HealthBoard& board, const std::vector<bool>& tried) noexcept;
  [[nodiscard]] std::int64_t weigh_ejected(const HealthBoard& board, const std::vector<bool>& tried) noexcept;
  [[nodiscard]] std::size_t next_in_turn(std::int64_t total) noexcept;
  [[nodiscard]] std::size_t better_of_two(std::int64_t total) noexcept;
  [[nodiscard]] std::size_t draw(std::int64_t total) noexcept;
  [[nodiscard]] std::uint64_t random() noexcept;

  Balance balance_;
  std::uint64_t state_;
  std::vector<Server> servers_;
};

}  // namespace sallyport::upstream
