// What a WebSocket handshake must have passed before an upstream hears of it (hazards Q).
#include <gmock/gmock.h>

#include "gateway.hpp"

namespace sallyport::pipeline {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class WebSockets : public GatewayTest {
 protected:
  WebSockets() {
    builder_.add("socket", "/socket/**", authorize::Access::authenticated).websocket.emplace();
    builder_.add("open", "/open/**", authorize::Access::public_).websocket.emplace();
    Route& friendly = builder_.add("friendly", "/friendly/**", authorize::Access::authenticated);
    friendly.websocket.emplace();
    friendly.csrf.allowed_origins = {"https://friend.example"};
    Route& lax = builder_.add("lax", "/lax/**", authorize::Access::authenticated);
    lax.websocket.emplace();
    lax.csrf.off = true;
  }

  static std::vector<std::string> handshake(std::vector<std::string> more = {}) {
    std::vector<std::string> fields{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  std::string cookie_of(const std::string& subject) { return session_cookie(worker_.sign_in(subject)); }
  static std::string token() { return testing::good_token(authenticate::Algorithm::es256); }
  std::size_t asked() { return upstream_.heads().size(); }
};

TEST_F(WebSockets, Q01_NeedACredentialBeforeTheUpstreamIsAsked) {
  EXPECT_EQ(get("/socket/x", handshake()).status(), 401);
  EXPECT_EQ(get("/socket/x", handshake({bearer("a.b.c")})).status(), 401);
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(get("/socket/x", handshake({bearer(token())})).status(), 200);
  EXPECT_EQ(asked(), 1U);
}

TEST_F(WebSockets, AskTheUpstreamWithTheCallersIdentity) {
  get("/socket/x", handshake({bearer(token()), "X-Auth-Subject: root", "X_Auth_Subject: root"}));
  EXPECT_THAT(upstream_.last_head(), HasSubstr("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
  EXPECT_THAT(upstream_.last_head(), HasSubstr("\r\nX-Auth-Subject: "));
  EXPECT_THAT(upstream_.last_head(), Not(HasSubstr("root")));
  EXPECT_THAT(upstream_.last_head(), Not(HasSubstr("Authorization")));
}

TEST_F(WebSockets, Q02_AnswerABadHandshakeThemselves) {
  const auto refused = get(
      "/open/x", {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="});
  EXPECT_EQ(refused.status(), 426);
  EXPECT_EQ(refused.field("Sec-WebSocket-Version"), "13");
  EXPECT_TRUE(refused.closes()) << "what comes behind it is no request";
  EXPECT_EQ(get("/open/x", {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}).status(), 400);
  EXPECT_EQ(get("/open/x", {"Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}).status(),
            400);
  EXPECT_EQ(post("/open/x", handshake(), "body").status(), 400);
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(get("/open/x", handshake()).status(), 200);
}

TEST_F(WebSockets, Q02_SayNothingOfTheHandshakeToStrangers) {
  EXPECT_EQ(get("/socket/x", {"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8"}).status(), 401);
}

TEST_F(WebSockets, Q03_WantAnOwnOriginWhenACookieAuthenticated) {
  const std::string cookie = cookie_of("alice");
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: https://evil.example"})).status(), 403);
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: null"})).status(), 403);
  EXPECT_EQ(get("/socket/x", handshake({cookie})).status(), 403) << "no browser sends a handshake without it";
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: https://friend.example"})).status(), 403);
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: https://gateway.example", cross_site()})).status(), 403);
  EXPECT_EQ(asked(), 0U);
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: https://gateway.example"})).status(), 200);
  EXPECT_EQ(get("/socket/x", handshake({cookie, "Origin: https://evil.example", same_origin()})).status(), 200)
      << "the browser knows better than a proxy that rewrites addresses";
  EXPECT_EQ(get("/friendly/x", handshake({cookie, "Origin: https://friend.example"})).status(), 200);
  EXPECT_EQ(get("/friendly/x", handshake({cookie, "Origin: https://evil.example"})).status(), 403);
  EXPECT_EQ(get("/lax/x", handshake({cookie, "Origin: https://evil.example"})).status(), 200);
}

TEST_F(WebSockets, Q03_TakeACsrfTokenInPlaceOfAnOrigin) {
  const std::string value = worker_.sign_in("alice");
  EXPECT_EQ(get("/socket/x", handshake({session_cookie(value), "X-CSRF-Token: " + worker_.csrf_token_of_session(value)})).status(), 200);
  EXPECT_EQ(get("/socket/x", handshake({session_cookie(value), "X-CSRF-Token: other"})).status(), 403);
}

TEST_F(WebSockets, Q03_LetNoOtherSiteSpendARefreshToken) {
  const issue::TokenPairPtr pair = worker_.issue_tokens(edge_);
  const std::string cookie = refresh_cookie(pair->refresh);
  const auto refused = get("/socket/x", handshake({cookie, "Origin: https://evil.example"}));
  EXPECT_EQ(refused.status(), 403);
  EXPECT_EQ(count_cookies_set(refused), 0U);
  const auto taken = get("/socket/x", handshake({cookie, "Origin: https://gateway.example"}));
  EXPECT_EQ(taken.status(), 200);
  EXPECT_NE(value_set(taken, "__Host-refresh"), pair->refresh) << "it was still there to be spent";
  EXPECT_NE(value_set(taken, "__Host-refresh"), "");
}

TEST_F(WebSockets, Q03_AskNobodyForAnOriginWhoBringsAToken) {
  EXPECT_EQ(get("/socket/x", handshake({bearer(token()), "Origin: https://evil.example"})).status(), 200);
}

TEST_F(WebSockets, Q10_LeaveOrdinaryRequestsAlone) {
  const std::string cookie = cookie_of("alice");
  EXPECT_EQ(get("/socket/x", {cookie, "Origin: https://evil.example"}).status(), 200) << "a GET is safe";
  EXPECT_EQ(get("/socket/x", {cookie, "Connection: Upgrade", "Upgrade: h2c"}).status(), 200);
  EXPECT_THAT(upstream_.last_head(), Not(HasSubstr("pgrade")));
}

TEST_F(WebSockets, Q10_AreNotOpenedElsewhere) {
  EXPECT_EQ(get("/public/x", handshake()).status(), 200);
  EXPECT_THAT(upstream_.last_head(), StartsWith("GET /public/x"));
  EXPECT_THAT(upstream_.last_head(), Not(HasSubstr("\r\nUpgrade")));
  EXPECT_THAT(upstream_.last_head(), Not(HasSubstr("\r\nConnection")));
  upstream_.answer_with(
      "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  EXPECT_EQ(get("/public/x", handshake()).status(), 502);
}

TEST_F(WebSockets, AreNoSwitchForAnExchangeThatHasNone) {
  upstream_.answer_with(
      "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  const auto exchange = get("/open/x", handshake());
  EXPECT_EQ(exchange.status(), 0);
  EXPECT_TRUE(exchange.aborted());
  EXPECT_EQ(worker_.metrics.tunnels, 0);
}

}  // namespace
}  // namespace sallyport::pipeline
