// A server that does exactly what the test says, byte by byte, on real loopback sockets. One thread per connection.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sallyport::testing {

// The server's end of one connection. Every call gives up after ten seconds.
class Peer {
 public:
  Peer(int socket, SSL_CTX* tls) : socket_(socket) {
    const timeval limit{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls == nullptr) return;
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, socket_);
    handshake_done_ = SSL_accept(ssl_) == 1;
  }
  ~Peer() {
    SSL_free(ssl_);
    close();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Up to and with the empty line. Shorter when the gateway ended first.
  std::string read_head() {
    while (input_.find("\r\n\r\n") == std::string::npos && fill()) {
    }
    const std::size_t end = input_.find("\r\n\r\n");
    return take(end == std::string::npos ? input_.size() : end + 4);
  }
  std::string read_exactly(std::size_t bytes) {
    while (input_.size() < bytes && fill()) {
    }
    return take(std::min(bytes, input_.size()));
  }
  // Everything until the gateway ends.
  std::string read_to_end() {
    while (fill()) {
    }
    return take(input_.size());
  }
  // False when the gateway did not take it all.
  bool write(std::string_view bytes) {
    while (!bytes.empty()) {
      const long sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                        : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // TLS: the records that write() would send, for a script that sends them in parts.
  std::string seal(std::string_view bytes) {
    BIO* const sealed = BIO_new(BIO_s_mem());
    SSL_set0_wbio(ssl_, sealed);
    SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    char* data = nullptr;
    const long size = BIO_get_mem_data(sealed, &data);
    std::string records(data, static_cast<std::size_t>(size));
    SSL_set0_wbio(ssl_, BIO_new_socket(socket_, BIO_NOCLOSE));
    return records;
  }
  // TLS: bytes as they are.
  void write_sealed(std::string_view records) { ::send(socket_, records.data(), records.size(), MSG_NOSIGNAL); }
  // Whether nothing comes for that long.
  bool is_silent(std::chrono::milliseconds time) {
    pollfd waiting{socket_, POLLIN, 0};
    return input_.empty() && ::poll(&waiting, 1, static_cast<int>(time.count())) == 0;
  }
  // As many bytes as the connection takes without anyone reading at the other end, at most `bytes_max`.
  std::size_t write_until_blocked(std::size_t bytes_max) {
    const timeval limit{0, 300'000};
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const std::string block(64 * 1024, 'x');
    std::size_t done = 0;
    while (done < bytes_max) {
      const ssize_t sent = ::send(socket_, block.data(), std::min(block.size(), bytes_max - done), MSG_NOSIGNAL);
      if (sent <= 0) break;
      done += static_cast<std::size_t>(sent);
    }
    const timeval patient{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patient, sizeof patient);
    return done;
  }
  // TLS: ends in order. Without it close() is a truncation.
  void close_notify() {
    if (ssl_ != nullptr) SSL_shutdown(ssl_);
  }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void reset() {
    const linger hard{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  [[nodiscard]] bool handshake_done() const { return handshake_done_; }
  [[nodiscard]] std::string server_name() const {
    const char* name = ssl_ == nullptr ? nullptr : SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }

 private:
  bool fill() {
    char bytes[64 * 1024];
    const long got = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes) : ::recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  std::string take(std::size_t bytes) {
    std::string taken = input_.substr(0, bytes);
    input_.erase(0, bytes);
    return taken;
  }

  int socket_;
  SSL* ssl_ = nullptr;
  bool handshake_done_ = false;
  std::string input_;
};

class ScriptedUpstream {
 public:
  using Script = std::function<void(Peer&)>;

  // The n-th connection is served by the n-th script, later ones by the last.
  explicit ScriptedUpstream(std::vector<Script> scripts, SSL_CTX* tls = nullptr) : scripts_(std::move(scripts)), tls_(tls) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0)
      throw std::runtime_error("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~ScriptedUpstream() { stop(); }
  ScriptedUpstream(const ScriptedUpstream&) = delete;
  ScriptedUpstream& operator=(const ScriptedUpstream&) = delete;

  // Waits until every connection that was made has been served and every script has ended.
  void stop() {
    if (!acceptor_.joinable()) return;
    // A last connection of our own: whatever came before it is accepted before it.
    const int last = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    ::bind(last, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(last, reinterpret_cast<sockaddr*>(&address), &size);
    last_port_ = ntohs(address.sin_port);
    sockaddr_in target = loopback(port_);
    ::connect(last, reinterpret_cast<sockaddr*>(&target), sizeof target);
    acceptor_.join();
    ::close(last);
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void accept_all() {
    for (;;) {
      sockaddr_in client{};
      socklen_t size = sizeof client;
      const int socket = ::accept4(listener_, reinterpret_cast<sockaddr*>(&client), &size, SOCK_CLOEXEC);
      if (socket < 0 || ntohs(client.sin_port) == last_port_) {
        if (socket >= 0) ::close(socket);
        return;
      }
      const auto index = std::min(static_cast<std::size_t>(connections_++), scripts_.size() - 1);
      threads_.emplace_back([this, socket, index] {
        Peer peer(socket, tls_);
        scripts_[index](peer);
      });
    }
  }

  std::vector<Script> scripts_;
  SSL_CTX* tls_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> last_port_ = 0;
  std::atomic<int> connections_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> threads_;
};

// A port of the loopback on which nobody listens, as long as *this lives.
class ClosedPort {
 public:
  ClosedPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0) throw std::runtime_error("bind");
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~ClosedPort() { ::close(socket_); }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

}  // namespace sallyport::testing
