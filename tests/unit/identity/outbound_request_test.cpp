#include "identity/outbound_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "outbound_fixture.hpp"

namespace sallyport::identity {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Outbound, WritesTheWholeHeadInOrder) {
  const auto lines = get(alice(), {"Accept: text/html", "X-Custom:  spaced value ", "User-Agent: curl/8"}, "/x/y?q=1&r=%2e");
  EXPECT_THAT(lines, ElementsAre("GET /x/y?q=1&r=%2e HTTP/1.1", "Host: api.example.com", "Accept: text/html", "X-Custom: spaced value",
                                 "User-Agent: curl/8", "X-Auth-Method: jwt", "X-Auth-Subject: alice",
                                 "X-Auth-Issuer: https://issuer.example", "X-Auth-Roles: admin,user", "X-Auth-Scopes: orders:read",
                                 "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: api.example.com",
                                 "X-Request-Id: 0a1b2c", "traceparent: " + std::string(kTraceparent), "Via: 1.1 sallyport"));
  EXPECT_EQ(target_, "/x/y?q=1&r=%2e");
}

TEST_F(Outbound, AppendsToWhatTheBufferHolds) {
  parse("GET /x", {"Host: a.example"});
  out_.append("before");
  const auto built = build(alice());
  const auto& outbound = std::get<OutboundRequest>(built);
  EXPECT_TRUE(outbound.head().starts_with("GET /x HTTP/1.1\r\n"));
  EXPECT_EQ(out_.view(), "before" + std::string(outbound.head()));
}

TEST_F(Outbound, GrowsForLargeIdentities) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (int i = 0; i != 8; ++i) headers.emplace_back("X-Large-" + std::to_string(i), "large");
  name_headers(headers);
  const std::string large(kHeaderValueBytesMax, 'x');
  const auto lines = get(with_claims(R"({"large":")" + large + "\"}"), {"Accept: text/html"});
  for (const auto& [name, source] : headers) EXPECT_THAT(values(lines, name), ElementsAre(large));
  EXPECT_THAT(values(lines, "accept"), ElementsAre("text/html"));
  EXPECT_THAT(lines.back(), "Via: 1.1 sallyport");
}

// An upstream that does not read such a body takes it for the next request on the connection.
TEST_F(Outbound, K15_ABodyThatNobodyExpectsGoesOnAConnectionOfItsOwn) {
  for (const std::string method : {"GET", "HEAD", "OPTIONS", "DELETE", "BREW"}) {
    const auto lines = send(alice(), method + " /x", {"Host: a.example", "Content-Length: 5"});
    EXPECT_THAT(values(lines, "Connection"), ElementsAre("close")) << method;
    EXPECT_THAT(values(send(alice(), method + " /x", {"Host: a.example"}), "Connection"), IsEmpty()) << method;
  }
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    EXPECT_THAT(values(send(alice(), method + " /x", {"Host: a.example", "Content-Length: 5"}), "Connection"), IsEmpty()) << method;
  }
}

// ---- I: spoofing

TEST_F(Outbound, I01_ReplacesTheClientsIdentityHeaders) {
  name_headers({{"X-User-Id", "sub"}});
  const auto lines = get(alice(), {"X-User-Id: admin", "x-user-id: admin", "X-Auth-Method: session", "X-Auth-Subject: root"});
  EXPECT_THAT(values(lines, "X-User-Id"), ElementsAre("alice"));
  EXPECT_THAT(values(lines, "X-Auth-Method"), ElementsAre("jwt"));
  EXPECT_THAT(values(lines, "X-Auth-Subject"), IsEmpty()) << "named headers replace the defaults, and theirs goes all the same";
}

TEST_F(Outbound, I02_RemovesThemOnPublicRoutesAndForEveryMethod) {
  owned_headers_ = {"X-User-Id"};
  plan_.is_public = true;
  for (const std::string method : {"GET", "HEAD", "OPTIONS", "POST"}) {
    const auto lines = send(PermitBuilder::anonymous(), method + " /x",
                            {"Host: a.example", "X-User-Id: admin", "X_Auth_Subject: root", "X-Auth-Roles: admin", "X-Auth-Method: jwt"});
    EXPECT_THAT(values(lines, "X-User-Id"), IsEmpty());
    EXPECT_THAT(values(lines, "X-Auth-Subject"), IsEmpty());
    EXPECT_THAT(values(lines, "X-Auth-Roles"), IsEmpty());
    EXPECT_THAT(values(lines, "X-Auth-Method"), ElementsAre("anonymous"));
  }
}

