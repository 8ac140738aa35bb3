#include "app/yaml_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace sallyport::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::optional<std::string> variables(const std::string& name) {
  if (name == "COLOUR") return "blue";
  if (name == "SECRET") return "hunter2";
  if (name == "EMPTY") return "";
  if (name == "NESTED") return "${COLOUR}";
  return std::nullopt;
}

struct Read {
  std::optional<Node> root;
  std::vector<std::string> problems;  // "LINE:COLUMN: message"
};

Read read(std::string_view text, const YamlLimits& limits = {}) {
  static const Source source{"test.yaml", ""};
  Problems problems;
  Read result{read_yaml(text, source, variables, problems, limits), {}};
  for (const Problem& problem : problems.take_errors()) {
    EXPECT_EQ(problem.file, "test.yaml");
    result.problems.push_back(problem.text().substr(std::string("test.yaml:").size()));
  }
  return result;
}

const Node& value_of(const Node& map, std::string_view key) {
  for (const Member& member : map.members) {
    if (member.key.text == key) return member.value;
  }
  throw std::runtime_error("no such key");
}

TEST(YamlReader, KeepsTheOrderAndThePlacesOfEverything) {
  const Read result = read("a: 1\nb:\n  - x\n  - { c: \"y\" }\n");
  ASSERT_TRUE(result.root);
  EXPECT_THAT(result.problems, IsEmpty());
  const Node& list = value_of(*result.root, "b");
  EXPECT_EQ(list.items[0].text, "x");
  EXPECT_EQ(list.items[0].at.line, 3);
  EXPECT_EQ(list.items[0].at.column, 5);
  EXPECT_FALSE(list.items[0].quoted);
  const Member& member = list.items[1].members[0];
  EXPECT_EQ(member.key.at.column, 7);
  EXPECT_EQ(member.value.at.column, 10);
  EXPECT_TRUE(member.value.quoted);
}

TEST(YamlReader, CountsColumnsInBytes) { EXPECT_THAT(read("\xC3\xA9: !x y\n").problems, ElementsAre(HasSubstr("1:5: a tag"))); }

TEST(YamlReader, P06_ReadsLinesThatEndInCrLf) {
  const Read result = read("a: 1\r\nb:\r\n  - x\r\n");
  ASSERT_TRUE(result.root);
  EXPECT_EQ(value_of(*result.root, "a").text, "1");
  EXPECT_EQ(value_of(*result.root, "b").items[0].text, "x");
}

TEST(YamlReader, P06_RefusesAnchorsAndAliasesEach) {
  EXPECT_THAT(read("a: &x [1]\nb: *x\n").problems, ElementsAre(HasSubstr("1:4: an anchor"), HasSubstr("2:4: an alias")));
  EXPECT_THAT(read("a: &a [*a]\n").problems, ElementsAre(HasSubstr("1:4: an anchor"), HasSubstr("1:8: an alias")));
  EXPECT_THAT(read("a: \"&x\"\nb: \"*x\"\n").problems, IsEmpty());
}

TEST(YamlReader, P06_RefusesBillionLaughsBeforeAnyoneLaughs) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) text += (j == 0 ? "*a" : ",*a") + std::to_string(i - 1);
    text += "]\n";
  }
  const Read result = read(text);
  EXPECT_EQ(result.problems.size(), 12U + 11U * 9U);
}

TEST(YamlReader, P06_RefusesDuplicateKeysAtTheSecond) {
  EXPECT_THAT(read("a: 1\nb: 2\na: 3\n").problems, ElementsAre("3:1: 'a' stands here twice; it is already on line 1"));
  EXPECT_THAT(read("a: { x: 1, \"x\": 2 }\n").problems, ElementsAre(HasSubstr("1:12: 'x' stands here twice")));
  EXPECT_THAT(read("a: { x: 1 }\nb: { x: 1 }\n").problems, IsEmpty());
}

