#include "pipeline/pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "support/fake_exchange.hpp"
#include "worker.hpp"

namespace sallyport::pipeline {
namespace {

using authenticate::Algorithm;
using authorize::Access;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace sallyport::testing;

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() {
    builder_.accept(test_issuer("corp", "https://issuer.example", "api", Algorithm::es256));
    builder_.add("public", "/public/**", Access::public_);
    auto& api = builder_.add("api", "/api/**", Access::authenticated);
    api.outbound.headers.push_back(need(identity::parse_identity_header("X-User-Name", "name")));
    builder_.add("reports", "/reports/**", Access::authenticated).policy.require = {authorize::ScopeIs{"reports:read"}};
    builder_.add("read-only", "/readonly", Access::public_).match.methods = {"GET"};
    auto road = std::make_shared<Road>();
    road->snapshot = builder_.build();
    // A port where nobody listens: bound, and closed again with the acceptor.
    boost::asio::ip::tcp::acceptor nobody(worker_.context, {boost::asio::ip::address_v4::loopback(), 0});
    const std::uint16_t port = nobody.local_endpoint().port();
    nobody.close();
    upstream::UpstreamSettings settings;
    settings.name = "web";
    settings.servers = {{.is_tls = false, .host = "127.0.0.1", .port = port, .weight = 1, .authority = "127.0.0.1"}};
    road->upstreams.push_back(need(upstream::Upstream::create(settings, worker_.context, worker_.wheel)));
    pipeline_.use(std::move(road));
  }

  test::FakeExchange serve(std::string request) {
    test::FakeExchange exchange(std::move(request));
    worker_.run(exchange.refused() ? pipeline_.refuse(exchange, exchange.refused()->fault, exchange.refused()->detail)
                                   : pipeline_.handle(exchange));
    return exchange;
  }
  static std::string request(std::string_view target, std::string_view fields = "", std::string_view method = "GET") {
    return std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: gateway.example\r\n" + std::string(fields) + "\r\n";
  }
  static std::string bearer(const Claims& claims = {}) { return "Authorization: Bearer " + good_token(Algorithm::es256, claims) + "\r\n"; }

  std::string access_lines() { return access_.text(); }
  std::string audit_lines() { return audit_.text(); }

