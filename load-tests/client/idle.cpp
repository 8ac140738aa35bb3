#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "connection.hpp"
#include "modes.hpp"

namespace sallyport::load {
namespace {

constexpr std::chrono::seconds kOpeningPatience{20};

// To the end of the handshake, or of an answer.
bool wait_until_idle(Connection& connection, Poller& poller) {
  const Moment limit = std::chrono::steady_clock::now() + kOpeningPatience;
  while (connection.advance() != Connection::State::idle) {
    if (connection.state() == Connection::State::failed || std::chrono::steady_clock::now() > limit) return false;
    (void)poller.wait(limit);
  }
  return true;
}

}  // namespace

int run_idle(const Target& target, std::uint32_t connections) {
  const Context context = target.tls ? make_context() : nullptr;
  const std::vector<std::string> requests = target.requests();
  std::vector<std::unique_ptr<Connection>> open;
  std::uint32_t failed = 0;
  for (std::uint32_t i = 0; i < connections; ++i) {
    Poller poller;
    open.push_back(std::make_unique<Connection>(target.port, context.get()));
    Connection& connection = *open.back();
    poller.add(connection);
    bool good = wait_until_idle(connection, poller);
    if (good) {
      connection.send(requests[i % requests.size()]);
      good = wait_until_idle(connection, poller) && connection.status() == target.expected_status;
    }
    failed += good ? 0 : 1;
  }
  fmt::print(R"({{"connections":{},"failed":{}}})"
             "\n",
             connections, failed);
  std::fflush(stdout);
  char none = 0;
  while (::read(STDIN_FILENO, &none, 1) > 0) {
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace sallyport::load
