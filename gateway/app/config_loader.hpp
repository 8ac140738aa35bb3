// YAML -> Settings, strictly. The only file that knows yaml-cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/settings.hpp"

namespace sallyport::app {

struct Problem {
  std::string file;
  int line = 0;    // from 1; 0 when the file as a whole is at fault
  int column = 0;  // from 1
  std::string message;  // what is wrong, what is expected
  // "FILE:LINE:COLUMN: message"
  [[nodiscard]] std::string text() const;
  friend auto operator<=>(const Problem&, const Problem&) = default;
};

struct Loaded {
  std::optional<Settings> settings;  // only when there are no problems
  std::vector<Problem> problems;     // every one of this run, in the order of file, line, column
  std::vector<Problem> warnings;     // memory-only store, a certificate that expires soon, a public route below a protected one …
};

// Reads the file, the policies it names, and every key, certificate and secret file. `environment` resolves ${NAME}.
using Environment = std::optional<std::string> (*)(const std::string& name);
[[nodiscard]] Loaded load_config(const std::string& path, Environment environment);
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

// Every key that the loader knows, as a dotted path ("listeners[].tls.min_version"), sorted: compared with config/gateway.reference.yaml.
[[nodiscard]] std::vector<std::string> known_keys();

}  // namespace sallyport::app
