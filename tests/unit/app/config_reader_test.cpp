#include "app/config_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::optional<std::string> environment(const std::string& name) {
  if (name == "FIVE") return "5";
  if (name == "SECRET") return "hunter2";
  return std::nullopt;
}

// One scalar as YAML spells it, read by `reader`.
class Scalar {
 public:
  explicit Scalar(const std::string& yaml) : root_(read_yaml(yaml, source_, environment, problems_)) {}
  const Node& node() const { return *root_; }
  Problems& problems() { return problems_; }
  std::string first_problem() {
    const auto errors = problems_.take_errors();
    return errors.empty() ? "" : errors.front().message;
  }

 private:
  static inline const Source source_{"test.yaml", ""};
  Problems problems_;
  std::optional<Node> root_;
};

template <class Reader>
auto read(const std::string& yaml, Reader reader) {
  Scalar scalar(yaml);
  auto value = reader(scalar.problems(), scalar.node());
  EXPECT_NE(value.has_value(), scalar.problems().has_errors()) << yaml;  // nothing is refused in silence
  return value;
}

auto duration(const std::string& yaml) {
  return read(yaml, [](Problems& p, const Node& n) { return read_duration(p, n, {milliseconds(0), hours(24 * 400)}); });
}
auto size(const std::string& yaml) {
  return read(yaml, [](Problems& p, const Node& n) { return read_size(p, n, 0, std::uint64_t{1} << 50); });
}
auto integer(const std::string& yaml) {
  return read(yaml, [](Problems& p, const Node& n) { return read_integer(p, n, 0, 1000); });
}
auto boolean(const std::string& yaml) { return read(yaml, read_boolean); }
auto text(const std::string& yaml) {
  return read(yaml, [](Problems& p, const Node& n) { return read_text(p, n); });
}
auto json(const std::string& yaml) { return read(yaml, read_json_scalar); }

