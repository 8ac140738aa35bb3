// Typed values out of nodes. Each function adds a problem at the node when it is not what is asked for, and then returns nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/problems.hpp"
#include "app/yaml_reader.hpp"
#include "base/json.hpp"
#include "base/network.hpp"

namespace sallyport::app {

// One mapping of the configuration. Unknown keys, those that this version refuses, and blank values are reported; each key is asked for
// by name, and the table in config_keys.cpp must know it.
class MapReader {
 public:
  // `path` as in config_keys.hpp. A node that is no mapping is reported, and has no keys.
  MapReader(Problems& problems, const Node& node, std::string path);

  // nullptr: absent, blank or refused (the latter two are reported).
  [[nodiscard]] const Node* find(std::string_view key) const;
  // The same, and absence is reported at the mapping. `expected` completes "…is missing; expected".
  [[nodiscard]] const Node* require(std::string_view key, std::string_view expected) const;
  // Where the key itself stands; the mapping's place when it is absent.
  [[nodiscard]] Place place_of(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const;

  [[nodiscard]] bool is_map() const noexcept { return is_map_; }
  [[nodiscard]] const Node& node() const noexcept { return node_; }
  [[nodiscard]] std::string path_of(std::string_view key) const;

 private:
  void check_keys() const;

  Problems& problems_;
  const Node& node_;
  std::string path_;
  bool is_map_;
};

// ": " and why a value was refused; nothing when it came from a variable, because reasons quote what they refuse.
[[nodiscard]] std::string because(const Node& node, const Error& error);

// Text that YAML 1.1 or 1.2 would read as something else (`yes`, `0123`, `1e3`, `true`) needs quotes. Control bytes are refused.
[[nodiscard]] std::optional<std::string> read_text(Problems& problems, const Node& node, std::string_view expected = "text");
// A name for logs, metrics and references: a letter or digit, then letters, digits, `.`, `_` and `-`; at most 64.
[[nodiscard]] std::optional<std::string> read_name(Problems& problems, const Node& node);
[[nodiscard]] std::optional<bool> read_boolean(Problems& problems, const Node& node);
[[nodiscard]] std::optional<std::uint64_t> read_integer(Problems& problems, const Node& node, std::uint64_t least, std::uint64_t most);
// `250ms 5s 15m 24h 7d`: a whole number and one unit.
struct DurationRange {
  std::chrono::milliseconds least;
  std::chrono::milliseconds most;
};
inline constexpr DurationRange kPhaseRange{std::chrono::milliseconds(10), std::chrono::hours(24)};  // of what `timeouts` name
[[nodiscard]] std::optional<Network> read_network(Problems& problems, const Node& node);            // an address, or ADDRESS/BITS
[[nodiscard]] std::optional<std::chrono::milliseconds> read_duration(Problems& problems, const Node& node, const DurationRange& range);
// `512B 16KiB 10MiB 1GiB`: a whole number and a unit, always.
[[nodiscard]] std::optional<std::uint64_t> read_size(Problems& problems, const Node& node, std::uint64_t least, std::uint64_t most);
// The elements of a list that is not empty; an element that is blank is reported and left out.
[[nodiscard]] std::vector<const Node*> read_list(Problems& problems, const Node& node, std::string_view expected);
// A JSON scalar as YAML spells it: true, false, a JSON number without exponent, or text. Quoted is text always.
[[nodiscard]] std::optional<Json> read_json_scalar(Problems& problems, const Node& node);

// One of some words. `path` finds the values that only a later version serves.
template <class T>
using Words = std::vector<std::pair<std::string_view, T>>;
[[nodiscard]] std::optional<std::size_t> read_word(Problems& problems, const Node& node, std::string_view path,
                                                   const std::vector<std::string_view>& words);
template <class T>
[[nodiscard]] std::optional<T> read_keyword(Problems& problems, const Node& node, std::string_view path, const Words<T>& words) {
  std::vector<std::string_view> spelled;
  for (const auto& word : words) spelled.push_back(word.first);
  const std::optional<std::size_t> found = read_word(problems, node, path, spelled);
  if (!found) return std::nullopt;
  return words[*found].second;
}

// `15m` as read_duration reads it; nullopt for anything else. For the command line.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace sallyport::app
