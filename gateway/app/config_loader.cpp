#include "app/config_loader.hpp"

#include <sched.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"

namespace sallyport::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kFileBytesMax = YamlLimits{}.bytes_max;
constexpr std::uint32_t kWorkersMax = 256;

std::uint32_t count_usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  const int count = CPU_COUNT(&cores);
  return count < 1 ? 1 : std::min(static_cast<std::uint32_t>(count), kWorkersMax);
}

// The cores that this process may run on: a container often gets fewer than the machine has. As they were at the start, so that a reload
// finds the same number.
std::uint32_t usable_cores() {
  static const std::uint32_t cores = count_usable_cores();
  return cores;
}

void read_workers(Loading& loading, const Node& node) {
  loading.settings.workers = usable_cores();
  if (node.kind == Node::Kind::scalar && node.text == "auto") return;
  if (node.kind == Node::Kind::scalar && !node.text.empty() && (node.text.front() < '0' || node.text.front() > '9')) {
    loading.problems.error(node.at, fmt::format("{} stands here; expected auto, or a whole number from 1 to {}", shown(node), kWorkersMax));
    return;
  }
  if (const auto workers = read_integer(loading.problems, node, 1, kWorkersMax))
    loading.settings.workers = static_cast<std::uint32_t>(*workers);
}

void read_sink(Loading& loading, const MapReader& log, std::string_view key, observe::Sink& sink) {
  const Node* node = log.find(key);
  if (node == nullptr) return;
  if (node->kind == Node::Kind::scalar) {
    using Kind = observe::Sink::Kind;
    static constexpr std::pair<std::string_view, Kind> kWords[] = {
        {"off", Kind::off}, {"stdout", Kind::standard_output}, {"stderr", Kind::standard_error}};
    for (const auto& [word, kind] : kWords) {
      if (node->text == word) {
        sink.kind = kind;
        return;
      }
    }
  }
  const auto path = read_text(loading.problems, *node, "stdout, stderr, off or the path of a file");
  if (!path) return;
  sink.kind = observe::Sink::Kind::file;
  sink.path = resolve(*node->at.source, *path);
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(sink.path).parent_path();
  if (std::filesystem::is_directory(sink.path, ignored)) {
    loading.problems.error(node->at, fmt::format("{} is a directory; expected stdout, stderr, off or the path of a file", shown(*node)));
  } else if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) {
    loading.problems.error(node->at, fmt::format("the folder of {} does not exist", shown(*node)));
  }
}

void read_log(Loading& loading, const Node& node) {
  using observe::Level;
  const MapReader log(loading.problems, node, "log");
  static const Words<Level> kLevels = {
      {"debug", Level::debug}, {"info", Level::info}, {"warning", Level::warning}, {"error", Level::error}};
  if (const Node* level = log.find("level")) {
    if (const auto value = read_keyword(loading.problems, *level, log.path_of("level"), kLevels)) loading.settings.log.level = *value;
  }
  read_sink(loading, log, "access", loading.settings.log.access);
  read_sink(loading, log, "audit", loading.settings.log.audit);
}

void read_shutdown(Loading& loading, const Node& node) {
  const MapReader shutdown(loading.problems, node, "shutdown");
  if (const Node* timeout = shutdown.find("drain_timeout")) {
    if (const auto value = read_duration(loading.problems, *timeout, {milliseconds(0), hours(1)})) loading.settings.drain_timeout = *value;
  }
}

void read_reload(Loading& loading, const Node& node) {
  const MapReader reload(loading.problems, node, "reload");
  if (const Node* watch = reload.find("watch")) {
    if (const auto value = read_boolean(loading.problems, *watch)) loading.settings.watches_files = *value;
  }
}

void read_watchdog(Loading& loading, const Node& node) {
  const MapReader watchdog(loading.problems, node, "watchdog");
  if (const Node* stall = watchdog.find("stall")) {
    if (const auto value = read_duration(loading.problems, *stall, {milliseconds(20), std::chrono::minutes(1)})) {
      loading.settings.stall = *value;
    }
  }
}

