#include "app/config_keys.hpp"

#include <algorithm>
#include <array>

#include "app/config_loader.hpp"

namespace sallyport::app {
namespace {

// A later version that serves a key changes its line here, and shows the key in config/gateway.reference.yaml.
constexpr Key kKeys[] = {
    {"version"},
    {"workers"},

    {"listeners"},
    {"listeners[].name"},
    {"listeners[].address"},
    {"listeners[].tls"},
    {"listeners[].tls.certificates"},
    {"listeners[].tls.certificates[].certificate_file"},
    {"listeners[].tls.certificates[].key_file"},
    {"listeners[].tls.min_version"},
    {"listeners[].tls.client_ca_file"},
    {"listeners[].tls.client_certificate"},
    {"listeners[].proxy_protocol"},
    {"listeners[].trusted_proxies"},
    {"listeners[].allow"},
    {"listeners[].deny"},
    {"listeners[].limits"},
    {"listeners[].limits.connections"},
    {"listeners[].limits.connections_per_address"},
    {"listeners[].limits.header_bytes"},
    {"listeners[].limits.header_fields"},
    {"listeners[].limits.target_bytes"},
    {"listeners[].limits.body_bytes"},
    {"listeners[].timeouts"},
    {"listeners[].timeouts.handshake"},
    {"listeners[].timeouts.header"},
    {"listeners[].timeouts.body"},
    {"listeners[].timeouts.idle"},
    {"listeners[].timeouts.write"},

    {"admin"},
    {"admin.address"},
    {"admin.token_file"},

    {"store"},
    {"store.kind"},
    {"store.path"},
    {"store.redis"},
    {"store.redis.url"},
    {"store.redis.username"},
    {"store.redis.password_file"},
    {"store.redis.ca_file"},
    {"store.redis.prefix"},
    {"store.redis.command_timeout"},

    {"issuers"},
    {"issuers[].name"},
    {"issuers[].issuer"},
    {"issuers[].audiences"},
    {"issuers[].algorithms"},
    {"issuers[].keys"},
    {"issuers[].keys.jwks_file"},
    {"issuers[].keys.jwks_url"},
    {"issuers[].keys.ca_file"},
    {"issuers[].keys.cache_file"},
    {"issuers[].keys.pem_file"},
    {"issuers[].keys.secret_file"},
    {"issuers[].clock_tolerance"},
    {"issuers[].max_age"},
    {"issuers[].require_claims"},
    {"issuers[].token_type"},
    {"issuers[].token_from"},
    {"issuers[].token_from[].header"},
    {"issuers[].token_from[].cookie"},
    {"issuers[].claims"},
    {"issuers[].claims.roles"},
    {"issuers[].claims.scopes"},

    {"sessions"},
    {"sessions.cookie"},
    {"sessions.cookie.name"},
    {"sessions.cookie.same_site"},
    {"sessions.idle_timeout"},
    {"sessions.absolute_timeout"},
    {"sessions.secret_file"},
    {"sessions.cache_entries"},
    {"sessions.on_store_outage"},
    {"sessions.on_store_outage.serve_cached_for"},
    {"sessions.foreign"},
    {"sessions.foreign.cookie"},
    {"sessions.foreign.secret_file"},
    {"sessions.foreign.prefix"},
    {"sessions.foreign.subject"},
    {"sessions.foreign.claims"},

    {"tokens"},
    {"tokens.issuer"},
    {"tokens.audiences"},
    {"tokens.signing_keys_file"},
    {"tokens.access_ttl"},
    {"tokens.refresh_ttl"},
    {"tokens.family_ttl"},
    {"tokens.reuse_window"},
    {"tokens.cookies"},
    {"tokens.cookies.access"},
    {"tokens.cookies.refresh"},
    {"tokens.cookies.same_site"},

    {"revocations"},
    {"revocations.entries_max"},
    {"revocations.keep_for"},

    {"upstreams"},
    {"upstreams[].name"},
    {"upstreams[].servers"},
    {"upstreams[].servers[].url"},
    {"upstreams[].servers[].weight"},
    {"upstreams[].balance"},
    {"upstreams[].host"},
    {"upstreams[].timeouts"},
    {"upstreams[].timeouts.connect"},
    {"upstreams[].timeouts.response"},
    {"upstreams[].timeouts.idle"},
    {"upstreams[].retries"},
    {"upstreams[].health"},
    {"upstreams[].health.path"},
    {"upstreams[].health.interval"},
    {"upstreams[].health.timeout"},
    {"upstreams[].health.healthy_after"},
    {"upstreams[].health.unhealthy_after"},
    {"upstreams[].ejection"},
    {"upstreams[].ejection.failures"},
    {"upstreams[].ejection.for"},
    {"upstreams[].ejection.percent_max"},
    {"upstreams[].limits"},
    {"upstreams[].limits.requests"},
    {"upstreams[].limits.pending"},
    {"upstreams[].retry_budget"},
    {"upstreams[].retry_budget.percent"},
    {"upstreams[].retry_budget.least"},
    {"upstreams[].slow_start"},
    {"upstreams[].tls"},
    {"upstreams[].tls.ca_file"},
    {"upstreams[].tls.server_name"},
    {"upstreams[].tls.certificate_file"},
    {"upstreams[].tls.key_file"},

    {"policies"},

    {"log"},
    {"log.level"},
    {"log.access"},
    {"log.audit"},

    {"reload"},
    {"reload.watch"},

    {"watchdog"},
    {"watchdog.stall"},

    {"shutdown"},
    {"shutdown.drain_timeout"},

    {"rate_limits"},
    {"rate_limits[].by"},
    {"rate_limits[].requests"},
    {"rate_limits[].per"},
    {"rate_limits[].burst"},
    {"rate_limits[].exact"},

    {"overload"},
    {"overload.memory"},
    {"overload.requests"},

    {"policies[].version"},
    {"policies[].routes"},
    {"policies[].routes[].name"},
    {"policies[].routes[].match"},
    {"policies[].routes[].match.host"},
    {"policies[].routes[].match.path"},
    {"policies[].routes[].match.methods"},
    {"policies[].routes[].access"},
    {"policies[].routes[].credentials"},
    {"policies[].routes[].credentials[].jwt"},
    {"policies[].routes[].require"},  // what `all`, `any` and `not` hold has the same path
    {"policies[].routes[].require.all"},
    {"policies[].routes[].require.any"},
    {"policies[].routes[].require.not"},
    {"policies[].routes[].require.scope"},
    {"policies[].routes[].require.role"},
    {"policies[].routes[].require.subject"},
    {"policies[].routes[].require.issuer"},
    {"policies[].routes[].require.network"},
    {"policies[].routes[].require.method"},
    {"policies[].routes[].require.max_auth_age"},
    {"policies[].routes[].require.claim"},
    {"policies[].routes[].require.claim.name"},
    {"policies[].routes[].require.claim.pointer"},
    {"policies[].routes[].require.claim.equals"},
    {"policies[].routes[].require.claim.contains"},
    {"policies[].routes[].require.claim.one_of"},
    {"policies[].routes[].require.claim.exists"},
    {"policies[].routes[].identity"},
    {"policies[].routes[].identity.headers"},
    {"policies[].routes[].forward_credentials"},
    {"policies[].routes[].csrf"},
    {"policies[].routes[].csrf.allowed_origins"},
    {"policies[].routes[].rewrite"},
    {"policies[].routes[].rewrite.strip_prefix"},
    {"policies[].routes[].upstream"},
    {"policies[].routes[].establish"},
    {"policies[].routes[].websocket"},
    {"policies[].routes[].websocket.idle_timeout"},
    {"policies[].routes[].rate_limits"},
    {"policies[].routes[].rate_limits[].by"},
    {"policies[].routes[].rate_limits[].requests"},
    {"policies[].routes[].rate_limits[].per"},
    {"policies[].routes[].rate_limits[].burst"},
    {"policies[].routes[].rate_limits[].exact"},
    {"policies[].routes[].allow"},
    {"policies[].routes[].deny"},
    {"policies[].routes[].cors"},
    {"policies[].routes[].cors.allowed_origins"},
    {"policies[].routes[].cors.allowed_methods"},
    {"policies[].routes[].cors.allowed_headers"},
    {"policies[].routes[].cors.exposed_headers"},
    {"policies[].routes[].cors.allow_credentials"},
    {"policies[].routes[].cors.max_age"},
    {"policies[].routes[].security_headers"},
    {"policies[].routes[].request_headers"},
    {"policies[].routes[].request_headers.add"},
    {"policies[].routes[].request_headers.set"},
    {"policies[].routes[].request_headers.remove"},
    {"policies[].routes[].response_headers"},
    {"policies[].routes[].response_headers.add"},
    {"policies[].routes[].response_headers.set"},
    {"policies[].routes[].response_headers.remove"},
};

// Values that DESIGN knows and this version does not serve: each would promise more than is kept. None at present.
struct LaterValue {
  std::string_view path;
  std::string_view value;
};
constexpr std::array<LaterValue, 0> kLaterValues{};

}  // namespace

std::vector<const Key*> keys_below(std::string_view path) {
  std::vector<const Key*> keys;
  for (const Key& key : kKeys) {
    std::string_view rest = key.path;
    if (!path.empty()) {
      if (!rest.starts_with(path) || rest.size() <= path.size() || rest[path.size()] != '.') continue;
      rest.remove_prefix(path.size() + 1);
    }
    if (rest.find('.') == std::string_view::npos) keys.push_back(&key);
  }
  return keys;
}

bool is_later_value(std::string_view path, std::string_view value) {
  return std::any_of(std::begin(kLaterValues), std::end(kLaterValues),
                     [&](const LaterValue& later) { return later.path == path && later.value == value; });
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  for (const Key& key : kKeys) {
    if (key.support == Support::served) keys.emplace_back(key.path);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace sallyport::app
