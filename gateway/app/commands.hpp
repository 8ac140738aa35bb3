// Everything behind `sallyport ARGUMENTS` (DESIGN §2.1).
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "app/app.hpp"

namespace sallyport::app {

// DESIGN §2.1.
enum ExitCode : int {
  kDone = 0,
  kRefused = 1,  // or an invalid configuration
  kUsage = 2,
  kCouldNotStart = 3,
  kStoreUnreachable = 4,
};

struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& error;
};

// `arguments` without the program's name. `serve` is what `run` calls: app::run, but for tests. Throws nothing but std::bad_alloc.
[[nodiscard]] int run_command_line(const std::vector<std::string>& arguments, const Streams& streams, int (*serve)(const RunOptions&));

}  // namespace sallyport::app
