// How often this process compared in constant time, and how much.
#pragma once

#include <cstddef>

namespace sallyport::testing {

struct ConstantTimeComparisons {
  std::size_t count = 0;
  std::size_t last_length = 0;
};
[[nodiscard]] ConstantTimeComparisons constant_time_comparisons() noexcept;

}  // namespace sallyport::testing
