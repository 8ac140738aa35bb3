// What the workers' listeners of one configured address have in common.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "listen/settings.hpp"
#include "listen/tls_server_context.hpp"

namespace sallyport::listen {

// Any thread.
class SharedListener {
 public:
  // Loads the certificates and makes sure that nobody else listens there: with SO_REUSEPORT the workers' own binds would not notice.
  // Also raises this process's limit of descriptors to what it may have. Fault as transport::use_certificate(), and unavailable
  // naming the address.
  [[nodiscard]] static Result<std::shared_ptr<SharedListener>> create(ListenerSettings settings, const Clock& clock);

  [[nodiscard]] const ListenerSettings& settings() const noexcept { return settings_; }
  [[nodiscard]] const TlsServerContext* tls() const noexcept { return tls_.get(); }  // nullptr: clear text
  // Name and end of each certificate; empty without TLS.
  [[nodiscard]] std::vector<std::pair<std::string, WallTime>> certificate_expiry() const;

  // One connection of `settings().connections_max`, given back when destroyed.
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }
    ~Slot() {
      if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return count_ != nullptr; }

   private:
    friend class SharedListener;
    explicit Slot(std::atomic<std::uint32_t>* count) : count_(count) {}
    std::atomic<std::uint32_t>* count_ = nullptr;
  };
  // Empty when the cap is reached.
  [[nodiscard]] Slot take_slot() noexcept;
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_.load(std::memory_order_relaxed); }

  // The port that is listened on: the configured one, or for 0 what the first worker got.
  [[nodiscard]] std::uint16_t port() const noexcept { return port_.load(std::memory_order_relaxed); }
  void set_port(std::uint16_t port) noexcept { port_.store(port, std::memory_order_relaxed); }

 private:
  explicit SharedListener(ListenerSettings settings) : settings_(std::move(settings)), port_(settings_.port) {}

  ListenerSettings settings_;
  std::unique_ptr<TlsServerContext> tls_;
  std::atomic<std::uint32_t> connections_{0};
  std::atomic<std::uint16_t> port_;
};

}  // namespace sallyport::listen
