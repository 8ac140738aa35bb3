#include "admin/admin_api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.hpp"
#include "support/fake_exchange.hpp"

namespace sallyport::admin {
namespace {

using test::FakeExchange;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kToken = "s3cret-admin-token";

Task<std::string> later(std::string text) { co_return text; }

Task<std::string> broken() {
  throw std::runtime_error("a worker did not answer");
  co_return "";
}

class AdminApiTest : public ::testing::Test {
 protected:
  FakeExchange answer(std::string_view request_line, std::string_view fields = "", std::optional<std::string> token = std::nullopt) {
    AdminApi api = make(std::move(token));
    FakeExchange exchange(std::string(request_line) + " HTTP/1.1\r\nHost: anything.example\r\n" + std::string(fields) + "\r\n");
    test::serve(api, exchange);
    EXPECT_TRUE(exchange.finished());
    EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
    return exchange;
  }
  AdminApi make(std::optional<std::string> token) {
    std::optional<Secret> secret;
    if (token) secret.emplace(*token);
    return AdminApi({[this] { return reasons_; }, [] { return later("metric 1\n"); }, [] { return later("[]"); }}, std::move(secret));
  }

  std::vector<std::string> reasons_;
};

TEST_F(AdminApiTest, IsAliveAndReady) {
  const FakeExchange alive = answer("GET /livez");
  EXPECT_EQ(alive.status(), 200);
  EXPECT_EQ(alive.field("Content-Type"), "application/json");
  EXPECT_EQ(alive.body(), R"({"status":"alive"})");
  const FakeExchange ready = answer("GET /readyz");
  EXPECT_EQ(ready.status(), 200);
  EXPECT_EQ(ready.body(), R"({"status":"ready"})");
}

TEST_F(AdminApiTest, IsNotReadyForReasonsThatItNames) {
  reasons_ = {"starting: worker 2", "a \"quoted\" reason"};
  const FakeExchange exchange = answer("GET /readyz");
  EXPECT_EQ(exchange.status(), 503);
  EXPECT_EQ(exchange.field("Content-Type"), "application/json");
  const Result<Json> body = Json::parse(exchange.body());
  ASSERT_TRUE(body) << exchange.body();
  EXPECT_EQ(body->find("reasons")->dump(), R"(["starting: worker 2","a \"quoted\" reason"])");
  EXPECT_EQ(answer("GET /livez").status(), 200);  // draining is not dead
}

TEST_F(AdminApiTest, ShowsMetricsAndRoutes) {
  const FakeExchange metrics = answer("GET /metrics");
  EXPECT_EQ(metrics.status(), 200);
  EXPECT_EQ(metrics.field("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(metrics.body(), "metric 1\n");
  const FakeExchange routes = answer("GET /routes?pretty");
  EXPECT_EQ(routes.status(), 200);
  EXPECT_EQ(routes.field("Content-Type"), "application/json");
  EXPECT_EQ(routes.body(), "[]");
}

TEST_F(AdminApiTest, AnswersHeadLikeGet) {
  const FakeExchange exchange = answer("HEAD /metrics");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.announced().size, 9U);
}

TEST_F(AdminApiTest, KnowsNothingElse) {
  for (const std::string_view line :
       {"GET /", "GET /metricsx", "GET /metrics/", "GET /LIVEZ", "GET /livez/x", "POST /reload", "OPTIONS *"}) {
    const FakeExchange exchange = answer(line);
    EXPECT_EQ(exchange.status(), 404) << line;
    EXPECT_EQ(exchange.field("Content-Type"), "application/problem+json");
    EXPECT_EQ(exchange.field("WWW-Authenticate"), std::nullopt);
  }
}

TEST_F(AdminApiTest, RefusesOtherMethods) {
  for (const std::string_view line : {"POST /metrics", "DELETE /routes", "PUT /livez", "OPTIONS /readyz"}) {
    const FakeExchange exchange = answer(line);
    EXPECT_EQ(exchange.status(), 405) << line;
    EXPECT_EQ(exchange.field("Allow"), "GET, HEAD");
    const Result<Json> problem = Json::parse(exchange.body());
    ASSERT_TRUE(problem);
    EXPECT_EQ(problem->find("status")->number(), 405);
    EXPECT_EQ(*problem->find("title")->string(), "Method Not Allowed");
    EXPECT_EQ(*problem->find("request_id")->string(), exchange.field("X-Request-Id"));
  }
}

TEST_F(AdminApiTest, AsksForTheTokenWhereOneIsConfigured) {
  for (const std::string_view line : {"GET /metrics", "GET /routes", "GET /none", "POST /metrics"}) {
    const FakeExchange exchange = answer(line, "", kToken);
    EXPECT_EQ(exchange.status(), 401) << line;
    EXPECT_EQ(exchange.field("WWW-Authenticate"), R"(Bearer realm="sallyport admin")");
    EXPECT_THAT(exchange.body(), Not(HasSubstr("metric")));
  }
  for (const std::string_view line : {"GET /livez", "GET /readyz"}) EXPECT_EQ(answer(line, "", kToken).status(), 200) << line;
}

TEST_F(AdminApiTest, TakesTheRightTokenAlone) {
  for (const std::string_view fields : {"Authorization: Bearer s3cret-admin-token\r\n", "authorization: bearer s3cret-admin-token\r\n"}) {
    EXPECT_EQ(answer("GET /metrics", fields, kToken).status(), 200) << fields;
  }
  for (const std::string_view fields :
       {"Authorization: Bearer s3cret-admin-tokeN\r\n", "Authorization: Bearer s3cret-admin-toke\r\n",
        "Authorization: Bearer s3cret-admin-token2\r\n", "Authorization: Bearer\r\n", "Authorization: Bearer \r\n", "Authorization: \r\n",
        "Authorization: s3cret-admin-token\r\n", "Authorization: Basic s3cret-admin-token\r\n",
        "Authorization: Bearer  s3cret-admin-token\r\n", "Authorization: Bearer s3cret-admin-token, Bearer x\r\n",
        "Authorization: Bearers3cret-admin-token\r\n", "X-Authorization: Bearer s3cret-admin-token\r\n",
        "Cookie: token=s3cret-admin-token\r\n",
        "Authorization: Bearer s3cret-admin-token\r\nAuthorization: Bearer s3cret-admin-token\r\n"}) {
    EXPECT_EQ(answer("GET /metrics", fields, kToken).status(), 401) << fields;
  }
}

TEST_F(AdminApiTest, TellsNothingOfUnknownPathsWithoutTheToken) {
  EXPECT_EQ(answer("GET /none", "", kToken).status(), 401);
  EXPECT_EQ(answer("GET /none", "Authorization: Bearer s3cret-admin-token\r\n", kToken).status(), 404);
}

TEST_F(AdminApiTest, RefusesAnEmptyTokenAndMissingSources) {
  EXPECT_THROW(make(""), std::invalid_argument);
  EXPECT_THROW(AdminApi({}, std::nullopt), std::invalid_argument);
  EXPECT_THROW(AdminApi({[] { return std::vector<std::string>(); }, [] { return later(""); }, nullptr}, std::nullopt),
               std::invalid_argument);
}

TEST_F(AdminApiTest, AnswersMalformedRequestsAndCloses) {
  AdminApi api = make(kToken);
  FakeExchange exchange("GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  ASSERT_TRUE(exchange.refused());
  test::serve(api, exchange);
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_TRUE(exchange.closes());
  EXPECT_TRUE(exchange.finished());
  EXPECT_EQ(exchange.field("Content-Type"), "application/problem+json");
  EXPECT_THAT(exchange.body(), Not(HasSubstr(std::string(exchange.refused()->detail))));
}

TEST_F(AdminApiTest, SaysWhichMethodsThereAreToConnect) {
  AdminApi api = make(std::nullopt);
  FakeExchange exchange("TRACE /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(exchange.refused());
  test::serve(api, exchange);
  EXPECT_EQ(exchange.status(), 405);
  EXPECT_EQ(exchange.field("Allow"), "GET, HEAD");
}

TEST_F(AdminApiTest, LetsASourceFailAlone) {
  AdminApi api({[] { return std::vector<std::string>(); }, [] { return broken(); }, [] { return later("[]"); }}, std::nullopt);
  FakeExchange exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THROW(test::serve(api, exchange), std::runtime_error);
  EXPECT_FALSE(exchange.started());
}

TEST_F(AdminApiTest, EndsQuietlyWhenTheClientIsGone) {
  AdminApi api = make(std::nullopt);
  FakeExchange exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  exchange.lose_client();
  test::serve(api, exchange);
  EXPECT_EQ(exchange.body(), "");
  EXPECT_FALSE(exchange.finished());
}

}  // namespace
}  // namespace sallyport::admin
