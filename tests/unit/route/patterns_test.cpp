#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "route/route_table.hpp"

namespace sallyport::route {
namespace {

TEST(PathPattern, ReadsEveryKindOfSegment) {
  const auto pattern = PathPattern::parse("/users/{user}/*/files/**");
  ASSERT_TRUE(pattern);
  const std::vector<Segment> expected{{Segment::Kind::literal, "users"},
                                      {Segment::Kind::named, "user"},
                                      {Segment::Kind::any, ""},
                                      {Segment::Kind::literal, "files"},
                                      {Segment::Kind::rest, ""}};
  EXPECT_EQ(pattern->segments(), expected);
  EXPECT_EQ(pattern->text(), "/users/{user}/*/files/**");
  EXPECT_EQ(pattern->parameter_names(), std::vector<std::string>{"user"});
}

TEST(PathPattern, ReadsATrailingSlashAsALastEmptyLiteral) {
  const std::vector<Segment> expected{{Segment::Kind::literal, "a"}, {Segment::Kind::literal, ""}};
  EXPECT_EQ(PathPattern::parse("/a/")->segments(), expected);
  EXPECT_EQ(PathPattern::parse("/")->segments(), (std::vector<Segment>{{Segment::Kind::literal, ""}}));
}

struct PatternRow {
  std::string name;
  std::string text;
};
std::string row_name(const ::testing::TestParamInfo<PatternRow>& info) { return info.param.name; }

class AcceptedPathPattern : public ::testing::TestWithParam<PatternRow> {};
TEST_P(AcceptedPathPattern, IsKeptAsItStands) {
  const auto pattern = PathPattern::parse(GetParam().text);
  ASSERT_TRUE(pattern) << pattern.error().detail;
  EXPECT_EQ(pattern->text(), GetParam().text);
}
INSTANTIATE_TEST_SUITE_P(Rows, AcceptedPathPattern,
                         ::testing::Values(PatternRow{"Everything", "/**"}, PatternRow{"Root", "/"}, PatternRow{"OneOfAny", "/*"},
                                           PatternRow{"UpperCaseEscape", "/caf%C3%A9"}, PatternRow{"SubDelims", "/a;b=1,c/(d)"},
                                           PatternRow{"NameWithDashAndDigit", "/{user-id_2}"}, PatternRow{"TwoNames", "/{a}/{b}"},
                                           PatternRow{"DottedName", "/.well-known/jwks.json"}, PatternRow{"Like_gateway", "/.gatewayx"},
                                           PatternRow{"GatewayLower", "/a/.gateway"},
                                           PatternRow{"LongestAllowed", "/" + std::string(kPatternBytesMax - 1, 'a')}),
                         row_name);

class RefusedPathPattern : public ::testing::TestWithParam<PatternRow> {};
TEST_P(RefusedPathPattern, SaysWhy) {
  const auto pattern = PathPattern::parse(GetParam().text);
  ASSERT_FALSE(pattern) << GetParam().text;
  EXPECT_FALSE(pattern.error().detail.empty());
}
INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedPathPattern,
    ::testing::Values(PatternRow{"Empty", ""}, PatternRow{"NoSlash", "a/b"}, PatternRow{"EmptySegment", "/a//b"},
                      PatternRow{"TwoSlashesAtTheEnd", "/a//"}, PatternRow{"RestNotLast", "/**/a"}, PatternRow{"RestThenSlash", "/a/**/"},
                      PatternRow{"StarInside", "/a*"}, PatternRow{"ThreeStars", "/***"}, PatternRow{"EmptyName", "/{}"},
                      PatternRow{"NameBeginsWithDigit", "/{1a}"}, PatternRow{"NameWithSpace", "/{a b}"},
                      PatternRow{"NameTwice", "/{a}/x/{a}"}, PatternRow{"BraceInside", "/a{b}"}, PatternRow{"OpenBrace", "/{a"},
                      PatternRow{"CloseBrace", "/a}"}, PatternRow{"TwoNamesInOne", "/{a}{b}"}, PatternRow{"EncodedUnreserved", "/%61dmin"},
                      PatternRow{"LowerCaseEscape", "/caf%c3%a9"}, PatternRow{"EncodedSlash", "/a%2Fb"},
                      PatternRow{"EncodedBackslash", "/a%5Cb"}, PatternRow{"EncodedNul", "/a%00"}, PatternRow{"BadEscape", "/a%zz"},
                      PatternRow{"CutEscape", "/a%2"}, PatternRow{"Dot", "/a/./b"}, PatternRow{"DotDot", "/a/../b"},
                      PatternRow{"EncodedDots", "/a/%2E%2E/b"}, PatternRow{"Query", "/a?b"}, PatternRow{"Fragment", "/a#b"},
                      PatternRow{"Space", "/a b"}, PatternRow{"RawUtf8", "/caf\xC3\xA9"}, PatternRow{"Backslash", "/a\\b"},
                      PatternRow{"OwnPrefix", "/.gateway"}, PatternRow{"BelowOwnPrefix", "/.gateway/**"},
                      PatternRow{"TooLong", "/" + std::string(kPatternBytesMax, 'a')}),
    row_name);

TEST(PathPattern, TakesAsManySegmentsAsAllowedAndNotOneMore) {
  std::string text;
  for (std::size_t i = 0; i != kPatternSegmentsMax; ++i) text += "/a";
  EXPECT_TRUE(PathPattern::parse(text));
  const auto over = PathPattern::parse(text + "/a");
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().fault, Fault::too_large);
}

