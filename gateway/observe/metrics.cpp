#include "observe/metrics.hpp"

#include <algorithm>
#include <sstream>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace sallyport::observe {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr std::array<std::int64_t, kDurationBuckets.size()> bucket_microseconds() {
  std::array<std::int64_t, kDurationBuckets.size()> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i) bounds[i] = static_cast<std::int64_t>(kDurationBuckets[i] * 1e6 + 0.5);
  return bounds;
}

constexpr auto kBucketMicroseconds = bucket_microseconds();

ClientMetric counter(Labels labels, std::uint64_t value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = static_cast<double>(value);
  return metric;
}

ClientMetric gauge(Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  return metric;
}

ClientMetric histogram(Labels labels, const DurationHistogram& source) {
  ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kDurationBuckets.size(); ++i) {
    total += source.counts[i];
    metric.histogram.bucket.push_back({total, kDurationBuckets[i]});
  }
  metric.histogram.sample_count = total + source.counts.back();  // the serializer adds the +Inf bucket from it
  metric.histogram.sample_sum = static_cast<double>(source.sum_microseconds) / 1e6;
  return metric;
}

// The families in the order they are exposed. One without a sample is left out: an empty family says nothing.
class Families {
 public:
  std::vector<ClientMetric>& add(std::string name, std::string help, MetricType type) {
    families_.push_back({std::move(name), std::move(help), type, {}});
    return families_.back().metric;
  }
  void add(std::string name, std::string help, MetricType type, ClientMetric metric) {
    add(std::move(name), std::move(help), type).push_back(std::move(metric));
  }

