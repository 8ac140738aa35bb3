// Runs every stage and its floor a fixed number of times under valgrind's callgrind, which counts instructions; load-tests/budgets.py
// starts it and reads the counts. Each is a part of callgrind's output, named "ITERATIONS STAGE/stage" or "ITERATIONS STAGE/floor".
#include <alloca.h>
#include <valgrind/callgrind.h>

#include <cstdint>

#include "stage.hpp"

namespace {

constexpr int kWarmUp = 20;       // allocations, lazy initialisation
constexpr int kIterations = 100;  // the same work each time: more would not be more exact

void count(const std::string& name, const sallyport::micro::Body& body) {
  const std::string part = std::to_string(kIterations) + " " + name;
  for (int i = 0; i < kWarmUp; ++i) body();
  CALLGRIND_ZERO_STATS;
  CALLGRIND_TOGGLE_COLLECT;
  for (int i = 0; i < kIterations; ++i) body();
  CALLGRIND_TOGGLE_COLLECT;
  CALLGRIND_DUMP_STATS_AT(part.c_str());
}

[[gnu::noinline]] void count_all() {
  for (const sallyport::micro::Stage& stage : sallyport::micro::stages()) {
    count(stage.name + "/stage", stage.stage());
    count(stage.name + "/floor", stage.floor());
  }
}

}  // namespace

int main() {
  // Where the stack lies depends on the environment's length, and libc's memcmp takes another way beside the end of a page: each run
  // begins at the start of one.
  constexpr std::uintptr_t kPageBytes = 4096;
  sallyport::micro::keep(alloca(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) % kPageBytes));
  count_all();
}
