// Every tests/config/NAME.yaml beside a NAME.expected is broken: each line of the latter is `[FILE:]LINE:COLUMN text`, one per problem,
// in order. tests/config/good.yaml is the passing twin of all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "app/commands.hpp"
#include "app/config_loader.hpp"
#include "support/configuration_folder.hpp"

namespace sallyport::app {
namespace {

const std::string kFolder = std::string(SALLYPORT_SOURCE_DIR) + "/tests/config/";

std::vector<std::string> broken_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".expected") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Expected {
  std::string place;  // "/…/tests/config/bad.yaml:3:5: "
  std::string text;
};
std::vector<Expected> expected_problems(const std::string& name) {
  std::vector<Expected> expected;
  std::istringstream lines(sallyport::testing::read_file(kFolder + name + ".expected"));
  for (std::string line; std::getline(lines, line);) {
    std::string place = line.substr(0, line.find(' '));
    if (std::count(place.begin(), place.end(), ':') == 1) place = name + ".yaml:" + place;
    expected.push_back({kFolder + place + ": ", line.substr(line.find(' ') + 1)});
  }
  return expected;
}

class BrokenConfiguration : public ::testing::TestWithParam<std::string> {};

TEST_P(BrokenConfiguration, P01_IsRefusedWithEveryProblemAtItsPlace) {
  const std::vector<Expected> expected = expected_problems(GetParam());
  const Loaded loaded = load_config(kFolder + GetParam() + ".yaml", process_environment);
  EXPECT_FALSE(loaded.settings);
  ASSERT_EQ(loaded.problems.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_THAT(loaded.problems[i].text(), ::testing::StartsWith(expected[i].place));
    EXPECT_THAT(loaded.problems[i].message, ::testing::HasSubstr(expected[i].text));
  }
}

TEST_P(BrokenConfiguration, IsWhatCheckPrints) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream error;
  EXPECT_EQ(run_command_line({"check", "--config", kFolder + GetParam() + ".yaml"}, {in, out, error}, nullptr), kRefused);
  std::istringstream lines(out.str());
  for (const Expected& expected : expected_problems(GetParam())) {
    std::string line;
    std::getline(lines, line);
    EXPECT_THAT(line, ::testing::StartsWith(expected.place));
  }
}

INSTANTIATE_TEST_SUITE_P(Tests, BrokenConfiguration, ::testing::ValuesIn(broken_names()), [](const auto& row) {
  std::string name = row.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(BrokenConfigurations, AreManyAndHaveAGoodTwin) {
  EXPECT_GE(broken_names().size(), 45U);
  const Loaded loaded = load_config(kFolder + "good.yaml", process_environment);
  for (const Problem& problem : loaded.problems) ADD_FAILURE() << problem.text();
  EXPECT_TRUE(loaded.settings.has_value());
}

}  // namespace
}  // namespace sallyport::app
