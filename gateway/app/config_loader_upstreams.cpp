// The section `upstreams`.
#include <algorithm>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"
#include "http/host.hpp"
#include "transport/connector.hpp"

namespace sallyport::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr DurationRange kInterval{milliseconds(100), hours(1)};
constexpr std::size_t kTlsFileBytesMax = 16 * 1024 * 1024;
constexpr std::string_view kExpectedServer = "http://HOST:PORT, https://HOST:PORT or unix:/PATH";

// nullopt with the reason in `reason`.
std::optional<upstream::ServerSettings> parse_url(std::string_view url, std::string& reason) {
  upstream::ServerSettings server;
  if (url.starts_with("unix:")) {
    server.authority = url;
    server.unix_path = url.substr(5);
    if (server.unix_path.starts_with('/') && server.unix_path.size() <= transport::UnixPath::kBytesMax) return server;
    reason = fmt::format("names no absolute path of at most {} bytes", transport::UnixPath::kBytesMax);
    return std::nullopt;
  }
  const std::size_t separator = url.find("://");
  const std::string_view scheme = url.substr(0, separator);
  if (separator == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    reason = "does not begin with http://, https:// or unix:/";
    return std::nullopt;
  }
  server.is_tls = scheme == "https";
  std::string_view authority = url.substr(separator + 3);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  if (authority.find_first_of("/?#") != std::string_view::npos) {
    reason = "has a path or a query; a route's `rewrite` changes paths";
    return std::nullopt;
  }
  std::string host;
  if (const Result<void> parsed = http::parse_host(authority, host); !parsed) {
    reason = parsed.error().detail;
    return std::nullopt;
  }
  // parse_host() took the port for checked: digits, and at most 65535.
  const std::size_t colon = authority.find(':', authority.front() == '[' ? authority.find(']') : 0);
  server.port = server.is_tls ? 443 : 80;
  if (colon != std::string_view::npos) server.port = static_cast<std::uint16_t>(parse_decimal(authority.substr(colon + 1)).value_or(0));
  server.host = host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  server.authority = authority;
  return server;
}

