// The sections `sessions` and `tokens`.
#include <algorithm>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

using authenticate::ForeignSessions;
using authenticate::SessionSettings;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr DurationRange kLife{seconds(1), hours(24 * 366)};
constexpr std::size_t kTagSecretBytesMin = 32;
constexpr std::size_t kForeignSecretBytesMin = 8;
constexpr std::uint64_t kCacheEntriesMax = 10'000'000;
// Claims that say who somebody is and for how long: they are not for a record to overrule.
constexpr std::string_view kOwnClaims[] = {"sub", "iss", "aud", "exp", "nbf", "iat", "jti", "sid"};

// A life in whole seconds, as tokens count; `what` is then longer than it may be when `value` > `bound`.
template <class Duration>
void read_life(Problems& problems, const MapReader& reader, std::string_view key, const DurationRange& range, Duration& life) {
  const Node* node = reader.find(key);
  if (node == nullptr) return;
  if (const auto value = read_duration(problems, *node, range)) life = std::chrono::floor<Duration>(*value);
}

// The key's own place, or the section's where a default is at fault.
void check_not_longer(Problems& problems, const MapReader& reader, std::string_view key, milliseconds value, std::string_view other_key,
                      milliseconds other) {
  if (value <= other) return;
  const std::string_view at = reader.has(key) ? key : other_key;
  problems.error(reader.place_of(at), fmt::format("{} is longer than {}, which ends it; expected it to be shorter or as long",
                                                  reader.path_of(key), reader.path_of(other_key)));
}

void read_session_cookie(Loading& loading, const MapReader& sessions, SessionSettings& settings) {
  Problems& problems = loading.problems;
  Place at = sessions.place_of("cookie");
  if (const Node* node = sessions.find("cookie")) {
    const MapReader cookie(problems, *node, "sessions.cookie");
    if (const Node* name = cookie.find("name")) {
      at = name->at;
      if (auto text = read_cookie_name(problems, *name)) settings.cookie_name = std::move(*text);
    }
    if (const Node* same_site = cookie.find("same_site")) {
      settings.same_site = read_same_site(problems, *same_site, cookie.path_of("same_site")).value_or(settings.same_site);
    }
  }
  claim_cookie(loading, at, settings.cookie_name, "the session cookie");
}

void read_foreign_claims(Problems& problems, const Node& node, ForeignSessions& foreign) {
  if (node.kind != Node::Kind::map || node.members.empty()) {
    if (node.kind != Node::Kind::refused)
      problems.error(node.at, "expected a mapping of claim names to JSON pointers, like { roles: /user/roles }");
    return;
  }
  for (const Member& member : node.members) {
    if (std::ranges::find(kOwnClaims, std::string_view(member.key.text)) != std::end(kOwnClaims)) {
      problems.error(member.key.at, fmt::format("{} is not a claim that a record may state; expected another name", shown(member.key)));
      continue;
    }
    if (member.key.text.empty() || member.value.kind == Node::Kind::blank) {
      problems.error(member.value.at, fmt::format("{} is blank; expected a JSON pointer like /user/roles", shown(member.key)));
      continue;
    }
    if (auto pointer = read_json_pointer(problems, member.value, "/user/roles")) {
      foreign.claims.emplace_back(member.key.text, std::move(*pointer));
    }
  }
}

void read_foreign_cookie(Loading& loading, const MapReader& reader, ForeignSessions& foreign) {
  Problems& problems = loading.problems;
  if (const Node* node = reader.find("cookie")) {
    const auto name = read_text(problems, *node, "the name of the application's cookie, like connect.sid");
    if (name && !is_token(*name)) {
      problems.error(node->at, fmt::format("{} is no name of a cookie (RFC 6265 §4.1.1)", shown(*node)));
    } else if (name) {
      foreign.cookie = *name;
    }
  }
  claim_cookie(loading, reader.place_of("cookie"), foreign.cookie, "the cookie of sessions.foreign");
}

