// What an upstream is configured with (DESIGN §2.2 `upstreams`).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/tls_context.hpp"

namespace sallyport::upstream {

enum class Balance : unsigned char { round_robin, least_requests };

struct ServerSettings {
  bool is_tls = false;
  std::string host;  // a DNS name or an IP address without brackets; empty: unix_path
  std::uint16_t port = 0;
  std::uint32_t weight = 1;  // 1 to 1000
  std::string authority;     // as the URL spells it ("127.0.0.1:9001", "unix:/run/app.sock"): its name in logs and metrics
  std::string unix_path{};   // of a Unix socket; empty: host and port
  // What `Host` says where it is the server's own.
  [[nodiscard]] std::string_view host_field() const noexcept { return unix_path.empty() ? std::string_view(authority) : "localhost"; }
  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

// Active checks: GET `path` of every server each `interval`, on a connection of its own; a 2xx head within `timeout` is good.
struct HealthSettings {
  std::string path;
  std::chrono::milliseconds interval{5'000};
  std::chrono::milliseconds timeout{2'000};
  std::uint32_t healthy_after = 2;    // good answers in a row, for a server that was out
  std::uint32_t unhealthy_after = 3;  // bad ones in a row, for a server that was in
  friend bool operator==(const HealthSettings&, const HealthSettings&) = default;
};

// Passive checks: a server that fails requests leaves for a while. Never the last one that is left.
struct EjectionSettings {
  std::uint32_t failures = 5;              // in a row: no connection, no answer in time, a broken one. Its own 5xx are answers
  std::chrono::milliseconds time{10'000};  // the n-th time in a row it is out n times as long, at most ten times
  std::uint32_t percent_max = 50;          // of the servers may be out at once
  friend bool operator==(const EjectionSettings&, const EjectionSettings&) = default;
};

// Over all workers; beyond them requests are refused at once (503).
struct LimitSettings {
  std::optional<std::uint32_t> requests{};  // under way
  std::optional<std::uint32_t> pending{};   // of these, without an answer's head yet: waiting for a connection or for the server
  friend bool operator==(const LimitSettings&, const LimitSettings&) = default;
};

// How many requests may be sent a second time: this share of those of the last ten seconds, and a few whatever they were.
struct RetryBudgetSettings {
  std::uint32_t percent = 10;
  std::uint32_t least = 3;
  friend bool operator==(const RetryBudgetSettings&, const RetryBudgetSettings&) = default;
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
  std::string tls_contents{};  // a digest of the files that `tls` names, so that equal settings mean equal contents
  std::optional<HealthSettings> health{};
  std::optional<EjectionSettings> ejection{EjectionSettings{}};
  std::chrono::milliseconds slow_start{0};  // in which a server that came back is given its full share again
  LimitSettings limits{};
  RetryBudgetSettings retry_budget{};
  friend bool operator==(const UpstreamSettings&, const UpstreamSettings&) = default;
};

}  // namespace sallyport::upstream
