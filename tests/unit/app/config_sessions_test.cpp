// The sections `store`, `sessions`, `tokens` and `revocations`, and what routes make of them (hazards F, P).
#include "authenticate/session_authenticator.hpp"
#include "configuration_fixture.hpp"

namespace sallyport::app {
namespace {

using authenticate::CredentialPlan;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using StepKind = CredentialPlan::Step::Kind;

const std::string kTokens = "tokens: { issuer: https://gateway.example, audiences: [api], signing_keys_file: keys/edge.jwks.json }\n";
const std::string kStore = "store: { kind: embedded, path: ../state/sallyport.db }\n";
const std::string kRedis = "store: { kind: redis, redis: { url: redis://127.0.0.1 } }\n";

class ConfigSessions : public ConfigurationFixture {
 protected:
  // These sections before `upstreams`; `route` goes into the route.
  Loaded with(const std::string& sections, const std::string& route = "") {
    std::string config = kConfig;
    config.insert(config.find("upstreams:"), sections);
    std::string policy = kPolicy;
    policy.insert(policy.find("    upstream: web"), route);
    return load_texts(config, policy);
  }
  std::vector<std::string> problems_with(const std::string& sections, const std::string& route = "") {
    return messages(with(sections, route).problems);
  }
  std::vector<std::string> warnings_with(const std::string& sections, const std::string& route = "") {
    const Loaded loaded = with(sections, route);
    for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
    return messages(loaded.warnings);
  }
  Settings settings_with(const std::string& sections, const std::string& route = "") {
    Loaded loaded = with(sections, route);
    for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
    if (!loaded.settings) throw std::runtime_error("not loaded");
    return std::move(*loaded.settings);
  }
  static std::vector<StepKind> steps(const CredentialPlan& plan) {
    std::vector<StepKind> kinds;
    for (const CredentialPlan::Step& step : plan.steps) kinds.push_back(step.kind);
    return kinds;
  }
};

// ---- The store ------------------------------------------------------------------------------------------------------------------------

TEST_F(ConfigSessions, ReadsARedisUrl) {
  const auto redis = [&](const std::string& url) {
    return settings_with("store: { kind: redis, redis: { url: \"" + url + "\" } }\n").store.redis.value();
  };
  EXPECT_EQ(redis("redis://127.0.0.1").address(), "127.0.0.1:6379");
  EXPECT_EQ(redis("redis://127.0.0.1").database, 0U);
  EXPECT_FALSE(redis("redis://127.0.0.1").is_tls);
  EXPECT_EQ(redis("redis://127.0.0.1:7000/3").address(), "127.0.0.1:7000");
  EXPECT_EQ(redis("redis://127.0.0.1:7000/3").database, 3U);
  EXPECT_EQ(redis("redis://localhost/").database, 0U);
  EXPECT_EQ(redis("redis://[::1]:7000/1").host, "::1");
  EXPECT_TRUE(redis("rediss://redis.internal/0").is_tls);
  for (const char* bad :
       {"127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://:6379", "redis://host:0", "redis://host:70000", "redis://host/x",
        "redis://host/01", "redis://host/1/2", "redis://host?db=1", "redis://host/-1", "REDIS://host", "redis://host/9999999"}) {
    EXPECT_THAT(problems_with("store: { kind: redis, redis: { url: \"" + std::string(bad) + "\" } }\n"),
                ElementsAre(HasSubstr("expected redis://")))
        << bad;
  }
}

TEST_F(ConfigSessions, P10_ShowsNoPasswordOfARedisUrl) {
  for (const char* url : {"redis://user:hunter2@127.0.0.1", "redis://:hunter2@127.0.0.1:6379/0", "${SECRET}"}) {
    const auto found = problems_with("store: { kind: redis, redis: { url: \"" + std::string(url) + "\" } }\n");
    EXPECT_THAT(found, ElementsAre(HasSubstr("`password_file`"))) << url;
    EXPECT_THAT(found, ElementsAre(Not(HasSubstr("hunter2")))) << url;
  }
}

TEST_F(ConfigSessions, ReadsWhatARedisStoreNeeds) {
  const Settings loaded = settings_with(
      "store:\n  kind: redis\n  redis: { url: rediss://redis.internal:6390/2, username: gateway, password_file: secrets/redis, ca_file: "
      "tls/redis-ca.crt, prefix: \"gw:\", command_timeout: 1s }\n");
  const store::RedisSettings& redis = loaded.store.redis.value();
  EXPECT_EQ(redis.username, "gateway");
  EXPECT_EQ(redis.password_file, folder().file("config/secrets/redis"));
  EXPECT_EQ(redis.ca_file, folder().file("config/tls/redis-ca.crt"));
  EXPECT_EQ(redis.prefix, "gw:");
  EXPECT_EQ(redis.command_timeout, milliseconds(1000));
  EXPECT_FALSE(loaded.needs_store) << "no route takes sessions";
}

TEST_F(ConfigSessions, P18_WarnsOfARedisThatStrangersReach) {
  const auto with_redis = [&](const std::string& redis) { return warnings_with("store: { kind: redis, redis: { " + redis + " } }\n"); };
  EXPECT_THAT(with_redis("url: redis://192.0.2.7"), ElementsAre(HasSubstr("asks for no password"), HasSubstr("is not encrypted")));
  EXPECT_THAT(with_redis("url: redis://192.0.2.7, password_file: secrets/redis"), ElementsAre(HasSubstr("is not encrypted")));
  EXPECT_THAT(with_redis("url: rediss://192.0.2.7"), ElementsAre(HasSubstr("asks for no password")));
  EXPECT_THAT(with_redis("url: rediss://192.0.2.7, password_file: secrets/redis"), IsEmpty());
  for (const char* near : {"redis://127.0.0.1", "redis://localhost:6379", "\"redis://[::1]\"", "redis://127.3.2.1"}) {
    EXPECT_THAT(with_redis("url: " + std::string(near)), IsEmpty()) << near;
  }
}

TEST_F(ConfigSessions, ReadsTheFileOfTheEmbeddedStore) {
  const Settings loaded = settings_with(kStore + "sessions: { idle_timeout: 10m }\n");
  EXPECT_FALSE(loaded.store.redis);
  EXPECT_EQ(loaded.store.path, folder().file("state/sallyport.db"));
  EXPECT_TRUE(loaded.needs_store);
}

TEST_F(ConfigSessions, WarnsOfAStoreInMemoryOnlyWhereSomethingIsKeptInIt) {
  EXPECT_THAT(warnings(), IsEmpty());
  EXPECT_THAT(warnings_with("store: { kind: embedded }\n"), IsEmpty());
  EXPECT_THAT(warnings_with("sessions: { idle_timeout: 10m }\n"), ElementsAre(HasSubstr("in memory only")));
  EXPECT_THAT(warnings_with("store: { kind: embedded }\nsessions: { idle_timeout: 10m }\n"), ElementsAre(HasSubstr("in memory only")));
  EXPECT_THAT(warnings_with(kTokens), ElementsAre(HasSubstr("in memory only")));
  EXPECT_THAT(warnings_with("", "    credentials: [ session ]\n"), ElementsAre(HasSubstr("in memory only")));
  EXPECT_THAT(warnings_with("", "    establish: session\n"), ElementsAre(HasSubstr("in memory only")));
  EXPECT_THAT(warnings_with(kStore + "sessions: { idle_timeout: 10m }\n"), IsEmpty());
  EXPECT_THAT(warnings_with(kRedis + kTokens), IsEmpty());
  EXPECT_FALSE(settings().needs_store);
  EXPECT_FALSE(settings().store.is_relied_on);
}

// ---- Sessions -------------------------------------------------------------------------------------------------------------------------

TEST_F(ConfigSessions, HasTheDefaultsThatTheReferenceNames) {
  const Settings loaded = settings_with(kStore, "    credentials: [ session ]\n");
  const authenticate::SessionSettings& sessions = *loaded.snapshot->sessions;
  EXPECT_EQ(sessions.cookie_name, "__Host-session");
  EXPECT_EQ(sessions.same_site, authenticate::SameSite::strict);
  EXPECT_EQ(sessions.idle_timeout, minutes(30));
  EXPECT_EQ(sessions.absolute_timeout, hours(24));
  EXPECT_EQ(sessions.serve_cached_for, milliseconds(0));
  EXPECT_FALSE(sessions.foreign);
  EXPECT_EQ(loaded.revocations_max, 1'000'000U);
  EXPECT_EQ(loaded.store.revocations_kept, hours(24 * 31));
  EXPECT_THAT(loaded.session_secret_files, IsEmpty());
  EXPECT_EQ(loaded.session_cache_entries, authenticate::SessionAuthenticator::kEntriesUsual);
}

TEST_F(ConfigSessions, ReadsHowManySessionsAreRemembered) {
  const auto entries = [&](const std::string& text) { return kStore + "sessions: { cache_entries: " + text + " }\n"; };
  EXPECT_EQ(settings_with(entries("1")).session_cache_entries, 1U);
  EXPECT_EQ(settings_with(entries("10000000")).session_cache_entries, 10'000'000U);
  EXPECT_THAT(problems_with(entries("0")), ElementsAre(HasSubstr("from 1 to 10000000")));
  EXPECT_THAT(problems_with(entries("10000001")), ElementsAre(HasSubstr("from 1 to 10000000")));
}

TEST_F(ConfigSessions, ReadsWhatIsSaidOfSessions) {
  const Settings loaded =
      settings_with(kStore +
                    "sessions:\n  cookie: { name: __Host-sid, same_site: Lax }\n  idle_timeout: 5m\n  absolute_timeout: 8h\n"
                    "  secret_file: [ secrets/session, secrets/session.old ]\n  on_store_outage: { serve_cached_for: 5m }\n");
  const authenticate::SessionSettings& sessions = *loaded.snapshot->sessions;
  EXPECT_EQ(sessions.cookie_name, "__Host-sid");
  EXPECT_EQ(sessions.same_site, authenticate::SameSite::lax);
  EXPECT_EQ(sessions.idle_timeout, minutes(5));
  EXPECT_EQ(sessions.absolute_timeout, hours(8));
  EXPECT_EQ(sessions.serve_cached_for, minutes(5));
  EXPECT_THAT(loaded.session_secret_files,
              ElementsAre(folder().file("config/secrets/session"), folder().file("config/secrets/session.old")));
  EXPECT_EQ(loaded.snapshot->revocation_times.session, hours(8));
  EXPECT_THAT(settings_with(kStore + "sessions: { secret_file: secrets/session }\n").session_secret_files,
              ElementsAre(folder().file("config/secrets/session")));
}

TEST_F(ConfigSessions, WarnsOfCookiesThatOthersCanSetOrMakeSend) {
  const auto cookie = [&](const std::string& text) { return warnings_with(kStore + "sessions: { cookie: { " + text + " } }\n"); };
  EXPECT_THAT(cookie("name: __Host-sid"), IsEmpty());
  EXPECT_THAT(cookie("name: session"), ElementsAre(HasSubstr("does not begin with '__Host-'")));
  EXPECT_THAT(cookie("name: __Secure-session"), ElementsAre(HasSubstr("does not begin with '__Host-'")));
  EXPECT_THAT(cookie("name: __host-session"), ElementsAre(HasSubstr("does not begin with '__Host-'")));
  EXPECT_THAT(cookie("same_site: None"), ElementsAre(HasSubstr("every other site")));
  EXPECT_THAT(cookie("same_site: Lax"), IsEmpty());
}

TEST_F(ConfigSessions, RefusesTimesThatContradictEachOther) {
  const auto sessions = [&](const std::string& text) { return problems_with(kStore + "sessions: { " + text + " }\n"); };
  EXPECT_THAT(sessions("idle_timeout: 1h, absolute_timeout: 1h"), IsEmpty());
  EXPECT_THAT(sessions("idle_timeout: 3601s, absolute_timeout: 1h"),
              ElementsAre(HasSubstr("sessions.idle_timeout is longer than sessions.absolute_timeout")));
  EXPECT_THAT(sessions("absolute_timeout: 20m"), ElementsAre(HasSubstr("sessions.idle_timeout is longer")));
  EXPECT_THAT(sessions("idle_timeout: 0s"), ElementsAre(HasSubstr("from 1s to 366d")));
}

TEST_F(ConfigSessions, RefusesSecretsThatAreOpenOrShort) {
  const std::string section = kStore + "sessions: { secret_file: secrets/tried }\n";
  folder().write_secret("config/secrets/tried", std::string(32, 'x'));
  EXPECT_THAT(problems_with(section), IsEmpty());
  folder().write_secret("config/secrets/tried", std::string(31, 'x') + "\n");
  EXPECT_THAT(problems_with(section), ElementsAre(HasSubstr("shorter than 32 bytes")));
  folder().write_secret("config/secrets/tried", std::string(32, 'x'));
  folder().set_mode("config/secrets/tried", 0644);
  EXPECT_THAT(problems_with(section), ElementsAre(HasSubstr("opens it to every user")));
  folder().close("config/secrets/tried");
  EXPECT_THAT(problems_with(kStore + "sessions: { secret_file: [ secrets/tried, secrets/tried ] }\n"), ElementsAre(HasSubstr("twice")));
  EXPECT_THAT(problems_with(kStore + "sessions: { secret_file: [] }\n"), ElementsAre(HasSubstr("the list is empty")));
}

TEST_F(ConfigSessions, ReadsSessionsOfAnotherApplication) {
  const Settings loaded = settings_with(
      kRedis +
      "sessions:\n  foreign: { cookie: sid, secret_file: [ secrets/express, secrets/session ], prefix: \"app:\", subject: /user/id, "
      "claims: { roles: /user/roles, email: /user/mail } }\n");
  const authenticate::ForeignSessions& foreign = loaded.snapshot->sessions->foreign.value();
  EXPECT_EQ(foreign.cookie, "sid");
  EXPECT_EQ(foreign.secrets.size(), 2U);
  EXPECT_EQ(foreign.prefix, "app:");
  EXPECT_EQ(foreign.subject.text(), "/user/id");
  ASSERT_EQ(foreign.claims.size(), 2U);
  EXPECT_EQ(foreign.claims[0].first, "roles");
  EXPECT_EQ(foreign.claims[1].second.text(), "/user/mail");
  EXPECT_THAT(loaded.snapshot->routes[0].outbound.our_cookies, ElementsAre("__Host-session"))
      << "the application needs its own cookie: it goes on";
}

TEST_F(ConfigSessions, RefusesForeignSessionsThatCannotBe) {
  const auto foreign = [&](const std::string& text, const std::string& store = kRedis) {
    return problems_with(store + "sessions:\n  foreign: { " + text + " }\n");
  };
  EXPECT_THAT(foreign("secret_file: secrets/express, subject: /user"), IsEmpty());
  EXPECT_THAT(foreign("secret_file: secrets/express, subject: /user", kStore), ElementsAre(HasSubstr("expected a store of kind redis")));
  EXPECT_THAT(foreign("secret_file: secrets/express, subject: user"), ElementsAre(HasSubstr("is no JSON pointer")));
  EXPECT_THAT(foreign("secret_file: secrets/express, subject: /user, claims: { sub: /x }"),
              ElementsAre(HasSubstr("not a claim that a record may state")));
  EXPECT_THAT(foreign("secret_file: secrets/express, subject: /user, cookie: __Host-session"),
              ElementsAre(HasSubstr("which is that of the session cookie")));
  folder().write_secret("config/secrets/tried", "1234567");
  EXPECT_THAT(foreign("secret_file: secrets/tried, subject: /user"), ElementsAre(HasSubstr("shorter than 8 bytes")));
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------------------------

TEST_F(ConfigSessions, MakesTheEdgeAnIssuerLikeAnyOther) {
  const Settings loaded = settings_with(kStore + kTokens, "    require: { issuer: edge }\n");
  const pipeline::Snapshot& snapshot = *loaded.snapshot;
  ASSERT_NE(snapshot.edge, nullptr);
  EXPECT_EQ(snapshot.edge->settings().issuer, "https://gateway.example");
  EXPECT_EQ(snapshot.edge->settings().refresh_ttl, hours(24 * 7));
  EXPECT_EQ(snapshot.issuers.size(), 2U);
  EXPECT_TRUE(snapshot.issuers[1]->is_edge);
  EXPECT_EQ(snapshot.routes[0].credentials.issuers.size(), 2U);
  EXPECT_EQ(snapshot.any_credential.issuers.size(), 2U);
  EXPECT_EQ(snapshot.sessions->issuer, "https://gateway.example");
  EXPECT_THAT(snapshot.our_cookies, ElementsAre("__Host-access", "__Host-refresh")) << "no session is used here";
  EXPECT_THAT(snapshot.routes[0].outbound.our_cookies, ElementsAre("__Host-access", "__Host-refresh"));
}

TEST_F(ConfigSessions, ReadsWhatIsSaidOfTokens) {
  const Settings loaded =
      settings_with(kStore +
                    "tokens:\n  issuer: https://gateway.example\n  audiences: [api, web]\n  signing_keys_file: keys/edge.jwks.json\n"
                    "  access_ttl: 5m\n  refresh_ttl: 2d\n  family_ttl: 60d\n  reuse_window: 0s\n"
                    "  cookies: { access: __Host-a, refresh: __Host-r, same_site: Lax }\n");
  const issue::TokenSettings& tokens = loaded.snapshot->edge->settings();
  EXPECT_THAT(tokens.audiences, ElementsAre("api", "web"));
  EXPECT_EQ(tokens.access_ttl, minutes(5));
  EXPECT_EQ(tokens.refresh_ttl, hours(48));
  EXPECT_EQ(tokens.family_ttl, hours(24 * 60));
  EXPECT_EQ(tokens.reuse_window, milliseconds(0));
  EXPECT_EQ(tokens.access_cookie, "__Host-a");
  EXPECT_EQ(tokens.refresh_cookie, "__Host-r");
  EXPECT_EQ(tokens.same_site, authenticate::SameSite::lax);
  EXPECT_EQ(loaded.snapshot->revocation_times.family, hours(24 * 60));
  EXPECT_EQ(loaded.store.revocations_kept, hours(24 * 60)) << "what nobody has said is never too short";
}

TEST_F(ConfigSessions, RefusesTokensThatContradictThemselves) {
  const auto tokens = [&](const std::string& text) {
    return problems_with(kStore + "tokens: { issuer: https://gateway.example, audiences: [api], signing_keys_file: keys/edge.jwks.json, " +
                         text + " }\n");
  };
  EXPECT_THAT(tokens("access_ttl: 7d"), IsEmpty());
  EXPECT_THAT(tokens("access_ttl: 8d"), ElementsAre(HasSubstr("tokens.access_ttl is longer than tokens.refresh_ttl")));
  EXPECT_THAT(tokens("refresh_ttl: 31d"), ElementsAre(HasSubstr("tokens.refresh_ttl is longer than tokens.family_ttl")));
  EXPECT_THAT(tokens("access_ttl: 5s, refresh_ttl: 9s"), ElementsAre(HasSubstr("tokens.reuse_window is longer than tokens.refresh_ttl")));
  EXPECT_THAT(tokens("reuse_window: 601s"), ElementsAre(HasSubstr("from 0ms to 10m")));
}

TEST_F(ConfigSessions, P04_TheEdgeSharesItsNameWithNobody) {
  EXPECT_THAT(
      problems_with(kStore + "tokens: { issuer: https://issuer.example, audiences: [api], signing_keys_file: keys/edge.jwks.json }\n"),
      ElementsAre(HasSubstr("the issuer 'corp' has the same `iss` value")));
}

TEST_F(ConfigSessions, RefusesKeysThatCannotSign) {
  const auto keys = [&](const std::string& text) {
    folder().write_secret("config/keys/tried.jwks.json", text);
    return problems_with(kStore +
                         "tokens: { issuer: https://gateway.example, audiences: [api], signing_keys_file: keys/tried.jwks.json }\n");
  };
  using authenticate::Algorithm;
  using authenticate::SigningKey;
  const std::string good = SigningKey::generate_jwks(Algorithm::es256, "k").value();
  EXPECT_THAT(keys(good), IsEmpty());
  EXPECT_EQ(keys(SigningKey::generate_jwks(Algorithm::hs256, "k").value()).size(), 1U);
  EXPECT_EQ(keys(SigningKey::public_jwks(good).value()).size(), 1U);
  EXPECT_EQ(keys("{}").size(), 1U);
  folder().write_secret("config/keys/tried.jwks.json", good);
  folder().set_mode("config/keys/tried.jwks.json", 0644);
  EXPECT_THAT(
      problems_with(kStore + "tokens: { issuer: https://gateway.example, audiences: [api], signing_keys_file: keys/tried.jwks.json }\n"),
      ElementsAre(HasSubstr("opens it to every user")));
}

TEST_F(ConfigSessions, KeepsTheNamesOfCookiesApart) {
  const auto both = [&](const std::string& session, const std::string& access, const std::string& refresh) {
    return problems_with(kStore + "sessions: { cookie: { name: " + session +
                         " } }\ntokens: { issuer: https://gateway.example, audiences: [api], signing_keys_file: keys/edge.jwks.json, "
                         "cookies: { access: " +
                         access + ", refresh: " + refresh + " } }\n");
  };
  EXPECT_THAT(both("__Host-s", "__Host-a", "__Host-r"), IsEmpty());
  EXPECT_THAT(both("__Host-a", "__Host-a", "__Host-r"), ElementsAre(HasSubstr("that of the access cookie")));
  EXPECT_THAT(both("__Host-r", "__Host-a", "__Host-r"), ElementsAre(HasSubstr("that of the refresh cookie")));
  EXPECT_THAT(both("__Host-s", "__Host-a", "__Host-a"), ElementsAre(HasSubstr("that of the access cookie")));
  EXPECT_THAT(problems("[api]", "[api]\n    token_from: [ { cookie: __Host-session } ]"), IsEmpty()) << "nobody uses sessions here";
  std::string config = kConfig;
  config.replace(config.find("[api]"), 5, "[api]\n    token_from: [ { cookie: __Host-session } ]");
  config.insert(config.find("upstreams:"), kStore + "sessions: { idle_timeout: 5m }\n");
  EXPECT_THAT(messages(load_texts(config, kPolicy).problems), ElementsAre(HasSubstr("that of a token cookie of the issuer 'corp'")));
}

TEST_F(ConfigSessions, KeepsRevocationsForAsLongAsTheyMatter) {
  const auto kept = [&](const std::string& keep_for, const std::string& sections) {
    return problems_with(kStore + sections + "revocations: { keep_for: " + keep_for + ", entries_max: 5 }\n");
  };
  EXPECT_THAT(kept("24h", ""), IsEmpty());
  EXPECT_THAT(kept("23h", ""), ElementsAre(HasSubstr("shorter than sessions.absolute_timeout")));
  EXPECT_THAT(kept("29d", kTokens), ElementsAre(HasSubstr("shorter than tokens.family_ttl")));
  EXPECT_THAT(kept("30d", kTokens), IsEmpty());
  const Settings loaded = settings_with(kStore + "revocations: { keep_for: 40d, entries_max: 5 }\n");
  EXPECT_EQ(loaded.revocations_max, 5U);
  EXPECT_EQ(loaded.store.revocations_kept, hours(24 * 40));
  EXPECT_EQ(loaded.snapshot->revocation_times.everything_else, hours(24 * 40));
}

// ---- Routes ---------------------------------------------------------------------------------------------------------------------------

TEST_F(ConfigSessions, PlansWhatARouteTakes) {
  const auto plan = [&](const std::string& sections, const std::string& route) {
    return settings_with(kStore + sections, route).snapshot->routes[0].credentials;
  };
  EXPECT_THAT(steps(plan("", "")), ElementsAre(StepKind::jwt)) << "nobody uses sessions: an upstream may have a cookie of that name";
  EXPECT_THAT(steps(plan("sessions: { idle_timeout: 5m }\n", "")), ElementsAre(StepKind::jwt, StepKind::session));
  EXPECT_THAT(steps(plan("", "    credentials: [ session ]\n")), ElementsAre(StepKind::session));
  EXPECT_THAT(steps(plan("", "    credentials: [ session, { jwt: corp } ]\n")), ElementsAre(StepKind::session, StepKind::jwt));
  EXPECT_THAT(steps(plan(kTokens, "    credentials: [ { jwt: edge } ]\n")), ElementsAre(StepKind::jwt));
  EXPECT_THAT(steps(plan("", "    establish: session\n")), ElementsAre(StepKind::jwt, StepKind::session));
}

TEST_F(ConfigSessions, ALaterRouteThatTakesSessionsConcernsEarlierOnesToo) {
  std::string policy = kPolicy;
  policy += "  - { name: later, match: { path: /later }, access: authenticated, credentials: [ session ], upstream: web }\n";
  const Loaded loaded = load_texts(kConfig, policy);
  ASSERT_TRUE(loaded.settings);
  const pipeline::Snapshot& snapshot = *loaded.settings->snapshot;
  EXPECT_THAT(steps(snapshot.routes[0].credentials), ElementsAre(StepKind::jwt, StepKind::session));
  for (const pipeline::Route& route : snapshot.routes) EXPECT_THAT(route.outbound.our_cookies, ElementsAre("__Host-session"));
  EXPECT_THAT(snapshot.our_cookies, ElementsAre("__Host-session"));
}

TEST_F(ConfigSessions, P02_SessionsAloneAreSomebodyWhoCanPass) {
  std::string config = kConfig;
  config.erase(config.find("issuers:"), config.find("upstreams:") - config.find("issuers:"));
  EXPECT_THAT(messages(load_texts(config, kPolicy).problems), ElementsAre(HasSubstr("nobody could ever pass")));
  EXPECT_THAT(messages(load_texts(config + kStore + "sessions: { idle_timeout: 5m }\n", kPolicy).problems), IsEmpty());
  EXPECT_THAT(messages(load_texts(config + kStore + kTokens, kPolicy).problems), IsEmpty());
}

TEST_F(ConfigSessions, ReadsWhatEstablishes) {
  using pipeline::Establish;
  const auto establish = [&](const std::string& route) { return settings_with(kStore + kTokens, route).snapshot->routes[0].establish; };
  EXPECT_EQ(establish(""), Establish::nothing);
  EXPECT_EQ(establish("    establish: session\n"), Establish::session);
  EXPECT_EQ(establish("    establish: tokens\n"), Establish::tokens);
  EXPECT_THAT(problems_with("", "    establish: tokens\n"), ElementsAre(HasSubstr("issues no tokens of its own")));
  const auto methods = [&](const std::string& list) {
    std::string policy = kPolicy;
    policy.replace(policy.find("/api/** }"), 9, "/api/**, methods: " + list + " }\n    establish: session");
    return messages(load_texts(kConfig + kStore, policy).warnings);
  };
  EXPECT_THAT(methods("[GET]"), Contains(HasSubstr("does not take POST")));
  EXPECT_THAT(methods("[GET, POST]"), IsEmpty());
}

TEST_F(ConfigSessions, ReadsWhoMaySendWithACookie) {
  const auto csrf = [&](const std::string& text) { return settings("    upstream: web", "    csrf: " + text + "\n    upstream: web"); };
  EXPECT_FALSE(settings().snapshot->routes[0].csrf.off);
  EXPECT_FALSE(csrf("auto").snapshot->routes[0].csrf.off);
  EXPECT_TRUE(csrf("off").snapshot->routes[0].csrf.off);
  const Settings listed = csrf("{ allowed_origins: [ \"https://App.example.com:443\", \"http://localhost:3000\" ] }");
  EXPECT_FALSE(listed.snapshot->routes[0].csrf.off);
  EXPECT_THAT(listed.snapshot->routes[0].csrf.allowed_origins, ElementsAre("https://app.example.com", "http://localhost:3000"));
  for (const char* bad : {"app.example.com", "https://app.example.com/", "\"null\"", "\"*\""}) {
    EXPECT_THAT(problems("    upstream: web", "    csrf: { allowed_origins: [ " + std::string(bad) + " ] }\n    upstream: web"),
                ElementsAre(HasSubstr("is no origin")))
        << bad;
  }
}

}  // namespace
}  // namespace sallyport::app
