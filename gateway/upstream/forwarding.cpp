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
      assignment_(upstream, http::is_idempotent(request.method())),
      retries_left_(upstream.settings.retries) {
  if (policy_.interruption != nullptr) {
    policy_.interruption->arm(&Forwarding::on_interruption, this);
    is_interrupted_ = policy_.interruption->fired();
  }
  switch (assignment_.enter()) {
    case Assignment::Entry::admitted:
      is_admitted_ = true;
      note_server();
      break;
    case Assignment::Entry::overloaded: fail(ForwardStatus::overloaded, "as much is under way to the upstream as may be"); break;
    case Assignment::Entry::unavailable: fail(ForwardStatus::unavailable, "no server of the upstream is healthy"); break;
  }
}

Forwarding::~Forwarding() {
  if (policy_.interruption != nullptr) policy_.interruption->arm(nullptr, nullptr);
  if (work_) upstream_.workspaces.give(std::move(work_));
}

void Forwarding::note_server() noexcept { result_.server = server().settings.authority; }

void Forwarding::fail(ForwardStatus status, std::string_view detail) {
  if (stream_) stream_->abort();
  stream_.reset();
  if (is_interrupted_) {
    result_.status = ForwardStatus::client_gone;
    result_.detail = "interrupted: the caller is let through no longer";
    exchange_.abort();
    return;
  }
  if (status == ForwardStatus::broken || status == ForwardStatus::timed_out) assignment_.failed();
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

// With its last byte a sized body is complete for its reader: an answer from then on is not early.
void Forwarding::count_body(std::size_t bytes) {
  if (request_.framing() != http::Framing::length) return;
  body_left_ -= std::min<std::uint64_t>(body_left_, bytes);
  if (body_left_ == 0) body_ = BodyState::end;
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
// While a client takes its time with its body, an answer of the upstream waits at most this long to be heard.
constexpr std::chrono::milliseconds kListenInterval{250};

}  // namespace

Progress Forwarding::gather_first_write() {
  if (!is_admitted_) return Progress::failed;
  first_write_ = request_.head();
  if (request_.framing() == http::Framing::none) return Progress::done;
  body_ = BodyState::more;
  body_left_ = exchange_.request().content_length;
  count_body(0);
  work_->output.append(request_.head());
  const Progress gathered = append_buffered_body(Workspace::kReadBytes);
  first_write_ = work_->output.view();
  return gathered;
}

Progress Forwarding::append_buffered_body(std::size_t bytes_max) {
  ByteBuffer& output = work_->output;
  while (body_ == BodyState::more && output.size() < bytes_max) {
    const http::BodyPiece piece = exchange_.buffered_body();
    body_ = piece.state;
    if (body_ != BodyState::more) break;
    if (piece.bytes.empty()) break;
    append_body(piece.bytes);
    count_body(piece.bytes.size());
  }
  if (body_ == BodyState::end) {
    if (request_.framing() == http::Framing::chunked) output.append(kLastChunk);
  } else if (body_ != BodyState::more) {
    fail_body(body_);
    return Progress::failed;
  }
  return Progress::done;
}

bool Forwarding::take_kept_connection() {
  stream_ = server().take_kept();
  is_reused_ = stream_ != nullptr;
  address_generation_ = server().connector.generation();
  return is_reused_;
}

Task<Progress> Forwarding::connect() {
  for (;;) {
    Result<std::unique_ptr<transport::Stream>> connected = co_await server().connector.connect(upstream_.settings.connect_timeout);
    if (is_interrupted_) {
      client_left();
      co_return Progress::failed;
    }
    if (connected) {
      stream_ = std::move(*connected);
      is_reused_ = false;
      address_generation_ = server().connector.generation();
      co_return Progress::done;
    }
    assignment_.failed();
    // Nothing was sent, so the next server may be asked whatever the method is.
    tried_.resize(upstream_.balancer.size());
    tried_[assignment_.server()] = true;
    if (!assignment_.move_on(tried_)) {
      const bool timed_out = connected.error().fault == Fault::timed_out;
      fail(timed_out ? ForwardStatus::timed_out : ForwardStatus::connect_failed, upstream_.keep_detail(connected.error()));
      co_return Progress::failed;
    }
    note_server();
    if (take_kept_connection()) co_return Progress::done;
  }
}

Progress Forwarding::send_first_write() {
  began_ = std::chrono::steady_clock::now();
  pending_ = first_write_;
  sent_bytes_ = 0;
  const IoResult written = body_ == BodyState::more ? stream_->try_write(pending_) : stream_->write_soon(pending_);
  if (written.ok()) {
    pending_.remove_prefix(written.bytes);
    sent_bytes_ += written.bytes;
    if (!pending_.empty() || body_ == BodyState::more) return Progress::more;
    stream_->expire_at(began_ + upstream_.settings.response_timeout);
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
      count_body(piece.bytes.size());
      pending_ = piece.bytes;
      if (is_chunked) {
        work_->output.clear();
        append_body(piece.bytes);
        // Small chunks leave together: a system call for each would let a byte of the client's cost what a kilobyte does.
        if (append_buffered_body(Workspace::kReadBytes) == Progress::failed) return Progress::failed;
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

Progress Forwarding::read_early_head() {
  for (;;) {
    const std::span<char> room = head_room();
    const IoResult read = stream_->try_read(room);
    heard_all_ = read.status == IoStatus::would_block;
    const Progress progress = take_head_bytes(read);
    if (progress == Progress::more && !heard_all_) continue;
    is_early_ = has_answer_;
    return progress;
  }
}

// An upstream that echoes or converts answers while it reads, and would wait for ever if its reader stopped sending. One that refuses,
// closes or has said all it has to say does not want the rest (RFC 9112 §9.3).
bool Forwarding::goes_on_uploading() {
  const http::ResponseHead& head = work_->head;
  if (head.status >= 300 || !head.keep_alive) return false;
  if (policy_.interceptor != nullptr) return false;  // it has not said yet whether there will be an answer
  const http::Framing framing = answer_framing();
  if (framing == http::Framing::none) return false;
  if (framing == http::Framing::length && work_->input.size() - head_bytes_ >= head.content_length) return false;
  keeps_uploading_ = exchange_.keep_reading();
  return keeps_uploading_;
}

void Forwarding::save_pending() {
  ByteBuffer& output = work_->output;
  const bool is_ours = !output.empty() && pending_.data() >= output.view().data() && pending_.data() < output.view().data() + output.size();
  if (is_ours || pending_.empty()) return;
  output.clear();
  output.append(pending_);
  pending_ = output.view();
}

Task<Progress> Forwarding::listen() {
  if (!has_answer_) {
    const Progress head = read_early_head();
    if (head != Progress::done) co_return head;
    if (!goes_on_uploading()) co_return Progress::done;
    const Progress started = start_answer();
    if (started != Progress::done) co_return started;
  } else {
    const std::span<char> room = body_room();
    const IoResult read = stream_->try_read(room);
    heard_all_ = read.status == IoStatus::would_block;
    if (heard_all_) co_return Progress::more;
    const Progress taken = take_body_bytes(read, room.size());
    if (taken != Progress::more) co_return taken;
  }
  save_pending();
  const Progress relayed = co_await relay();
  if (relayed == Progress::done) exchange_.close_after();  // the rest of the client's body is not read (K29)
  co_return relayed;
}

// Who refuses a body answers, closes, and so makes our writing fail: the answer may still be there to be read.
Progress Forwarding::after_failed_write() {
  if (has_answer_) {
    exchange_.close_after();
    return Progress::done;
  }
  const Progress head = read_early_head();
  if (head != Progress::more) return head;
  return take_head_bytes({IoStatus::failed});
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
    if (written.status != IoStatus::would_block) co_return after_failed_write();
    const Progress heard = co_await listen();
    if (heard != Progress::more) co_return heard;
    if (!heard_all_) continue;
    stream_->expire_after(upstream_.settings.response_timeout);
    const IoStatus waited = co_await stream_->wait_for_either();
    if (waited != IoStatus::ok) co_return take_head_bytes({waited});
    stream_->never_expire();
  }
  co_return Progress::more;
}

Task<Progress> Forwarding::upload() {
  for (;;) {
    const Progress sent = co_await send_pending();
    if (sent != Progress::more) co_return sent;
    if (body_ == BodyState::end) {
      if (!has_answer_) await_answer();
      co_return Progress::done;
    }
    if (!stream_->is_silent()) {
      const Progress heard = co_await listen();
      if (heard != Progress::more) co_return heard;
    }
    if (has_answer_) {
      const bool flushed = co_await exchange_.flush();
      if (!flushed) {
        client_left();
        co_return Progress::failed;
      }
    }
    const http::BodyPiece piece = co_await exchange_.read_body_within(kListenInterval);
    if (piece.state == BodyState::more && piece.bytes.empty()) continue;
    if (stage(piece) == Progress::failed) co_return Progress::failed;
    if (is_turn_over(pending_.size())) co_await yield_turn(stream_->executor());
  }
}

bool Forwarding::begin_retry() {
  if (stream_) stream_->abort();
  stream_.reset();
  // A new connection that died says something about the server; a kept one was just too old.
  if (is_reused_) {
    assignment_.no_verdict();
  } else {
    assignment_.failed();
  }
  // A body that has gone on is nowhere any more.
  if (!replayable_ || retries_left_ == 0 || is_interrupted_) return false;
  if (!http::is_idempotent(request_.method()) && sent_bytes_ != 0) return false;
  if (!is_reused_ && upstream_.balancer.size() == 1) return false;
  // What never left costs the upstream nothing.
  if (sent_bytes_ != 0 && !upstream_.shared->may_retry(std::chrono::steady_clock::now())) {
    upstream_.counts->retries_refused.add();
    return false;
  }
  if (!has_where_to_retry()) return false;
  upstream_.counts->retried.add();
  --retries_left_;
  work_->input.clear();
  work_->parser.reset();
  return true;
}

bool Forwarding::has_where_to_retry() {
  std::vector<bool> avoided = tried_;
  avoided.resize(upstream_.balancer.size());
  avoided[assignment_.server()] = true;
  if (!is_reused_) tried_ = avoided;
  if (assignment_.move_on(avoided)) {
    note_server();
    return true;
  }
  // The same server, on a new connection; not one that has just lost a new one.
  if (is_reused_) assignment_.stay();
  return is_reused_;
}

void Forwarding::give_up() { fail(ForwardStatus::broken, "the upstream closed the connection before it answered"); }

}  // namespace sallyport::upstream