std::optional<ForeignSessions> read_foreign(Loading& loading, const MapReader& sessions) {
  const Node* node = sessions.find("foreign");
  if (node == nullptr) return std::nullopt;
  Problems& problems = loading.problems;
  const MapReader reader(problems, *node, "sessions.foreign");
  ForeignSessions foreign;
  if (!loading.has_redis) {
    problems.error(sessions.place_of("foreign"),
                   "sessions of other applications are read from the Redis server that they stand in; expected a store of kind redis");
  }
  if (const KnownIssuer* issuer = find_issuer(loading, foreign.name)) {
    problems.error(issuer->at, fmt::format("the issuer name '{}' is that of sessions.foreign; expected another name", foreign.name));
  }
  read_foreign_cookie(loading, reader, foreign);
  if (const Node* secrets = reader.require("secret_file", "the file of the secret that signs the application's cookies")) {
    for (SecretFile& file : read_secret_files(problems, *secrets, kForeignSecretBytesMin))
      foreign.secrets.push_back(std::move(file.secret));
  }
  if (const Node* prefix = reader.find("prefix")) {
    foreign.prefix = read_text(problems, *prefix, "what the application's keys begin with, like \"sess:\"").value_or(foreign.prefix);
  }
  if (const Node* subject = reader.require("subject", "where the subject stands in the record, like /user/id")) {
    if (auto pointer = read_json_pointer(problems, *subject, "/user/id")) {
      foreign.subject = std::move(*pointer);
    }
  }
  if (const Node* claims = reader.find("claims")) read_foreign_claims(problems, *claims, foreign);
  return foreign;
}

void read_outage(Problems& problems, const Node& node, SessionSettings& settings) {
  const MapReader outage(problems, node, "sessions.on_store_outage");
  if (const Node* time = outage.require("serve_cached_for", "how long remembered sessions are honoured without the store, like 5m")) {
    settings.serve_cached_for = read_duration(problems, *time, {milliseconds(0), hours(24)}).value_or(settings.serve_cached_for);
  }
}

void read_session_section(Loading& loading, const Node& node, SessionSettings& settings) {
  Problems& problems = loading.problems;
  const MapReader sessions(problems, node, "sessions");
  loading.sessions_used_at = node.at;
  read_session_cookie(loading, sessions, settings);
  read_life(problems, sessions, "idle_timeout", kLife, settings.idle_timeout);
  read_life(problems, sessions, "absolute_timeout", kLife, settings.absolute_timeout);
  check_not_longer(problems, sessions, "idle_timeout", settings.idle_timeout, "absolute_timeout", settings.absolute_timeout);
  if (const Node* secrets = sessions.find("secret_file")) {
    for (SecretFile& file : read_secret_files(problems, *secrets, kTagSecretBytesMin))
      loading.settings.session_secret_files.push_back(std::move(file.path));
  }
  if (const Node* entries = sessions.find("cache_entries")) {
    if (const auto value = read_integer(problems, *entries, 1, kCacheEntriesMax)) loading.settings.session_cache_entries = *value;
  }
  if (const Node* outage = sessions.find("on_store_outage")) read_outage(problems, *outage, settings);
  settings.foreign = read_foreign(loading, sessions);
}

void read_token_issuer(Loading& loading, const Node& node, issue::TokenSettings& settings) {
  Problems& problems = loading.problems;
  const auto text = read_text(problems, node, "the `iss` of the gateway's tokens, like https://gateway.example");
  if (!text) return;
  settings.issuer = *text;
  for (const KnownIssuer& other : loading.issuers) {
    if (other.iss == *text)
      problems.error(node.at, fmt::format("the issuer '{}' has the same `iss` value; a token must belong to one issuer", other.name));
  }
}

void read_token_cookies(Loading& loading, const MapReader& tokens, issue::TokenSettings& settings) {
  Problems& problems = loading.problems;
  const Place section = tokens.place_of("cookies");
  Place access_at = section;
  Place refresh_at = section;
  if (const Node* node = tokens.find("cookies")) {
    const MapReader cookies(problems, *node, "tokens.cookies");
    const auto read = [&](std::string_view key, std::string& name, Place& at) {
      const Node* value = cookies.find(key);
      if (value == nullptr) return;
      at = value->at;
      if (auto text = read_cookie_name(problems, *value)) name = std::move(*text);
    };
    read("access", settings.access_cookie, access_at);
    read("refresh", settings.refresh_cookie, refresh_at);
    if (const Node* same_site = cookies.find("same_site")) {
      settings.same_site = read_same_site(problems, *same_site, cookies.path_of("same_site")).value_or(settings.same_site);
    }
  }
  claim_cookie(loading, access_at, settings.access_cookie, "the access cookie");
  claim_cookie(loading, refresh_at, settings.refresh_cookie, "the refresh cookie");
}

