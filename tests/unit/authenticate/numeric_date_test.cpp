#include "authenticate/numeric_date.hpp"

#include <gtest/gtest.h>

namespace sallyport::authenticate {
namespace {

Instant read_date(std::string_view text, Rounding rounding = Rounding::down) {
  const Result<Json> value = Json::parse(text);
  EXPECT_TRUE(value) << text;
  const std::optional<Instant> instant = numeric_date(*value, rounding);
  EXPECT_TRUE(instant) << text;
  return instant.value_or(Instant{-1, -1});
}

TEST(NumericDate, ReadsIntegersExactly) {
  EXPECT_EQ(read_date("0"), (Instant{0, 0}));
  EXPECT_EQ(read_date("1700000000"), (Instant{1'700'000'000, 0}));
  EXPECT_EQ(read_date("-5"), (Instant{-5, 0}));
  EXPECT_EQ(read_date("1700000000", Rounding::up), (Instant{1'700'000'000, 0}));
}

TEST(NumericDate, C04_ReadsFractionsAndExponentsWithoutRoundingTheOtherWay) {
  EXPECT_EQ(read_date("1.5"), (Instant{1, 500'000'000}));
  EXPECT_EQ(read_date("1.5", Rounding::up), (Instant{1, 500'000'000}));
  EXPECT_EQ(read_date("17e8"), (Instant{1'700'000'000, 0}));
  EXPECT_EQ(read_date("1E+10"), (Instant{10'000'000'000, 0}));
  // 0.1 as a double lies a little above a tenth.
  EXPECT_EQ(read_date("0.1"), (Instant{0, 100'000'000}));
  EXPECT_EQ(read_date("0.1", Rounding::up), (Instant{0, 100'000'001}));
  // 0.3 lies a little below three tenths.
  EXPECT_EQ(read_date("0.3"), (Instant{0, 299'999'999}));
  EXPECT_EQ(read_date("0.3", Rounding::up), (Instant{0, 300'000'000}));
  EXPECT_EQ(read_date("1e-300"), (Instant{0, 0}));
  EXPECT_EQ(read_date("1e-300", Rounding::up), (Instant{0, 1}));
}

TEST(NumericDate, RoundsNegativeFractionsDownward) {
  EXPECT_EQ(read_date("-1.5"), (Instant{-2, 500'000'000}));
  EXPECT_EQ(read_date("-1e-300"), (Instant{-1, 999'999'999}));
  EXPECT_EQ(read_date("-1e-300", Rounding::up), (Instant{0, 0}));
  EXPECT_EQ(read_date("-0.0"), (Instant{0, 0}));
}

TEST(NumericDate, ReadsTheLastDoubleBelowASecond) {
  EXPECT_EQ(read_date("0.99999999999999989"), (Instant{0, 999'999'999}));
  EXPECT_EQ(read_date("0.99999999999999989", Rounding::up), (Instant{1, 0}));
}

TEST(NumericDate, C05_ClampsWhatNoClockWillShow) {
  constexpr std::int64_t kFar = 1'000'000'000'000'000;
  for (const char* text : {"1e308", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e15"}) {
    EXPECT_EQ(read_date(text), (Instant{kFar, 0})) << text;
  }
  for (const char* text : {"-1e308", "-9223372036854775808", "-1e15"}) EXPECT_EQ(read_date(text), (Instant{-kFar, 0})) << text;
}

TEST(NumericDate, C02_IsANumberOrNothing) {
  for (const char* text : {"null", "true", "\"1\"", "\"99999999999\"", "[]", "[1]", "{}"}) {
    EXPECT_FALSE(numeric_date(*Json::parse(text), Rounding::down)) << text;
  }
}

TEST(Instant, GoesToWallTimeAndBack) {
  for (const Instant instant :
       {Instant{0, 0}, Instant{1'700'000'000, 123'456'789}, Instant{-1, 999'999'999}, Instant{-3, 1}, Instant{9'000'000'000, 1}}) {
    EXPECT_EQ(instant_of(wall_time_of(instant)), instant);
  }
}

TEST(Instant, EndsWithWallTimeWhereWallTimeEnds) {
  EXPECT_EQ(wall_time_of(Instant{kYear10000, 0}), WallTime::max());
  EXPECT_EQ(wall_time_of(Instant{-kYear10000, 0}), WallTime::min());
  EXPECT_EQ(instant_of(wall_time_of(instant_of(WallTime::max()))), instant_of(WallTime::max()));
  EXPECT_EQ(instant_of(wall_time_of(instant_of(WallTime::min()))), instant_of(WallTime::min()));
  const Instant last = instant_of(WallTime::max());
  EXPECT_EQ(instant_of(wall_time_of(Instant{last.seconds, last.nanoseconds - 1})), (Instant{last.seconds, last.nanoseconds - 1}));
  const Instant first = instant_of(WallTime::min());
  EXPECT_EQ(instant_of(wall_time_of(Instant{first.seconds, first.nanoseconds + 1})), (Instant{first.seconds, first.nanoseconds + 1}));
}

TEST(Instant, StepsOverTheSecond) {
  EXPECT_EQ(next_after(Instant{1, 999'999'999}), (Instant{2, 0}));
  EXPECT_EQ(next_after(Instant{1, 0}), (Instant{1, 1}));
  EXPECT_EQ((Instant{1, 5} + std::chrono::seconds(3)), (Instant{4, 5}));
}

}  // namespace
}  // namespace sallyport::authenticate
