#include "base/text.hpp"

#include <array>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string bytes_of_length(std::size_t length) {
  std::mt19937 random(static_cast<unsigned>(length));
  std::string bytes(length, '\0');
  for (char& c : bytes) c = static_cast<char>(random() & 0xFFU);
  return bytes;
}

TEST(Base64url, KnowsTheVectorsOfRfc4648) {
  const std::vector<std::pair<std::string, std::string>> vectors{
      {"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64url_encode(bytes), text);
    EXPECT_EQ(base64url_decode(text), bytes);
  }
}

TEST(Base64url, UsesTheUrlAlphabet) {
  EXPECT_EQ(base64url_encode("\xfb\xff\xbf"), "-_-_");
  EXPECT_EQ(base64url_decode("-_-_"), "\xfb\xff\xbf");
}

TEST(Base64url, GivesBackEveryLength) {
  for (std::size_t length = 0; length <= 300; ++length) {
    const std::string bytes = bytes_of_length(length);
    const std::string text = base64url_encode(bytes);
    EXPECT_EQ(text.size(), (length * 4 + 2) / 3);
    EXPECT_EQ(base64url_decode(text), bytes) << length;
  }
}

TEST(Base64url, B04_RefusesEveryLengthOfFourNPlusOne) {
  for (std::size_t length = 0; length <= 130; ++length) {
    EXPECT_EQ(base64url_decode(std::string(length, 'A')).has_value(), length % 4 != 1) << length;
  }
}

TEST(Base64url, B03_RefusesEveryUnusedTrailingBit) {
  // Two and three characters at the end, behind zero to two whole groups: each last character is accepted only when what it adds is zero.
  for (const std::string_view prefix : {"", "Zm9v", "Zm9vYmFy"}) {
    for (std::size_t value = 0; value < kAlphabet.size(); ++value) {
      const std::string two = std::string(prefix) + "A" + kAlphabet[value];
      const std::string three = std::string(prefix) + "AA" + kAlphabet[value];
      EXPECT_EQ(base64url_decode(two).has_value(), value % 16 == 0) << two;
      EXPECT_EQ(base64url_decode(three).has_value(), value % 4 == 0) << three;
    }
  }
}

TEST(Base64url, B01_B02_B05_RefusesEveryOtherByteAtEveryPlace) {
  for (const std::string_view good : {"Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"}) {
    ASSERT_TRUE(base64url_decode(good));
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (kAlphabet.find(c) != std::string_view::npos) continue;
      for (std::size_t place = 0; place <= good.size(); ++place) {
        std::string inserted(good);
        inserted.insert(place, 1, c);
        EXPECT_FALSE(base64url_decode(inserted)) << byte << " at " << place;
        if (place == good.size()) continue;
        std::string replaced(good);
        replaced[place] = c;
        EXPECT_FALSE(base64url_decode(replaced)) << byte << " at " << place;
      }
    }
  }
}

TEST(Base64url, B01_RefusesPadding) {
  for (const std::string_view text : {"Zg==", "Zg=", "Zm8=", "Zm9v=", "Zm9v====", "=", "==", "====", "Z===", "Zg%3D%3D"}) {
    EXPECT_FALSE(base64url_decode(text)) << text;
  }
}

TEST(Base64url, ReusesTheBufferItIsGiven) {
  std::string out = "what stood here before";
  EXPECT_TRUE(base64url_decode("Zm9v", out));
  EXPECT_EQ(out, "foo");
  EXPECT_TRUE(base64url_decode("", out));
  EXPECT_EQ(out, "");
  EXPECT_FALSE(base64url_decode("Zm9v!", out));
}

TEST(Base64, PadsAndUsesTheStandardAlphabet) {
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foo"), "Zm9v");
  EXPECT_EQ(base64_encode("\xfb\xff\xbf"), "+/+/");
}