std::string address_text(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

std::string store_text(const Settings& settings) {
  const store::StoreSettings& store = settings.store;
  std::string text = store.path.empty() ? "embedded, in memory" : fmt::format("embedded, {}", store.path);
  if (store.redis) {
    const store::RedisSettings& redis = *store.redis;
    text = fmt::format("{}://{}@{}/{} prefix {} timeout {}ms password_file {} ca_file {}", redis.is_tls ? "rediss" : "redis",
                       redis.username, redis.address(), redis.database, redis.prefix, redis.command_timeout.count(),
                       redis.password_file.value_or("-"), redis.ca_file.empty() ? "-" : redis.ca_file);
  }
  return text;
}

std::string_view sink_text(const observe::Sink& sink) {
  switch (sink.kind) {
    case observe::Sink::Kind::off: return "off";
    case observe::Sink::Kind::standard_output: return "stdout";
    case observe::Sink::Kind::standard_error: return "stderr";
    case observe::Sink::Kind::file: return sink.path;
  }
  return {};
}

// What sockets, threads and files were made of at the start.
void note_fixed_parts(Loading& loading, const MapReader& top) {
  Settings& settings = loading.settings;
  const auto note = [&](std::string name, std::string value, const Place& place) {
    const std::string file = place.source == nullptr ? std::string() : place.source->name;
    settings.fixed.push_back({std::move(name), std::move(value), Problem{file, place.line, place.column, {}}});
  };
  note("workers", std::to_string(settings.workers), top.place_of("workers"));
  const Node* listeners = top.find("listeners");
  for (std::size_t i = 0; i < settings.listeners.size(); ++i) {
    const listen::ListenerSettings& listener = settings.listeners[i];
    const bool has_node = listeners != nullptr && i < listeners->items.size();
    note(fmt::format("listener '{}'", listener.name),
         fmt::format("{}{}", address_text(listener.host, listener.port), listener.tls ? " with tls" : ""),
         has_node ? listeners->items[i].at : top.place_of("listeners"));
  }
  std::string order;
  for (const listen::ListenerSettings& listener : settings.listeners) order += (order.empty() ? "" : ", ") + listener.name;
  note("listeners", order, top.place_of("listeners"));
  const std::string admin = settings.admin ? address_text(settings.admin->host, settings.admin->port) +
                                                 (settings.admin->token_file ? ", token in " + *settings.admin->token_file : "")
                                           : "none";
  note("admin", admin, top.place_of("admin"));
  note("store", store_text(settings), top.place_of("store"));
  note("revocations", fmt::format("entries_max {} kept {}ms", settings.revocations_max, settings.store.revocations_kept.count()),
       top.place_of("revocations"));
  note("sessions.secret_file", settings.session_secret_files.empty() ? "none" : "some", top.place_of("sessions"));
  note("sessions.cache_entries", std::to_string(settings.session_cache_entries), top.place_of("sessions"));
  note("log.access", std::string(sink_text(settings.log.access)), top.place_of("log"));
  note("log.audit", std::string(sink_text(settings.log.audit)), top.place_of("log"));
}

bool is_version_1(Loading& loading, const MapReader& file) {
  const Node* version = file.require("version", "1");
  return version != nullptr && read_integer(loading.problems, *version, 1, 1).has_value();
}

// Only what was read may be referred to: names first, then those who use them.
void read_top(Loading& loading, const Node& root) {
  const MapReader top(loading.problems, root, "");
  if (!top.is_map()) return;
  static_cast<void>(is_version_1(loading, top));
  loading.settings.workers = usable_cores();
  if (const Node* node = top.find("workers")) read_workers(loading, *node);
  if (const Node* node = top.require("listeners", "a list of listeners, each with a name and an address")) read_listeners(loading, *node);
  if (const Node* node = top.find("admin")) read_admin(loading, *node);
  if (const Node* node = top.find("store")) read_store(loading, *node);
  if (const Node* node = top.find("issuers")) read_issuers(loading, *node);
  read_tokens(loading, top.find("tokens"));
  read_sessions(loading, top.find("sessions"));
  read_revocations(loading, top.find("revocations"));
  if (const Node* node = top.require("upstreams", "a list of upstreams, each with a name and servers")) read_upstreams(loading, *node);
  if (const Node* node = top.find("log")) read_log(loading, *node);
  if (const Node* node = top.find("shutdown")) read_shutdown(loading, *node);
  if (const Node* node = top.find("reload")) read_reload(loading, *node);
  if (const Node* node = top.find("watchdog")) read_watchdog(loading, *node);
  if (const Node* node = top.find("rate_limits")) read_rate_limits(loading, *node);
  if (const Node* node = top.find("overload")) read_overload(loading, *node);
  if (const Node* node = top.require("policies", "a list of policy files or patterns like policies/*.yaml")) read_policies(loading, *node);
  complete_routes(loading);
  check_store_suffices(loading, root.at);
  note_fixed_parts(loading, top);
}

// An upstream that is this gateway would go round in circles, with our own headers on the second round.
void check_loops(Loading& loading) {
  for (const KnownServer& server : loading.servers) {
    for (const KnownEndpoint& own : loading.endpoints) {
      const bool is_loopback = server.host == "localhost" || server.host.starts_with("127.") || server.host == "::1";
      const bool is_any = server.host == "0.0.0.0" || server.host == "::";
      const bool is_own = server.host == own.endpoint.host || (own.endpoint.is_any && (is_loopback || is_any)) ||
                          (own.endpoint.is_loopback && (is_any || server.host == "localhost"));
      if (is_own && server.port == own.endpoint.port) {
        loading.problems.error(server.at,
                               fmt::format("this server is the gateway's own {}: requests would go round in circles", own.owner));
      }
    }
  }
}

void check_upstreams_are_used(Loading& loading) {
  for (const KnownUpstream& upstream : loading.upstreams) {
    if (!upstream.is_used) loading.problems.warning(upstream.at, fmt::format("no route uses the upstream '{}'", upstream.name));
  }
}

// Joins what was read; the last problems show up here, because only all routes together can conflict.
pipeline::SnapshotPtr compile(Loading& loading) {
  std::vector<route::Match> matches;
  std::vector<std::string> identity_headers;
  for (const pipeline::Route& route : loading.routes) {
    matches.push_back(route.match);
    for (const identity::IdentityHeader& header : route.outbound.headers) identity_headers.push_back(header.name);
  }
  route::RouteTable::Built built = route::RouteTable::build(std::move(matches));
  for (const route::RouteConflict& conflict : built.conflicts) {
    const pipeline::Route& other = loading.routes[conflict.other];
    loading.problems.error(loading.pending[conflict.route].at,
                           conflict.route == conflict.other
                               ? fmt::format("route '{}' {}", loading.routes[conflict.route].name, conflict.detail)
                               : fmt::format("route '{}' and route '{}' ({}): {}", loading.routes[conflict.route].name, other.name,
                                             other.source, conflict.detail));
  }
  if (loading.problems.has_errors()) return nullptr;

  std::vector<authenticate::IssuerPtr> issuers;
  for (const KnownIssuer& known : loading.issuers) issuers.push_back(known.issuer);
  std::vector<std::string> upstream_names;
  for (const KnownUpstream& known : loading.upstreams) upstream_names.push_back(known.name);
  const milliseconds kept = loading.settings.store.revocations_kept;
  const issue::RevocationTimes times{
      .session = loading.sessions->absolute_timeout,
      .family = loading.edge ? loading.family_ttl : kept,
      .everything_else = kept,
  };
  return std::make_shared<const pipeline::Snapshot>(pipeline::Snapshot{
      .routes = std::move(loading.routes),
      .table = std::move(built.table),
      .owned_names = identity::OwnedNames(identity_headers),
      .issuers = std::move(issuers),
      .upstream_names = std::move(upstream_names),
      .any_credential = plan_of_every_kind(loading),
      .sessions = loading.sessions,
      .edge = loading.edge,
      .our_cookies = our_cookies(loading),
      .revocation_times = times,
      .every_request = rules_of_every_request(loading),
  });
}

}  // namespace

