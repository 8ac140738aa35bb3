// Every key of the configuration and the policies, in one table: what is known, and what a later version will serve.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sallyport::app {

enum class Support : unsigned char {
  served,
  checked,  // its form is checked; it has no effect yet, which takes nothing from anyone's safety: a warning says so
  refused,  // it would promise what this version does not do: an error
};

struct Key {
  std::string_view path;  // "listeners[].tls.min_version"; what stands in policy files begins with "policies[]."
  Support support = Support::served;
  std::string_view note = {};  // of `checked`: the warning; empty when the key above already says it
};

// The keys right below `path` ("" for the top of the configuration, "listeners[]" for one listener), in the order of the table.
[[nodiscard]] std::vector<const Key*> keys_below(std::string_view path);

// Whether `value` of a known key is one that only a later version serves.
[[nodiscard]] bool is_later_value(std::string_view path, std::string_view value);

}  // namespace sallyport::app
