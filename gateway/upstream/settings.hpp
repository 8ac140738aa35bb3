// What an upstream is configured with (DESIGN §2.2 `upstreams`).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "transport/tls_context.hpp"

namespace sallyport::upstream {

enum class Balance : unsigned char { round_robin, least_requests };

struct ServerSettings {
  bool is_tls = false;
  std::string host;  // a DNS name or an IP address without brackets
  std::uint16_t port = 0;
  std::uint32_t weight = 1;  // 1 to 1000
  std::string authority;     // as the URL spells it ("127.0.0.1:9001"): what `host: server` sends
  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

struct UpstreamSettings {
  std::string name;
  std::vector<ServerSettings> servers;  // never empty
  Balance balance = Balance::round_robin;
  std::chrono::milliseconds connect_timeout{1'000};
  std::chrono::milliseconds response_timeout{30'000};  // from the request's last byte to the end of the answer's head
  std::chrono::milliseconds idle_timeout{60'000};      // of a pooled connection; also the longest silence within an answer's body
  std::uint32_t retries = 1;
  bool sends_server_host = false;  // `host: server`
  std::optional<transport::UpstreamTlsSettings> tls;
  friend bool operator==(const UpstreamSettings&, const UpstreamSettings&) = default;
};

}  // namespace sallyport::upstream
