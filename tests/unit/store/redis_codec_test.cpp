#include "store/redis_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace sallyport::store {
namespace {

using Kind = RedisReply::Kind;

// All replies in `bytes`, given in pieces of that size; then the fault, if any.
struct Outcome {
  std::vector<RedisReply> replies;
  std::optional<Error> error;
};

Outcome decode(std::string_view bytes, std::size_t piece = 1 << 20, const RedisReplyLimits& limits = {}) {
  Outcome outcome;
  RedisReplyDecoder decoder(limits);
  while (!bytes.empty()) {
    decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      auto reply = decoder.next();
      if (!reply) {
        outcome.error = reply.error();
        return outcome;
      }
      if (!reply->has_value()) break;
      outcome.replies.push_back(std::move(**reply));
    }
  }
  return outcome;
}

std::string command(std::initializer_list<std::string_view> words) {
  ByteBuffer out;
  append_command(out, words);
  return std::string(out.view());
}

TEST(RedisCommand, IsAnArrayOfBulkStrings) {
  EXPECT_EQ(command({"GET", "a"}), "*2\r\n$3\r\nGET\r\n$1\r\na\r\n");
  EXPECT_EQ(command({"PING"}), "*1\r\n$4\r\nPING\r\n");
}

TEST(RedisCommand, G02_NoByteOfAWordIsSyntax) {
  const std::string hostile("a\r\n$1\r\n*?[ {}:\0", 16);
  EXPECT_EQ(command({"GET", hostile}), "*2\r\n$3\r\nGET\r\n$16\r\n" + hostile + "\r\n");
  EXPECT_EQ(command({"GET", ""}), "*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
}

TEST(RedisReplyDecoder, ReadsEveryTypeInPiecesOfAnySize) {
  const std::string all = "+OK\r\n-ERR no\r\n:-7\r\n" + std::string("$5\r\na\r\nb\0\r\n", 11) +
                          "$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n+fine\r\n";
  for (std::size_t piece = 1; piece <= all.size(); ++piece) {
    const Outcome outcome = decode(all, piece);
    ASSERT_FALSE(outcome.error) << piece << ": " << outcome.error->detail;
    ASSERT_EQ(outcome.replies.size(), 9U) << piece;
    const std::vector<RedisReply>& replies = outcome.replies;
    EXPECT_TRUE(replies[0].is_ok());
    EXPECT_TRUE(replies[1].is_error());
    EXPECT_EQ(replies[1].text, "ERR no");
    EXPECT_EQ(replies[2].number(), -7);
    ASSERT_NE(replies[3].string(), nullptr);
    EXPECT_EQ(*replies[3].string(), std::string("a\r\nb\0", 5));
    ASSERT_NE(replies[4].string(), nullptr);
    EXPECT_EQ(*replies[4].string(), "");
    EXPECT_TRUE(replies[5].is_nil());
    EXPECT_TRUE(replies[6].is_nil());
    ASSERT_NE(replies[7].array(), nullptr);
    EXPECT_TRUE(replies[7].array()->empty());
    ASSERT_NE(replies[8].array(), nullptr);
    ASSERT_EQ(replies[8].elements.size(), 3U);
    EXPECT_EQ(replies[8].elements[0].text, "x");
    ASSERT_EQ(replies[8].elements[1].elements.size(), 2U);
    EXPECT_EQ(replies[8].elements[1].elements[0].number(), 1);
    EXPECT_TRUE(replies[8].elements[1].elements[1].is_nil());
    EXPECT_EQ(replies[8].elements[2].kind, Kind::status);
  }
}

TEST(RedisReplyDecoder, N07_NilIsNotTheEmptyString) {
  const Outcome outcome = decode("$-1\r\n$0\r\n\r\n");
  ASSERT_EQ(outcome.replies.size(), 2U);
  EXPECT_TRUE(outcome.replies[0].is_nil());
  EXPECT_EQ(outcome.replies[0].string(), nullptr);
  EXPECT_FALSE(outcome.replies[1].is_nil());
}

TEST(RedisReplyDecoder, N07_KeepsTheGreatestNumbersAndRefusesGreater) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  const Outcome good = decode(":9223372036854775807\r\n:-9223372036854775807\r\n:-9223372036854775808\r\n:0\r\n");
  ASSERT_EQ(good.replies.size(), 4U);
  EXPECT_EQ(good.replies[0].number(), kMost);
  EXPECT_EQ(good.replies[1].number(), kLeast + 1);
  EXPECT_EQ(good.replies[2].number(), kLeast);
  EXPECT_EQ(good.replies[3].number(), 0);
}

