// A blocking client for tests: raw bytes over a real loopback connection, with a time limit on every read.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace sallyport::testing {

class SocketClient {
 public:
  explicit SocketClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ADD_FAILURE() << "cannot connect to port " << port;
  }
  SocketClient(const SocketClient&) = delete;
  SocketClient& operator=(const SocketClient&) = delete;
  ~SocketClient() { close(); }

  // False when the peer is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Reads until the collected text ends with `ending`, the peer closes, or the time limit.
  std::string read_until(std::string_view ending) {
    std::string text;
    char byte = 0;
    while (!text.ends_with(ending) && ::recv(fd_, &byte, 1, 0) == 1) text += byte;
    return text;
  }

  // Everything until the peer closes; `closed` tells an end from the time limit.
  std::string read_to_end() {
    std::string text;
    char bytes[4096];
    for (;;) {
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got > 0) {
        text.append(bytes, static_cast<std::size_t>(got));
        continue;
      }
      closed_ = got == 0;
      reset_ = got < 0 && errno == ECONNRESET;
      return text;
    }
  }

  // Whether the last read_to_end() met an orderly end, or a reset.
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] bool reset() const { return reset_; }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool closed_ = false;
  bool reset_ = false;
};

}  // namespace sallyport::testing
