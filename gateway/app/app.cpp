#include "app/app.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "app/config_loader.hpp"
#include "app/gateway.hpp"

namespace sallyport::app {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitInvalidConfiguration = 1;
constexpr int kExitCouldNotStart = 3;

void print(const std::vector<Problem>& problems, std::string_view kind) {
  for (const Problem& problem : problems) std::fprintf(stderr, "%s%s\n", problem.text().c_str(), std::string(kind).c_str());
}

int could_not_start(const std::string& why) {
  std::fprintf(stderr, "sallyport could not start: %s\n", why.c_str());
  return kExitCouldNotStart;
}

}  // namespace

int run(const RunOptions& options) {
  // A client or an upstream that goes away is an error code of a write, never a signal.
  std::signal(SIGPIPE, SIG_IGN);

  Loaded loaded = load_config(options.config_path, process_environment);
  print(loaded.warnings, " (warning)");
  print(loaded.problems, "");
  if (!loaded.settings) return kExitInvalidConfiguration;

  try {
    observe::LineWriter log_writer({observe::Sink::Kind::standard_error, {}}, observe::LogSettings::kQueueBytesMax);
    const auto variable = [](std::string_view name) { return process_environment(std::string(name)); };
    Result<listen::InheritedSockets> sockets = listen::InheritedSockets::from_environment(variable, ::getpid());
    if (!sockets) return could_not_start(sockets.error().detail);
    Gateway::Inheritance inherited{std::move(*sockets), Predecessor::from_environment()};
    Gateway gateway(options.config_path, std::move(*loaded.settings), std::move(loaded.files), std::move(inherited), log_writer);
    const Result<void> prepared = gateway.prepare();
    if (!prepared) return could_not_start(prepared.error().detail);
    gateway.serve();
    return kExitDone;
  } catch (const std::exception& error) {
    return could_not_start(error.what());
  }
}

}  // namespace sallyport::app
