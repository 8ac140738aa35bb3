#include "http/http1_session.hpp"

#include "http/http1_exchange.hpp"
#include "http/request_parser.hpp"

namespace sallyport::http {
namespace {

constexpr std::size_t kFirstReadBytes = 4 * 1024;   // most heads fit; larger ones grow the buffer
constexpr std::size_t kLingerBytesMax = 64 * 1024;  // DESIGN §3.5 "Limits"
constexpr std::chrono::milliseconds kLingerTimeMax{1'000};

// What was taken of an answer and has not gone out goes out before the stream ends: the client has been told that it is complete.
Task<void> send_unsent(transport::Stream& stream, const SessionContext& context) {
  if (!stream.has_unsent()) co_return;
  stream.expire_after(context.timeouts.write);
  static_cast<void>(co_await stream.wait_until_sent());
}

// What a connection needs while requests come. When they cease it ends, and another one begins with the next.
class Http1Session {
 public:
  enum class End : unsigned char {
    closed,  // the connection's, too
    silent,  // no request for `timeouts.buffered`; the stream's deadline is that of the whole silence
  };
  enum class Begin : unsigned char {
    anew,
    woken,  // from a silence, whose deadline goes on
  };

  Http1Session(transport::Stream& stream, const Peer& peer, const SessionContext& context, SessionState& state, Begin begin)
      : stream_(stream),
        peer_(peer),
        context_(context),
        state_(state),
        begin_(begin),
        parser_(context.limits),
        exchange_(stream, peer, context.limits, context.timeouts, context.clock, context.draining) {}

  Task<End> run() {
    bool go_on = true;
    while (go_on) {
      if (peer_.is_distrusted) {
        co_await linger();  // over what is pipelined: the answer before it must arrive
        break;
      }
      const Next next = co_await wait_for_first_byte();
      if (next != Next::request) co_return next == Next::silence ? End::silent : End::closed;
      state_.idle = false;
      go_on = co_await serve_one();
      if (go_on && !input_.empty() && ++requests_in_turn_ == kRequestsPerTurn) {
        requests_in_turn_ = 0;
        co_await yield_turn(stream_.executor());
      }
      state_.idle = true;
    }
    co_return End::closed;
  }

 private:
  enum class Next : unsigned char {
    request,
    silence,  // for long enough to give back what a request needs
    none,     // the client ended or was silent for too long, or the worker drains
  };

  // Between requests.
  Task<Next> wait_for_first_byte() {
    if (!input_.empty()) co_return Next::request;
    const http::Draining& draining = context_.draining;
    if (draining.value && draining.patience == std::chrono::milliseconds(0)) {
      stream_.shutdown_write();
      co_return Next::none;
    }
    exchange_.release_buffers();
    if (input_.capacity() > kFirstReadBytes) input_.release();
    const std::chrono::milliseconds buffered = context_.timeouts.buffered;
    const std::chrono::milliseconds patience =
        draining.value ? std::min(draining.patience, context_.timeouts.idle) : context_.timeouts.idle;
    const bool is_new_silence = std::exchange(begin_, Begin::anew) == Begin::anew;
    if (is_new_silence) stream_.expire_after(std::min(patience, buffered));
    const std::span<char> room = input_.prepare(kFirstReadBytes);
    transport::IoResult read = co_await stream_.read_some(room);
    if (read.status == transport::IoStatus::timed_out && is_new_silence && patience > buffered) {
      stream_.expire_after(patience - buffered);
      // What OpenSSL has read already, the kernel says nothing of; it also says what is to be waited for.
      read = stream_.try_read(room);
      if (read.status == transport::IoStatus::would_block) co_return Next::silence;
    }
    if (!read.ok()) {
      if (read.status != transport::IoStatus::failed) stream_.shutdown_write();
      co_return Next::none;
    }
    input_.commit(read.bytes);
    co_return Next::request;
  }

  // One request, from its first byte to the last of its answer. False when the connection is over.
  Task<bool> serve_one() {
    stream_.never_expire();
    parser_.reset();
    for (bool is_first = true;; is_first = false) {
      const HeadOutcome outcome = parser_.parse(input_.view(), exchange_.head());
      if (const auto* parsed = std::get_if<HeadParsed>(&outcome)) {
        stream_.never_expire();
        const std::size_t head_bytes = parsed->bytes;
        if (peer_.is_distrusted) co_return false;  // while the head came
        co_return co_await answer(head_bytes);
      }
      if (const auto* refused = std::get_if<HeadRefused>(&outcome)) {
        const HeadRefused why = *refused;
        co_return co_await refuse(why.fault, why.detail);
      }
      // Most heads come whole, and need no deadline.
      if (is_first) stream_.expire_after(context_.timeouts.header);
      const std::span<char> room = input_.prepare(kFirstReadBytes / 2);
      const transport::IoResult read = co_await stream_.read_some(room);
      if (read.status == transport::IoStatus::timed_out) {
        co_return co_await refuse(RequestFault::timed_out, "the head did not end in time");
      }
      if (!read.ok()) co_return false;
      input_.commit(read.bytes);
    }
  }

  Task<bool> answer(std::size_t head_bytes) {
    exchange_.begin(input_.view().substr(head_bytes));
    co_await context_.handler.handle(exchange_);
    if (!exchange_.finished() || exchange_.switched()) {
      // No answer, or half of one: it must not look complete. Or a tunnel, which has said its last word.
      stream_.abort();
      co_return false;
    }
    if (exchange_.closing()) {
      // What the kernel still holds counts too, a stray CRLF behind a body for one: closing over it would reset the answer away.
      if (exchange_.input_unread() || !stream_.is_silent()) {
        co_await linger();
      } else {
        stream_.shutdown_write();
      }
      co_return false;
    }
    const Http1Exchange::Leftover leftover = exchange_.leftover();
    input_.consume(input_.size() - leftover.of_input);
    if (!leftover.of_exchange.empty()) input_.append(leftover.of_exchange);
    co_return true;
  }

  Task<bool> refuse(RequestFault fault, std::string_view detail) {
    stream_.never_expire();
    exchange_.begin_refusal();
    co_await context_.handler.refuse(exchange_, fault, detail);
    if (exchange_.finished()) {
      co_await linger();
    } else {
      stream_.abort();
    }
    co_return false;
  }

  // Lets the answer arrive: a close with unread input would send a reset that overtakes it.
  Task<void> linger() {
    co_await send_unsent(stream_, context_);
    stream_.shutdown_write();
    stream_.expire_after(kLingerTimeMax);
    std::size_t drained = 0;
    while (drained < kLingerBytesMax) {
      input_.clear();
      const std::span<char> room = input_.prepare(kFirstReadBytes);
      const transport::IoResult read = co_await stream_.read_some(room);
      if (!read.ok()) break;
      drained += read.bytes;
    }
    stream_.abort();
  }

  transport::Stream& stream_;
  const Peer& peer_;
  const SessionContext& context_;
  SessionState& state_;
  Begin begin_;
  ByteBuffer input_;
  unsigned requests_in_turn_ = 0;
  RequestParser parser_;
  Http1Exchange exchange_;
};

// The session lives in this coroutine's frame, which is gone while the connection is silent.
Task<Http1Session::End> serve_until_silent(transport::Stream& stream, const Peer& peer, const SessionContext& context, SessionState& state,
                                           Http1Session::Begin begin) {
  Http1Session session(stream, peer, context, state, begin);
  co_return co_await session.run();
}

}  // namespace

Task<void> serve_http1(transport::Stream& stream, const Peer& peer, const SessionContext& context, SessionState& state) {
  try {
    Http1Session::Begin begin = Http1Session::Begin::anew;
    for (;;) {
      const Http1Session::End end = co_await serve_until_silent(stream, peer, context, state, begin);
      if (end == Http1Session::End::closed) break;
      if (auto wait = stream.until_readable()) co_await std::move(*wait);
      const transport::IoStatus woken = stream.condition();
      if (woken == transport::IoStatus::timed_out) stream.shutdown_write();
      if (woken != transport::IoStatus::ok) break;
      begin = Http1Session::Begin::woken;
    }
    co_await send_unsent(stream, context);
  } catch (...) {
    stream.abort();
    throw;
  }
}

}  // namespace sallyport::http