void read_server(Loading& loading, const Node& node, upstream::UpstreamSettings& upstream) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "upstreams[].servers[]");
  std::uint32_t weight = 1;
  if (const Node* value = reader.find("weight")) {
    if (const auto number = read_integer(problems, *value, 1, 1'000)) weight = static_cast<std::uint32_t>(*number);
  }
  const Node* url = reader.require("url", kExpectedServer);
  if (url == nullptr) return;
  const auto text = read_text(problems, *url, kExpectedServer);
  if (!text) return;
  std::string reason;
  auto server = parse_url(*text, reason);
  if (!server) {
    // Neither shown when it may hold a password.
    const bool may_hold_one = url->expanded || text->find('@') != std::string::npos;
    return problems.error(url->at, may_hold_one ? fmt::format("this is no URL of a server; expected {}, without credentials", kExpectedServer)
                                                : fmt::format("{} {}; expected {}", shown(*url), reason, kExpectedServer));
  }
  const auto is_same = [&](const upstream::ServerSettings& other) {
    return other.host == server->host && other.port == server->port && other.unix_path == server->unix_path;
  };
  if (std::ranges::any_of(upstream.servers, is_same)) problems.error(url->at, fmt::format("{} stands in the list twice", shown(*url)));
  server->weight = weight;
  if (server->unix_path.empty()) loading.servers.push_back({url->at, server->host, server->port});
  upstream.servers.push_back(std::move(*server));
}

void read_timeouts(Problems& problems, const Node& node, upstream::UpstreamSettings& upstream) {
  const MapReader reader(problems, node, "upstreams[].timeouts");
  const std::pair<std::string_view, milliseconds*> phases[] = {
      {"connect", &upstream.connect_timeout}, {"response", &upstream.response_timeout}, {"idle", &upstream.idle_timeout}};
  for (const auto& [key, timeout] : phases) {
    const Node* value = reader.find(key);
    if (value == nullptr) continue;
    if (const auto duration = read_duration(problems, *value, kPhaseRange)) *timeout = *duration;
  }
}

void read_client_certificate(Problems& problems, const MapReader& tls, transport::UpstreamTlsSettings& settings) {
  const Node* certificate = tls.find("certificate_file");
  const Node* key = tls.find("key_file");
  if (tls.has("certificate_file") != tls.has("key_file")) {
    const std::string_view there = tls.has("key_file") ? "key_file" : "certificate_file";
    return problems.error(tls.place_of(there), fmt::format("{} stands alone; expected certificate_file and key_file together", there));
  }
  std::optional<std::string> certificate_path;
  std::optional<std::string> key_path;
  if (certificate != nullptr) certificate_path = read_file_path(problems, *certificate, FileSecrecy::public_);
  if (key != nullptr) key_path = read_file_path(problems, *key, FileSecrecy::secret);
  if (!certificate_path || !key_path) return;
  transport::CertificateFiles files{std::move(*certificate_path), std::move(*key_path)};
  check_certificate(problems, *certificate, *key, files);
  settings.certificate = {std::move(files)};
}

// Of what the files hold now: a configuration that names the same files again may mean other ones.
std::string digest_of(const transport::UpstreamTlsSettings& settings) {
  std::vector<std::string> paths;
  if (!settings.ca_file.empty()) paths.push_back(settings.ca_file);
  for (const transport::CertificateFiles& files : settings.certificate) paths.insert(paths.end(), {files.certificate_file, files.key_file});
  std::string digest;
  for (const std::string& path : paths) {
    // What cannot be read is reported by who uses it.
    Result<std::string> read = read_regular_file(path, kTlsFileBytesMax);
    const Secret content(read ? std::move(*read) : std::string());
    const Sha256 hash = sha256({reinterpret_cast<const char*>(content.reveal().data()), content.size()});
    digest += hex_encode({reinterpret_cast<const char*>(hash.data()), hash.size()});
  }
  return digest;
}

void read_tls(Problems& problems, const Node& node, upstream::UpstreamSettings& upstream) {
  const std::size_t errors_before = problems.error_count();
  const MapReader tls(problems, node, "upstreams[].tls");
  transport::UpstreamTlsSettings settings;
  const Node* ca_file = tls.find("ca_file");
  if (ca_file != nullptr) settings.ca_file = read_file_path(problems, *ca_file, FileSecrecy::public_).value_or("");
  if (const Node* name = tls.find("server_name")) {
    const auto text = read_text(problems, *name, "the name in the server's certificate");
    std::string host;
    if (text && (text->find(':') != std::string::npos || !http::parse_host(*text, host))) {
      problems.error(name->at, fmt::format("{} is no host name; expected the name in the server's certificate", shown(*name)));
    }
    settings.server_name = host;
  }
  read_client_certificate(problems, tls, settings);
  upstream.tls_contents = digest_of(settings);
  if (problems.error_count() == errors_before) {
    if (const auto context = transport::make_tls_client_context(settings); !context) {
      problems.error(ca_file != nullptr ? ca_file->at : node.at, context.error().detail);
    }
  }
  upstream.tls = std::move(settings);
}

std::optional<std::uint32_t> read_count(Problems& problems, const MapReader& reader, std::string_view key, std::uint32_t least,
                                        std::uint32_t most) {
  const Node* node = reader.find(key);
  if (node == nullptr) return std::nullopt;
  const auto number = read_integer(problems, *node, least, most);
  return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
}

void read_health(Problems& problems, const Node& node, upstream::UpstreamSettings& upstream) {
  const MapReader reader(problems, node, "upstreams[].health");
  upstream::HealthSettings health;
  if (const Node* path = reader.require("path", "a path like /healthz")) {
    health.path = read_text(problems, *path, "a path like /healthz").value_or("/");
    const bool is_plain = std::ranges::all_of(health.path, [](char c) { return c > ' ' && c < 0x7F && c != '#'; });
    if (!health.path.starts_with('/')) problems.error(path->at, fmt::format("{} does not begin with '/'", shown(*path)));
    if (!is_plain) problems.error(path->at, fmt::format("{} has bytes that do not belong into a path", shown(*path)));
  }
  if (const Node* interval = reader.find("interval")) {
    health.interval = read_duration(problems, *interval, kInterval).value_or(health.interval);
  }
  health.timeout = std::min(health.timeout, health.interval);
  if (const Node* timeout = reader.find("timeout")) {
    health.timeout = read_duration(problems, *timeout, kPhaseRange).value_or(health.timeout);
    if (health.timeout > health.interval) {
      problems.error(timeout->at, fmt::format("{} is longer than the interval; a check must end before the next begins", shown(*timeout)));
    }
  }
  health.healthy_after = read_count(problems, reader, "healthy_after", 1, 1'000).value_or(health.healthy_after);
  health.unhealthy_after = read_count(problems, reader, "unhealthy_after", 1, 1'000).value_or(health.unhealthy_after);
  upstream.health = std::move(health);
}

void read_ejection(Problems& problems, const Node& node, upstream::UpstreamSettings& upstream) {
  if (node.kind == Node::Kind::scalar) {
    static const Words<bool> kWords = {{"off", false}};
    if (read_keyword(problems, node, "upstreams[].ejection", kWords)) upstream.ejection.reset();
    return;
  }
  const MapReader reader(problems, node, "upstreams[].ejection");
  upstream::EjectionSettings ejection;
  ejection.failures = read_count(problems, reader, "failures", 1, 1'000).value_or(ejection.failures);
  if (const Node* time = reader.find("for")) ejection.time = read_duration(problems, *time, kInterval).value_or(ejection.time);
  ejection.percent_max = read_count(problems, reader, "percent_max", 1, 100).value_or(ejection.percent_max);
  upstream.ejection = ejection;
}

// Which servers are asked.
void read_fitness(Problems& problems, const MapReader& reader, upstream::UpstreamSettings& upstream) {
  if (const Node* health = reader.find("health")) read_health(problems, *health, upstream);
  if (const Node* ejection = reader.find("ejection")) read_ejection(problems, *ejection, upstream);
  constexpr DurationRange kSlowStart{milliseconds(0), hours(1)};
  if (const Node* time = reader.find("slow_start"))
    upstream.slow_start = read_duration(problems, *time, kSlowStart).value_or(milliseconds(0));
}

// How much they are asked.
void read_limits(Problems& problems, const MapReader& reader, upstream::UpstreamSettings& upstream) {
  constexpr std::uint32_t kMost = 10'000'000;
  if (const Node* node = reader.find("limits")) {
    const MapReader limits(problems, *node, "upstreams[].limits");
    upstream.limits.requests = read_count(problems, limits, "requests", 1, kMost);
    upstream.limits.pending = read_count(problems, limits, "pending", 1, kMost);
    if (upstream.limits.requests && upstream.limits.pending && *upstream.limits.pending > *upstream.limits.requests) {
      problems.warning(limits.place_of("pending"), "more may be pending than requests may be under way: this limit has no effect");
    }
  }
  if (const Node* node = reader.find("retry_budget")) {
    const MapReader budget(problems, *node, "upstreams[].retry_budget");
    upstream.retry_budget.percent = read_count(problems, budget, "percent", 0, 100).value_or(upstream.retry_budget.percent);
    upstream.retry_budget.least = read_count(problems, budget, "least", 0, 1'000).value_or(upstream.retry_budget.least);
  }
}

void read_choices(Problems& problems, const MapReader& reader, upstream::UpstreamSettings& upstream) {
  static const Words<upstream::Balance> kBalance = {{"round_robin", upstream::Balance::round_robin},
                                                    {"least_requests", upstream::Balance::least_requests}};
  if (const Node* node = reader.find("balance")) {
    if (const auto value = read_keyword(problems, *node, reader.path_of("balance"), kBalance)) upstream.balance = *value;
  }
  static const Words<bool> kHost = {{"client", false}, {"server", true}};
  if (const Node* node = reader.find("host")) {
    upstream.sends_server_host = read_keyword(problems, *node, reader.path_of("host"), kHost).value_or(false);
  }
  if (const Node* node = reader.find("retries")) {
    if (const auto value = read_integer(problems, *node, 0, 1)) upstream.retries = static_cast<std::uint32_t>(*value);
  }
}

// What only shows when the servers are known.
void check_together(Problems& problems, const MapReader& reader, const upstream::UpstreamSettings& upstream) {
  if (upstream.servers.empty()) return;
  const bool is_tls = upstream.servers.front().is_tls;
  if (!std::ranges::all_of(upstream.servers, [&](const auto& server) { return server.is_tls == is_tls; })) {
    problems.warning(reader.place_of("servers"), "some servers are https and some http: a part of the requests goes in clear text");
  } else if (upstream.tls && !is_tls) {
    problems.error(reader.place_of("tls"), "tls stands here, but no server is https; expected https:// URLs");
  }
  const std::string& authority = upstream.servers.front().authority;
  if (upstream.sends_server_host &&
      !std::ranges::all_of(upstream.servers, [&](const auto& server) { return server.authority == authority; })) {
    problems.error(reader.place_of("host"),
                   "host: server is supported by this version for one server only; expected one server, or host: client");
  }
}

void read_upstream(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "upstreams[]");
  upstream::UpstreamSettings upstream;
  Place at = node.at;
  if (const Node* name = reader.require("name", "a name that routes refer to")) {
    at = name->at;
    upstream.name = read_name(problems, *name).value_or("");
    if (!upstream.name.empty() && std::ranges::find(loading.upstreams, upstream.name, &KnownUpstream::name) != loading.upstreams.end()) {
      problems.error(name->at, fmt::format("another upstream has the name {} already", shown(*name)));
    }
  }
  if (const Node* servers = reader.require("servers", "a list of { url: http://HOST:PORT }")) {
    for (const Node* server : read_list(problems, *servers, "a list of { url: http://HOST:PORT }")) read_server(loading, *server, upstream);
  }
  read_choices(problems, reader, upstream);
  if (const Node* timeouts = reader.find("timeouts")) read_timeouts(problems, *timeouts, upstream);
  read_fitness(problems, reader, upstream);
  read_limits(problems, reader, upstream);
  if (const Node* tls = reader.find("tls")) read_tls(problems, *tls, upstream);
  check_together(problems, reader, upstream);
  loading.upstreams.push_back({upstream.name, at, false});
  loading.settings.upstreams.push_back(std::move(upstream));
}

}  // namespace

void read_upstreams(Loading& loading, const Node& node) {
  for (const Node* upstream : read_list(loading.problems, node, "a list of upstreams, each with a name and servers"))
    read_upstream(loading, *upstream);
}

}  // namespace sallyport::app
