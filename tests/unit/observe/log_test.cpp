#include "observe/log.hpp"

#include <limits>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/json.hpp"

namespace sallyport::observe {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

WallTime at(std::int64_t microseconds) { return WallTime(std::chrono::microseconds(microseconds)); }

class StillClock final : public Clock {
 public:
  WallTime wall_now() const override { return at(1'769'860'800'123'456); }
  MonotonicTime monotonic_now() const override { return {}; }
};

TEST(LogLine, BeginsWithTimeLevelAndEvent) {
  LogLine line;
  line.begin(at(1'769'860'800'123'456), Level::info, "listening");
  EXPECT_EQ(line.end(), "{\"ts\":\"2026-01-31T12:00:00.123456Z\",\"level\":\"info\",\"event\":\"listening\"}\n");
}

TEST(LogLine, PrintsTheTimeOfEveryLine) {
  const auto stamp = [line = LogLine()](std::int64_t microseconds) mutable {
    line.begin(at(microseconds), Level::debug, "e");
    return std::string(line.end().substr(7, 27));
  };
  auto of = stamp;  // one LogLine for all: what it remembers must not stick
  EXPECT_EQ(of(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(of(1), "1970-01-01T00:00:00.000001Z");
  EXPECT_EQ(of(999'999), "1970-01-01T00:00:00.999999Z");
  EXPECT_EQ(of(1'000'000), "1970-01-01T00:00:01.000000Z");
  EXPECT_EQ(of(951'782'399'000'000), "2000-02-28T23:59:59.000000Z");
  EXPECT_EQ(of(951'782'400'000'000), "2000-02-29T00:00:00.000000Z");
  EXPECT_EQ(of(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(of(7'258'118'399'999'999), "2199-12-31T23:59:59.999999Z");
}

TEST(LogLine, HoldsEveryKindOfValue) {
  LogLine line;
  line.begin(at(0), Level::warning, "e")
      .text("t", "v")
      .text("empty", "")
      .number("n", -42)
      .number("max", std::numeric_limits<std::int64_t>::max())
      .number("min", std::numeric_limits<std::int64_t>::min())
      .milliseconds("d", 1500us)
      .boolean("yes", true)
      .boolean("no", false);
  EXPECT_EQ(line.end(),
            "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"warning\",\"event\":\"e\",\"t\":\"v\",\"empty\":\"\",\"n\":-42,"
            "\"max\":9223372036854775807,\"min\":-9223372036854775808,\"d\":1.500,\"yes\":true,\"no\":false}\n");
}

TEST(LogLine, PrintsMicrosecondsAsThousandths) {
  const auto printed = [](std::chrono::microseconds value) {
    LogLine line;
    line.begin(at(0), Level::info, "e").milliseconds("d", value);
    const std::string text(line.end());
    const std::size_t begin = text.find("\"d\":") + 4;
    return text.substr(begin, text.size() - begin - 2);
  };
  EXPECT_EQ(printed(0us), "0.000");
  EXPECT_EQ(printed(1us), "0.001");
  EXPECT_EQ(printed(999us), "0.999");
  EXPECT_EQ(printed(1'000us), "1.000");
  EXPECT_EQ(printed(12'346us), "12.346");
  EXPECT_EQ(printed(-250us), "-0.250");
  EXPECT_EQ(printed(-12'001us), "-12.001");
  EXPECT_EQ(printed(std::chrono::microseconds::max()), "9223372036854775.807");
  EXPECT_EQ(printed(std::chrono::microseconds::min()), "-9223372036854775.808");
}

struct Value {
  const char* name;
  std::string given;
  std::string written;
};
void PrintTo(const Value& value, std::ostream* out) { *out << value.name; }
class LogLineValue : public testing::TestWithParam<Value> {};
TEST_P(LogLineValue, IsOneLineOfValidJson) {
  LogLine line;
  line.begin(at(0), Level::info, "e").text("v", GetParam().given);
  const std::string text(line.end());
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  const Result<Json> read = Json::parse(text);
  ASSERT_TRUE(read) << text;
  EXPECT_EQ(*read->find("v")->string(), GetParam().written);
}
INSTANTIATE_TEST_SUITE_P(Values, LogLineValue,
                         testing::Values(Value{"quotes", R"("},{"admin":true,"x":")", R"("},{"admin":true,"x":")"},
                                         Value{"newline", "a\r\n{\"forged\":1}", "a\r\n{\"forged\":1}"}, Value{"backslash", "\\", "\\"},
                                         Value{"nul", "a\0b"s, "a\0b"s}, Value{"escape_sequence", "\x1b[31m", "\x1b[31m"},
                                         Value{"utf8", "gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
                                         Value{"four_bytes", "\xF0\x9F\x98\x80!", "\xF0\x9F\x98\x80!"},
                                         Value{"lone_byte", "a\xFFz", "a\xEF\xBF\xBDz"},
                                         Value{"overlong", "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                                         Value{"surrogate", "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                                         Value{"cut_short", "a\xE2\x82", "a\xEF\xBF\xBD\xEF\xBF\xBD"},
                                         Value{"delete", "a\x7f", "a\xEF\xBF\xBD"}, Value{"c1_control", "a\xC2\x9Bm", "a\xEF\xBF\xBDm"},
                                         Value{"no_break_space", "\xC2\xA0", "\xC2\xA0"}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(LogLine, EscapesAtEveryPlace) {
  // Values are looked at sixteen bytes at a time: what needs an escape must be found wherever it stands.
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t place = 0; place < size; ++place) {
      for (const int byte : {0x00, 0x01, 0x1F, 0x20, 0x21, 0x22, 0x23, 0x5B, 0x5C, 0x5D, 0x7E}) {
        std::string value(size, '~');
        value[place] = static_cast<char>(byte);
        LogLine line;
        line.begin(at(0), Level::info, "e").text("v", value);
        const Result<Json> read = Json::parse(line.end());
        ASSERT_TRUE(read) << line.end();
        EXPECT_EQ(*read->find("v")->string(), value);
      }
    }
  }
}

TEST(LogLine, ReplacesAtEveryPlace) {
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t place = 0; place < size; ++place) {
      for (const int byte : {0x7F, 0x80, 0x9B, 0xC2, 0xFF}) {
        std::string value(size, '~');
        value[place] = static_cast<char>(byte);
        LogLine line;
        line.begin(at(0), Level::info, "e").text("v", value);
        const Result<Json> read = Json::parse(line.end());
        ASSERT_TRUE(read) << line.end();
        EXPECT_EQ(*read->find("v")->string(), value.replace(place, 1, "\xEF\xBF\xBD"));
      }
    }
  }
}

TEST(LogLine, IsUsedAgain) {
  LogLine line;
  line.begin(at(0), Level::info, "first").text("long", std::string(5000, 'x'));
  EXPECT_GT(line.end().size(), 5000U);
  line.begin(at(0), Level::info, "second");
  EXPECT_EQ(line.end(), "{\"ts\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"info\",\"event\":\"second\"}\n");
}

struct Collected {
  std::array<int, 2> ends{};
  std::unique_ptr<LineWriter> writer;
  Collected() {
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    EXPECT_GE(::fcntl(ends[1], F_SETPIPE_SZ, 1 << 18), 1 << 18);  // holds all that a test writes
    writer = std::make_unique<LineWriter>(ends[1], 1 << 20);
    ::close(ends[1]);
  }
  // Ends the writer; what it wrote (less than the pipe holds).
  std::string text() {
    writer.reset();
    std::string all;
    std::array<char, 4096> piece{};
    for (ssize_t count = 0; (count = ::read(ends[0], piece.data(), piece.size())) > 0;)
      all.append(piece.data(), static_cast<std::size_t>(count));
    ::close(ends[0]);
    return all;
  }
};

TEST(Log, WritesEventsOfItsLevelAndAbove) {
  Collected collected;
  const StillClock clock;
  const Log log(*collected.writer, Level::warning, clock);
  EXPECT_FALSE(log.enabled(Level::info));
  EXPECT_TRUE(log.enabled(Level::warning));
  log.event(Level::info, "quiet", "not written");
  log.event(Level::error, "loud", "why\n");
  EXPECT_EQ(collected.text(), "{\"ts\":\"2026-01-31T12:00:00.123456Z\",\"level\":\"error\",\"event\":\"loud\",\"detail\":\"why\\n\"}\n");
}

TEST(WorkerLog, HandsOverInBatches) {
  Collected collected;
  WorkerLog log(*collected.writer);
  log.add("one\n");
  log.add("two\n");
  log.flush();
  log.flush();
  log.add("never flushed\n");
  EXPECT_EQ(collected.text(), "one\ntwo\n");
}

std::string padded_line(std::size_t bytes, char filling) {
  std::string line(bytes, filling);
  line.back() = '\n';
  return line;
}

TEST(WorkerLog, HandsOverByItselfWhenABatchIsFull) {
  Collected collected;
  WorkerLog log(*collected.writer);
  const std::string line = padded_line(1024, 'x');
  for (std::size_t i = 0; i + 1 < WorkerLog::kBatchBytes / line.size(); ++i) log.add(line);
  log.add(padded_line(1023, 'y'));  // one byte short of a batch
  log.add("z\n");
  EXPECT_TRUE(collected.text().ends_with("y\nz\n"));
}

TEST(WorkerLog, CollectsNothingForASinkThatIsOff) {
  LineWriter writer(Sink{Sink::Kind::off, ""}, 1024);
  WorkerLog log(writer);
  EXPECT_TRUE(log.is_off());
  for (int i = 0; i < 10; ++i) log.add("line\n");
  log.flush();
  EXPECT_EQ(writer.lost(), 0U);
}

TEST(Level, HasAName) {
  EXPECT_EQ(name(Level::debug), "debug");
  EXPECT_EQ(name(Level::info), "info");
  EXPECT_EQ(name(Level::warning), "warning");
  EXPECT_EQ(name(Level::error), "error");
}

}  // namespace
}  // namespace sallyport::observe
