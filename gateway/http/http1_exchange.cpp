#include "http/http1_exchange.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <ctime>
#include <stdexcept>

#include "http/http1_session.hpp"

namespace sallyport::http {
namespace {

// RFC 9110 §6.6.1, rendered once per second and thread.
std::string_view http_date(WallTime now) {
  thread_local std::time_t rendered_second = -1;
  thread_local std::array<char, 40> text;
  thread_local std::size_t size = 0;
  const std::time_t second = std::chrono::system_clock::to_time_t(now);
  if (second != rendered_second) {
    std::tm utc{};
    gmtime_r(&second, &utc);
    size = std::strftime(text.data(), text.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
    rendered_second = second;
  }
  return {text.data(), size};
}

bool forbids_body(int status) noexcept { return status < 200 || status == 204 || status == 304; }

}  // namespace

void Http1Exchange::begin(std::string_view after_head) {
  decoder_.start(head_.framing, head_.content_length, limits_.body_bytes_max, limits_.header_bytes_max, limits_.header_fields_max);
  unread_ = after_head;
  unread_is_input_ = true;
  body_state_ = BodyState::more;
  continue_pending_ = head_.expects_continue;
  started_at_ = clock_.monotonic_now();
  body_deadline_ = started_at_ + timeouts_.body;
  output_.clear();
  output_kind_ = Output::discard;
  bytes_out_ = 0;
  reads_ahead_ = 0;
  started_ = finished_ = aborted_ = keeps_reading_ = switched_ = false;
  closing_ = !head_.keep_alive;
}

void Http1Exchange::begin_refusal() {
  head_.framing = Framing::none;
  head_.expects_continue = false;
  begin({});
  closing_ = true;
}

Http1Exchange::Leftover Http1Exchange::leftover() const noexcept {
  if (unread_is_input_) return {unread_.size(), {}};
  return {0, unread_};
}

bool Http1Exchange::input_unread() const noexcept { return !decoder_.complete() || !unread_.empty(); }

void Http1Exchange::release_buffers() noexcept {
  body_input_.release();
  if (output_.capacity() > kCoalesceBytes / 2) output_.release();
}

BodyPiece Http1Exchange::step_body() {
  while (body_state_ == BodyState::more) {
    const BodyDecoder::Step step = decoder_.step(unread_);
    unread_.remove_prefix(step.consumed);
    switch (step.state) {
      case BodyDecoder::State::more:
        if (!step.content.empty()) return {BodyState::more, step.content};
        if (step.consumed == 0 || unread_.empty()) return {BodyState::more, {}};
        break;
      case BodyDecoder::State::end: body_state_ = BodyState::end; break;
      case BodyDecoder::State::malformed: body_state_ = BodyState::malformed; break;
      case BodyDecoder::State::too_large: body_state_ = BodyState::too_large; break;
    }
  }
  return {body_state_, {}};
}

BodyPiece Http1Exchange::buffered_body() {
  const BodyPiece piece = step_body();
  // Who waits for a 100 has sent nothing yet.
  if (piece.state != BodyState::more || !piece.bytes.empty() || continue_pending_ || reads_ahead_ == kReadsAheadMax) return piece;
  ++reads_ahead_;
  const transport::IoResult read = stream_.try_read(body_room());
  if (read.status == transport::IoStatus::would_block || read.status == transport::IoStatus::timed_out) return piece;
  take_body_bytes(read);
  return step_body();
}

std::span<char> Http1Exchange::body_room() {
  body_input_.clear();
  return body_input_.prepare(kBodyReadBytes);
}

void Http1Exchange::take_body_bytes(const transport::IoResult& read) {
  if (!read.ok()) {
    body_state_ = read.status == transport::IoStatus::timed_out ? BodyState::timed_out : BodyState::gone;
    return;
  }
  continue_pending_ = false;
  body_input_.commit(read.bytes);
  unread_ = body_input_.view();
  unread_is_input_ = false;
}

Task<BodyPiece> Http1Exchange::read_body_until(MonotonicTime give_up) {
  for (;;) {
    const BodyPiece piece = step_body();
    if (piece.state != BodyState::more || !piece.bytes.empty()) co_return piece;
    if (continue_pending_) {
      // RFC 9110 §10.1.1: asked for only now, when the caller has been let in and the body is wanted.
      continue_pending_ = false;
      const bool sent = co_await send("HTTP/1.1 100 Continue\r\n\r\n");
      if (!sent) {
        body_state_ = BodyState::gone;
        continue;
      }
    }
    const std::span<char> room = body_room();
    reads_ahead_ = 0;
    stream_.expire_at(std::min(body_deadline_, give_up));
    const transport::IoResult read = co_await stream_.read_some(room);
    stream_.never_expire();
    if (read.status == transport::IoStatus::timed_out && give_up < body_deadline_) co_return BodyPiece{BodyState::more, {}};
    take_body_bytes(read);
  }
}

// A refusal does not wait for the body: what is already here is dropped, and only a body that ends there keeps the connection.
void Http1Exchange::drop_buffered_body() {
  for (;;) {
    const BodyPiece piece = step_body();
    if (piece.state != BodyState::more || piece.bytes.empty()) return;
  }
}

void Http1Exchange::write_status_line(int status) {
  if (status == 200) {
    output_.append("HTTP/1.1 200 OK\r\n");
    return;
  }
  output_.append("HTTP/1.1 ");
  output_.append_decimal(static_cast<std::uint64_t>(status));
  output_.append(' ');
  output_.append(reason_phrase(status));
  output_.append("\r\n");
}

bool Http1Exchange::write_fields(std::span<const Field> fields) {
  bool has_date = false;
  for (const Field& field : fields) {
    has_date = has_date || field.id == FieldId::date;
    output_.append(field.name);
    output_.append(": ");
    output_.append(field.value);
    output_.append("\r\n");
  }
  return has_date;
}

void Http1Exchange::write_framing(AnswerBody body, bool body_forbidden) {
  output_kind_ = Output::discard;
  switch (body.kind) {
    case AnswerBody::Kind::none:
      if (!body_forbidden && head_.method != Method::head) output_.append("Content-Length: 0\r\n");
      return;
    case AnswerBody::Kind::sized:
      if (body_forbidden) return;
      output_.append("Content-Length: ");
      output_.append_decimal(body.size);
      output_.append("\r\n");
      if (head_.method == Method::head) return;
      output_kind_ = Output::sized;
      sized_remaining_ = body.size;
      return;
    case AnswerBody::Kind::stream:
      if (body_forbidden) return;
      if (head_.version == Version::http_1_0) {
        closing_ = true;
        if (head_.method == Method::head) return;
        output_kind_ = Output::until_close;
        stream_.reset_on_close(true);  // its end is the connection's: a cut one must look different
        return;
      }
      output_.append("Transfer-Encoding: chunked\r\n");
      if (head_.method != Method::head) output_kind_ = Output::chunked;
      return;
  }
}

void Http1Exchange::start(int status, std::span<const Field> fields, AnswerBody body) {
  if (started_) throw std::logic_error("Exchange::start() was called twice");
  started_ = true;
  if (draining_.value || peer_.is_distrusted) closing_ = true;
  if (!decoder_.complete() && !keeps_reading_) {
    drop_buffered_body();
    if (body_state_ != BodyState::end) closing_ = true;
  }
  write_status_line(status);
  if (!write_fields(fields)) output_.append(http_date(clock_.wall_now()));
  write_framing(body, forbids_body(status));
  if (closing_) {
    output_.append("Connection: close\r\n");
  } else if (head_.version == Version::http_1_0) {
    output_.append("Connection: keep-alive\r\n");
  }
  output_.append("\r\n");
}

Task<transport::Stream*> Http1Exchange::switch_protocols(std::span<const Field> fields) {
  if (started_) throw std::logic_error("Exchange::switch_protocols() after start()");
  if (!head_.wants_websocket) throw std::logic_error("Exchange::switch_protocols() for who did not ask");
  started_ = switched_ = closing_ = true;
  output_.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  write_fields(fields);
  output_.append("\r\n");
  const bool sent = co_await send_output();
  output_.release();
  co_return sent ? &stream_ : nullptr;
}

bool Http1Exchange::send_now(std::string_view& bytes) {
  while (!bytes.empty() && !aborted_) {
    const transport::IoResult written = stream_.try_write(bytes.substr(0, kWritePieceBytes));
    if (written.status == transport::IoStatus::would_block) return false;
    if (!written.ok()) {
      abort();
      return false;
    }
    bytes.remove_prefix(written.bytes);
  }
  return !aborted_;
}

// The last bytes of an answer after which the connection goes on: nothing more is said until the client speaks.
bool Http1Exchange::send_soon(std::string_view& bytes) {
  if (aborted_ || bytes.empty()) return !aborted_;
  const transport::IoResult written = stream_.write_soon(bytes.substr(0, kWritePieceBytes));
  if (written.ok()) bytes.remove_prefix(written.bytes);
  return send_now(bytes);
}

Task<bool> Http1Exchange::send_rest(std::string_view bytes) {
  while (!aborted_) {
    stream_.expire_after(timeouts_.write);
    const transport::IoResult written = co_await stream_.write_all(bytes.substr(0, kWritePieceBytes));
    stream_.never_expire();
    if (!written.ok()) {
      abort();
      co_return false;
    }
    bytes.remove_prefix(written.bytes);
    if (send_now(bytes)) co_return true;
  }
  co_return false;
}

Task<bool> Http1Exchange::send(std::string_view bytes) {
  if (send_now(bytes)) co_return true;
  co_return co_await send_rest(bytes);
}

Task<bool> Http1Exchange::send_output() {
  const bool sent = co_await send(output_.view());
  output_.clear();
  co_return sent;
}

Task<bool> Http1Exchange::write(std::string_view bytes) {
  if (aborted_) co_return false;
  if (bytes.empty() || output_kind_ == Output::discard) co_return true;
  if (output_kind_ == Output::sized) {
    if (bytes.size() > sized_remaining_) throw std::logic_error("Exchange::write() got more than start() announced");
    sized_remaining_ -= bytes.size();
  }
  bytes_out_ += bytes.size();
  if (output_kind_ == Output::chunked) {
    output_.append_hex(bytes.size());
    output_.append("\r\n");
  }
  if (output_.size() + bytes.size() <= kCoalesceBytes) {
    output_.append(bytes);
  } else {
    // Fill the record that was begun, send it, and send the rest from where it lies.
    const std::size_t fill = output_.size() < kCoalesceBytes ? kCoalesceBytes - output_.size() : 0;
    output_.append(bytes.substr(0, fill));
    bool sent = co_await send_output();
    if (!sent) co_return false;
    const std::string_view rest = bytes.substr(std::min(fill, bytes.size()));
    if (rest.size() <= kCoalesceBytes / 4) {
      output_.append(rest);
    } else {
      sent = co_await send(rest);
      if (!sent) co_return false;
    }
  }
  if (output_kind_ == Output::chunked) output_.append("\r\n");
  co_return true;
}

Task<bool> Http1Exchange::flush() {
  if (output_.empty()) co_return !aborted_;
  co_return co_await send_output();
}

Task<bool> Http1Exchange::finish() {
  if (aborted_) co_return false;
  if (output_kind_ == Output::sized && sized_remaining_ != 0) {
    abort();  // the client must see that the answer was cut
    co_return false;
  }
  if (!decoder_.complete()) closing_ = true;  // nobody reads the rest of the body
  if (output_kind_ == Output::chunked) output_.append("0\r\n\r\n");
  // Nearly every answer goes out at once, and so without another coroutine.
  std::string_view rest = output_.view();
  bool sent = closing_ ? send_now(rest) : send_soon(rest);
  if (!sent) sent = co_await send_rest(rest);
  output_.clear();
  finished_ = sent;
  if (sent && output_kind_ == Output::until_close) stream_.reset_on_close(false);
  co_return sent;
}

void Http1Exchange::abort() noexcept {
  aborted_ = true;
  closing_ = true;
  stream_.abort();
}

}  // namespace sallyport::http
