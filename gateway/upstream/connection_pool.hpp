// Kept connections to one server.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "transport/deadline_wheel.hpp"
#include "transport/stream.hpp"

namespace sallyport::upstream {

// Belongs to one worker. Last in, first out, so that a quiet hour lets the surplus grow old and go. An idle connection
// holds its socket and nothing else: the buffers belong to the exchanges (see workspace.hpp).
class ConnectionPool {
 public:
  static constexpr std::size_t kIdleMax = 256;

  ConnectionPool(transport::DeadlineWheel& wheel, std::chrono::milliseconds idle_timeout)
      : idle_timeout_(idle_timeout), oldest_(wheel, &ConnectionPool::on_expiry, this) {}
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // A connection that is as silent as it must be: one with bytes, an end or an error waiting is thrown away, because whatever
  // comes before the request was sent can be no answer to it (response smuggling, K28). nullptr: none is left.
  [[nodiscard]] std::unique_ptr<transport::Stream> take();
  // Keeps it until it is taken or idle_timeout passed. The last exchange on it must have ended complete and clean.
  // Over kIdleMax the oldest goes.
  void give(std::unique_ptr<transport::Stream> stream);

  [[nodiscard]] std::size_t size() const noexcept { return idle_.size(); }
  void clear();

 private:
  struct Idle {
    std::unique_ptr<transport::Stream> stream;
    MonotonicTime until;
  };
  static void on_expiry(void* pool);

  std::chrono::milliseconds idle_timeout_;
  std::vector<Idle> idle_;      // the longest idle in front: `until` grows
  transport::Deadline oldest_;  // of idle_.front(), or of one that was taken since
};

}  // namespace sallyport::upstream
