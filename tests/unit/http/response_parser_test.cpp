#include "http/response_parser.hpp"

#include <gtest/gtest.h>

#include "unit/http/verdicts.hpp"

namespace sallyport::http {
namespace {

using namespace std::string_literals;

std::string answer(std::string_view lines, std::string_view status_line = "HTTP/1.1 200 OK") {
  return std::string(status_line) + "\r\n" + std::string(lines) + "\r\n";
}

TEST(ResponseParser, ReadsAWholeHead) {
  const std::string text = answer("Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: X-A\r\nX-A: \xC3\xA9\r\n") + "hello";
  ResponseParser parser;
  ResponseHead head;
  const ResponseOutcome outcome = parser.parse(text, Method::get, head);
  ASSERT_EQ("ok", word(outcome));
  EXPECT_EQ(text.size() - 5, std::get<HeadParsed>(outcome).bytes);
  EXPECT_EQ(200, head.status);
  EXPECT_EQ(Version::http_1_1, head.version);
  EXPECT_EQ(Framing::length, head.framing);
  EXPECT_EQ(5U, head.content_length);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ("text/plain", head.find(FieldId::content_type)->value);
  EXPECT_EQ(nullptr, head.find(FieldId::location));
  EXPECT_TRUE(head.fields.back().named_by_connection);
}

TEST(ResponseParser, KeepsNothingOfTheAnswerBefore) {
  ResponseParser parser;
  ResponseHead head;
  ASSERT_EQ("ok", word(parser.parse(answer("Content-Length: 5\r\nConnection: close\r\n"), Method::get, head)));
  parser.reset();
  ASSERT_EQ("ok", word(parser.parse(answer("", "HTTP/1.1 204 No Content"), Method::get, head)));
  EXPECT_EQ(204, head.status);
  EXPECT_EQ(Framing::none, head.framing);
  EXPECT_EQ(0U, head.content_length);
  EXPECT_TRUE(head.fields.empty());
  EXPECT_TRUE(head.keep_alive);
}

struct AnswerCase {
  const char* name;
  std::string text;
  std::string_view expected;
};
void PrintTo(const AnswerCase& row, std::ostream* out) { *out << row.name; }

class AnswerHead : public ::testing::TestWithParam<AnswerCase> {};
TEST_P(AnswerHead, I18_K28_O06_O15_IsTakenOrRefused) { EXPECT_EQ(GetParam().expected, answer_verdict(GetParam().text)); }

INSTANTIATE_TEST_SUITE_P(
    Table, AnswerHead,
    ::testing::Values(
        AnswerCase{"Twin", answer("Content-Length: 5\r\n"), "ok"}, AnswerCase{"NoReason", answer("", "HTTP/1.1 200 "), "ok"},
        AnswerCase{"ReasonWithRawBytes", answer("", "HTTP/1.1 200 d\xE9j\xE0"), "ok"}, AnswerCase{"Http10", answer("", "HTTP/1.0 200 OK"), "ok"},
        AnswerCase{"K28_LengthAndChunked", answer("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "refused"},
        AnswerCase{"K28_ChunkedAndLength", answer("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "refused"},
        AnswerCase{"K28_TwoEqualLengths", answer("Content-Length: 5\r\nContent-Length: 5\r\n"), "refused"},
        AnswerCase{"K28_TwoLengths", answer("Content-Length: 5\r\nContent-Length: 6\r\n"), "refused"},
        AnswerCase{"K28_LengthList", answer("Content-Length: 5, 5\r\n"), "refused"},
        AnswerCase{"K28_EmptyLength", answer("Content-Length:\r\n"), "refused"},
        AnswerCase{"K28_NegativeLength", answer("Content-Length: -1\r\n"), "refused"},
        AnswerCase{"K28_ZerosBefore", answer("Content-Length: 05\r\n"), "refused"},
        AnswerCase{"K28_Chunked", answer("Transfer-Encoding: Chunked\r\n"), "ok"},
        AnswerCase{"K28_GzipChunked", answer("Transfer-Encoding: gzip, chunked\r\n"), "refused"},
        AnswerCase{"K28_Identity", answer("Transfer-Encoding: identity\r\n"), "refused"},
        AnswerCase{"K28_ChunkedTwice", answer("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "refused"},
        AnswerCase{"K28_ChunkedOn10", answer("Transfer-Encoding: chunked\r\n", "HTTP/1.0 200 OK"), "refused"},
        AnswerCase{"K28_LengthOn204", answer("Content-Length: 5\r\n", "HTTP/1.1 204 No Content"), "refused"},
        AnswerCase{"K28_ChunkedOn204", answer("Transfer-Encoding: chunked\r\n", "HTTP/1.1 204 No Content"), "refused"},
        AnswerCase{"K28_ZeroOn204", answer("Content-Length: 0\r\n", "HTTP/1.1 204 No Content"), "ok"},
        AnswerCase{"K28_LengthOn304", answer("Content-Length: 5\r\n", "HTTP/1.1 304 Not Modified"), "ok"},
        AnswerCase{"K28_LengthOn103", answer("Content-Length: 5\r\n", "HTTP/1.1 103 Early Hints"), "refused"},
        AnswerCase{"K28_Http09", "hello", "refused"}, AnswerCase{"K28_Http09LooksLikeHtml", "<html>", "refused"},
        AnswerCase{"K28_Http2", answer("", "HTTP/2.0 200 OK"), "refused"}, AnswerCase{"K28_Http12", answer("", "HTTP/1.2 200 OK"), "refused"},
        AnswerCase{"K28_LowerCaseVersion", answer("", "http/1.1 200 OK"), "refused"}, AnswerCase{"K28_EmptyLineFirst", "\r\n" + answer(""), "refused"},
        AnswerCase{"O15_Http2Frame", "\0\0\x12\x04"s, "refused"}, AnswerCase{"Status99", answer("", "HTTP/1.1 099 Low"), "refused"},
        AnswerCase{"Status600", answer("", "HTTP/1.1 600 High"), "refused"}, AnswerCase{"Status599", answer("", "HTTP/1.1 599 Odd"), "ok"},
        AnswerCase{"StatusTwoDigits", answer("", "HTTP/1.1 20 OK"), "refused"},
        AnswerCase{"StatusFourDigits", answer("", "HTTP/1.1 2000 OK"), "refused"}, AnswerCase{"StatusSign", answer("", "HTTP/1.1 +20 OK"), "refused"},
        AnswerCase{"TwoSpaces", answer("", "HTTP/1.1  200 OK"), "refused"},
        AnswerCase{"ReasonWithControl", answer("", "HTTP/1.1 200 O\x01K"), "refused"},
        AnswerCase{"I18_BareLineFeed", answer("X: a\nY: b\r\n"), "refused"}, AnswerCase{"I18_BareReturn", answer("X: a\rY: b\r\n"), "refused"},
        AnswerCase{"I18_LineFeedsOnly", "HTTP/1.1 200 OK\nX: a\n\n", "refused"}, AnswerCase{"I18_SpaceBeforeTheColon", answer("X : a\r\n"), "refused"},
        AnswerCase{"I18_Fold", answer("X: a\r\n b\r\n"), "refused"}, AnswerCase{"I18_Nul", answer("X: a\0b\r\n"s), "refused"},
        AnswerCase{"I18_Delete", answer("X: a\x7f\r\n"), "refused"}, AnswerCase{"I18_NoColon", answer("X\r\n"), "refused"},
        AnswerCase{"I18_EmptyName", answer(": a\r\n"), "refused"}, AnswerCase{"I18_TwinOfFields", answer("X: a b\r\nServer: s\r\n"), "ok"},
        AnswerCase{"I18_ConnectionNoToken", answer("Connection: a b\r\n"), "refused"}, AnswerCase{"O06_Nul", answer("X: \0\r\n"s), "refused"},
        AnswerCase{"Incomplete", "HTTP/1.1 200 OK\r\nX: a", "incomplete"}, AnswerCase{"Nothing", "", "incomplete"},
        AnswerCase{"IncompleteStart", "HTTP/", "incomplete"}),
    [](const auto& row) { return std::string(row.param.name); });

struct FramingCase {
  const char* name;
  std::string text;
  Method method;
  Framing framing;
  std::uint64_t content_length;
};
void PrintTo(const FramingCase& row, std::ostream* out) { *out << row.name; }

class AnswerFraming : public ::testing::TestWithParam<FramingCase> {};
TEST_P(AnswerFraming, K28_FollowsRfc9112) {
  ResponseHead head;
  ASSERT_EQ("ok", answer_verdict(GetParam().text, head, GetParam().method));
  EXPECT_EQ(GetParam().framing, head.framing);
  EXPECT_EQ(GetParam().content_length, head.content_length);
}

INSTANTIATE_TEST_SUITE_P(
    Table, AnswerFraming,
    ::testing::Values(FramingCase{"Length", answer("Content-Length: 5\r\n"), Method::get, Framing::length, 5},
                    FramingCase{"LengthZero", answer("Content-Length: 0\r\n"), Method::get, Framing::length, 0},
                    FramingCase{"Chunked", answer("Transfer-Encoding: chunked\r\n"), Method::get, Framing::chunked, 0},
                    FramingCase{"UntilClose", answer(""), Method::get, Framing::until_close, 0},
                    FramingCase{"K28_HeadKeepsItsLength", answer("Content-Length: 5\r\n"), Method::head, Framing::none, 5},
                    FramingCase{"K28_HeadChunked", answer("Transfer-Encoding: chunked\r\n"), Method::head, Framing::none, 0},
                    FramingCase{"K28_HeadWithout", answer(""), Method::head, Framing::none, 0},
                    FramingCase{"K28_NotModified", answer("Content-Length: 5\r\n", "HTTP/1.1 304 Not Modified"), Method::get, Framing::none,
                                5},
                    FramingCase{"K28_NoContent", answer("", "HTTP/1.1 204 No Content"), Method::get, Framing::none, 0},
                    FramingCase{"Continue", answer("", "HTTP/1.1 100 Continue"), Method::post, Framing::none, 0},
                    FramingCase{"SwitchingProtocols", answer("Upgrade: websocket\r\n", "HTTP/1.1 101 S"), Method::get, Framing::none, 0}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ResponseParser, KeepsTheConnectionAsVersionFramingAndFieldSay) {
  const auto keeps = [](const std::string& text) {
    ResponseHead head;
    EXPECT_EQ("ok", answer_verdict(text, head));
    return head.keep_alive;
  };
  EXPECT_TRUE(keeps(answer("Content-Length: 1\r\n")));
  EXPECT_FALSE(keeps(answer("Content-Length: 1\r\nConnection: close\r\n")));
  EXPECT_FALSE(keeps(answer("Content-Length: 1\r\n", "HTTP/1.0 200 OK")));
  EXPECT_TRUE(keeps(answer("Content-Length: 1\r\nConnection: keep-alive\r\n", "HTTP/1.0 200 OK")));
  EXPECT_FALSE(keeps(answer("Connection: keep-alive\r\n"))) << "a body until close ends the connection";
}

TEST(ResponseParser, O06_TakesAHeadUpToItsLimit) {
  const auto head_of = [](std::size_t bytes) { return answer("X: " + std::string(bytes - answer("X: \r\n").size(), 'x') + "\r\n"); };
  EXPECT_EQ("ok", answer_verdict(head_of(Limits::kAnswerHeaderBytesMax)));
  EXPECT_EQ("refused", answer_verdict(head_of(Limits::kAnswerHeaderBytesMax + 1)));
  EXPECT_EQ("refused", answer_verdict(answer("X: " + std::string(70'000, 'x'))));
}

TEST(ResponseParser, O06_TakesFieldsUpToTheirLimit) {
  const auto fields = [](std::size_t count) {
    std::string lines;
    for (std::size_t i = 0; i < count; ++i) lines += "X: 1\r\n";
    return answer(lines);
  };
  EXPECT_EQ("ok", answer_verdict(fields(Limits::kAnswerHeaderFieldsMax)));
  EXPECT_EQ("refused", answer_verdict(fields(Limits::kAnswerHeaderFieldsMax + 1)));
  EXPECT_EQ("refused", answer_verdict(fields(10'000)));
}

TEST(ResponseParser, I18_TakesTextInAValueAndNoControlByte) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool fine = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
    EXPECT_EQ(fine ? "ok" : "refused", answer_verdict(answer("X: a"s + static_cast<char>(byte) + "b\r\n"))) << byte;
  }
}

}  // namespace
}  // namespace sallyport::http
