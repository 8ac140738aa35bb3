#include "listen/proxy_protocol.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::listen {
namespace {

using State = ProxyHeader::State;
using namespace std::string_literals;

const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string binary(char command, char family, const std::string& body, int size = -1) {
  const std::size_t length = size < 0 ? body.size() : static_cast<std::size_t>(size);
  return kSignature + static_cast<char>(0x20 | command) + family + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) + body;
}
const std::string kV4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"s;  // 192.0.2.1:56324 to 198.51.100.2:443
const std::string kV6 = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"s + std::string(16, '\x01') + "\x00\x07\x01\xbb"s;
const std::string kMapped = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"s + std::string(16, '\x01') + "\x00\x07\x01\xbb"s;

struct Row {
  const char* name;
  std::string bytes;
  State state;
  std::string address;  // empty: nobody's
  int port = 0;
};
std::string row_name(const testing::TestParamInfo<Row>& row) { return row.param.name; }

struct ProxyHeaders : testing::TestWithParam<Row> {};

TEST_P(ProxyHeaders, AreWhatTheyAre) {
  const Row& row = GetParam();
  const ProxyHeader header = parse_proxy_header(row.bytes);
  ASSERT_EQ(header.state, row.state);
  EXPECT_EQ(header.address ? header.address->text() : "", row.address);
  EXPECT_EQ(header.port, row.port);
  if (row.state != State::complete) return;
  EXPECT_EQ(header.size, row.bytes.size());
  EXPECT_EQ(parse_proxy_header(row.bytes + "\x16\x03\x01").size, row.bytes.size()) << "what follows is not the header's";
}

TEST_P(ProxyHeaders, EveryBeginningOfOneNeedsMore) {
  const Row& row = GetParam();
  if (row.state != State::complete) return;
  for (std::size_t cut = 0; cut < row.bytes.size(); ++cut) {
    const ProxyHeader part = parse_proxy_header(row.bytes.substr(0, cut));
    ASSERT_EQ(part.state, State::need_more) << cut;
    EXPECT_GT(part.size, cut);
    EXPECT_LE(part.size, row.bytes.size());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Version1, ProxyHeaders,
    testing::Values(Row{"tcp4", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", State::complete, "192.0.2.1", 56324},
                    Row{"tcp6", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", State::complete, "2001:db8::1", 1},
                    Row{"mapped_counts_as_v4", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", State::complete, "192.0.2.1", 1},
                    Row{"unknown", "PROXY UNKNOWN\r\n", State::complete, ""},
                    Row{"unknown_with_more", "PROXY UNKNOWN ffff::1 x\r\n", State::complete, ""},
                    Row{"longest", "PROXY UNKNOWN " + std::string(91, 'f') + "\r\n", State::complete, ""},
                    Row{"one_too_long", "PROXY UNKNOWN " + std::string(92, 'f') + "\r\n", State::malformed, ""},
                    Row{"two_spaces", "PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n", State::malformed, ""},
                    Row{"space_at_the_end", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n", State::malformed, ""},
                    Row{"a_word_less", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n", State::malformed, ""},
                    Row{"leading_zero", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n", State::malformed, ""},
                    Row{"port_too_large", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", State::malformed, ""},
                    Row{"port_signed", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n", State::malformed, ""},
                    Row{"v6_as_tcp4", "PROXY TCP4 ::1 ::1 1 2\r\n", State::malformed, ""},
                    Row{"v4_as_tcp6", "PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", State::malformed, ""},
                    Row{"zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", State::malformed, ""},
                    Row{"no_address", "PROXY TCP4 a b 1 2\r\n", State::malformed, ""},
                    Row{"line_feed_alone", "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", State::malformed, ""},
                    Row{"nul", "PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n"s, State::malformed, ""},
                    Row{"lower_case", "proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n", State::malformed, ""},
                    Row{"another_family", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n", State::malformed, ""},
                    Row{"http", "GET / HTTP/1.1\r\n", State::malformed, ""}, Row{"cut", "PROXY TCP4 192.0.2", State::need_more, ""},
                    Row{"nothing", "", State::need_more, ""}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Version2, ProxyHeaders,
    testing::Values(
        Row{"tcp4", binary(1, 0x11, kV4), State::complete, "192.0.2.1", 56324},
        Row{"tcp6", binary(1, 0x21, kV6), State::complete, "2001:db8::1", 7},
        Row{"mapped_counts_as_v4", binary(1, 0x21, kMapped), State::complete, "192.0.2.1", 7},
        Row{"tlvs_are_skipped", binary(1, 0x11, kV4 + "\x01\x00\x02h2\x04\x00\x00"s), State::complete, "192.0.2.1", 56324},
        Row{"tlv_that_overruns", binary(1, 0x11, kV4 + "\x01\x00\x03h2"s), State::malformed, ""},
        Row{"half_a_tlv", binary(1, 0x11, kV4 + "\x01\x00"s), State::malformed, ""}, Row{"local", binary(0, 0, {}), State::complete, ""},
        Row{"local_ignores_its_body", binary(0, 0x11, "xyz"), State::complete, ""}, Row{"unspec", binary(1, 0, "abc"), State::complete, ""},
        Row{"unix", binary(1, 0x31, std::string(216, '\0')), State::complete, ""},
        Row{"unix_too_short", binary(1, 0x31, std::string(215, '\0')), State::malformed, ""},
        Row{"v4_too_short", binary(1, 0x11, kV4.substr(1)), State::malformed, ""},
        Row{"v6_too_short", binary(1, 0x21, kV6.substr(1)), State::malformed, ""},
        Row{"datagram", binary(1, 0x12, kV4), State::malformed, ""}, Row{"family_4", binary(1, 0x41, kV4), State::malformed, ""},
        Row{"command_2", binary(2, 0x11, kV4), State::malformed, ""},
        Row{"version_1_in_binary", kSignature + "\x11\x11\x00\x0c"s + kV4, State::malformed, ""},
        Row{"longest", binary(0, 0, std::string(kProxyHeaderBytesMax - 16, 'x')), State::complete, ""},
        Row{"one_too_long", binary(0, 0, std::string(kProxyHeaderBytesMax - 15, 'x')), State::malformed, ""},
        Row{"says_64_kib", binary(1, 0x11, kV4, 0xffff), State::malformed, ""},
        Row{"another_signature", "\r\n\r\n\0\r\nQUIT\r"s + "\x21\x11\x00\x0c"s + kV4, State::malformed, ""},
        Row{"cut", binary(1, 0x11, kV4).substr(0, 20), State::need_more, ""}),
    row_name);

}  // namespace
}  // namespace sallyport::listen