TEST(ReadDuration, TakesAWholeNumberAndOneUnit) {
  EXPECT_EQ(duration("250ms"), milliseconds(250));
  EXPECT_EQ(duration("5s"), milliseconds(5'000));
  EXPECT_EQ(duration("15m"), milliseconds(900'000));
  EXPECT_EQ(duration("24h"), hours(24));
  EXPECT_EQ(duration("7d"), hours(24 * 7));
  EXPECT_EQ(duration("\"0s\""), milliseconds(0));
  EXPECT_EQ(duration("${FIVE}s"), milliseconds(5'000));
}

TEST(ReadDuration, P01_RefusesEverythingElse) {
  for (const char* bad : {"5", "5 s", "s", "ms", "-5s", "+5s", "05s", "5S", "5.5s", "1h30m", "1e3s", "5sec", "1w", "9223372036854775808ms",
                          "106751991168d", "99999999999999999999s", "[5s]", "{ a: 1 }", "true"}) {
    EXPECT_FALSE(duration(bad)) << bad;
  }
}

TEST(ReadDuration, P01_HoldsTheRangeAtItsBounds) {
  const auto bounded = [](const std::string& yaml) {
    return read(yaml, [](Problems& p, const Node& n) { return read_duration(p, n, {milliseconds(10), hours(24)}); });
  };
  EXPECT_TRUE(bounded("10ms"));
  EXPECT_FALSE(bounded("9ms"));
  EXPECT_TRUE(bounded("1d"));
  EXPECT_FALSE(bounded("86401s"));
}

TEST(ReadSize, TakesAWholeNumberAndAUnit) {
  EXPECT_EQ(size("0B"), 0U);
  EXPECT_EQ(size("512B"), 512U);
  EXPECT_EQ(size("16KiB"), 16'384U);
  EXPECT_EQ(size("10MiB"), 10'485'760U);
  EXPECT_EQ(size("1GiB"), 1'073'741'824U);
}

TEST(ReadSize, P01_RefusesEverythingElse) {
  for (const char* bad : {"16384", "16KB", "16kib", "16K", "16 KiB", "KiB", "-1KiB", "01KiB", "1.5MiB", "18446744073709551616B",
                          "17179869184GiB", "[1KiB]"}) {
    EXPECT_FALSE(size(bad)) << bad;
  }
}

TEST(ReadInteger, TakesDigitsAlone) {
  EXPECT_EQ(integer("0"), 0U);
  EXPECT_EQ(integer("1000"), 1000U);
  EXPECT_EQ(integer("${FIVE}"), 5U);
  EXPECT_EQ(integer("\"${FIVE}\""), 5U);
}

TEST(ReadInteger, P06_RefusesOtherSpellingsOfNumbers) {
  for (const char* bad : {"1001", "-1", "+1", "01", "0x10", "0o7", "0b1", "1e2", "1_000", "1.0", "1:30", ".5", "\"5\"", "'5'",
                          "9223372036854775808", "18446744073709551616", "yes", "ten", "[1]"}) {
    EXPECT_FALSE(integer(bad)) << bad;
  }
}

TEST(ReadBoolean, P06_TakesTrueAndFalseAndNoOtherWord) {
  EXPECT_EQ(boolean("true"), true);
  EXPECT_EQ(boolean("false"), false);
  for (const char* bad : {"yes", "no", "on", "off", "y", "n", "True", "TRUE", "FALSE", "1", "0", "\"true\"", "'false'"})
    EXPECT_FALSE(boolean(bad)) << bad;
}

TEST(ReadText, P06_RefusesWhatYamlMayReadAsSomethingElse) {
  for (const char* bad :
       {"true", "No", "off", "Y", "5", "0123", "1e3", "1.5", ".5", "-7", "+1", "0x1F", "1_000", "12:30:45", ".inf", "-.INF", ".NaN"}) {
    EXPECT_FALSE(text(bad)) << bad;
    EXPECT_EQ(text("\"" + std::string(bad) + "\""), bad);
  }
}

TEST(ReadText, TakesPlainWordsAndAddresses) {
  for (const char* good : {"api", "127.0.0.1", "127.0.0.1:8443", "10.0.0.0/8", "2024-01-31", "1a", "e1", "0xyz", "5s",
                           "https://issuer.example", "nobody", ".", "1.2.3", "a b"}) {
    EXPECT_EQ(text(good), good);
  }
}

TEST(ReadText, RefusesControlBytesAndEmptiness) {
  EXPECT_FALSE(text("\"a\\nb\""));
  EXPECT_FALSE(text("\"a\\0b\""));
  EXPECT_FALSE(text("\"\\x7f\""));
  EXPECT_FALSE(text("\"\""));
  EXPECT_EQ(text("\"caf\xC3\xA9\""), "caf\xC3\xA9");
}

TEST(ReadName, TakesWhatLogsAndMetricsCanShow) {
  EXPECT_TRUE(read("orders-v2.eu_west", read_name));
  EXPECT_TRUE(read("a" + std::string(63, 'b'), read_name));
  for (const std::string& bad : {std::string("-a"), std::string(".a"), std::string("a b"), std::string("a/b"), std::string("\"a\\\"b\""),
                                 std::string("\xC3\xA9"), std::string(65, 'a')}) {
    EXPECT_FALSE(read(bad, read_name)) << bad;
  }
}

TEST(ReadJsonScalar, TellsTextFromNumbersAndBooleans) {
  EXPECT_EQ(json("acme")->dump(), "\"acme\"");
  EXPECT_EQ(json("true")->dump(), "true");
  EXPECT_EQ(json("\"true\"")->dump(), "\"true\"");
  EXPECT_EQ(json("-12")->dump(), "-12");
  EXPECT_EQ(json("1.5")->dump(), "1.5");
  EXPECT_EQ(json("\"5\"")->dump(), "\"5\"");
}

TEST(ReadJsonScalar, P06_RefusesTheAmbiguous) {
  for (const char* bad : {"yes", "off", "0123", "1e3", "+1", "0x1", "1.", ".5", "~", "null", "[1]", "{ a: 1 }", "99999999999999999999"}) {
    Scalar scalar(std::string("[ ") + bad + " ]");
    EXPECT_FALSE(read_json_scalar(scalar.problems(), scalar.node().items[0])) << bad;
    EXPECT_TRUE(scalar.problems().has_errors()) << bad;
  }
}

TEST(ReadList, RefusesEmptyListsAndBlankElements) {
  const auto elements = [](const std::string& yaml) {
    Scalar scalar(yaml);
    const std::size_t count = read_list(scalar.problems(), scalar.node(), "a list").size();
    return std::pair(count, scalar.problems().error_count());
  };
  EXPECT_EQ(elements("[a, b]"), std::pair(std::size_t{2}, std::size_t{0}));
  EXPECT_EQ(elements("[]"), std::pair(std::size_t{0}, std::size_t{1}));
  EXPECT_EQ(elements("[a, ~, ]"), std::pair(std::size_t{1}, std::size_t{1}));
  EXPECT_EQ(elements("a"), std::pair(std::size_t{0}, std::size_t{1}));
  EXPECT_EQ(elements("{ a: b }"), std::pair(std::size_t{0}, std::size_t{1}));
}

TEST(Shown, P10_NeverShowsAVariablesValue) {
  for (const auto reader : {+[](Problems& p, const Node& n) { return read_integer(p, n, 0, 9).has_value(); },
                            +[](Problems& p, const Node& n) { return read_boolean(p, n).has_value(); },
                            +[](Problems& p, const Node& n) { return read_size(p, n, 0, 9).has_value(); },
                            +[](Problems& p, const Node& n) { return read_duration(p, n, {hours(0), hours(1)}).has_value(); },
                            +[](Problems& p, const Node& n) { return read_word(p, n, "", {"hunter", "b"}).has_value(); }}) {
    Scalar scalar("${SECRET}");
    EXPECT_FALSE(reader(scalar.problems(), scalar.node()));
    const std::string message = scalar.first_problem();
    EXPECT_THAT(message, HasSubstr("${SECRET}"));
    EXPECT_THAT(message, ::testing::Not(HasSubstr("hunter2")));
  }
}

TEST(Shown, CutsLongTextBetweenCharacters) {
  std::string yaml = "\"";
  for (int i = 0; i < 1'000; ++i) yaml += "\xE2\x82\xAC";
  Scalar scalar(yaml + "\"");
  const std::string out = shown(scalar.node());
  EXPECT_LT(out.size(), 100U);
  EXPECT_THAT(out, HasSubstr("\xE2\x82\xAC\xE2\x80\xA6'"));
}

TEST(MapReader, P01_ReportsUnknownBlankAndMissingKeysWithTheirPlaces) {
  Scalar map("drain_time: 1s\ndrain_timeout:\n");
  const MapReader reader(map.problems(), map.node(), "shutdown");
  EXPECT_EQ(reader.find("drain_timeout"), nullptr);
  EXPECT_EQ(reader.require("other", "something"), nullptr);
  std::vector<std::string> lines;
  for (const Problem& problem : map.problems().take_errors()) lines.push_back(problem.text());
  EXPECT_THAT(lines, ElementsAre("test.yaml:1:1: shutdown.other is missing; expected something",
                                 "test.yaml:1:1: unknown key 'drain_time' in shutdown; did you mean 'drain_timeout'?",
                                 HasSubstr("test.yaml:2:1: shutdown.drain_timeout is blank")));
}

}  // namespace
}  // namespace sallyport::app
