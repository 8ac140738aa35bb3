#include "http/host.hpp"

#include <gtest/gtest.h>

#include <cctype>

namespace sallyport::http {
namespace {

std::string name_of(std::string_view value) {
  std::string name = "left over";
  const auto parsed = parse_host(value, name);
  if (parsed) return name;
  EXPECT_EQ(Fault::malformed, parsed.error().fault);
  EXPECT_EQ("", name);
  return "refused";
}

struct HostCase {
  const char* name;
  std::string_view value;
  std::string_view expected;
};
void PrintTo(const HostCase& row, std::ostream* out) { *out << row.name; }

class ParseHost : public ::testing::TestWithParam<HostCase> {};

TEST_P(ParseHost, I14_ReadsOrRefuses) { EXPECT_EQ(GetParam().expected, name_of(GetParam().value)) << GetParam().value; }

INSTANTIATE_TEST_SUITE_P(
    Table, ParseHost,
    ::testing::Values(
        HostCase{"Name", "api.example.com", "api.example.com"}, HostCase{"UpperCase", "API.Example.COM", "api.example.com"},
        HostCase{"TrailingDot", "api.example.com.", "api.example.com"}, HostCase{"TrailingDotAndPort", "a.:80", "a"},
        HostCase{"Port", "a:8443", "a"}, HostCase{"PortMax", "a:65535", "a"}, HostCase{"PortTooLarge", "a:65536", "refused"},
        HostCase{"PortHuge", "a:99999", "refused"}, HostCase{"PortEmpty", "a:", "refused"}, HostCase{"PortZero", "a:0", "refused"},
        HostCase{"PortZeros", "a:0080", "refused"}, HostCase{"PortSign", "a:+80", "refused"}, HostCase{"PortText", "a:http", "refused"},
        HostCase{"PortTwice", "a:80:80", "refused"}, HostCase{"PortAlone", ":80", "refused"}, HostCase{"Empty", "", "refused"},
        HostCase{"List", "a,b", "refused"}, HostCase{"UserInfo", "user@a", "refused"}, HostCase{"Password", "u:p@a", "refused"},
        HostCase{"Path", "a/b", "refused"}, HostCase{"Backslash", "a\\b", "refused"}, HostCase{"Query", "a?b", "refused"},
        HostCase{"Fragment", "a#b", "refused"}, HostCase{"Url", "http://a", "refused"}, HostCase{"Space", "a b", "refused"},
        HostCase{"Percent", "a%2eb", "refused"}, HostCase{"RawUtf8", "\xC3\xA9.example", "refused"}, HostCase{"Asterisk", "*", "refused"},
        HostCase{"DotAlone", ".", "refused"}, HostCase{"DotFirst", ".a", "refused"}, HostCase{"TwoDots", "a..b", "refused"},
        HostCase{"TwoTrailingDots", "a..", "refused"}, HostCase{"Underscore", "my_service.local", "my_service.local"},
        HostCase{"Punycode", "xn--bcher-kva.example", "xn--bcher-kva.example"}, HostCase{"Ipv4", "127.0.0.1:8080", "127.0.0.1"},
        HostCase{"Ipv6", "[::1]", "[::1]"}, HostCase{"Ipv6Port", "[2001:DB8::1]:443", "[2001:db8::1]"},
        HostCase{"Ipv6MappedIpv4", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"}, HostCase{"Ipv6Unclosed", "[::1", "refused"},
        HostCase{"Ipv6Unopened", "::1]", "refused"}, HostCase{"Ipv6WithoutBrackets", "::1", "refused"},
        HostCase{"Ipv6Empty", "[]", "refused"}, HostCase{"Ipv6Zone", "[fe80::1%25eth0]", "refused"},
        HostCase{"Ipv6ZoneRaw", "[fe80::1%eth0]", "refused"}, HostCase{"Ipv6TooManyGroups", "[1:2:3:4:5:6:7:8:9]", "refused"},
        HostCase{"Ipv6TextBehind", "[::1]a", "refused"}, HostCase{"Ipv6DotBehind", "[::1].", "refused"},
        HostCase{"IpvFuture", "[v1.a]", "refused"}, HostCase{"Ipv4InBrackets", "[127.0.0.1]", "refused"},
        HostCase{"Nul", std::string_view("a\0b", 3), "refused"}, HostCase{"NulInBrackets", std::string_view("[::1\0]", 6), "refused"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST(ParseHost, I14_TakesEachNameByteAndNoOther) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value = std::string("a") + static_cast<char>(byte) + "b";
    const bool fine = (byte < 128 && std::isalnum(byte) != 0) || byte == '-' || byte == '.' || byte == '_';
    EXPECT_EQ(fine, name_of(value) != "refused") << byte;
  }
}

TEST(ParseHost, I14_TakesUpTo255Bytes) {
  EXPECT_EQ(std::string(255, 'a'), name_of(std::string(255, 'a')));
  EXPECT_EQ("refused", name_of(std::string(256, 'a')));
  EXPECT_EQ("refused", name_of(std::string(300, 'a')));
}

TEST(SameAuthority, IgnoresLetterCaseAndATrailingDotOnly) {
  EXPECT_TRUE(same_authority("gw.example", "GW.Example."));
  EXPECT_TRUE(same_authority("gw:8443", "GW:8443"));
  EXPECT_TRUE(same_authority("[::1]:80", "[::1]:80"));
  EXPECT_FALSE(same_authority("gw", "gw2"));
  EXPECT_FALSE(same_authority("gw", "gw:80"));
  EXPECT_FALSE(same_authority("gw:80", "gw:81"));
  EXPECT_FALSE(same_authority("user@gw", "gw"));
  EXPECT_FALSE(same_authority("", ""));
  EXPECT_FALSE(same_authority("a,b", "a,b"));
}

}  // namespace
}  // namespace sallyport::http
