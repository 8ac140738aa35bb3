// What the tests of transport/ share: a loop, connected sockets, and a TLS peer that can misbehave.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include <boost/asio/co_spawn.hpp>

#include "support/test_certificates.hpp"
#include "transport/stream.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::test {

using namespace std::chrono_literals;

struct DescriptorPair {
  int ours;
  int peer;
};

// A TCP connection over the loopback, both ends blocking.
inline DescriptorPair connected_tcp(int receive_buffer = 0) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener, generic, size), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, generic, &size), 0);
  const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) ::setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  EXPECT_EQ(::connect(peer, generic, size), 0);
  const int ours = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  EXPECT_GE(ours, 0);
  ::close(listener);
  const timeval patience{20, 0};  // a test that hangs ends with a failure
  ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return {ours, peer};
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return value_; }
  void close() {
    if (value_ >= 0) ::close(std::exchange(value_, -1));
  }
  void shut_write() const { ::shutdown(value_, SHUT_WR); }
  // Ends with a RST.
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(value_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(value_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Until the end, or `limit` bytes.
  [[nodiscard]] std::string read(std::size_t limit = SIZE_MAX) const {
    std::string all;
    char piece[4096];
    while (all.size() < limit) {
      const ssize_t got = ::recv(value_, piece, std::min(sizeof piece, limit - all.size()), 0);
      if (got <= 0) break;
      all.append(piece, static_cast<std::size_t>(got));
    }
    return all;
  }

 private:
  int value_;
};

// One worker's loop. run() drives a coroutine to its end.
struct Loop {
  boost::asio::io_context context{1};
  transport::DeadlineWheel wheel{context, std::chrono::milliseconds(5)};

  void run(Task<void> task) {
    std::exception_ptr failure;
    bool done = false;
    boost::asio::co_spawn(context.get_executor(), std::move(task), [&](std::exception_ptr thrown) {
      failure = thrown;
      done = true;
    });
    context.restart();
    while (!done && context.run_one() > 0) {
    }
    context.poll();  // whoever it woke last
    if (failure) std::rethrow_exception(failure);
    ASSERT_TRUE(done) << "the coroutine waits for ever";
  }
  void spawn(Task<void> task) {
    boost::asio::co_spawn(context.get_executor(), std::move(task), [](std::exception_ptr thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
};

inline Task<void> pause(std::chrono::milliseconds time) {
  const Executor executor = co_await boost::asio::this_coro::executor;
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      executor);
  timer.expires_after(time);
  auto waited = co_await timer.async_wait(as_result);
  (void)waited;
}

inline std::string read_text(transport::IoResult result, std::span<const char> buffer) {
  return result.ok() ? std::string(buffer.data(), result.bytes) : std::string();
}

inline Task<std::string> read_to_end(transport::Stream& stream, transport::IoStatus& last) {
  std::string all;
  std::vector<char> buffer(16 * 1024);
  for (;;) {
    const transport::IoResult result = co_await stream.read_some(buffer);
    last = result.status;
    if (!result.ok()) co_return all;
    all.append(buffer.data(), result.bytes);
  }
}

inline transport::SslContext plain_client_context() {
  transport::SslContext context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_security_level(context.get(), 0);
  return context;
}

// A blocking TLS client for a thread of its own, over memory BIOs: the test decides how its bytes go out.
class TlsPeer {
 public:
  TlsPeer(int descriptor, SSL_CTX* context, std::size_t piece = SIZE_MAX) : descriptor_(descriptor), piece_(piece), ssl_(SSL_new(context)) {
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_);
  }
  ~TlsPeer() { SSL_free(ssl_); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;
  [[nodiscard]] SSL* ssl() const { return ssl_; }

  bool handshake() {
    return drive([this] { return SSL_do_handshake(ssl_); }) == 1;
  }
  bool write(std::string_view bytes) {
    return drive([&] { return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }) > 0;
  }
  // One record's worth; empty at the end or after a failure.
  std::string read() {
    std::string into(16 * 1024, '\0');
    const int got = drive([&] { return SSL_read(ssl_, into.data(), static_cast<int>(into.size())); });
    into.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return into;
  }
  int drive(const std::function<int()>& step) {
    for (;;) {
      ERR_clear_error();
      const int returned = step();
      const int error = SSL_get_error(ssl_, returned);
      if (!flush()) return -1;
      if (error != SSL_ERROR_WANT_READ) return returned;
      if (!fill()) return -1;
    }
  }
  bool flush() {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_), &bytes);
    std::string_view rest(bytes, static_cast<std::size_t>(size));
    while (!rest.empty()) {
      const ssize_t sent = ::send(descriptor_, rest.data(), std::min(piece_, rest.size()), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    (void)BIO_reset(SSL_get_wbio(ssl_));
    return true;
  }

 private:
  bool fill() {
    char piece[4096];
    const ssize_t got = ::recv(descriptor_, piece, sizeof piece, 0);
    if (got <= 0) return false;
    BIO_write(SSL_get_rbio(ssl_), piece, static_cast<int>(got));
    return true;
  }
  int descriptor_;
  std::size_t piece_;
  SSL* ssl_;
};

}  // namespace sallyport::test
