#include "pipeline/own_endpoints.hpp"

#include <gmock/gmock.h>

#include "gateway.hpp"

namespace sallyport::pipeline {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kForm = "Content-Type: application/x-www-form-urlencoded";

class OwnEndpointsTest : public GatewayTest {
 protected:
  test::FakeExchange refresh_by_form(const std::string& body) { return post("/.gateway/refresh", {std::string(kForm)}, body); }
  static std::string form(const std::string& token) { return "grant_type=refresh_token&refresh_token=" + token; }
  static std::string member(const test::FakeExchange& exchange, std::string_view name) {
    const Json document = testing::need(Json::parse(exchange.body()));
    const Json* value = document.find(name);
    return value == nullptr || value->string() == nullptr ? "" : *value->string();
  }
};

TEST_F(OwnEndpointsTest, DescribesASession) {
  const std::string value = worker_.sign_in("alice", R"({"roles":["admin"],"scope":"a b"})");
  worker_.clock.advance(5min);
  const auto exchange = get("/.gateway/session", {session_cookie(value)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_EQ(member(exchange, "subject"), "alice");
  EXPECT_EQ(member(exchange, "method"), "session");
  EXPECT_EQ(member(exchange, "expires_at"), "2023-11-15T22:13:20Z") << "24 h after the sign-in";
  EXPECT_EQ(member(exchange, "idle_expires_at"), "2023-11-14T22:48:20Z") << "30 min after this use";
  EXPECT_EQ(member(exchange, "csrf_token"), worker_.csrf_token_of_session(value));
  EXPECT_EQ(count_cookies_set(exchange), 0U);
}

TEST_F(OwnEndpointsTest, GivesACsrfTokenToCallersByCookieOnly) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const auto by_cookie = get("/.gateway/session", {access_cookie(pair->access)});
  EXPECT_EQ(member(by_cookie, "csrf_token"), worker_.csrf_token_of_family(pair->family));
  EXPECT_EQ(member(by_cookie, "idle_expires_at"), "");
  const auto by_bearer = get("/.gateway/session", {bearer(pair->access)});
  EXPECT_EQ(by_bearer.status(), 200);
  EXPECT_THAT(by_bearer.body(), Not(HasSubstr("csrf_token")));
}

TEST_F(OwnEndpointsTest, TheTokenItHandsOutIsTheOneThatIsAsked) {
  const std::string cookie = session_cookie(worker_.sign_in());
  const std::string token = member(get("/.gateway/session", {cookie}), "csrf_token");
  EXPECT_EQ(post("/api/x", {cookie, "X-CSRF-Token: " + token}).status(), 200);
  EXPECT_EQ(post("/api/x", {cookie, "X-CSRF-Token: " + token.substr(1) + "A"}).status(), 403);
}

TEST_F(OwnEndpointsTest, RefusesToDescribeNobody) {
  EXPECT_EQ(get("/.gateway/session").status(), 401);
  EXPECT_EQ(get("/.gateway/session", {session_cookie(std::string(64, 'A'))}).status(), 401);
  const std::string cookie = session_cookie(worker_.sign_in());
  worker_.store.fail_with(Fault::timed_out);
  const auto exchange = get("/.gateway/session", {cookie});
  EXPECT_EQ(exchange.status(), 503);
  EXPECT_EQ(exchange.field("Retry-After"), "1");
}

TEST_F(OwnEndpointsTest, TellsThePublicHalvesOfItsKeys) {
  const auto exchange = get("/.gateway/jwks.json");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.field("Content-Type"), "application/json");
  EXPECT_EQ(exchange.field("Cache-Control"), "public, max-age=300");
  EXPECT_THAT(exchange.body(), HasSubstr(R"("kid":"test-key")"));
  EXPECT_THAT(exchange.body(), Not(HasSubstr(R"("d":)")));
  EXPECT_EQ(serve(request("HEAD", "/.gateway/jwks.json")).status(), 200);
}

TEST_F(OwnEndpointsTest, KnowsTheMethodsOfItsEndpoints) {
  const std::vector<std::pair<std::string, std::string>> wrong{{"POST", "/.gateway/session"},
                                                               {"POST", "/.gateway/jwks.json"},
                                                               {"GET", "/.gateway/refresh"},
                                                               {"GET", "/.gateway/logout"},
                                                               {"PUT", "/.gateway/logout"}};
  for (const auto& [method, path] : wrong) {
    const auto exchange = serve(request(method, path));
    EXPECT_EQ(exchange.status(), 405) << method << ' ' << path;
    EXPECT_EQ(exchange.field("Allow"), method == "POST" ? "GET, HEAD" : "POST");
  }
  EXPECT_EQ(get("/.gateway/session/x").status(), 404);
  EXPECT_EQ(get("/.gateway").status(), 404);
}

TEST_F(OwnEndpointsTest, B17_RefusesTwoAuthorizationFields) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  for (const std::string path : {"/.gateway/refresh", "/.gateway/logout"}) {
    EXPECT_EQ(post(path, {bearer(pair->access), bearer(pair->access)}).status(), 400) << path;
  }
  EXPECT_EQ(get("/.gateway/session", {bearer(pair->access), bearer(pair->access)}).status(), 400);
  EXPECT_EQ(post("/.gateway/refresh", {bearer(pair->access), bearer(pair->access), std::string(kForm)}, form(pair->refresh)).status(), 400);
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
}

