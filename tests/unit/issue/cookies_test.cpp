#include "issue/cookies.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace sallyport::issue {
namespace {

using authenticate::SameSite;
using std::chrono::seconds;

TEST(Cookies, F03_AreAlwaysSecureHttpOnlyOfTheWholeSiteAndOfNoDomain) {
  EXPECT_EQ(set_cookie("__Host-session", "abc-_.9", SameSite::strict, std::nullopt),
            "__Host-session=abc-_.9; Path=/; Secure; HttpOnly; SameSite=Strict");
  EXPECT_EQ(set_cookie("__Host-access", "a.b.c", SameSite::lax, seconds(900)),
            "__Host-access=a.b.c; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=900");
  EXPECT_EQ(set_cookie("s", "v", SameSite::none, seconds(1)), "s=v; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=1");
}

TEST(Cookies, AreClearedByAnEmptyValueThatIsOverAtOnce) {
  EXPECT_EQ(clear_cookie("__Host-session", SameSite::strict), "__Host-session=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
}

TEST(Cookies, RefuseAValueOrNameThatWouldEndTheField) {
  for (const char* value : {"a\r\nSet-Cookie: x=y", "a; Domain=evil.example", "a b", "a,b", "\"a\"", "a=", "\x80"}) {
    EXPECT_THROW((void)set_cookie("s", value, SameSite::strict, std::nullopt), std::invalid_argument) << value;
  }
  for (const char* name : {"", "a b", "a=b", "a;b", "a\n"}) {
    EXPECT_THROW((void)set_cookie(name, "v", SameSite::strict, std::nullopt), std::invalid_argument) << name;
    EXPECT_THROW((void)clear_cookie(name, SameSite::strict), std::invalid_argument) << name;
  }
}

}  // namespace
}  // namespace sallyport::issue