  [[nodiscard]] std::string text() {
    for (MetricFamily& family : families_) {
      std::ranges::sort(family.metric, {}, [](const ClientMetric& metric) -> const Labels& { return metric.label; });
    }
    std::erase_if(families_, [](const MetricFamily& family) { return family.metric.empty(); });
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  std::vector<MetricFamily> families_;
};

void add_process(Families& families, const ProcessMetrics& process) {
  families.add("sallyport_build_info", "The running version; always 1", MetricType::Gauge, gauge({{"version", process.version}}, 1));
  families.add("process_start_time_seconds", "When the process started, in Unix time", MetricType::Gauge,
               gauge({}, process.start_time_seconds));
  families.add("sallyport_log_lines_lost_total", "Log lines that a full queue or a failing sink cost", MetricType::Counter,
               counter({}, process.log_lines_lost));
  families.add("sallyport_store_up", "Whether the store can be relied on now", MetricType::Gauge, gauge({}, process.store_up ? 1 : 0));
  auto& certificates =
      families.add("sallyport_certificate_expiry_timestamp_seconds", "When a certificate ends, in Unix time", MetricType::Gauge);
  for (const auto& [name, time] : process.certificate_expiry) certificates.push_back(gauge({{"name", name}}, time));
  auto& reloads = families.add("sallyport_config_reload_total", "Configuration reloads by result", MetricType::Counter);
  for (const auto& [result, count] : process.config_reloads) reloads.push_back(counter({{"result", result}}, count));
  families.add("sallyport_config_last_success_timestamp_seconds", "When the configuration that serves was loaded, in Unix time",
               MetricType::Gauge, gauge({}, process.config_loaded_seconds));
  families.add("sallyport_event_loop_stalls_total", "How often a worker did not get to its next event in time", MetricType::Counter,
               counter({}, process.event_loop_stalls));
  families.add("sallyport_event_loop_lag_seconds", "The longest that an event of a worker has waited since the last scrape",
               MetricType::Gauge, gauge({}, process.event_loop_lag_seconds));
  if (!process.load) return;
  families.add("sallyport_requests_in_flight", "Requests under way, counted where overload.requests is set", MetricType::Gauge,
               gauge({}, static_cast<double>(process.load->requests)));
  families.add("process_resident_memory_bytes", "Resident memory, read where overload.memory is set", MetricType::Gauge,
               gauge({}, static_cast<double>(process.load->resident_bytes)));
  families.add("sallyport_overloaded", "Whether new requests are refused now", MetricType::Gauge, gauge({}, process.load->is_over ? 1 : 0));
}

void add_key_sets(Families& families, const std::vector<KeySetMetrics>& sets) {
  auto& fetches = families.add("sallyport_key_fetches_total", "Fetches of an issuer's keys, by result", MetricType::Counter);
  for (const KeySetMetrics& set : sets) {
    for (const auto& [result, count] : set.fetches) fetches.push_back(counter({{"issuer", set.issuer}, {"result", result}}, count));
  }
  auto& keys = families.add("sallyport_keys", "Keys of an issuer that can serve; 0: its tokens cannot be judged", MetricType::Gauge);
  for (const KeySetMetrics& set : sets) keys.push_back(gauge({{"issuer", set.issuer}}, static_cast<double>(set.keys)));
  auto& ages =
      families.add("sallyport_key_set_age_seconds", "How long ago an issuer's keys were last had from the issuer", MetricType::Gauge);
  for (const KeySetMetrics& set : sets) {
    if (set.age_seconds) ages.push_back(gauge({{"issuer", set.issuer}}, *set.age_seconds));
  }
}

void add_upstreams(Families& families, const std::vector<UpstreamMetrics>& upstreams) {
  auto& healthy = families.add("sallyport_upstream_healthy", "Whether a server takes its part of the requests", MetricType::Gauge);
  for (const UpstreamMetrics& upstream : upstreams) {
    for (const auto& [server, is_fit] : upstream.servers) {
      healthy.push_back(gauge({{"upstream", upstream.name}, {"server", server}}, is_fit ? 1 : 0));
    }
  }
  auto& requests = families.add("sallyport_upstream_requests", "Requests under way to an upstream", MetricType::Gauge);
  for (const UpstreamMetrics& upstream : upstreams) {
    requests.push_back(gauge({{"upstream", upstream.name}}, static_cast<double>(upstream.requests)));
  }
  auto& ejections = families.add("sallyport_upstream_ejections_total", "Servers left out because requests to them failed", MetricType::Counter);
  for (const UpstreamMetrics& upstream : upstreams) ejections.push_back(counter({{"upstream", upstream.name}}, upstream.ejections));
  auto& retries = families.add("sallyport_upstream_retries_total", "Requests that could be sent again, by result", MetricType::Counter);
  for (const UpstreamMetrics& upstream : upstreams) {
    for (const auto& [result, count] : upstream.retries) {
      retries.push_back(counter({{"upstream", upstream.name}, {"result", std::string(result)}}, count));
    }
  }
  auto& refused = families.add("sallyport_upstream_refused_total", "Requests refused with 503 for an upstream's sake, by reason",
                               MetricType::Counter);
  for (const UpstreamMetrics& upstream : upstreams) {
    for (const auto& [reason, count] : upstream.refused) {
      refused.push_back(counter({{"upstream", upstream.name}, {"reason", std::string(reason)}}, count));
    }
  }
}

}  // namespace

void DurationHistogram::observe(std::chrono::microseconds duration) noexcept {
  const std::int64_t microseconds = std::max<std::int64_t>(duration.count(), 0);
  std::size_t bucket = 0;
  while (bucket < kBucketMicroseconds.size() && microseconds > kBucketMicroseconds[bucket]) ++bucket;
  ++counts[bucket];
  sum_microseconds += static_cast<std::uint64_t>(microseconds);
}

void DurationHistogram::add(const DurationHistogram& other) noexcept {
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  sum_microseconds += other.sum_microseconds;
}

template <class Value>
Value& WorkerMetrics::at(Table<Value>& table, std::string_view key) {
  if (const auto found = table.find(key); found != table.end()) return found->second;
  return table.try_emplace(std::string(key)).first->second;
}

