#include "app/admin_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "base/secret.hpp"
#include "http/response_parser.hpp"

namespace sallyport::app {
namespace {

constexpr timeval kPatience{5, 0};  // of each call
constexpr std::size_t kAnswerBytesMax = 1024 * 1024;

class Connection {
 public:
  explicit Connection(int family) : socket_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  }
  ~Connection() {
    if (socket_ >= 0) ::close(socket_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] bool connect(const sockaddr* address, socklen_t size) const { return ::connect(socket_, address, size) == 0; }
  [[nodiscard]] bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // Everything until the other side ends; empty when it does not.
  [[nodiscard]] std::string receive() const {
    std::string text;
    char piece[16 * 1024];
    while (text.size() <= kAnswerBytesMax) {
      const ssize_t size = ::recv(socket_, piece, sizeof piece, 0);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return {};
      if (size == 0) return text;
      text.append(piece, static_cast<std::size_t>(size));
    }
    return {};
  }

 private:
  int socket_;
};

// An address that is listened to on every interface is reached by this machine's own.
bool connect_to(const AdminSettings& admin, std::optional<Connection>& connection) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(admin.port);
  if (::inet_pton(AF_INET, admin.host.c_str(), &v4.sin_addr) == 1) {
    if (v4.sin_addr.s_addr == htonl(INADDR_ANY)) v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection.emplace(AF_INET);
    return connection->connect(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(admin.port);
  if (::inet_pton(AF_INET6, admin.host.c_str(), &v6.sin6_addr) != 1) return false;
  if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr)) v6.sin6_addr = in6addr_loopback;
  connection.emplace(AF_INET6);
  return connection->connect(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

Error no_answer() { return make_error(Fault::unavailable, "whoever listens at the admin address gave no answer"); }

Result<AdminAnswer> read_answer(const std::string& text) {
  http::ResponseParser parser;
  http::ResponseHead head;
  const http::ResponseOutcome outcome = parser.parse(text, http::Method::post, head);
  const auto* parsed = std::get_if<http::HeadParsed>(&outcome);
  if (parsed == nullptr) return no_answer();
  AdminAnswer answer{head.status, text.substr(parsed->bytes)};
  if (head.framing == http::Framing::length && answer.body.size() != head.content_length) return no_answer();
  if (head.framing == http::Framing::chunked) return no_answer();  // a gateway's admin listener knows the length
  return answer;
}

}  // namespace

Result<AdminAnswer> post_to_admin(const AdminSettings& admin, std::string_view path, std::string_view document) {
  std::string authorization;
  if (admin.token_file) {
    const Result<Secret> token = read_secret_file(*admin.token_file);
    if (!token) return make_error(token.error().fault, *admin.token_file + ": " + token.error().detail);
    authorization =
        fmt::format("Authorization: Bearer {}\r\n", std::string_view(reinterpret_cast<const char*>(token->reveal().data()), token->size()));
  }
  std::optional<Connection> connection;
  if (!connect_to(admin, connection)) {
    return make_error(Fault::unavailable, fmt::format("nobody listens at the admin address {}:{}", admin.host, admin.port));
  }
  const std::string request = fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", path,
      authorization, document.size(), document);
  if (!connection->send(request)) return no_answer();
  return read_answer(connection->receive());
}

}  // namespace sallyport::app
