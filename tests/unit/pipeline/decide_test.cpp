#include "pipeline/decide.hpp"

#include <gtest/gtest.h>

#include "http/request_parser.hpp"
#include "support/allocations.hpp"
#include "worker.hpp"

namespace sallyport::pipeline {
namespace {

using authenticate::Algorithm;
using authorize::Access;
using authorize::Denied;
using namespace sallyport::testing;

authorize::Requirement role(std::string name) { return {authorize::RoleIs{std::move(name)}}; }

class DecideTest : public ::testing::Test {
 protected:
  DecideTest() {
    builder_.accept(test_issuer("corp", "https://issuer.example", "api", Algorithm::es256)).issue_tokens(edge_);
    builder_.add("public", "/public/**", Access::public_);
    builder_.add("api", "/api/**", Access::authenticated);
    builder_.add("optional", "/optional/**", Access::optional);
    builder_.add("admin", "/admin/**", Access::authenticated).policy.require = role("admin");
    auto& own = builder_.add("own", "/users/{user}/**", Access::authenticated);
    own.policy.require = {authorize::SubjectIs{need(authorize::Template::parse("{user}", {"user"}))}};
    auto& reports = builder_.add("reports", "/reports/**", Access::authenticated);
    reports.policy.require = {authorize::ScopeIs{"reports:read"}};
    builder_.add("read-only", "/readonly", Access::public_).match.methods = {"GET"};
    // A route that takes tokens of another issuer only.
    auto& partner = builder_.add("partner", "/partner/**", Access::authenticated);
    partner.credentials.issuers = {test_issuer("partner", "https://partner.example", "api", Algorithm::es256)};
    builder_.add("login", "/login", Access::public_).establish = Establish::session;
    builder_.add("no-csrf", "/no-csrf", Access::authenticated).csrf.off = true;
    builder_.add("shared", "/shared", Access::authenticated).csrf.allowed_origins = {"https://shop.example"};
    builder_.add("machines", "/machines/**", Access::authenticated).credentials =
        authenticate::make_plan({{.is_session = false, .issuer = nullptr, .is_client_certificate = true}}, nullptr);
    snapshot_ = builder_.build();
  }

  Verdict judge(std::string_view method, std::string_view target, std::string_view fields = "", Explanation* explanation = nullptr) {
    text_ = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: gateway.example\r\n" + std::string(fields) + "\r\n";
    http::RequestParser parser(limits_);
    const http::HeadOutcome outcome = parser.parse(text_, head_);
    EXPECT_TRUE(std::holds_alternative<http::HeadParsed>(outcome)) << text_;
    const Question question{head_, peer_, *snapshot_, worker_.authenticator, worker_.clock.wall_now(), explanation};
    return worker_.run(decide(question));
  }
  static std::string session_cookie(const std::string& value) { return "Cookie: __Host-session=" + value + "\r\n"; }
  static std::string reason(const Verdict& verdict) {
    const auto* on = std::get_if<DeniedOn>(&verdict);
    return on == nullptr ? "" : std::string(on->denied.reason);
  }
  static std::string bearer(const Claims& claims = {}) { return "Authorization: Bearer " + good_token(Algorithm::es256, claims) + "\r\n"; }
  static std::optional<Denied::Why> denied(const Verdict& verdict) {
    const auto* on = std::get_if<DeniedOn>(&verdict);
    return on == nullptr ? std::nullopt : std::optional(on->denied.why);
  }
  static std::string allowed(const Verdict& verdict) {
    const auto* on = std::get_if<Allowed>(&verdict);
    return on == nullptr ? "" : on->route->name;
  }

