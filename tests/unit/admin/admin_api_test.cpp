#include "admin/admin_api.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/operator_requests.hpp"
#include "base/json.hpp"
#include "support/fake_exchange.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::admin {
namespace {

using test::FakeExchange;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kToken = "s3cret-admin-token";

Task<std::string> later(std::string text) { co_return text; }

// Remembers what it was asked, and answers as it was told.
class FakeControls final : public Controls {
 public:
  Task<Result<void>> revoke(Json document) override {
    asked.push_back("revoke " + document.dump());
    if (failure) co_return *failure;
    co_return Result<void>();
  }
  Task<Result<CreatedSession>> create_session(std::string subject, Json claims) override {
    asked.push_back("create " + subject + " " + claims.dump());
    if (failure) co_return *failure;
    co_return CreatedSession{"the-value", "the-handle", "__Host-session"};
  }
  Task<Result<std::vector<store::Session>>> sessions_of(std::string subject) override {
    asked.push_back("list " + subject);
    if (failure) co_return *failure;
    co_return sessions;
  }
  std::vector<std::string> asked;
  std::optional<Error> failure;
  std::vector<store::Session> sessions;
};

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
  Task<ReloadReport> reloaded() {
    ++reloads_;
    co_return report_;
  }
  AdminApi make(std::optional<std::string> token) {
    std::optional<Secret> secret;
    if (token) secret.emplace(*token);
    return AdminApi(
        {[this] { return reasons_; }, [] { return later("metric 1\n"); }, [] { return later("[]"); }, [this] { return reloaded(); }},
        controls_, clock_, std::move(secret));
  }
  // A request of a program on this machine.
  FakeExchange post(const std::string& path, const std::string& body, const std::string& fields = "Content-Type: application/json\r\n",
                    std::optional<std::string> token = std::nullopt, const std::string& host = "127.0.0.1:9901") {
    AdminApi api = make(std::move(token));
    FakeExchange exchange("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                          fields + "\r\n" + body);
    test::serve(api, exchange);
    EXPECT_TRUE(exchange.finished());
    EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
    return exchange;
  }
  FakeExchange list(const std::string& query, const std::string& fields = "", const std::string& host = "localhost:9901") {
    AdminApi api = make(std::nullopt);
    FakeExchange exchange("GET /sessions" + query + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n");
    test::serve(api, exchange);
    return exchange;
  }

  FakeControls controls_;
  test::ManualClock clock_;

  std::vector<std::string> reasons_;
  ReloadReport report_;
  int reloads_ = 0;
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
       {"GET /", "GET /metricsx", "GET /metrics/", "GET /LIVEZ", "GET /livez/x", "POST /reload/", "OPTIONS *"}) {
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

TEST_F(AdminApiTest, ReloadsAndSaysWhatBecameOfIt) {
  FakeExchange exchange = post("/reload", "");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.body(), R"({"status":"reloaded"})");
  report_.problems = {"gateway.yaml:3:5: \"x\" is missing", "another"};
  exchange = post("/reload", "");
  EXPECT_EQ(exchange.status(), 422);
  EXPECT_EQ(exchange.body(), R"({"status":"refused","problems":["gateway.yaml:3:5: \"x\" is missing","another"]})");
  report_.needs_restart = true;
  EXPECT_EQ(post("/reload", "").status(), 409);
  EXPECT_EQ(reloads_, 3);
}

TEST_F(AdminApiTest, ReloadsForOperatorsAlone) {
  EXPECT_EQ(answer("GET /reload").status(), 405);
  EXPECT_EQ(post("/reload", "", "Origin: https://page.example\r\n").status(), 403) << "a page that is open on this machine";
  EXPECT_EQ(post("/reload", "", "", kToken).status(), 401);
  EXPECT_EQ(reloads_, 0);
}

