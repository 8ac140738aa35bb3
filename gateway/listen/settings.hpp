// What a listener is configured with (DESIGN §2.2 `listeners`). Units are in the types; the loader has checked the ranges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/network.hpp"
#include "http/client_address.hpp"
#include "http/limits.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::listen {

// Client certificates. A bad one ends the handshake, wanted or not.
struct ClientCertificates {
  std::string ca_file;      // PEM: the authorities that count
  bool is_required = true;  // else a client without one is welcome, too
};

struct TlsSettings {
  std::vector<transport::CertificateFiles> certificates;  // chosen by SNI; the first answers when none fits
  transport::TlsVersion min_version = transport::TlsVersion::v1_2;
  std::optional<ClientCertificates> clients = std::nullopt;  // nullopt: nobody is asked for one
};

// Whether connections begin with a PROXY header (of trusted proxies only: whoever else comes is refused, and so is one without it).
enum class ProxyProtocol : std::uint8_t { off, v1_v2 };

struct ListenerSettings {
  std::string name;
  std::string host;  // an IP address without brackets
  std::uint16_t port = 0;
  std::optional<TlsSettings> tls;          // nullopt: clear text
  std::uint32_t connections_max = 20'000;  // of all workers together
  // Of one client: an IPv4 address or an IPv6 /64. Not of trusted proxies, who bring many clients' requests. nullopt: as many as there are.
  std::optional<std::uint32_t> connections_per_address_max = std::nullopt;
  ProxyProtocol proxy_protocol = ProxyProtocol::off;
  http::TrustedProxies trusted_proxies;
  // By the socket's address, or the one of the PROXY header. `deny` wins.
  std::optional<std::vector<Network>> allow = std::nullopt;  // nullopt: everybody
  std::vector<Network> deny;
  http::Limits limits;
  http::Timeouts timeouts;
};

}  // namespace sallyport::listen