TEST_F(Outbound, I02_RemovesThemFromUpgrades) {
  owned_headers_ = {"X-User-Id"};
  const auto lines = get(alice(), {"Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X-User-Id: admin"});
  EXPECT_THAT(values(lines, "X-User-Id"), IsEmpty());
  EXPECT_THAT(values(lines, "Upgrade"), IsEmpty());
  EXPECT_THAT(values(lines, "Connection"), IsEmpty());
}

TEST_F(Outbound, I02_WritesAHandshakeThatGoesOnAnew) {
  owned_headers_ = {"X-User-Id"};
  const http::WebSocketHandshake websocket{
      .key = "dGhlIHNhbXBsZSBub25jZQ==", .protocol_lines = {"chat, v2"}, .extension_lines = {"permessage-deflate"}};
  context_.websocket = &websocket;
  const auto lines = get(alice(), {"Connection: upgrade, X-Private", "Upgrade: websocket", "X-Private: 1", "Sec-WebSocket-Version: 13",
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Key: other", "Sec-WebSocket-Accept: x",
                                   "Sec-WebSocket-Protocol: chat, v2", "Sec-WebSocket-Extensions: permessage-deflate", "X-User-Id: admin"});
  EXPECT_THAT(values(lines, "Connection"), ElementsAre("Upgrade"));
  EXPECT_THAT(values(lines, "Upgrade"), ElementsAre("websocket"));
  EXPECT_THAT(values(lines, "Sec-WebSocket-Version"), ElementsAre("13"));
  EXPECT_THAT(values(lines, "Sec-WebSocket-Key"), ElementsAre("dGhlIHNhbXBsZSBub25jZQ==")) << "and no alias of it";
  EXPECT_THAT(values(lines, "Sec-WebSocket-Protocol"), ElementsAre("chat, v2"));
  EXPECT_THAT(values(lines, "Sec-WebSocket-Extensions"), ElementsAre("permessage-deflate"));
  for (const std::string_view name : {"Sec-WebSocket-Accept", "X-Private", "X-User-Id"}) {
    EXPECT_THAT(values(lines, name), IsEmpty()) << name;
  }
  EXPECT_THAT(values(lines, "X-Auth-Subject"), ElementsAre("alice"));
}

TEST_F(Outbound, I03_RemovesEveryAlias) {
  name_headers({{"X-User-Id", "sub"}});
  const auto lines = get(alice(), {"X_User_Id: a", "X-User_Id: b", "x_user-id: c", "X-User-Id_: d", "X.User.Id: e", "X!User!Id: f",
                                   "Content_Type: g", "Authorization_: Bearer h", "Cookie_: i"});
  EXPECT_THAT(values(lines, "X-User-Id"), ElementsAre("alice"));
  for (const std::string_view marker : {": a", ": b", ": c", ": d", ": e", ": f", ": g", "Bearer h", ": i"}) {
    EXPECT_THAT(head_, Not(HasSubstr(std::string(marker) + "\r\n")));
  }
}

TEST_F(Outbound, I04_DropsTheAnnouncementOfTrailers) {
  const auto lines = send(alice(), "POST /x", {"Host: a.example", "Transfer-Encoding: chunked", "Trailer: X-Auth-Subject", "TE: trailers"});
  EXPECT_THAT(values(lines, "Trailer"), IsEmpty());
  EXPECT_THAT(values(lines, "TE"), IsEmpty());
  EXPECT_THAT(values(lines, "Transfer-Encoding"), ElementsAre("chunked"));
}

