// What each thread remembers of headers: it may save work and never change an answer. What a header may say: jwt_test.cpp.
#include "authenticate/jose_header.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

std::optional<JoseHeader> header_of(std::string_view encoded) {
  JoseHeader header;
  if (JoseHeader::read(encoded, header)) return std::nullopt;
  return header;
}
std::optional<JoseHeader> header_of_text(std::string_view header) { return header_of(base64url_encode(header)); }

std::string header_with_key_id(int number) { return R"({"alg":"ES256","typ":"JWT","kid":"key-)" + std::to_string(number) + "\"}"; }

TEST(JoseHeader, SaysTheSameEachTime) {
  for (int round = 0; round < 3; ++round) {
    const std::optional<JoseHeader> header = header_of_text(R"({"alg":"RS256","kid":"a","typ":"at+jwt"})");
    ASSERT_TRUE(header);
    EXPECT_EQ(header->algorithm, Algorithm::rs256);
    EXPECT_EQ(header->key_id, "a");
    EXPECT_EQ(header->type, "at+jwt");
    const std::optional<JoseHeader> bare = header_of_text(R"({"alg":"HS256"})");
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->algorithm, Algorithm::hs256);
    EXPECT_EQ(bare->key_id, std::nullopt);
    EXPECT_EQ(bare->type, std::nullopt);
  }
}

// Many more than there are places, so that they push each other out.
TEST(JoseHeader, IsNeverTakenForAnotherThatBelongsToTheSamePlace) {
  for (int round = 0; round < 2; ++round) {
    for (int number = 0; number < 2000; ++number) {
      const std::optional<JoseHeader> header = header_of_text(header_with_key_id(number));
      ASSERT_TRUE(header);
      ASSERT_EQ(header->key_id, "key-" + std::to_string(number));
    }
  }
}

TEST(JoseHeader, RefusesWhatDiffersInOneByteFromOneThatItRemembers) {
  const std::string known = base64url_encode(header_with_key_id(1));
  ASSERT_TRUE(header_of(known));
  for (std::size_t i = 0; i < known.size(); ++i) {
    std::string other = known;
    other[i] = '=';
    ASSERT_FALSE(header_of(other)) << i;
    ASSERT_FALSE(header_of(known.substr(0, i))) << i;
    ASSERT_FALSE(header_of(known + std::string(i + 1, '='))) << i;
  }
  EXPECT_TRUE(header_of(known));
}

TEST(JoseHeader, RefusesTheSameHeaderAgain) {
  for (const char* header : {"", "[]", R"({"alg":"none"})", R"({"alg":"ES256","alg":"ES256"})", R"({"alg":"ES256","kid":1})",
                             R"({"alg":"ES256","typ":null})", R"({"alg":"ES256","crit":["exp"]})", R"({"alg":"ES256","jwk":{}})"}) {
    for (int round = 0; round < 3; ++round) EXPECT_FALSE(header_of_text(header)) << header;
  }
}

}  // namespace
}  // namespace sallyport::authenticate
