#include "pipeline/form.hpp"

#include <gtest/gtest.h>

#include "support/fake_exchange.hpp"

namespace sallyport::pipeline {
namespace {

TEST(Form, ReadsPairs) {
  const auto form = Form::parse("grant_type=refresh_token&refresh_token=a%2Bb+c&empty=");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->size(), 3U);
  EXPECT_EQ(*form->find("grant_type"), "refresh_token");
  EXPECT_EQ(*form->find("refresh_token"), "a+b c");
  EXPECT_EQ(form->find("empty"), nullptr) << "without a value is as good as absent";
  EXPECT_EQ(form->find("grant"), nullptr);
  EXPECT_EQ(form->find("Grant_Type"), nullptr);
}

TEST(Form, TheEmptyTextIsTheEmptyForm) {
  const auto form = Form::parse("");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->size(), 0U);
}

TEST(Form, RefusesWhatIsNotOne) {
  for (const std::string_view text :
       {"a", "&", "a=1&", "&a=1", "a=1&&b=2", "=1", "a=%", "a=%4", "a=%zz", "%zz=1", "a=1&a=2", "a=1&%61=2", "a=1;b"}) {
    const auto form = Form::parse(text);
    if (text == "a=1;b") {
      EXPECT_TRUE(form) << "a semicolon separates nothing";
    } else {
      EXPECT_FALSE(form) << text;
    }
  }
}

TEST(Form, CountsItsParameters) {
  std::string text = "p0=1";
  for (std::size_t i = 1; i < Form::kParametersMax; ++i) text += "&p" + std::to_string(i) + "=1";
  EXPECT_TRUE(Form::parse(text));
  EXPECT_FALSE(Form::parse(text + "&more=1"));
}

TEST(Form, IsToldByOneContentType) {
  const auto says_form = [](const std::string& fields) {
    const test::FakeExchange exchange("POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
    return is_form(exchange.request());
  };
  EXPECT_TRUE(says_form("Content-Type: application/x-www-form-urlencoded\r\n"));
  EXPECT_TRUE(says_form("Content-Type: Application/X-WWW-Form-Urlencoded ; charset=UTF-8\r\n"));
  EXPECT_FALSE(says_form(""));
  EXPECT_FALSE(says_form("Content-Type: application/json\r\n"));
  EXPECT_FALSE(says_form("Content-Type: application/x-www-form-urlencoded-not\r\n"));
  EXPECT_FALSE(says_form("Content-Type: application/x-www-form-urlencoded\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
}

class SmallBody : public ::testing::Test {
 protected:
  static std::variant<std::string, http::BodyState> read(test::FakeExchange& exchange, std::size_t bytes_max) {
    std::optional<std::variant<std::string, http::BodyState>> result;
    test::run(keep(exchange, bytes_max, result));
    return *result;
  }
  static test::FakeExchange chunked(std::vector<std::pair<http::BodyState, std::string>> pieces) {
    test::FakeExchange exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    exchange.script_body(std::move(pieces));
    return exchange;
  }

 private:
  static Task<void> keep(http::Exchange& exchange, std::size_t bytes_max,
                         std::optional<std::variant<std::string, http::BodyState>>& result) {
    std::variant<std::string, http::BodyState> body = co_await read_small_body(exchange, bytes_max);
    result.emplace(std::move(body));
  }
};

TEST_F(SmallBody, IsReadToItsEnd) {
  auto exchange = chunked({{http::BodyState::more, "ab"}, {http::BodyState::more, "cd"}});
  EXPECT_EQ(std::get<std::string>(read(exchange, 4)), "abcd");
}

TEST_F(SmallBody, EndsAtItsLimit) {
  auto exchange = chunked({{http::BodyState::more, "ab"}, {http::BodyState::more, "cde"}});
  EXPECT_EQ(std::get<http::BodyState>(read(exchange, 4)), http::BodyState::too_large);
}

TEST_F(SmallBody, IsNotReadWhenItSaysThatItIsTooLarge) {
  test::FakeExchange exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
  EXPECT_EQ(std::get<http::BodyState>(read(exchange, 4)), http::BodyState::too_large);
  EXPECT_FALSE(exchange.body_was_read());
}

TEST_F(SmallBody, SaysHowItEndedBeforeItsEnd) {
  for (const http::BodyState state : {http::BodyState::gone, http::BodyState::malformed, http::BodyState::timed_out}) {
    auto exchange = chunked({{http::BodyState::more, "ab"}, {state, ""}});
    EXPECT_EQ(std::get<http::BodyState>(read(exchange, 4)), state);
  }
}

}  // namespace
}  // namespace sallyport::pipeline
