#include "issue/date_time.hpp"

#include <string>

#include <gtest/gtest.h>

namespace sallyport::issue {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

struct Good {
  const char* name;
  const char* text;
  std::int64_t second;
  std::int64_t nanosecond;
};

class DateTimeRead : public ::testing::TestWithParam<Good> {};

TEST_P(DateTimeRead, AsRfc3339SaysIt) {
  const auto read = parse_date_time(GetParam().text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->second, sys_seconds(seconds(GetParam().second)));
  EXPECT_EQ(read->fraction, nanoseconds(GetParam().nanosecond));
}

INSTANTIATE_TEST_SUITE_P(
    Forms, DateTimeRead,
    ::testing::Values(Good{"Utc", "2023-11-14T22:13:20Z", 1'700'000'000, 0}, Good{"LowerCase", "2023-11-14t22:13:20z", 1'700'000'000, 0},
                      Good{"Fraction", "2023-11-14T22:13:20.5Z", 1'700'000'000, 500'000'000},
                      Good{"NineDigits", "2023-11-14T22:13:20.000000001Z", 1'700'000'000, 1},
                      Good{"MoreDigitsRoundUp", "2023-11-14T22:13:20.0000000001Z", 1'700'000'000, 1},
                      Good{"ZerosBeyondNineDigits", "2023-11-14T22:13:20.0000000010000Z", 1'700'000'000, 1},
                      Good{"RoundsUpIntoTheNextSecond", "2023-11-14T22:13:19.9999999999Z", 1'700'000'000, 0},
                      Good{"East", "2023-11-15T00:13:20+02:00", 1'700'000'000, 0},
                      Good{"West", "2023-11-14T16:43:20-05:30", 1'700'000'000, 0},
                      Good{"UnknownOffset", "2023-11-14T22:13:20-00:00", 1'700'000'000, 0},
                      Good{"OffsetAndFraction", "2023-11-15T00:13:20.25+02:00", 1'700'000'000, 250'000'000},
                      Good{"LeapDay", "2024-02-29T00:00:00Z", 1'709'164'800, 0}, Good{"LeapSecond", "1990-12-31T23:59:60Z", 662'688'000, 0},
                      Good{"LeapSecondElsewhere", "1990-12-31T15:59:60-08:00", 662'688'000, 0},
                      Good{"BeforeTheEpoch", "1969-12-31T23:59:59Z", -1, 0}, Good{"LastYear", "9999-12-31T23:59:59Z", 253'402'300'799, 0}),
    [](const auto& info) { return std::string(info.param.name); });

struct Bad {
  const char* name;
  const char* text;
};

class DateTimeRefused : public ::testing::TestWithParam<Bad> {};

TEST_P(DateTimeRefused, WhateverIsNotExactlyThat) { EXPECT_FALSE(parse_date_time(GetParam().text).has_value()); }

INSTANTIATE_TEST_SUITE_P(Forms, DateTimeRefused,
                         ::testing::Values(Bad{"Empty", ""}, Bad{"DateAlone", "2023-11-14"}, Bad{"NoZone", "2023-11-14T22:13:20"},
                                           Bad{"Space", "2023-11-14 22:13:20Z"}, Bad{"SpaceBefore", " 2023-11-14T22:13:20Z"},
                                           Bad{"SpaceAfter", "2023-11-14T22:13:20Z "}, Bad{"NoSeconds", "2023-11-14T22:13Z"},
                                           Bad{"EmptyFraction", "2023-11-14T22:13:20.Z"}, Bad{"Comma", "2023-11-14T22:13:20,5Z"},
                                           Bad{"SignedFraction", "2023-11-14T22:13:20.-5Z"}, Bad{"OneDigitMonth", "2023-1-14T22:13:20Z"},
                                           Bad{"MonthZero", "2023-00-14T22:13:20Z"}, Bad{"MonthThirteen", "2023-13-14T22:13:20Z"},
                                           Bad{"DayZero", "2023-11-00T22:13:20Z"}, Bad{"NoSuchDay", "2023-11-31T22:13:20Z"},
                                           Bad{"NoLeapDay", "2023-02-29T22:13:20Z"}, Bad{"NoLeapCentury", "1900-02-29T22:13:20Z"},
                                           Bad{"HourTwentyFour", "2023-11-14T24:00:00Z"}, Bad{"MinuteSixty", "2023-11-14T22:60:20Z"},
                                           Bad{"SecondSixtyOne", "2023-11-14T23:59:61Z"}, Bad{"LeapSecondAtNoon", "2023-11-14T12:59:60Z"},
                                           Bad{"LeapSecondByAWrongOffset", "1990-12-31T23:59:60-08:00"},
                                           Bad{"YearZero", "0000-11-14T22:13:20Z"}, Bad{"FiveDigitYear", "12023-11-14T22:13:20Z"},
                                           Bad{"SignedYear", "+2023-11-14T22:13:20Z"},
                                           Bad{"OffsetWithoutColon", "2023-11-14T22:13:20+0200"},
                                           Bad{"OffsetHours", "2023-11-14T22:13:20+02"}, Bad{"OffsetTooLarge", "2023-11-14T22:13:20+24:00"},
                                           Bad{"OffsetMinutes", "2023-11-14T22:13:20+02:60"}, Bad{"TwoZones", "2023-11-14T22:13:20Z+02:00"},
                                           Bad{"Letters", "2O23-11-14T22:13:20Z"}, Bad{"Number", "1700000000"},
                                           Bad{"HttpDate", "Tue, 14 Nov 2023 22:13:20 GMT"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DateTime, RefusesEveryTruncation) {
  const std::string_view whole = "2023-11-14T22:13:20.5+02:00";
  ASSERT_TRUE(parse_date_time(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(parse_date_time(whole.substr(0, length))) << length;
}

TEST(DateTime, RefusesANulThatAStringWouldEndAt) { EXPECT_FALSE(parse_date_time(std::string_view("2023-11-14T22:13:20Z\0", 21))); }

}  // namespace
}  // namespace sallyport::issue
