#include "http/head_scan.hpp"

#include <gtest/gtest.h>

namespace sallyport::http {
namespace {

using State = HeadScan::State;

TEST(ScanHead, FindsTheEmptyLine) {
  const std::string_view text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\n";
  const HeadScan scan = scan_head(text, 0, LeadingEmptyLine::refuse);
  EXPECT_EQ(State::complete, scan.state);
  EXPECT_EQ(text.size() - 5, scan.position);
}

TEST(ScanHead, GoesOnWhereItStopped) {
  const std::string text = "GET /a HTTP/1.1\r\nHost: a\r\nX: 12345678901234567890\r\n\r\n";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    const HeadScan first = scan_head(std::string_view(text).substr(0, cut), 0, LeadingEmptyLine::refuse);
    ASSERT_EQ(State::incomplete, first.state) << cut;
    ASSERT_LE(first.position, cut);
    const HeadScan second = scan_head(text, first.position, LeadingEmptyLine::refuse);
    EXPECT_EQ(State::complete, second.state) << cut;
    EXPECT_EQ(text.size(), second.position) << cut;
  }
}

// The scan takes sixteen bytes at a time, or eight: a control byte must be seen in each of their places, behind tabs too, whatever is left
// for the last step.
TEST(ScanHead, SeesAControlByteInEachPlace) {
  for (int byte = 0; byte < 0x20; ++byte) {
    if (byte == '\t' || byte == '\r') continue;
    for (const std::size_t size : {15U, 16U, 17U, 31U, 32U, 33U, 40U}) {
      for (std::size_t place = 1; place < size; ++place) {
        std::string text(size, '\xFF');
        text[place] = static_cast<char>(byte);
        const HeadScan scan = scan_head(text, 0, LeadingEmptyLine::refuse);
        EXPECT_EQ(State::refused, scan.state) << byte << " at " << place << " of " << size;
        EXPECT_EQ(place, scan.position) << byte << " of " << size;
        std::fill(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(place), '\t');
        EXPECT_EQ(place, scan_head(text, 0, LeadingEmptyLine::refuse).position) << byte << " behind tabs, of " << size;
      }
    }
  }
}

// Wherever a line ends in a block, what follows it is judged, and an LF alone is seen behind any number of good lines.
TEST(ScanHead, SeesLinesOfEachLength) {
  for (std::size_t first = 1; first < 36; ++first) {
    for (std::size_t second = 1; second < 36; ++second) {
      const std::string lines = std::string(first, 'a') + "\r\n" + std::string(second, 'b');
      const HeadScan good = scan_head(lines + "\r\n\r\nrest", 0, LeadingEmptyLine::refuse);
      EXPECT_EQ(State::complete, good.state) << first << ", " << second;
      EXPECT_EQ(lines.size() + 4, good.position) << first << ", " << second;
      const HeadScan bare = scan_head(lines + "\n\r\n", 0, LeadingEmptyLine::refuse);
      EXPECT_EQ(State::refused, bare.state) << first << ", " << second;
      EXPECT_EQ(lines.size(), bare.position) << first << ", " << second;
      const HeadScan folded = scan_head(lines + "\r\n c\r\n\r\n", 0, LeadingEmptyLine::refuse);
      EXPECT_EQ(State::refused, folded.state) << first << ", " << second;
      EXPECT_EQ(lines.size() + 2, folded.position) << first << ", " << second;
    }
  }
}

TEST(ScanHead, PassesEveryByteThatIsNoControlByte) {
  for (int byte = 0x20; byte < 256; ++byte) {
    const std::string text = "x" + std::string(40, static_cast<char>(byte));
    EXPECT_EQ(State::incomplete, scan_head(text, 0, LeadingEmptyLine::refuse).state) << byte;
  }
  EXPECT_EQ(State::incomplete, scan_head("x" + std::string(40, '\t'), 0, LeadingEmptyLine::refuse).state);
}

TEST(ScanHead, SkipsOneEmptyLineWhereThatIsAllowed) {
  EXPECT_EQ(State::complete, scan_head("\r\nA\r\n\r\n", 0, LeadingEmptyLine::skip_one).state);
  EXPECT_EQ(State::refused, scan_head("\r\nA\r\n\r\n", 0, LeadingEmptyLine::refuse).state);
  EXPECT_EQ(State::refused, scan_head("\r\n\r\nA\r\n\r\n", 0, LeadingEmptyLine::skip_one).state);
}

TEST(ScanHead, K09_RefusesBareLineEndsAndFoldsAtOnce) {
  for (const std::string_view text : {"A\n", "A\rB", "A\r\r", "A\r\n B", "A\r\n\tB", " A", "\tA", "\n"}) {
    EXPECT_EQ(State::refused, scan_head(text, 0, LeadingEmptyLine::skip_one).state) << text;
  }
}

}  // namespace
}  // namespace sallyport::http