TEST_F(Outbound, I05_NamingOurHeadersInConnectionHasNoEffect) {
  const auto lines =
      get(alice(), {"Connection: close, x-auth-subject, X-Auth-Method, X-Forwarded-For, X-Request-Id, Via, Host, Authorization, Cookie",
                    "X-Auth-Subject: admin", "Authorization: Basic YTpi", "Cookie: a=1"});
  EXPECT_THAT(values(lines, "X-Auth-Subject"), ElementsAre("alice"));
  EXPECT_THAT(values(lines, "X-Auth-Method"), ElementsAre("jwt"));
  EXPECT_THAT(values(lines, "X-Forwarded-For"), ElementsAre("192.0.2.7"));
  EXPECT_THAT(values(lines, "X-Request-Id"), ElementsAre("0a1b2c"));
  EXPECT_THAT(values(lines, "Via"), ElementsAre("1.1 sallyport"));
  EXPECT_THAT(values(lines, "Host"), ElementsAre("api.example.com"));
  EXPECT_THAT(values(lines, "Connection"), IsEmpty());
  EXPECT_THAT(values(lines, "Authorization"), IsEmpty());
  EXPECT_THAT(values(lines, "Cookie"), IsEmpty());
}

TEST_F(Outbound, I05_RemovesWhatConnectionNamesAndHopByHopFields) {
  const auto lines = get(alice(), {"Connection: keep-alive, X-Hop", "X-Hop: 1", "X-Stay: 2", "Keep-Alive: timeout=5",
                                   "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic YTpi", "TE: trailers"});
  EXPECT_THAT(values(lines, "X-Stay"), ElementsAre("2"));
  for (const std::string_view name : {"X-Hop", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Connection"}) {
    EXPECT_THAT(values(lines, name), IsEmpty()) << name;
  }
}

TEST_F(Outbound, I08_SendsOneLineHoweverManyCome) {
  const auto lines = get(alice(), {"X-Auth-Subject: a", "Accept: */*", "X-Auth-Subject: b", "x_auth_subject: c", "X-Auth-Subject: alice"});
  EXPECT_THAT(values(lines, "X-Auth-Subject"), ElementsAre("alice"));
}

TEST_F(Outbound, I09_AClaimThatTheTokenLacksLeavesNoHeader) {
  name_headers({{"X-User-Id", "sub"}, {"X-User-Email", "email"}});
  EXPECT_THAT(values(get(alice(), {"X-User-Email: boss@example.com"}), "X-User-Email"), IsEmpty());
  EXPECT_THAT(values(get(with_claims(R"({"email":"alice@example.com"})"), {"X-User-Email: boss@example.com"}), "X-User-Email"),
              ElementsAre("alice@example.com"));
}

TEST_F(Outbound, I10_WritesForwardingHeadersAfresh) {
  const std::vector<std::string> names{"X-Forwarded-For",
                                       "X-Forwarded-Proto",
                                       "X-Forwarded-Host",
                                       "X-Forwarded-Port",
                                       "X-Forwarded-Prefix",
                                       "X-Forwarded-Uri",
                                       "X-Forwarded-Method",
                                       "X-Forwarded-User",
                                       "Forwarded",
                                       "X-Real-IP",
                                       "X-Original-URL",
                                       "X-Rewrite-URL",
                                       "X-Accel-Redirect",
                                       "X-Sendfile",
                                       "Proxy",
                                       "X-Request-Id",
                                       "Via",
                                       "traceparent",
                                       "tracestate",
                                       "X_Forwarded_For"};
  std::vector<std::string> fields{"X-Custom: evil"};
  for (const std::string& name : names) fields.push_back(name + ": evil");
  const auto lines = get(alice(), fields);
  EXPECT_THAT(values(lines, "X-Custom"), ElementsAre("evil")) << "the twin: other fields pass";
  for (const std::string& name : names) EXPECT_THAT(values(lines, name), Not(::testing::Contains("evil"))) << name;
  EXPECT_THAT(values(lines, "X-Forwarded-For"), ElementsAre("192.0.2.7"));
  EXPECT_THAT(values(lines, "X-Forwarded-Proto"), ElementsAre("https"));
  EXPECT_THAT(values(lines, "X-Forwarded-Host"), ElementsAre("api.example.com"));
  EXPECT_THAT(values(lines, "traceparent"), ElementsAre(std::string(kTraceparent)));
  EXPECT_THAT(values(lines, "Via"), ElementsAre("1.1 sallyport"));
}

TEST_F(Outbound, I10_TracestateStaysWithItsTrace) {
  const std::string theirs = "traceparent: 00-0123456789abcdef0123456789abcdef-ffffffffffffffff-01";
  EXPECT_THAT(values(get(alice(), {theirs, "tracestate: a=1"}), "tracestate"), ElementsAre("a=1"));
  EXPECT_THAT(
      values(get(alice(), {"traceparent: 00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01", "tracestate: a=1"}), "tracestate"),
      IsEmpty());
  EXPECT_THAT(values(get(alice(), {"traceparent: 00-0123", "tracestate: a=1"}), "tracestate"), IsEmpty());
  EXPECT_THAT(values(get(alice(), {theirs, theirs, "tracestate: a=1"}), "tracestate"), IsEmpty());
  EXPECT_THAT(values(get(alice(), {"tracestate: a=1"}), "tracestate"), IsEmpty());
}

TEST_F(Outbound, I14_PassesTheHostAsItCame) {
  auto lines = send(alice(), "GET /x", {"Host: API.Example.com:8443"});
  EXPECT_THAT(values(lines, "Host"), ElementsAre("API.Example.com:8443"));
  plan_.fixed_host = "orders.internal:9001";
  lines = send(alice(), "GET /x", {"Host: API.Example.com:8443"});
  EXPECT_THAT(values(lines, "Host"), ElementsAre("orders.internal:9001"));
  EXPECT_THAT(values(lines, "X-Forwarded-Host"), ElementsAre("API.Example.com:8443"));
}

// ---- J24: the path that is sent

struct StripRow {
  std::string name;
  std::string prefix;
  std::string target;
  std::string sent;
};
class OutboundPath : public Outbound, public ::testing::WithParamInterface<StripRow> {};

TEST_P(OutboundPath, J24_LosesThePrefixOnSegmentBordersOnly) {
  plan_.strip_prefix = GetParam().prefix;
  const auto lines = get(alice(), {}, GetParam().target);
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.front(), "GET " + GetParam().sent + " HTTP/1.1");
  EXPECT_EQ(target_, GetParam().sent);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OutboundPath,
    ::testing::Values(StripRow{"None", "", "/api/x", "/api/x"}, StripRow{"Below", "/api", "/api/x/y", "/x/y"},
                      StripRow{"Itself", "/api", "/api", "/"}, StripRow{"ItselfWithSlash", "/api", "/api/", "/"},
                      StripRow{"LongerName", "/api", "/apix/y", "/apix/y"}, StripRow{"Elsewhere", "/api", "/v1/api/x", "/v1/api/x"},
                      StripRow{"Once", "/api", "/api/api/x", "/api/x"}, StripRow{"PrefixWithSlash", "/api/", "/api/x", "/x"},
                      StripRow{"RootPrefix", "/", "/api/x", "/api/x"}, StripRow{"Query", "/api", "/api?x=/api", "/?x=/api"},
                      StripRow{"EmptyQuery", "/api", "/api/x?", "/x?"}, StripRow{"Deep", "/api/v1", "/api/v1/x", "/x"},
                      StripRow{"EncodedInPrefix", "/api", "/%61pi/x", "/x"},
                      StripRow{"EncodedBehind", "/api", "/api/%252e%252e/x", "/%252e%252e/x"},
                      StripRow{"TrailingSlashStays", "/api", "/api/x/", "/x/"}),
    [](const auto& row) { return row.param.name; });