WorkerMetrics::Answers& WorkerMetrics::RouteEntry::answered(std::string_view method, int status) {
  for (Answers& entry : answers) {
    if (entry.status == status && entry.method == method) return entry;
  }
  return answers.emplace_back(Answers{std::string(method), status, 0});
}

WorkerMetrics::Decisions& WorkerMetrics::RouteEntry::decided(std::string_view method, std::string_view result, std::string_view reason) {
  for (Decisions& entry : decisions) {
    if (entry.reason == reason && entry.result == result && entry.method == method) return entry;
  }
  return decisions.emplace_back(Decisions{std::string(method), std::string(result), std::string(reason), 0});
}

void WorkerMetrics::request(std::string_view route, std::string_view method, int status, std::chrono::microseconds duration) {
  RouteEntry& entry = at(routes_, route);
  ++entry.answered(method, status).count;
  entry.duration.observe(duration);
}

void WorkerMetrics::upstream(std::string_view upstream, std::chrono::microseconds duration) { at(upstreams_, upstream).observe(duration); }

void WorkerMetrics::decision(std::string_view route, std::string_view method, std::string_view result, std::string_view reason) {
  ++at(routes_, route).decided(method, result, reason).count;
}

void WorkerMetrics::connection_opened(std::string_view listener) { ++at(listeners_, listener).open; }
void WorkerMetrics::connection_closed(std::string_view listener) { --at(listeners_, listener).open; }
void WorkerMetrics::connection_refused(std::string_view listener, std::string_view reason) {
  ++at(listeners_, listener).refused_for(reason).count;
}

WorkerMetrics::Outcome& WorkerMetrics::ListenerEntry::refused_for(std::string_view reason) {
  for (Outcome& entry : refused) {
    if (entry.result == reason) return entry;
  }
  return refused.emplace_back(Outcome{std::string(reason), 0});
}

void WorkerMetrics::handshake_failed(std::string_view listener) { ++at(listeners_, listener).handshake_failures; }
void WorkerMetrics::malformed_request(std::string_view fault) { ++at(malformed_, fault); }

WorkerMetrics::Outcome& WorkerMetrics::StoreCommandEntry::ended(std::string_view result) {
  for (Outcome& entry : outcomes) {
    if (entry.result == result) return entry;
  }
  return outcomes.emplace_back(Outcome{std::string(result), 0});
}

void WorkerMetrics::store_command(std::string_view command, std::string_view result) { ++at(store_commands_, command).ended(result).count; }
void WorkerMetrics::refresh(std::string_view result) { ++at(refreshes_, result); }
void WorkerMetrics::revocation(std::string_view kind) { ++at(revocations_, kind); }
void WorkerMetrics::rate_limited(std::string_view route, std::string_view by) { ++at(rate_limited_, route).ended(by).count; }
void WorkerMetrics::rate_limit_decided_alone(std::string_view route) { ++at(rate_limits_alone_, route); }
void WorkerMetrics::preflight(std::string_view route, std::string_view result) { ++at(preflights_, route).ended(result).count; }
void WorkerMetrics::overload_refused(std::string_view reason) { ++at(overload_refused_, reason); }

