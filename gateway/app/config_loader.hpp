// YAML -> Settings, strictly (DESIGN §2.2, §2.3, §3.5 "Configuration"; hazards P).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/problem.hpp"
#include "app/settings.hpp"
#include "app/yaml_reader.hpp"

namespace sallyport::app {

struct Loaded {
  std::optional<Settings> settings;  // only when there are no problems
  std::vector<Problem> problems;     // every one of this run, in the order of file, line, column
  std::vector<ReadPath> files;       // everything that was read or should have been
  std::vector<Problem> warnings;     // memory-only store, a certificate that expires soon, a public route below a protected one …
};

// Reads the file, the policies it names, and every key, certificate and secret file. `environment` resolves ${NAME}.
[[nodiscard]] Loaded load_config(const std::string& path, Environment environment);
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

// Every key that the loader knows, as a dotted path ("listeners[].tls.min_version"), sorted: compared with config/gateway.reference.yaml.
[[nodiscard]] std::vector<std::string> known_keys();

}  // namespace sallyport::app
