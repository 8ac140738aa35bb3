#include "listen/shared_listener.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/secret.hpp"
#include "listen/socket_address.hpp"

namespace sallyport::listen {
namespace {

constexpr int kBacklog = 4096;

Error listen_error(const SocketAddress& address) {
  return make_error(Fault::unavailable, "cannot listen on " + address.text() + ": " + std::strerror(errno));
}

bool is_shareable(int descriptor) noexcept {
  int on = 0;
  socklen_t size = sizeof on;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on != 0;
}

// Whether both let in the same clients, and on the same evidence.
bool trust_alike(const ListenerState& a, const ListenerState& b) {
  const ListenerSettings& one = a.settings;
  const ListenerSettings& other = b.settings;
  if (one.proxy_protocol != other.proxy_protocol || one.trusted_proxies.networks != other.trusted_proxies.networks) return false;
  if (one.allow != other.allow || one.deny != other.deny) return false;
  if (a.tls == nullptr || b.tls == nullptr) return a.tls == b.tls;
  return one.tls->min_version == other.tls->min_version && a.tls->clients_digest() == b.tls->clients_digest();
}

}  // namespace

AddressCounts::AddressCounts() {
  std::array<unsigned char, sizeof seed_> bytes{};
  fill_random(bytes);
  std::memcpy(&seed_, bytes.data(), sizeof seed_);
}

std::size_t AddressCounts::Hash::operator()(const Key& key) const noexcept {
  std::uint64_t mixed = key.first ^ (key.second * 0x9e3779b97f4a7c15ULL);
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebULL;
  return mixed ^ mixed >> 31;
}

// Of IPv6 the network: whoever has an address there has all of them.
AddressCounts::Key AddressCounts::key_of(const IpAddress& client) noexcept {
  std::uint64_t network = 0;
  std::memcpy(&network, client.bytes().data(), sizeof network);
  return {network, client.is_v4() ? 4 : 6};
}

AddressCounts::Shard& AddressCounts::shard_of(const Key& key) noexcept {
  return shards_[Hash()({key.first ^ seed_, key.second}) % kShards];
}

bool AddressCounts::enter(const IpAddress& client, std::uint32_t max) {
  const Key key = key_of(client);
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  std::uint32_t& count = shard.counts[{key.first ^ seed_, key.second}];
  if (count >= max) return false;
  ++count;
  return true;
}

void AddressCounts::leave(const IpAddress& client) noexcept {
  const Key key = key_of(client);
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.counts.find({key.first ^ seed_, key.second});
  if (found != shard.counts.end() && --found->second == 0) shard.counts.erase(found);
}

bool SharedListener::Slot::count_to(const IpAddress& client, std::uint32_t max) {
  if (owner_ == nullptr || client_ || !owner_->addresses_.enter(client, max)) return false;
  client_ = client;
  return true;
}

SharedListener::SharedListener(const ListenerSettings& settings, const Clock& clock, std::size_t workers)
    : name_(settings.name),
      host_(settings.host),
      workers_(std::max<std::size_t>(workers, 1)),
      clock_(clock),
      ticket_keys_(std::make_shared<TicketKeyRing>(clock)),
      port_(settings.port) {}

Result<std::shared_ptr<SharedListener>> SharedListener::create(ListenerSettings settings, const Clock& clock, InheritedSockets* inherited,
                                                               std::size_t workers) {
  Result<SocketAddress> address = SocketAddress::parse(settings.host, settings.port);
  if (!address) return address.error();
  std::shared_ptr<SharedListener> made(new SharedListener(settings, clock, workers));
  if (inherited != nullptr) made->inherited_ = inherited->take(*address);
  if (settings.port != 0 && made->inherited_.empty()) {
    const Result<UniqueDescriptor> probe = bind_tcp(*address, Share::no);
    if (!probe) return probe.error();
  }
  Result<std::shared_ptr<ListenerState>> state = made->load(std::move(settings));
  if (!state) return state.error();
  made->state_ = std::move(*state);
  return made;
}

Result<std::shared_ptr<ListenerState>> SharedListener::load(ListenerSettings settings) const {
  auto state = std::make_shared<ListenerState>();
  state->settings = std::move(settings);
  if (state->settings.tls) {
    Result<std::unique_ptr<TlsServerContext>> tls = TlsServerContext::create(*state->settings.tls, name_, clock_, ticket_keys_);
    if (!tls) return tls.error();
    state->tls = std::move(*tls);
  }
  return state;
}

Result<ListenerStatePtr> SharedListener::prepare(ListenerSettings settings) const {
  const ListenerStatePtr now = state();
  const bool is_same_place = settings.name == name_ && settings.host == host_ && settings.port == now->settings.port;
  if (!is_same_place || settings.tls.has_value() != now->settings.tls.has_value()) {
    return make_error(Fault::unsupported, name_ + ": the address of a listener and whether it has TLS need a restart");
  }
  const Result<std::shared_ptr<ListenerState>> next = load(std::move(settings));
  if (!next) return next.error();
  (*next)->trust = trust_alike(**next, *now) ? now->trust : now->trust + 1;
  return ListenerStatePtr(*next);
}

void SharedListener::commit(ListenerStatePtr state) noexcept {
  const std::lock_guard lock(mutex_);
  state_.swap(state);  // the old one ends outside, with its last connection
}

ListenerStatePtr SharedListener::state() const noexcept {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::vector<std::pair<std::string, WallTime>> SharedListener::certificate_expiry() const {
  const ListenerStatePtr now = state();
  return now->tls ? now->tls->certificate_expiry() : std::vector<std::pair<std::string, WallTime>>{};
}

SharedListener::Slot SharedListener::take_slot(std::uint32_t connections_max) noexcept {
  if (connections_.fetch_add(1, std::memory_order_relaxed) < connections_max) return Slot(this);
  connections_.fetch_sub(1, std::memory_order_relaxed);
  return {};
}

Result<UniqueDescriptor> SharedListener::bind_one() {
  Result<SocketAddress> address = SocketAddress::parse(host_, port());
  if (!address) return address.error();
  Result<UniqueDescriptor> socket = bind_tcp(*address, Share::yes);
  if (!socket) return socket.error();
  if (::listen(socket->get(), kBacklog) != 0) return listen_error(*address);
  SocketAddress bound;
  if (::getsockname(socket->get(), bound.generic(), &bound.size) != 0) return listen_error(*address);
  set_port(bound.port());
  return socket;
}

// Every inherited socket has somebody who accepts from it, so that nobody waits in its queue for ever: they go round. Where there are fewer
// than workers, the others bind their own beside it, or share it when it is one that cannot have others beside it.
Result<std::vector<UniqueDescriptor>> SharedListener::next_sockets() {
  std::vector<UniqueDescriptor> sockets;
  const std::lock_guard lock(mutex_);
  const std::size_t worker = workers_served_++;
  if (inherited_.empty()) {
    Result<UniqueDescriptor> bound = bind_one();
    if (!bound) return bound.error();
    sockets.push_back(std::move(*bound));
    return sockets;
  }
  const auto copy = [&](std::size_t index) { return UniqueDescriptor(::fcntl(inherited_[index].get(), F_DUPFD_CLOEXEC, 0)); };
  for (std::size_t i = worker; i < inherited_.size(); i += workers_) sockets.push_back(copy(i));
  if (sockets.empty() && is_shareable(inherited_.front().get())) {
    Result<UniqueDescriptor> bound = bind_one();
    if (!bound) return bound.error();
    sockets.push_back(std::move(*bound));
  } else if (sockets.empty()) {
    sockets.push_back(copy(worker % inherited_.size()));
  }
  for (const UniqueDescriptor& socket : sockets) {
    if (!socket) return make_error(Fault::unavailable, name_ + ": an inherited socket cannot be used: " + std::strerror(errno));
  }
  if (workers_served_ >= workers_) inherited_.clear();  // every one of them is somebody's now
  return sockets;
}

std::vector<int> SharedListener::descriptors() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void SharedListener::note_open(int descriptor) {
  const std::lock_guard lock(mutex_);
  open_.push_back(descriptor);
}

void SharedListener::note_closed(int descriptor) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase(open_, descriptor);
}

}  // namespace sallyport::listen