TEST(Hex, EncodesInLowerCase) {
  EXPECT_EQ(hex_encode("\x00\x7f\xff\xa0"s), "007fffa0");
  EXPECT_EQ(hex_encode(""), "");
  EXPECT_EQ(hex_encode("\x01\x23\x45\x67\x89\xab\xcd\xef\xf0\x0f"s), "0123456789abcdeff00f");
  std::string every;
  std::string expected;
  for (int byte = 0; byte < 256; ++byte) {
    every.push_back(static_cast<char>(byte));
    expected += fmt::format("{:02x}", byte);
  }
  EXPECT_EQ(hex_encode(every), expected);
  std::array<char, 16> digits{};
  hex_encode(std::uint64_t{0xFEDCBA98765432}, digits.data());
  EXPECT_EQ(std::string_view(digits.data(), digits.size()), "00fedcba98765432");
}

TEST(Hex, KnowsItsDigits) {
  std::string digits;
  for (int byte = 0; byte < 256; ++byte) {
    if (hex_digit(static_cast<char>(byte))) digits.push_back(static_cast<char>(byte));
  }
  EXPECT_EQ(digits, "0123456789ABCDEFabcdef");
  EXPECT_EQ(hex_digit('9'), 9);
  EXPECT_EQ(hex_digit('f'), 15);
  EXPECT_EQ(hex_digit('A'), 10);
}

TEST(ParseDecimal, TakesDigitsOnly) {
  EXPECT_EQ(parse_decimal("0"), 0U);
  EXPECT_EQ(parse_decimal("007"), 7U);
  EXPECT_EQ(parse_decimal("0000000000000000000000000000007"), 7U);
  EXPECT_EQ(parse_decimal("9999999999999999999"), 9999999999999999999U);
  EXPECT_EQ(parse_decimal("10000000000000000000"), 10000000000000000000U);
  EXPECT_EQ(parse_decimal("18446744073709551615"), 18446744073709551615U);
  for (const std::string_view text :
       {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3", "1:", "1/", "\xb1", "18446744073709551616", "99999999999999999999999", "a"}) {
    EXPECT_EQ(parse_decimal(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_decimal("1\0"s), std::nullopt);
}

TEST(Utf8, AcceptsWhatIsWellFormed) {
  for (const std::string_view text : {"", "plain", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
                                      "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  EXPECT_TRUE(is_utf8("nul\0inside"s));
}

TEST(Utf8, RefusesWhatIsNot) {
  for (const std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2 ", "\xE0\x9F\xBF", "\xE2\x82", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
    EXPECT_FALSE(is_utf8(std::string(70, 'x') + std::string(text) + "y")) << testing::PrintToString(text);
  }
}

TEST(Token, IsOneOrMoreTchars) {
  constexpr std::string_view kTchars = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(is_token(text), kTchars.find(text) != std::string_view::npos) << byte;
  }
  EXPECT_FALSE(is_token(""));
  EXPECT_TRUE(is_token("X-Auth_Subject"));
  EXPECT_FALSE(is_token("X Auth"));
}

TEST(IgnoringCase, FoldsAsciiOnly) {
  EXPECT_TRUE(equals_ignoring_case("Content-Length", "content-LENGTH"));
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));
  EXPECT_FALSE(equals_ignoring_case("@", "`"));
  EXPECT_FALSE(equals_ignoring_case("\xC3\x84", "\xC3\xA4"));
  EXPECT_EQ(to_lower("ABCxyz[\xC3\x84"), "abcxyz[\xC3\x84");
}

TEST(TrimOws, TakesSpacesAndTabsFromBothEnds) {
  EXPECT_EQ(trim_ows(" \t a b \t"), "a b");
  EXPECT_EQ(trim_ows(" \t "), "");
  EXPECT_EQ(trim_ows(""), "");
  EXPECT_EQ(trim_ows("\r\na\v"), "\r\na\v");
}

TEST(Split, KeepsEmptyPieces) {
  EXPECT_THAT(split("a,b,c", ','), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split(",a,,", ','), ElementsAre("", "a", "", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  EXPECT_THAT(split("abc", ','), ElementsAre("abc"));
}

}  // namespace
}  // namespace sallyport