TEST_F(OwnEndpointsTest, HasNoTokenEndpointsWithoutTokens) {
  testing::SnapshotBuilder plain;
  plain.add("public", "/public/**", authorize::Access::public_);
  builder_ = std::move(plain);
  EXPECT_EQ(get("/.gateway/jwks.json").status(), 404);
  EXPECT_EQ(refresh_by_form(form("x")).status(), 404);
  EXPECT_EQ(get("/.gateway/session").status(), 401);
}

TEST_F(OwnEndpointsTest, RefreshesByForm) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_, "alice", R"({"scope":"orders:read"})");
  const auto exchange = refresh_by_form(form(pair->refresh) + "&client_id=app");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.field("Content-Type"), "application/json");
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_EQ(exchange.field("Pragma"), "no-cache");
  EXPECT_EQ(member(exchange, "token_type"), "Bearer");
  EXPECT_EQ(member(exchange, "scope"), "orders:read");
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(get("/api/x", {bearer(member(exchange, "access_token"))}).status(), 200);
  EXPECT_EQ(refresh_by_form(form(member(exchange, "refresh_token"))).status(), 200);
}

TEST_F(OwnEndpointsTest, SaysWhatIsWrongWithARefreshRequest) {
  const std::string token = worker_.issue_tokens(edge_)->refresh;
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"grant_type=refresh_token", "invalid_request"},
      {"grant_type=refresh_token&refresh_token=", "invalid_request"},
      {"refresh_token=" + token, "invalid_request"},
      {"grant_type=refresh_token&grant_type=refresh_token&refresh_token=" + token, "invalid_request"},
      {form(token) + "&refresh_token=" + token, "invalid_request"},
      {form(token) + "&", "invalid_request"},
      {form(token) + "%", "invalid_request"},
      {"grant_type=password&refresh_token=" + token, "unsupported_grant_type"},
      {"grant_type=Refresh_Token&refresh_token=" + token, "unsupported_grant_type"},
      {form(std::string(64, 'A')), "invalid_grant"},
      {form(token + "A"), "invalid_grant"},
      {form("x"), "invalid_grant"},
  };
  for (const auto& [body, error] : wrong) {
    const auto exchange = refresh_by_form(body);
    EXPECT_EQ(exchange.status(), 400) << body;
    EXPECT_EQ(exchange.body(), R"({"error":")" + error + R"("})") << body;
    EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  }
  for (const std::vector<std::string>& fields : {std::vector<std::string>{}, std::vector<std::string>{"Content-Type: application/json"}}) {
    EXPECT_EQ(member(post("/.gateway/refresh", fields, form(token)), "error"), "invalid_request");
  }
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
  EXPECT_EQ(refresh_by_form(form(token)).status(), 200) << "it was good all the time";
}

TEST_F(OwnEndpointsTest, H15_ARefreshTokenInTheUrlIsNotRead) {
  const std::string token = worker_.issue_tokens(edge_)->refresh;
  const auto exchange = post("/.gateway/refresh?" + form(token));
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_EQ(member(exchange, "error"), "invalid_request");
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
  EXPECT_THAT(access_.text() + audit_.text(), Not(HasSubstr(token)));
}

TEST_F(OwnEndpointsTest, TakesFormsUpToEightKibibytes) {
  const std::string padding = form("x") + "&padding=";
  EXPECT_EQ(refresh_by_form(padding + std::string(8192 - padding.size(), 'a')).status(), 400);
  const auto exchange = refresh_by_form(padding + std::string(8193 - padding.size(), 'a'));
  EXPECT_EQ(exchange.status(), 413);
  EXPECT_TRUE(exchange.closes());
}