  TestWorker worker_;
  issue::EdgeKeysPtr edge_ = test_edge_keys();
  SnapshotBuilder builder_;
  SnapshotPtr snapshot_;
  http::Limits limits_;
  http::Peer peer_{.listener = "public", .address = "192.0.2.1", .port = 50000, .is_tls = true};
  std::string text_;
  http::RequestHead head_;
};

TEST_F(DecideTest, LetsAnybodyOntoAPublicRouteWithoutReadingTheCredential) {
  EXPECT_EQ(allowed(judge("GET", "/public/x")), "public");
  const Verdict verdict = judge("GET", "/public/x", "Authorization: Bearer garbage\r\n");
  EXPECT_EQ(allowed(verdict), "public");
  EXPECT_EQ(std::get<Allowed>(verdict).permit.identity(), nullptr);
  EXPECT_EQ(worker_.cache.misses(), 0U);
}

TEST_F(DecideTest, AsksForACredentialWhereTheRouteNeedsOne) {
  EXPECT_EQ(denied(judge("GET", "/api/x")), Denied::Why::no_credential);
  const Verdict verdict = judge("GET", "/api/x", bearer());
  EXPECT_EQ(allowed(verdict), "api");
  EXPECT_EQ(std::get<Allowed>(verdict).permit.identity()->facts().subject, "alice");
}

TEST_F(DecideTest, RefusesABadCredentialEvenWhereNoneIsNeeded) {
  EXPECT_EQ(allowed(judge("GET", "/optional/x")), "optional");
  EXPECT_EQ(denied(judge("GET", "/optional/x", "Authorization: Bearer garbage\r\n")), Denied::Why::credential_refused);
  EXPECT_EQ(denied(judge("GET", "/optional/x", bearer(Claims().set("exp", 1)))), Denied::Why::credential_refused);
}

TEST_F(DecideTest, B17_RefusesTwoAuthorizationFieldsOnEveryRoute) {
  const std::string token = bearer();
  for (const std::string target : {"/public/x", "/api/x", "/optional/x", "/nowhere"}) {
    EXPECT_TRUE(std::holds_alternative<BadRequest>(judge("GET", target, token + token))) << target;
  }
}

TEST_F(DecideTest, JudgesThePolicyAgainForARememberedToken) {
  const std::string token = bearer();
  EXPECT_EQ(allowed(judge("GET", "/api/x", token)), "api");
  EXPECT_EQ(denied(judge("GET", "/admin/x", token)), Denied::Why::requirement_unmet);
  EXPECT_EQ(worker_.cache.hits(), 1U);
  EXPECT_EQ(allowed(judge("GET", "/admin/x", bearer(Claims().set("roles", R"(["admin"])")))), "admin");
}

TEST_F(DecideTest, C29_RefusesARememberedTokenOnARouteThatTakesAnotherIssuer) {
  const std::string token = bearer();
  EXPECT_EQ(allowed(judge("GET", "/api/x", token)), "api");
  EXPECT_EQ(denied(judge("GET", "/partner/x", token)), Denied::Why::credential_refused);
  const std::string partner = bearer(Claims().set("iss", R"("https://partner.example")"));
  EXPECT_EQ(allowed(judge("GET", "/partner/x", partner)), "partner");
  EXPECT_EQ(denied(judge("GET", "/api/x", partner)), Denied::Why::credential_refused);
}

TEST_F(DecideTest, LetsNobodyIntoAnothersPath) {
  EXPECT_EQ(allowed(judge("GET", "/users/alice/profile", bearer())), "own");
  EXPECT_EQ(denied(judge("GET", "/users/bob/profile", bearer())), Denied::Why::requirement_unmet);
  EXPECT_EQ(allowed(judge("GET", "/users/%61lice/profile", bearer())), "own");
}

TEST_F(DecideTest, NamesTheMissingScope) {
  const Verdict verdict = judge("GET", "/reports/x", bearer());
  ASSERT_EQ(denied(verdict), Denied::Why::insufficient_scope);
  EXPECT_EQ(std::get<DeniedOn>(verdict).denied.scopes, std::vector<std::string>{"reports:read"});
  EXPECT_EQ(allowed(judge("GET", "/reports/x", bearer(Claims().set("scope", R"("reports:read other")")))), "reports");
}

TEST_F(DecideTest, J22_RefusesWhatNoRouteMatches) {
  const Verdict verdict = judge("GET", "/nowhere", bearer());
  ASSERT_TRUE(std::holds_alternative<NotRouted>(verdict));
  EXPECT_TRUE(std::holds_alternative<route::NoRoute>(std::get<NotRouted>(verdict).outcome));
}

TEST_F(DecideTest, SaysWhichMethodsThePathTakes) {
  const Verdict verdict = judge("DELETE", "/readonly");
  ASSERT_TRUE(std::holds_alternative<NotRouted>(verdict));
  const auto* refused = std::get_if<route::MethodNotAllowed>(&std::get<NotRouted>(verdict).outcome);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->allow, "GET");
}

TEST_F(DecideTest, ExplainsEachStepInOrder) {
  Explanation lines;
  static_cast<void>(judge("GET", "/users/bob/x", bearer(), &lines));
  ASSERT_GE(lines.size(), 5U);
  EXPECT_EQ(lines[0], "route: own (test.yaml:1:1) by /users/{user}/**");
  EXPECT_EQ(lines[1], "path parameter: user = bob");
  EXPECT_EQ(lines[2], "access: authenticated");
  EXPECT_EQ(lines[3], "credential: verified, subject alice of issuer corp");
  EXPECT_TRUE(lines.back().starts_with("decision: refused")) << lines.back();
}

TEST_F(DecideTest, DecidesTheSameWithAndWithoutAnExplanation) {
  const std::string good = bearer();
  const std::vector<std::pair<std::string, std::string>> requests{{"/public/x", ""},  {"/api/x", ""},         {"/api/x", good},
                                                                  {"/admin/x", good}, {"/users/bob/x", good}, {"/nowhere", good}};
  for (const auto& [target, fields] : requests) {
    Explanation lines;
    const std::size_t explained = judge("GET", target, fields, &lines).index();
    EXPECT_EQ(explained, judge("GET", target, fields).index()) << target;
    EXPECT_FALSE(lines.empty());
  }
}

TEST_F(DecideTest, RecognisesASessionAndAsksTheStoreForItOnce) {
  const std::string cookie = session_cookie(worker_.sign_in("alice", R"({"roles":["admin"]})"));
  EXPECT_EQ(allowed(judge("GET", "/admin/x", cookie)), "admin");
  EXPECT_EQ(worker_.store.calls("find_session"), 1U);
  const Verdict warm = judge("GET", "/api/x", cookie);
  EXPECT_EQ(allowed(warm), "api");
  EXPECT_EQ(std::get<Allowed>(warm).permit.identity()->facts().subject, "alice");
  EXPECT_EQ(worker_.store.calls("find_session"), 1U);
}

TEST_F(DecideTest, N02_NeverReadsAStoreThatIsAwayAsAYesOrANo) {
  const std::string cookie = session_cookie(worker_.sign_in());
  worker_.store.fail_with(Fault::unavailable);
  for (const std::string target : {"/api/x", "/optional/x"}) EXPECT_EQ(denied(judge("GET", target, cookie)), Denied::Why::unavailable);
  EXPECT_EQ(allowed(judge("GET", "/api/x", bearer())), "api") << "tokens do not notice";
  EXPECT_EQ(allowed(judge("GET", "/public/x", cookie)), "public");
}

TEST_F(DecideTest, F14_RefusesAnUnsafeRequestThatAnotherSiteMadeTheBrowserSend) {
  const std::string value = worker_.sign_in();
  const std::string cookie = session_cookie(value);
  const std::string foreign = cookie + "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n";
  EXPECT_EQ(allowed(judge("GET", "/api/x", foreign)), "api");
  const Verdict verdict = judge("POST", "/api/x", foreign);
  ASSERT_EQ(denied(verdict), Denied::Why::requirement_unmet);
  EXPECT_EQ(reason(verdict), "csrf");
  EXPECT_EQ(std::get<DeniedOn>(verdict).identity->facts().subject, "alice");
  EXPECT_EQ(reason(judge("POST", "/optional/x", foreign)), "csrf");
  EXPECT_EQ(reason(judge("POST", "/api/x", cookie)), "csrf") << "nothing shows where it came from";
  EXPECT_EQ(allowed(judge("POST", "/api/x", cookie + "Sec-Fetch-Site: same-origin\r\n")), "api");
  EXPECT_EQ(allowed(judge("POST", "/api/x", cookie + "Origin: https://gateway.example\r\n")), "api");
  const std::string own_token = worker_.csrf_token_of_session(value);
  EXPECT_EQ(allowed(judge("POST", "/api/x", cookie + "X-CSRF-Token: " + own_token + "\r\n")), "api");
  const std::string other_token = worker_.csrf_token_of_session(worker_.sign_in());
  EXPECT_EQ(reason(judge("POST", "/api/x", cookie + "X-CSRF-Token: " + other_token + "\r\n")), "csrf");
}

TEST_F(DecideTest, ChecksCsrfAsTheRouteSays) {
  const std::string foreign = session_cookie(worker_.sign_in()) + "Sec-Fetch-Site: cross-site\r\nOrigin: https://shop.example\r\n";
  EXPECT_EQ(allowed(judge("POST", "/no-csrf", foreign)), "no-csrf");
  EXPECT_EQ(allowed(judge("POST", "/shared", foreign)), "shared");
  EXPECT_EQ(reason(judge("POST", "/api/x", foreign)), "csrf");
}

TEST_F(DecideTest, ExemptsBearerTokensFromTheCsrfCheckButNotTokensInCookies) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const std::string foreign = "Sec-Fetch-Site: cross-site\r\n";
  EXPECT_EQ(allowed(judge("POST", "/api/x", "Authorization: Bearer " + pair->access + "\r\n" + foreign)), "api");
  const std::string cookie = "Cookie: __Host-access=" + pair->access + "\r\n";
  EXPECT_EQ(reason(judge("POST", "/api/x", cookie + foreign)), "csrf");
  const std::string token = worker_.csrf_token_of_family(pair->family);
  EXPECT_EQ(allowed(judge("POST", "/api/x", cookie + "X-CSRF-Token: " + token + "\r\n")), "api");
}

TEST_F(DecideTest, ABadCookieIsABadCredentialWhoeverSentIt) {
  const std::string forged = session_cookie(std::string(64, 'A')) + "Sec-Fetch-Site: cross-site\r\n";
  EXPECT_EQ(denied(judge("POST", "/api/x", forged)), Denied::Why::credential_refused);
  EXPECT_EQ(worker_.store.calls(), 0U) << "a forged id is refused without asking";
}

TEST_F(DecideTest, SignsNobodyInThatAnotherSiteSent) {
  EXPECT_EQ(allowed(judge("POST", "/login")), "login") << "no browser";
  EXPECT_EQ(allowed(judge("POST", "/login", "Sec-Fetch-Site: same-origin\r\n")), "login");
  EXPECT_EQ(allowed(judge("GET", "/login", "Sec-Fetch-Site: cross-site\r\n")), "login") << "a link to the form";
  EXPECT_EQ(reason(judge("POST", "/login", "Sec-Fetch-Site: cross-site\r\n")), "csrf");
  EXPECT_EQ(reason(judge("POST", "/login", "Origin: https://evil.example\r\n")), "csrf");
  EXPECT_EQ(allowed(judge("POST", "/public/x", "Sec-Fetch-Site: cross-site\r\n")), "public") << "which signs nobody in";
}

TEST_F(DecideTest, CannotTellATokenWhileTheKeysAreUnknown) {
  // A session cannot be opened without the keys, but a token of another issuer in a cookie can.
  authenticate::IssuerPtr issuer = test_issuer("corp", "https://issuer.example", "api", Algorithm::es256);
  auto in_cookie = std::make_shared<authenticate::Issuer>(*issuer);
  in_cookie->settings.token_from = {{.kind = authenticate::TokenPlace::Kind::cookie, .name = "token"}};
  SnapshotBuilder builder;
  builder.accept(in_cookie).add("api", "/api/**", Access::authenticated);
  snapshot_ = builder.build();
  worker_.sessions.use_keys(nullptr);
  const std::string cookie = "Cookie: token=" + good_token(Algorithm::es256) + "\r\n";
  EXPECT_EQ(denied(judge("POST", "/api/x", cookie + "X-CSRF-Token: anything\r\n")), Denied::Why::unavailable);
  EXPECT_EQ(reason(judge("POST", "/api/x", cookie)), "csrf");
  EXPECT_EQ(allowed(judge("POST", "/api/x", cookie + "Sec-Fetch-Site: same-origin\r\n")), "api");
}

TEST_F(DecideTest, ExplainsSessionsAndTheCsrfCheck) {
  const std::string cookie = session_cookie(worker_.sign_in());
  Explanation lines;
  static_cast<void>(judge("POST", "/api/x", cookie, &lines));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[2], "credential: verified, subject alice of issuer edge, by session, in a cookie");
  EXPECT_EQ(lines[3], "csrf: refused");
  EXPECT_TRUE(lines[4].starts_with("decision: refused, csrf: ")) << lines[4];
  lines.clear();
  static_cast<void>(judge("POST", "/api/x", cookie + "Origin: https://gateway.example\r\n", &lines));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[3], "csrf: same_origin");
  EXPECT_EQ(lines[4], "decision: allowed");
}

