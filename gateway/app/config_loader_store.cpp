// The sections `store` and `revocations`.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/text.hpp"
#include "http/host.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::RedisSettings;

constexpr std::string_view kExpectedUrl = "redis://HOST:PORT/DB or rediss://HOST:PORT/DB";
constexpr std::uint64_t kDatabasesMax = 1'000'000;
constexpr std::size_t kPrefixBytesMax = 64;

bool is_loopback(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// Whether `text` is a URL of a server; the reason why not in `reason`.
bool parse_redis_url(std::string_view text, RedisSettings& redis, std::string& reason) {
  const std::size_t separator = text.find("://");
  const std::string_view scheme = text.substr(0, separator);
  if (separator == std::string_view::npos || (scheme != "redis" && scheme != "rediss")) {
    reason = "does not begin with redis:// or rediss://";
    return false;
  }
  redis.is_tls = scheme == "rediss";
  const std::string_view rest = text.substr(separator + 3);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  std::string_view path = rest.substr(authority.size());
  std::string host;
  if (const Result<void> parsed = http::parse_host(authority, host); !parsed) {
    reason = parsed.error().detail;
    return false;
  }
  // parse_host() took the port for checked: digits, and at most 65535.
  const std::size_t colon = authority.find(':', authority.front() == '[' ? authority.find(']') : 0);
  if (colon != std::string_view::npos) redis.port = static_cast<std::uint16_t>(parse_decimal(authority.substr(colon + 1)).value_or(0));
  redis.host = host.front() == '[' ? host.substr(1, host.size() - 2) : host;
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.empty()) return true;
  const std::optional<std::uint64_t> database = parse_decimal(path);
  if (!database || *database > kDatabasesMax || (path.size() > 1 && path.front() == '0')) {
    reason = "names no database by its number behind the host";
    return false;
  }
  redis.database = static_cast<std::uint32_t>(*database);
  return true;
}

void read_url(Problems& problems, const Node& node, RedisSettings& redis) {
  const auto text = read_text(problems, node, kExpectedUrl);
  if (!text) return;
  std::string reason;
  if (parse_redis_url(*text, redis, reason)) return;
  redis.host.clear();
  // Not shown when it may hold a password.
  const bool may_hold_one = node.expanded || text->find('@') != std::string::npos;
  problems.error(node.at, may_hold_one ? fmt::format("this is no URL of a Redis server; expected {}, the user in `username` and the "
                                                     "password in `password_file`",
                                                     kExpectedUrl)
                                       : fmt::format("{} {}; expected {}", shown(node), reason, kExpectedUrl));
}

// Of all keys. Braces would cut the hash slot of a cluster out of it instead of out of our keys.
void read_prefix(Problems& problems, const Node& node, RedisSettings& redis) {
  const auto text = read_text(problems, node, "a prefix of keys like \"sallyport:\"");
  if (!text) return;
  const bool is_plain = std::all_of(text->begin(), text->end(), [](char c) { return c > 0x20 && c < 0x7F && c != '{' && c != '}'; });
  if (text->size() <= kPrefixBytesMax && is_plain) {
    redis.prefix = *text;
  } else {
    problems.error(node.at, fmt::format("{} cannot begin keys; expected at most {} printable characters without spaces and braces",
                                        shown(node), kPrefixBytesMax));
  }
}

void read_redis_access(Problems& problems, const MapReader& reader, const Place& url_at, RedisSettings& redis) {
  if (const Node* node = reader.find("username")) redis.username = read_text(problems, *node, "the name of a Redis user").value_or("");
  if (const Node* node = reader.find("password_file")) redis.password_file = read_file_path(problems, *node, FileSecrecy::secret);
  if (reader.has("username") && !reader.has("password_file")) {
    problems.error(reader.place_of("username"), "username stands alone; expected username and password_file together");
  }
  if (const Node* node = reader.find("ca_file")) {
    redis.ca_file = read_file_path(problems, *node, FileSecrecy::public_).value_or("");
    if (!redis.host.empty() && !redis.is_tls) {
      problems.error(reader.place_of("ca_file"), "ca_file stands here, but the connection has no TLS; expected a rediss:// URL");
    } else if (!redis.ca_file.empty()) {
      transport::UpstreamTlsSettings tls;
      tls.ca_file = redis.ca_file;
      if (const auto context = transport::make_tls_client_context(tls); !context) problems.error(node->at, context.error().detail);
    }
  }
  if (redis.host.empty() || is_loopback(redis.host)) return;
  if (!reader.has("password_file")) {
    problems.warning(url_at, "the Redis server is not on this machine and asks for no password: whoever reaches it can sign in as anybody");
  }
  if (!redis.is_tls) {
    problems.warning(url_at, "the connection to the Redis server is not encrypted: whoever is on the way can sign in as anybody");
  }
}