TEST_F(OwnEndpointsTest, AnswersABodyThatDoesNotEnd) {
  open();
  const std::vector<std::pair<http::BodyState, int>> states{
      {http::BodyState::timed_out, 408}, {http::BodyState::malformed, 400}, {http::BodyState::gone, 0}};
  for (const auto& [state, status] : states) {
    test::FakeExchange exchange(request("POST", "/.gateway/refresh", {std::string(kForm), "Transfer-Encoding: chunked"}));
    exchange.script_body({{http::BodyState::more, "grant_type="}, {state, ""}});
    serve(exchange);
    EXPECT_EQ(exchange.status(), status);
    EXPECT_EQ(exchange.aborted(), status == 0);
  }
}

TEST_F(OwnEndpointsTest, RefreshesByCookie) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const auto exchange = post("/.gateway/refresh", {refresh_cookie(pair->refresh), same_origin()});
  EXPECT_EQ(exchange.status(), 204);
  EXPECT_EQ(exchange.body(), "");
  EXPECT_EQ(exchange.field("Content-Type"), std::nullopt);
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  const std::string refresh = value_set(exchange, "__Host-refresh");
  ASSERT_FALSE(refresh.empty());
  EXPECT_EQ(get("/api/x", {access_cookie(value_set(exchange, "__Host-access"))}).status(), 200);
  EXPECT_EQ(post("/.gateway/refresh", {refresh_cookie(refresh), "X-CSRF-Token: " + worker_.csrf_token_of_family(pair->family)}).status(),
            204);
}

TEST_F(OwnEndpointsTest, F14_ChecksTheRefreshByCookieAndSpendsNothingForAnotherSite) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  for (const std::vector<std::string>& fields :
       {std::vector<std::string>{refresh_cookie(pair->refresh)}, std::vector<std::string>{refresh_cookie(pair->refresh), cross_site()},
        std::vector<std::string>{refresh_cookie(pair->refresh), "X-CSRF-Token: " + std::string(43, 'A')}}) {
    const auto exchange = post("/.gateway/refresh", fields);
    EXPECT_EQ(exchange.status(), 403);
    EXPECT_EQ(count_cookies_set(exchange), 0U);
  }
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
}

TEST_F(OwnEndpointsTest, ClearsTheCookiesOfARefreshTokenThatIsNoLongerGood) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.store.flush();
  const auto exchange = post("/.gateway/refresh", {refresh_cookie(pair->refresh), same_origin()});
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_EQ(exchange.body(), R"({"error":"invalid_grant"})");
  EXPECT_TRUE(is_cleared(exchange, "__Host-access"));
  EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
  EXPECT_EQ(post("/.gateway/refresh").status(), 400) << "neither a form nor a cookie";
}

TEST_F(OwnEndpointsTest, F02_TwoRefreshCookiesAreRefused) {
  const std::string value = worker_.issue_tokens(edge_)->refresh;
  const auto exchange = post("/.gateway/refresh", {"Cookie: __Host-refresh=" + value + "; __Host-refresh=" + value, same_origin()});
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_EQ(member(exchange, "error"), "invalid_request");
  EXPECT_EQ(worker_.store.calls("rotate_family"), 0U);
}

TEST_F(OwnEndpointsTest, H11_ARefreshWhileTheStoreIsAwayIs503AndClearsNothing) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.store.fail_with(Fault::unavailable);
  const auto by_cookie = post("/.gateway/refresh", {refresh_cookie(pair->refresh), same_origin()});
  const auto by_form = refresh_by_form(form(pair->refresh));
  for (const auto* exchange : {&by_cookie, &by_form}) {
    EXPECT_EQ(exchange->status(), 503);
    EXPECT_EQ(exchange->field("Retry-After"), "1");
    EXPECT_EQ(count_cookies_set(*exchange), 0U);
  }
  worker_.store.fail_with(std::nullopt);
  EXPECT_EQ(refresh_by_form(form(pair->refresh)).status(), 200);
}

TEST_F(OwnEndpointsTest, ARefreshWithoutKeysIs503) {
  const std::string token = worker_.issue_tokens(edge_)->refresh;
  worker_.sessions.use_keys(nullptr);
  EXPECT_EQ(refresh_by_form(form(token)).status(), 503);
  EXPECT_EQ(post("/.gateway/refresh", {refresh_cookie(token), same_origin()}).status(), 503);
}

}  // namespace
}  // namespace sallyport::pipeline