TEST_F(DecideTest, ExplainsARefreshWithoutSpendingAnything) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  Explanation lines;
  const Verdict verdict = judge("GET", "/api/x", "Cookie: __Host-refresh=" + pair->refresh + "\r\n", &lines);
  EXPECT_EQ(denied(verdict), Denied::Why::no_credential);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_TRUE(lines[3].starts_with("refresh: a refresh cookie is there")) << lines[3];
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
}

TEST_F(DecideTest, F02_TwoRefreshCookiesAreAmbiguous) {
  const std::string value = worker_.issue_tokens(edge_)->refresh;
  const std::string two = "Cookie: __Host-refresh=" + value + "; __Host-refresh=" + value + "\r\n";
  EXPECT_EQ(denied(judge("GET", "/api/x", two)), Denied::Why::ambiguous_credential);
  EXPECT_EQ(denied(judge("GET", "/optional/x", two)), Denied::Why::ambiguous_credential);
  EXPECT_EQ(allowed(judge("GET", "/api/x", bearer() + two)), "api") << "a bearer token decides, and nothing else is looked at";
}

// Of a caller that memory knows.
TEST_F(DecideTest, AllocatesNothingForAWarmRequest) {
  const std::string session = session_cookie(worker_.sign_in());
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  struct Row {
    std::string name;
    std::string method;
    std::string fields;
  };
  const std::vector<Row> rows{{"a bearer token", "GET", bearer()},
                              {"a session", "GET", session},
                              {"a token of ours in a cookie", "GET", "Cookie: __Host-access=" + pair->access + "\r\n"},
                              {"an unsafe request by session", "POST", session + "Sec-Fetch-Site: same-origin\r\n"},
                              {"an unsafe request with an Origin", "POST", session + "Origin: https://gateway.example\r\n"},
                              {"nobody", "GET", ""}};
  for (const Row& row : rows) {
    const std::string target = row.name == "nobody" ? "/optional/x" : "/api/x";
    ASSERT_NE(allowed(judge(row.method, target, row.fields)), "") << row.name;
    const Question question{head_, peer_, *snapshot_, worker_.authenticator, worker_.clock.wall_now()};
    const std::size_t before = test::allocations();
    const bool is_bad = check_request(head_).has_value();
    const route::RouteOutcome routed = find_route(question);
    const auto& found = std::get<route::Found>(routed);
    const Route& route = snapshot_->routes[found.route];
    const auto attempt = try_authenticate(question, route);
    const auto* who = std::get_if<authenticate::Authentication>(&attempt);
    ASSERT_NE(who, nullptr);
    const std::size_t refreshes = refresh_cookies(question, *who).count;
    const Verdict verdict = pipeline::judge(question, found, *who);
    EXPECT_EQ(test::allocations(), before) << row.name;
    EXPECT_FALSE(is_bad);
    EXPECT_EQ(refreshes, 0U);
    EXPECT_TRUE(std::holds_alternative<Allowed>(verdict)) << row.name;
  }
}