struct BadText {
  const char* name;
  std::string text;
  const char* expected;
};
class RefusedBytes : public ::testing::TestWithParam<BadText> {};
TEST_P(RefusedBytes, P06_AreToldWithTheirPlace) {
  const Read result = read(GetParam().text);
  EXPECT_FALSE(result.root);
  EXPECT_THAT(result.problems, ElementsAre(HasSubstr(GetParam().expected)));
}
INSTANTIATE_TEST_SUITE_P(YamlReader, RefusedBytes,
                         ::testing::Values(BadText{"Tab", "a:\n\tb: 1\n", "2:1: a tab"}, BadText{"TabInside", "a: [1,\t2]\n", "1:7: a tab"},
                                           BadText{"ByteOrderMark",
                                                   "\xEF\xBB\xBF"
                                                   "a: 1\n",
                                                   "1:1: begins with a byte order mark"},
                                           BadText{"Utf16LittleEndian",
                                                   std::string("\xFF\xFE"
                                                               "a\0:\0",
                                                               6),
                                                   "1:1: is UTF-16"},
                                           BadText{"Utf16BigEndian", std::string("\xFE\xFF\0a\0:", 6), "1:1: is UTF-16"},
                                           BadText{"Nul", std::string("a: 1\nb: \0\n", 10), "2:4: the control byte 0x00"},
                                           BadText{"BareCarriageReturn", "a: 1\rb: 2\n", "1:5: the control byte 0x0D"},
                                           BadText{"Latin1", "a: 1\nb: \xE9\n", "2:1: this line is not UTF-8"},
                                           BadText{"Empty", "", "1:1: the file is empty"},
                                           BadText{"OnlyAComment", "# nothing\n", "1:1: the file is empty"},
                                           BadText{"OnlyNull", "null\n", "1:1: the file is empty"},
                                           BadText{"TwoDocuments", "a: 1\n---\nb: 2\n", "2:1: a second document"},
                                           BadText{"HalfAString", "a: \"half", "1:9: this is not YAML"},
                                           BadText{"HalfAList", "a: [1, 2\n", "this is not YAML"},
                                           BadText{"BadIndent", "a:\n  b: 1\n c: 2\n", "3:2: this is not YAML"}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(YamlReader, P06_RefusesNestingWithoutRecursingIntoIt) {
  for (const std::string piece : {"[", "{a: ", "- ", "? ", "- ? "}) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) text += piece;
    const auto began = std::chrono::steady_clock::now();
    const Read result = read(text);
    EXPECT_FALSE(result.root) << piece;
    EXPECT_THAT(result.problems, ElementsAre(HasSubstr("1:"))) << piece;
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5)) << piece;
  }
  EXPECT_TRUE(read(std::string(32, '[') + std::string(32, ']')).root);
  EXPECT_THAT(read(std::string(33, '[') + std::string(33, ']')).problems, ElementsAre("1:33: nested deeper than 32 levels"));
}

TEST(YamlReader, CapsTheBytesAndTheValuesOfAFile) {
  YamlLimits limits;
  limits.bytes_max = 8;
  EXPECT_TRUE(read("a: 12345", limits).root);
  EXPECT_THAT(read("a: 123456", limits).problems, ElementsAre(HasSubstr("larger than")));
  limits = {};
  limits.nodes_max = 5;
  EXPECT_TRUE(read("[1, 2, 3, 4]", limits).root);
  EXPECT_THAT(read("[1, 2, 3, 4, 5]", limits).problems, ElementsAre("1:14: more than 5 values in one file"));
}

TEST(YamlReader, P06_RefusesTags) {
  for (const char* tag : {"!!binary", "!!str", "!!python/object", "!local", "!<tag:x,2000:y>"}) {
    EXPECT_THAT(read(std::string("a: ") + tag + " x\n").problems, ElementsAre(HasSubstr("1:4: a tag"))) << tag;
  }
  EXPECT_THAT(read("a: !!map { b: 1 }\n").problems, ElementsAre(HasSubstr("1:4: a tag")));
  EXPECT_THAT(read("a: \"!x\"\n").problems, IsEmpty());
}

