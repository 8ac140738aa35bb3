#include "base/task_group.hpp"

#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>

namespace sallyport {
namespace {

std::string what(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

TaskGroup::TaskGroup(boost::asio::io_context& context, OnException on_exception)
    : context_(context), on_exception_(std::move(on_exception)), idle_(context.get_executor()) {
  // Never by time: the last task's end cancels the waits. Set once, because setting it again would wake other joiners.
  idle_.expires_at(std::chrono::steady_clock::time_point::max());
}

void TaskGroup::spawn(Task<void> task) {
  ++running_;
  boost::asio::co_spawn(context_.get_executor(), std::move(task), [this](const std::exception_ptr& exception) {
    if (exception) on_exception_(what(exception));
    if (--running_ == 0) idle_.cancel();
  });
}

Task<void> TaskGroup::join() {
  while (running_ > 0) {
    auto woken = co_await idle_.async_wait(as_result);
    (void)woken;  // cancelled by the last task, or by whoever cancels the join itself: the count decides
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) co_return;
  }
}

}  // namespace sallyport
