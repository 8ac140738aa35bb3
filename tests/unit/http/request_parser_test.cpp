#include "http/request_parser.hpp"

#include <gtest/gtest.h>

#include <cctype>

#include "unit/http/verdicts.hpp"

namespace sallyport::http {
namespace {

using namespace std::string_literals;

const Limits kDefaults;

TEST(RequestParser, ReadsAWholeHead) {
  const std::string text =
      "POST /orders/%61?x=1 HTTP/1.1\r\nHost: API.example.com:8443\r\nX-A:  b \t\r\nContent-Length: 12\r\nEmpty:\r\n\r\nbody";
  RequestHead head;
  RequestParser parser{kDefaults};
  const HeadOutcome outcome = parser.parse(text, head);
  ASSERT_EQ("ok", word(outcome));
  EXPECT_EQ(text.size() - 4, std::get<HeadParsed>(outcome).bytes);
  EXPECT_EQ(Method::post, head.method);
  EXPECT_EQ("POST", head.method_text);
  EXPECT_EQ(Version::http_1_1, head.version);
  EXPECT_EQ("/orders/a", head.target.path());
  EXPECT_EQ("x=1", head.target.query());
  EXPECT_EQ("API.example.com:8443", head.host);
  EXPECT_EQ("api.example.com", head.host_name);
  ASSERT_EQ(4U, head.fields.size());
  EXPECT_EQ("X-A", head.fields[1].name);
  EXPECT_EQ("b", head.fields[1].value);
  EXPECT_EQ(FieldId::content_length, head.fields[2].id);
  EXPECT_EQ("", head.fields[3].value);
  EXPECT_EQ(Framing::length, head.framing);
  EXPECT_EQ(12U, head.content_length);
  EXPECT_TRUE(head.keep_alive);
}

TEST(RequestParser, HandsOutViewsIntoTheBytes) {
  const std::string text = with_fields("X-A: b\r\n", "GET /a HTTP/1.1");
  RequestHead head;
  ASSERT_EQ("ok", verdict(text, head));
  const auto inside = [&](std::string_view view) {
    return view.data() >= text.data() && view.data() + view.size() <= text.data() + text.size();
  };
  EXPECT_TRUE(inside(head.method_text));
  EXPECT_TRUE(inside(head.target.path()));
  EXPECT_TRUE(inside(head.host));
  for (const Field& field : head.fields) EXPECT_TRUE(inside(field.name) && inside(field.value)) << field.name;
}

TEST(RequestParser, KeepsNothingOfTheRequestBefore) {
  RequestHead head;
  RequestParser parser{kDefaults};
  const std::string first =
      with_fields("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close, X-A\r\nX-A: 1\r\n", "POST /%61?q HTTP/1.1");
  ASSERT_EQ("ok", word(parser.parse(first, head)));
  ASSERT_TRUE(head.expects_continue);
  ASSERT_FALSE(head.keep_alive);
  parser.reset();
  ASSERT_EQ("ok", word(parser.parse("GET /b HTTP/1.1\r\nHost: b\r\n\r\n", head)));
  EXPECT_EQ("/b", head.target.path());
  EXPECT_FALSE(head.target.has_query());
  EXPECT_EQ("b", head.host_name);
  EXPECT_EQ(1U, head.fields.size());
  EXPECT_EQ(Framing::none, head.framing);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.expects_continue);
}

TEST(RequestParser, ReusesTheCapacityOfTheFields) {
  RequestHead head;
  RequestParser parser{kDefaults};
  const std::string text = with_fields("A: 1\r\nB: 2\r\nC: 3\r\n");
  ASSERT_EQ("ok", word(parser.parse(text, head)));
  const Field* const place = head.fields.data();
  parser.reset();
  ASSERT_EQ("ok", word(parser.parse(text, head)));
  EXPECT_EQ(place, head.fields.data());
}

TEST(RequestParser, LeavesTheNextRequestAlone) {
  const std::string one = with_fields("", "GET /1 HTTP/1.1");
  RequestHead head;
  RequestParser parser{kDefaults};
  const HeadOutcome outcome = parser.parse(one + "GET /2 HTTP/1.1\nbroken", head);
  ASSERT_EQ("ok", word(outcome));
  EXPECT_EQ(one.size(), std::get<HeadParsed>(outcome).bytes);
}

TEST(RequestParser, SaysWhatItUnderstoodOfARefusedHead) {
  RequestHead head;
  const std::string text = with_fields("Content-Length: x\r\n", "DELETE /a HTTP/1.0");
  EXPECT_EQ("bad_framing", verdict(text, head));
  EXPECT_EQ(Method::delete_, head.method);
  EXPECT_EQ("DELETE", head.method_text);
  EXPECT_EQ(Version::http_1_0, head.version);
}

// --- The request line -------------------------------------------------------------------------------------------------

struct RequestLineCase {
  const char* name;
  std::string text;
  std::string_view expected;
};
void PrintTo(const RequestLineCase& row, std::ostream* out) { *out << row.name; }

class RequestLine : public ::testing::TestWithParam<RequestLineCase> {};
TEST_P(RequestLine, J01_J08_J12_J15_J17_J19_K09_K20_K21_K22_IsTakenOrRefused) { EXPECT_EQ(GetParam().expected, verdict(GetParam().text)); }

std::string line(std::string_view request_line) { return with_fields("", request_line); }

INSTANTIATE_TEST_SUITE_P(
    Table, RequestLine,
    ::testing::Values(
        RequestLineCase{"Twin", line("GET / HTTP/1.1"), "ok"}, RequestLineCase{"K22_TwoSpacesBeforeTheTarget", line("GET  / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_TwoSpacesBeforeTheVersion", line("GET /  HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_TabBeforeTheTarget", line("GET\t/ HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_TabBeforeTheVersion", line("GET /\tHTTP/1.1"), "malformed"}, RequestLineCase{"K22_NoTarget", line("GET HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_EmptyTarget", line("GET  HTTP/1.1"), "malformed"}, RequestLineCase{"K22_TrailingSpace", line("GET / HTTP/1.1 "), "malformed"},
        RequestLineCase{"K22_TrailingTab", line("GET / HTTP/1.1\t"), "malformed"},
        RequestLineCase{"K22_SpaceInTheTarget", line("GET /a b HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_LeadingSpace", line(" GET / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_OneLeadingEmptyLineIsSkipped", "\r\n" + line("GET / HTTP/1.1"), "ok"},
        RequestLineCase{"K22_TwoLeadingEmptyLines", "\r\n\r\n" + line("GET / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_LeadingLineFeed", "\n" + line("GET / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_LeadingReturn", "\r" + line("GET / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_LongMethod", line(std::string(65, 'A') + " / HTTP/1.1"), "malformed"},
        RequestLineCase{"K22_LongestMethod", line(std::string(64, 'A') + " / HTTP/1.1"), "ok"},
        RequestLineCase{"K22_EndlessMethod", std::string(70000, 'A'), "malformed"},
        RequestLineCase{"K22_TextBehindTheVersion", line("GET / HTTP/1.1x"), "malformed"}, RequestLineCase{"K21_Http09", "GET /\r\n\r\n", "malformed"},
        RequestLineCase{"K21_Http09AtOnce", "GET /\r\n", "malformed"}, RequestLineCase{"K21_Http09Named", line("GET / HTTP/0.9"), "version_unsupported"},
        RequestLineCase{"K21_Http12", line("GET / HTTP/1.2"), "version_unsupported"},
        RequestLineCase{"K21_Http20", line("GET / HTTP/2.0"), "version_unsupported"},
        RequestLineCase{"K21_Http30AtOnce", "GET / HTTP/3.0\r\n", "version_unsupported"},
        RequestLineCase{"K21_Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "version_unsupported"},
        RequestLineCase{"K21_Http11", line("GET / HTTP/1.1"), "ok"}, RequestLineCase{"K21_Http10", line("GET / HTTP/1.0"), "ok"},
        RequestLineCase{"K21_LowerCaseVersion", line("GET / http/1.1"), "malformed"}, RequestLineCase{"K21_TwoDigits", line("GET / HTTP/1.10"), "malformed"},
        RequestLineCase{"K21_TwoDigitsFirst", line("GET / HTTP/11.1"), "malformed"}, RequestLineCase{"K21_NoMinor", line("GET / HTTP/1"), "malformed"},
        RequestLineCase{"K21_OtherProtocol", line("GET / HTTQ/1.1"), "malformed"}, RequestLineCase{"K21_TlsRecord", "\x16\x03\x01\x02"s, "malformed"},
        RequestLineCase{"K20_Connect", line("CONNECT a.example:443 HTTP/1.1"), "method_refused"},
        RequestLineCase{"K20_ConnectWithAPath", line("CONNECT /a HTTP/1.1"), "method_refused"},
        RequestLineCase{"J19_Trace", line("TRACE / HTTP/1.1"), "method_refused"}, RequestLineCase{"J19_LowerCaseIsAnotherToken", line("get / HTTP/1.1"), "ok"},
        RequestLineCase{"J19_OtherToken", line("PROPFIND / HTTP/1.1"), "ok"}, RequestLineCase{"J19_NulInTheMethod", line("GET\0 / HTTP/1.1"s), "malformed"},
        RequestLineCase{"J19_SpaceInTheMethod", line("G ET / HTTP/1.1"), "malformed"}, RequestLineCase{"J19_NoToken", line("G{T / HTTP/1.1"), "malformed"},
        RequestLineCase{"J19_NoMethod", line(" / HTTP/1.1"), "malformed"}, RequestLineCase{"J19_RawByteInTheMethod", line("G\xC3T / HTTP/1.1"), "malformed"},
        RequestLineCase{"J15_AsteriskOnGet", line("GET * HTTP/1.1"), "bad_target"}, RequestLineCase{"J15_AsteriskOnOptions", line("OPTIONS * HTTP/1.1"), "ok"},
        RequestLineCase{"J15_NoSlash", line("GET admin HTTP/1.1"), "bad_target"}, RequestLineCase{"J15_AuthorityForm", line("GET a:80 HTTP/1.1"), "bad_target"},
        RequestLineCase{"J01_DotDot", line("GET /public/../admin HTTP/1.1"), "bad_target"},
        RequestLineCase{"J12_Fragment", line("GET /admin#/public HTTP/1.1"), "bad_target"},
        RequestLineCase{"J17_RawUtf8",
             line("GET /\xEF\xBD\x81"
                  "dmin HTTP/1.1"),
             "bad_target"},
        RequestLineCase{"J08_RawControlByte", line("GET /a\x01 HTTP/1.1"), "malformed"},
        RequestLineCase{"J08_RawDelete", line("GET /a\x7f HTTP/1.1"), "bad_target"},
        RequestLineCase{"K09_BareLineFeed", "GET / HTTP/1.1\nHost: a\r\n\r\n", "malformed"},
        RequestLineCase{"K09_BareLineFeedAtOnce", "GET / HTTP/1.1\n", "malformed"},
        RequestLineCase{"K09_BareReturn", "GET / HTTP/1.1\rHost: a\r\n\r\n", "malformed"},
        RequestLineCase{"K09_TwoReturns", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "malformed"},
        RequestLineCase{"Incomplete", "GET / HTTP/1.1\r\nHost: a.exam", "incomplete"}, RequestLineCase{"Nothing", "", "incomplete"},
        RequestLineCase{"OnlyAnEmptyLine", "\r\n", "incomplete"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(RequestParser, J19_KeepsAnotherMethodAsItCame) {
  RequestHead head;
  const std::string text = line("get / HTTP/1.1");
  ASSERT_EQ("ok", verdict(text, head));
  EXPECT_EQ(Method::other, head.method);
  EXPECT_EQ("get", head.method_text);
}

TEST(RequestParser, K22_CountsTheSkippedEmptyLine) {
  const std::string text = "\r\n" + line("GET / HTTP/1.1");
  RequestHead head;
  RequestParser parser{kDefaults};
  EXPECT_EQ(text.size(), std::get<HeadParsed>(parser.parse(text, head)).bytes);
  EXPECT_EQ("GET", head.method_text);
}

// --- Absolute form and Host --------------------------------------------------------------------------------------------

TEST(RequestParser, J16_TurnsAbsoluteFormIntoOriginForm) {
  RequestHead head;
  const std::string text = with_target("HTTP://A.example/admin?x");
  ASSERT_EQ("ok", verdict(text, head));
  EXPECT_EQ("/admin", head.target.path());
  EXPECT_EQ("x", head.target.query());
  EXPECT_EQ("a.example", head.host_name);
}

TEST(RequestParser, I15_RefusesAnAuthorityThatIsNotHost) {
  EXPECT_EQ("ok", verdict(with_target("https://a.example/")));
  EXPECT_EQ("bad_host", verdict(with_target("http://b.example/")));
  EXPECT_EQ("bad_host", verdict(with_target("http://a.example:80/")));
  EXPECT_EQ("bad_host", verdict(with_target("http://user@a.example/")));
  EXPECT_EQ("bad_host", verdict("GET http://a.example/ HTTP/1.1\r\n\r\n"));
}

TEST(RequestParser, J15_RefusesAnAbsoluteFormWithoutAuthority) {
  EXPECT_EQ("bad_target", verdict(with_target("http:/admin")));
  EXPECT_EQ("bad_target", verdict(with_target("http:///admin")));
  EXPECT_EQ("bad_target", verdict(with_target("//evil/admin")));
  EXPECT_EQ("bad_target", verdict(with_target("ftp://a.example/admin")));
}

class HostField : public ::testing::TestWithParam<RequestLineCase> {};
TEST_P(HostField, I14_IsTakenOrRefused) { EXPECT_EQ(GetParam().expected, verdict(GetParam().text)); }

INSTANTIATE_TEST_SUITE_P(Table, HostField,
                         ::testing::Values(RequestLineCase{"Twin", with_host("a.example"), "ok"}, RequestLineCase{"Missing", "GET / HTTP/1.1\r\n\r\n", "bad_host"},
                                         RequestLineCase{"MissingOn10", "GET / HTTP/1.0\r\n\r\n", "bad_host"},
                                         RequestLineCase{"PresentOn10", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "ok"},
                                         RequestLineCase{"Twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"},
                                         RequestLineCase{"TwiceInOtherCase", "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", "bad_host"},
                                         RequestLineCase{"Empty", with_host(""), "bad_host"}, RequestLineCase{"List", with_host("a,b"), "bad_host"},
                                         RequestLineCase{"UserInfo", with_host("user@a"), "bad_host"}, RequestLineCase{"Path", with_host("a/b"), "bad_host"},
                                         RequestLineCase{"Port", with_host("a:99999"), "bad_host"}, RequestLineCase{"Bracket", with_host("[::1"), "bad_host"},
                                         RequestLineCase{"TrailingDot", with_host("a.example."), "ok"},
                                         RequestLineCase{"UpperCase", with_host("A.EXAMPLE"), "ok"},
                                         RequestLineCase{"Long", with_host(std::string(300, 'a')), "bad_host"}),
                         [](const auto& row) { return std::string(row.param.name); });

// --- Fields --------------------------------------------------------------------------------------------------------------

TEST(RequestParser, I12_TakesEachTokenByteInANameAndNoOther) {
  const std::string_view marks = "!#$%&'*+-.^_`|~";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const bool fine = (byte < 128 && std::isalnum(byte) != 0) || marks.find(c) != std::string_view::npos;
    const bool colon = byte == ':';  // "Xa:b: 1" is the field Xa with the value "b: 1"
    EXPECT_EQ(fine || colon ? "ok" : "malformed", verdict(with_fields("Xa"s + c + "b: 1\r\n"))) << byte;
    EXPECT_EQ(fine ? "ok" : "malformed", verdict(with_fields(std::string(1, c) + ": 1\r\n"))) << byte << " alone";
    EXPECT_EQ(fine || colon ? "ok" : "malformed", verdict(with_fields("Xa"s + c + ": 1\r\n"))) << byte << " before the colon";
  }
}

TEST(RequestParser, I13_TakesTextInAValueAndNoControlByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool fine = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
    RequestHead head;
    const std::string value = "a"s + static_cast<char>(byte) + "b";
    const std::string text = with_fields("X: " + value + "\r\n");
    EXPECT_EQ(fine ? "ok" : "malformed", verdict(text, head)) << byte;
    if (fine) {
      EXPECT_EQ(value, head.find("x")->value) << byte;
    }
  }
}

class FieldLine : public ::testing::TestWithParam<RequestLineCase> {};
TEST_P(FieldLine, I06_I07_K08_K09_K24_IsTakenOrRefused) { EXPECT_EQ(GetParam().expected, verdict(GetParam().text)); }

INSTANTIATE_TEST_SUITE_P(
    Table, FieldLine,
    ::testing::Values(RequestLineCase{"I07_FoldWithSpace", with_fields("X: a\r\n b\r\n"), "malformed"},
                    RequestLineCase{"I07_FoldWithTab", with_fields("X: a\r\n\tb\r\n"), "malformed"},
                    RequestLineCase{"I07_FoldOfNothing", with_fields("X:\r\n \r\n"), "malformed"},
                    RequestLineCase{"I07_FoldInHost", "GET / HTTP/1.1\r\nHost: a\r\n .b\r\n\r\n", "malformed"},
                    RequestLineCase{"I07_FoldAtOnce", "GET / HTTP/1.1\r\nHost: a\r\n ", "malformed"},
                    RequestLineCase{"I07_Twin", with_fields("X: a b\r\n"), "ok"},
                    RequestLineCase{"K08_FoldedContentLength", with_fields("Content-Length:\r\n 5\r\n"), "malformed"},
                    RequestLineCase{"K08_FoldedTransferEncoding", with_fields("Transfer-Encoding:\r\n\tchunked\r\n"), "malformed"},
                    RequestLineCase{"K24_NoColon", with_fields("abc\r\n"), "malformed"}, RequestLineCase{"K24_ColonFirst", with_fields(": x\r\n"), "malformed"},
                    RequestLineCase{"K24_SpaceBeforeTheFirstField", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "malformed"},
                    RequestLineCase{"K24_NulName", with_fields("\0: x\r\n"s), "malformed"},
                    RequestLineCase{"K24_SpaceBeforeTheColon", with_fields("X : a\r\n"), "malformed"},
                    RequestLineCase{"K24_TabBeforeTheColon", with_fields("X\t: a\r\n"), "malformed"}, RequestLineCase{"K24_Twin", with_fields("X: x\r\n"), "ok"},
                    RequestLineCase{"K24_EmptyLineOfSpace", with_fields(" \r\n"), "malformed"},
                    RequestLineCase{"K09_BareLineFeed", with_fields("X: a\nY: b\r\n"), "malformed"},
                    RequestLineCase{"K09_BareLineFeedBeforeTheEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n", "malformed"},
                    RequestLineCase{"K09_TwoLineFeeds", "GET / HTTP/1.1\r\nHost: a\n\n", "malformed"},
                    RequestLineCase{"K09_BareReturn", with_fields("X: a\rY: b\r\n"), "malformed"},
                    RequestLineCase{"K09_ReturnBeforeCrLf", with_fields("X: a\r\r\n"), "malformed"},
                    RequestLineCase{"K09_ReturnAtTheEnd", "GET / HTTP/1.1\r\nHost: a\r\n\rX", "malformed"},
                    RequestLineCase{"I06_NoTokenInConnection", with_fields("Connection: keep-alive, ,, @\r\n"), "malformed"},
                    RequestLineCase{"I06_EmptyMember", with_fields("Connection: keep-alive, , close\r\n"), "malformed"},
                    RequestLineCase{"I06_TrailingComma", with_fields("Connection: keep-alive,\r\n"), "malformed"},
                    RequestLineCase{"I06_MemberWithASpace", with_fields("Connection: keep alive\r\n"), "malformed"},
                    RequestLineCase{"I06_MemberWithAParameter", with_fields("Connection: close;a=b\r\n"), "malformed"},
                    RequestLineCase{"I06_Twin", with_fields("Connection: keep-alive, X-A ,\tclose\r\n"), "ok"},
                    RequestLineCase{"I06_EmptyConnection", with_fields("Connection:\r\n"), "ok"},
                    RequestLineCase{"TwoAuthorizationsAreNotJudgedHere", with_fields("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), "ok"}),
    [](const auto& row) { return std::string(row.param.name); });

std::string members(std::size_t count) {
  std::string value = "m";
  while (--count > 0) value += ",m";
  return "Connection: " + value + "\r\n";
}

TEST(RequestParser, I06_Takes64ConnectionMembersInAll) {
  EXPECT_EQ("ok", verdict(with_fields(members(64))));
  EXPECT_EQ("malformed", verdict(with_fields(members(65))));
  EXPECT_EQ("malformed", verdict(with_fields(members(200))));
  EXPECT_EQ("ok", verdict(with_fields(members(32) + members(32))));
  EXPECT_EQ("malformed", verdict(with_fields(members(32) + members(33))));
}

TEST(RequestParser, I05_MarksTheFieldsThatConnectionNames) {
  RequestHead head;
  const std::string text = with_fields("X-User-Id: a\r\nConnection: close, x-user-id, Host\r\nConnection: X-B\r\nX-B: 1\r\nX-C: 2\r\n");
  ASSERT_EQ("ok", verdict(text, head));
  EXPECT_TRUE(head.find("X-User-Id")->named_by_connection);
  EXPECT_TRUE(head.find("X-B")->named_by_connection);
  EXPECT_TRUE(head.find("Host")->named_by_connection);
  EXPECT_FALSE(head.find("X-C")->named_by_connection);
  EXPECT_EQ("a.example", head.host_name) << "naming Host takes nothing from the routing";
  EXPECT_FALSE(head.keep_alive);
}

TEST(RequestParser, KeepsTheConnectionAsVersionAndFieldSay) {
  const auto keeps = [](std::string_view request_line, std::string_view lines) {
    RequestHead head;
    const std::string text = with_fields(lines, request_line);
    EXPECT_EQ("ok", verdict(text, head));
    return head.keep_alive;
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1", ""));
  EXPECT_TRUE(keeps("GET / HTTP/1.1", "Connection: Keep-Alive\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1", "Connection: Close\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1", "Connection: keep-alive, close\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0", ""));
  EXPECT_TRUE(keeps("GET / HTTP/1.0", "Connection: keep-alive\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0", "Connection: keep-alive, close\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0", "Proxy-Connection: keep-alive\r\n"));
}

TEST(RequestParser, SeesAWebSocketHandshake) {
  const auto wants = [](std::string_view request_line, std::string_view lines) {
    RequestHead head;
    const std::string text = with_fields(lines, request_line);
    EXPECT_EQ("ok", verdict(text, head));
    return head.wants_websocket;
  };
  EXPECT_TRUE(wants("GET / HTTP/1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Upgrade: websocket\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Connection: upgrade\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: foo\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket, foo\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"));
  EXPECT_FALSE(wants("POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(wants("GET / HTTP/1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
}

TEST(RequestParser, I20_TakesNoExpectationBut100Continue) {
  RequestHead head;
  const std::string text = with_fields("Expect: 100-Continue\r\nContent-Length: 1\r\n");
  EXPECT_EQ("ok", verdict(text, head));
  EXPECT_TRUE(head.expects_continue);
  const std::string other = with_fields("Expect: 100-continue\r\n", "POST / HTTP/1.0");
  EXPECT_EQ("ok", verdict(other, head));
  EXPECT_FALSE(head.expects_continue) << "on HTTP/1.0 it is ignored";
  for (const std::string_view value :
       {"y 100-continue", "100-Continue,", "100-continue, 100-continue", "100", "", "200-ok", "100-continue;a"}) {
    EXPECT_EQ("expectation_failed", verdict(with_fields("Expect: " + std::string(value) + "\r\n"))) << value;
  }
  EXPECT_EQ("expectation_failed", verdict(with_fields("Expect: 100-continue\r\nExpect: 100-continue\r\n")));
}

// --- Framing -------------------------------------------------------------------------------------------------------------

class FramingFields : public ::testing::TestWithParam<RequestLineCase> {};
TEST_P(FramingFields, K01_K02_K03_K04_K06_K07_AreTakenOrRefused) { EXPECT_EQ(GetParam().expected, verdict(GetParam().text)); }

std::string cl(std::string_view value) { return with_fields("Content-Length: " + std::string(value) + "\r\n"); }
std::string te(std::string_view value) { return with_fields("Transfer-Encoding: " + std::string(value) + "\r\n"); }

INSTANTIATE_TEST_SUITE_P(
    Table, FramingFields,
    ::testing::Values(RequestLineCase{"K01_LengthThenChunked", with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "bad_framing"},
                    RequestLineCase{"K01_ChunkedThenLength", with_fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "bad_framing"},
                    RequestLineCase{"K01_ChunkedThenZero", with_fields("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), "bad_framing"},
                    RequestLineCase{"K01_TwinLength", cl("5"), "ok"}, RequestLineCase{"K01_TwinChunked", te("chunked"), "ok"},
                    RequestLineCase{"K02_ChunkedInAnyCase", te("ChUnKeD"), "ok"}, RequestLineCase{"K02_Xchunked", te("xchunked"), "bad_framing"},
                    RequestLineCase{"K02_Identity", te("identity"), "bad_framing"}, RequestLineCase{"K02_Gzip", te("gzip"), "bad_framing"},
                    RequestLineCase{"K02_Empty", te(""), "bad_framing"}, RequestLineCase{"K02_ChunkedGzip", te("chunked, gzip"), "bad_framing"},
                    RequestLineCase{"K02_GzipChunked", te("gzip, chunked"), "bad_framing"}, RequestLineCase{"K02_Quoted", te("\"chunked\""), "bad_framing"},
                    RequestLineCase{"K02_Parameter", te("chunked;a=b"), "bad_framing"}, RequestLineCase{"K02_CommaFirst", te(",chunked"), "bad_framing"},
                    RequestLineCase{"K02_CommaLast", te("chunked,"), "bad_framing"}, RequestLineCase{"K02_NonBreakingSpace", te("chunked\xA0"), "bad_framing"},
                    RequestLineCase{"K02_VerticalTab",
                         te("\x0B"
                            "chunked"),
                         "malformed"},
                    RequestLineCase{"K02_XchunkedThenLength", with_fields("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n"), "bad_framing"},
                    RequestLineCase{"K02_EmptyThenLength", with_fields("Transfer-Encoding:\r\nContent-Length: 5\r\n"), "bad_framing"},
                    RequestLineCase{"K03_ChunkedTwice", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "bad_framing"},
                    RequestLineCase{"K03_GzipThenChunked", with_fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "bad_framing"},
                    RequestLineCase{"K03_ChunkedThenIdentity", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
                         "bad_framing"},
                    RequestLineCase{"K04_ChunkedOn10", with_fields("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0"), "bad_framing"},
                    RequestLineCase{"K04_LengthOn10", with_fields("Content-Length: 5\r\n", "POST / HTTP/1.0"), "ok"}, RequestLineCase{"K06_Zero", cl("0"), "ok"},
                    RequestLineCase{"K06_FifteenDigits", cl("999999999999999"), "ok"},
                    RequestLineCase{"K06_SixteenDigits", cl("1000000000000000"), "bad_framing"}, RequestLineCase{"K06_Plus", cl("+5"), "bad_framing"},
                    RequestLineCase{"K06_Minus", cl("-5"), "bad_framing"}, RequestLineCase{"K06_Hex", cl("0x5"), "bad_framing"},
                    RequestLineCase{"K06_List", cl("5,5"), "bad_framing"}, RequestLineCase{"K06_ListWithSpace", cl("5, 6"), "bad_framing"},
                    RequestLineCase{"K06_EqualListWithSpace", cl("5, 5"), "bad_framing"}, RequestLineCase{"K06_Semicolon", cl("5;"), "bad_framing"},
                    RequestLineCase{"K06_LeadingZeros", cl("005"), "bad_framing"}, RequestLineCase{"K06_Zeros", cl("00"), "bad_framing"},
                    RequestLineCase{"K06_TwoNumbers", cl("5 5"), "bad_framing"}, RequestLineCase{"K06_Underscore", cl("1_0"), "bad_framing"},
                    RequestLineCase{"K06_Empty", cl(""), "bad_framing"}, RequestLineCase{"K06_TwentyDigits", cl("99999999999999999999"), "bad_framing"},
                    RequestLineCase{"K06_Fraction", cl("5.0"), "bad_framing"}, RequestLineCase{"K06_Exponent", cl("1e3"), "bad_framing"},
                    RequestLineCase{"K06_FullWidthDigit", cl("\xEF\xBC\x95"), "bad_framing"},
                    RequestLineCase{"K06_TwoEqual", with_fields("Content-Length: 5\r\nContent-Length: 5\r\n"), "bad_framing"},
                    RequestLineCase{"K06_TwoDifferent", with_fields("Content-Length: 5\r\nContent-Length: 6\r\n"), "bad_framing"},
                    RequestLineCase{"K06_EmptyThenLength", with_fields("Content-Length:\r\nContent-Length: 6\r\n"), "bad_framing"},
                    RequestLineCase{"K07_NulBehindTheName", with_fields("Content-Length\0: 5\r\n"s), "malformed"},
                    RequestLineCase{"K07_RawByteBehindTheName", with_fields("Content-Length\x85: 5\r\n"), "malformed"},
                    RequestLineCase{"K07_SpaceBehindTheName", with_fields("Content-Length : 5\r\n"), "malformed"},
                    RequestLineCase{"K07_SpaceBehindTransferEncoding", with_fields("Transfer-Encoding : chunked\r\n"), "malformed"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(RequestParser, K07_NeverFramesByAnAlias) {
  for (const std::string_view alias : {"Content_Length: 5", "Transfer_Encoding: chunked", "Content.Length: 5"}) {
    RequestHead head;
    const std::string text = with_fields(std::string(alias) + "\r\n");
    ASSERT_EQ("ok", verdict(text, head)) << alias;
    EXPECT_EQ(Framing::none, head.framing) << alias;
    EXPECT_EQ(FieldId::other, head.fields.back().id) << alias;
  }
}

// Every byte put into every place of the name: nothing but the name itself frames, and what frames is alone.
TEST(RequestParser, K05_NeverFramesByAMisspeltTransferEncoding) {
  const std::string name = "Transfer-Encoding";
  RequestParser parser{kDefaults};
  RequestHead head;
  for (std::size_t place = 0; place <= name.size(); ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string misspelt = name;
      misspelt.insert(place, 1, static_cast<char>(byte));
      const std::string text = with_fields(misspelt + ": chunked\r\nContent-Length: 5\r\n");
      parser.reset();
      if (word(parser.parse(text, head)) != "ok") continue;
      EXPECT_EQ(Framing::length, head.framing) << place << ' ' << byte;
      EXPECT_EQ(nullptr, head.find(FieldId::transfer_encoding)) << place << ' ' << byte;
    }
  }
}

TEST(RequestParser, K14_FramesABodyOnAnyMethod) {
  for (const std::string_view method : {"GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"}) {
    RequestHead head;
    const std::string text = with_fields("Content-Length: 5\r\n", std::string(method) + " / HTTP/1.1");
    ASSERT_EQ("ok", verdict(text, head));
    EXPECT_EQ(Framing::length, head.framing) << method;
    EXPECT_EQ(5U, head.content_length) << method;
    const std::string other = with_fields("Transfer-Encoding: chunked\r\n", std::string(method) + " / HTTP/1.1");
    ASSERT_EQ("ok", verdict(other, head));
    EXPECT_EQ(Framing::chunked, head.framing) << method;
  }
}

// --- Limits --------------------------------------------------------------------------------------------------------------

std::string with_target_of(std::size_t bytes) { return with_target("/" + std::string(bytes - 1, 'a')); }

// A head of exactly `bytes` bytes.
std::string head_of(std::size_t bytes) {
  const std::size_t bare = with_fields("X: \r\n").size();
  return with_fields("X: " + std::string(bytes - bare, 'x') + "\r\n");
}

TEST(RequestParser, J18_TakesATargetUpToItsLimit) {
  EXPECT_EQ("ok", verdict(with_target_of(8192)));
  EXPECT_EQ("target_too_long", verdict(with_target_of(8193)));
  EXPECT_EQ("target_too_long", verdict("GET /" + std::string(8192, 'a'))) << "an endless target is refused before its end";
  EXPECT_EQ("incomplete", verdict("GET /" + std::string(8191, 'a')));
}

TEST(RequestParser, J18_RefusesManySegmentsByTheTargetsLength) {
  std::string segments;
  for (int i = 0; i < 10'000; ++i) segments += "/a";
  EXPECT_EQ("target_too_long", verdict(with_target(segments)));
  std::string dots;
  for (int i = 0; i < 5'000; ++i) dots += "/..";
  EXPECT_EQ("target_too_long", verdict(with_target(dots)));
  EXPECT_EQ("ok", verdict(with_target("/" + std::string(7'999, 'a'))));
}

TEST(RequestParser, M08_TakesATargetLimitBelowTheDefault) {
  Limits limits;
  limits.target_bytes_max = 4;
  EXPECT_EQ("ok", verdict(with_target("/abc"), limits));
  EXPECT_EQ("target_too_long", verdict(with_target("/abcd"), limits));
}

TEST(RequestParser, I19_TakesAHeadUpToItsLimit) {
  EXPECT_EQ("ok", verdict(head_of(16 * 1024)));
  EXPECT_EQ("head_too_large", verdict(head_of(16 * 1024 + 1)));
  EXPECT_EQ("head_too_large", verdict(head_of(200'000)));
  Limits limits;
  limits.header_bytes_max = 8192;
  EXPECT_EQ("ok", verdict(head_of(8192), limits));
  EXPECT_EQ("head_too_large", verdict(head_of(8193), limits));
}

TEST(RequestParser, I19_RefusesAHeadThatNeverEnds) {
  EXPECT_EQ("head_too_large", verdict(with_fields("X: " + std::string(20'000, 'x'))));
  EXPECT_EQ("incomplete", verdict(with_fields("X: ").substr(0, 40)));
}

TEST(RequestParser, I19_TakesFieldsUpToTheirLimit) {
  const auto fields = [](std::size_t count) {
    std::string lines;
    for (std::size_t i = 1; i < count; ++i) lines += "X: 1\r\n";  // Host is the first
    return with_fields(lines);
  };
  EXPECT_EQ("ok", verdict(fields(100)));
  EXPECT_EQ("head_too_large", verdict(fields(101)));
  Limits limits;
  limits.header_fields_max = 2;
  EXPECT_EQ("ok", verdict(fields(2), limits));
  EXPECT_EQ("head_too_large", verdict(fields(3), limits));
}

TEST(RequestParser, I19_RefusesLongNamesByTheHeadsLimitAlone) {
  for (const std::size_t bytes : {255U, 256U, 270U}) {
    RequestHead head;
    const std::string text = with_fields(std::string(bytes, 'n') + ": 1\r\nContent-Length: 3\r\n");
    EXPECT_EQ("ok", verdict(text, head)) << bytes;
    EXPECT_EQ(3U, head.content_length) << "a long name forges no length (hazards row 80)";
  }
  for (const std::size_t bytes : {65'533U, 65'534U, 70'000U}) {
    EXPECT_EQ("head_too_large", verdict(with_fields(std::string(bytes, 'n') + ": 1\r\n"))) << bytes;
    EXPECT_EQ("head_too_large", verdict(with_fields("X: " + std::string(bytes, 'v') + "\r\n"))) << bytes;
  }
}

// Nothing below the settings has a limit of its own, which would come first or throw.
TEST(RequestParser, I19_TakesLargerHeadsWhereTheLimitsSaySo) {
  Limits limits;
  limits.header_bytes_max = 1024 * 1024;
  limits.target_bytes_max = 100'000;
  RequestHead head;
  RequestParser parser(limits);
  const std::string text = with_fields("X: " + std::string(200'000, 'v') + "\r\n" + std::string(70'000, 'n') + ": 1\r\n",
                                       "GET /" + std::string(80'000, 'a') + " HTTP/1.1");
  ASSERT_EQ("ok", word(parser.parse(text, head)));
  EXPECT_EQ(200'000U, head.find("x")->value.size());
  EXPECT_EQ(70'000U, head.fields.back().name.size());
}

}  // namespace
}  // namespace sallyport::http
