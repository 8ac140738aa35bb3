#include "listen/listener.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sallyport::listen {
namespace {

constexpr int kBacklog = 4096;

int open_reserve() noexcept { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::uint64_t client_descriptor_end() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
  return limit.rlim_cur - limit.rlim_cur / Listener::kReservedShare;
}

Error listen_error(const SocketAddress& address) {
  return make_error(Fault::unavailable, "cannot listen on " + address.text() + ": " + std::strerror(errno));
}

}  // namespace

// One live connection, in the frame of its coroutine.
struct Listener::Connection {
  Connection(Listener& owner, UniqueDescriptor socket, const SocketAddress& address)
      : listener(owner), stream(owner.worker_.context, socket.release(), owner.worker_.wheel), address_text(address.host_text()) {
    peer.listener = owner.shared_->settings().name;
    peer.address = address_text;
    peer.port = address.port();
    next = owner.first_;
    if (next != nullptr) next->previous = this;
    owner.first_ = this;
    ++owner.live_count_;
    owner.worker_.metrics.connection_opened(peer.listener);
  }
  ~Connection() {
    listener.worker_.metrics.connection_closed(peer.listener);
    (previous != nullptr ? previous->next : listener.first_) = next;
    if (next != nullptr) next->previous = previous;
    --listener.live_count_;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Listener& listener;
  transport::Stream stream;
  std::string address_text;
  http::Peer peer;
  http::SessionState state;
  Connection* previous = nullptr;
  Connection* next = nullptr;
};

Listener::Listener(std::shared_ptr<SharedListener> shared, ListenerContext worker)
    : shared_(std::move(shared)),
      worker_(std::move(worker)),
      session_{worker_.handler, shared_->settings().limits, shared_->settings().timeouts, worker_.draining, worker_.clock},
      descriptor_end_(client_descriptor_end()),
      pause_timer_(worker_.context.get_executor()),
      drain_deadline_(worker_.wheel, &Listener::on_drain_deadline, this),
      tasks_(worker_.context, [this](std::string_view what) { worker_.log.event(observe::Level::error, "connection_failed", what); }) {}

Listener::~Listener() = default;

Result<std::unique_ptr<Listener>> Listener::bind(std::shared_ptr<SharedListener> shared, ListenerContext worker) {
  Result<SocketAddress> address = SocketAddress::parse(shared->settings().host, shared->port());
  if (!address) return address.error();
  Result<UniqueDescriptor> socket = bind_tcp(*address, Share::yes);
  if (!socket) return socket.error();
  if (::listen(socket->get(), kBacklog) != 0) return listen_error(*address);
  SocketAddress bound;
  if (::getsockname(socket->get(), bound.generic(), &bound.size) != 0) return listen_error(*address);
  shared->set_port(bound.port());
  std::unique_ptr<Listener> made(new Listener(std::move(shared), std::move(worker)));
  made->socket_ = std::move(*socket);
  made->reserve_ = UniqueDescriptor(open_reserve());
  return made;
}

void Listener::start() {
  if (accepting_) return;
  accepting_ = true;
  readiness_.emplace(worker_.context, socket_.get());
  tasks_.spawn(accept_loop());
}

void Listener::stop_accepting() noexcept {
  accepting_ = false;
  if (readiness_) {
    readiness_->close();
    readiness_->wake_all();
  }
  socket_.reset();
  pause_timer_.cancel();
}

void Listener::drain(MonotonicTime deadline) {
  stop_accepting();
  if (!drained_idle_) {
    drained_idle_ = true;
    for (Connection* connection = first_; connection != nullptr; connection = connection->next) {
      if (!connection->state.idle) continue;
      connection->stream.shutdown_write();
      connection->stream.abort();
    }
  }
  if (deadline <= worker_.clock.monotonic_now()) {
    drain_deadline_.disarm();
    abort_all();
  } else {
    drain_deadline_.expire_at(deadline);
  }
}

void Listener::abort_all() noexcept {
  for (Connection* connection = first_; connection != nullptr; connection = connection->next) connection->stream.abort();
}

Task<void> Listener::accept_loop() {
  while (accepting_) {
    Accepted last = Accepted::one;
    for (std::size_t i = 0; i < kAcceptsPerRound && accepting_ && last == Accepted::one; ++i) last = accept_one();
    if (!accepting_) break;
    if (last == Accepted::cannot) {
      refuse_for_want_of_descriptors();
      co_await pause();
      continue;
    }
    short_of_descriptors_ = false;
    // At once when more are waiting, by way of the loop.
    transport::Readiness::Wait wait = readiness_->wait(transport::Readiness::Role::reader, transport::Readiness::Direction::read);
    co_await std::move(wait);
  }
}

Listener::Accepted Listener::accept_one() {
  SocketAddress peer;
  UniqueDescriptor socket(::accept4(socket_.get(), peer.generic(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) {
    admit(std::move(socket), peer);
    return Accepted::one;
  }
  switch (errno) {
    case EAGAIN: readiness_->note_read_would_block(); return Accepted::none_left;
    // The connection's own fault, a signal, or a network that is down for a moment (accept(2)): the next one may be better.
    case ECONNABORTED:
    case EINTR:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case ENONET:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ETIMEDOUT: return Accepted::one;
    default: return Accepted::cannot;  // EMFILE, ENFILE, ENOBUFS, ENOMEM: ours
  }
}

void Listener::admit(UniqueDescriptor socket, const SocketAddress& peer) {
  SharedListener::Slot slot;
  if (static_cast<std::uint64_t>(socket.get()) < descriptor_end_) slot = shared_->take_slot();
  if (!slot) {
    worker_.metrics.connection_refused(shared_->settings().name);
    return;
  }
  tasks_.spawn(serve(std::move(socket), std::move(slot), peer));
}

// A client that cannot be served is told so by a close instead of waiting in the kernel's queue.
void Listener::refuse_for_want_of_descriptors() {
  if (!short_of_descriptors_) {
    short_of_descriptors_ = true;
    worker_.log.event(observe::Level::error, "out_of_descriptors", shared_->settings().name);
  }
  for (std::size_t i = 0; i < kAcceptsPerRound && reserve_; ++i) {
    reserve_.reset();
    UniqueDescriptor dropped(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const bool took = static_cast<bool>(dropped);
    dropped.reset();
    reserve_ = UniqueDescriptor(open_reserve());
    if (!took) return;
    worker_.metrics.connection_refused(shared_->settings().name);
  }
  if (!reserve_) reserve_ = UniqueDescriptor(open_reserve());
}

Task<void> Listener::pause() {
  pause_timer_.expires_after(kPause);
  auto waited = co_await pause_timer_.async_wait(as_result);
  (void)waited;  // ended or cancelled by stop_accepting(): the loop looks at accepting_
}

Task<bool> Listener::shake_hands(Connection& connection) {
  const TlsServerContext* tls = shared_->tls();
  if (tls == nullptr) co_return true;
  connection.stream.expire_after(shared_->settings().timeouts.handshake);
  const Result<void> outcome = co_await connection.stream.accept_tls(tls->context());
  if (!outcome) {
    worker_.metrics.handshake_failed(connection.peer.listener);
    if (worker_.log.enabled(observe::Level::debug)) {
      worker_.log.event(observe::Level::debug, "handshake_failed", connection.address_text + ": " + outcome.error().detail);
    }
    co_return false;
  }
  connection.stream.never_expire();
  connection.peer.is_tls = true;
  connection.peer.tls_version = connection.stream.tls_version();
  connection.peer.server_name = connection.stream.server_name();
  co_return true;
}

Task<void> Listener::serve(UniqueDescriptor socket, SharedListener::Slot slot, SocketAddress peer) {
  const SharedListener::Slot held = std::move(slot);
  Connection connection(*this, std::move(socket), peer);
  const bool ready = co_await shake_hands(connection);
  if (ready) co_await worker_.serve(connection.stream, connection.peer, session_, connection.state);
}

}  // namespace sallyport::listen
