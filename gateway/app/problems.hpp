// What is wrong with a configuration, and where.
#pragma once

#include <compare>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>
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

// A file that was read, or would have been; or a folder that was looked through for names that fit a pattern, as fnmatch(3) has them: then
// `path` ends in '/'.
struct ReadPath {
  template <std::convertible_to<std::string> Path>
  ReadPath(Path&& path, std::string fitting = {})  // NOLINT(google-explicit-constructor): most are just that
      : path(std::forward<Path>(path)), fitting(std::move(fitting)) {}
  friend auto operator<=>(const ReadPath&, const ReadPath&) = default;

  std::string path;
  std::string fitting;  // empty: the path alone
};

// Collects; every one of a run is wanted, not the first alone.
class Problems {
 public:
  void error(const Place& place, std::string message);
  void warning(const Place& place, std::string message);
  [[nodiscard]] bool has_errors() const noexcept { return !errors_.empty(); }
  [[nodiscard]] std::size_t error_count() const noexcept { return errors_.size(); }

  void was_read(ReadPath path) { files_.push_back(std::move(path)); }
  // Each once.
  [[nodiscard]] std::vector<ReadPath> take_files();

  // In the order of file, line and column, each once.
  [[nodiscard]] std::vector<Problem> take_errors();
  [[nodiscard]] std::vector<Problem> take_warnings();

 private:
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
  std::vector<ReadPath> files_;
};

// The one of `candidates` that `word` was probably meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace sallyport::app
