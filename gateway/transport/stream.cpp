#include "transport/stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "transport/tls_context.hpp"

namespace sallyport::transport {
namespace {

using Direction = Readiness::Direction;
using Role = Readiness::Role;

int clamp_to_int(std::size_t size) noexcept { return size > INT_MAX ? INT_MAX : static_cast<int>(size); }

// From Asio to us: its epoll must not wake for this socket too.
int take_descriptor(Socket& socket) {
  socket.non_blocking(true);
  return socket.release();
}

class DescriptorGuard {
 public:
  explicit DescriptorGuard(int descriptor) : descriptor_(descriptor) {}
  ~DescriptorGuard() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  DescriptorGuard(const DescriptorGuard&) = delete;
  DescriptorGuard& operator=(const DescriptorGuard&) = delete;
  int keep() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

// What others have left in the thread's queue would be taken for an error of the next TLS call. Looks first: clearing goes through all
// sixteen places of a queue that is empty nearly always.
void clear_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

bool is_ip_address(const std::string& host) {
  ASN1_OCTET_STRING* address = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(address);
  return address != nullptr;
}

}  // namespace

// A BIO over a Stream: OpenSSL's own socket BIO would call write(), which raises SIGPIPE, and would try reads that cannot succeed.
struct Stream::SocketBio {
  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sallyport stream");
      BIO_meth_set_read_ex(m, &SocketBio::read);
      BIO_meth_set_write_ex(m, &SocketBio::write);
      BIO_meth_set_ctrl(m, &SocketBio::control);
      return m;
    }();
    return made;
  }

  static Stream& stream(BIO* bio) { return *static_cast<Stream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, std::size_t size, std::size_t* read_bytes) {
    BIO_clear_retry_flags(bio);
    Stream& self = stream(bio);
    if (self.handshake_messages_ > kHandshakeMessagesMax) return 0;
    if (!self.readiness_.may_read()) {
      BIO_set_retry_read(bio);
      return 0;
    }
    const IoResult result = self.receive({into, size});
    *read_bytes = result.bytes;
    if (result.status == IoStatus::would_block) BIO_set_retry_read(bio);
    return result.ok() ? 1 : 0;
  }

  static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
    BIO_clear_retry_flags(bio);
    const IoResult result = stream(bio).send({bytes, size});
    *written = result.bytes;
    if (result.status == IoStatus::would_block) BIO_set_retry_write(bio);
    return result.ok() ? 1 : 0;
  }

  static long control(BIO* bio, int command, long /*number*/, void* /*argument*/) {
    switch (command) {
      case BIO_CTRL_FLUSH: return 1;  // nothing is kept back
      case BIO_CTRL_EOF: return stream(bio).at_end_ ? 1 : 0;
      default: return 0;
    }
  }
};

Stream::Stream(Socket socket, DeadlineWheel& wheel)
    : Stream(static_cast<boost::asio::io_context&>(socket.get_executor().context()), take_descriptor(socket), wheel) {}

Stream::Stream(boost::asio::io_context& context, int socket, DeadlineWheel& wheel) try
    : context_(context),
      wheel_(wheel),
      socket_(socket),
      readiness_(context, socket),
      deadline_(
          wheel,
          [](void* self) {
            auto& stream = *static_cast<Stream*>(self);
            stream.timed_out_ = true;
            stream.readiness_.wake_all();
          },
          this) {
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on what is not TCP, where it is not needed
} catch (...) {
  ::close(socket);
  throw;
}

Stream::~Stream() {
  if (ssl_ != nullptr) {
    // An owner that closes without a close_notify is no fault of the session's, which stays good for resumption.
    if (!tls_failed_) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl_);
  }
  abort();
}

IoResult Stream::receive(std::span<char> into) noexcept {
  for (;;) {
    const ssize_t received = ::recv(socket_, into.data(), into.size(), MSG_DONTWAIT);
    if (received > 0) {
      const auto bytes = static_cast<std::size_t>(received);
      if (bytes < into.size()) readiness_.note_short_read();
      return {IoStatus::ok, bytes};
    }
    if (received == 0) {
      at_end_ = true;
      return {IoStatus::closed};
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readiness_.note_read_would_block();
      return {IoStatus::would_block};
    }
    return {IoStatus::failed};
  }
}

