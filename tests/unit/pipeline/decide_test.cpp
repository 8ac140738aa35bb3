#include "pipeline/decide.hpp"

#include <gtest/gtest.h>

#include "http/request_parser.hpp"
#include "support/snapshot_builder.hpp"

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
    builder_.accept(test_issuer("corp", "https://issuer.example", "api", Algorithm::es256));
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
    snapshot_ = builder_.build();
  }

  Verdict judge(std::string_view method, std::string_view target, std::string_view fields = "", Explanation* explanation = nullptr) {
    text_ = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: gateway.example\r\n" + std::string(fields) + "\r\n";
    http::RequestParser parser(limits_);
    const http::HeadOutcome outcome = parser.parse(text_, head_);
    EXPECT_TRUE(std::holds_alternative<http::HeadParsed>(outcome)) << text_;
    return decide(head_, "192.0.2.1", *snapshot_, authenticator_, kNow, explanation);
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

  SnapshotBuilder builder_;
  SnapshotPtr snapshot_;
  http::Limits limits_;
  std::string text_;
  http::RequestHead head_;
  authenticate::VerifiedTokenCache cache_{100, 1 << 20};
  authenticate::JwtAuthenticator authenticator_{cache_};
};

TEST_F(DecideTest, LetsAnybodyOntoAPublicRouteWithoutReadingTheCredential) {
  EXPECT_EQ(allowed(judge("GET", "/public/x")), "public");
  const Verdict verdict = judge("GET", "/public/x", "Authorization: Bearer garbage\r\n");
  EXPECT_EQ(allowed(verdict), "public");
  EXPECT_EQ(std::get<Allowed>(verdict).permit.identity(), nullptr);
  EXPECT_EQ(cache_.misses(), 0U);
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
  EXPECT_EQ(cache_.hits(), 1U);
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

}  // namespace
}  // namespace sallyport::pipeline
