// The request's way: connections, sending, and what may be tried again.
#include "upstream/forwarding.hpp"

#include <utility>

namespace sallyport::upstream {

using http::BodyState;
using transport::IoResult;
using transport::IoStatus;

Forwarding::Forwarding(Upstream::Impl& upstream, const identity::OutboundRequest& request, http::Exchange& exchange,
                       const AnswerPolicy& policy)
    : upstream_(upstream),
      request_(request),
      exchange_(exchange),
      policy_(policy),
      work_(upstream.workspaces.take()),
      retries_left_(upstream.settings.retries) {
  server_ = upstream_.balancer.pick().value_or(0);
  upstream_.balancer.began(server_);
  result_.server = upstream_.settings.servers[server_].authority;
}

Forwarding::~Forwarding() {
  upstream_.balancer.ended(server_);
  upstream_.workspaces.give(std::move(work_));
}

void Forwarding::choose(std::size_t server) {
  upstream_.balancer.ended(server_);
  server_ = server;
  upstream_.balancer.began(server_);
  result_.server = upstream_.settings.servers[server_].authority;
}

void Forwarding::fail(ForwardStatus status, std::string_view detail) {
  if (stream_) stream_->abort();
  stream_.reset();
  result_.detail = detail;
  result_.status = status;
  if (exchange_.started()) {
    exchange_.abort();  // an answer that was cut must not look complete (O04)
    result_.status = ForwardStatus::answer_cut;
  }
}

void Forwarding::fail_body(BodyState state) {
  result_.body = state;
  if (state == BodyState::gone) return fail(ForwardStatus::client_gone, "the client went away within its body");
  fail(ForwardStatus::body_refused, "the client's body was refused");
}

void Forwarding::append_body(std::string_view piece) {
  ByteBuffer& output = work_->output;
  if (request_.framing() != http::Framing::chunked) return output.append(piece);
  output.append_hex(piece.size());
  output.append("\r\n");
  output.append(piece);
  output.append("\r\n");
}

namespace {
constexpr std::string_view kLastChunk = "0\r\n\r\n";
}  // namespace

Progress Forwarding::gather_first_write() {
  first_write_ = request_.head();
  if (request_.framing() == http::Framing::none) return Progress::done;
  body_ = BodyState::more;
  ByteBuffer& output = work_->output;
  output.append(request_.head());
  while (body_ == BodyState::more && output.size() < Workspace::kReadBytesMax) {
    const http::BodyPiece piece = exchange_.buffered_body();
    body_ = piece.state;
    if (body_ != BodyState::more) break;
    if (piece.bytes.empty()) break;
    append_body(piece.bytes);
  }
  if (body_ == BodyState::end) {
    if (request_.framing() == http::Framing::chunked) output.append(kLastChunk);
  } else if (body_ != BodyState::more) {
    fail_body(body_);
    return Progress::failed;
  }
  first_write_ = output.view();
  return Progress::done;
}

bool Forwarding::take_kept_connection() {
  stream_ = upstream_.servers[server_]->pool.take();
  is_reused_ = stream_ != nullptr;
  return is_reused_;
}

Task<Progress> Forwarding::connect() {
  for (;;) {
    Result<std::unique_ptr<transport::Stream>> connected =
        co_await upstream_.servers[server_]->connector.connect(upstream_.settings.connect_timeout);
    if (connected) {
      stream_ = std::move(*connected);
      is_reused_ = false;
      co_return Progress::done;
    }
    // Nothing was sent, so the next server may be asked whatever the method is.
    tried_.resize(upstream_.balancer.size());
    tried_[server_] = true;
    const std::optional<std::size_t> next = upstream_.balancer.pick(tried_);
    if (!next) {
      const bool timed_out = connected.error().fault == Fault::timed_out;
      fail(timed_out ? ForwardStatus::timed_out : ForwardStatus::connect_failed, upstream_.keep_detail(connected.error()));
      co_return Progress::failed;
    }
    choose(*next);
    if (take_kept_connection()) co_return Progress::done;
  }
}

Progress Forwarding::send_first_write() {
  began_ = std::chrono::steady_clock::now();
  pending_ = first_write_;
  sent_bytes_ = 0;
  const IoResult written = stream_->try_write(pending_);
  if (written.ok()) {
    pending_.remove_prefix(written.bytes);
    sent_bytes_ += written.bytes;
    if (!pending_.empty() || body_ == BodyState::more) return Progress::more;
    await_answer();
    return Progress::done;
  }
  return written.status == IoStatus::would_block ? Progress::more : Progress::lost;
}

void Forwarding::await_answer() { stream_->expire_after(upstream_.settings.response_timeout); }

Progress Forwarding::stage(const http::BodyPiece& piece) {
  replayable_ = false;
  body_ = piece.state;
  const bool is_chunked = request_.framing() == http::Framing::chunked;
  switch (body_) {
    case BodyState::more:
      pending_ = piece.bytes;
      if (is_chunked) {
        work_->output.clear();
        append_body(piece.bytes);
        pending_ = work_->output.view();
      }
      return Progress::done;
    case BodyState::end: pending_ = is_chunked ? kLastChunk : std::string_view(); return Progress::done;
    case BodyState::malformed:
    case BodyState::too_large:
    case BodyState::timed_out:
    case BodyState::gone: fail_body(body_); return Progress::failed;
  }
  return Progress::failed;
}

Progress Forwarding::read_early_answer() {
  for (;;) {
    const std::span<char> room = head_room();
    const Progress progress = take_head_bytes(stream_->try_read(room));
    if (progress == Progress::more && stream_->has_buffered_input()) continue;
    is_early_ = has_answer_;
    return progress;
  }
}

// An upstream may answer, and stop reading, before it has the whole body: waiting for room alone would then be a deadlock.
Task<Progress> Forwarding::send_pending() {
  while (!pending_.empty()) {
    const IoResult written = stream_->try_write(pending_);
    if (written.ok()) {
      pending_.remove_prefix(written.bytes);
      sent_bytes_ += written.bytes;
      continue;
    }
    if (written.status != IoStatus::would_block) co_return take_head_bytes(written);
    const Progress early = read_early_answer();
    if (early != Progress::more) co_return early;
    stream_->expire_after(upstream_.settings.response_timeout);
    const IoStatus waited = co_await stream_->wait_for_either();
    if (waited != IoStatus::ok) co_return take_head_bytes({waited});
  }
  co_return Progress::done;
}

Task<Progress> Forwarding::upload() {
  for (;;) {
    const Progress sent = co_await send_pending();
    if (sent != Progress::done || has_answer_) co_return sent;
    if (body_ == BodyState::end) {
      await_answer();
      co_return Progress::done;
    }
    if (!stream_->is_silent()) {
      const Progress early = read_early_answer();
      if (early != Progress::more) co_return early;
    }
    stream_->never_expire();  // the client's pace is the exchange's affair
    const http::BodyPiece piece = co_await exchange_.read_body();
    if (stage(piece) == Progress::failed) co_return Progress::failed;
  }
}

bool Forwarding::begin_retry() {
  if (stream_) stream_->abort();
  stream_.reset();
  // A new connection that died says something about the server; a kept one was just too old. A body that has gone on is nowhere any more.
  if (!is_reused_ || !replayable_ || retries_left_ == 0) return false;
  if (!http::is_idempotent(request_.method()) && sent_bytes_ != 0) return false;
  --retries_left_;
  work_->input.clear();
  work_->parser.reset();
  return true;
}

void Forwarding::give_up() { fail(ForwardStatus::broken, "the upstream closed the connection before it answered"); }

}  // namespace sallyport::upstream
