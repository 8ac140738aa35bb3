// The tasks that one owner spawned on one executor: none outlives the owner unnoticed.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/task.hpp"

namespace sallyport {

// Belongs to the thread of its io_context. A task that throws is reported to `on_exception` and is over; the process lives.
class TaskGroup {
 public:
  using OnException = std::function<void(std::string_view what)>;

  TaskGroup(boost::asio::io_context& context, OnException on_exception);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // The coroutine must own what it uses (take values or owning pointers). Called on the context's thread, it runs up to its first wait
  // before spawn() returns.
  void spawn(Task<void> task);

  [[nodiscard]] std::size_t size() const noexcept { return running_; }

  // Returns when no task runs. Does not cancel anything: the owner tells its tasks to stop first.
  [[nodiscard]] Task<void> join();

 private:
  boost::asio::io_context& context_;
  OnException on_exception_;
  std::size_t running_ = 0;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> idle_;
};

}  // namespace sallyport
