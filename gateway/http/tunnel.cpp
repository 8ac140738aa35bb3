#include "http/tunnel.hpp"

#include <algorithm>
#include <array>

#include "base/task_group.hpp"

namespace sallyport::http {

using transport::IoResult;
using transport::IoStatus;

namespace {

// Lent to whoever reads at the moment; never across a wait.
std::span<char> scratch() {
  thread_local std::array<char, Tunnel::kReadBytes> bytes;
  return bytes;
}

struct Farewell {
  std::uint16_t code = 0;  // 0: nothing is said
  std::string_view reason;
};

Farewell farewell(TunnelEnd end) noexcept {
  switch (end) {
    case TunnelEnd::caller_ended: return {4401, "the caller's session or token has ended"};
    case TunnelEnd::going_away: return {1001, "the gateway is going away"};
    case TunnelEnd::idle: return {1000, "nothing was sent for too long"};
    case TunnelEnd::client_framing: return {1002, "a frame is malformed"};
    case TunnelEnd::closed:
    case TunnelEnd::client_gone:
    case TunnelEnd::upstream_gone:
    case TunnelEnd::upstream_framing: return {};
  }
  return {};
}

}  // namespace

std::string_view name(TunnelEnd end) noexcept {
  switch (end) {
    case TunnelEnd::closed: return "closed";
    case TunnelEnd::client_gone: return "client_gone";
    case TunnelEnd::upstream_gone: return "upstream_gone";
    case TunnelEnd::caller_ended: return "caller_ended";
    case TunnelEnd::going_away: return "going_away";
    case TunnelEnd::idle: return "idle";
    case TunnelEnd::client_framing: return "client_framing";
    case TunnelEnd::upstream_framing: return "upstream_framing";
  }
  return "unknown";
}

void Tunnels::drain(MonotonicTime deadline) {
  // A deadline in the past fires at the next tick.
  drain_deadline_.expire_at(deadline - kFarewell);
}

void Tunnels::end_all() noexcept {
  for (Tunnel* tunnel = first_; tunnel != nullptr; tunnel = tunnel->next_) tunnel->end(TunnelEnd::going_away);
}

Tunnel::Tunnel(Tunnels& tunnels, Ends ends, Early early, std::chrono::milliseconds idle_timeout)
    : tunnels_(tunnels),
      client_(ends.client),
      upstream_(ends.upstream),
      idle_timeout_(idle_timeout),
      idle_(
          ends.client.wheel(), [](void* self) { static_cast<Tunnel*>(self)->end(TunnelEnd::idle); }, this),
      upward_{.from = ends.client,
              .to = ends.upstream,
              .borders = FrameBorders(FrameBorders::Sender::client),
              .waiting = {},
              .counted = &tunnels.metrics_.tunnel_bytes_upstream,
              .framing_fault = TunnelEnd::client_framing,
              .from_gone = TunnelEnd::client_gone,
              .to_gone = TunnelEnd::upstream_gone},
      downward_{.from = ends.upstream,
                .to = ends.client,
                .borders = FrameBorders(FrameBorders::Sender::server),
                .waiting = {},
                .counted = &tunnels.metrics_.tunnel_bytes_downstream,
                .framing_fault = TunnelEnd::upstream_framing,
                .from_gone = TunnelEnd::upstream_gone,
                .to_gone = TunnelEnd::client_gone} {
  for (auto [way, bytes] : {std::pair{&upward_, early.of_client}, std::pair{&downward_, early.of_upstream}}) {
    if (!bytes.empty() && take_read(*way, bytes)) way->waiting.append(bytes);
  }
  // Last: whose constructor throws has no destructor to leave the list again.
  next_ = tunnels_.first_;
  if (next_ != nullptr) next_->previous_ = this;
  tunnels_.first_ = this;
  ++tunnels_.size_;
  ++tunnels_.metrics_.tunnels;
}

Tunnel::~Tunnel() {
  if (previous_ != nullptr) previous_->next_ = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (tunnels_.first_ == this) tunnels_.first_ = next_;
  --tunnels_.size_;
  --tunnels_.metrics_.tunnels;
}

void Tunnel::touch() { idle_.expire_after(upward_.ended || downward_.ended ? std::min(idle_timeout_, kHalfClosedIdle) : idle_timeout_); }

bool Tunnel::is_turn_over(std::size_t bytes) noexcept {
  turn_bytes_ += std::max(bytes, kStepBytes);
  if (turn_bytes_ < kTurnBytes) return false;
  turn_bytes_ = 0;
  return true;
}

void Tunnel::end(TunnelEnd why) noexcept {
  if (over_) return;
  over_ = true;
  end_ = why;
  idle_.disarm();
  // Whoever waits comes back at the next tick and sees it.
  try {
    client_.expire_after(std::chrono::milliseconds(0));
    upstream_.expire_after(std::chrono::milliseconds(0));
  } catch (...) {
    cut(why);  // without a last word, then
  }
}

// What the deadline of a stream that was aborted would do is nothing.
void Tunnel::cut(TunnelEnd why) noexcept {
  if (!over_) end_ = why;
  over_ = true;
  cut_ = true;
  idle_.disarm();
  upstream_.abort();
  client_.abort();
}

bool Tunnel::take_read(Way& way, std::string_view bytes) {
  touch();
  way.bytes += bytes.size();
  *way.counted += bytes.size();
  if (way.borders.take(bytes)) return true;
  // What is broken goes no further, and neither does what came with it.
  if (way.framing_fault == TunnelEnd::upstream_framing) {
    cut(way.framing_fault);
  } else {
    end(way.framing_fault);
  }
  return false;
}

void Tunnel::end_way(Way& way, IoStatus status) noexcept {
  if (over_ || status == IoStatus::ok || status == IoStatus::would_block) return;
  if (status != IoStatus::closed) return cut(way.from_gone);
  way.ended = true;
  way.to.shutdown_write();
  touch();
}

Task<bool> Tunnel::send_waiting(Way& way) {
  const IoResult written = co_await way.to.write_all(way.waiting.view());
  way.waiting.consume(written.bytes);
  if (over_) co_return false;
  if (!written.ok()) {
    cut(way.to_gone);
    co_return false;
  }
  touch();
  way.waiting.release();
  co_return true;
}

bool Tunnel::pass_on(Way& way, std::string_view bytes) {
  while (!bytes.empty()) {
    const IoResult written = way.to.try_write(bytes);  // TLS takes a record at a time
    if (written.status == IoStatus::would_block) break;
    if (!written.ok()) {
      cut(way.to_gone);
      return false;
    }
    bytes.remove_prefix(written.bytes);
  }
  way.waiting.append(bytes);
  return true;
}

Task<void> Tunnel::pump(Way& way) {
  while (!over_) {
    if (!way.waiting.empty()) {
      const bool sent = co_await send_waiting(way);
      if (!sent) co_return;
    }
    const std::span<char> room = scratch();
    const IoResult read = way.from.try_read(room);
    if (read.status == IoStatus::would_block) {
      if (auto wait = way.from.until_readable()) co_await std::move(*wait);
      const IoStatus waited = way.from.condition();
      if (waited != IoStatus::ok) end_way(way, waited);
      continue;
    }
    if (!read.ok()) {
      end_way(way, read.status);
      co_return;
    }
    const std::string_view bytes(room.data(), read.bytes);
    if (!take_read(way, bytes)) co_return;
    if (!pass_on(way, bytes)) co_return;
    if (is_turn_over(read.bytes)) co_await yield_turn(way.from.executor());
  }
}

Task<TunnelEnd> Tunnel::run() {
  touch();
  TaskGroup upward(static_cast<boost::asio::io_context&>(client_.executor().context()),
                   [this](std::string_view) { cut(TunnelEnd::client_gone); });
  if (over_) idle_.disarm();  // the early bytes were no frames
  upward.spawn(pump(upward_));
  std::exception_ptr thrown;
  try {
    co_await pump(downward_);
  } catch (...) {
    thrown = std::current_exception();
    cut(TunnelEnd::upstream_gone);
  }
  co_await upward.join();
  idle_.disarm();
  if (thrown) std::rethrow_exception(thrown);
  if (over_ && !cut_) co_await say_goodbye();
  upstream_.abort();
  client_.abort();
  co_return end_;
}

// Sends the rest of the frame that is on its way to the client, and reads no more of the upstream than that.
Task<bool> Tunnel::reach_border() {
  for (;;) {
    if (!downward_.waiting.empty()) {
      const IoResult written = co_await client_.write_all(downward_.waiting.view());
      if (!written.ok()) co_return false;
      downward_.waiting.clear();
    }
    const std::uint64_t missing = downward_.borders.remaining();
    if (missing == 0) co_return true;
    if (downward_.ended) co_return false;
    const std::span<char> room = downward_.waiting.prepare(std::min<std::uint64_t>(missing, kReadBytes / 4));
    const std::span<char> frame = room.first(std::min<std::size_t>(room.size(), missing));
    const IoResult read = co_await upstream_.read_some(frame);
    if (!read.ok()) co_return false;
    downward_.waiting.commit(read.bytes);
    downward_.bytes += read.bytes;
    *downward_.counted += read.bytes;
    if (!downward_.borders.take({frame.data(), read.bytes})) co_return false;
  }
}

// A close with unread input would send a reset, which overtakes the last word.
Task<void> Tunnel::linger() {
  client_.shutdown_write();
  client_.expire_after(kLingerTime);
  std::size_t dropped = 0;
  ByteBuffer buffer;
  while (dropped < kLingerBytesMax) {
    buffer.clear();
    const std::span<char> room = buffer.prepare(kStepBytes);
    const IoResult read = co_await client_.read_some(room);
    if (!read.ok()) break;
    dropped += read.bytes;
  }
}

Task<void> Tunnel::say_goodbye() {
  client_.expire_after(kGoodbyeTime);
  upstream_.expire_after(kGoodbyeTime);
  const Farewell last = farewell(end_);
  if (last.code != 0 && !downward_.ended) {
    const bool at_border = co_await reach_border();
    upstream_.abort();
    if (at_border) {
      // Who closes is told nothing more: a close frame has said it.
      if (!downward_.borders.closing()) {
        const std::string frame = close_frame(last.code, last.reason);
        const IoResult written = co_await client_.write_all(frame);
        if (!written.ok()) co_return;
      }
      co_await linger();
    }
  }
}

}  // namespace sallyport::http
