// What is wrong with a configuration, and where.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/problem.hpp"

namespace sallyport::app {

// A file of the configuration.
struct Source {
  std::string name;    // as messages show it
  std::string folder;  // that relative paths in it are relative to
};

struct Place {
  const Source* source = nullptr;
  int line = 0;    // from 1
  int column = 0;  // from 1, in bytes
};
[[nodiscard]] std::string text(const Place& place);  // "policies/demo.yaml:12:5"

// Collects; every one of a run is wanted, not the first alone.
class Problems {
 public:
  void error(const Place& place, std::string message);
  void warning(const Place& place, std::string message);
  [[nodiscard]] bool has_errors() const noexcept { return !errors_.empty(); }
  [[nodiscard]] std::size_t error_count() const noexcept { return errors_.size(); }

  // Notes a file that was read, or would have been; or a folder that was looked through, ending in '/'.
  void was_read(std::string path) { files_.push_back(std::move(path)); }
  // Each once.
  [[nodiscard]] std::vector<std::string> take_files();

  // In the order of file, line and column, each once.
  [[nodiscard]] std::vector<Problem> take_errors();
  [[nodiscard]] std::vector<Problem> take_warnings();

 private:
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
  std::vector<std::string> files_;
};

// The one of `candidates` that `word` was probably meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace sallyport::app
