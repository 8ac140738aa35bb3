// Who the client is when proxies stand between: their word counts, hop by hop, as far as they are trusted.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/network.hpp"
#include "http/exchange.hpp"

namespace sallyport::http {

// The proxies whose `X-Forwarded-For`, `X-Request-Id` and PROXY header a listener believes. None: it believes nobody.
struct TrustedProxies {
  std::vector<Network> networks;
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept { return sallyport::contains(networks, address); }
};

// The client's address as text: its own when a proxy's spelling had to be put right, else somebody else's.
class ClientAddress {
 public:
  // `text` outlives this.
  explicit ClientAddress(std::string_view text) noexcept : borrowed_(text) {}
  explicit ClientAddress(const IpAddress& address) noexcept { size_ = address.write(own_).size(); }
  // Canonical (RFC 5952, IPv4-mapped as IPv4). Valid while *this and what it was made of live.
  [[nodiscard]] std::string_view view() const noexcept { return size_ == 0 ? borrowed_ : std::string_view(own_.data(), size_); }

 private:
  std::string_view borrowed_;
  std::array<char, IpAddress::kTextBytesMax> own_;  // NOLINT: read only as far as size_ says
  std::size_t size_ = 0;
};

// The peer's address; or, when the peer is a trusted proxy, the first address from the right of all X-Forwarded-For fields that is no
// trusted proxy's. An element that is no address ends the search: the hop to its right is then the client. So do the end of the list and a
// list longer than kForwardedHopsMax. "192.0.2.1:80", "[2001:db8::1]" and "[2001:db8::1]:80" are addresses, too. Without allocation.
inline constexpr std::size_t kForwardedHopsMax = 64;
[[nodiscard]] ClientAddress client_address(const Peer& peer, const RequestHead& request) noexcept;

// The X-Request-Id that a trusted proxy gave the request: 1 to 128 bytes of letters, digits and "-_.~:/+=@"; nullopt when there is none,
// when there are two, when it is malformed, or when nobody trusted sent it. Valid as long as the head.
inline constexpr std::size_t kRequestIdBytesMax = 128;
[[nodiscard]] std::optional<std::string_view> forwarded_request_id(const Peer& peer, const RequestHead& request) noexcept;

}  // namespace sallyport::http
