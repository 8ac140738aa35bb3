// What a valid configuration becomes, and (P01) what becomes of it when any value or key of the reference is changed.
#include "app/config_loader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "configuration_fixture.hpp"

namespace sallyport::app {
namespace {

using sallyport::testing::ConfigurationFolder;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using ConfigLoader = ConfigurationFixture;

TEST_F(ConfigLoader, FillsInTheDocumentedDefaults) {
  const Settings loaded = settings();
  const listen::ListenerSettings& listener = loaded.listeners.at(0);
  EXPECT_EQ(listener.name, "plain");
  EXPECT_EQ(listener.host, "127.0.0.1");
  EXPECT_EQ(listener.port, 8080);
  EXPECT_FALSE(listener.tls);
  EXPECT_EQ(listener.connections_max, 20'000U);
  EXPECT_EQ(listener.limits.header_bytes_max, 16U * 1024);
  EXPECT_EQ(listener.limits.body_bytes_max, 10U * 1024 * 1024);
  EXPECT_EQ(listener.timeouts.idle, seconds(75));
  EXPECT_FALSE(loaded.admin);
  EXPECT_EQ(loaded.drain_timeout, seconds(30));
  EXPECT_EQ(loaded.upstreams.at(0).retries, 1U);
  EXPECT_EQ(loaded.log.level, observe::Level::info);
  EXPECT_EQ(loaded.log.audit.kind, observe::Sink::Kind::standard_output);

  const authenticate::Expectations& expectations = loaded.snapshot->issuers.at(0)->settings.expectations;
  EXPECT_EQ(expectations.clock_tolerance, seconds(5));
  EXPECT_FALSE(expectations.max_age);
  EXPECT_THAT(expectations.require_claims, ElementsAre("sub"));
  EXPECT_EQ(expectations.roles.text(), "/roles");
  EXPECT_EQ(expectations.scopes.text(), "/scope");
}

TEST_F(ConfigLoader, ReadsEveryValueOfTheReference) {
  Loaded loaded = load_config(folder().file("config/gateway.reference.yaml"), environment);
  ASSERT_TRUE(loaded.settings);
  const Settings& settings = *loaded.settings;
  const listen::ListenerSettings& listener = settings.listeners.at(0);
  ASSERT_TRUE(listener.tls);
  EXPECT_EQ(listener.tls->certificates.at(0).certificate_file, folder().file("config/tls/localhost.crt"));
  ASSERT_TRUE(settings.admin);
  EXPECT_EQ(settings.admin->port, 9901);
  EXPECT_EQ(settings.admin->token_file, folder().file("config/secrets/admin.token"));
  EXPECT_EQ(settings.snapshot->issuers.size(), 5U) << "the edge is one of them";
  const authenticate::IssuerSettings& corp = settings.snapshot->issuers[0]->settings;
  EXPECT_EQ(corp.expectations.max_age, seconds(900));
  EXPECT_EQ(corp.expectations.token_type, "at+jwt");
  EXPECT_EQ(corp.expectations.roles.text(), "/realm_access/roles");
  EXPECT_THAT(corp.token_from, ElementsAre(authenticate::TokenPlace{authenticate::TokenPlace::Kind::authorization, ""},
                                           authenticate::TokenPlace{authenticate::TokenPlace::Kind::cookie, "access_token"}));
  EXPECT_EQ(settings.snapshot->any_credential.issuers.size(), 5U);
  EXPECT_EQ(settings.snapshot->any_credential.token_places.size(), 3U);

  const authenticate::IssuerSettings& provider = settings.snapshot->issuers[2]->settings;
  ASSERT_TRUE(provider.key_url);
  EXPECT_EQ(provider.key_url->url, "https://provider.example/keys");
  EXPECT_EQ(provider.key_url->ca_file, folder().file("config/tls/internal-ca.crt"));
  EXPECT_EQ(provider.key_url->ca_digest.size(), 64U);
  EXPECT_EQ(provider.key_url->cache_file, folder().file("config/state/provider.json"));

  const upstream::UpstreamSettings& orders = settings.upstreams.at(1);
  EXPECT_TRUE(orders.servers.at(1).is_tls);
  EXPECT_EQ(orders.servers.at(1).weight, 2U);
  EXPECT_EQ(orders.servers.at(1).authority, "127.0.0.1:9003");
  ASSERT_TRUE(orders.tls);
  EXPECT_EQ(orders.tls->server_name, "orders.internal");
  EXPECT_EQ(orders.tls->certificate.size(), 1U);

  const pipeline::Route& route = settings.snapshot->routes.at(1);
  EXPECT_EQ(route.name, "orders");
  EXPECT_EQ(route.upstream, 1U);
  EXPECT_EQ(route.outbound.strip_prefix, "/orders");
  EXPECT_THAT(route.match.methods, ElementsAre("GET", "POST"));
  EXPECT_EQ(route.credentials.issuers.size(), 1U);
  EXPECT_EQ(route.outbound.headers.size(), 3U);
  EXPECT_THAT(route.outbound.our_cookies, ElementsAre("access_token", "__Host-access", "__Host-session", "__Host-refresh"));
  EXPECT_THAT(route.csrf.allowed_origins, ElementsAre("https://app.example.com"));
  ASSERT_TRUE(route.websocket);
  EXPECT_EQ(route.websocket->idle_timeout, std::chrono::minutes(5));
  EXPECT_EQ(settings.snapshot->routes.back().establish, pipeline::Establish::session);
  ASSERT_TRUE(settings.store.redis);
  EXPECT_TRUE(settings.store.redis->is_tls);
  ASSERT_TRUE(settings.snapshot->sessions->foreign);
  EXPECT_EQ(settings.snapshot->sessions->foreign->claims.size(), 2U);
  EXPECT_EQ(settings.session_secret_files.size(), 2U);
  ASSERT_TRUE(route.policy.require);
  EXPECT_THAT(authorize::required_scopes(*route.policy.require), ElementsAre("orders:read"));
  EXPECT_TRUE(settings.snapshot->routes.at(0).outbound.is_public);
  EXPECT_TRUE(settings.snapshot->owned_names.owns("x_user_country"));
}

TEST_F(ConfigLoader, TheDemoLoads) {
  const ConfigurationFolder& made = folder();
  for (const char* name : {"demo", "demo/tls", "demo/keys", "demo/state"}) std::filesystem::create_directory(made.file(name));
  for (const char* name : {"tls/localhost.crt", "tls/localhost.key"}) {
    std::filesystem::copy(made.file(std::string("config/") + name), made.file(std::string("demo/") + name),
                          std::filesystem::copy_options::overwrite_existing);
  }
  made.write("demo/keys/demo.public.jwks.json", sallyport::testing::read_file(made.file("config/keys/corp.jwks.json")));
  made.write_secret("demo/keys/edge.private.jwks.json", sallyport::testing::read_file(made.file("config/keys/edge.jwks.json")));
  for (const char* name : {"config/demo.yaml", "policies/demo.yaml"}) {
    made.write(name, sallyport::testing::read_file(std::string(SALLYPORT_SOURCE_DIR) + "/" + name));
  }
  const Loaded loaded = load_config(made.file("config/demo.yaml"), environment);
  EXPECT_THAT(messages(loaded.problems), IsEmpty());
  EXPECT_THAT(messages(loaded.warnings), IsEmpty());
}

// ---- P01: every value and every key of the reference in turn ----

struct ScalarPlace {
  std::string path;
  Place at;
  std::size_t bytes;     // as it stands in the file
  bool is_free = false;  // any JSON scalar is fine here
};

void collect_scalars(const Node& node, const std::string& path, std::vector<ScalarPlace>& scalars) {
  if (node.kind == Node::Kind::scalar) {
    const bool is_free = path.ends_with(".equals") || path.ends_with(".contains") || path.ends_with(".one_of[]");
    scalars.push_back({path, node.at, node.written.size() + (node.quoted ? 2 : 0), is_free});
  }
  for (const Node& item : node.items) collect_scalars(item, path + "[]", scalars);
  for (const Member& member : node.members) collect_scalars(member.value, path + "." + member.key.text, scalars);
}

void collect_keys(const Node& node, const std::string& path, std::vector<ScalarPlace>& keys) {
  for (const Node& item : node.items) collect_keys(item, path + "[]", keys);
  for (const Member& member : node.members) {
    const std::string below = path.empty() ? member.key.text : path + "." + member.key.text;
    const bool is_free = path.ends_with(".identity.headers") || path.ends_with("_headers.add") || path.ends_with("_headers.set") ||
                         path == "sessions.foreign.claims";
    if (!is_free) keys.push_back({below, member.key.at, member.key.text.size(), false});
    collect_keys(member.value, below, keys);
  }
}

std::string exchanged(const std::string& text, const ScalarPlace& place, const std::string& value) {
  std::size_t at = 0;
  for (int line = 1; line < place.at.line; ++line) at = text.find('\n', at) + 1;
  return std::string(text).replace(at + static_cast<std::size_t>(place.at.column) - 1, place.bytes, value);
}

class ReferenceMutations : public ConfigurationFixture, public ::testing::WithParamInterface<const char*> {
 protected:
  ReferenceMutations()
      : file_(folder().file(GetParam())), text_(sallyport::testing::read_file(std::string(SALLYPORT_SOURCE_DIR) + "/" + GetParam())) {
    static const Source source{"reference", ""};
    Problems problems;
    root_ = read_yaml(text_, source, environment, problems);
  }
  ~ReferenceMutations() override { folder().write(GetParam(), text_); }

  Loaded load_mutant(const ScalarPlace& place, const std::string& value) {
    folder().write(GetParam(), exchanged(text_, place, value));
    return load_config(folder().file("config/gateway.reference.yaml"), environment);
  }
  Loaded expect_problem_there(const ScalarPlace& place, const std::string& value) {
    const Loaded loaded = load_mutant(place, value);
    EXPECT_FALSE(loaded.settings) << place.path << " -> " << value;
    const bool is_there = std::any_of(loaded.problems.begin(), loaded.problems.end(), [&](const Problem& problem) {
      return problem.file == file_ && problem.line == place.at.line && problem.column == place.at.column;
    });
    if (is_there) return loaded;
    std::string told;
    for (const Problem& problem : loaded.problems) told += "\n  " + problem.text();
    ADD_FAILURE() << place.path << " -> " << value << " at " << place.at.line << ":" << place.at.column << " was told as" << told;
    return loaded;
  }

  std::string file_;
  std::string text_;
  std::optional<Node> root_;
};

TEST_P(ReferenceMutations, P01_RefuseEveryBlankOrMistypedValueAtItsPlace) {
  std::vector<ScalarPlace> scalars;
  collect_scalars(*root_, "", scalars);
  ASSERT_GT(scalars.size(), 30U);
  for (const ScalarPlace& scalar : scalars) {
    for (const char* value : {"~", "\"\"", "[]", "{}", "\"${EMPTY_OR_NOT}\""}) expect_problem_there(scalar, value);
    if (scalar.is_free) continue;
    for (const char* value : {"-1", "9223372036854775808", "yes"}) expect_problem_there(scalar, value);
  }
}

// Removing a key and misspelling it are one thing here: the new name is unknown, and the old one is missing where it is required.
TEST_P(ReferenceMutations, P01_RefuseEveryUnknownKeyAndMissEveryRequiredOne) {
  static const std::set<std::string> kRequired = {"version",
                                                  "listeners",
                                                  "upstreams",
                                                  "policies",
                                                  "listeners[].name",
                                                  "listeners[].address",
                                                  "listeners[].tls.certificates",
                                                  "listeners[].tls.certificates[].certificate_file",
                                                  "listeners[].tls.certificates[].key_file",
                                                  "admin.address",
                                                  "store.kind",
                                                  "store.redis",
                                                  "store.redis.url",
                                                  "sessions.on_store_outage.serve_cached_for",
                                                  "upstreams[].health.path",
                                                  "rate_limits[].by",
                                                  "rate_limits[].requests",
                                                  "rate_limits[].per",
                                                  "policies[].routes[].rate_limits[].by",
                                                  "policies[].routes[].rate_limits[].requests",
                                                  "policies[].routes[].rate_limits[].per",
                                                  "policies[].routes[].cors.allowed_origins",
                                                  "sessions.foreign.secret_file",
                                                  "sessions.foreign.subject",
                                                  "tokens.issuer",
                                                  "tokens.audiences",
                                                  "tokens.signing_keys_file",
                                                  "issuers[].name",
                                                  "issuers[].issuer",
                                                  "issuers[].audiences",
                                                  "issuers[].algorithms",
                                                  "issuers[].keys",
                                                  "upstreams[].name",
                                                  "upstreams[].servers",
                                                  "upstreams[].servers[].url",
                                                  "policies[].version",
                                                  "policies[].routes",
                                                  "policies[].routes[].name",
                                                  "policies[].routes[].match",
                                                  "policies[].routes[].match.path",
                                                  "policies[].routes[].access",
                                                  "policies[].routes[].upstream",
                                                  "policies[].routes[].credentials[].jwt",
                                                  "policies[].routes[].csrf.allowed_origins",
                                                  "policies[].routes[].websocket.idle_timeout",
                                                  "policies[].routes[].identity.headers",
                                                  "policies[].routes[].rewrite.strip_prefix"};
  const std::string prefix = std::string(GetParam()).starts_with("policies/") ? "policies[]" : "";
  std::vector<ScalarPlace> keys;
  collect_keys(*root_, prefix, keys);
  ASSERT_GT(keys.size(), 40U);
  for (const ScalarPlace& key : keys) {
    const Loaded loaded = expect_problem_there(key, "zzqqzz");
    const auto says_missing = [&](const Problem& problem) { return problem.message.starts_with(key.path + " is missing"); };
    EXPECT_EQ(std::any_of(loaded.problems.begin(), loaded.problems.end(), says_missing), kRequired.contains(key.path)) << key.path;
  }
}

INSTANTIATE_TEST_SUITE_P(ConfigLoader, ReferenceMutations, ::testing::Values("config/gateway.reference.yaml", "policies/reference.yaml"),
                         [](const auto& row) { return std::string(row.param).starts_with("config") ? "Configuration" : "Policies"; });

}  // namespace
}  // namespace sallyport::app