class DecideByCertificate : public DecideTest {
 protected:
  DecideByCertificate() {
    certificate_.subject = "CN=orders";
    certificate_.thumbprint = std::string(43, 'A');
    certificate_.not_before = worker_.clock.wall_now() - std::chrono::hours(1);
    certificate_.not_after = worker_.clock.wall_now() + std::chrono::hours(1);
  }
  transport::PeerCertificate certificate_;
};

TEST_F(DecideByCertificate, L08_LetsACertificateInOnlyWhereTheRouteNamesIt) {
  EXPECT_EQ(denied(judge("GET", "/machines/x")), Denied::Why::no_credential);
  peer_.certificate = &certificate_;
  const Verdict verdict = judge("POST", "/machines/x");
  ASSERT_EQ(allowed(verdict), "machines");
  EXPECT_EQ(std::get<Allowed>(verdict).permit.identity()->facts().subject, "CN=orders");
  EXPECT_EQ(denied(judge("GET", "/api/x")), Denied::Why::no_credential);
}

// A browser shows its certificate to whoever asks, whatever page the request comes from.
TEST_F(DecideByCertificate, RefusesWhatAnotherSiteMadeABrowserSendWithACertificate) {
  peer_.certificate = &certificate_;
  EXPECT_EQ(reason(judge("POST", "/machines/x", "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n")), "csrf");
  EXPECT_EQ(reason(judge("DELETE", "/machines/x", "Origin: https://evil.example\r\n")), "csrf");
  EXPECT_EQ(allowed(judge("GET", "/machines/x", "Sec-Fetch-Site: cross-site\r\n")), "machines");
  EXPECT_EQ(allowed(judge("POST", "/machines/x", "Sec-Fetch-Site: same-origin\r\n")), "machines");
  EXPECT_EQ(allowed(judge("POST", "/machines/x", "Origin: https://gateway.example\r\n")), "machines");
}

TEST_F(DecideByCertificate, ATokenThatIsBoundToACertificateNeedsItOnEveryRequest) {
  const std::string token = bearer(Claims().set("cnf", R"({"x5t#S256":")" + certificate_.thumbprint + R"("})"));
  EXPECT_EQ(denied(judge("GET", "/api/x", token)), Denied::Why::credential_refused);
  peer_.certificate = &certificate_;
  EXPECT_EQ(allowed(judge("GET", "/api/x", token)), "api");
  peer_.certificate = nullptr;
  EXPECT_EQ(denied(judge("GET", "/api/x", token)), Denied::Why::credential_refused);
}

}  // namespace
}  // namespace sallyport::pipeline
