#include "http/field_lines.hpp"

#include <gtest/gtest.h>

#include <optional>

#include "http/request_parser.hpp"
#include "http/response_parser.hpp"
#include "support/beast_head.hpp"

namespace sallyport::http {
namespace {

FieldLines split_lines(std::string_view lines, std::vector<Field>& fields, std::size_t fields_max = 10) {
  return read_field_lines(lines, fields_max, fields);
}

FieldLines split_lines(std::string_view lines) {
  std::vector<Field> fields;
  return split_lines(lines, fields);
}

TEST(FieldLines, GivesNamesAndValuesAsViewsInTheirOrder) {
  const std::string_view lines = "Host: a\r\nX-Empty:\r\nX-Wide:\t  b\tc \t\r\nx:y:z\r\n\r\n";
  std::vector<Field> fields;
  ASSERT_EQ(FieldLines::good, split_lines(lines, fields));
  ASSERT_EQ(4U, fields.size());
  EXPECT_EQ(FieldId::host, fields[0].id);
  EXPECT_EQ(lines.data(), fields[0].name.data());
  EXPECT_EQ("a", fields[0].value);
  EXPECT_EQ("", fields[1].value);
  EXPECT_EQ("b\tc", fields[2].value);
  EXPECT_EQ("x", fields[3].name);
  EXPECT_EQ("y:z", fields[3].value);
}

TEST(FieldLines, TakesAHeadWithoutFields) { EXPECT_EQ(FieldLines::good, split_lines("\r\n")); }

TEST(FieldLines, K08_RefusesWhatIsNoNameBeforeTheColon) {
  for (const std::string_view lines : {": v\r\n\r\n", "Host : a\r\n\r\n", "Host\t: a\r\n\r\n", "Ho st: a\r\n\r\n", "Host\r\n\r\n",
                                       "H\xC3\xB6st: a\r\n\r\n", "\"Host\": a\r\n\r\n", "Host=a\r\n\r\n"}) {
    EXPECT_EQ(FieldLines::malformed, split_lines(lines)) << lines;
  }
}

TEST(FieldLines, RefusesADelWhereverItStands) {
  EXPECT_EQ(FieldLines::malformed, split_lines("X: a\x7F\r\n\r\n"));
  EXPECT_EQ(FieldLines::malformed, split_lines("X\x7F: a\r\n\r\n"));
}

TEST(FieldLines, TakesHighBytesInValues) { EXPECT_EQ(FieldLines::good, split_lines("X: \x80\xFF\r\n\r\n")); }

TEST(FieldLines, TakesAsManyAsMayBeAndNotOneMore) {
  std::vector<Field> fields;
  EXPECT_EQ(FieldLines::good, split_lines("a: 1\r\nb: 2\r\n\r\n", fields, 2));
  fields.clear();
  EXPECT_EQ(FieldLines::too_many, split_lines("a: 1\r\nb: 2\r\nc: 3\r\n\r\n", fields, 2));
}

TEST(FieldLines, RefusesWhatIsNotWhole) {
  for (const std::string_view lines : {"", "a: 1", "a: 1\r", "a: 1\r\n", "a: 1\r\n\r", "\r\n\r\n"}) {
    EXPECT_EQ(FieldLines::malformed, split_lines(lines)) << lines;
  }
}

constexpr std::string_view kRequest =
    "GET /a?b=c HTTP/1.1\r\nHost: a.example:80\r\nConnection: keep-alive, X-Hop\r\nProxy-Connection: close\r\nX-Hop:\t1 \r\n"
    "Content-Length: 3\r\nUpgrade: h2c/1\r\nTE:\r\n\r\n";
constexpr std::string_view kAnswer =
    "HTTP/1.1 200 Fine\r\nDate: now\r\nConnection: close\r\nContent-Length: 12\r\nProxy-Connection: a,,b\r\nX:\t 1\t\r\n\r\n";

// What we take of `head`; nullopt when we refuse it or want more.
std::optional<std::string_view> disagreement_on_request(std::string_view text) {
  const Limits limits;
  RequestParser parser(limits);
  RequestHead head;
  const HeadOutcome outcome = parser.parse(text, head);
  const auto* parsed = std::get_if<HeadParsed>(&outcome);
  if (parsed == nullptr) return std::nullopt;
  std::string_view taken = text.substr(0, parsed->bytes);
  if (taken.starts_with("\r\n")) taken.remove_prefix(2);
  return disagreement<true>(taken, head.fields);
}

std::optional<std::string_view> disagreement_on_answer(std::string_view text) {
  ResponseParser parser;
  ResponseHead head;
  const ResponseOutcome outcome = parser.parse(text, Method::get, head);
  const auto* parsed = std::get_if<HeadParsed>(&outcome);
  if (parsed == nullptr) return std::nullopt;
  return disagreement<false>(text.substr(0, parsed->bytes), head.fields);
}

// Every byte in every place, and every byte pushed in between: another parser must never see other fields than we do.
void expect_agreement(std::string_view good, std::optional<std::string_view> (*ask)(std::string_view)) {
  ASSERT_EQ("", ask(good));
  std::size_t taken = 0;
  for (std::size_t place = 0; place < good.size(); ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string other(good);
      other[place] = static_cast<char>(byte);
      std::string longer(good);
      longer.insert(place, 1, static_cast<char>(byte));
      for (const std::string& text : {other, longer}) {
        const std::optional<std::string_view> answer = ask(text);
        if (!answer) continue;
        ++taken;
        ASSERT_EQ("", *answer) << "byte " << byte << " at " << place;
      }
    }
  }
  EXPECT_GT(taken, good.size() * 20) << "too little was compared";
}

TEST(FieldLines, K28_ReadsRequestsAsBeastDoesWhereItTakesThem) { expect_agreement(kRequest, &disagreement_on_request); }
TEST(FieldLines, K28_ReadsAnswersAsBeastDoesWhereItTakesThem) { expect_agreement(kAnswer, &disagreement_on_answer); }

}  // namespace
}  // namespace sallyport::http