TEST(RedisReplyDecoder, N07_RefusesWhatIsNoReply) {
  struct Row {
    const char* what;
    std::string bytes;
    Fault fault;
  };
  const std::vector<Row> rows{
      {"a number that overflows", ":9223372036854775808\r\n", Fault::malformed},
      {"a number that overflows below", ":-9223372036854775809\r\n", Fault::malformed},
      {"two minuses", ":--1\r\n", Fault::malformed},
      {"zeros before a number below zero", ":-01\r\n", Fault::malformed},
      {"a number of twenty digits", ":99999999999999999999\r\n", Fault::malformed},
      {"a number of a thousand digits", ":" + std::string(1000, '9') + "\r\n", Fault::too_large},
      {"a number with a plus", ":+1\r\n", Fault::malformed},
      {"a number with zeros before it", ":01\r\n", Fault::malformed},
      {"minus zero", ":-0\r\n", Fault::malformed},
      {"no number", ":\r\n", Fault::malformed},
      {"a minus alone", ":-\r\n", Fault::malformed},
      {"a number and more", ":1 \r\n", Fault::malformed},
      {"hexadecimal", ":0x1\r\n", Fault::malformed},
      {"a count that is one in 32 bits", "*4294967297\r\n:1\r\n", Fault::too_large},
      {"a count of minus two", "*-2\r\n", Fault::malformed},
      {"a count beyond 64 bits", "*99999999999999999999\r\n", Fault::malformed},
      {"a length of half a gigabyte", "$536870913\r\n", Fault::too_large},
      {"a length of minus two", "$-2\r\n", Fault::malformed},
      {"a length of minus five", "$-5\r\nhello\r\n", Fault::malformed},
      {"a length with zeros before it", "$005\r\nhello\r\n", Fault::malformed},
      {"a string longer than its length", "$4\r\nhello\r\n", Fault::malformed},
      {"a string that swallows its end", "$6\r\nhello\r\n+OK\r\n", Fault::malformed},
      {"an unknown type", "!5\r\nhello\r\n", Fault::malformed},
      {"RESP3's null", "_\r\n", Fault::malformed},
      {"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", Fault::malformed},
      {"a TLS alert", std::string("\x15\x03\x01\x00\x02\x02\x46", 7), Fault::malformed},
      {"a bare line feed", "+OK\n+OK\r\n", Fault::malformed},
      {"a bare carriage return", "+a\rb\r\n", Fault::malformed},
      {"an endless status", "+" + std::string(70'000, 'x'), Fault::too_large},
      {"a bad element in an array", "*2\r\n:1\r\n?\r\n", Fault::malformed},
  };
  for (const Row& row : rows) {
    for (const std::size_t piece : {row.bytes.size(), std::size_t{1}}) {
      const Outcome outcome = decode(row.bytes, piece);
      ASSERT_TRUE(outcome.error) << row.what << ", in pieces of " << piece;
      EXPECT_EQ(outcome.error->fault, row.fault) << row.what << ": " << outcome.error->detail;
      EXPECT_TRUE(outcome.replies.empty()) << row.what;
    }
  }
}

TEST(RedisReplyDecoder, StaysBroken) {
  RedisReplyDecoder decoder;
  decoder.feed("?\r\n");
  EXPECT_FALSE(decoder.next());
  decoder.feed("+OK\r\n");
  EXPECT_FALSE(decoder.next());
}

TEST(RedisReplyDecoder, WaitsForTheRest) {
  for (const std::string_view half : {"+O", "+OK\r", "$5\r\nhel", "$5\r\nhello\r", "*2\r\n:1\r\n", "*1\r\n$", "*", ":1", "$-1\r"}) {
    const Outcome outcome = decode(half);
    EXPECT_FALSE(outcome.error) << half;
    EXPECT_TRUE(outcome.replies.empty()) << half;
  }
}

TEST(RedisReplyDecoder, HoldsItsLimitsExactly) {
  const RedisReplyLimits limits{.bytes_max = 100, .elements_max = 4, .depth_max = 3};
  const auto bulk = [](std::size_t size) { return "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n"; };
  EXPECT_EQ(bulk(93).size(), 100U);
  EXPECT_FALSE(decode(bulk(93), 1000, limits).error);
  EXPECT_TRUE(decode(bulk(94), 1000, limits).error);
  EXPECT_TRUE(decode("$94\r\n", 1000, limits).error) << "before the bytes are there";
  EXPECT_FALSE(decode("*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", 1000, limits).error);
  EXPECT_TRUE(decode("*5\r\n", 1000, limits).error) << "before the elements are there";
  EXPECT_FALSE(decode("*2\r\n*2\r\n:1\r\n:1\r\n:1\r\n", 1000, limits).error);
  EXPECT_TRUE(decode("*2\r\n*2\r\n:1\r\n:1\r\n*1\r\n", 1000, limits).error) << "all arrays together";
  EXPECT_FALSE(decode("*1\r\n*1\r\n*1\r\n:1\r\n", 1000, limits).error);
  EXPECT_TRUE(decode("*1\r\n*1\r\n*1\r\n*1\r\n", 1000, limits).error);
  EXPECT_FALSE(decode("*1\r\n*1\r\n*1\r\n:1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 1000, limits).error) << "each reply counts for itself";
  const std::string many = "*4\r\n" + bulk(20) + bulk(20) + bulk(20) + bulk(20);
  EXPECT_TRUE(decode(many, 1000, limits).error) << "all strings together";
}

TEST(RedisReplyDecoder, ReadsAStreamOfManyReplies) {
  std::string bytes;
  for (int i = 0; i < 1000; ++i) bytes += ":" + std::to_string(i) + "\r\n";
  const Outcome outcome = decode(bytes, 1009);
  ASSERT_EQ(outcome.replies.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(outcome.replies[static_cast<std::size_t>(i)].number(), i);
}

}  // namespace
}  // namespace sallyport::store
