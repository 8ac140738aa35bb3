#include "pipeline/establisher.hpp"

#include <gmock/gmock.h>

#include "gateway.hpp"

namespace sallyport::pipeline {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class EstablisherTest : public GatewayTest {
 protected:
  void recognise(std::string_view json) { upstream_.answer_with(ok_with(establishment(json))); }
  static std::string member(const test::FakeExchange& exchange, std::string_view name) {
    const Json document = testing::need(Json::parse(exchange.body()));
    const Json* value = document.find(name);
    return value == nullptr || value->string() == nullptr ? "" : *value->string();
  }
  static void expect_no_trace(const test::FakeExchange& exchange) {
    EXPECT_EQ(count_cookies_set(exchange), 0U);
    for (const auto& [name, value] : exchange.fields()) EXPECT_THAT(to_lower(name), Not(HasSubstr("establish")));
  }
};

TEST_F(EstablisherTest, TurnsARecognisedCallerIntoASession) {
  recognise(R"({"sub":"alice","roles":["admin"]})");
  const auto exchange = post("/login");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.body(), "ok");
  const auto lines = cookies_set(exchange, "__Host-session");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], HasSubstr("; Path=/; Secure; HttpOnly; SameSite=Strict"));
  EXPECT_THAT(lines[0], Not(HasSubstr("Domain")));
  EXPECT_EQ(exchange.field("X-Auth-Establish"), std::nullopt);
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  const auto next = get("/admin/x", {session_cookie(value_set(exchange, "__Host-session"))});
  EXPECT_EQ(next.status(), 200);
  EXPECT_THAT(upstream_.last_head(), HasSubstr("X-Auth-Subject: alice\r\n"));
  const std::string logged = audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("event":"session_begun")"));
  EXPECT_THAT(logged, Not(HasSubstr(value_set(exchange, "__Host-session"))));
}

TEST_F(EstablisherTest, AnAnswerWithoutTheFieldSignsNobodyIn) {
  const auto exchange = post("/login");
  EXPECT_EQ(exchange.status(), 200);
  expect_no_trace(exchange);
  EXPECT_EQ(exchange.field("Cache-Control"), std::nullopt);
  EXPECT_EQ(worker_.store.session_count(), 0U);
}

TEST_F(EstablisherTest, OnlyASuccessfulAnswerEstablishes) {
  for (const std::string status : {"302 Found", "401 Unauthorized", "500 Oops"}) {
    upstream_.answer_with("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n" + establishment(R"({"sub":"alice"})") + "\r\n");
    const auto exchange = post("/login");
    EXPECT_EQ(exchange.status(), std::stoi(status));
    expect_no_trace(exchange);
  }
  upstream_.answer_with("HTTP/1.1 204 No Content\r\n" + establishment(R"({"sub":"alice"})") + "\r\n");
  EXPECT_EQ(cookies_set(post("/login"), "__Host-session").size(), 1U);
  EXPECT_EQ(worker_.store.session_count(), 1U);
  EXPECT_THAT(audit_.text(), HasSubstr(R"("event":"establish_ignored")"));
}

TEST_F(EstablisherTest, RefusesWhatIsNoEstablishment) {
  const std::string good = establishment(R"({"sub":"alice"})");
  const std::vector<std::pair<std::string, std::string>> bad{
      {"two", good + good},
      {"two alike in another case", good + "x-auth-establish: " + base64url_encode(R"({"sub":"alice"})") + "\r\n"},
      {"one and its alias", good + "X_Auth_Establish: " + base64url_encode(R"({"sub":"bob"})") + "\r\n"},
      {"an alias", "X_Auth_Establish: " + base64url_encode(R"({"sub":"alice"})") + "\r\n"},
      {"no base64url", "X-Auth-Establish: {\"sub\":\"alice\"}\r\n"},
      {"no JSON", "X-Auth-Establish: " + base64url_encode("alice") + "\r\n"},
      {"no subject", establishment(R"({"roles":["admin"]})")},
      {"empty subject", establishment(R"({"sub":""})")},
      {"empty", "X-Auth-Establish:\r\n"},
  };
  for (const std::string path : {"/login", "/token"}) {
    for (const auto& [name, fields] : bad) {
      upstream_.answer_with(ok_with(fields));
      const auto exchange = post(path);
      EXPECT_EQ(exchange.status(), 502) << name;
      expect_no_trace(exchange);
      EXPECT_THAT(exchange.body(), Not(HasSubstr("ok"))) << name;
    }
  }
  EXPECT_EQ(worker_.store.calls(), 0U);
  const std::string logged = audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("event":"establish_refused")"));
  EXPECT_THAT(logged, Not(HasSubstr("\"alice\"")));
}

