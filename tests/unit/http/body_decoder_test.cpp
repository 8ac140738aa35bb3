#include "http/body_decoder.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sallyport::http {
namespace {

using namespace std::string_literals;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

struct Framed {
  Framing framing = Framing::chunked;
  std::uint64_t content_length = 0;
  std::uint64_t bytes_max = kNoLimit;
  std::size_t trailer_bytes_max = 16 * 1024;
  std::size_t trailer_fields_max = 100;
};

struct Decoded {
  BodyDecoder::State state = BodyDecoder::State::more;
  std::string content;
  std::size_t consumed = 0;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};
void PrintTo(const Decoded& decoded, std::ostream* out) {
  *out << "state " << static_cast<int>(decoded.state) << ", consumed " << decoded.consumed << ", content '" << decoded.content << "'";
}

// Feeds `text` in pieces of at most `piece` bytes. A caller never has to keep a byte that was taken.
Decoded decode_in_pieces(std::string_view text, const Framed& setup, std::size_t piece) {
  BodyDecoder decoder;
  decoder.start(setup.framing, setup.content_length, setup.bytes_max, setup.trailer_bytes_max, setup.trailer_fields_max);
  Decoded decoded;
  while (true) {
    const std::string_view input = text.substr(decoded.consumed, piece);
    const BodyDecoder::Step step = decoder.step(input);
    EXPECT_LE(step.consumed, input.size());
    if (!step.content.empty()) {
      EXPECT_TRUE(step.content.data() >= input.data() && step.content.data() + step.content.size() <= input.data() + step.consumed);
    }
    decoded.consumed += step.consumed;
    decoded.content += step.content;
    decoded.state = step.state;
    if (step.state != BodyDecoder::State::more) {
      EXPECT_EQ(step.state, decoder.step(input).state) << "the last state stays";
      EXPECT_EQ(0U, decoder.step(input).consumed);
      break;
    }
    if (step.consumed == 0) break;
  }
  EXPECT_EQ(decoded.content.size(), decoder.content_bytes());
  EXPECT_EQ(decoded.state == BodyDecoder::State::end, decoder.complete());
  return decoded;
}

Decoded decode(std::string_view text, const Framed& setup = {}) {
  const Decoded whole = decode_in_pieces(text, setup, text.size() + 1);
  Decoded split = decode_in_pieces(text, setup, 1);
  if (whole.state != BodyDecoder::State::end) split.consumed = whole.consumed;  // a refusing step takes nothing of its piece
  EXPECT_EQ(whole, split) << "the result depends on how the bytes arrive";
  return whole;
}

std::string verdict_of(std::string_view text, const Framed& setup = {}) {
  switch (decode(text, setup).state) {
    case BodyDecoder::State::more: return "more";
    case BodyDecoder::State::end: return "end";
    case BodyDecoder::State::malformed: return "malformed";
    case BodyDecoder::State::too_large: return "too_large";
  }
  return "?";
}

TEST(BodyDecoder, TakesTheChunksApart) {
  const std::string text = "5\r\nhello\r\nb\r\n, the gate!\r\n0\r\n\r\n";
  const Decoded good = decode(text + "GET /");
  EXPECT_EQ(BodyDecoder::State::end, good.state);
  EXPECT_EQ("hello, the gate!", good.content);
  EXPECT_EQ(text.size(), good.consumed) << "the next request is left alone";
}

TEST(BodyDecoder, K14_TakesALengthApartFromTheNextRequest) {
  Framed setup{.framing = Framing::length, .content_length = 5};
  const Decoded decoded = decode("helloGET /admin", setup);
  EXPECT_EQ(BodyDecoder::State::end, decoded.state);
  EXPECT_EQ("hello", decoded.content);
  EXPECT_EQ(5U, decoded.consumed);
  EXPECT_EQ("more", verdict_of("hell", setup));
}

TEST(BodyDecoder, HasNothingToReadWithoutABody) {
  EXPECT_EQ((Decoded{BodyDecoder::State::end, "", 0}), decode("GET /", {.framing = Framing::none}));
  EXPECT_EQ((Decoded{BodyDecoder::State::end, "", 0}), decode("GET /", {.framing = Framing::length, .content_length = 0}));
}

TEST(BodyDecoder, ReadsUntilCloseAndEndsThere) {
  BodyDecoder decoder;
  decoder.start(Framing::until_close, 0, kNoLimit, 0, 0);
  EXPECT_EQ("hello", decoder.step("hello").content);
  EXPECT_FALSE(decoder.complete());
  EXPECT_TRUE(decoder.end_of_input());
  EXPECT_EQ(BodyDecoder::State::end, decoder.step("").state);
}

TEST(BodyDecoder, K11_IsNotCompleteWhenTheInputEndsEarly) {
  for (const std::string_view text :
       {"", "5", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "0\r\nX: a\r\n", "0\r\n\r"}) {
    BodyDecoder decoder;
    decoder.start(Framing::chunked, 0, kNoLimit, 100, 10);
    std::size_t at = 0;
    while (at < text.size()) at += decoder.step(text.substr(at)).consumed;
    EXPECT_FALSE(decoder.end_of_input()) << text;
    EXPECT_FALSE(decoder.complete()) << text;
  }
  BodyDecoder counted;
  counted.start(Framing::length, 2, kNoLimit, 0, 0);
  EXPECT_EQ(1U, counted.step("a").consumed);
  EXPECT_FALSE(counted.end_of_input());
  EXPECT_EQ(1U, counted.step("b").consumed);
  EXPECT_TRUE(counted.end_of_input());
}

TEST(BodyDecoder, StartsAfresh) {
  BodyDecoder decoder;
  decoder.start(Framing::chunked, 0, kNoLimit, 100, 10);
  EXPECT_EQ(BodyDecoder::State::malformed, decoder.step("x").state);
  decoder.start(Framing::length, 1, kNoLimit, 100, 10);
  EXPECT_EQ("a", decoder.step("ab").content);
  EXPECT_TRUE(decoder.complete());
  EXPECT_EQ(1U, decoder.content_bytes());
}

struct Case {
  const char* name;
  std::string text;
  std::string_view expected;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class ChunkedBody : public ::testing::TestWithParam<Case> {};
TEST_P(ChunkedBody, K09_K10_K11_K12_K13_K25_IsTakenOrRefused) { EXPECT_EQ(GetParam().expected, verdict_of(GetParam().text)); }

// A chunk of one byte with this size line.
std::string sized(std::string_view line) { return std::string(line) + "\r\nx\r\n0\r\n\r\n"; }
std::string trailed(std::string_view lines) { return "1\r\nx\r\n0\r\n" + std::string(lines) + "\r\n"; }

INSTANTIATE_TEST_SUITE_P(
    Table, ChunkedBody,
    ::testing::Values(
        Case{"K10_Twin", sized("1"), "end"}, Case{"K10_Prefix", sized("0x1"), "malformed"},
        Case{"K10_SpaceFirst", sized(" 1"), "malformed"}, Case{"K10_SpaceLast", sized("1 "), "malformed"},
        Case{"K10_TabLast", sized("1\t"), "malformed"}, Case{"K10_Plus", sized("+1"), "malformed"},
        Case{"K10_Minus", sized("-1"), "malformed"}, Case{"K10_Underscore", sized("1_0"), "malformed"},
        Case{"K10_Empty", sized(""), "malformed"}, Case{"K10_NoHex", sized("g"), "malformed"},
        Case{"K10_SixteenDigits", sized("0000000000000001"), "end"}, Case{"K10_SeventeenDigits", sized("00000000000000001"), "malformed"},
        Case{"K10_SeventeenDigitsHuge", sized("10000000000000001"), "malformed"},
        Case{"K10_AllOnes", sized("FFFFFFFFFFFFFFFF"), "malformed"}, Case{"K10_TwoToThe60", sized("1000000000000000"), "malformed"},
        Case{"K10_FifteenDigits", "FFFFFFFFFFFFFFF\r\nx", "more"}, Case{"K10_LowerCase", "a\r\n0123456789\r\n0\r\n\r\n", "end"},
        Case{"K10_UpperCase", "A\r\n0123456789\r\n0\r\n\r\n", "end"}, Case{"K10_QuotedSize", sized("\"1\""), "malformed"},
        Case{"K11_DataLonger", "1\r\nxy\r\n0\r\n\r\n", "malformed"}, Case{"K11_DataShorter", "2\r\nx\r\n0\r\n\r\n", "malformed"},
        Case{"K11_NoCrLfBehindTheData", "1\r\nx0\r\n\r\n", "malformed"}, Case{"K11_NoFinalChunk", "1\r\nx\r\n", "more"},
        Case{"K11_NoFinalLine", "1\r\nx\r\n0\r\n", "more"}, Case{"K11_LastChunkOfManyZeros", "000\r\n\r\n", "end"},
        Case{"K09_LineFeedBehindTheSize", "1\nx\r\n0\r\n\r\n", "malformed"},
        Case{"K09_LineFeedBehindTheData", "1\r\nx\n0\r\n\r\n", "malformed"},
        Case{"K09_LineFeedBehindTheLastSize", "1\r\nx\r\n0\n\r\n", "malformed"}, Case{"K09_LineFeedAtTheEnd", "0\r\n\n", "malformed"},
        Case{"K09_LineFeedBehindATrailer", "0\r\nX: a\n\r\n", "malformed"},
        Case{"K09_ReturnBehindTheSize", "1\rx\r\n0\r\n\r\n", "malformed"}, Case{"K09_TwoReturns", "1\r\r\nx\r\n0\r\n\r\n", "malformed"},
        Case{"K09_TwoReturnsBehindTheData", "1\r\nx\r\r\n0\r\n\r\n", "malformed"},
        Case{"K09_ReturnInATrailer", "0\r\nX: a\rb\r\n\r\n", "malformed"}, Case{"K09_ReturnAtTheEnd", "0\r\n\rx", "malformed"},
        Case{"K12_TokenExtension", sized("1;a"), "end"}, Case{"K12_TokenValue", sized("1;a=b"), "end"},
        Case{"K12_QuotedValue", sized("1;a=\"b; c\\\"\t\xE9\""), "end"}, Case{"K12_EmptyQuotes", sized("1;a=\"\""), "end"},
        Case{"K12_Several", sized("1;a;b=c;d=\"e\";f"), "end"}, Case{"K12_OnTheLastChunk", "1\r\nx\r\n0;a=\"b\"\r\n\r\n", "end"},
        Case{"K12_EmptyName", sized("1;"), "malformed"}, Case{"K12_EmptyNameThenMore", sized("1;;a"), "malformed"},
        Case{"K12_EmptyValue", sized("1;a="), "malformed"}, Case{"K12_OnlyAValue", sized("1;=a"), "malformed"},
        Case{"K12_TwoValues", sized("1;a=b=c"), "malformed"}, Case{"K12_TextBehindTheQuotes", sized("1;a=\"b\"c"), "malformed"},
        Case{"K12_Space", sized("1; a"), "malformed"}, Case{"K12_SpaceBeforeTheSemicolon", sized("1 ;a"), "malformed"},
        Case{"K12_QuotedLineFeed", sized("1;a=\"\n\""), "malformed"}, Case{"K12_QuotedCrLf", sized("1;a=\"\r\n\""), "malformed"},
        Case{"K12_QuotedNul", sized("1;a=\"\0\""s), "malformed"}, Case{"K12_QuotedReturn", sized("1;a=\"\r\""), "malformed"},
        Case{"K12_QuotedDelete", sized("1;a=\"\x7f\""), "malformed"}, Case{"K12_EscapedLineFeed", sized("1;a=\"\\\n\""), "malformed"},
        Case{"K12_EscapedNul", sized("1;a=\"\\\0\""s), "malformed"}, Case{"K12_Unclosed", sized("1;a=\"b"), "malformed"},
        Case{"K12_LineFeedInAName", sized("1;a\nb"), "malformed"}, Case{"K12_LongestLine", sized("1;" + std::string(254, 'a')), "end"},
        Case{"K12_LineTooLong", sized("1;" + std::string(255, 'a')), "malformed"},
        Case{"K12_SixtyFourKiB", sized("1;a=\"" + std::string(65'536, 'a') + "\""), "malformed"},
        Case{"K13_FourKiBOfZeros", std::string(4096, '0') + "1\r\nx\r\n0\r\n\r\n", "malformed"},
        Case{"K13_FourKiBOfZerosAtTheEnd", std::string(4096, '0') + "\r\n\r\n", "malformed"},
        Case{"K25_Dropped",
             trailed("Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: Bearer x\r\nX-User-Id: admin\r\n"),
             "end"},
        Case{"K25_EmptyValue", trailed("X:\r\n"), "end"}, Case{"K25_NoColon", trailed("X\r\n"), "malformed"},
        Case{"K25_EmptyName", trailed(": a\r\n"), "malformed"}, Case{"K25_SpaceBeforeTheColon", trailed("X : a\r\n"), "malformed"},
        Case{"K25_Fold", trailed("X: a\r\n b\r\n"), "malformed"}, Case{"K25_Nul", trailed("X: a\0b\r\n"s), "malformed"},
        Case{"K25_Delete", trailed("X: \x7f\r\n"), "malformed"}, Case{"K25_RawName", trailed("X\xE9: a\r\n"), "malformed"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(BodyDecoder, K25_HandsOutNothingOfTrailersAndExtensions) {
  EXPECT_EQ("x", decode("1;name=\"value\"\r\nx\r\n0;last\r\nX-User-Id: admin\r\nHost: evil\r\n\r\n").content);
}

TEST(BodyDecoder, K12_TakesEachByteInAQuotedExtensionThatTheGrammarTakes) {
  for (int byte = 0; byte < 256; ++byte) {
    const bool text = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
    const bool fine = text && byte != '"' && byte != '\\';
    const char c = static_cast<char>(byte);
    if (byte != '"' && byte != '\\') {
      EXPECT_EQ(fine ? "end" : "malformed", verdict_of(sized("1;a=\"b"s + c + "\""))) << byte;
    }
    EXPECT_EQ(text ? "end" : "malformed", verdict_of(sized("1;a=\"b\\"s + c + "\""))) << byte << " escaped";
  }
}

TEST(BodyDecoder, K26_CountsTrailerFields) {
  const auto fields = [](std::size_t count) {
    std::string lines;
    for (std::size_t i = 0; i < count; ++i) lines += "X: 1\r\n";
    return trailed(lines);
  };
  EXPECT_EQ("end", verdict_of(fields(100)));
  EXPECT_EQ("malformed", verdict_of(fields(101)));
  EXPECT_EQ("malformed", verdict_of(fields(1000)));
}

TEST(BodyDecoder, K26_CountsTrailerBytes) {
  const Framed setup{.trailer_bytes_max = 10};
  EXPECT_EQ("end", verdict_of("0\r\nX:1234\r\n\r\n", setup)) << "ten bytes with the empty line";
  EXPECT_EQ("malformed", verdict_of("0\r\nX:12345\r\n\r\n", setup));
  EXPECT_EQ("malformed", verdict_of(trailed("X: " + std::string(600'000, 'a') + "\r\n")));
}

TEST(BodyDecoder, K27_RefusesALongTrailerWithoutKeepingIt) {
  for (const std::size_t bytes : {65'533U, 65'534U, 70'000U, 200'000U}) {
    EXPECT_EQ("malformed", verdict_of(trailed("X: " + std::string(bytes, 'v') + "\r\n"))) << bytes;
    EXPECT_EQ("malformed", verdict_of(trailed(std::string(bytes, 'n') + ": 1\r\n"))) << bytes;
  }
  EXPECT_EQ("end", verdict_of(trailed("X: " + std::string(16'000, 'v') + "\r\n"))) << "the twin below the limit";
}

TEST(BodyDecoder, M07_TakesExactlyTheLimitByChunks) {
  Framed setup{.bytes_max = 10};
  EXPECT_EQ("end", verdict_of("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", setup));
  EXPECT_EQ("too_large", verdict_of("5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n", setup));
  EXPECT_EQ("too_large", verdict_of("b\r\n", setup)) << "before a byte of the chunk came";
  EXPECT_EQ("too_large", verdict_of("FFFFFFFFFFFFFFF\r\n", setup));
}

TEST(BodyDecoder, M07_TakesExactlyTheLimitByLength) {
  EXPECT_EQ("end", verdict_of("0123456789", {.framing = Framing::length, .content_length = 10, .bytes_max = 10}));
  EXPECT_EQ("too_large", verdict_of("", {.framing = Framing::length, .content_length = 11, .bytes_max = 10}));
}

TEST(BodyDecoder, M07_TakesExactlyTheLimitUntilClose) {
  const Framed setup{.framing = Framing::until_close, .bytes_max = 10};
  EXPECT_EQ("0123456789", decode("0123456789", setup).content);
  EXPECT_EQ("more", verdict_of("0123456789", setup));
  EXPECT_EQ("too_large", verdict_of("0123456789a", setup));
}

// Hazards row 93: a kilobyte of extension for each byte of content.
TEST(BodyDecoder, K12_BoundsWhatExtensionsMayOutweighTheContent) {
  const std::string heavy = "1;" + std::string(200, 'a') + "\r\nx\r\n";
  std::string body;
  for (int i = 0; i < 1000; ++i) body += heavy;
  EXPECT_EQ("too_large", verdict_of(body + "0\r\n\r\n"));
  // Signed chunks as clients send them: 85 bytes for 8 KiB.
  const std::string signed_chunk = "2000;chunk-signature=" + std::string(64, 'f') + "\r\n" + std::string(8192, 'x') + "\r\n";
  std::string upload;
  for (int i = 0; i < 400; ++i) upload += signed_chunk;
  EXPECT_EQ("end", verdict_of(upload + "0;chunk-signature=" + std::string(64, 'f') + "\r\n\r\n"));
}

TEST(BodyDecoder, TakesBinaryContent) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(bytes, decode("100\r\n" + bytes + "\r\n0\r\n\r\n").content);
}

}  // namespace
}  // namespace sallyport::http
