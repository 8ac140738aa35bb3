// A connected byte stream: a plain socket or TLS, the same to everyone above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "base/result.hpp"
#include "base/task.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/readiness.hpp"

struct ssl_st;
struct ssl_ctx_st;
struct bio_st;
struct bio_method_st;
struct x509_st;

namespace sallyport::transport {

using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

enum class IoStatus : std::uint8_t {
  ok,           // `bytes` > 0 were moved
  would_block,  // try_* only: nothing could be moved now
  closed,       // the peer ended in order (FIN, and with TLS its close_notify)
  truncated,    // TLS: FIN without close_notify; what came before may be incomplete
  timed_out,    // the deadline has passed. The stream is still open: arm another one for a last word, or abort
  failed,       // reset, protocol error, or aborted by us; nothing can be done with the stream any more
};

struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;
  [[nodiscard]] bool ok() const noexcept { return status == IoStatus::ok; }
};

// Non-blocking recv and send on the socket, by OpenSSL or by ourselves, tried only when the kernel has said that they can do something
// (Readiness). Belongs to the thread of its io_context. At most one reader and one writer at a time; destroy it only when none is left.
// An operation under way ends with timed_out when the deadline fires and with failed when abort() is called.
class Stream {
 public:
  // Post-handshake messages (key updates, tickets, renegotiation attempts) that a peer may send without any application data between
  // them; one more and the connection fails. Each costs us key derivation or an answer.
  static constexpr unsigned kHandshakeMessagesMax = 64;
  // Calls of read_some() that needed no wait, before others get their turn: a peer may send faster than we read, a byte a record.
  static constexpr unsigned kReadsPerTurn = 32;

  // Takes the connected socket; makes it non-blocking, TCP_NODELAY. Throws boost::system::system_error when the kernel has no room.
  Stream(Socket socket, DeadlineWheel& wheel);
  // The same with a descriptor that Asio never saw, which saves telling Asio's epoll about it. Closes it in every case.
  Stream(boost::asio::io_context& context, int socket, DeadlineWheel& wheel);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // TLS on top of the socket. `context` is kept alive by OpenSSL's own reference count.
  // accept: as the server. Fault::timed_out, closed (the client went away), broken (OpenSSL's reason in the detail).
  [[nodiscard]] Task<Result<void>> accept_tls(ssl_ctx_st* context);
  // connect: as the client; `server_name` goes out as SNI unless it is an IP address, and is the name (or address)
  // that the certificate must carry. Fault::mismatch when the certificate is refused.
  [[nodiscard]] Task<Result<void>> connect_tls(ssl_ctx_st* context, std::string server_name);

  // Reads at least one byte. Tries at once when bytes may be there, else waits for them.
  [[nodiscard]] Task<IoResult> read_some(std::span<char> into);
  // Writes all of it; `bytes` is how much went out before a failure.
  [[nodiscard]] Task<IoResult> write_all(std::span<const char> bytes);

  // Without waiting. try_write may move a part; a TLS stream that answered would_block must be offered the same bytes again.
  [[nodiscard]] IoResult try_read(std::span<char> into);
  [[nodiscard]] IoResult try_write(std::span<const char> bytes);

  // For small bytes after which nothing is written until the peer has said something: a request's head, a whole answer. They go out with
  // what others say in this turn of the loop (Outbox). ok means taken, as it does of the kernel: when they cannot go out any more the
  // stream is aborted. Else as try_write.
  [[nodiscard]] IoResult write_soon(std::span<const char> bytes);
  // Whether some of what was taken has not gone out. Who closes the stream in order waits until it has: abort() drops it.
  [[nodiscard]] bool has_unsent() const noexcept { return is_deferred_ || !unsent_.empty(); }
  // ok, timed_out or failed. Counts as the writer.
  [[nodiscard]] Task<IoStatus> wait_until_sent();

  // Before TLS: what waits in the socket, as a copy that leaves it there, once it is more than `seen` bytes. `bytes` counts from the first.
  [[nodiscard]] Task<IoResult> peek_more(std::span<char> into, std::size_t seen);

  // Waits until a read or a write may go on, whichever comes first: for who sends and must not miss an answer that comes early.
  // Try both before: only a would_block makes it wait. ok, timed_out or failed.
  [[nodiscard]] Task<IoStatus> wait_for_either();

  // After a try_read() that would block, for who has no buffer to lend while he waits: until another one may find something (it may be half
  // a TLS record, and so nothing). `if (auto wait = stream.until_readable()) co_await std::move(*wait);`; then condition() tells how.
  // No coroutine, whose frame each silent connection would hold. Empty when there is nothing to wait for. Counts as the reader.
  [[nodiscard]] std::optional<Readiness::Wait> until_readable() noexcept;
  // Whether it can still be read and written at all: ok, timed_out, or failed once it is closed.
  [[nodiscard]] IoStatus condition() const noexcept;

