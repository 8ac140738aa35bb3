// How many descriptors this process may have, and the kernel's table of them.
#pragma once

#include <cstdint>

namespace sallyport::listen {

// Raises the soft limit to the hard one, and has the kernel make room for `count` descriptors now, or for as many as the limit allows; it
// takes 8 bytes for each. It doubles a table that is full, and while a process has threads whoever opens the descriptor that did not fit
// waits until every processor has passed a quiet point: 10 to 20 ms in which a worker serves nobody. To be called before the workers run.
// What the kernel refuses stays as it was.
void provide_descriptors(std::uint64_t count) noexcept;

}  // namespace sallyport::listen