IoResult Stream::send(std::span<const char> bytes) noexcept {
  if (may_defer_ && unsent_.empty() && readiness_.outbox().takes(bytes.size())) {
    readiness_.outbox().put(*this, bytes);
    is_deferred_ = true;
    return {IoStatus::ok, bytes.size()};
  }
  const IoStatus before = send_what_was_taken();
  return before == IoStatus::ok ? send_now(bytes) : IoResult{before};
}

IoStatus Stream::send_what_was_taken() noexcept {
  if (std::exchange(is_deferred_, false)) readiness_.outbox().send_of(*this);
  if (is_open() && !unsent_.empty()) send_unsent();
  if (!is_open()) return IoStatus::failed;
  return unsent_.empty() ? IoStatus::ok : IoStatus::would_block;
}

std::size_t Stream::send_what_fits(std::span<const char> bytes) noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const IoResult sent = send_now(bytes.subspan(done));
    if (sent.status == IoStatus::failed) abort();
    if (!sent.ok()) break;
    done += sent.bytes;
  }
  return done;
}

void Stream::send_deferred(std::span<const char> bytes) noexcept {
  is_deferred_ = false;
  if (!is_open()) return;
  const std::span<const char> rest = bytes.subspan(unsent_.empty() ? send_what_fits(bytes) : 0);
  if (rest.empty() || !is_open()) return;
  try {
    unsent_.append(rest.data(), rest.size());
  } catch (...) {
    return abort();  // no memory: better no answer than a part of one
  }
  wait_to_send();
}

void Stream::wait_to_send() noexcept {
  try {
    readiness_.when_writable([this] {
      if (!unsent_.empty()) send_unsent();
    });
  } catch (...) {
    abort();
  }
}

void Stream::send_unsent() noexcept {
  unsent_.erase(0, send_what_fits(unsent_));
  if (!is_open()) return;
  if (!unsent_.empty()) return wait_to_send();
  unsent_ = {};
  if (write_shut_) end_direction();
}

IoResult Stream::send_now(std::span<const char> bytes) noexcept {
  for (;;) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return {IoStatus::ok, static_cast<std::size_t>(sent)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readiness_.note_write_would_block();
      return {IoStatus::would_block};
    }
    return {IoStatus::failed};
  }
}

void Stream::on_tls_message(int is_write, int /*version*/, int type, const void* /*bytes*/, std::size_t /*size*/, ssl_st*, void* self) {
  Stream& stream = *static_cast<Stream*>(self);
  if (is_write == 0 && type == SSL3_RT_HANDSHAKE && stream.handshake_done_) ++stream.handshake_messages_;
}

Result<void> Stream::start_tls(ssl_ctx_st* context) {
  ERR_clear_error();
  ssl_ = SSL_new(context);
  BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(SocketBio::method());
  if (bio == nullptr) return make_error(Fault::internal, take_openssl_error());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_msg_callback(ssl_, &Stream::on_tls_message);
  SSL_set_msg_callback_arg(ssl_, this);
  return {};
}

Task<Result<void>> Stream::accept_tls(ssl_ctx_st* context) {
  const Result<void> started = start_tls(context);
  if (!started) co_return started.error();
  SSL_set_accept_state(ssl_);
  co_return co_await handshake();
}

Task<Result<void>> Stream::connect_tls(ssl_ctx_st* context, std::string server_name) {
  const Result<void> started = start_tls(context);
  if (!started) co_return started.error();
  SSL_set_connect_state(ssl_);
  bool named = false;
  if (is_ip_address(server_name)) {
    named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), server_name.c_str()) == 1;
  } else {
    // An empty name would switch the check off: it must be refused, not passed on.
    const bool usable = !server_name.empty() && server_name.find('\0') == std::string::npos;
    named = usable && SSL_set1_host(ssl_, server_name.c_str()) == 1 && SSL_set_tlsext_host_name(ssl_, server_name.c_str()) == 1;
  }
  if (!named) co_return make_error(Fault::malformed, "no name that a certificate could carry");
  co_return co_await handshake();
}

Task<Result<void>> Stream::handshake() {
  for (;;) {
    if (!is_open()) co_return make_error(Fault::broken, "aborted");
    if (timed_out_) co_return make_error(Fault::timed_out, "the TLS handshake did not end in time");
    readiness_.outbox().send_all();  // nobody waits for a signature of ours
    ERR_clear_error();
    const int returned = SSL_do_handshake(ssl_);
    if (returned == 1) {
      handshake_done_ = true;
      co_return Result<void>{};
    }
    const int error = SSL_get_error(ssl_, returned);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) co_return handshake_failure();
    Readiness::Wait wait = readiness_.wait(Role::reader, error == SSL_ERROR_WANT_READ ? Direction::read : Direction::write);
    co_await std::move(wait);
  }
}