void WorkerMetrics::add(const WorkerMetrics& other) {
  for (const auto& [name, theirs] : other.routes_) {
    RouteEntry& ours = at(routes_, name);
    for (const Answers& entry : theirs.answers) ours.answered(entry.method, entry.status).count += entry.count;
    for (const Decisions& entry : theirs.decisions) ours.decided(entry.method, entry.result, entry.reason).count += entry.count;
    ours.duration.add(theirs.duration);
  }
  for (const auto& [name, theirs] : other.upstreams_) at(upstreams_, name).add(theirs);
  for (const auto& [name, theirs] : other.listeners_) {
    ListenerEntry& ours = at(listeners_, name);
    ours.open += theirs.open;
    for (const Outcome& entry : theirs.refused) ours.refused_for(entry.result).count += entry.count;
    ours.handshake_failures += theirs.handshake_failures;
  }
  for (const auto& [fault, count] : other.malformed_) at(malformed_, fault) += count;
  for (const auto& [command, theirs] : other.store_commands_) {
    StoreCommandEntry& ours = at(store_commands_, command);
    for (const Outcome& entry : theirs.outcomes) ours.ended(entry.result).count += entry.count;
  }
  for (const auto& [result, count] : other.refreshes_) at(refreshes_, result) += count;
  for (const auto& [kind, count] : other.revocations_) at(revocations_, kind) += count;
  for (const auto& [route, theirs] : other.rate_limited_) {
    for (const Outcome& entry : theirs.outcomes) at(rate_limited_, route).ended(entry.result).count += entry.count;
  }
  for (const auto& [route, count] : other.rate_limits_alone_) at(rate_limits_alone_, route) += count;
  for (const auto& [route, theirs] : other.preflights_) {
    for (const Outcome& entry : theirs.outcomes) at(preflights_, route).ended(entry.result).count += entry.count;
  }
  for (const auto& [reason, count] : other.overload_refused_) at(overload_refused_, reason) += count;
  session_cache_hits += other.session_cache_hits;
  session_cache_misses += other.session_cache_misses;
  session_cache_invalidations += other.session_cache_invalidations;
  live_exchanges += other.live_exchanges;
  tunnels += other.tunnels;
  tunnel_bytes_upstream += other.tunnel_bytes_upstream;
  tunnel_bytes_downstream += other.tunnel_bytes_downstream;
  token_cache_hits += other.token_cache_hits;
  token_cache_misses += other.token_cache_misses;
  token_cache_entries += other.token_cache_entries;
}