  TestWorker worker_;
  SnapshotBuilder builder_;
  LogFile access_;
  LogFile audit_;
  Pipeline pipeline_{{worker_.authenticator, worker_.session_issuer, worker_.token_pairs, worker_.revoker, worker_.live, worker_.metrics,
                      access_.log(), audit_.log(), worker_.clock, worker_.tunnels}};
};

TEST_F(PipelineTest, AnswersAMissingCredentialWithAChallenge) {
  const auto exchange = serve(request("/api/x"));
  EXPECT_EQ(exchange.status(), 401);
  EXPECT_EQ(exchange.field("WWW-Authenticate"), R"(Bearer realm="sallyport")");
  EXPECT_EQ(exchange.field("Content-Type"), "application/problem+json");
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_THAT(exchange.body(), HasSubstr(R"("status":401)"));
  EXPECT_THAT(exchange.body(), HasSubstr(R"("request_id":")" + exchange.field("X-Request-Id").value_or("?")));
}

TEST_F(PipelineTest, NeverSaysInTheAnswerWhichCheckFailed) {
  const auto expired = serve(request("/api/x", bearer(Claims().set("exp", 1))));
  const auto forged = serve(request("/api/x", "Authorization: Bearer " + good_token(Algorithm::es384) + "\r\n"));
  for (const auto* exchange : {&expired, &forged}) {
    EXPECT_EQ(exchange->status(), 401);
    EXPECT_EQ(exchange->field("WWW-Authenticate"), R"(Bearer realm="sallyport", error="invalid_token")");
  }
  const auto without_id = [](std::string body) { return body.substr(0, body.find("request_id")); };
  EXPECT_EQ(without_id(expired.body()), without_id(forged.body()));
  EXPECT_THAT(audit_lines(), HasSubstr(R"("reason":"expired")"));
}

TEST_F(PipelineTest, TellsTheReasonInTheAccessLogAndTheAuditLogAlike) {
  serve(request("/api/x", bearer(Claims().set("exp", 1))));
  serve(request("/.gateway/session", bearer(Claims().set("exp", 1))));
  for (const std::string& lines : {access_lines(), audit_lines()}) {
    const std::size_t first = lines.find(R"("reason":"expired")");
    ASSERT_NE(first, std::string::npos) << lines;
    EXPECT_NE(lines.find(R"("reason":"expired")", first + 1), std::string::npos) << lines;
  }
}

TEST_F(PipelineTest, AnswersTwoCredentialsWith400) {
  const auto exchange = serve(request("/public/x", bearer() + bearer()));
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_EQ(exchange.field("WWW-Authenticate"), R"(Bearer realm="sallyport", error="invalid_request")");
}

TEST_F(PipelineTest, NamesTheMissingScopeInTheChallenge) {
  const auto exchange = serve(request("/reports/x", bearer()));
  EXPECT_EQ(exchange.status(), 403);
  EXPECT_EQ(exchange.field("WWW-Authenticate"), R"(Bearer realm="sallyport", error="insufficient_scope", scope="reports:read")");
}

TEST_F(PipelineTest, AnswersWhatIsNotRouted) {
  EXPECT_EQ(serve(request("/nowhere")).status(), 404);
  const auto wrong_method = serve(request("/readonly", "", "DELETE"));
  EXPECT_EQ(wrong_method.status(), 405);
  EXPECT_EQ(wrong_method.field("Allow"), "GET");
  EXPECT_EQ(serve(request("/nowhere", "", "BREW")).status(), 404);
  EXPECT_EQ(serve(request("/public/x", "", "BREW")).status(), 501);
}

TEST_F(PipelineTest, K20_RefusesConnectAndClosesTheConnection) {
  const auto exchange = serve("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
  EXPECT_EQ(exchange.status(), 405);
  EXPECT_TRUE(exchange.closes());
}

TEST_F(PipelineTest, ClosesTheConnectionBehindAMalformedRequest) {
  const auto exchange = serve(request("/public/../admin"));
  EXPECT_EQ(exchange.status(), 400);
  EXPECT_TRUE(exchange.closes());
  EXPECT_THAT(audit_lines(), Not(HasSubstr("admin")));
}

TEST_F(PipelineTest, C14_RefusesAClaimThatWouldBreakAHeader) {
  const auto exchange = serve(request("/api/x", bearer(Claims().set("name", R"("bob\r\nX-Role: admin")"))));
  EXPECT_EQ(exchange.status(), 403);
  EXPECT_THAT(audit_lines(), HasSubstr(R"("reason":"claim_refused")"));
}

TEST_F(PipelineTest, O01_AnswersAnUnreachableUpstreamWith502) {
  const auto exchange = serve(request("/api/x", bearer()));
  EXPECT_EQ(exchange.status(), 502);
  EXPECT_THAT(access_lines(), HasSubstr(R"("reason":"upstream_unreachable")"));
}

TEST_F(PipelineTest, DescribesTheCaller) {
  const auto exchange = serve(request("/.gateway/session", bearer(Claims().set("roles", R"(["admin"])").set("scope", R"("a b")"))));
  EXPECT_EQ(exchange.status(), 200);
  EXPECT_EQ(exchange.field("Cache-Control"), "no-store");
  EXPECT_EQ(exchange.body(), R"({"subject":"alice","issuer":"https://issuer.example","method":"jwt","roles":["admin"],"scopes":["a","b"],)"
                             R"("expires_at":"2023-11-14T22:23:25Z"})");
  EXPECT_EQ(serve(request("/.gateway/session")).status(), 401);
  EXPECT_EQ(serve(request("/.gateway/session", bearer(), "POST")).status(), 405);
}

TEST_F(PipelineTest, KeepsItsOwnPrefixFromEveryRoute) {
  EXPECT_EQ(serve(request("/.gateway", bearer())).status(), 404);
  EXPECT_EQ(serve(request("/.gateway/other", bearer())).status(), 404);
  EXPECT_EQ(serve(request("/%2Egateway/session", bearer())).status(), 200) << "the same path once it is canonical";
}

TEST_F(PipelineTest, AnswersOptionsAsteriskItself) {
  const auto exchange = serve("OPTIONS * HTTP/1.1\r\nHost: gateway.example\r\n\r\n");
  EXPECT_EQ(exchange.status(), 204);
  EXPECT_TRUE(exchange.finished());
}

TEST_F(PipelineTest, P15_BreaksALoop) {
  std::string via;
  for (int i = 0; i < 20; ++i) via += "Via: 1.1 sallyport\r\n";
  EXPECT_EQ(serve(request("/public/x", via)).status(), 508);
  EXPECT_EQ(serve(request("/public/x", "Via: 1.1 sallyport\r\n")).status(), 502) << "one hop is no loop: the upstream is asked";
}

TEST_F(PipelineTest, R04_LogsNeitherTokenNorQueryNorClaims) {
  const std::string token = good_token(Algorithm::es256, Claims().set("email", R"("alice@corp.example")"));
  serve(request("/api/x?password=hunter2", "Authorization: Bearer " + token + "\r\n"));
  serve(request("/reports/x?password=hunter2", "Authorization: Bearer " + token + "\r\n"));
  const std::string logged = access_lines() + audit_lines();
  EXPECT_THAT(logged, HasSubstr(R"("path":"/api/x")"));
  EXPECT_THAT(logged, HasSubstr(R"("subject_hash":")" + subject_hash("alice")));
  for (const std::string& secret :
       {token, token.substr(token.rfind('.') + 1), std::string("hunter2"), std::string("alice@"), std::string("\"alice\"")}) {
    EXPECT_THAT(logged, Not(HasSubstr(secret)));
  }
}

TEST_F(PipelineTest, CountsWhatItAnswered) {
  serve(request("/api/x"));
  serve(request("/nowhere"));
  serve(request("/public/../admin"));
  const std::string text = observe::exposition({}, worker_.metrics);
  EXPECT_THAT(text, HasSubstr(R"(sallyport_requests_total{route="api",method="GET",code="401"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(sallyport_requests_total{route="",method="GET",code="404"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(sallyport_auth_decisions_total{route="api",method="none",result="refused",reason="no_credential"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(sallyport_malformed_requests_total{fault="bad_target"} 1)"));
}

TEST_F(PipelineTest, HasAnAnswerForEveryOutcomeOfForwarding) {
  using upstream::ForwardStatus;
  const auto status = [](ForwardStatus how, http::BodyState body = http::BodyState::end) {
    return answer_for(
               upstream::ForwardResult{.status = how, .body = body, .upstream_status = 0, .upstream_time = {}, .server = {}, .detail = {}})
        .status;
  };
  EXPECT_EQ(status(ForwardStatus::connect_failed), 502);
  EXPECT_EQ(status(ForwardStatus::broken), 502);
  EXPECT_EQ(status(ForwardStatus::timed_out), 504);
  EXPECT_EQ(status(ForwardStatus::body_refused, http::BodyState::too_large), 413);
  EXPECT_EQ(status(ForwardStatus::body_refused, http::BodyState::malformed), 400);
  EXPECT_EQ(status(ForwardStatus::body_refused, http::BodyState::timed_out), 408);
}

TEST_F(PipelineTest, AnswersWhatCouldNotBeAskedWith503AndNeverWith401) {
  const Answer answer = answer_for(authorize::Denied{authorize::Denied::Why::unavailable, "unavailable", "", {}});
  EXPECT_EQ(answer.status, 503);
  ASSERT_EQ(answer.fields.size(), 1U);
  EXPECT_EQ(answer.fields[0].first, "Retry-After");
}

}  // namespace
}  // namespace sallyport::pipeline