TEST_F(Outbound, J24_TheJudgedPathIsSentByteForByte) {
  const auto lines = get(alice(), {}, "/a;b=1/%C3%A9/%252e?x=%zz&y=../..");
  EXPECT_EQ(lines.front(), "GET /a;b=1/%C3%A9/%252e?x=%zz&y=../.. HTTP/1.1");
  EXPECT_EQ(target_.substr(0, target_.find('?')), request_.target.path());
}

TEST_F(Outbound, J16_AbsoluteFormBecomesOriginForm) {
  const auto lines = send(alice(), "GET http://api.example.com/x?y", {"Host: api.example.com"});
  EXPECT_EQ(lines.front(), "GET /x?y HTTP/1.1");
}

// ---- framing

TEST_F(Outbound, FramingIsWrittenAfresh) {
  auto lines = send(alice(), "POST /x", {"Host: a.example", "Content-Length: 12", "Content_Length: 99", "Transfer_Encoding: chunked"});
  EXPECT_THAT(values(lines, "Content-Length"), ElementsAre("12"));
  EXPECT_THAT(values(lines, "Transfer-Encoding"), IsEmpty());
  EXPECT_EQ(lines.back(), "Content-Length: 12");

  lines = send(alice(), "PUT /x", {"Host: a.example", "Transfer-Encoding: Chunked"});
  EXPECT_THAT(values(lines, "Transfer-Encoding"), ElementsAre("chunked"));
  EXPECT_THAT(values(lines, "Content-Length"), IsEmpty());

  lines = get(alice(), {});
  EXPECT_THAT(values(lines, "Transfer-Encoding"), IsEmpty());
  EXPECT_THAT(values(lines, "Content-Length"), IsEmpty());
}

