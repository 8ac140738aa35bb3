// Lets the overload guard look at this process's memory now and then.
#pragma once

#include <chrono>

#include "base/overload.hpp"
#include "base/task.hpp"
#include "base/timer.hpp"
#include "observe/log.hpp"

namespace sallyport::app {

// Belongs to the control thread. Log events: overload_begins (warning) when new requests begin to be refused because of memory, and
// overload_ends (info).
class MemoryWatch {
 public:
  MemoryWatch(boost::asio::io_context& control, Overload& overload, const observe::Log& log)
      : timer_(control), overload_(overload), log_(log) {}

  // Goes on until stop(). Spawned by its owner, who joins it.
  [[nodiscard]] Task<void> run();
  void stop();

 private:
  void tell();

  Timer timer_;
  Overload& overload_;
  const observe::Log& log_;
  bool was_over_ = false;
  bool is_stopped_ = false;
};

}  // namespace sallyport::app
