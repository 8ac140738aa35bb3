// The running gateway: `sallyport run`.
#pragma once

#include <string>

namespace sallyport::app {

struct RunOptions {
  std::string config_path;
};

// Serves until SIGTERM or SIGINT, then drains. Exit code (DESIGN §2.1): 0 stopped in order, 1 invalid configuration (problems on stderr),
// 3 could not start (port in use, log file not writable).
[[nodiscard]] int run(const RunOptions& options);

}  // namespace sallyport::app
