// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a balancer says of the client before the client's first
// byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/network.hpp"

namespace sallyport::listen {

// A whole header, TLVs included, has at most so many bytes; one that says it is longer is malformed. Version 1 has its own limit of 107.
inline constexpr std::size_t kProxyHeaderBytesMax = 4096;

struct ProxyHeader {
  enum class State : std::uint8_t {
    need_more,  // a beginning of one; `size` bytes are needed at least
    malformed,  // none, whatever follows
    complete,   // the first `size` bytes are one
  };
  State state = State::malformed;
  std::size_t size = 0;
  // The client. nullopt when the proxy speaks for itself (LOCAL) or names no IP address (UNKNOWN, UNSPEC, UNIX): then it is whoever
  // connected.
  std::optional<IpAddress> address = std::nullopt;
  std::uint16_t port = 0;
};

// Judges the first bytes of a connection. Pure; `bytes` may be longer than the header.
//   Version 1 (§2.1): "PROXY TCP4|TCP6 source destination port port\r\n", single spaces, addresses of the family, ports without leading
//   zeros; "PROXY UNKNOWN …\r\n". Version 2 (§2.2): PROXY and LOCAL; TCP over IPv4 and IPv6, UNSPEC and UNIX; TLVs are skipped but must
//   fit. Datagrams, other families, commands and versions are malformed.
[[nodiscard]] ProxyHeader parse_proxy_header(std::string_view bytes) noexcept;

}  // namespace sallyport::listen
