// Whether others get their turn while one connection is busy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace sallyport::testing {

// A handler of the io_context that goes to the back of the queue again and again. Between two of its turns whoever is busy had the thread
// to itself: widest() is how far `progress` moved meanwhile at most.
class Bystander {
 public:
  Bystander(boost::asio::io_context& context, std::function<std::size_t()> progress) : context_(context), progress_(std::move(progress)) {
    line_up();
  }
  // Before the io_context runs on without it.
  void stop() { stopped_ = true; }
  [[nodiscard]] std::size_t widest() const { return std::max(widest_, progress_() - last_); }

 private:
  void line_up() {
    boost::asio::post(context_, [this] {
      if (stopped_) return;
      const std::size_t now = progress_();
      widest_ = std::max(widest_, now - last_);
      last_ = now;
      line_up();
    });
  }

  boost::asio::io_context& context_;
  std::function<std::size_t()> progress_;
  std::size_t last_ = 0;
  std::size_t widest_ = 0;
  bool stopped_ = false;
};

}  // namespace sallyport::testing
