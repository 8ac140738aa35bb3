#include "http/target.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>

#include "unit/http/verdicts.hpp"

namespace sallyport::http {
namespace {

// The canonical path, or "refused".
std::string path_of(std::string_view text) {
  Target target;
  const auto assigned = target.assign(text);
  if (!assigned) {
    EXPECT_EQ(Fault::malformed, assigned.error().fault);
    EXPECT_FALSE(assigned.error().detail.empty());
    EXPECT_TRUE(target.path().empty()) << "a refused target leaves something behind";
    return "refused";
  }
  Target again;
  const std::string path(target.path());
  EXPECT_TRUE(again.assign(path)) << path;
  EXPECT_EQ(path, again.path()) << "the canonical form is not canonical";
  return path;
}

struct PathCase {
  const char* name;
  std::string_view text;
  std::string_view path;
};
void PrintTo(const PathCase& row, std::ostream* out) { *out << row.name; }

class TargetPath : public ::testing::TestWithParam<PathCase> {};

TEST_P(TargetPath, J01_J02_J03_J04_J05_J06_J07_J08_J09_J10_J12_J13_J15_J16_J17_IsCanonicalOrRefused) {
  EXPECT_EQ(GetParam().path, path_of(GetParam().text)) << GetParam().text;
}

constexpr std::string_view kRefused = "refused";

INSTANTIATE_TEST_SUITE_P(
    Table, TargetPath,
    ::testing::Values(
        PathCase{"Root", "/", "/"}, PathCase{"OneSegment", "/a", "/a"}, PathCase{"TrailingSlashStays", "/a/", "/a/"},
        PathCase{"J01_DotDot", "/public/../admin", kRefused}, PathCase{"J01_DotDotTwin", "/public/x/admin", "/public/x/admin"},
        PathCase{"J01_DotDotAtTheEnd", "/public/..", kRefused}, PathCase{"J01_DotDotAlone", "/..", kRefused},
        PathCase{"J01_DotDotFirst", "/../admin", kRefused}, PathCase{"J01_ThreeDotsAreAName", "/public/.../x", "/public/.../x"},
        PathCase{"J01_DotsInsideANameStay", "/a..b/c.d/.e/f.", "/a..b/c.d/.e/f."}, PathCase{"J01_HiddenFile", "/..a", "/..a"},
        PathCase{"J02_EncodedLower", "/public/%2e%2e/admin", kRefused}, PathCase{"J02_EncodedUpper", "/public/%2E%2E/admin", kRefused},
        PathCase{"J02_HalfEncodedFirst", "/public/%2e./admin", kRefused}, PathCase{"J02_HalfEncodedLast", "/public/.%2e/admin", kRefused},
        PathCase{"J02_EncodedSingle", "/public/%2e/admin", kRefused}, PathCase{"J02_EncodedDotInAName", "/a%2eb", "/a.b"},
        PathCase{"J03_DotDotWithParameter", "/public/..;/admin", kRefused},
        PathCase{"J03_DotDotWithValue", "/public/..;x=1/admin", kRefused}, PathCase{"J03_DotWithParameter", "/public/.;/admin", kRefused},
        PathCase{"J03_EncodedDotsWithParameter", "/%2e%2e;/a", kRefused},
        PathCase{"J03_DotDotWithEncodedSemicolon", "/public/..%3b/admin", kRefused},
        PathCase{"J03_SemicolonStays", "/admin;x=1", "/admin;x=1"}, PathCase{"J03_SemicolonSegmentStays", "/;/admin", "/;/admin"},
        PathCase{"J03_EncodedSemicolonStaysEncoded", "/a%3bb", "/a%3Bb"}, PathCase{"J04_TwoSlashes", "//admin", kRefused},
        PathCase{"J04_ThreeSlashes", "///admin", kRefused}, PathCase{"J04_TwoInside", "/public//admin", kRefused},
        PathCase{"J04_TwoAtTheEnd", "/public//", kRefused}, PathCase{"J04_WithDots", "/public//../admin", kRefused},
        PathCase{"J04_OnlySlashes", "//", kRefused}, PathCase{"J05_EncodedSlash", "/public%2f..%2fadmin", kRefused},
        PathCase{"J05_EncodedSlashUpper", "/a%2Fb", kRefused}, PathCase{"J05_EncodedBackslash", "/a%5cb", kRefused},
        PathCase{"J05_EncodedBackslashUpper", "/a%5Cb", kRefused}, PathCase{"J05_Backslash", "/a\\..\\b", kRefused},
        PathCase{"J05_Twin", "/public/admin", "/public/admin"}, PathCase{"J06_EncodedLetter", "/%61dmin", "/admin"},
        PathCase{"J06_EncodedInside", "/adm%69n", "/admin"}, PathCase{"J06_EncodedDigitAndMarks", "/%30%2D%5f%7e", "/0-_~"},
        PathCase{"J06_AllEncoded", "/%41%5A%7A", "/AZz"}, PathCase{"J07_DoubleEncoding", "/%2561dmin", "/%2561dmin"},
        PathCase{"J07_DoubleEncodedDots", "/%252e%252e/a", "/%252e%252e/a"}, PathCase{"J08_Nul", "/admin%00", kRefused},
        PathCase{"J08_LineFeed", "/admin%0a", kRefused}, PathCase{"J08_CrLf", "/admin%0d%0aX:y", kRefused},
        PathCase{"J08_UnitSeparator", "/admin%1F", kRefused}, PathCase{"J08_Delete", "/admin%7f", kRefused},
        PathCase{"J08_SpaceStaysEncoded", "/a%20b", "/a%20b"}, PathCase{"J09_LetterCaseStays", "/ADMIN", "/ADMIN"},
        PathCase{"J10_Dot", "/admin/.", kRefused}, PathCase{"J10_DotInside", "/admin/./x", kRefused},
        PathCase{"J10_Slash", "/admin/", "/admin/"}, PathCase{"J12_Fragment", "/admin#/public", kRefused},
        PathCase{"J12_FragmentBeforeDots", "/public#/../admin", kRefused}, PathCase{"J12_EncodedHashStays", "/a%23b", "/a%23b"},
        PathCase{"J13_OverlongSlash", "/%c0%af", kRefused}, PathCase{"J13_OverlongSlashThreeBytes", "/%e0%80%af", kRefused},
        PathCase{"J13_OverlongDot", "/%C0%AE%C0%AE/a", kRefused}, PathCase{"J13_OverlongFourBytes", "/%F0%80%80%AF", kRefused},
        PathCase{"J13_OverlongLeadC1", "/%C1%9C", kRefused}, PathCase{"J13_PercentU", "/%u002e", kRefused},
        PathCase{"J13_NoHex", "/%zz", kRefused}, PathCase{"J13_PercentAlone", "/%", kRefused}, PathCase{"J13_OneDigit", "/%2", kRefused},
        PathCase{"J13_OneDigitThenSlash", "/%2/a", kRefused}, PathCase{"J13_SecondDigitBad", "/%2g", kRefused},
        PathCase{"J13_TwinWellFormedUtf8", "/%c3%a9", "/%C3%A9"}, PathCase{"J13_TwinLatin1", "/caf%E9", "/caf%E9"},
        PathCase{"J13_TwinShortestThreeBytes", "/%e0%a0%80", "/%E0%A0%80"}, PathCase{"J13_TwinLeadNotFollowed", "/%C0x%AF", "/%C0x%AF"},
        PathCase{"J15_NoSlash", "admin", kRefused}, PathCase{"J15_SchemeOneSlash", "http:/admin", kRefused},
        PathCase{"J15_EmptyAuthority", "http:///admin", kRefused}, PathCase{"J15_SchemeAlone", "http://", kRefused},
        PathCase{"J15_NetworkPath", "//evil/admin", kRefused}, PathCase{"J15_OtherScheme", "ftp://a/b", kRefused},
        PathCase{"J15_AuthorityForm", "a.example:80", kRefused}, PathCase{"J15_Empty", "", kRefused},
        PathCase{"J15_QueryAlone", "?a", kRefused}, PathCase{"J15_TwoAsterisks", "**", kRefused},
        PathCase{"J16_AbsoluteForm", "http://gw/admin", "/admin"}, PathCase{"J16_SchemeInUpperCase", "HTTP://gw/admin", "/admin"},
        PathCase{"J16_Https", "https://gw/admin", "/admin"}, PathCase{"J16_NoPath", "http://gw", "/"},
        PathCase{"J16_NoPathButQuery", "http://gw?x", "/"}, PathCase{"J16_DotsBehind", "http://gw/a/../b", kRefused},
        PathCase{"J17_RawUtf8", "/\xC3\xA9", kRefused},
        PathCase{"J17_RawFullWidth",
                 "/\xEF\xBD\x81"
                 "dmin",
                 kRefused},
        PathCase{"J17_EncodedFullWidthSlash", "/a%ef%bc%8fb", "/a%EF%BC%8Fb"}, PathCase{"J17_NfcStays", "/%c3%a9", "/%C3%A9"},
        PathCase{"J17_NfdStays", "/e%cc%81", "/e%CC%81"}, PathCase{"HexDigitsUpper", "/%e2%82%ac", "/%E2%82%AC"},
        PathCase{"HexDigitsUpperAlready", "/%E2%82%AC", "/%E2%82%AC"}, PathCase{"PercentStays", "/100%25", "/100%25"},
        PathCase{"OtherPunctuationStays", "/a!$&'()*+,=:@[]{}|^`\"<>", "/a!$&'()*+,=:@[]{}|^`\"<>"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(Target, RefusesEachByteOutsideOfPrintableAscii) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = std::string("/a") + static_cast<char>(byte) + "b";
    const bool fine = byte >= 0x21 && byte <= 0x7E && byte != '\\' && byte != '#' && byte != '%';
    EXPECT_EQ(fine, path_of(text) != "refused") << byte;
  }
}

TEST(Target, RefusesEachEncodedControlByteAndKeepsTheRest) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = fmt::format("/a%{:02x}b", byte);
    const bool refused = byte < 0x20 || byte == 0x7F || byte == '/' || byte == '\\';
    const bool decoded = std::isalnum(byte) != 0 || byte == '-' || byte == '.' || byte == '_' || byte == '~';
    const std::string expected = refused   ? "refused"
                                 : decoded ? fmt::format("/a{}b", static_cast<char>(byte))
                                           : fmt::format("/a%{:02X}b", byte);
    EXPECT_EQ(expected, path_of(text)) << byte;
  }
}

TEST(Target, J11_KeepsTheQueryApartFromThePath) {
  Target target;
  ASSERT_TRUE(target.assign("/public?/../admin&x=%2e%zz\\"));
  EXPECT_EQ("/public", target.path());
  EXPECT_TRUE(target.has_query());
  EXPECT_EQ("/../admin&x=%2e%zz\\", target.query());
  ASSERT_TRUE(target.assign("/%61?path=/public?again"));
  EXPECT_EQ("/a", target.path());
  EXPECT_EQ("path=/public?again", target.query());
}

TEST(Target, TellsAnEmptyQueryFromNone) {
  Target target;
  ASSERT_TRUE(target.assign("/a?"));
  EXPECT_TRUE(target.has_query());
  EXPECT_EQ("", target.query());
  ASSERT_TRUE(target.assign("/a"));
  EXPECT_FALSE(target.has_query());
}

TEST(Target, J12_RefusesAHashOrARawByteInTheQuery) {
  EXPECT_EQ("refused", path_of("/a?x#y"));
  EXPECT_EQ("refused", path_of("/a?x y"));
  EXPECT_EQ("refused", path_of("/a?x\x7f"));
  EXPECT_EQ("refused", path_of("/a?\xC3\xA9"));
  EXPECT_EQ("refused", path_of(std::string_view("/a?\0", 4)));
  EXPECT_EQ("/a", path_of("/a?x%23y"));
}

TEST(Target, DoesNotCopyWhatNeedsNoRewriting) {
  const std::string text = "/orders/17?x=1";
  Target target;
  ASSERT_TRUE(target.assign(text));
  EXPECT_EQ(static_cast<const void*>(text.data()), target.path().data());
  EXPECT_EQ(static_cast<const void*>(text.data() + 11), target.query().data());
}

TEST(Target, NamesItsForm) {
  Target target;
  ASSERT_TRUE(target.assign("*"));
  EXPECT_EQ(TargetForm::asterisk, target.form());
  EXPECT_EQ("*", target.path());
  ASSERT_TRUE(target.assign("https://User@Gw:8443/a?b"));
  EXPECT_EQ(TargetForm::absolute, target.form());
  EXPECT_EQ("User@Gw:8443", target.authority());
  EXPECT_EQ("/a", target.path());
  EXPECT_EQ("b", target.query());
  ASSERT_TRUE(target.assign("/x"));
  EXPECT_EQ(TargetForm::origin, target.form());
  EXPECT_EQ("", target.authority());
}

TEST(Target, ForgetsTheTargetBeforeWhenItRefuses) {
  Target target;
  ASSERT_TRUE(target.assign("http://gw/%61?q"));
  ASSERT_FALSE(target.assign("/.."));
  EXPECT_EQ("", target.path());
  EXPECT_EQ("", target.query());
  EXPECT_EQ("", target.authority());
  EXPECT_FALSE(target.has_query());
}

TEST(Target, KeepsItsPathWhenMoved) {
  Target target;
  ASSERT_TRUE(target.assign("/%61"));
  const Target moved = std::move(target);
  EXPECT_EQ("/a", moved.path());
}

}  // namespace
}  // namespace sallyport::http
