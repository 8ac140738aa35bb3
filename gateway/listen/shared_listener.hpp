// What the workers' listeners of one configured address have in common.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/network.hpp"
#include "base/result.hpp"
#include "listen/inherited_sockets.hpp"
#include "listen/settings.hpp"
#include "listen/tls_server_context.hpp"

namespace sallyport::listen {

// What a connection is served by from its first byte to its last; a reload with another `trust` makes the request at hand its last.
// Immutable; any thread.
struct ListenerState {
  ListenerSettings settings;
  // Counts the reloads that changed what connections are let in on: authorities of client certificates and whether one is required, the
  // least TLS version, the PROXY protocol and who is trusted with it, `allow`, `deny`.
  std::uint64_t trust = 0;
  std::unique_ptr<TlsServerContext> tls;  // nullptr: clear text
};
using ListenerStatePtr = std::shared_ptr<const ListenerState>;

// How many connections each client has. Any thread; the locks are held for a look-up, once when a connection begins and once when it ends.
class AddressCounts {
 public:
  // False, and nothing counted, when it has `max` already.
  [[nodiscard]] bool enter(const IpAddress& client, std::uint32_t max);
  void leave(const IpAddress& client) noexcept;

 private:
  static constexpr std::size_t kShards = 16;
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<Key, std::uint32_t, Hash> counts;
  };
  static Key key_of(const IpAddress& client) noexcept;
  [[nodiscard]] Shard& shard_of(const Key& key) noexcept;
  std::array<Shard, kShards> shards_;
  std::uint64_t seed_;

 public:
  AddressCounts();
};

// Any thread.
class SharedListener {
 public:
  // Loads the certificates and makes sure that nobody else listens there: with SO_REUSEPORT the workers' own binds would not notice.
  // Takes its sockets out of `inherited`, where there are some for its address: they are shared out among `workers` listeners.
  // Also raises this process's limit of descriptors to what it may have. Fault as transport::use_certificate(), and unavailable
  // naming the address.
  [[nodiscard]] static Result<std::shared_ptr<SharedListener>> create(ListenerSettings settings, const Clock& clock,
                                                                      InheritedSockets* inherited = nullptr, std::size_t workers = 1);

  // Both for a reload. prepare() loads what `settings` name and changes nothing; Fault as create(). commit() makes it what connections get
  // that are accepted from now on, on every worker. Name and address stay what they were, and so does whether there is TLS:
  // Fault::unsupported. Tickets go on to resume, unless the authorities of client certificates changed. Connections that were let in on
  // something else than `state` says are for Listener::end_distrusted().
  [[nodiscard]] Result<ListenerStatePtr> prepare(ListenerSettings settings) const;
  void commit(ListenerStatePtr state) noexcept;

  // Never null.
  [[nodiscard]] ListenerStatePtr state() const noexcept;
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  // Name and end of each certificate; empty without TLS.
  [[nodiscard]] std::vector<std::pair<std::string, WallTime>> certificate_expiry() const;

  // One connection of `connections_max`, and of its client's share, given back when destroyed.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), client_(std::exchange(other.client_, std::nullopt)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(client_, other.client_);
      return *this;
    }
    ~Slot() {
      if (owner_ == nullptr) return;
      owner_->connections_.fetch_sub(1, std::memory_order_relaxed);
      if (client_) owner_->addresses_.leave(*client_);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    // Counts it to `client`, too; false when that one has `max` connections already.
    [[nodiscard]] bool count_to(const IpAddress& client, std::uint32_t max);

   private:
    friend class SharedListener;
    explicit Slot(SharedListener* owner) : owner_(owner) {}
    SharedListener* owner_ = nullptr;
    std::optional<IpAddress> client_;
  };
  // Empty when the cap is reached. The listener outlives it.
  [[nodiscard]] Slot take_slot(std::uint32_t connections_max) noexcept;
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }

  // The port that is listened on: the configured one, or for 0 what the first worker got.
  [[nodiscard]] std::uint16_t port() const noexcept { return port_.load(std::memory_order_relaxed); }
  void set_port(std::uint16_t port) noexcept { port_.store(port, std::memory_order_relaxed); }

  // The sockets of the next worker: inherited ones, or one newly bound. They listen.
  [[nodiscard]] Result<std::vector<UniqueDescriptor>> next_sockets();
  // The sockets that the workers accept from, for handing on: a process that inherits them takes over what waits in their queues, and loses
  // nothing when this one stops accepting. Valid until then.
  [[nodiscard]] std::vector<int> descriptors() const;
  void note_open(int descriptor);
  void note_closed(int descriptor) noexcept;

 private:
  SharedListener(const ListenerSettings& settings, const Clock& clock, std::size_t workers);
  [[nodiscard]] Result<std::shared_ptr<ListenerState>> load(ListenerSettings settings) const;
  [[nodiscard]] Result<UniqueDescriptor> bind_one();

  const std::string name_;
  const std::string host_;
  const std::size_t workers_;
  const Clock& clock_;
  std::shared_ptr<TicketKeyRing> ticket_keys_;
  mutable std::mutex mutex_;  // of what follows
  ListenerStatePtr state_;
  std::vector<UniqueDescriptor> inherited_;
  std::size_t workers_served_ = 0;
  std::vector<int> open_;

  AddressCounts addresses_;
  std::atomic<std::uint32_t> connections_{0};
  std::atomic<std::uint16_t> port_;
};

}  // namespace sallyport::listen
