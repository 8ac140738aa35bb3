#include "listen/listener.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "listen/proxy_protocol.hpp"

namespace sallyport::listen {
namespace {

int open_reserve() noexcept { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::uint64_t client_descriptor_end() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
  return limit.rlim_cur - limit.rlim_cur / Listener::kReservedShare;
}

std::optional<IpAddress> ip_address(const SocketAddress& address) noexcept {
  switch (address.storage.ss_family) {
    case AF_INET: {
      const auto& v4 = reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr;
      return IpAddress::from_v4(std::span<const unsigned char, 4>(reinterpret_cast<const unsigned char*>(&v4), 4));
    }
    case AF_INET6: {
      const auto& v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr;
      return IpAddress::from_v6(std::span<const unsigned char, 16>(v6.s6_addr));
    }
    default: return std::nullopt;
  }
}

}  // namespace

// One live connection, in the frame of its coroutine.
struct Listener::Connection {
  Connection(Listener& owner, ListenerStatePtr with, UniqueDescriptor socket, Client from)
      : listener(owner),
        state(std::move(with)),
        stream(owner.worker_.context, socket.release(), owner.worker_.wheel),
        address(from.address),
        address_text(std::move(from.address_text)) {
    peer.listener = owner.shared_->name();
    peer.address = address_text;
    peer.port = from.port;
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
  // Without a request at hand: nobody waits for an answer.
  void end_if_idle() noexcept {
    if (!session.idle) return;
    stream.shutdown_write();
    if (!stream.has_unsent()) stream.abort();  // else the end of an answer and the FIN go out when there is room
  }

  Listener& listener;
  const ListenerStatePtr state;  // outlives the stream, whose TLS calls it
  transport::Stream stream;
  std::optional<IpAddress> address;
  std::string address_text;
  bool is_named = true;  // false: the PROXY header did not say who it is, so nothing that he forwards is believed
  std::unique_ptr<const transport::PeerCertificate> certificate;  // few have one, and it is large
  http::Peer peer;
  http::SessionState session;
  Connection* previous = nullptr;
  Connection* next = nullptr;
};

Listener::Listener(std::shared_ptr<SharedListener> shared, ListenerContext worker)
    : shared_(std::move(shared)),
      worker_(std::move(worker)),
      descriptor_end_(client_descriptor_end()),
      drain_deadline_(worker_.wheel, &Listener::on_drain_deadline, this),
      tasks_(worker_.context, [this](std::string_view what) { worker_.log.event(observe::Level::error, "connection_failed", what); }) {}

Listener::~Listener() {
  for (const std::unique_ptr<Door>& door : doors_) {
    if (door->socket) shared_->note_closed(door->socket.get());
  }
}

Result<std::unique_ptr<Listener>> Listener::bind(std::shared_ptr<SharedListener> shared, ListenerContext worker) {
  Result<std::vector<UniqueDescriptor>> sockets = shared->next_sockets();
  if (!sockets) return sockets.error();
  std::unique_ptr<Listener> made(new Listener(std::move(shared), std::move(worker)));
  for (UniqueDescriptor& socket : *sockets) {
    made->shared_->note_open(socket.get());
    made->doors_.push_back(std::make_unique<Door>(made->worker_.context, std::move(socket)));
  }
  made->reserve_ = UniqueDescriptor(open_reserve());
  return made;
}

void Listener::start() {
  if (accepting_) return;
  accepting_ = true;
  for (const std::unique_ptr<Door>& door : doors_) {
    door->readiness.emplace(worker_.context, door->socket.get());
    tasks_.spawn(accept_loop(*door));
  }
}

void Listener::stop_accepting() noexcept {
  accepting_ = false;
  for (const std::unique_ptr<Door>& door : doors_) {
    if (!door->socket) continue;
    if (door->readiness) {
      door->readiness->close();
      door->readiness->wake_all();
    }
    shared_->note_closed(door->socket.get());
    door->socket.reset();
    door->pause_timer.cancel();
  }
}

void Listener::drain(MonotonicTime deadline) {
  stop_accepting();
  if (!drained_idle_ && worker_.draining.patience == std::chrono::milliseconds(0)) {
    drained_idle_ = true;
    for (Connection* connection = first_; connection != nullptr; connection = connection->next) connection->end_if_idle();
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

void Listener::end_distrusted() noexcept {
  const std::uint64_t trust = shared_->state()->trust;
  for (Connection* connection = first_; connection != nullptr; connection = connection->next) {
    if (connection->state->trust == trust) continue;
    connection->peer.is_distrusted = true;
    connection->end_if_idle();
  }
}

Task<void> Listener::accept_loop(Door& door) {
  while (accepting_) {
    Accepted last = Accepted::one;
    for (std::size_t i = 0; i < kAcceptsPerRound && accepting_ && last == Accepted::one; ++i) last = accept_one(door);
    if (!accepting_) break;
    if (last == Accepted::cannot) {
      refuse_for_want_of_descriptors(door);
      co_await pause(door);
      continue;
    }
    short_of_descriptors_ = false;
    // At once when more are waiting, by way of the loop.
    transport::Readiness::Wait wait = door.readiness->wait(transport::Readiness::Role::reader, transport::Readiness::Direction::read);
    co_await std::move(wait);
  }
}

Listener::Accepted Listener::accept_one(Door& door) {
  SocketAddress peer;
  UniqueDescriptor socket(::accept4(door.socket.get(), peer.generic(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) {
    admit(std::move(socket), peer);
    return Accepted::one;
  }
  switch (errno) {
    case EAGAIN: door.readiness->note_read_would_block(); return Accepted::none_left;
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

void Listener::refuse(std::string_view reason, std::string_view address) {
  worker_.metrics.connection_refused(shared_->name(), reason);
  if (!worker_.log.enabled(observe::Level::debug)) return;
  worker_.log.event(observe::Level::debug, "connection_refused",
                    std::string(shared_->name()) + ": " + std::string(reason) + ": " + std::string(address));
}

void Listener::admit(UniqueDescriptor socket, const SocketAddress& peer) {
  if (static_cast<std::uint64_t>(socket.get()) >= descriptor_end_) return refuse("descriptors", peer.host_text());
  if (worker_.overload != nullptr && worker_.overload->refuses_connections()) return refuse("overload", peer.host_text());
  ListenerStatePtr state = shared_->state();
  const ListenerSettings& settings = state->settings;
  SharedListener::Slot slot = shared_->take_slot(settings.connections_max);
  if (!slot) return refuse("full", peer.host_text());
  const std::optional<IpAddress> address = ip_address(peer);
  if (settings.proxy_protocol == ProxyProtocol::off) {
    if (!let_in(*state, address, slot)) return;
  } else if (!address || !settings.trusted_proxies.contains(*address)) {
    return refuse("untrusted_proxy", peer.host_text());
  }
  tasks_.spawn(serve(std::move(socket), std::move(slot), std::move(state), Client{address, peer.host_text(), peer.port()}));
}

bool Listener::let_in(const ListenerState& state, const std::optional<IpAddress>& address, SharedListener::Slot& slot) {
  const ListenerSettings& settings = state.settings;
  const bool has_lists = settings.allow || !settings.deny.empty();
  if (!has_lists && !settings.connections_per_address_max) return true;
  if (!address) {
    refuse("denied", "an unknown address");
    return false;
  }
  if (contains(settings.deny, *address) || (settings.allow && !contains(*settings.allow, *address))) {
    refuse("denied", address->text());
    return false;
  }
  if (!settings.connections_per_address_max || settings.trusted_proxies.contains(*address)) return true;
  if (slot.count_to(*address, *settings.connections_per_address_max)) return true;
  refuse("address_full", address->text());
  return false;
}

// A client that cannot be served is told so by a close instead of waiting in the kernel's queue.
void Listener::refuse_for_want_of_descriptors(const Door& door) {
  if (!short_of_descriptors_) {
    short_of_descriptors_ = true;
    worker_.log.event(observe::Level::error, "out_of_descriptors", shared_->name());
  }
  for (std::size_t i = 0; i < kAcceptsPerRound && reserve_; ++i) {
    reserve_.reset();
    UniqueDescriptor dropped(::accept4(door.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const bool took = static_cast<bool>(dropped);
    dropped.reset();
    reserve_ = UniqueDescriptor(open_reserve());
    if (!took) return;
    worker_.metrics.connection_refused(shared_->name(), "descriptors");
  }
  if (!reserve_) reserve_ = UniqueDescriptor(open_reserve());
}

Task<void> Listener::pause(Door& door) {
  door.pause_timer.expires_after(kPause);
  auto waited = co_await door.pause_timer.async_wait(as_result);
  (void)waited;  // ended or cancelled by stop_accepting(): the loop looks at accepting_
}

// Before everything, also before TLS. The header is looked at in the socket and then taken out of it, no byte more: what follows is TLS's.
Task<bool> Listener::read_proxy_header(Connection& connection) {
  std::array<char, kProxyHeaderBytesMax> buffer;  // NOLINT: filled below
  std::size_t seen = 0;
  ProxyHeader header;
  for (;;) {
    const transport::IoResult waiting = co_await connection.stream.peek_more(buffer, seen);
    if (!waiting.ok()) {
      refuse(waiting.status == transport::IoStatus::timed_out ? "proxy_header_late" : "proxy_header", connection.address_text);
      co_return false;
    }
    seen = waiting.bytes;
    header = parse_proxy_header(std::string_view(buffer.data(), seen));
    if (header.state == ProxyHeader::State::complete) break;
    if (header.state == ProxyHeader::State::malformed) {
      refuse("proxy_header", connection.address_text);
      co_return false;
    }
  }
  for (std::size_t left = header.size; left > 0;) {
    const transport::IoResult taken = co_await connection.stream.read_some(std::span(buffer).first(left));
    if (!taken.ok()) co_return false;
    left -= taken.bytes;
  }
  if (header.address) {
    connection.address = header.address;
    connection.address_text = header.address->text();
    connection.peer.address = connection.address_text;
    connection.peer.port = header.port;
  }
  connection.is_named = header.address.has_value();
  co_return true;
}

Task<bool> Listener::shake_hands(Connection& connection) {
  const TlsServerContext* tls = connection.state->tls.get();
  if (tls == nullptr) co_return true;
  Result<void> outcome = co_await connection.stream.accept_tls(tls->context());
  if (x509_st* certificate = outcome ? connection.stream.verified_certificate() : nullptr; certificate != nullptr) {
    Result<transport::PeerCertificate> described = transport::describe_certificate(certificate);
    if (described) {
      described->shown_to = shared_->name();
      connection.certificate = std::make_unique<const transport::PeerCertificate>(std::move(*described));
      connection.peer.certificate = connection.certificate.get();
    } else {
      outcome = described.error();
    }
  }
  if (!outcome) {
    worker_.metrics.handshake_failed(connection.peer.listener);
    if (worker_.log.enabled(observe::Level::debug)) {
      worker_.log.event(observe::Level::debug, "handshake_failed", connection.address_text + ": " + outcome.error().detail);
    }
    co_return false;
  }
  connection.peer.is_tls = true;
  connection.peer.tls_version = connection.stream.tls_version();
  connection.peer.server_name = connection.stream.server_name();
  connection.peer.asks_for_certificate = tls->asks_clients();
  co_return true;
}

Task<void> Listener::serve(UniqueDescriptor socket, SharedListener::Slot slot, ListenerStatePtr state, Client client) {
  Connection connection(*this, std::move(state), std::move(socket), std::move(client));
  const ListenerSettings& settings = connection.state->settings;
  connection.stream.expire_after(settings.timeouts.handshake);  // of the PROXY header and TLS together
  if (settings.proxy_protocol != ProxyProtocol::off) {
    const bool read = co_await read_proxy_header(connection);
    if (!read || !let_in(*connection.state, connection.address, slot)) co_return;
  }
  const bool ready = co_await shake_hands(connection);
  if (!ready) co_return;
  connection.stream.never_expire();
  if (connection.is_named && connection.address && settings.trusted_proxies.contains(*connection.address)) {
    connection.peer.trusted_proxies = &settings.trusted_proxies;
  }
  const http::SessionContext session{worker_.handler, settings.limits, settings.timeouts, worker_.draining, worker_.clock};
  co_await worker_.serve(connection.stream, connection.peer, session, connection.session);
}

}  // namespace sallyport::listen
