#include "upstream/connection_pool.hpp"

#include <utility>

namespace sallyport::upstream {

std::unique_ptr<transport::Stream> ConnectionPool::take() {
  while (!idle_.empty()) {
    std::unique_ptr<transport::Stream> stream = std::move(idle_.back().stream);
    idle_.pop_back();
    if (stream->is_open() && stream->is_silent()) return stream;
  }
  return nullptr;
}

void ConnectionPool::give(std::unique_ptr<transport::Stream> stream) {
  stream->never_expire();
  if (idle_.size() >= kIdleMax) idle_.erase(idle_.begin());
  const MonotonicTime until = std::chrono::steady_clock::now() + idle_timeout_;
  idle_.push_back({std::move(stream), until});
  if (!oldest_.armed()) oldest_.expire_at(until);
}

void ConnectionPool::clear() {
  oldest_.disarm();
  idle_.clear();
}

void ConnectionPool::on_expiry(void* pool) {
  auto& self = *static_cast<ConnectionPool*>(pool);
  const MonotonicTime now = std::chrono::steady_clock::now();
  const auto first_young = std::find_if(self.idle_.begin(), self.idle_.end(), [now](const Idle& idle) { return idle.until > now; });
  self.idle_.erase(self.idle_.begin(), first_young);
  if (!self.idle_.empty()) self.oldest_.expire_at(self.idle_.front().until);
}

}  // namespace sallyport::upstream
