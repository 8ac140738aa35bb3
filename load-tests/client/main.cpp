// Load that wrk cannot make (load-tests/README.md tells which and why): load_client rate | handshakes | idle.
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <fstream>

#include "modes.hpp"

namespace sallyport::load {

std::vector<std::string> Target::requests() const {
  const std::string head = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load_client\r\nAccept: */*\r\n";
  std::vector<std::string> all;
  std::ifstream lines(credentials);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(": ") == std::string::npos) line.insert(0, "Authorization: Bearer ");
    all.push_back(head + line + "\r\n\r\n");
  }
  if (!credentials.empty() && all.empty()) throw std::runtime_error("no credentials in " + credentials);
  if (all.empty()) all.push_back(head + "\r\n");
  return all;
}

}  // namespace sallyport::load

int main(int argc, char** argv) {
  using namespace sallyport::load;
  CLI::App app("Load at a fixed rate, idle connections, TLS handshakes, to 127.0.0.1");
  app.require_subcommand(1);
  Target target;
  Rate rate;
  Handshakes handshakes;
  std::uint32_t connections = 10'000;
  std::int64_t seconds = 10;
  std::int64_t warm_up = 2;
  const auto add = [&](const char* name, const char* description) {
    CLI::App* mode = app.add_subcommand(name, description);
    mode->add_option("--port", target.port)->required();
    mode->add_flag("--tls,!--clear", target.tls, "TLS (the default), or none");
    mode->add_option("--path", target.path);
    mode->add_option("--credentials", target.credentials, "a file: a token or a field line each");
    mode->add_option("--status", target.expected_status);
    return mode;
  };
  CLI::App* rating = add("rate", "so many requests a second, whatever the answers take");
  rating->add_option("--rate", rate.per_second)->check(CLI::PositiveNumber);
  rating->add_option("--seconds", seconds);
  rating->add_option("--warm-up", warm_up, "seconds that do not count");
  rating->add_option("--connections", rate.connections)->check(CLI::PositiveNumber);
  CLI::App* shaking = add("handshakes", "connections that are opened and closed");
  shaking->add_option("--seconds", seconds);
  shaking->add_option("--at-once", handshakes.at_once)->check(CLI::PositiveNumber);
  shaking->add_flag("--resume", handshakes.resume, "each with a ticket of an earlier one");
  CLI::App* idling = add("idle", "connections that do nothing until standard input ends");
  idling->add_option("--connections", connections);
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGPIPE, SIG_IGN);
  rate.duration = handshakes.duration = std::chrono::seconds(seconds);
  rate.warm_up = std::chrono::seconds(warm_up);
  try {
    if (rating->parsed()) return run_rate(target, rate);
    if (shaking->parsed()) return run_handshakes(target, handshakes);
    return run_idle(target, connections);
  } catch (const std::exception& trouble) {
    std::fprintf(stderr, "load_client: %s\n", trouble.what());
    return 1;
  }
}
