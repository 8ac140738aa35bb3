#include "http/cookie.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstring>

namespace sallyport::http {
namespace {

struct Read {
  std::vector<std::string> pairs;  // name|value
  std::size_t malformed = 0;
};

Read read(std::string_view field) {
  Read result;
  CookieReader reader(field);
  CookiePair pair;
  while (reader.next(pair)) {
    EXPECT_EQ(std::string(pair.name) + "=" + std::string(pair.value), pair.text);
    result.pairs.push_back(std::string(pair.name) + "|" + std::string(pair.value));
  }
  EXPECT_FALSE(reader.next(pair)) << "the end is the end";
  result.malformed = reader.malformed();
  return result;
}

using Pairs = std::vector<std::string>;

TEST(CookieReader, WalksThePairsInOrder) {
  const Read got = read("a=1; __Host-session=abc.DEF; b=");
  EXPECT_EQ((Pairs{"a|1", "__Host-session|abc.DEF", "b|"}), got.pairs);
  EXPECT_EQ(0U, got.malformed);
}

TEST(CookieReader, GivesViewsIntoTheField) {
  const std::string field = "a=1; b=2";
  CookieReader reader(field);
  CookiePair pair;
  ASSERT_TRUE(reader.next(pair));
  ASSERT_TRUE(reader.next(pair));
  EXPECT_EQ(static_cast<const void*>(field.data() + 5), pair.text.data());
}

TEST(CookieReader, F01_FindsNothingInDelimiters) {
  for (const std::string_view field : {";", "=", ";;=;", ",;=", "   ", "", "; ; ;", "=;=", "=a", ",", "a", ";a"}) {
    EXPECT_TRUE(read(field).pairs.empty()) << field;
  }
  EXPECT_EQ(8192U, read(std::string(8192, ';')).malformed);
}

TEST(CookieReader, F02_ShowsEachOfTwoCookiesWithOneName) {
  EXPECT_EQ((Pairs{"session|good", "session|bad"}), read("session=good; session=bad").pairs);
  EXPECT_EQ((Pairs{"session|bad", "session|good"}), read("session=bad;session=good").pairs) << "a missing space hides none";
}

TEST(CookieReader, F04_KeepsLetterCaseAndQuotes) {
  EXPECT_EQ((Pairs{"SESSION|x", "$Version|1", "session|\"id\""}), read("SESSION=x; $Version=1; session=\"id\"").pairs);
  EXPECT_TRUE(read("session=\"a\\\"b\"").pairs.empty());
  EXPECT_TRUE(read("session=\"a").pairs.empty());
  EXPECT_TRUE(read("session=a\"").pairs.empty());
  EXPECT_TRUE(read("session=\"").pairs.empty());
}

TEST(CookieReader, F05_TakesEachCookieOctetAndNoOther) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == ';') continue;
    const std::string field = std::string("s=a") + static_cast<char>(byte) + "b; t=1";
    const bool fine = byte > 0x20 && byte < 0x7F && byte != '"' && byte != ',' && byte != '\\';
    const Read got = read(field);
    EXPECT_EQ(fine ? 2U : 1U, got.pairs.size()) << byte;
    EXPECT_EQ(fine ? 0U : 1U, got.malformed) << byte;
  }
}

TEST(CookieReader, F05_TakesEachTokenByteInANameAndNoOther) {
  for (int byte = 0; byte < 256; ++byte) {
    if (byte == ';' || byte == '=') continue;
    const std::string field = std::string("a") + static_cast<char>(byte) + "b=1";
    const bool fine = byte < 128 && (std::isalnum(byte) != 0 || (byte != 0 && std::strchr("!#$%&'*+-.^_`|~", byte) != nullptr));
    EXPECT_EQ(fine, !read(field).pairs.empty()) << byte;
  }
}

TEST(CookieReader, F06_TakesOnlyTheExactName) {
  EXPECT_EQ((Pairs{"xsession|good", "session|"}), read("xsession=good; session=").pairs);
  for (const std::string_view field : {"session =good", "a=1; \tsession=good", "a=1;  session=good", " session=good", "session= good"}) {
    for (const std::string& pair : read(field).pairs) EXPECT_FALSE(pair.starts_with("session")) << field;
    EXPECT_EQ(1U, read(field).malformed) << field;
  }
  EXPECT_EQ((Pairs{"session|good"}), read("session=good").pairs);
}

TEST(CookieReader, KeepsFurtherEqualsSignsInTheValue) { EXPECT_EQ((Pairs{"a|b=c=="}), read("a=b=c==").pairs); }

}  // namespace
}  // namespace sallyport::http
