// What a thread allocates, for tests of code that must not. Link a file that replaces operator new (unit/observe/allocations.cpp).
#pragma once

#include <cstddef>

namespace sallyport::test {

// Calls of operator new by this thread so far.
[[nodiscard]] std::size_t allocations() noexcept;

}  // namespace sallyport::test