  // Whether a connection that should be silent is: false when bytes, an end or an error are waiting. Asks the kernel.
  // TLS messages that carry no data (tickets, key updates) are processed and are no noise.
  [[nodiscard]] bool is_silent();
  // Whether bytes were taken from the socket that nobody has read. A read may still have to wait: they may be half a TLS record.
  [[nodiscard]] bool has_buffered_input() const noexcept;

  // Ends our direction in order: close_notify, then FIN. The other direction stays readable. Never blocks.
  void shutdown_write() noexcept;
  // Closes now. Whoever waits is woken with failed. Safe to call at any time, more than once.
  void abort() noexcept;
  [[nodiscard]] bool is_open() const noexcept { return socket_ >= 0; }
  // While it is on, any close is a reset, even that of a process that dies: for bytes that only an orderly end makes complete.
  void reset_on_close(bool on) noexcept;

  // The deadline of whatever goes on or comes next; it stays until changed. Reading and writing do not move it.
  void expire_at(MonotonicTime when) {
    timed_out_ = false;
    deadline_.expire_at(when);
  }
  void expire_after(std::chrono::milliseconds from_now) {
    timed_out_ = false;
    deadline_.expire_after(from_now);
  }
  void never_expire() noexcept {
    timed_out_ = false;
    deadline_.disarm();
  }

  [[nodiscard]] bool is_tls() const noexcept { return ssl_ != nullptr; }
  // "TLSv1.3", or empty. Static storage.
  [[nodiscard]] std::string_view tls_version() const noexcept;
  // The SNI name that the client sent; empty without. Lives as long as the stream.
  [[nodiscard]] std::string_view server_name() const noexcept;
  [[nodiscard]] bool tls_resumed() const noexcept;
  // The peer's certificate, when TLS asked for one, got one and found it good; nullptr otherwise. Lives as long as the stream.
  [[nodiscard]] x509_st* verified_certificate() const noexcept;

  [[nodiscard]] DeadlineWheel& wheel() noexcept { return wheel_; }
  [[nodiscard]] Executor executor() noexcept { return context_.get_executor(); }
  [[nodiscard]] int native_handle() const noexcept { return socket_; }

 private:
  friend class Outbox;
  void send_deferred(std::span<const char> bytes) noexcept;  // the outbox gives back what it took
  // What was written before goes first; would_block or failed when it could not.
  [[nodiscard]] IoStatus send_what_was_taken() noexcept;
  // How much of it; aborts where sending fails.
  [[nodiscard]] std::size_t send_what_fits(std::span<const char> bytes) noexcept;
  void wait_to_send() noexcept;
  void send_unsent() noexcept;
  void end_direction() noexcept;

  // What OpenSSL reads from and writes to: our socket through receive() and send().
  struct SocketBio;
  friend struct SocketBio;

  // errno-like ends of the system calls; would_block is noted in readiness_.
  [[nodiscard]] IoResult receive(std::span<char> into) noexcept;
  [[nodiscard]] IoResult send(std::span<const char> bytes) noexcept;
  [[nodiscard]] IoResult send_now(std::span<const char> bytes) noexcept;

  [[nodiscard]] Result<void> start_tls(ssl_ctx_st* context);
  [[nodiscard]] Task<Result<void>> handshake();
  [[nodiscard]] Result<void> handshake_failure();
  // What `returned` of an SSL function means; Readiness::Direction to wait for goes to `blocked_on`.
  [[nodiscard]] IoResult ssl_outcome(int returned, Readiness::Direction& blocked_on) noexcept;
  [[nodiscard]] IoResult read_now(std::span<char> into, Readiness::Direction& blocked_on) noexcept;
  [[nodiscard]] IoResult write_now(std::span<const char> bytes, Readiness::Direction& blocked_on) noexcept;
  static void on_tls_message(int is_write, int version, int type, const void* bytes, std::size_t size, ssl_st* ssl, void* self);

  boost::asio::io_context& context_;
  DeadlineWheel& wheel_;
  int socket_;
  Readiness readiness_;
  Deadline deadline_;
  ssl_st* ssl_ = nullptr;
  Readiness::Direction read_blocked_on_ = Readiness::Direction::read;  // of the last try_read() that would block
  std::string unsent_;                                                 // taken, and more than the kernel had room for; nearly always empty
  unsigned handshake_messages_ = 0;                                    // since the last application data
  unsigned reads_in_turn_ = 0;
  bool handshake_done_ = false;
  bool timed_out_ = false;
  bool at_end_ = false;      // the socket has given its FIN
  bool tls_failed_ = false;  // no close_notify after a fatal TLS error (SSL_shutdown forbids it)
  bool write_shut_ = false;
  bool may_defer_ = false;    // within write_soon()
  bool is_deferred_ = false;  // the outbox has something of ours
};

}  // namespace sallyport::transport