TEST_F(AdminApiTest, TakesANewTokenAndTheOldOneNoMore) {
  AdminApi api = make(kToken);
  api.use_token(Secret(std::string("another-admin-token")));
  for (const auto& [token, status] : {std::pair("another-admin-token", 200), std::pair("s3cret-admin-token", 401)}) {
    FakeExchange exchange("GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + std::string(token) + "\r\n\r\n");
    test::serve(api, exchange);
    EXPECT_EQ(exchange.status(), status) << token;
  }
  EXPECT_THROW(api.use_token(Secret(std::string())), std::invalid_argument);
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
  EXPECT_THROW(AdminApi({}, controls_, clock_, std::nullopt), std::invalid_argument);
  EXPECT_THROW(AdminApi({[] { return std::vector<std::string>(); }, [] { return later(""); }, [] { return later("[]"); }, nullptr},
                        controls_, clock_, std::nullopt),
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
  AdminApi api(
      {[] { return std::vector<std::string>(); }, [] { return broken(); }, [] { return later("[]"); }, [this] { return reloaded(); }},
      controls_, clock_, std::nullopt);
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

// ---- Sessions and revocations ---------------------------------------------------------------------------------------------------------

TEST_F(AdminApiTest, RevokesWhatItIsTold) {
  const FakeExchange exchange = post("/revocations", R"({"subject":"alice","issued_before":"2026-01-01T00:00:00Z"})");
  EXPECT_EQ(exchange.status(), 204);
  EXPECT_EQ(exchange.body(), "");
  EXPECT_EQ(exchange.field("Content-Type"), std::nullopt);
  EXPECT_THAT(controls_.asked, ElementsAre(R"(revoke {"subject":"alice","issued_before":"2026-01-01T00:00:00Z"})"));
}

TEST_F(AdminApiTest, SaysWhyNothingWasRevoked) {
  struct Row {
    const char* name;
    Fault fault;
    int status;
  };
  constexpr Row kRows[] = {{"malformed", Fault::malformed, 400},    {"the list is full", Fault::too_large, 503},
                           {"no store", Fault::unavailable, 503},   {"too slow", Fault::timed_out, 503},
                           {"closed", Fault::closed, 503},          {"broken", Fault::broken, 503},
                           {"something else", Fault::internal, 503}};
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    controls_.failure = make_error(row.fault, "detail");
    const FakeExchange exchange = post("/revocations", R"({"subject":"alice"})");
    EXPECT_EQ(exchange.status(), row.status);
    EXPECT_EQ(exchange.field("Content-Type"), "application/problem+json");
    EXPECT_EQ(exchange.field("Retry-After").has_value(), row.status == 503);
  }
}

TEST_F(AdminApiTest, CreatesSessions) {
  const FakeExchange exchange = post("/sessions", R"({"subject":"alice","claims":{"roles":["admin"]}})");
  EXPECT_EQ(exchange.status(), 201);
  EXPECT_EQ(exchange.field("Content-Type"), "application/json");
  EXPECT_EQ(exchange.body(), R"({"session":"the-value","handle":"the-handle","cookie":"__Host-session"})");
  EXPECT_EQ(post("/sessions", R"({"subject":"bob"})").status(), 201);
  EXPECT_THAT(controls_.asked, ElementsAre(R"(create alice {"roles":["admin"]})", "create bob {}"));
}

TEST_F(AdminApiTest, RefusesSessionsOfNobody) {
  for (const char* body : {"{}", R"({"claims":{}})", R"({"subject":1})", R"({"subject":"a","claims":[]})", R"({"subject":"a","more":1})",
                           R"({"subject":"a","claims":null})", "[]", "\"alice\"", "", "{", R"({"subject":"a","subject":"b"})", "{} {}"}) {
    EXPECT_EQ(post("/sessions", body).status(), 400) << body;
  }
  EXPECT_THAT(controls_.asked, IsEmpty());
  controls_.failure = make_error(Fault::malformed, "sub is empty");
  EXPECT_EQ(post("/sessions", R"({"subject":""})").status(), 400);
  controls_.failure = make_error(Fault::unsupported, "no sessions");
  EXPECT_EQ(post("/sessions", R"({"subject":"a"})").status(), 409);
  controls_.failure = make_error(Fault::unavailable, "away");
  EXPECT_EQ(post("/sessions", R"({"subject":"a"})").status(), 503);
}

TEST_F(AdminApiTest, ListsTheSessionsOfASubject) {
  store::Session session;
  session.key.fill(0xAB);
  session.subject = "alice";
  session.created_at = clock_.wall_now() - std::chrono::hours(1);
  session.last_seen_at = clock_.wall_now() - std::chrono::minutes(1);
  session.idle_left = std::chrono::minutes(29);
  session.absolute_left = std::chrono::hours(23);
  controls_.sessions = {session};
  const FakeExchange exchange = list("?subject=alice%40example.com+x");
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_THAT(controls_.asked, ElementsAre("list alice@example.com+x"));
  const Result<Json> body = Json::parse(exchange.body());
  ASSERT_TRUE(body);
  ASSERT_EQ(body->array()->size(), 1U);
  const Json& shown = body->array()->front();
  EXPECT_EQ(*shown.find("handle")->string(), store::handle_of(session.key));
  for (const char* time : {"created_at", "last_seen_at", "idle_expires_at", "expires_at"}) {
    ASSERT_NE(shown.find(time), nullptr) << time;
    EXPECT_TRUE(shown.find(time)->string()->ends_with('Z')) << time;
  }
  EXPECT_EQ(shown.object()->size(), 5U) << "nothing of the claims";
  controls_.sessions.clear();
  EXPECT_EQ(list("?subject=bob").body(), "[]");
}

TEST_F(AdminApiTest, AsksForExactlyOneSubject) {
  for (const char* query : {"", "?", "?subject=", "?subject", "?user=a", "?subject=a&subject=b", "?subject=a&x=1", "?x=1&subject=a",
                            "?subject=%zz", "?subject=%4", "?subject=%FF"}) {
    EXPECT_EQ(list(query).status(), 400) << query;
  }
  EXPECT_THAT(controls_.asked, IsEmpty());
}

TEST_F(AdminApiTest, SaysWhichMethodsEachEndpointHas) {
  const auto refused = [&](const std::string& line, const std::string& allow) {
    const FakeExchange exchange = answer(line);
    EXPECT_EQ(exchange.status(), 405) << line;
    EXPECT_EQ(exchange.field("Allow"), allow) << line;
  };
  refused("GET /revocations", "POST");
  refused("PUT /revocations", "POST");
  refused("DELETE /sessions", "GET, HEAD, POST");
  EXPECT_THAT(controls_.asked, IsEmpty());
}

TEST_F(AdminApiTest, TakesJsonAlone) {
  const std::string body = R"({"subject":"alice"})";
  for (const char* fields : {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
                             "Content-Type: application/json2\r\n", "Content-Type: multipart/form-data; x=application/json\r\n",
                             "Content-Type: application/json\r\nContent-Type: application/json\r\n"}) {
    EXPECT_EQ(post("/revocations", body, fields).status(), 415) << fields;
    EXPECT_EQ(post("/sessions", body, fields).status(), 415) << fields;
  }
  EXPECT_THAT(controls_.asked, IsEmpty());
  for (const char* fields : {"Content-Type: application/json\r\n", "Content-Type: Application/JSON; charset=utf-8\r\n"}) {
    EXPECT_EQ(post("/revocations", body, fields).status(), 204) << fields;
  }
}

TEST_F(AdminApiTest, TakesBodiesUpTo64KiB) {
  const auto of_size = [](std::size_t bytes) {
    const std::string rest = R"({"subject":""})";
    return R"({"subject":")" + std::string(bytes - rest.size(), 'a') + R"("})";
  };
  EXPECT_EQ(post("/revocations", of_size(kBodyBytesMax)).status(), 204);
  EXPECT_EQ(post("/revocations", of_size(kBodyBytesMax + 1)).status(), 413);
}

TEST_F(AdminApiTest, AnswersBodiesThatDoNotCome) {
  const auto with_end = [&](http::BodyState end) {
    AdminApi api = make(std::nullopt);
    FakeExchange exchange("POST /revocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n");
    exchange.script_body({{http::BodyState::more, "{"}, {end, ""}});
    test::serve(api, exchange);
    if (end == http::BodyState::gone) {
      EXPECT_TRUE(exchange.aborted());
    }
    return exchange.status();
  };
  EXPECT_EQ(with_end(http::BodyState::malformed), 400);
  EXPECT_EQ(with_end(http::BodyState::timed_out), 408);
  EXPECT_EQ(with_end(http::BodyState::too_large), 413);
  EXPECT_EQ(with_end(http::BodyState::gone), 0);
  EXPECT_THAT(controls_.asked, IsEmpty());
}

TEST_F(AdminApiTest, APageOfABrowserCanNeitherRevokeNorLook) {
  const std::string body = R"({"subject":"alice"})";
  const std::string json = "Content-Type: application/json\r\n";
  for (const char* fields :
       {"Origin: https://evil.example\r\n", "Origin: null\r\n", "Origin: http://127.0.0.1:9901\r\n", "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site: \r\n", "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n"}) {
    EXPECT_EQ(post("/revocations", body, json + fields).status(), 403) << fields;
    EXPECT_EQ(post("/sessions", body, json + fields).status(), 403) << fields;
    EXPECT_EQ(list("?subject=alice", fields).status(), 403) << fields;
  }
  // A name that was pointed to this machine (DNS rebinding).
  EXPECT_EQ(post("/revocations", body, json, std::nullopt, "evil.example:9901").status(), 403);
  EXPECT_EQ(list("?subject=alice", "Sec-Fetch-Site: same-origin\r\n", "evil.example:9901").status(), 403);
  EXPECT_EQ(list("?subject=alice", "", "127.0.0.1.evil.example").status(), 403);
  EXPECT_THAT(controls_.asked, IsEmpty());

  EXPECT_EQ(post("/revocations", body, json + "Sec-Fetch-Site: none\r\n").status(), 204);
  for (const char* host : {"127.0.0.1", "localhost:9901", "[::1]:9901"}) {
    EXPECT_EQ(post("/revocations", body, json, std::nullopt, host).status(), 204) << host;
  }
}

TEST_F(AdminApiTest, WithATokenNoPageNeedsToBeKeptOut) {
  const std::string body = R"({"subject":"alice"})";
  const std::string fields = "Content-Type: application/json\r\nOrigin: https://console.example\r\n";
  EXPECT_EQ(post("/revocations", body, fields + "Authorization: Bearer s3cret-admin-token\r\n", kToken, "admin.example").status(), 204);
  EXPECT_EQ(post("/revocations", body, fields, kToken).status(), 401);
  EXPECT_EQ(post("/sessions", body, fields + "Authorization: Bearer wrong\r\n", kToken).status(), 401);
  EXPECT_EQ(controls_.asked.size(), 1U);
}

}  // namespace
}  // namespace sallyport::admin
