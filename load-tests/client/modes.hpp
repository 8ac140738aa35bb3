// What the client can do. Each prints one line of JSON and returns the exit status: 1 when anything failed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::load {

struct Target {
  std::uint16_t port = 0;
  bool tls = true;
  std::string path = "/";
  std::string credentials;  // a file as wrk/requests.lua reads it; empty: none
  int expected_status = 200;
  [[nodiscard]] std::vector<std::string> requests() const;
};

// Load at a fixed rate, whatever the answers take. A request has a moment at which it is due; its latency counts from there, also when
// every connection was busy then. So a server that stands still for a second is charged with everybody who would have come in that second,
// not with the few who could (coordinated omission).
struct Rate {
  std::uint32_t per_second = 10'000;
  std::chrono::seconds warm_up{2};  // does not count
  std::chrono::seconds duration{10};
  std::uint32_t connections = 64;
};
int run_rate(const Target& target, const Rate& rate);

// Connections that are opened and closed, `at_once` of them at a time: a handshake and the tickets, no request. When `resume`, each offers
// a ticket of an earlier one; whether it was taken is counted.
struct Handshakes {
  std::chrono::seconds duration{4};
  std::uint32_t at_once = 8;
  bool resume = false;
};
int run_handshakes(const Target& target, const Handshakes& handshakes);

// Connections that make one request each and then nothing until standard input ends.
int run_idle(const Target& target, std::uint32_t connections);

}  // namespace sallyport::load