TEST(YamlReader, RefusesKeysThatAreNoNames) {
  EXPECT_THAT(read("? [a]\n: 1\n").problems, ElementsAre(HasSubstr("1:3: a key that is not a name")));
  EXPECT_THAT(read("\"\": 1\n").problems, ElementsAre(HasSubstr("1:1: a key that is not a name")));
  EXPECT_THAT(read("~: 1\n").problems, ElementsAre(HasSubstr("1:1: a key that is not a name")));
}

TEST(YamlReader, PlacesABlankValueAtItsKeyAndAWrittenOneAtItself) {
  const Read result = read("a:\nb: ~\nc: null\n");
  ASSERT_TRUE(result.root);
  for (const char* key : {"a", "b", "c"}) EXPECT_EQ(value_of(*result.root, key).kind, Node::Kind::blank);
  EXPECT_EQ(value_of(*result.root, "a").at.column, 1);
  EXPECT_EQ(value_of(*result.root, "a").at.line, 1);
  EXPECT_EQ(value_of(*result.root, "b").at.column, 4);
}

TEST(YamlReader, ReplacesVariablesInValuesAlone) {
  const Read result = read("a: x-${COLOUR}-y\nb: \"${COLOUR}${COLOUR}\"\n\"${COLOUR}\": 1\nc: $COLOUR $ {COLOUR}\n");
  ASSERT_TRUE(result.root);
  EXPECT_EQ(value_of(*result.root, "a").text, "x-blue-y");
  EXPECT_EQ(value_of(*result.root, "a").written, "x-${COLOUR}-y");
  EXPECT_TRUE(value_of(*result.root, "a").expanded);
  EXPECT_EQ(value_of(*result.root, "b").text, "blueblue");
  EXPECT_EQ(value_of(*result.root, "${COLOUR}").text, "1");
  EXPECT_EQ(value_of(*result.root, "c").text, "$COLOUR $ {COLOUR}");
}

TEST(YamlReader, DoesNotLookAtAVariablesValueAgain) {
  const Read result = read("a: ${NESTED}\nb: ${EMPTY}\n");
  ASSERT_TRUE(result.root);
  EXPECT_EQ(value_of(*result.root, "a").text, "${COLOUR}");
  EXPECT_EQ(value_of(*result.root, "b").kind, Node::Kind::scalar);
  EXPECT_EQ(value_of(*result.root, "b").text, "");
}

TEST(YamlReader, P10_NamesAMissingVariableAndNeverAValue) {
  const Read result = read("a: ${SECRET}${NO_SUCH}\n");
  EXPECT_THAT(result.problems, ElementsAre("1:4: the environment variable NO_SUCH is not set"));
  EXPECT_THAT(result.problems[0], Not(HasSubstr("hunter2")));
}

TEST(YamlReader, RefusesMalformedVariables) {
  EXPECT_THAT(read("a: ${COLOUR\n").problems, ElementsAre(HasSubstr("'${' without its '}'")));
  EXPECT_THAT(read("a: ${}\n").problems, ElementsAre(HasSubstr("names no environment variable")));
  EXPECT_THAT(read("a: ${1A}\n").problems, ElementsAre(HasSubstr("does not hold the name")));
  EXPECT_THAT(read("a: ${A:-b}\n").problems, ElementsAre(HasSubstr("does not hold the name")));
}

TEST(Nearest, FindsTheWordThatWasMeant) {
  const std::vector<std::string_view> words{"audiences", "algorithms", "name", "max_age"};
  EXPECT_EQ(nearest("audiance", words), "audiences");
  EXPECT_EQ(nearest("algoritms", words), "algorithms");
  EXPECT_EQ(nearest("nmae", words), "name");
  EXPECT_EQ(nearest("colour", words), "");
  EXPECT_EQ(nearest("x", words), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), words), "");
}

}  // namespace
}  // namespace sallyport::app
