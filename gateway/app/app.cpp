#include "app/app.hpp"

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
    Gateway gateway(options.config_path, std::move(*loaded.settings), std::move(loaded.files), log_writer);
    const Result<void> prepared = gateway.prepare();
    if (!prepared) {
      std::fprintf(stderr, "sallyport could not start: %s\n", prepared.error().detail.c_str());
      return kExitCouldNotStart;
    }
    gateway.serve();
    return kExitDone;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sallyport could not start: %s\n", error.what());
    return kExitCouldNotStart;
  }
}

}  // namespace sallyport::app
