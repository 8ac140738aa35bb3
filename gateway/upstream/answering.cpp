// The answer's way: its head, its fields, its body, and what becomes of the connection.
#include <array>
#include <limits>
#include <utility>

#include "base/text.hpp"
#include "upstream/forwarding.hpp"

namespace sallyport::upstream {
namespace {

using http::FieldId;
using http::Framing;
using transport::IoResult;
using transport::IoStatus;

// Whether the framing in `bytes` is sound as far as it goes. Takes the decoder by value: nothing is consumed.
bool holds(http::BodyDecoder decoder, std::string_view bytes) {
  for (;;) {
    const http::BodyDecoder::Step step = decoder.step(bytes);
    if (step.state == http::BodyDecoder::State::end) return true;
    if (step.state != http::BodyDecoder::State::more) return false;
    bytes.remove_prefix(step.consumed);
    if (bytes.empty()) return true;
  }
}

}  // namespace

std::span<char> Forwarding::head_room() {
  ByteBuffer& input = work_->input;
  return input.prepare(std::min(Workspace::kReadBytes, Workspace::kReadBytesMax - input.size()));
}

Progress Forwarding::take_head_bytes(IoResult read) {
  switch (read.status) {
    case IoStatus::ok:
      heard_ = true;
      work_->input.commit(read.bytes);
      return parse_head();
    case IoStatus::would_block: return Progress::more;
    case IoStatus::timed_out: fail(ForwardStatus::timed_out, "the upstream did not answer in time"); return Progress::failed;
    case IoStatus::closed:
    case IoStatus::truncated:
    case IoStatus::failed:
      if (!heard_) return Progress::lost;
      fail(ForwardStatus::broken, "the upstream closed the connection within the head of its answer");
      return Progress::failed;
  }
  return Progress::failed;
}

Progress Forwarding::parse_head() {
  ByteBuffer& input = work_->input;
  for (;;) {
    if (input.empty()) return Progress::more;
    const http::ResponseOutcome outcome = work_->parser.parse(input.view(), request_.method(), work_->head);
    if (const auto* refused = std::get_if<http::ResponseRefused>(&outcome)) {
      fail(ForwardStatus::broken, refused->detail);
      return Progress::failed;
    }
    const auto* parsed = std::get_if<http::HeadParsed>(&outcome);
    if (parsed == nullptr) {
      if (input.size() < Workspace::kReadBytesMax) return Progress::more;
      fail(ForwardStatus::broken, "the head of the upstream's answer is too large");
      return Progress::failed;
    }
    const int status = work_->head.status;
    if (status >= 200 || (status == 101 && request_.websocket() != nullptr)) {
      head_bytes_ = parsed->bytes;
      has_answer_ = true;
      assignment_.heard();
      result_.upstream_status = status;
      if (policy_.watcher != nullptr) policy_.watcher->on_status(status);
      result_.upstream_time = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began_);
      stream_->never_expire();
      return Progress::done;
    }
    // 100, 103 and their like are for whoever asked for them, and we did not; what they announce comes again with the answer.
    if (status == 101) {
      fail(ForwardStatus::broken, "the upstream switched protocols unasked");
      return Progress::failed;
    }
    if (++informational_ > http::Limits::kInformationalAnswersMax) {
      fail(ForwardStatus::broken, "the upstream sent too many 1xx answers");
      return Progress::failed;
    }
    input.consume(parsed->bytes);
    work_->parser.reset();
  }
}

Framing Forwarding::answer_framing() const noexcept {
  const int status = work_->head.status;
  if (request_.method() == http::Method::head || status == 204 || status == 304) return Framing::none;
  return work_->head.framing;
}

http::AnswerBody Forwarding::answer_body() const noexcept {
  using Kind = http::AnswerBody::Kind;
  const http::ResponseHead& head = work_->head;
  if (head.status == 204 || head.status == 304) return {};
  if (request_.method() == http::Method::head) {
    // What a GET would have had (RFC 9110 §9.3.2).
    const http::Field* length = head.find(FieldId::content_length);
    const auto size = length == nullptr ? std::nullopt : parse_decimal(length->value);
    return size ? http::AnswerBody{Kind::sized, *size} : http::AnswerBody{Kind::stream};
  }
  switch (head.framing) {
    case Framing::none: return {};
    case Framing::length: return {Kind::sized, head.content_length};
    case Framing::chunked:
    case Framing::until_close: return {Kind::stream};
  }
  return {};
}

void Forwarding::start_decoding() {
  work_->decoder.start(answer_framing(), work_->head.content_length, std::numeric_limits<std::uint64_t>::max(),
                       http::Limits::kAnswerHeaderBytesMax, http::Limits::kAnswerHeaderFieldsMax);
}

