#include "app/memory_watch.hpp"

#include <fmt/format.h>

namespace sallyport::app {

Task<void> MemoryWatch::run() {
  while (!is_stopped_) {
    overload_.look();
    tell();
    timer_.expires_after(Overload::kLookInterval);
    auto waited = co_await timer_.async_wait(as_result);
    static_cast<void>(waited);
  }
}

void MemoryWatch::stop() {
  is_stopped_ = true;
  timer_.cancel();
}

void MemoryWatch::tell() {
  const bool is_over = overload_.is_over_memory();
  if (is_over == was_over_) return;
  was_over_ = is_over;
  log_.event(is_over ? observe::Level::warning : observe::Level::info, is_over ? "overload_begins" : "overload_ends",
             fmt::format("{} MiB of memory are in use", overload_.resident_bytes() >> 20));
}

}  // namespace sallyport::app
