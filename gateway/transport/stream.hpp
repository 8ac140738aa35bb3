// A connected byte stream: a plain socket or TLS, the same to everyone above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "base/result.hpp"
#include "base/task.hpp"
#include "transport/deadline_wheel.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace sallyport::transport {

using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;

enum class IoStatus : std::uint8_t {
  ok,           // `bytes` > 0 were moved
  would_block,  // try_* only: nothing could be moved now
  closed,       // the peer ended in order (FIN, and with TLS its close_notify)
  truncated,    // TLS: FIN without close_notify; what came before may be incomplete
  timed_out,    // the deadline fired; the stream is closed
  failed,       // reset, protocol error, or aborted by us; the stream is closed
};

struct IoResult {
  IoStatus status;
  std::size_t bytes = 0;
  [[nodiscard]] bool ok() const noexcept { return status == IoStatus::ok; }
};

// OpenSSL works on the socket itself (SSL_set_fd, non-blocking, read-ahead, SSL_MODE_RELEASE_BUFFERS); Asio only waits.
// Belongs to the thread of its io_context. At most one reader and one writer at a time.
// Every operation ends with IoStatus::timed_out when the deadline fires, and with failed when abort() is called meanwhile.
class Stream {
 public:
  // Takes the connected socket; makes it non-blocking, TCP_NODELAY.
  Stream(Socket socket, DeadlineWheel& wheel);
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

  // Whether a connection that should be silent is: false when bytes, an end or an error are waiting.
  [[nodiscard]] bool is_silent();
  // Whether decrypted or buffered bytes can be read without touching the socket.
  [[nodiscard]] bool has_buffered_input() const noexcept;

  // Ends our direction in order: close_notify, then FIN. The other direction stays readable. Never blocks.
  void shutdown_write() noexcept;
  // Closes now. Whoever waits is woken with failed. Safe to call at any time, more than once.
  void abort() noexcept;
  [[nodiscard]] bool is_open() const noexcept;

  // The deadline of whatever goes on or comes next; it stays until changed. Reading and writing do not move it.
  void expire_at(MonotonicTime when) { deadline_.expire_at(when); }
  void expire_after(std::chrono::milliseconds from_now) { deadline_.expire_after(from_now); }
  void never_expire() noexcept { deadline_.disarm(); }

  [[nodiscard]] bool is_tls() const noexcept { return ssl_ != nullptr; }
  // "TLSv1.3", or empty. Static storage.
  [[nodiscard]] std::string_view tls_version() const noexcept;
  // The SNI name that the client sent and we accepted; empty without.
  [[nodiscard]] std::string_view server_name() const noexcept;
  [[nodiscard]] bool tls_resumed() const noexcept;

  [[nodiscard]] DeadlineWheel& wheel() noexcept { return wheel_; }
  [[nodiscard]] Executor executor() noexcept { return socket_.get_executor(); }
  [[nodiscard]] int native_handle() noexcept { return socket_.native_handle(); }

 private:
  enum class Direction { read, write };
  // Waits for the socket; false when it was aborted or timed out.
  [[nodiscard]] Task<bool> wait(Direction direction);
  [[nodiscard]] IoResult ssl_outcome(int returned) noexcept;
  [[nodiscard]] IoResult closed_outcome() const noexcept;

  Socket socket_;
  DeadlineWheel& wheel_;
  Deadline deadline_;
  ssl_st* ssl_ = nullptr;
  bool timed_out_ = false;
  bool wants_write_for_read_ = false;  // TLS: the last read could not go on before a write (key update)
  bool wants_read_for_write_ = false;
  bool tls_failed_ = false;            // no close_notify after a fatal TLS error (SSL_shutdown forbids it)
};

}  // namespace sallyport::transport
