// Counters and histograms of one worker, and their sum in Prometheus' text form (names: DESIGN §3.4).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sallyport::observe {

// Upper bounds in seconds of every duration histogram.
inline constexpr std::array<double, 14> kDurationBuckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

struct DurationHistogram {
  std::array<std::uint64_t, kDurationBuckets.size() + 1> counts{};
  std::uint64_t sum_microseconds = 0;
  void observe(std::chrono::microseconds duration) noexcept;
  void add(const DurationHistogram& other) noexcept;
};

// A plain table: one thread writes, nobody else reads. The admin thread gets a copy by post (WorkerMetrics is copyable).
// Labels are the names of configured things and words from fixed sets: never a raw path, subject or token.
// Nothing allocates once a combination of labels has been seen.
class WorkerMetrics {
 public:
  // `route` is the route's name, or "" when none matched; `method` a known method or "other".
  void request(std::string_view route, std::string_view method, int status, std::chrono::microseconds duration);
  void upstream(std::string_view upstream, std::chrono::microseconds duration);
  void decision(std::string_view route, std::string_view method, std::string_view result, std::string_view reason);
  void connection_opened(std::string_view listener);
  void connection_closed(std::string_view listener);
  // `reason`: full, descriptors, denied, address_full, untrusted_proxy, proxy_header, proxy_header_late.
  void connection_refused(std::string_view listener, std::string_view reason);
  void handshake_failed(std::string_view listener);
  void malformed_request(std::string_view fault);
  // A question to the store. `result`: ok, error, timeout (it may have happened), unavailable (it was not sent).
  void store_command(std::string_view command, std::string_view result);
  void refresh(std::string_view result);  // what became of a refresh token
  void revocation(std::string_view kind);
  void rate_limited(std::string_view route, std::string_view by);  // a request that came too often; `route` "" where none matched
  void rate_limit_decided_alone(std::string_view route);           // the store could not be asked about an exact limit
  void preflight(std::string_view route, std::string_view result);
  void overload_refused(std::string_view reason);

  std::uint64_t token_cache_hits = 0;
  std::uint64_t token_cache_misses = 0;
  std::uint64_t token_cache_entries = 0;
  std::uint64_t session_cache_hits = 0;
  std::uint64_t session_cache_misses = 0;
  std::uint64_t session_cache_invalidations = 0;
  std::int64_t tunnels = 0;                  // open now
  std::uint64_t tunnel_bytes_upstream = 0;   // from clients
  std::uint64_t tunnel_bytes_downstream = 0; // to clients
  std::int64_t live_exchanges = 0;  // requests of verified callers under way now

  void add(const WorkerMetrics& other);

 private:
  friend std::string exposition(const struct ProcessMetrics& process, const WorkerMetrics& sum);

  // Found by string_view, so that a look-up makes no string.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  template <class Value>
  using Table = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;
  template <class Value>
  static Value& at(Table<Value>& table, std::string_view key);

  struct Answers {
    std::string method;
    int status = 0;
    std::uint64_t count = 0;
  };
  struct Decisions {
    std::string method;
    std::string result;
    std::string reason;
    std::uint64_t count = 0;
  };
  // A route has few combinations of each: searched one by one.
  struct RouteEntry {
    std::vector<Answers> answers;
    std::vector<Decisions> decisions;
    DurationHistogram duration;
    Answers& answered(std::string_view method, int status);
    Decisions& decided(std::string_view method, std::string_view result, std::string_view reason);
  };
  struct Outcome {
    std::string result;
    std::uint64_t count = 0;
  };
  struct ListenerEntry {
    std::int64_t open = 0;
    std::vector<Outcome> refused;  // by reason
    Outcome& refused_for(std::string_view reason);
    std::uint64_t handshake_failures = 0;
  };

  Table<RouteEntry> routes_;
  Table<DurationHistogram> upstreams_;
  Table<ListenerEntry> listeners_;
  struct StoreCommandEntry {
    std::vector<Outcome> outcomes;
    Outcome& ended(std::string_view result);
  };

  Table<std::uint64_t> malformed_;
  Table<StoreCommandEntry> store_commands_;
  Table<std::uint64_t> refreshes_;
  Table<std::uint64_t> revocations_;
  Table<StoreCommandEntry> rate_limited_;  // route -> by
  Table<std::uint64_t> rate_limits_alone_;
  Table<StoreCommandEntry> preflights_;  // route -> result
  Table<std::uint64_t> overload_refused_;
};

// One upstream as all workers see it.
struct UpstreamMetrics {
  std::string name;
  std::vector<std::pair<std::string, bool>> servers;  // authority -> whether it takes its part of the requests
  std::uint64_t requests = 0;                         // under way now
  std::uint64_t ejections = 0;
  std::vector<std::pair<std::string_view, std::uint64_t>> retries;  // result -> count
  std::vector<std::pair<std::string_view, std::uint64_t>> refused;  // reason -> count
};

// The keys of one issuer that are fetched by URL.
struct KeySetMetrics {
  std::string issuer;
  std::size_t keys = 0;  // that can serve
  std::optional<double> age_seconds;  // since they were last had from the issuer; nullopt without keys
  std::map<std::string, std::uint64_t> fetches;  // result -> count
};

// What is known once per process.
struct ProcessMetrics {
  std::string version;
  double start_time_seconds = 0;
  std::uint64_t log_lines_lost = 0;
  std::vector<std::pair<std::string, double>> certificate_expiry;  // name -> Unix time
  std::map<std::string, std::uint64_t> config_reloads;             // result -> count
  double config_loaded_seconds = 0;                                // Unix time of the configuration that serves
  std::uint64_t event_loop_stalls = 0;
  double event_loop_lag_seconds = 0;  // the longest since it was last asked for
  bool store_up = false;
  // Of `overload`, where it is configured.
  struct Load {
    std::uint64_t requests = 0;        // under way; 0 without a mark for requests
    std::uint64_t resident_bytes = 0;  // 0 without a mark for memory
    bool is_over = false;
  };
  std::optional<Load> load;
  std::vector<KeySetMetrics> key_sets;
  std::vector<UpstreamMetrics> upstreams;
};

// Prometheus text exposition format 0.0.4, of prometheus-cpp's serializer.
[[nodiscard]] std::string exposition(const ProcessMetrics& process, const WorkerMetrics& sum);

}  // namespace sallyport::observe