std::string exposition(const ProcessMetrics& process, const WorkerMetrics& sum) {
  Families families;
  add_process(families, process);

  // Each family is filled before the next is begun: add() may move what it gave before.
  auto& requests = families.add("sallyport_requests_total", "Answered requests by route, method and status", MetricType::Counter);
  for (const auto& [route, entry] : sum.routes_) {
    for (const auto& [method, status, count] : entry.answers) {
      requests.push_back(counter({{"route", route}, {"method", method}, {"code", std::to_string(status)}}, count));
    }
  }
  auto& durations =
      families.add("sallyport_request_duration_seconds", "From a complete request head to the end of its answer", MetricType::Histogram);
  for (const auto& [route, entry] : sum.routes_) {
    if (!entry.answers.empty()) durations.push_back(histogram({{"route", route}}, entry.duration));
  }
  auto& upstreams = families.add("sallyport_upstream_duration_seconds", "From the request's sending to the upstream's answer head",
                                 MetricType::Histogram);
  for (const auto& [upstream, duration] : sum.upstreams_) upstreams.push_back(histogram({{"upstream", upstream}}, duration));
  add_upstreams(families, process.upstreams);
  add_key_sets(families, process.key_sets);
  auto& decisions =
      families.add("sallyport_auth_decisions_total", "Decisions by route, credential, result and reason", MetricType::Counter);
  for (const auto& [route, entry] : sum.routes_) {
    for (const auto& [method, result, reason, count] : entry.decisions) {
      decisions.push_back(counter({{"route", route}, {"method", method}, {"result", result}, {"reason", reason}}, count));
    }
  }
  auto& open = families.add("sallyport_connections", "Open client connections", MetricType::Gauge);
  for (const auto& [listener, entry] : sum.listeners_) open.push_back(gauge({{"listener", listener}}, static_cast<double>(entry.open)));
  auto& refused =
      families.add("sallyport_connections_refused_total", "Connections closed before they were served, by reason", MetricType::Counter);
  for (const auto& [listener, entry] : sum.listeners_) {
    for (const auto& [reason, count] : entry.refused) refused.push_back(counter({{"listener", listener}, {"reason", reason}}, count));
  }
  auto& failures =
      families.add("sallyport_tls_handshake_failures_total", "TLS handshakes that failed or took too long", MetricType::Counter);
  for (const auto& [listener, entry] : sum.listeners_) failures.push_back(counter({{"listener", listener}}, entry.handshake_failures));
  auto& malformed = families.add("sallyport_malformed_requests_total", "Requests refused before routing, by fault", MetricType::Counter);
  for (const auto& [fault, count] : sum.malformed_) malformed.push_back(counter({{"fault", fault}}, count));
  families.add("sallyport_token_cache_hits_total", "Tokens found already verified", MetricType::Counter, counter({}, sum.token_cache_hits));
  families.add("sallyport_token_cache_misses_total", "Tokens that had to be verified", MetricType::Counter,
               counter({}, sum.token_cache_misses));
  families.add("sallyport_token_cache_entries", "Verified tokens remembered", MetricType::Gauge,
               gauge({}, static_cast<double>(sum.token_cache_entries)));
  auto& commands = families.add("sallyport_store_commands_total", "Questions to the store by command and result", MetricType::Counter);
  for (const auto& [command, entry] : sum.store_commands_) {
    for (const auto& [result, count] : entry.outcomes) commands.push_back(counter({{"command", command}, {"result", result}}, count));
  }
  families.add("sallyport_session_cache_hits_total", "Sessions answered from memory", MetricType::Counter,
               counter({}, sum.session_cache_hits));
  families.add("sallyport_session_cache_misses_total", "Sessions that the store was asked for", MetricType::Counter,
               counter({}, sum.session_cache_misses));
  families.add("sallyport_session_cache_invalidations_total", "Remembered sessions that were forgotten because they changed",
               MetricType::Counter, counter({}, sum.session_cache_invalidations));
  auto& refreshes = families.add("sallyport_refresh_total", "Refresh tokens presented, by result", MetricType::Counter);
  for (const auto& [result, count] : sum.refreshes_) refreshes.push_back(counter({{"result", result}}, count));
  auto& revocations = families.add("sallyport_revocations_total", "Revocations asked for here, by kind", MetricType::Counter);
  for (const auto& [kind, count] : sum.revocations_) revocations.push_back(counter({{"kind", kind}}, count));
  auto& limited = families.add("sallyport_rate_limited_total", "Requests refused because somebody came too often", MetricType::Counter);
  for (const auto& [route, entry] : sum.rate_limited_) {
    for (const auto& [by, count] : entry.outcomes) limited.push_back(counter({{"route", route}, {"by", by}}, count));
  }
  auto& alone = families.add("sallyport_rate_limit_decided_alone_total",
                             "Requests of an exact rate limit that was kept by this process alone, because the store could not be asked",
                             MetricType::Counter);
  for (const auto& [route, count] : sum.rate_limits_alone_) alone.push_back(counter({{"route", route}}, count));
  auto& preflights = families.add("sallyport_cors_preflights_total", "CORS preflights by route and result", MetricType::Counter);
  for (const auto& [route, entry] : sum.preflights_) {
    for (const auto& [result, count] : entry.outcomes) preflights.push_back(counter({{"route", route}, {"result", result}}, count));
  }
  auto& overloads =
      families.add("sallyport_overload_refused_total", "Requests and connections refused because of overload", MetricType::Counter);
  for (const auto& [reason, count] : sum.overload_refused_) overloads.push_back(counter({{"reason", reason}}, count));
  families.add("sallyport_tunnels", "Open WebSocket tunnels", MetricType::Gauge, gauge({}, static_cast<double>(sum.tunnels)));
  auto& tunnel_bytes = families.add("sallyport_tunnel_bytes_total", "Bytes moved in WebSocket tunnels", MetricType::Counter);
  tunnel_bytes.push_back(counter({{"direction", "upstream"}}, sum.tunnel_bytes_upstream));
  tunnel_bytes.push_back(counter({{"direction", "downstream"}}, sum.tunnel_bytes_downstream));
  families.add("sallyport_live_exchanges", "Requests of verified callers under way", MetricType::Gauge,
               gauge({}, static_cast<double>(sum.live_exchanges)));
  return families.text();
}

}  // namespace sallyport::observe
