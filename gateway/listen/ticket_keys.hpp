// The keys of TLS session tickets (RFC 5077 §4): made here, never written anywhere, replaced in time.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.hpp"

namespace sallyport::listen {

struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> encryption;      // AES-256-CBC
  std::array<unsigned char, 32> authentication;  // HMAC-SHA256
  MonotonicTime made_at;
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();  // wipes
};

// Shared by all workers of a listener: a ticket of one resumes with another. Any thread; the lock is held for a copy, once per handshake.
class TicketKeyRing {
 public:
  static constexpr std::chrono::hours kRotation{8};
  static constexpr std::size_t kKept = 3;  // the newest encrypts, all decrypt: a key is gone after kKept * kRotation

  explicit TicketKeyRing(const Clock& clock) : clock_(clock) {}

  // The key for new tickets. Throws std::runtime_error when there is no randomness.
  [[nodiscard]] TicketKey newest();
  struct Found {
    TicketKey key;
    bool is_newest;  // else the client should get a new ticket
  };
  // nullopt: unknown or too old; the handshake is a full one.
  [[nodiscard]] std::optional<Found> find(std::span<const unsigned char, 16> name);

 private:
  void rotate();

  const Clock& clock_;
  std::mutex mutex_;
  std::vector<TicketKey> keys_;  // newest first
};

}  // namespace sallyport::listen
