// A property that every input must have: a fuzz target that only fails to crash finds little.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sallyport {

inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property broken: %s\n", property);
  std::abort();
}

}  // namespace sallyport
