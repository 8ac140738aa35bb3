// Configurations whose form is right and whose meaning is not (hazards P), each with its passing twin.
#include <sched.h>

#include <cstdlib>

#include "configuration_fixture.hpp"

namespace sallyport::app {
namespace {

using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ConfigSemantics = ConfigurationFixture;

TEST_F(ConfigSemantics, P02_ARouteStatesItsAccess) {
  EXPECT_THAT(problems("    access: authenticated\n", ""),
              ElementsAre(HasSubstr("access is missing; expected public, optional or authenticated")));
  EXPECT_THAT(problems("access: authenticated", "access:"), ElementsAre(HasSubstr("access is blank")));
  EXPECT_THAT(problems("routes:\n", "routes: []\nrouts:\n"), Contains(HasSubstr("the list is empty")));
  EXPECT_THAT(problems("access: authenticated", "access: optional"), IsEmpty());
}

TEST_F(ConfigSemantics, P02_AnAuthenticatedRouteNeedsSomebodyWhoCanPass) {
  std::string config = kConfig;
  config.erase(config.find("issuers:"), config.find("upstreams:") - config.find("issuers:"));
  EXPECT_THAT(messages(load_texts(config, kPolicy).problems), ElementsAre(HasSubstr("nobody could ever pass")));
  std::string policy = kPolicy;
  policy.replace(policy.find("authenticated"), 13, "public");
  EXPECT_THAT(messages(load_texts(config, policy).problems), IsEmpty());
}

TEST_F(ConfigSemantics, P03_RefusesAlgorithmsThatProveNothing) {
  const auto with = [&](const std::string& list) { return problems("[ES256, RS256]", list); };
  EXPECT_THAT(with("[none]"), ElementsAre(HasSubstr("tokens that nobody signed")));
  EXPECT_THAT(with("[ES256, NONE]"), ElementsAre(HasSubstr("tokens that nobody signed")));
  EXPECT_THAT(with("[]"), ElementsAre(HasSubstr("the list is empty")));
  EXPECT_THAT(with("[HS256]"), ElementsAre(HasSubstr("public")));
  EXPECT_THAT(with("[ES256, HS256]"), ElementsAre(HasSubstr("'HS256' stands beside 'ES256'")));
  EXPECT_THAT(with("[es256]"), ElementsAre(HasSubstr("is no algorithm")));
  EXPECT_THAT(with("[ES256, ES256]"), ElementsAre(HasSubstr("twice")));
  EXPECT_THAT(with("[ES256]"), IsEmpty());
}

TEST_F(ConfigSemantics, D07_RefusesAKeySetThatMixesSecretsAndPublicKeys) {
  const std::string good = testing::read_file(folder().file("config/keys/corp.jwks.json"));
  std::string mixed = good;
  mixed.insert(mixed.rfind(']'), R"(,{"kty":"oct","kid":"s","k":"c2FsbHlwb3J0LXRlc3Qtc2VjcmV0LW9mLTMyLWJ5dGVz"})");
  folder().write_secret("config/keys/mixed.jwks.json", mixed);
  EXPECT_THAT(problems("corp.jwks.json", "mixed.jwks.json"), ElementsAre(HasSubstr("beside public keys")));
  folder().write_secret("config/keys/mixed.jwks.json", good);
  EXPECT_THAT(problems("corp.jwks.json", "mixed.jwks.json"), IsEmpty());
}

TEST_F(ConfigSemantics, P04_TellsIssuersApart) {
  const auto with_second = [&](const std::string& name, const std::string& iss) {
    return "  - { name: " + name + ", issuer: " + iss +
           ", audiences: [api], algorithms: [ES256], keys: { jwks_file: keys/corp.jwks.json } }\nupstreams:\n";
  };
  EXPECT_THAT(problems("upstreams:\n", with_second("other", "https://issuer.example")), ElementsAre(HasSubstr("the same `iss` value")));
  EXPECT_THAT(problems("upstreams:\n", with_second("corp", "https://other.example")),
              ElementsAre(HasSubstr("has the name 'corp' already")));
  EXPECT_THAT(warnings("upstreams:\n", with_second("other", "https://issuer.example/")),
              ElementsAre(HasSubstr("in a trailing slash alone")));
  EXPECT_THAT(warnings("upstreams:\n", with_second("other", "https://other.example")), IsEmpty());
  EXPECT_THAT(warnings("https://issuer.example", "http://issuer.example"), ElementsAre(HasSubstr("is http://")));
}

TEST_F(ConfigSemantics, P04_KeepsTheNameOfItsOwnTokens) {
  EXPECT_THAT(problems("- name: corp", "- name: edge"), ElementsAre(HasSubstr("taken by the gateway's own tokens")));
}

TEST_F(ConfigSemantics, P05_ToleratesFiveMinutesAtMost) {
  const auto with = [&](const std::string& tolerance) { return problems("[api]", "[api]\n    clock_tolerance: " + tolerance); };
  EXPECT_THAT(with("5m"), IsEmpty());
  EXPECT_THAT(with("300s"), IsEmpty());
  EXPECT_THAT(with("300001ms"), ElementsAre(HasSubstr("from 0ms to 5m")));
  EXPECT_THAT(with("1d"), ElementsAre(HasSubstr("from 0ms to 5m")));
  EXPECT_EQ(settings("[api]", "[api]\n    clock_tolerance: 0s").snapshot->issuers[0]->settings.expectations.clock_tolerance, seconds(0));
}

TEST_F(ConfigSemantics, RequiresExpEvenWhereItIsNotListed) {
  const auto claims = [&](const std::string& list) {
    return settings("[api]", "[api]\n    require_claims: " + list).snapshot->issuers[0]->settings.expectations.require_claims;
  };
  EXPECT_THAT(claims("[sub, exp]"), ElementsAre("sub"));  // exp is required by the verifier itself
  EXPECT_THAT(claims("[exp, jti]"), ElementsAre("jti"));
  EXPECT_THAT(problems("[api]", "[api]\n    require_claims: []"), ElementsAre(HasSubstr("the list is empty")));
}

TEST_F(ConfigSemantics, P07_RefusesRoutesThatTieOrCanNeverWin) {
  const auto with_second = [&](const std::string& match) {
    return problems("    upstream: web", "    upstream: web\n  - { name: more, match: " + match + ", access: public, upstream: web }");
  };
  EXPECT_THAT(with_second("{ path: /api/** }"), ElementsAre(HasSubstr("route 'more' and route 'api'")));
  EXPECT_THAT(with_second("{ path: /api/*, methods: [GET] }"), IsEmpty());
  EXPECT_THAT(with_second("{ path: /apix/** }"), IsEmpty());
  EXPECT_THAT(with_second("{ path: api }"), ElementsAre(HasSubstr("is no path pattern")));
  EXPECT_THAT(with_second("{ path: '/a(b|c)/**', host: '*' }"), Contains(HasSubstr("is no host pattern")));
}

TEST_F(ConfigSemantics, P07_TellsOfEveryTieAtItsPath) {
  const Loaded loaded = load("    upstream: web",
                             "    upstream: web\n  - { name: b, match: { path: /api/** }, access: public, upstream: web }\n"
                             "  - { name: c, match: { path: /x }, access: public, upstream: web }\n"
                             "  - { name: d, match: { path: /x }, access: public, upstream: web }");
  ASSERT_EQ(loaded.problems.size(), 2U);
  EXPECT_EQ(loaded.problems[0].line, 7);
  EXPECT_EQ(loaded.problems[1].line, 9);
  EXPECT_EQ(loaded.problems[1].column, 31);
}

TEST_F(ConfigSemantics, P08_RefusesIdentityHeadersThatAreReservedOrAlike) {
  const auto with = [&](const std::string& headers) {
    return problems("    upstream: web", "    identity: { headers: " + headers + " }\n    upstream: web");
  };
  EXPECT_THAT(with("{ X-User-Id: sub, X-User-Email: email }"), IsEmpty());
  EXPECT_THAT(with("{ X-User-Id: sub, x_user.id: email }"), ElementsAre(HasSubstr("are one header")));
  EXPECT_THAT(with("{ X-User-Id: sub, x-user-id: sub }"), ElementsAre(HasSubstr("are one header")));
  for (const char* name : {"Host", "host", "Cookie", "Authorization", "Content-Length", "content_length", "Transfer-Encoding", "Connection",
                           "X-Forwarded-For", "Forwarded", "Via", "X-Request-Id"}) {
    EXPECT_THAT(with(std::string("{ ") + name + ": sub }"), ElementsAre(HasSubstr("is a reserved header"))) << name;
  }
  EXPECT_THAT(with("{ X-Auth-Method: method }"), IsEmpty());
  EXPECT_THAT(with("{ X-Auth-Method: sub }"), ElementsAre(HasSubstr("cannot fill a header")));
  EXPECT_THAT(with("{}"), ElementsAre(HasSubstr("expected a mapping of header names to claims")));
  EXPECT_THAT(with("{ X-User: ~ }"), ElementsAre(HasSubstr("is blank")));
}

TEST_F(ConfigSemantics, P10_TakesSecretsFromNoVariableAndShowsNone) {
  EXPECT_EQ(settings("127.0.0.1:8080", "\"127.0.0.1:${PORT}\"").listeners[0].port, 8099);
  EXPECT_EQ(settings("https://issuer.example", "${ISSUER}").snapshot->issuers[0]->settings.expectations.issuer,
            "https://from.environment.example");
  EXPECT_THAT(problems("https://issuer.example", "${NOT_SET}"), ElementsAre("the environment variable NOT_SET is not set"));
  EXPECT_THAT(problems("https://issuer.example", "${EMPTY}"), ElementsAre(HasSubstr("'${EMPTY}' is empty")));
  // Wherever a value cannot be used, the variable is named and its value is not.
  for (const char* old : {"127.0.0.1:8080", "plain", "corp\n", "[api]", "[ES256, RS256]", "keys/corp.jwks.json", "http://127.0.0.1:9001",
                          "../policies/p.yaml", "/api/**", "authenticated", "web\n"}) {
    const std::string value = std::string(old).ends_with('\n') ? "\"/${SECRET} x\"\n" : "\"/${SECRET} x\"";
    for (const std::string& message : problems(old, value)) EXPECT_THAT(message, Not(HasSubstr("hunter2"))) << old;
  }
}

TEST_F(ConfigSemantics, P15_RefusesAnUpstreamThatIsTheGatewayItself) {
  const auto with = [&](const std::string& url, const std::string& address) {
    std::string config = kConfig;
    config.replace(config.find("http://127.0.0.1:9001"), 21, url);
    config.replace(config.find("127.0.0.1:8080"), 14, address);
    config += "admin: { address: 127.0.0.1:9901 }\n";
    return messages(load_texts(config, kPolicy).problems);
  };
  EXPECT_THAT(with("http://127.0.0.1:8080", "127.0.0.1:8080"), ElementsAre(HasSubstr("the gateway's own listener 'plain'")));
  EXPECT_THAT(with("http://localhost:8080", "127.0.0.1:8080"), ElementsAre(HasSubstr("the gateway's own listener 'plain'")));
  EXPECT_THAT(with("\"http://[::1]:8080\"", "\"[::]:8080\""), ElementsAre(HasSubstr("the gateway's own listener 'plain'")));
  EXPECT_THAT(with("http://127.0.0.1:8080", "0.0.0.0:8080"), ElementsAre(HasSubstr("the gateway's own listener 'plain'")));
  EXPECT_THAT(with("http://0.0.0.0:8080", "127.0.0.1:8080"), ElementsAre(HasSubstr("the gateway's own listener 'plain'")));
  EXPECT_THAT(with("http://127.0.0.1:9901", "127.0.0.1:8080"), ElementsAre(HasSubstr("the gateway's own admin listener")));
  EXPECT_THAT(with("http://127.0.0.1:8081", "127.0.0.1:8080"), IsEmpty());
  EXPECT_THAT(with("http://192.0.2.7:8080", "0.0.0.0:8080"), IsEmpty());
}

TEST_F(ConfigSemantics, P16_KeepsTheAdminListenerOnLoopbackOrBehindAToken) {
  const auto with = [&](const std::string& admin) { return problems("issuers:", "admin: { " + admin + " }\nissuers:"); };
  EXPECT_THAT(with("address: 127.0.0.1:9901"), IsEmpty());
  EXPECT_THAT(with("address: \"[::1]:9901\""), IsEmpty());
  EXPECT_THAT(with("address: 0.0.0.0:9901"), ElementsAre(HasSubstr("is not loopback")));
  EXPECT_THAT(with("address: \"[::]:9901\""), ElementsAre(HasSubstr("is not loopback")));
  EXPECT_THAT(with("address: 192.0.2.1:9901"), ElementsAre(HasSubstr("is not loopback")));
  EXPECT_THAT(with("address: 0.0.0.0:9901, token_file: secrets/admin.token"), IsEmpty());
  EXPECT_THAT(warnings("issuers:", "admin: { address: 0.0.0.0:9901, token_file: secrets/admin.token }\nissuers:"),
              ElementsAre(HasSubstr("passes the network in clear text")));
}

TEST_F(ConfigSemantics, P17_TrustsProxiesByNameAndNeverEverybody) {
  const auto with = [&](const std::string& list) {
    return problems("127.0.0.1:8080 }", "127.0.0.1:8080, trusted_proxies: " + list + " }");
  };
  EXPECT_THAT(with("[]"), IsEmpty());
  EXPECT_THAT(with("[0.0.0.0/0]"), ElementsAre(HasSubstr("would trust everybody")));
  EXPECT_THAT(with("[\"::/0\"]"), ElementsAre(HasSubstr("would trust everybody")));
  EXPECT_THAT(with("[10.0.0.0/8, \"2001:db8::/32\"]"), IsEmpty());
  EXPECT_THAT(with("[proxy]"), ElementsAre(HasSubstr("is no network")));
  EXPECT_THAT(with("10.0.0.0/8"), ElementsAre(HasSubstr("expected a list of networks")));
}

TEST_F(ConfigSemantics, RefusesAddressesThatCannotBeListenedTo) {
  const auto with = [&](const std::string& address) { return problems("127.0.0.1:8080", address); };
  EXPECT_THAT(with("\"[::1]:8080\""), IsEmpty());
  for (const char* bad : {"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:08080", "127.0.0.1:+80", "127.0.0.1:http",
                          "127.1:8080", "127.0.0.01:8080", "localhost:8080", ":8080", "\"::1:8080\"", "\"[::1]\"", "\"[::1%lo]:8080\"",
                          "\"[127.0.0.1]:8080\"", "\"[::ffff:127.0.0.1]:8080\"", "\"*:8080\""}) {
    EXPECT_EQ(with(bad).size(), 1U) << bad;
  }
}

TEST_F(ConfigSemantics, RefusesTwoListenersOnOneAddress) {
  const auto with = [&](const std::string& address) {
    return problems("127.0.0.1:8080 }", "127.0.0.1:8080 }\n  - { name: second, address: " + address + " }");
  };
  EXPECT_THAT(with("127.0.0.2:8080"), IsEmpty());
  EXPECT_THAT(with("127.0.0.1:8081"), IsEmpty());
  for (const char* taken : {"127.0.0.1:8080", "0.0.0.0:8080", "\"[::]:8080\""}) {
    EXPECT_THAT(with(taken), ElementsAre(HasSubstr("already that of listener 'plain'"))) << taken;
  }
  EXPECT_THAT(problems("issuers:", "admin: { address: 127.0.0.1:8080 }\nissuers:"),
              ElementsAre(HasSubstr("already that of listener 'plain'")));
}

TEST_F(ConfigSemantics, RefusesServersThatAreNoServers) {
  const auto with = [&](const std::string& url) { return problems("http://127.0.0.1:9001", url); };
  for (const char* good :
       {"http://web", "https://web.internal:8443", "http://127.0.0.1:9001/", "\"http://[::1]:9001\"", "http://my_service:80"}) {
    EXPECT_THAT(with(good), IsEmpty()) << good;
  }
  for (const char* bad :
       {"127.0.0.1:9001", "ftp://web", "http://", "http://web:0", "http://web:99999", "http://web/path", "http://web?x=1",
        "\"http://web#x\"", "http://user@web", "http://we b", "http://[::1", "HTTP://web", "http:/web", "http://..", "http://web,other"}) {
    EXPECT_EQ(with(std::string("\"") + bad + "\"").size(), 1U) << bad;
  }
  EXPECT_EQ(settings("http://127.0.0.1:9001", "https://Web.Internal").upstreams[0].servers[0].port, 443);
  EXPECT_EQ(settings("http://127.0.0.1:9001", "http://Web.Internal").upstreams[0].servers[0].host, "web.internal");
  EXPECT_EQ(settings("http://127.0.0.1:9001", "\"http://[::1]:9001\"").upstreams[0].servers[0].host, "::1");
}

TEST_F(ConfigSemantics, SendsTheServersHostOnlyWhereThereIsOne) {
  const std::string one = "[ { url: http://127.0.0.1:9001 } ] }";
  EXPECT_FALSE(settings().snapshot->routes[0].outbound.fixed_host);
  EXPECT_EQ(settings(one, "[ { url: http://web:9001 } ], host: server }").snapshot->routes[0].outbound.fixed_host, "web:9001");
  EXPECT_THAT(problems(one, "[ { url: http://a }, { url: http://b } ], host: server }"), ElementsAre(HasSubstr("for one server only")));
  EXPECT_THAT(problems(one, "[ { url: http://a }, { url: http://a } ] }"), ElementsAre(HasSubstr("twice")));
}

TEST_F(ConfigSemantics, ReadsWhetherARouteOpensWebSockets) {
  const auto with = [this](const std::string& line) {
    return settings("    upstream: web", line + "\n    upstream: web").snapshot->routes[0].websocket;
  };
  EXPECT_FALSE(settings().snapshot->routes[0].websocket);
  EXPECT_FALSE(with("    websocket: false"));
  ASSERT_TRUE(with("    websocket: true"));
  EXPECT_EQ(with("    websocket: true")->idle_timeout, std::chrono::minutes(5));
  ASSERT_TRUE(with("    websocket: { idle_timeout: 30s }"));
  EXPECT_EQ(with("    websocket: { idle_timeout: 30s }")->idle_timeout, std::chrono::seconds(30));
}

TEST_F(ConfigSemantics, RefusesWebSocketsThatCouldNotBeOpened) {
  const auto with = [this](const std::string& line) { return problems("    upstream: web", line + "\n    upstream: web"); };
  EXPECT_THAT(with("    websocket: maybe"), ElementsAre(HasSubstr("maybe")));
  EXPECT_THAT(with("    websocket: {}"), ElementsAre(HasSubstr("idle_timeout")));
  EXPECT_THAT(with("    websocket: { idle_timeout: 0s }"), ElementsAre(HasSubstr("0s")));
  EXPECT_THAT(with("    websocket: { idle_time: 5m }"), Contains(HasSubstr("idle_time")));
  EXPECT_THAT(with("    websocket: true\n    establish: session"), Contains(HasSubstr("a route that signs in opens no WebSockets")));
}

TEST_F(ConfigSemantics, WarnsOfALimitThatHasNoEffect) {
  const auto with = [this](const std::string& limits) {
    return warnings("[ { url: http://127.0.0.1:9001 } ]", "[ { url: http://127.0.0.1:9001 } ], limits: " + limits);
  };
  EXPECT_THAT(with("{ requests: 10, pending: 10 }"), IsEmpty());
  EXPECT_THAT(with("{ requests: 10, pending: 11 }"), ElementsAre(HasSubstr("no effect")));
}

TEST_F(ConfigSemantics, WarnsOfWhatIsAllowedButOdd) {
  EXPECT_THAT(warnings(), IsEmpty());
  EXPECT_THAT(warnings("127.0.0.1:8080", "192.0.2.1:8080"), ElementsAre(HasSubstr("tokens pass the network in clear text")));
  EXPECT_THAT(warnings("policies:", "  - { name: spare, servers: [ { url: http://127.0.0.1:9002 } ] }\npolicies:"),
              ElementsAre("no route uses the upstream 'spare'"));
  EXPECT_THAT(warnings("[ { url: http://127.0.0.1:9001 } ]", "[ { url: http://a }, { url: https://b } ]"),
              ElementsAre(HasSubstr("some servers are https and some http")));
  EXPECT_THAT(warnings("[api]", "[api]\n    token_from: [ { cookie: access_token } ]"), IsEmpty());
}

TEST_F(ConfigSemantics, WarnsOfAPublicCornerInsideAProtectedSection) {
  const auto with_public = [&](const std::string& path) {
    return warnings("    upstream: web",
                    "    upstream: web\n  - { name: corner, match: { path: " + path + " }, access: public, upstream: web }");
  };
  EXPECT_THAT(with_public("/api/open/**"), ElementsAre(HasSubstr("route 'corner' is public below the authenticated route 'api'")));
  EXPECT_THAT(with_public("/open/**"), IsEmpty());
  EXPECT_THAT(warnings("path: /api/**", "path: /**"), IsEmpty());  // a whole site with public pages is how sites are built
}

TEST_F(ConfigSemantics, PlansWhichTokensEachRouteAcceptsAndRemoves) {
  std::string config = kConfig;
  config.replace(config.find("upstreams:"), 0,
                 "  - name: partner\n    issuer: https://partner.example\n    audiences: [api]\n    algorithms: [ES256]\n"
                 "    keys: { jwks_file: keys/corp.jwks.json }\n    token_from: [ { header: X-Partner-Token }, { cookie: partner } ]\n");
  std::string policy = kPolicy;
  policy += "  - { name: partner, match: { path: /partner }, access: optional, credentials: [ { jwt: partner } ], upstream: web }\n";
  const Loaded loaded = load_texts(config, policy);
  ASSERT_TRUE(loaded.settings);
  const std::vector<pipeline::Route>& routes = loaded.settings->snapshot->routes;
  EXPECT_EQ(routes[0].credentials.issuers.size(), 2U);
  EXPECT_EQ(routes[0].credentials.token_places.size(), 3U);
  ASSERT_EQ(routes[1].credentials.issuers.size(), 1U);
  EXPECT_EQ(routes[1].credentials.issuers[0]->settings.name, "partner");
  for (const pipeline::Route& route : routes) {  // what no route lets through, whoever accepts it
    EXPECT_THAT(route.outbound.credential_headers, ElementsAre("x-partner-token"));
    EXPECT_THAT(route.outbound.our_cookies, ElementsAre("partner"));
  }
}

TEST_F(ConfigSemantics, ReadsEveryRequirement) {
  const auto with = [&](const std::string& requirement) {
    return problems("    match: { path: /api/** }", "    match: { path: \"/api/{user}/**\" }\n    require: " + requirement);
  };
  for (const char* good :
       {"{ scope: \"orders:read\" }", "{ role: admin }", "{ subject: \"{user}\" }", "{ issuer: corp }", "{ method: jwt }",
        "{ method: session }", "{ network: [10.0.0.0/8, \"2001:db8::/32\"] }", "{ network: 10.0.0.1 }", "{ max_auth_age: 12h }",
        "{ claim: { name: a, equals: 1 } }", "{ claim: { name: a, equals: true } }", "{ claim: { pointer: /a/b, contains: \"{user}\" } }",
        "{ claim: { name: a, one_of: [x, 1, false] } }", "{ claim: { name: a, exists: false } }", "{ not: { not: { role: a } } }",
        "{ all: [ { role: a }, { any: [ { role: b } ] } ] }"}) {
    EXPECT_THAT(with(good), IsEmpty()) << good;
  }
  for (const char* bad : {"{ scope: \"a b\" }",
                          "{ scope: \"a\\\"b\" }",
                          "{ role: [admin] }",
                          "{ role: 5 }",
                          "{ subject: \"{other}\" }",
                          "{ subject: \"{user\" }",
                          "{ issuer: none }",
                          "{ method: basic }",
                          "{ network: [] }",
                          "{ network: [10.0.0.1/8] }",
                          "{ network: everywhere }",
                          "{ max_auth_age: 0s }",
                          "{ max_auth_age: 12 }",
                          "{ claim: { name: a } }",
                          "{ claim: { equals: 1 } }",
                          "{ claim: { name: a, pointer: /a, exists: true } }",
                          "{ claim: { name: a, equals: [1] } }",
                          "{ claim: { name: a, equals: \"\" } }",
                          "{ claim: { name: a, one_of: [] } }",
                          "{ claim: { name: a, exists: yes } }",
                          "{ claim: { pointer: a, exists: true } }",
                          "{ claim: { name: a, equals: \"{nobody}\" } }",
                          "{ not: [ { role: a } ] }",
                          "{ all: [] }",
                          "{ any: [ {} ] }",
                          "{ role: a, scope: b }",
                          "admin",
                          "[ { role: a } ]",
                          "{}"}) {
    EXPECT_THAT(with(bad).size(), 1U) << bad;
  }
}

TEST_F(ConfigSemantics, AnUnmetRequirementIsNoBetterForBeingNested) {
  const Settings loaded = settings(
      "    upstream: web", "    require: { all: [ { not: { network: 10.0.0.0/8 } }, { network: 192.0.2.0/24 } ] }\n    upstream: web");
  const auto& require = loaded.snapshot->routes[0].policy.require;
  ASSERT_TRUE(require);
  EXPECT_EQ(std::get<authorize::AllOf>(require->test).parts.size(), 2U);
}

TEST_F(ConfigSemantics, ReadsLogSinks) {
  const auto sink = [&](const std::string& word) { return settings("policies:", "log: { audit: " + word + " }\npolicies:").log.audit; };
  EXPECT_EQ(sink("off").kind, observe::Sink::Kind::off);
  EXPECT_EQ(sink("stderr").kind, observe::Sink::Kind::standard_error);
  EXPECT_EQ(sink("audit.log").kind, observe::Sink::Kind::file);
  EXPECT_EQ(sink("audit.log").path, folder().file("config/audit.log"));
  EXPECT_THAT(problems("policies:", "log: { audit: nowhere/audit.log }\npolicies:"),
              ElementsAre(HasSubstr("the folder of 'nowhere/audit.log' does not exist")));
  EXPECT_THAT(problems("policies:", "log: { audit: keys }\npolicies:"), ElementsAre(HasSubstr("is a directory")));
}

// In a process of its own: the cores are counted once, so that a reload on another set of cores is no change.
TEST_F(ConfigSemantics, CountsOnlyTheCoresThatItMayUse) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        cpu_set_t one;
        CPU_ZERO(&one);
        for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core) {
          if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
        }
        ::sched_setaffinity(0, sizeof one, &one);
        std::exit(settings().workers == 1 && settings("version: 1\nlisteners", "version: 1\nworkers: 7\nlisteners").workers == 7 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(settings().workers, static_cast<std::uint32_t>(CPU_COUNT(&before)));
}

TEST_F(ConfigSemantics, TellsEverythingInOneRunAndInOrder) {
  std::string config = kConfig;
  config.replace(config.find("127.0.0.1:8080"), 14, "localhost:8080");
  config.replace(config.find("[api]"), 5, "[]");
  std::string policy = kPolicy;
  policy.replace(policy.find("authenticated"), 13, "sometimes");
  const Loaded loaded = load_texts(config, policy);
  ASSERT_EQ(loaded.problems.size(), 3U);
  EXPECT_EQ(loaded.problems[0].line, 3);
  EXPECT_EQ(loaded.problems[1].line, 7);
  EXPECT_THAT(loaded.problems[2].file, ::testing::EndsWith("policies/p.yaml"));
  EXPECT_TRUE(std::is_sorted(loaded.problems.begin(), loaded.problems.end()));
  EXPECT_EQ(load_texts(config, policy).problems, loaded.problems);
}

TEST_F(ConfigSemantics, AMissingFileIsAProblemOfItself) {
  const Loaded loaded = load_config(folder().file("config/none.yaml"), environment);
  ASSERT_EQ(loaded.problems.size(), 1U);
  EXPECT_THAT(loaded.problems[0].text(), HasSubstr("none.yaml cannot be read: there is no such file"));
  EXPECT_FALSE(loaded.settings);
}

}  // namespace
}  // namespace sallyport::app