Progress Forwarding::start_answer() {
  start_decoding();
  // Chunks that are broken already can still be a 502; once the head is out, only a cut.
  if (answer_framing() == Framing::chunked && !holds(work_->decoder, work_->input.view().substr(head_bytes_))) {
    fail(ForwardStatus::broken, "the framing of the upstream's answer is broken");
    return Progress::failed;
  }
  gather_fields();
  // Nobody reads the rest of the request's body any more (K29).
  if (is_early_ && !keeps_uploading_) exchange_.close_after();
  exchange_.start(work_->head.status, work_->fields, answer_body());
  work_->input.consume(head_bytes_);
  return Progress::done;
}

Progress Forwarding::next_piece(std::string_view& piece) {
  ByteBuffer& input = work_->input;
  input.consume(std::exchange(piece_bytes_, 0));
  piece = {};
  while (!work_->decoder.complete()) {
    const http::BodyDecoder::Step step = work_->decoder.step(input.view());
    switch (step.state) {
      case http::BodyDecoder::State::malformed:
      case http::BodyDecoder::State::too_large:
        fail(ForwardStatus::broken, "the framing of the upstream's answer is broken");
        return Progress::failed;
      case http::BodyDecoder::State::more:
      case http::BodyDecoder::State::end: break;
    }
    if (!step.content.empty()) {
      piece = step.content;
      piece_bytes_ = step.consumed;
      return Progress::more;
    }
    input.consume(step.consumed);
    if (step.state == http::BodyDecoder::State::more && step.consumed == 0) return Progress::more;
  }
  return Progress::done;
}

std::span<char> Forwarding::body_room() {
  ByteBuffer& input = work_->input;
  const std::span<char> room = input.prepare(std::min(read_bytes_, Workspace::kReadBytesMax - input.size()));
  return room.first(std::min(room.size(), Workspace::kReadBytesMax));
}

Progress Forwarding::take_body_bytes(IoResult read, std::size_t room) {
  if (read.ok()) {
    if (read.bytes == room) read_bytes_ = std::min(read_bytes_ * 2, Workspace::kReadBytesMax);
    work_->input.commit(read.bytes);
    return Progress::more;
  }
  if (read.status == IoStatus::closed && work_->decoder.end_of_input()) {
    ended_by_close_ = true;
    return Progress::done;
  }
  fail(ForwardStatus::broken, read.status == IoStatus::timed_out ? "the upstream fell silent within its answer"
                                                                 : "the upstream closed the connection within its answer");
  return Progress::failed;
}

Task<Progress> Forwarding::relay() {
  std::string_view piece;
  Progress progress = next_piece(piece);
  while (progress == Progress::more && !piece.empty()) {
    const bool written = co_await exchange_.write(piece);
    if (!written) {
      client_left();
      co_return Progress::failed;
    }
    if (is_turn_over(piece.size())) co_await yield_turn(stream_->executor());
    progress = next_piece(piece);
  }
  co_return progress;
}

Task<Progress> Forwarding::deliver_rest() {
  for (;;) {
    const std::span<char> room = body_room();
    IoResult read = stream_->try_read(room);
    if (read.status == IoStatus::would_block) {
      // The upstream is slower than the client: what is here goes out before we wait (event streams live on that).
      const bool flushed = co_await exchange_.flush();
      if (!flushed) {
        client_left();
        co_return Progress::failed;
      }
      stream_->expire_after(upstream_.settings.idle_timeout);
      read = co_await stream_->read_some(room);
      if (read.ok()) stream_->never_expire();  // while we wait for the client
    }
    Progress progress = take_body_bytes(read, room.size());
    if (progress == Progress::more) progress = co_await relay();
    if (progress != Progress::more) co_return progress;
  }
}

void Forwarding::client_left() { fail(ForwardStatus::client_gone, "the client went away within the answer"); }

bool Forwarding::is_reusable() const noexcept {
  return work_->head.keep_alive && answer_framing() != Framing::until_close && !is_early_ && !ended_by_close_ &&
         request_.may_share_connection() && body_ == http::BodyState::end && pending_.empty() && work_->input.empty() &&
         !stream_->has_buffered_input() && !stream_->has_unsent();
}

void Forwarding::complete() {
  result_.status = ForwardStatus::answered;
  assignment_.succeeded();
  // An address that its name has left meanwhile is not kept.
  if (is_reusable() && address_generation_ == server().connector.generation()) {
    server().pool.give(std::move(stream_));
  } else {
    // What an upstream sends behind its answer is nobody's (K28).
    stream_->abort();
    stream_.reset();
  }
}

}  // namespace sallyport::upstream