std::optional<Node> read_source(Loading& loading, const std::string& name, const Node* named_by) {
  const std::filesystem::path path(name);
  const Source& source = loading.sources.emplace_back(Source{name, path.parent_path().string()});
  loading.problems.was_read(name);
  const Result<std::string> content = read_regular_file(name, kFileBytesMax);
  if (!content) {
    const std::string shown_name = named_by != nullptr && named_by->expanded ? shown(*named_by) : name;
    loading.problems.error(named_by != nullptr ? named_by->at : Place{&source, 0, 0},
                           fmt::format("the file {} cannot be read: {}", shown_name, content.error().detail));
    return std::nullopt;
  }
  return read_yaml(*content, source, loading.environment, loading.problems);
}

Loaded load_config(const std::string& path, Environment environment) {
  Loading loading(environment);
  const std::optional<Node> root = read_source(loading, path, nullptr);
  pipeline::SnapshotPtr snapshot;
  if (root) {
    read_top(loading, *root);
    check_loops(loading);
    check_upstreams_are_used(loading);
    snapshot = compile(loading);
  }
  Loaded loaded;
  if (!loading.problems.has_errors() && snapshot) {
    loading.settings.snapshot = std::move(snapshot);
    loaded.settings = std::move(loading.settings);
  }
  loaded.problems = loading.problems.take_errors();
  loaded.warnings = loading.problems.take_warnings();
  loaded.files = loading.problems.take_files();
  return loaded;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

}  // namespace sallyport::app