TEST_F(EstablisherTest, OnOtherRoutesTheFieldIsRemovedAndAudited) {
  recognise(R"({"sub":"mallory","roles":["admin"]})");
  const auto exchange = get("/public/x");
  EXPECT_EQ(exchange.status(), 200);
  expect_no_trace(exchange);
  EXPECT_EQ(worker_.store.calls(), 0U);
  EXPECT_THAT(audit_.text(), HasSubstr(R"("event":"establish_ignored")"));
}

TEST_F(EstablisherTest, TheUpstreamsWordOnCachingDoesNotStandBesideOurs) {
  upstream_.answer_with(ok_with("CACHE-CONTROL: public, max-age=600\r\nSet-Cookie: theme=dark\r\n" + establishment(R"({"sub":"alice"})")));
  const auto exchange = post("/login");
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_EQ(count_cookies_set(exchange), 2U) << "its cookies do";
}

TEST_F(EstablisherTest, G06_ANewLoginHasANewIdAndTheOldOneIsDead) {
  recognise(R"({"sub":"alice"})");
  const std::string planted = worker_.sign_in("mallory");
  const auto exchange = post("/login", {session_cookie(planted)});
  EXPECT_EQ(exchange.status(), 200);
  const std::string fresh = value_set(exchange, "__Host-session");
  EXPECT_NE(fresh, planted);
  EXPECT_EQ(get("/api/x", {session_cookie(planted)}).status(), 401);
  EXPECT_EQ(get("/api/x", {session_cookie(fresh)}).status(), 200);
  EXPECT_EQ(worker_.store.session_count(), 1U);
}

TEST_F(EstablisherTest, G06_EndsEverySessionThatTheCookiesName) {
  recognise(R"({"sub":"alice"})");
  const std::string one = worker_.sign_in();
  const std::string two = worker_.sign_in();
  static_cast<void>(post("/login", {"Cookie: __Host-session=" + one + "; __Host-session=" + two}));
  EXPECT_EQ(worker_.store.session_count(), 1U);
}

TEST_F(EstablisherTest, G06_ASessionThatReplacesTokensEndsTheirFamilyAndClearsTheirCookies) {
  recognise(R"({"sub":"alice"})");
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const auto exchange = post("/login", {"Cookie: __Host-access=" + pair->access + "; __Host-refresh=" + pair->refresh});
  EXPECT_FALSE(value_set(exchange, "__Host-session").empty());
  EXPECT_TRUE(is_cleared(exchange, "__Host-access"));
  EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
  EXPECT_EQ(get("/api/x", {bearer(pair->access)}).status(), 401);
  EXPECT_EQ(get("/api/x", {refresh_cookie(pair->refresh)}).status(), 401);
}

TEST_F(EstablisherTest, G06_TokensThatReplaceASessionEndItAndClearItsCookie) {
  recognise(R"({"sub":"alice"})");
  const std::string session = worker_.sign_in();
  const issue::TokenPairPtr old = worker_.issue_tokens(edge_);
  const auto exchange = post("/token", {"Cookie: __Host-session=" + session + "; __Host-refresh=" + old->refresh, "Sec-Fetch-Mode: cors"});
  EXPECT_TRUE(is_cleared(exchange, "__Host-session"));
  EXPECT_EQ(get("/api/x", {session_cookie(session)}).status(), 401);
  EXPECT_EQ(get("/api/x", {bearer(old->access)}).status(), 401);
  EXPECT_EQ(get("/api/x", {access_cookie(value_set(exchange, "__Host-access"))}).status(), 200);
  EXPECT_EQ(cookies_set(exchange, "__Host-refresh").size(), 1U);
}

TEST_F(EstablisherTest, AFailedLoginEndsNothing) {
  upstream_.answer_with("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  const std::string session = worker_.sign_in();
  EXPECT_EQ(post("/login", {session_cookie(session)}).status(), 401);
  EXPECT_EQ(get("/.gateway/session", {session_cookie(session)}).status(), 200);
}

TEST_F(EstablisherTest, GivesABrowserItsTokensInCookies) {
  recognise(R"({"sub":"alice"})");
  const auto exchange = post("/token", {"Sec-Fetch-Mode: navigate", same_origin()});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.body(), "ok");
  EXPECT_THAT(exchange.body(), Not(HasSubstr("token")));
  EXPECT_EQ(get("/api/x", {access_cookie(value_set(exchange, "__Host-access"))}).status(), 200);
  EXPECT_EQ(value_set(exchange, "__Host-refresh").size(), 64U);
}

TEST_F(EstablisherTest, GivesAnyoneElseHisTokensAsATokenEndpointDoes) {
  recognise(R"({"sub":"alice","scope":"orders:read"})");
  const auto exchange = post("/token");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.field("Content-Type"), "application/json");
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_EQ(exchange.field("Pragma"), "no-cache");
  expect_no_trace(exchange);
  EXPECT_EQ(member(exchange, "token_type"), "Bearer");
  EXPECT_EQ(get("/api/x", {bearer(member(exchange, "access_token"))}).status(), 200);
  const std::string logged = audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("event":"tokens_issued")"));
  EXPECT_THAT(logged, Not(HasSubstr(member(exchange, "refresh_token"))));
}

