// A real redis-server of the test's own: a free port of the loopback, a folder of its own, stopped with the test.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/test_certificates.hpp"

namespace sallyport::test {

// Where it is; empty: this machine has none, and what needs it is skipped with a message.
inline std::string redis_server_program() {
  for (const char* path : {"/usr/bin/redis-server", "/usr/local/bin/redis-server"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return "";
}

// A blocking client that says what the test wants to have said. Every call gives up after ten seconds.
class RedisTalk {
 public:
  explicit RedisTalk(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RedisTalk() { ::close(socket_); }
  RedisTalk(const RedisTalk&) = delete;
  RedisTalk& operator=(const RedisTalk&) = delete;
  [[nodiscard]] bool connected() const { return connected_; }

  // The reply as text: "OK", "-ERR …", "7", a bulk string's bytes, "(nil)"; an array's elements, one a line. "(none)": no reply.
  std::string say(std::vector<std::string> words) {
    std::string command = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) command += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    if (!connected_ || ::send(socket_, command.data(), command.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(command.size()))
      return "(none)";
    return reply();
  }

 private:
  bool fill() {
    char bytes[16 * 1024];
    const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  std::string line() {
    std::size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos) {
      if (!fill()) return "(none)";
    }
    std::string text = input_.substr(0, end);
    input_.erase(0, end + 2);
    return text;
  }
  std::string reply() {
    const std::string head = line();
    if (head == "(none)" || head.empty()) return "(none)";
    const std::string rest = head.substr(1);
    if (head[0] == '-') return head;
    if (head[0] == '+' || head[0] == ':') return rest;
    const long count = std::stol(rest);
    if (count < 0) return "(nil)";
    if (head[0] == '$') {
      while (input_.size() < static_cast<std::size_t>(count) + 2) {
        if (!fill()) return "(none)";
      }
      std::string text = input_.substr(0, static_cast<std::size_t>(count));
      input_.erase(0, static_cast<std::size_t>(count) + 2);
      return text;
    }
    std::string all;
    for (long i = 0; i < count; ++i) all += (i == 0 ? "" : "\n") + reply();
    return all;
  }

  int socket_;
  bool connected_ = false;
  std::string input_;
};

class RedisServer {
 public:
  // `options` as on redis-server's command line: {"--appendonly", "yes"}.
  explicit RedisServer(std::vector<std::string> options = {}) : options_(std::move(options)) {
    constexpr int kAttempts = 5;  // between our look for a free port and the server's start another may take it
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      port_ = free_port();
      if (try_start()) return;
    }
    throw std::runtime_error("redis-server does not start");
  }
  ~RedisServer() { kill(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }
  // Also of what is given at the next start().
  std::vector<std::string>& options() { return options_; }

  // As a crash: nothing is written any more.
  void kill() { end(SIGKILL); }
  // In order.
  void stop() { end(SIGTERM); }
  // Again, on the same port and with the same data.
  void start() {
    if (!try_start()) throw std::runtime_error("redis-server does not start again");
  }
  // It hangs: connections stay, nothing is answered.
  void freeze() { ::kill(process_, SIGSTOP); }
  void thaw() { ::kill(process_, SIGCONT); }

  // One command on a connection of its own. With a password: see RedisTalk.
  std::string say(std::vector<std::string> words) const {
    RedisTalk talk(port_);
    return talk.say(std::move(words));
  }
  // How many connections it has but for the one that asks.
  [[nodiscard]] int connections() const {
    const std::string info = say({"INFO", "clients"});
    const std::size_t at = info.find("connected_clients:");
    return at == std::string::npos ? -1 : std::stoi(info.substr(at + 18)) - 1;
  }

 private:
  static std::uint16_t free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    ::close(socket);
    if (!bound) throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
  }

  bool try_start() {
    std::vector<std::string> words{redis_server_program(),
                                   "--port",
                                   std::to_string(port_),
                                   "--bind",
                                   "127.0.0.1",
                                   "--save",
                                   "",
                                   "--dir",
                                   folder_.file(""),
                                   "--daemonize",
                                   "no",
                                   "--logfile",
                                   folder_.file("redis.log")};
    words.insert(words.end(), options_.begin(), options_.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ == 0) {
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < patience) {
      if (::waitpid(process_, nullptr, WNOHANG) == process_) {
        process_ = -1;
        return false;
      }
      const std::string answer = say({"PING"});
      if (answer == "PONG" || answer.starts_with("-NOAUTH")) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    kill();
    return false;
  }

  void end(int signal) {
    if (process_ <= 0) return;
    ::kill(process_, signal);
    if (signal != SIGKILL) ::kill(process_, SIGCONT);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

  TemporaryFolder folder_;
  std::vector<std::string> options_;
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

}  // namespace sallyport::test