void read_redis(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "store.redis");
  RedisSettings redis;
  const Node* url = reader.require("url", kExpectedUrl);
  if (url != nullptr) read_url(problems, *url, redis);
  read_redis_access(problems, reader, url != nullptr ? url->at : node.at, redis);
  if (const Node* prefix = reader.find("prefix")) read_prefix(problems, *prefix, redis);
  if (const Node* timeout = reader.find("command_timeout")) {
    if (const auto value = read_duration(problems, *timeout, {milliseconds(10), seconds(60)})) redis.command_timeout = *value;
  }
  loading.settings.store.redis = std::move(redis);
}

void read_store_path(Loading& loading, const Node& node) {
  const auto text = read_text(loading.problems, node, "the path of a file");
  if (!text) return;
  std::string path = resolve(*node.at.source, *text);
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (std::filesystem::is_directory(path, ignored)) {
    loading.problems.error(node.at, fmt::format("{} is a directory; expected the path of a file, which may not exist yet", shown(node)));
  } else if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) {
    loading.problems.error(node.at, fmt::format("the folder of {} does not exist", shown(node)));
  }
  loading.settings.store.path = std::move(path);
}

}  // namespace

void read_store(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "store");
  static const Words<bool> kKinds = {{"embedded", false}, {"redis", true}};
  std::optional<bool> is_redis;
  if (const Node* kind = reader.require("kind", "embedded or redis")) is_redis = read_keyword(problems, *kind, "store.kind", kKinds);
  loading.has_redis = is_redis == true;
  loading.has_store_path = reader.has("path");
  if (is_redis == true && reader.has("path")) {
    problems.error(reader.place_of("path"), "path belongs to the embedded store; expected `redis` alone");
  } else if (const Node* path = reader.find("path")) {
    read_store_path(loading, *path);
  }
  if (is_redis == false && reader.has("redis")) {
    problems.error(reader.place_of("redis"), "redis stands here, but the store is embedded; expected kind: redis");
  } else if (is_redis == true) {
    if (const Node* redis = reader.require("redis", "a mapping with the url of a Redis server")) read_redis(loading, *redis);
  } else if (const Node* redis = reader.find("redis")) {
    read_redis(loading, *redis);
  }
}

void read_revocations(Loading& loading, const Node* node) {
  constexpr std::uint64_t kEntriesMax = 100'000'000;
  constexpr milliseconds kDefault = hours(24 * 31);
  Problems& problems = loading.problems;
  const milliseconds absolute_timeout = loading.sessions->absolute_timeout;
  // What nobody has said is never too short.
  milliseconds keep_for = std::max({kDefault, absolute_timeout, loading.family_ttl});
  if (node != nullptr) {
    const MapReader reader(problems, *node, "revocations");
    if (const Node* entries = reader.find("entries_max")) {
      if (const auto value = read_integer(problems, *entries, 1, kEntriesMax)) loading.settings.revocations_max = *value;
    }
    if (const Node* kept = reader.find("keep_for")) {
      keep_for = read_duration(problems, *kept, {seconds(1), hours(24 * 366)}).value_or(keep_for);
      if (keep_for < absolute_timeout) {
        problems.error(
            kept->at, fmt::format("{} is shorter than sessions.absolute_timeout: a revoked session would come back to life", shown(*kept)));
      } else if (keep_for < loading.family_ttl) {
        problems.error(kept->at,
                       fmt::format("{} is shorter than tokens.family_ttl: a revoked login would come back to life", shown(*kept)));
      }
    }
  }
  loading.settings.store.revocations_kept = keep_for;
}

void check_store_suffices(Loading& loading, const Place& top) {
  loading.settings.needs_store = loading.sessions_used_at || loading.tokens_at;
  loading.settings.store.is_relied_on = loading.settings.needs_store;
  if (!loading.settings.needs_store) return;
  loading.settings.takes_sessions = loading.sessions_used_at.has_value();
  if (loading.has_redis || loading.has_store_path) return;
  loading.problems.warning(loading.sessions_used_at ? *loading.sessions_used_at : loading.tokens_at.value_or(top),
                           "sessions and tokens are kept in memory only: a restart signs everyone out, and no second gateway knows them; "
                           "expected a `store` with a path, or of kind redis");
}

}  // namespace sallyport::app