TEST_F(EstablisherTest, N02_AStoreThatIsAwayIs503AndTheOldSessionStays) {
  recognise(R"({"sub":"alice"})");
  const std::string session = worker_.sign_in();
  for (const std::string path : {"/login", "/token"}) {
    worker_.store.fail_with(Fault::unavailable);
    const auto exchange = post(path, {session_cookie(session)});
    EXPECT_EQ(exchange.status(), 503) << path;
    EXPECT_EQ(exchange.field("Retry-After"), "1");
    expect_no_trace(exchange);
    worker_.store.fail_with(std::nullopt);
    EXPECT_EQ(get("/api/x", {session_cookie(session)}).status(), 200);
  }
}

TEST_F(EstablisherTest, TellsNobodyOfANewSessionWhenTheOldOneCouldNotBeEnded) {
  recognise(R"({"sub":"alice"})");
  worker_.store.on_decided([&](std::string_view command) {
    if (command == "end_session") worker_.store.fail_with(Fault::timed_out);
  });
  for (const std::string path : {"/login", "/token"}) {
    worker_.store.fail_with(std::nullopt);
    const std::string session = worker_.sign_in();
    const auto exchange = post(path, {session_cookie(session)});
    EXPECT_EQ(exchange.status(), 503) << path;
    expect_no_trace(exchange);
    EXPECT_THAT(exchange.body(), Not(HasSubstr("access_token")));
  }
}

TEST_F(EstablisherTest, WithoutKeysIs503) {
  recognise(R"({"sub":"alice"})");
  worker_.sessions.use_keys(nullptr);
  for (const std::string path : {"/login", "/token"}) {
    const auto exchange = post(path);
    EXPECT_EQ(exchange.status(), 503) << path;
    expect_no_trace(exchange);
  }
}

TEST_F(EstablisherTest, F12_AnUpstreamCannotSetOurCookies) {
  upstream_.answer_with(
      ok_with("Set-Cookie: __Host-session=forged; Path=/\r\nSet-Cookie: theme=dark\r\nSet-Cookie: __Host-refresh=x\r\n"
              "Set-Cookie: lang=en\r\n" +
              establishment(R"({"sub":"alice"})")));
  const auto exchange = post("/login");
  const auto sessions = cookies_set(exchange, "__Host-session");
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_THAT(sessions[0], Not(HasSubstr("forged")));
  EXPECT_TRUE(cookies_set(exchange, "__Host-refresh").empty());
  EXPECT_EQ(cookies_set(exchange, "theme").size(), 1U);
  EXPECT_EQ(cookies_set(exchange, "lang").size(), 1U);
  upstream_.answer_with(ok_with("Set-Cookie: __Host-session=forged\r\nSet-Cookie: theme=dark\r\n"));
  const auto plain = get("/public/x");
  EXPECT_TRUE(cookies_set(plain, "__Host-session").empty());
  EXPECT_EQ(cookies_set(plain, "theme").size(), 1U);
}

TEST_F(EstablisherTest, ALoginThatRefreshedOnItsWaySetsTheNewLoginAlone) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.clock.advance(20min);
  const std::string cookies = "Cookie: __Host-access=" + pair->access + "; __Host-refresh=" + pair->refresh;
  // Without an establishment the refreshed cookies are the answer's.
  const auto plain = post("/step-up", {cookies, same_origin()});
  EXPECT_EQ(plain.status(), 200);
  EXPECT_FALSE(value_set(plain, "__Host-refresh").empty());
  // With one they are not: their family has just been ended.
  recognise(R"({"sub":"alice"})");
  const auto exchange = post("/step-up", {cookies, same_origin()});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_FALSE(value_set(exchange, "__Host-session").empty());
  EXPECT_TRUE(is_cleared(exchange, "__Host-access"));
  EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
  EXPECT_EQ(worker_.store.family_count(), 0U);
}

TEST_F(EstablisherTest, ALoginThatFailsAfterARefreshKeepsTheRefreshedCookies) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  worker_.clock.advance(20min);
  const std::string cookies = "Cookie: __Host-access=" + pair->access + "; __Host-refresh=" + pair->refresh;
  upstream_.answer_with(ok_with("X-Auth-Establish: garbage!\r\n"));
  const auto refused = post("/step-up", {cookies, same_origin()});
  EXPECT_EQ(refused.status(), 502);
  EXPECT_FALSE(value_set(refused, "__Host-refresh").empty());
  upstream_.answer_with("garbage\r\n\r\n");
  const auto broken = post("/step-up", {cookies, same_origin()});
  EXPECT_EQ(broken.status(), 502);
  EXPECT_FALSE(value_set(broken, "__Host-refresh").empty());
}

}  // namespace
}  // namespace sallyport::pipeline