void read_token_lives(Problems& problems, const MapReader& tokens, issue::TokenSettings& settings) {
  read_life(problems, tokens, "access_ttl", kLife, settings.access_ttl);
  read_life(problems, tokens, "refresh_ttl", kLife, settings.refresh_ttl);
  read_life(problems, tokens, "family_ttl", kLife, settings.family_ttl);
  read_life(problems, tokens, "reuse_window", {milliseconds(0), minutes(10)}, settings.reuse_window);
  check_not_longer(problems, tokens, "access_ttl", settings.access_ttl, "refresh_ttl", settings.refresh_ttl);
  check_not_longer(problems, tokens, "refresh_ttl", settings.refresh_ttl, "family_ttl", settings.family_ttl);
  check_not_longer(problems, tokens, "reuse_window", settings.reuse_window, "refresh_ttl", settings.refresh_ttl);
}

// The keys, when nothing else of the section is at fault.
void load_edge_keys(Loading& loading, const Node& node, issue::TokenSettings settings) {
  const Result<Secret> text = read_secret_file(settings.signing_keys_file, kKeyFileBytesMax);
  if (!text) {
    return loading.problems.error(node.at, not_usable(node, text.error()));
  }
  std::vector<std::string> warnings;
  Result<issue::EdgeKeysPtr> keys =
      issue::EdgeKeys::create(std::move(settings), {reinterpret_cast<const char*>(text->reveal().data()), text->size()}, warnings);
  for (const std::string& warning : warnings) loading.problems.warning(node.at, warning);
  if (!keys) return loading.problems.error(node.at, keys.error().detail);
  loading.edge = std::move(*keys);
}

}  // namespace

void read_tokens(Loading& loading, const Node* node) {
  if (node == nullptr) return;
  Problems& problems = loading.problems;
  loading.tokens_at = node->at;
  const std::size_t errors_before = problems.error_count();
  const MapReader tokens(problems, *node, "tokens");
  issue::TokenSettings settings;
  if (const Node* issuer = tokens.require("issuer", "the `iss` of the gateway's tokens, like https://gateway.example")) {
    read_token_issuer(loading, *issuer, settings);
  }
  if (const Node* audiences = tokens.require("audiences", "a list of `aud` values that the tokens carry, like [api]")) {
    settings.audiences = read_texts(problems, *audiences, "a list of `aud` values like [api]");
  }
  const Node* keys = tokens.require("signing_keys_file", "the file of a private JWK Set (`sallyport keys generate`)");
  if (keys != nullptr) settings.signing_keys_file = read_file_path(problems, *keys, FileSecrecy::secret).value_or("");
  read_token_lives(problems, tokens, settings);
  read_token_cookies(loading, tokens, settings);
  loading.family_ttl = settings.family_ttl;
  const std::string iss = settings.issuer;
  // Parts that the YAML reader refused are missing without an error of this section.
  const bool is_complete = keys != nullptr && !settings.signing_keys_file.empty() && !iss.empty() && !settings.audiences.empty();
  if (problems.error_count() == errors_before && is_complete) load_edge_keys(loading, *keys, std::move(settings));
  loading.issuers.push_back({std::string(authenticate::kEdgeIssuerName), iss, node->at, loading.edge ? loading.edge->issuer() : nullptr});
}

void read_sessions(Loading& loading, const Node* node) {
  auto settings = std::make_shared<SessionSettings>();
  if (loading.edge) settings->issuer = loading.edge->settings().issuer;
  if (node != nullptr) read_session_section(loading, *node, *settings);
  loading.sessions = std::move(settings);
}

}  // namespace sallyport::app
