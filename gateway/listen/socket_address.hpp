// IP addresses as the socket calls want them and as people read them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace sallyport::listen {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  // Fault::malformed when `host` is no IPv4 or IPv6 address (without brackets).
  [[nodiscard]] static Result<SocketAddress> parse(const std::string& host, std::uint16_t port);
  [[nodiscard]] sockaddr* generic() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* generic() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] std::uint16_t port() const noexcept;
  // "192.0.2.1", "2001:db8::1": IPv4-mapped IPv6 as IPv4, no zone, no port. Empty for other families.
  [[nodiscard]] std::string host_text() const;
  // "192.0.2.1:80", "[2001:db8::1]:80"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool is_any_ipv6() const noexcept;
};

// A descriptor with one owner.
class UniqueDescriptor {
 public:
  UniqueDescriptor() = default;
  explicit UniqueDescriptor(int value) noexcept : value_(value) {}
  UniqueDescriptor(UniqueDescriptor&& other) noexcept : value_(other.release()) {}
  UniqueDescriptor& operator=(UniqueDescriptor&& other) noexcept;
  ~UniqueDescriptor() { reset(); }
  [[nodiscard]] int get() const noexcept { return value_; }
  [[nodiscard]] explicit operator bool() const noexcept { return value_ >= 0; }
  int release() noexcept;
  void reset() noexcept;

 private:
  int value_ = -1;
};

// A bound TCP socket, non-blocking, not listening yet. Several share an address with `share`; else it must be free.
// Fault::unavailable naming address and reason.
enum class Share { no, yes };
[[nodiscard]] Result<UniqueDescriptor> bind_tcp(const SocketAddress& address, Share share);

}  // namespace sallyport::listen