Result<void> Stream::handshake_failure() {
  tls_failed_ = true;
  const long verdict = SSL_get_verify_result(ssl_);
  std::string reason = take_openssl_error();
  if (verdict != X509_V_OK) return make_error(Fault::mismatch, X509_verify_cert_error_string(verdict));
  if (at_end_) return make_error(Fault::closed, "the peer went away during the TLS handshake");
  return make_error(Fault::broken, reason.empty() ? "the connection was lost during the TLS handshake" : std::move(reason));
}

IoResult Stream::ssl_outcome(int returned, Direction& blocked_on) noexcept {
  const int error = SSL_get_error(ssl_, returned);
  switch (error) {
    case SSL_ERROR_WANT_READ: blocked_on = Direction::read; return {IoStatus::would_block};
    case SSL_ERROR_WANT_WRITE: blocked_on = Direction::write; return {IoStatus::would_block};
    case SSL_ERROR_ZERO_RETURN: return {IoStatus::closed};
    default: break;
  }
  tls_failed_ = true;
  ERR_clear_error();
  return {at_end_ ? IoStatus::truncated : IoStatus::failed};
}

IoResult Stream::read_now(std::span<char> into, Direction& blocked_on) noexcept {
  if (ssl_ == nullptr) {
    blocked_on = Direction::read;
    return receive(into);
  }
  clear_errors();
  const int returned = SSL_read(ssl_, into.data(), clamp_to_int(into.size()));
  if (returned <= 0) return ssl_outcome(returned, blocked_on);
  handshake_messages_ = 0;
  return {IoStatus::ok, static_cast<std::size_t>(returned)};
}

IoResult Stream::write_now(std::span<const char> bytes, Direction& blocked_on) noexcept {
  if (ssl_ == nullptr) {
    blocked_on = Direction::write;
    return send(bytes);
  }
  clear_errors();
  const int returned = SSL_write(ssl_, bytes.data(), clamp_to_int(bytes.size()));
  if (returned <= 0) return ssl_outcome(returned, blocked_on);
  return {IoStatus::ok, static_cast<std::size_t>(returned)};
}

Task<IoResult> Stream::read_some(std::span<char> into) {
  for (;;) {
    if (const IoStatus now = condition(); now != IoStatus::ok) co_return IoResult{now};
    Direction blocked_on = Direction::read;
    if (readiness_.may_read() || has_buffered_input()) {
      if (reads_in_turn_ == kReadsPerTurn) {
        reads_in_turn_ = 0;
        co_await yield_turn(executor());
        continue;
      }
      ++reads_in_turn_;
      const IoResult result = read_now(into, blocked_on);
      if (result.status != IoStatus::would_block) co_return result;
    }
    reads_in_turn_ = 0;
    Readiness::Wait wait = readiness_.wait(Role::reader, blocked_on);
    co_await std::move(wait);
  }
}

Task<IoResult> Stream::peek_more(std::span<char> into, std::size_t seen) {
  for (;;) {
    if (const IoStatus now = condition(); now != IoStatus::ok) co_return IoResult{now};
    const ssize_t waiting = ::recv(socket_, into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
    if (waiting == 0) co_return IoResult{IoStatus::closed};
    if (waiting < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) co_return IoResult{IoStatus::failed};
    if (waiting > 0 && static_cast<std::size_t>(waiting) > seen) {
      readiness_.note_readable();  // it is still there
      co_return IoResult{IoStatus::ok, static_cast<std::size_t>(waiting)};
    }
    readiness_.note_read_would_block();
    Readiness::Wait wait = readiness_.wait(Role::reader, Direction::read);
    co_await std::move(wait);
  }
}

Task<IoResult> Stream::write_all(std::span<const char> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (const IoStatus now = condition(); now != IoStatus::ok) co_return IoResult{now, done};
    Direction blocked_on = Direction::write;
    const IoResult result = write_now(bytes.subspan(done), blocked_on);
    if (result.ok()) {
      done += result.bytes;
      continue;
    }
    if (result.status != IoStatus::would_block) co_return IoResult{result.status, done};
    Readiness::Wait wait = readiness_.wait(Role::writer, blocked_on);
    co_await std::move(wait);
  }
  co_return IoResult{IoStatus::ok, done};
}