TEST(HostPattern, IsKeptInLowerCaseWithoutATrailingDot) {
  const auto exact = HostPattern::parse("API.Example.com.");
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->name(), "api.example.com");
  EXPECT_FALSE(exact->is_suffix());

  const auto suffix = HostPattern::parse("*.Example.com");
  ASSERT_TRUE(suffix);
  EXPECT_EQ(suffix->name(), "example.com");
  EXPECT_TRUE(suffix->is_suffix());

  EXPECT_EQ(HostPattern::parse("[::1]")->name(), "[::1]");
}

class RefusedHostPattern : public ::testing::TestWithParam<PatternRow> {};
TEST_P(RefusedHostPattern, SaysWhy) {
  const auto pattern = HostPattern::parse(GetParam().text);
  ASSERT_FALSE(pattern) << GetParam().text;
  EXPECT_FALSE(pattern.error().detail.empty());
}
INSTANTIATE_TEST_SUITE_P(Rows, RefusedHostPattern,
                         ::testing::Values(PatternRow{"Empty", ""}, PatternRow{"StarAlone", "*"}, PatternRow{"StarDot", "*."},
                                           PatternRow{"StarInTheMiddle", "api.*.com"}, PatternRow{"StarInALabel", "api*.example.com"},
                                           PatternRow{"TwoStars", "*.*.com"}, PatternRow{"Port", "example.com:443"},
                                           PatternRow{"PortAfterLiteral", "[::1]:443"}, PatternRow{"LiteralSuffix", "*.[::1]"},
                                           PatternRow{"List", "a.example,b.example"}, PatternRow{"UserInfo", "user@example.com"},
                                           PatternRow{"Path", "example.com/a"}, PatternRow{"LeadingDot", ".example.com"},
                                           PatternRow{"StarThenTwoDots", "*..example.com"}, PatternRow{"OpenBracket", "[::1"}),
                         row_name);

TEST(CheckMethod, AcceptsTokensInTheirOwnLetterCase) {
  for (const std::string_view method : {"GET", "OPTIONS", "PROPFIND", "purge", "M-SEARCH"}) EXPECT_TRUE(check_method(method)) << method;
}

TEST(CheckMethod, J19_RefusesWhatCouldNeverMatch) {
  for (const std::string_view method : {"", "get", "Post", "G ET", "GET\n", "CONNECT", "TRACE", "trace", "GET,POST"}) {
    EXPECT_FALSE(check_method(method)) << method;
  }
}

}  // namespace
}  // namespace sallyport::route
