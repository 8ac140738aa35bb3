#include "http/field_rules.hpp"

#include <gtest/gtest.h>

namespace sallyport::http {
namespace {

TEST(ParseContentLength, K06_TakesPlainNumbersOnly) {
  EXPECT_EQ(0U, parse_content_length("0"));
  EXPECT_EQ(999'999'999'999'999U, parse_content_length("999999999999999"));
  for (const std::string_view text : {"", "00", "01", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1000000000000000", "1_0"}) {
    EXPECT_EQ(std::nullopt, parse_content_length(text)) << text;
  }
}

std::string_view framing_fault(std::string_view name) {
  FramingFields framing;
  const std::vector<Field> fields{{name, "chunked", field_id(name)}};
  return read_framing(fields, Version::http_1_1, framing);
}

TEST(ReadFraming, K05_RefusesNamesThatDistortAFramingField) {
  for (const std::string_view name :
       {"Transfer--Encoding", "Transfer---Encoding", "Transfer___Encoding", "transfer-_encoding", "-Transfer-Encoding",
        "Transfer-Encoding_", "Content--Length", "__Content-Length", "CONTENT..LENGTH"}) {
    EXPECT_NE(framing_fault(name), "") << name;
  }
  for (const std::string_view name :
       {"Transfer_Encoding", "X-Transfer-Encoding", "Transfer-Encodings", "Transfer-Encoding-X", "TransferEncoding", "Transfer-En-coding",
        "Content_Length", "Content-Lengths", "Content", "-", "--", "Content-"}) {
    EXPECT_EQ(framing_fault(name), "") << name;
  }
}

TEST(ConnectionOptions, PersistAsTheVersionSays) {
  EXPECT_TRUE((ConnectionOptions{}.persistent(Version::http_1_1)));
  EXPECT_FALSE((ConnectionOptions{}.persistent(Version::http_1_0)));
  EXPECT_TRUE((ConnectionOptions{.keep_alive = true}.persistent(Version::http_1_0)));
  EXPECT_FALSE((ConnectionOptions{.close = true, .keep_alive = true}.persistent(Version::http_1_1)));
}

}  // namespace
}  // namespace sallyport::http
