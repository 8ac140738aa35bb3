#include "identity/claims.hpp"

#include <array>
#include <string>

#include <malloc.h>

#include <gtest/gtest.h>

namespace sallyport::identity {
namespace {

// As text, and how many values parse_members() counted in it.
Claims unread(const std::string& text) {
  const auto members = Json::parse_members(text, {}, {});
  EXPECT_TRUE(members) << text;
  return {text, members ? members->values : 0};
}

const std::array<std::string, 6> kDocuments{
    "{}",
    R"({"sub":"alice","roles":["reader"],"email":"a-longer-one@example.com"})",
    R"({"a":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]})",
    R"({"a":[[],[],[[],[]],{},{"":{}}]})",
    R"({"a":"0123456789abcdef","0123456789abcdef":"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"})",
    R"({"a":true,"b":null,"c":-1.5e3,"d":18446744073709551615})",
};

TEST(Claims, AreTheSameReadAtOnceOrWhenSomebodyAsks) {
  for (const std::string& text : kDocuments) {
    const Claims claims = unread(text);
    const Claims copy = claims;
    EXPECT_EQ(claims.json(), *Json::parse(text)) << text;
    EXPECT_EQ(&claims.json(), &claims.json()) << "once";
    EXPECT_EQ(copy.json(), claims.json());
  }
  EXPECT_TRUE(Claims().json().is_null());
}

// A cache is bounded by what it was told when it took them.
TEST(Claims, TakeNoMoreMemoryWhenTheyAreReadThanWasSaidBefore) {
  for (const std::string& text : kDocuments) {
    const Claims claims = unread(text);
    const std::size_t said = claims.bytes();
    EXPECT_GE(said, text.size());
    (void)claims.json();
    EXPECT_EQ(claims.bytes(), said) << "and what is said stays";
    // What strings hold in themselves, up to 15 bytes, is counted of what was read at once.
    const std::size_t in_themselves = 15 * (text.size() / 2);
    EXPECT_GE(said + in_themselves, Claims(*Json::parse(text)).bytes()) << text;
  }
}

// By glibc's count; sanitizers bring an allocator of their own, of which it knows nothing.
TEST(Claims, LeaveTheirTextWhenTheyAreRead) {
  const std::string text = R"({"a":")" + std::string(60'000, 'x') + "\"}";
  (void)unread(text).json();  // what the parser keeps for the next document
  const std::size_t before = ::mallinfo2().uordblks;
  const Claims claims = unread(text);
  (void)claims.json();
  constexpr std::size_t kSmall = 4096;
  EXPECT_LE(::mallinfo2().uordblks - before, claims.bytes() + kSmall);
}

}  // namespace
}  // namespace sallyport::identity
