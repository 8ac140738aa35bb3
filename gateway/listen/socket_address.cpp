#include "listen/socket_address.hpp"

#include <arpa/inet.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sallyport::listen {

Result<SocketAddress> SocketAddress::parse(const std::string& host, std::uint16_t port) {
  SocketAddress address;
  auto& v4 = *reinterpret_cast<sockaddr_in*>(&address.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.size = sizeof v4;
    return address;
  }
  auto& v6 = *reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.size = sizeof v6;
    return address;
  }
  return make_error(Fault::malformed, host + ": not an IP address");
}

std::uint16_t SocketAddress::port() const noexcept {
  switch (storage.ss_family) {
    case AF_INET: return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
    case AF_INET6: return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
    default: return 0;
  }
}

std::string SocketAddress::host_text() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, text, sizeof text);
  } else if (storage.ss_family == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      ::inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    } else {
      ::inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
  }
  return text;
}

std::string SocketAddress::text() const {
  const std::string host = host_text();
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

bool SocketAddress::is_any_ipv6() const noexcept {
  return storage.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
}

UniqueDescriptor& UniqueDescriptor::operator=(UniqueDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    value_ = other.release();
  }
  return *this;
}

int UniqueDescriptor::release() noexcept {
  const int value = value_;
  value_ = -1;
  return value;
}

void UniqueDescriptor::reset() noexcept {
  if (value_ >= 0) ::close(release());
}

Result<UniqueDescriptor> bind_tcp(const SocketAddress& address, Share share) {
  const auto failure = [&](const char* what) {
    return make_error(Fault::unavailable, "cannot listen on " + address.text() + ": " + what + ": " + std::strerror(errno));
  };
  UniqueDescriptor socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  if (!socket) return failure("socket");
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return failure("SO_REUSEADDR");
  if (share == Share::yes && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) return failure("SO_REUSEPORT");
  if (address.storage.ss_family == AF_INET6) {
    const int v6_only = address.is_any_ipv6() ? 0 : 1;  // "[::]" means every address
    if (::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0) return failure("IPV6_V6ONLY");
  }
  if (::bind(socket.get(), address.generic(), address.size) != 0) return failure("bind");
  return socket;
}

}  // namespace sallyport::listen
