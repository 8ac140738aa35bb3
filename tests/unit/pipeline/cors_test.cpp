#include "pipeline/cors.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pipeline/respond.hpp"

namespace sallyport::pipeline {
namespace {

http::RequestHead request_of(std::vector<http::Field> fields, http::Method method = http::Method::options) {
  http::RequestHead request;
  request.method = method;
  for (http::Field& field : fields) field.id = http::field_id(field.name);
  request.fields = std::move(fields);
  return request;
}

CorsPolicy policy_of(std::vector<std::string> origins) {
  CorsPolicy policy;
  policy.allowed_origins = std::move(origins);
  policy.allowed_methods = {"GET", "DELETE"};
  policy.allowed_headers = {"X-Thing"};
  policy.methods = "GET, DELETE";
  policy.headers = "X-Thing";
  return policy;
}

std::string value_of(const Answer& answer, std::string_view name) {
  for (const auto& [field, value] : answer.fields) {
    if (field == name) return value;
  }
  return "none";
}

TEST(Cors, APreflightHasOneOriginOneMethodAndNoBody) {
  const http::Field origin{"Origin", "https://a.example"};
  const http::Field method{"Access-Control-Request-Method", "GET"};
  EXPECT_TRUE(read_preflight(request_of({origin, method})));
  EXPECT_FALSE(read_preflight(request_of({origin, method}, http::Method::get)));
  EXPECT_FALSE(read_preflight(request_of({origin})));
  EXPECT_FALSE(read_preflight(request_of({method})));
  EXPECT_FALSE(read_preflight(request_of({origin, origin, method})));
  EXPECT_FALSE(read_preflight(request_of({origin, method, method})));
  EXPECT_FALSE(read_preflight(request_of({origin, {"Access-Control-Request-Method", "GET, PUT"}})));
  http::RequestHead with_body = request_of({origin, method});
  with_body.framing = http::Framing::length;
  EXPECT_FALSE(read_preflight(with_body));
}

TEST(Cors, OriginsAreComparedByteForByte) {
  const CorsPolicy policy = policy_of({"https://a.example"});
  EXPECT_TRUE(allows_origin(policy, "https://a.example"));
  for (const std::string_view origin : {"https://a.example.evil", "https://A.example", "http://a.example", "https://a.example:443", "null",
                                        "", "https://a.example/", "*"}) {
    EXPECT_FALSE(allows_origin(policy, origin)) << origin;
  }
  EXPECT_TRUE(allows_origin(policy_of({"null"}), "null"));
  EXPECT_FALSE(allows_origin(policy_of({"*"}), "null"));
  EXPECT_TRUE(allows_origin(policy_of({"*"}), "https://anybody.example"));
}

TEST(Cors, RefusesHeadersThatAreNotAllowed) {
  const CorsPolicy policy = policy_of({"https://a.example"});
  const Preflight preflight{"https://a.example", "DELETE"};
  const auto status = [&](std::string_view headers) {
    return answer_preflight(policy, preflight, request_of({{"Access-Control-Request-Headers", headers}})).status;
  };
  EXPECT_EQ(status("x-thing"), 204);
  EXPECT_EQ(status(" x-thing , ,X-THING"), 204);
  EXPECT_EQ(status("x-thing, authorization"), 403);
  EXPECT_EQ(status("x-thin"), 403);
  EXPECT_EQ(answer_preflight(policy, {"https://a.example", "PUT"}, request_of({})).status, 403);
  EXPECT_EQ(answer_preflight(policy, {"https://b.example", "GET"}, request_of({})).status, 403);
}

TEST(Cors, ARefusedPreflightNamesNoOriginAndEveryOneVaries) {
  const CorsPolicy policy = policy_of({"https://a.example"});
  const Answer refused = answer_preflight(policy, {"https://b.example", "GET"}, request_of({}));
  EXPECT_EQ(value_of(refused, "Access-Control-Allow-Origin"), "none");
  EXPECT_NE(value_of(refused, "Vary"), "none");
  const Answer allowed = answer_preflight(policy, {"https://a.example", "GET"}, request_of({}));
  EXPECT_EQ(value_of(allowed, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(value_of(allowed, "Access-Control-Allow-Credentials"), "none");
  EXPECT_NE(value_of(allowed, "Vary"), "none");
}

TEST(Cors, AnswersNameTheVeryOriginOrNothing) {
  CorsPolicy policy = policy_of({"https://a.example"});
  policy.allow_credentials = true;
  std::vector<http::Field> fields;
  append_cors_fields(policy, request_of({{"Origin", "https://b.example"}}), fields);
  append_cors_fields(policy, request_of({}), fields);
  append_cors_fields(policy, request_of({{"Origin", "https://a.example"}, {"Origin", "https://a.example"}}), fields);
  EXPECT_TRUE(fields.empty());
  append_cors_fields(policy, request_of({{"Origin", "https://a.example"}}), fields);
  ASSERT_EQ(fields.size(), 2U);
  EXPECT_EQ(fields[0].value, "https://a.example");
  EXPECT_EQ(fields[1].name, "Access-Control-Allow-Credentials");
}

TEST(RouteRules, DenyWinsAndWhatIsNoAddressIsKeptOut) {
  RouteRules rules;
  EXPECT_TRUE(admits(rules, "no address"));
  rules.deny = {*Network::parse("10.9.0.0/16")};
  EXPECT_TRUE(admits(rules, "192.0.2.1"));
  EXPECT_FALSE(admits(rules, "10.9.1.1"));
  EXPECT_FALSE(admits(rules, "::ffff:10.9.1.1"));
  EXPECT_FALSE(admits(rules, "no address"));
  rules.allow = {*Network::parse("10.0.0.0/8")};
  EXPECT_TRUE(admits(rules, "10.8.0.1"));
  EXPECT_FALSE(admits(rules, "10.9.0.1"));
  EXPECT_FALSE(admits(rules, "192.0.2.1"));
}

}  // namespace
}  // namespace sallyport::pipeline
