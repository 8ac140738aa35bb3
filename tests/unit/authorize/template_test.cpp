#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "authorize/policy.hpp"

namespace sallyport::authorize {
namespace {

using Parameters = std::vector<http::PathParameter>;

TEST(Template, PutsThePathsSegmentInItsPlace) {
  const auto both = Template::parse("{tenant}:{user}!", {"tenant", "user"});
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->has_parameters);
  EXPECT_EQ(both->expand({{"user", "bob"}, {"tenant", "acme"}}), "acme:bob!");
}

TEST(Template, WithoutParametersIsItsText) {
  const auto plain = Template::parse("al%69ce", {"user"});
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->has_parameters);
  EXPECT_EQ(plain->expand({}), "al%69ce");
}

TEST(Template, UndoesPercentEncodingExactlyOnce) {
  const auto user = Template::parse("{user}", {"user"});
  EXPECT_EQ(user->expand({{"user", "caf%C3%A9"}}), "caf\xC3\xA9");
  EXPECT_EQ(user->expand({{"user", "a%20b"}}), "a b");
  EXPECT_EQ(user->expand({{"user", "%2561"}}), "%61");
  EXPECT_EQ(user->expand({{"user", "a+b"}}), "a+b");
}

TEST(Template, NeverMatchesWhatDoesNotDecode) {
  const auto user = Template::parse("{user}", {"user"});
  for (const std::string_view value : {"%", "%2", "%zz", "a%", "%C3", "%FF", "%ED%A0%80", "%C0%AF"}) {
    EXPECT_EQ(user->expand({{"user", value}}), std::nullopt) << value;
  }
  EXPECT_EQ(user->expand({}), std::nullopt);
  EXPECT_EQ(user->expand({{"other", "a"}}), std::nullopt);
  const auto halves = Template::parse("{a}{b}", {"a", "b"});
  EXPECT_EQ(halves->expand({{"a", "%C3"}, {"b", "%A9"}}), std::nullopt) << "two halves of a character";
}

TEST(Template, AValueCannotNameAnotherParameter) {
  const auto both = Template::parse("{a}{b}", {"a", "b"});
  EXPECT_EQ(both->expand({{"a", "{b}"}, {"b", "x"}}), "{b}x");
}

TEST(Template, RefusesBracesThatNameNoParameter) {
  for (const std::string_view text : {"{", "}", "{}", "{user", "user}", "{{user}}", "{other}", "{user}}", "a{user}{", "{User}"}) {
    EXPECT_FALSE(Template::parse(text, {"user"})) << text;
  }
  EXPECT_FALSE(Template::parse("{user}", {}));
  EXPECT_TRUE(Template::parse("{user}", {"user"}));
}

}  // namespace
}  // namespace sallyport::authorize
