// Text -> a tree of nodes that remember where they stood. Far less than YAML on purpose: no anchors, aliases, tags, tabs,
// byte order marks or second documents; ${NAME} in values is replaced here, so that no later step sees the difference.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/problems.hpp"

namespace sallyport::app {

// The value of an environment variable; nullopt when it is not set.
using Environment = std::optional<std::string> (*)(const std::string& name);

struct Member;

struct Node {
  enum class Kind : unsigned char {
    blank,  // nothing, `~` or `null`
    scalar,
    sequence,
    map,
    refused,  // at fault, and already reported: whoever reads it stays silent
  };
  Kind kind = Kind::blank;
  Place at;
  std::string text;     // of a scalar, with ${NAME} replaced
  std::string written;  // of a scalar, as it stood: what messages show, because a variable's value may be a secret
  bool quoted = false;
  bool expanded = false;  // ${NAME} was in it
  std::vector<Node> items;
  std::vector<Member> members;  // names are unique
};

struct Member {
  Node key;
  Node value;
};

// "a list", "nothing": for messages.
[[nodiscard]] std::string_view kind_of(const Node& node);
// What a message may show of a scalar: as it stood in the file, never a variable's value; long ones are cut.
[[nodiscard]] std::string shown(const Node& node);

struct YamlLimits {
  std::size_t bytes_max = 1024 * 1024;
  std::size_t depth_max = 32;
  std::size_t nodes_max = 50'000;
};

// Reads the one document of `text`, which came from `source` (it outlives the tree). Everything at fault is added to `problems`; a syntax
// error ends the reading, anything else does not. nullopt when there is no tree to go on with.
[[nodiscard]] std::optional<Node> read_yaml(std::string_view text, const Source& source, Environment environment, Problems& problems,
                                            const YamlLimits& limits = {});

}  // namespace sallyport::app
