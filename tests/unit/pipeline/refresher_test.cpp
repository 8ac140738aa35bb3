#include "pipeline/refresher.hpp"

#include <gmock/gmock.h>

#include "gateway.hpp"

namespace sallyport::pipeline {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// Requests with an access cookie that has expired and a refresh cookie.
class RefresherTest : public GatewayTest {
 protected:
  RefresherTest() : pair_(worker_.issue_tokens(edge_)) { worker_.clock.advance(20min); }

  static std::string both(const issue::TokenPair& pair) {
    return "Cookie: __Host-access=" + pair.access + "; __Host-refresh=" + pair.refresh;
  }
  [[nodiscard]] std::size_t rotations() const { return worker_.store.calls("rotate_family"); }

  issue::TokenPairPtr pair_;
};

TEST_F(RefresherTest, RefreshesWithinTheRequestAndSetsTheNewCookies) {
  const auto exchange = get("/api/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_THAT(upstream_.last_head(), HasSubstr("X-Auth-Subject: alice\r\n"));
  const std::string access = value_set(exchange, "__Host-access");
  const std::string refresh = value_set(exchange, "__Host-refresh");
  ASSERT_FALSE(access.empty());
  ASSERT_FALSE(refresh.empty());
  EXPECT_NE(refresh, pair_->refresh);
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store") << "an answer that carries a credential is nobody else's";
  // And the new ones are good without a further refresh.
  const auto next = get("/api/x", {"Cookie: __Host-access=" + access + "; __Host-refresh=" + refresh});
  EXPECT_EQ(next.status(), 200);
  EXPECT_EQ(count_cookies_set(next), 0U);
  EXPECT_EQ(rotations(), 1U);
}

TEST_F(RefresherTest, TheRefreshCookieAloneIsEnough) {
  const auto exchange = get("/api/x", {refresh_cookie(pair_->refresh)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_FALSE(value_set(exchange, "__Host-access").empty());
}

TEST_F(RefresherTest, AnAccessCookieThatIsGoodIsNotRefreshed) {
  const issue::TokenPairPtr fresh = worker_.issue_tokens(edge_);
  const auto exchange = get("/api/x", {both(*fresh)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, OnlyAnExpiredTokenIsRefreshedNotABadOne) {
  std::string forged = pair_->access;
  forged.back() = forged.back() == 'A' ? 'B' : 'A';
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';
  const auto exchange = get("/api/x", {"Cookie: __Host-access=" + forged + "; __Host-refresh=" + pair_->refresh});
  EXPECT_EQ(exchange.status(), 401);
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, ARefusalCarriesTheNewCookiesToo) {
  const auto exchange = get("/admin/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 403);
  EXPECT_FALSE(value_set(exchange, "__Host-refresh").empty()) << "the old one is spent: without the new one the user is signed out";
  EXPECT_TRUE(upstream_.heads().empty());
}

TEST_F(RefresherTest, AnUpstreamThatFailsDoesNotCostTheNewCookies) {
  upstream_.answer_with("garbage\r\n\r\n");
  const auto exchange = get("/api/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 502);
  EXPECT_FALSE(value_set(exchange, "__Host-refresh").empty());
}

TEST_F(RefresherTest, AClaimThatIsRefusedDoesNotCostTheNewCookies) {
  pair_ = worker_.issue_tokens(edge_, "alice", R"({"roles":["a,b"]})");
  worker_.clock.advance(20min);
  const auto exchange = get("/api/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 403);
  EXPECT_FALSE(value_set(exchange, "__Host-refresh").empty());
}

TEST_F(RefresherTest, ALoopDoesNotCostTheNewCookies) {
  std::vector<std::string> fields(20, "Via: 1.1 sallyport");
  fields.push_back(both(*pair_));
  const auto exchange = get("/api/x", fields);
  EXPECT_EQ(exchange.status(), 508);
  EXPECT_FALSE(value_set(exchange, "__Host-refresh").empty());
}

TEST_F(RefresherTest, F14_ACrossSiteRequestNeverSpendsAnything) {
  const auto refused = post("/api/x", {both(*pair_), cross_site()});
  EXPECT_EQ(refused.status(), 403);
  EXPECT_EQ(count_cookies_set(refused), 0U);
  EXPECT_EQ(post("/api/x", {both(*pair_)}).status(), 403) << "nothing shows where it came from";
  EXPECT_EQ(rotations(), 0U);
  EXPECT_TRUE(upstream_.heads().empty());
  // The twins: from our own site, and with the family's token.
  EXPECT_EQ(post("/api/x", {both(*pair_), "X-CSRF-Token: " + worker_.csrf_token_of_family(pair_->family)}).status(), 200);
  EXPECT_EQ(post("/api/x", {both(*pair_), same_origin()}).status(), 200) << "within the reuse window";
  EXPECT_THAT(audit_.text(), HasSubstr(R"("reason":"csrf")"));
}

TEST_F(RefresherTest, ARefreshTokenThatIsNoLongerGoodIs401AndItsCookiesAreCleared) {
  worker_.store.flush();
  for (const std::string target : {"/api/x", "/optional/x"}) {
    for (const std::string& cookies : {both(*pair_), refresh_cookie(pair_->refresh)}) {
      const auto exchange = get(target, {cookies});
      EXPECT_EQ(exchange.status(), 401) << target;
      EXPECT_TRUE(is_cleared(exchange, "__Host-access"));
      EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
    }
  }
  EXPECT_TRUE(upstream_.heads().empty());
}

TEST_F(RefresherTest, AForgedRefreshTokenIsRefusedWithoutAskingTheStore) {
  for (const std::string& value : {std::string(64, 'A'), std::string("x"), pair_->refresh + "A", pair_->access}) {
    const auto exchange = post("/api/x", {refresh_cookie(value)});
    EXPECT_EQ(exchange.status(), 401) << value;
    EXPECT_TRUE(is_cleared(exchange, "__Host-refresh"));
  }
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, F02_TwoRefreshCookiesAre400AndNothingIsSpent) {
  for (const std::string target : {"/api/x", "/optional/x", "/.gateway/session"}) {
    const auto exchange = get(target, {"Cookie: __Host-refresh=" + pair_->refresh + "; __Host-refresh=" + std::string(64, 'A')});
    EXPECT_EQ(exchange.status(), 400) << target;
    EXPECT_EQ(count_cookies_set(exchange), 0U);
  }
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, H11_AStoreThatIsAwayIs503AndClearsNothing) {
  worker_.store.fail_with(Fault::unavailable);
  const auto exchange = get("/api/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 503);
  EXPECT_EQ(exchange.field("Retry-After"), "1");
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  worker_.store.fail_with(std::nullopt);
  EXPECT_EQ(get("/api/x", {both(*pair_)}).status(), 200) << "nothing was spent";
}

TEST_F(RefresherTest, WithoutKeysIs503AndClearsNothing) {
  worker_.sessions.use_keys(nullptr);
  const auto exchange = get("/api/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 503);
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, H03_TheSameTokenWithinTheWindowGetsTheSameSuccessor) {
  const std::string first = value_set(get("/api/x", {both(*pair_)}), "__Host-refresh");
  worker_.clock.advance(9s);
  EXPECT_EQ(value_set(get("/api/x", {both(*pair_)}), "__Host-refresh"), first);
}

TEST_F(RefresherTest, H04_AReplayAfterTheWindowEndsTheFamilyAndIsAuditedOnce) {
  const auto first = get("/api/x", {both(*pair_)});
  const std::string successor = "Cookie: __Host-access=" + value_set(first, "__Host-access");
  EXPECT_EQ(get("/api/x", {successor}).status(), 200);
  worker_.clock.advance(11s);
  const auto replay = get("/api/x", {both(*pair_)});
  EXPECT_EQ(replay.status(), 401);
  EXPECT_TRUE(is_cleared(replay, "__Host-refresh"));
  EXPECT_EQ(get("/api/x", {successor}).status(), 401) << "the thief's or the victim's: both are out";
  EXPECT_EQ(get("/api/x", {both(*pair_)}).status(), 401);
  const std::string logged = audit_.text();
  const std::size_t event = logged.find(R"("event":"refresh_reused")");
  ASSERT_NE(event, std::string::npos);
  EXPECT_EQ(logged.find(R"("event":"refresh_reused")", event + 1), std::string::npos);
  EXPECT_THAT(logged, HasSubstr(R"("family":")" + pair_->family));
}

TEST_F(RefresherTest, H15_TellsNobodyARefreshToken) {
  builder_.add("forwarding", "/forwarding", authorize::Access::authenticated).outbound.forward_credentials = true;
  EXPECT_EQ(get("/forwarding", {"Cookie: __Host-refresh=" + pair_->refresh + "; theme=dark"}).status(), 200);
  EXPECT_THAT(upstream_.last_head(), HasSubstr("Cookie: theme=dark\r\n"));
  const auto exchange = get("/api/x", {both(*pair_)});
  const std::string successor = value_set(exchange, "__Host-refresh");
  static_cast<void>(post("/.gateway/refresh", {"Content-Type: application/x-www-form-urlencoded"},
                         "grant_type=refresh_token&refresh_token=" + successor));
  static_cast<void>(get("/api/x", {refresh_cookie(successor.substr(1) + "A")}));
  for (const std::string& head : upstream_.heads()) {
    EXPECT_THAT(head, Not(HasSubstr(pair_->refresh)));
    EXPECT_THAT(head, Not(HasSubstr(successor)));
    EXPECT_THAT(head, Not(HasSubstr(pair_->access)));
  }
  const std::string logged = access_.text() + audit_.text();
  EXPECT_THAT(logged, HasSubstr(R"("event":"tokens_refreshed")"));
  for (const std::string& secret : {pair_->refresh, successor, pair_->access, value_set(exchange, "__Host-access")}) {
    EXPECT_THAT(logged, Not(HasSubstr(secret)));
    EXPECT_THAT(logged, Not(HasSubstr(secret.substr(secret.size() - 20))));
  }
}

TEST_F(RefresherTest, PublicRoutesRefreshNothing) {
  const auto exchange = get("/public/x", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(count_cookies_set(exchange), 0U);
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, ARouteThatTakesNoTokensOfOursRefreshesNothing) {
  auto corp = testing::test_issuer("corp", "https://issuer.example", "api", authenticate::Algorithm::es256);
  builder_.add("corp-only", "/corp/**", authorize::Access::optional).credentials =
      authenticate::make_plan({{.is_session = false, .issuer = corp}}, std::make_shared<authenticate::SessionSettings>());
  const auto exchange = get("/corp/x", {refresh_cookie(pair_->refresh)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(rotations(), 0U);
}

TEST_F(RefresherTest, TheCallersDescriptionRefreshesToo) {
  const auto exchange = get("/.gateway/session", {both(*pair_)});
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_THAT(exchange.body(), HasSubstr(R"("subject":"alice")"));
  EXPECT_THAT(exchange.body(), HasSubstr(R"("csrf_token":")" + worker_.csrf_token_of_family(pair_->family)));
  EXPECT_FALSE(value_set(exchange, "__Host-refresh").empty());
}

}  // namespace
}  // namespace sallyport::pipeline