TEST_F(Outbound, ExpectIsAnsweredHereAndNotPassedOn) {
  const auto lines = send(alice(), "POST /x", {"Host: a.example", "Content-Length: 1", "Expect: 100-continue"});
  EXPECT_THAT(values(lines, "Expect"), IsEmpty());
  EXPECT_THAT(values(lines, "Content-Length"), ElementsAre("1"));
}

TEST_F(Outbound, TellsForwardWhatItIs) {
  parse("PUT /x", {"Host: a.example", "Content-Length: 3"});
  const auto built = build(alice());
  const auto& outbound = std::get<OutboundRequest>(built);
  EXPECT_EQ(outbound.method(), http::Method::put);
  EXPECT_EQ(outbound.framing(), http::Framing::length);
}

// ---- P15: loops

TEST_F(Outbound, P15_CountsItsOwnHopsInVia) {
  const auto hops_after = [&](const std::vector<std::string>& fields) {
    const auto via = values(get(alice(), fields), "Via");
    return via.size() == 1 ? via.front() : "not one line";
  };
  EXPECT_EQ(hops_after({"Via: 1.0 other, 1.1 another (sallyport)"}), "1.1 sallyport");
  EXPECT_EQ(hops_after({"Via: 1.1 sallyport"}), "1.1 sallyport, 1.1 sallyport");
  EXPECT_EQ(hops_after({"Via: 1.1 other, 1.1 Sallyport (x)", "Via: 1.1 sallyport"}), "1.1 sallyport, 1.1 sallyport, 1.1 sallyport");
}

TEST_F(Outbound, P15_WhatAClientPutsInViaDoesNotGrow) {
  std::string via = "1.1 sallyport";
  for (int i = 0; i != 200; ++i) via += ", 1.1 sallyport";
  EXPECT_THAT(values(get(alice(), {"Via: " + via, "Via: " + via}), "Via"),
              ElementsAre("1.1 sallyport, 1.1 sallyport, 1.1 sallyport, 1.1 sallyport, 1.1 sallyport, 1.1 sallyport"));
}

TEST_F(Outbound, P15_ARequestThatGoesRoundIsFoundOut) {
  std::string via;
  std::size_t rounds = 0;
  // What is sent comes in again, until somebody notices.
  for (; rounds != 100; ++rounds) {
    std::vector<std::string> fields;
    if (!via.empty()) fields.push_back("Via: " + via);
    const auto lines = get(alice(), fields);
    if (is_looping(request_)) break;
    via = values(lines, "Via").at(0);
  }
  EXPECT_EQ(rounds, kHopsMax);
}

TEST_F(Outbound, P15_OtherProxiesAreNoLoop) {
  for (const std::string via :
       {"", "1.1 a, 1.1 b, 1.1 c, 1.1 d, 1.1 e, 1.1 f", ", , ,", "sallyport, sallyport, sallyport, sallyport, sallyport",
        "1.1 sallyport2, 1.1 xsallyport, 1.1 a sallyport, 1.1 b sallyport, 1.1 c sallyport"}) {
    get(alice(), {"Via: " + via});
    EXPECT_FALSE(is_looping(request_)) << via;
  }
  get(alice(), {"Via: 1.1 sallyport,1.1 sallyport,1.1 sallyport", "Via: 1.0 sallyport, HTTP/2 sallyport"});
  EXPECT_TRUE(is_looping(request_));
}

}  // namespace
}  // namespace sallyport::identity
