#include "connection.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace sallyport::load {
namespace {

constexpr std::size_t kHeadBytesMax = 16 * 1024;

int connect_to(std::uint16_t port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (descriptor < 0 || ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (descriptor >= 0) ::close(descriptor);
    throw std::runtime_error("cannot connect");
  }
  const int yes = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return descriptor;
}

// The value of Content-Length; every answer here has one.
std::uint64_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\ncontent-length:";
  for (std::size_t at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1)) {
    if (head.size() - at < kName.size() || ::strncasecmp(head.data() + at, kName.data(), kName.size()) != 0) continue;
    const char* from = head.data() + at + kName.size();
    while (*from == ' ') ++from;
    std::uint64_t length = 0;
    std::from_chars(from, head.data() + head.size(), length);
    return length;
  }
  throw std::runtime_error("an answer without Content-Length");
}

}  // namespace

Context make_context() {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

Connection::Connection(std::uint16_t port, SSL_CTX* context, SSL_SESSION* session) : descriptor_(connect_to(port)) {
  if (context == nullptr) {
    state_ = State::idle;
    return;
  }
  ssl_.reset(SSL_new(context));
  SSL_set_fd(ssl_.get(), descriptor_);
  SSL_set_tlsext_host_name(ssl_.get(), "localhost");
  if (session != nullptr) SSL_set_session(ssl_.get(), session);
  SSL_set_connect_state(ssl_.get());
}

Connection::~Connection() { ::close(descriptor_); }

Connection::State Connection::advance() {
  if (state_ == State::handshaking) {
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) {
      state_ = State::idle;
    } else if (outcome(done) < 0) {
      state_ = State::failed;
    }
  } else if (state_ == State::busy) {
    if (write_request()) read_answer();
  } else if (state_ == State::idle) {
    // Tickets, or the end. Bytes nobody asked for are a fault.
    char byte = 0;
    if (read_some(&byte, 1) != 0) state_ = State::failed;
  }
  return state_;
}

Connection::State Connection::send(std::string_view request) {
  unsent_ = request;
  state_ = State::busy;
  head_.clear();
  in_body_ = false;
  write_request();
  return state_;
}

void Connection::close_notify() noexcept {
  if (ssl_ && state_ != State::failed) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

int Connection::outcome(int result) const noexcept {
  if (result > 0) return result;
  if (!ssl_) return result < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
  const int error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

int Connection::read_some(char* to, int size) noexcept {
  return outcome(ssl_ ? SSL_read(ssl_.get(), to, size) : static_cast<int>(::recv(descriptor_, to, static_cast<std::size_t>(size), 0)));
}

int Connection::write_some(const char* from, int size) noexcept {
  return outcome(ssl_ ? SSL_write(ssl_.get(), from, size)
                      : static_cast<int>(::send(descriptor_, from, static_cast<std::size_t>(size), MSG_NOSIGNAL)));
}

// Whether all of it is sent.
bool Connection::write_request() noexcept {
  while (!unsent_.empty()) {
    const int sent = write_some(unsent_.data(), static_cast<int>(unsent_.size()));
    if (sent < 0) state_ = State::failed;
    if (sent <= 0) return false;
    unsent_.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Connection::read_answer() {
  std::array<char, 16 * 1024> piece;
  while (state_ == State::busy) {
    const int size = read_some(piece.data(), static_cast<int>(piece.size()));
    if (size < 0) state_ = State::failed;
    if (size <= 0) return;
    take({piece.data(), static_cast<std::size_t>(size)});
  }
}

void Connection::take(std::string_view bytes) {
  if (!in_body_) {
    head_ += bytes;
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (head_.size() > kHeadBytesMax) state_ = State::failed;
      return;
    }
    const std::string_view head = std::string_view(head_).substr(0, end);
    status_ = head.size() < 12 ? 0 : std::atoi(head_.c_str() + 9);
    body_left_ = content_length(head);
    in_body_ = true;
    bytes = std::string_view(head_).substr(end + 4);
  }
  if (bytes.size() > body_left_) {
    state_ = State::failed;  // nobody asked for that
    return;
  }
  body_left_ -= bytes.size();
  if (body_left_ == 0) state_ = State::idle;
}

Poller::Poller() : descriptor_(::epoll_create1(EPOLL_CLOEXEC)) {}
Poller::~Poller() { ::close(descriptor_); }

void Poller::add(Connection& connection) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &connection;
  if (::epoll_ctl(descriptor_, EPOLL_CTL_ADD, connection.descriptor(), &event) != 0) throw std::runtime_error("epoll_ctl");
}

const std::vector<Connection*>& Poller::wait(Moment until) {
  const auto left = std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(until - std::chrono::steady_clock::now()));
  const timespec patience{.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
  std::array<epoll_event, 256> events;
  const int count = ::epoll_pwait2(descriptor_, events.data(), static_cast<int>(events.size()), &patience, nullptr);
  ready_.clear();
  for (int i = 0; i < count; ++i) ready_.push_back(static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
  return ready_;
}

}  // namespace sallyport::load
