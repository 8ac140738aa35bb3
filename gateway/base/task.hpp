// The coroutine type of the code base: Asio's awaitable, bound to io_context's own executor, so that no
// type-erased executor stands on the road of a request.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sallyport {

using Executor = boost::asio::io_context::executor_type;

template <class T>
using Task = boost::asio::awaitable<T, Executor>;

// The completion token of every Asio call: errors come back as values, `auto result = co_await f(..., as_result);`.
// Name the tuple first and bind its parts on the next line (STYLE rule 5c).
inline constexpr boost::asio::as_tuple_t<boost::asio::use_awaitable_t<Executor>> as_result{};

// Lets whatever else is ready go first. For loops that may never have to wait: a fast peer must not keep a worker to itself.
[[nodiscard]] inline Task<void> yield_turn(Executor executor) {
  const boost::asio::use_awaitable_t<Executor> token;
  co_await boost::asio::post(executor, token);
}

}  // namespace sallyport