IoResult Stream::try_read(std::span<char> into) {
  if (const IoStatus now = condition(); now != IoStatus::ok) return {now};
  read_blocked_on_ = Direction::read;
  if (!readiness_.may_read() && !has_buffered_input()) return {IoStatus::would_block};
  return read_now(into, read_blocked_on_);
}

IoResult Stream::try_write(std::span<const char> bytes) {
  if (const IoStatus now = condition(); now != IoStatus::ok) return {now};
  if (bytes.empty()) return {IoStatus::ok};  // which OpenSSL takes for a failure
  Direction ignored = Direction::write;
  return write_now(bytes, ignored);
}

IoResult Stream::write_soon(std::span<const char> bytes) {
  may_defer_ = true;
  if (bytes.size() <= Outbox::kPieceBytesMax) readiness_.open_outbox();
  const IoResult written = try_write(bytes);
  may_defer_ = false;
  return written;
}

Task<IoStatus> Stream::wait_until_sent() {
  for (;;) {
    if (const IoStatus now = condition(); now != IoStatus::ok) co_return now;
    const IoStatus sent = send_what_was_taken();
    if (sent != IoStatus::would_block) co_return sent;
    Readiness::Wait wait = readiness_.wait(Role::writer, Direction::write);
    co_await std::move(wait);
  }
}

Task<IoStatus> Stream::wait_for_either() {
  if (is_open() && !timed_out_) {
    Readiness::Wait wait = readiness_.wait(Role::writer, Direction::either);
    co_await std::move(wait);
  }
  co_return condition();
}

std::optional<Readiness::Wait> Stream::until_readable() noexcept {
  if (!is_open() || timed_out_) return std::nullopt;
  return readiness_.wait(Role::reader, read_blocked_on_);
}

IoStatus Stream::condition() const noexcept {
  if (!is_open()) return IoStatus::failed;
  return timed_out_ ? IoStatus::timed_out : IoStatus::ok;
}

bool Stream::is_silent() {
  if (!is_open()) return false;
  char byte = 0;
  const ssize_t waiting = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  const bool kernel_is_silent = waiting < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  if (!kernel_is_silent) readiness_.note_readable();  // the kernel has not reported it yet
  if (ssl_ == nullptr) return kernel_is_silent;
  if (kernel_is_silent && !has_buffered_input()) return true;
  if (waiting == 0) return false;
  ERR_clear_error();
  const int returned = SSL_peek(ssl_, &byte, 1);
  Direction ignored = Direction::read;
  return returned <= 0 && ssl_outcome(returned, ignored).status == IoStatus::would_block;
}

bool Stream::has_buffered_input() const noexcept { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

void Stream::shutdown_write() noexcept {
  if (!is_open() || write_shut_) return;
  const IoStatus taken = send_what_was_taken();
  write_shut_ = true;  // from here on send_unsent() ends it
  if (taken == IoStatus::ok) end_direction();
}

void Stream::end_direction() noexcept {
  if (ssl_ != nullptr && !tls_failed_ && handshake_done_) {
    ERR_clear_error();
    if (SSL_shutdown(ssl_) < 0) ERR_clear_error();  // no room for the close_notify: the peer will see the FIN alone
  }
  ::shutdown(socket_, SHUT_WR);
}

void Stream::reset_on_close(bool on) noexcept {
  const linger without_waiting{on ? 1 : 0, 0};
  if (is_open()) ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &without_waiting, sizeof without_waiting);
}

void Stream::abort() noexcept {
  if (std::exchange(is_deferred_, false)) readiness_.outbox().send_of(*this);
  if (socket_ < 0) return;
  deadline_.disarm();
  readiness_.close();
  ::close(std::exchange(socket_, -1));
  readiness_.wake_all();
}

std::string_view Stream::tls_version() const noexcept { return ssl_ == nullptr ? std::string_view{} : SSL_get_version(ssl_); }

std::string_view Stream::server_name() const noexcept {
  const char* name = ssl_ == nullptr ? nullptr : SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view{} : name;
}

bool Stream::tls_resumed() const noexcept { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }

x509_st* Stream::verified_certificate() const noexcept {
  if (ssl_ == nullptr || !handshake_done_ || (SSL_get_verify_mode(ssl_) & SSL_VERIFY_PEER) == 0) return nullptr;
  return SSL_get_verify_result(ssl_) == X509_V_OK ? SSL_get0_peer_certificate(ssl_) : nullptr;
}

}  // namespace sallyport::transport
