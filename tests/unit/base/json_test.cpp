#include "base/json.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sallyport {
namespace {

using namespace std::string_literals;

Json parsed(std::string_view text) {
  Result<Json> result = Json::parse(text);
  EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().detail);
  return result ? std::move(*result) : Json();
}

std::optional<Fault> fault_of(std::string_view text, const JsonLimits& limits = {}) {
  Result<Json> result = Json::parse(text, limits);
  if (result) return std::nullopt;
  return result.error().fault;
}

struct Document {
  const char* name;
  std::string text;
};
void PrintTo(const Document& document, std::ostream* out) { *out << document.name; }
std::string name_of(const testing::TestParamInfo<Document>& info) { return info.param.name; }

// Few members of an object that is checked whole.
struct FewMembers {
  std::array<Json, 3> values;  // a, b, c
  Json::Members read;
};
Result<FewMembers> members_of(std::string_view text, const JsonLimits& limits = {}) {
  constexpr std::array<std::string_view, 3> kNames{"a", "b", "c"};
  FewMembers members;
  const Result<Json::Members> read = Json::parse_members(text, kNames, members.values, limits);
  if (!read) return read.error();
  members.read = *read;
  return members;
}

TEST(JsonMembers, AreThoseOfThatNameAtTheTop) {
  const auto members = members_of(R"({"x":{"a":1},"\u0062":[{"b":2}],"a":null})");
  ASSERT_TRUE(members) << members.error().detail;
  EXPECT_TRUE(members->values[0].is_null());
  EXPECT_EQ(members->values[1], parsed(R"([{"b":2}])"));
  EXPECT_TRUE(members->values[2].is_null());
  EXPECT_EQ(members->read.present, 0b011U);
  EXPECT_EQ(members->read.values, 12U) << "the object, three names with their values, and five within those";
}

// Whatever is not asked for is no less strictly read.
TEST(JsonMembers, AreNoneOfADocumentThatParseRefuses) {
  for (const std::string& inner : {R"({"a":1,"a":2})"s, R"([{"y":1,"y":1}])"s, "[1,]"s, "tru"s, R"("\ud800")"s, "\"\xFF\""s, "1}{"s}) {
    for (const char* name : {"a", "x"}) {
      const std::string text = R"({")" + std::string(name) + R"(":)" + inner + "}";
      EXPECT_FALSE(Json::parse(text)) << text;
      const auto members = members_of(text);
      ASSERT_FALSE(members) << text;
      EXPECT_EQ(members.error().fault, Fault::malformed) << text;
    }
  }
  for (const char* text : {"", "[]", "null", "7", R"("a")", R"({"x":1,"x":2})", R"({"a":1,"a":2})"}) EXPECT_FALSE(members_of(text)) << text;
}

TEST(JsonMembers, CountWithTheLimits) {
  const std::string text = R"({"x":[[1]],"a":2})";
  EXPECT_TRUE(members_of(text, {.depth_max = 3, .values_max = 7}));
  for (const JsonLimits& limits : {JsonLimits{.bytes_max = text.size() - 1}, JsonLimits{.depth_max = 2}, JsonLimits{.values_max = 6}}) {
    const auto members = members_of(text, limits);
    ASSERT_FALSE(members);
    EXPECT_EQ(members.error().fault, Fault::too_large);
    EXPECT_EQ(fault_of(text, limits), Fault::too_large) << "as parse() says";
  }
}

class AcceptedJson : public testing::TestWithParam<Document> {};
TEST_P(AcceptedJson, IsRead) {
  const Json value = parsed(GetParam().text);
  EXPECT_EQ(parsed(value.dump()), value);
}

INSTANTIATE_TEST_SUITE_P(
    Documents, AcceptedJson,
    testing::Values(
        Document{"empty_array", "[]"}, Document{"empty_object", "{}"}, Document{"array_with_spaces", "[[]   ]"},
        Document{"array_with_trailing_space", "[2] "}, Document{"array_with_leading_space", " [1]"},
        Document{"several_nulls", "[1,null,null,null,2]"}, Document{"heterogeneous_array", "[null, 1, \"1\", {}]"},
        Document{"lonely_null", "null"}, Document{"lonely_true", "true"}, Document{"lonely_false", "false"}, Document{"lonely_int", "42"},
        Document{"lonely_negative_real", "-0.1"}, Document{"lonely_string", "\"asd\""}, Document{"empty_string", "\"\""},
        Document{"trailing_newline", "[\"a\"]\n"}, Document{"white_space_everywhere", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n"},
        Document{"minus_zero", "[-0]"}, Document{"minus_zero_real", "[-0.0]"}, Document{"exponent", "[123e45]"},
        Document{"capital_exponent", "[1E22]"}, Document{"negative_exponent", "[1E-2]"}, Document{"positive_exponent", "[1E+2]"},
        Document{"zero_exponent", "[0e+1]"}, Document{"int_with_exponent", "[20e1]"}, Document{"fraction_exponent", "[123.456e78]"},
        Document{"close_to_zero", "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"},
        Document{"largest_uint64", "[18446744073709551615]"}, Document{"smallest_int64", "[-9223372036854775808]"},
        Document{"largest_double", "[1.7976931348623157e308]"}, Document{"underflow", "[1e-400]"}, Document{"empty_key", "{\"\":0}"},
        Document{"nul_in_key", "{\"foo\\u0000bar\": 42}"}, Document{"nul_in_string", "[\"\\u0000\"]"},
        Document{"string_escapes", R"(["\"\\\/\b\f\n\r\t"])"}, Document{"escaped_control", "[\"\\u0012\"]"},
        Document{"raw_delete", "[\"a\x7f\"]"}, Document{"two_byte_utf8", "[\"\xC3\xA9\"]"},
        Document{"three_byte_utf8", "[\"\xE2\x82\xAC\"]"}, Document{"four_byte_utf8", "[\"\xF0\x9F\x98\x80\"]"},
        Document{"surrogate_pair", R"(["\uD801\udc37"])"}, Document{"two_surrogate_pairs", R"(["\ud83d\ude39\ud83d\udc8d"])"},
        Document{"last_surrogate_pair", R"(["\uDBFF\uDFFF"])"}, Document{"escaped_backslash_before_u", R"(["\\ud800"])"},
        Document{"escaped_noncharacter", R"(["\uFFFF"])"}, Document{"u2028", "[\"\xE2\x80\xA8\"]"},
        Document{"comment_in_string", "[\"a/*b*/c/*d//e\"]"}, Document{"same_name_at_two_levels", R"({"a":{"a":1},"b":{"a":2}})"},
        Document{"names_that_differ_by_case", R"({"a":1,"A":2})"}),
    name_of);

class RefusedJson : public testing::TestWithParam<Document> {};
TEST_P(RefusedJson, IsMalformed) { EXPECT_EQ(fault_of(GetParam().text), Fault::malformed); }

INSTANTIATE_TEST_SUITE_P(
    Documents, RefusedJson,
    testing::Values(
        Document{"nothing", ""}, Document{"only_space", " "}, Document{"only_newlines", "\n\r\n"}, Document{"lone_nul", "\0"s},
        Document{"byte_order_mark", "\xEF\xBB\xBF{}"}, Document{"only_byte_order_mark", "\xEF\xBB\xBF"},
        Document{"utf16", "\xFF\xFE[\0]\0"s}, Document{"open_array", "["}, Document{"open_object", "{"}, Document{"close_array", "]"},
        Document{"mismatched", "[}"}, Document{"unclosed_array", "[1"}, Document{"unclosed_object", "{\"a\":1"},
        Document{"unclosed_string", "[\"a"}, Document{"extra_close", "[1]]"}, Document{"extra_brace", "{}}"},
        Document{"trailing_comma_array", "[1,]"}, Document{"trailing_comma_object", "{\"a\":1,}"}, Document{"leading_comma", "[,1]"},
        Document{"double_comma", "[1,,2]"}, Document{"only_comma", "[,]"}, Document{"missing_comma", "[1 2]"},
        Document{"missing_colon", "{\"a\" 1}"}, Document{"double_colon", "{\"a\"::1}"}, Document{"missing_value", "{\"a\":}"},
        Document{"missing_name", "{:1}"}, Document{"colon_in_array", "[1:2]"}, Document{"name_without_value", "{\"a\"}"},
        Document{"unquoted_name", "{a:1}"}, Document{"single_quotes", "{'a':1}"}, Document{"number_name", "{1:1}"},
        Document{"null_name", "{null:1}"}, Document{"comment", "[1]/**/"}, Document{"line_comment", "[1]//"},
        Document{"hash_comment", "[1]#"}, Document{"two_documents", "{} {}"}, Document{"two_scalars", "1 2"},
        Document{"trailing_garbage", "[1]x"}, Document{"trailing_nul", "{}\0"s}, Document{"nul_inside", "[1\0]"s},
        Document{"form_feed", "[\f]"}, Document{"no_break_space", "[\xC2\xA0]"}, Document{"word_joiner", "[\xE2\x81\xA0]"},
        Document{"incomplete_true", "[tru]"}, Document{"capital_true", "[True]"}, Document{"incomplete_null", "[nul]"},
        Document{"longer_null", "[nullx]"}, Document{"nan", "[NaN]"}, Document{"infinity", "[Infinity]"},
        Document{"minus_infinity", "[-Infinity]"}, Document{"plus_sign", "[+1]"}, Document{"leading_zero", "[01]"},
        Document{"minus_leading_zero", "[-01]"}, Document{"only_minus", "[-]"}, Document{"double_minus", "[--1]"},
        Document{"leading_point", "[.5]"}, Document{"trailing_point", "[1.]"}, Document{"point_exponent", "[1.e1]"},
        Document{"bare_exponent", "[1e]"}, Document{"exponent_sign_only", "[1e+]"}, Document{"two_points", "[1.2.3]"},
        Document{"hexadecimal", "[0x1]"}, Document{"number_with_letter", "[1a]"}, Document{"full_width_digit", "[\xEF\xBC\x91]"},
        Document{"number_and_space", "[1 000.0]"}, Document{"huge_exponent", "[1e999]"},
        Document{"C07_enormous_exponent", "{\"exp\":1e999999999}"}, Document{"twenty_digits", "[18446744073709551616]"},
        Document{"below_int64", "[-9223372036854775809]"}, Document{"invalid_utf8", "[\"\xFF\"]"},
        Document{"overlong_utf8", "[\"\xC0\xAF\"]"}, Document{"utf8_surrogate", "[\"\xED\xA0\x80\"]"},
        Document{"truncated_utf8", "[\"\xE2\x82\"]"}, Document{"above_unicode", "[\"\xF4\x90\x80\x80\"]"},
        Document{"raw_newline_in_string", "[\"a\nb\"]"}, Document{"raw_tab_in_string", "[\"\t\"]"},
        Document{"raw_nul_in_string", "[\"\0\"]"s}, Document{"escape_x", R"(["\x00"])"}, Document{"escape_a", R"(["\a"])"},
        Document{"escape_at_end", "[\"\\"}, Document{"escape_raw_byte", "[\"\\\xE5\"]"}, Document{"short_unicode_escape", R"(["\u00A"])"},
        Document{"bad_unicode_escape", R"(["\u00G1"])"}, Document{"capital_u", R"(["\U0041"])"},
        Document{"lone_high_surrogate", R"(["\uD800"])"}, Document{"lone_low_surrogate", R"(["\uDC00"])"},
        Document{"inverted_surrogates", R"(["\uDC00\uD800"])"}, Document{"high_surrogate_and_letter", R"(["\uD800abc"])"},
        Document{"high_surrogate_and_escape", R"(["\uD800\n"])"}, Document{"high_surrogate_and_basic", R"(["\uD800\u0041"])"},
        Document{"two_high_surrogates", R"(["\uD800\uD800"])"}, Document{"high_surrogate_after_backslash", R"(["\\\uD800"])"},
        Document{"C18_duplicate_member", R"({"sub":"a","sub":"b"})"}, Document{"duplicate_member_same_value", R"({"a":1,"a":1})"},
        Document{"duplicate_empty_names", R"({"":1,"":1})"},
        Document{"A07_duplicate_after_unescaping", R"({"alg":"ES256","a\u006cg":"none"})"},
        Document{"duplicate_in_an_array", R"([{"a":1,"b":2,"a":3}])"}, Document{"duplicate_deep_inside", R"({"x":{"y":[{"a":1,"a":2}]}})"},
        Document{"duplicate_with_nul", R"({"a\u0000":1,"\u0061\u0000":2})"}, Document{"C20_nul_after_the_object", "{\"a\":1}\0"s},
        Document{"C20_second_object", R"({"a":1}{"b":2})"}),
    name_of);

std::string wide_object(std::size_t members, std::string_view last) {
  std::string text = "{";
  for (std::size_t i = 0; i + 1 < members; ++i) text += "\"m" + std::to_string(i) + "\":0,";
  return text + "\"" + std::string(last) + "\":0}";
}

TEST(Json, C18_RefusesADuplicateAmongManyMembers) {
  EXPECT_EQ(fault_of(wide_object(17, "m3")), Fault::malformed);
  EXPECT_EQ(fault_of(wide_object(1000, "m998")), Fault::malformed);
  EXPECT_EQ(fault_of(wide_object(1000, "other")), std::nullopt);
  EXPECT_EQ(fault_of(wide_object(17, "other")), std::nullopt);
}

TEST(Json, NamesTheDuplicateMember) {
  const Result<Json> result = Json::parse(R"({"role":1,"role":2})");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, "duplicate member: role");
}

TEST(Json, ReadsNamesAsTheySpell) {
  const Json value = parsed(R"({"a\u006cg":"x","\ud83d\ude00":"y"})");
  ASSERT_NE(value.find("alg"), nullptr);
  EXPECT_EQ(*value.find("alg")->string(), "x");
  ASSERT_NE(value.find("\xF0\x9F\x98\x80"), nullptr);
}

TEST(Json, KeepsNulInStrings) { EXPECT_EQ(*parsed(R"("a\u0000b")").string(), "a\0b"s); }

TEST(Json, KeepsTheKindOfANumber) {
  EXPECT_TRUE(std::holds_alternative<std::int64_t>(parsed("-1").value()));
  EXPECT_TRUE(std::holds_alternative<std::int64_t>(parsed("9223372036854775807").value()));
  EXPECT_TRUE(std::holds_alternative<std::uint64_t>(parsed("9223372036854775808").value()));
  EXPECT_TRUE(std::holds_alternative<double>(parsed("1.0").value()));
  EXPECT_TRUE(std::holds_alternative<double>(parsed("1e3").value()));
}

TEST(Json, IsOfOneKindOnly) {
  const Json text = parsed("\"1\"");
  EXPECT_EQ(text.boolean(), nullptr);
  EXPECT_EQ(text.number(), std::nullopt);
  EXPECT_FALSE(text.is_number());
  EXPECT_EQ(text.array(), nullptr);
  EXPECT_EQ(text.object(), nullptr);
  EXPECT_EQ(text.find("1"), nullptr);
  const Json truth = parsed("true");
  EXPECT_EQ(truth.string(), nullptr);
  EXPECT_EQ(truth.number(), std::nullopt);
  ASSERT_NE(truth.boolean(), nullptr);
  EXPECT_TRUE(*truth.boolean());
  EXPECT_FALSE(truth.is_null());
  EXPECT_TRUE(parsed("null").is_null());
  EXPECT_EQ(parsed("null").number(), std::nullopt);
}

TEST(Json, GivesAnyNumberAsADouble) {
  EXPECT_EQ(parsed("-5").number(), -5.0);
  EXPECT_EQ(parsed("18446744073709551615").number(), 18446744073709551615.0);
  EXPECT_EQ(parsed("1.5").number(), 1.5);
}

struct Pair {
  const char* name;
  const char* a;
  const char* b;
  bool equal;
};
void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.name; }
class JsonEquality : public testing::TestWithParam<Pair> {};
TEST_P(JsonEquality, HoldsBothWays) {
  const Json a = parsed(GetParam().a);
  const Json b = parsed(GetParam().b);
  EXPECT_EQ(a == b, GetParam().equal);
  EXPECT_EQ(b == a, GetParam().equal);
  EXPECT_EQ(a, a);
}
INSTANTIATE_TEST_SUITE_P(
    Pairs, JsonEquality,
    testing::Values(Pair{"integer_and_real", "1", "1.0", true}, Pair{"integer_and_exponent", "100", "1e2", true},
                    Pair{"integer_and_fraction", "1", "1.5", false}, Pair{"zero_and_minus_zero", "0", "-0.0", true},
                    Pair{"negative_integer_and_real", "-3", "-3.0", true}, Pair{"signs", "3", "-3", false},
                    Pair{"uint64_and_real", "9223372036854775808", "9223372036854775808.0", true},
                    Pair{"int64_beside_a_near_real", "9007199254740993", "9007199254740992.0", false},
                    Pair{"uint64_max_and_two_to_64", "18446744073709551615", "18446744073709551616.0", false},
                    Pair{"int64_min_and_real", "-9223372036854775808", "-9223372036854775808.0", true},
                    Pair{"huge_reals", "1e300", "1e300", true},
                    Pair{"int64_min_and_uint64", "-9223372036854775808", "9223372036854775808", false},
                    Pair{"number_and_text", "1", "\"1\"", false}, Pair{"number_and_true", "1", "true", false},
                    Pair{"null_and_false", "null", "false", false}, Pair{"null_and_zero", "null", "0", false},
                    Pair{"text_case", "\"a\"", "\"A\"", false}, Pair{"same_text", R"("\u0061")", "\"a\"", true},
                    Pair{"array_order", "[1,2]", "[2,1]", false}, Pair{"array_numbers", "[1,[2.0]]", "[1.0,[2]]", true},
                    Pair{"array_prefix", "[1]", "[1,2]", false}, Pair{"object_order", R"({"a":1,"b":2})", R"({"b":2.0,"a":1})", true},
                    Pair{"object_subset", R"({"a":1})", R"({"a":1,"b":2})", false}, Pair{"object_names", R"({"a":1})", R"({"b":1})", false},
                    Pair{"object_values", R"({"a":1})", R"({"a":2})", false}, Pair{"empty_array_and_object", "[]", "{}", false}),
    [](const auto& info) { return std::string(info.param.name); });

std::string nested(std::size_t depth, char open, char close) { return std::string(depth, open) + std::string(depth, close); }

TEST(Json, C21_CapsTheDepth) {
  JsonLimits limits;
  limits.bytes_max = 1 << 20;
  EXPECT_EQ(fault_of(nested(64, '[', ']'), limits), std::nullopt);
  EXPECT_EQ(fault_of(nested(65, '[', ']'), limits), Fault::too_large);
  limits.depth_max = 1;
  EXPECT_EQ(fault_of("[1,{}]", limits), Fault::too_large);
  EXPECT_EQ(fault_of("[1,2]", limits), std::nullopt);
  limits.depth_max = 0;
  EXPECT_EQ(fault_of("1", limits), std::nullopt);
  EXPECT_EQ(fault_of("[]", limits), Fault::too_large);
}

TEST(Json, C21_SurvivesAHundredThousandLevels) {
  JsonLimits limits;
  limits.bytes_max = 1 << 22;
  limits.depth_max = 1'000'000;  // even then the parser's own bound holds
  limits.values_max = 1'000'000;
  EXPECT_EQ(fault_of(nested(100'000, '[', ']'), limits), Fault::too_large);
  EXPECT_NE(fault_of(std::string(100'000, '['), limits), std::nullopt);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_NE(fault_of(objects, limits), std::nullopt);
  EXPECT_EQ(fault_of(nested(1000, '[', ']'), limits), std::nullopt);
}

TEST(Json, CapsTheSize) {
  JsonLimits limits;
  limits.bytes_max = 8;
  EXPECT_EQ(fault_of("\"123456\"", limits), std::nullopt);
  EXPECT_EQ(fault_of("\"1234567\"", limits), Fault::too_large);
}

TEST(Json, C22_CapsTheNumberOfValues) {
  JsonLimits limits;
  limits.values_max = 5;
  EXPECT_EQ(fault_of("[1,2,3,4]", limits), std::nullopt);
  EXPECT_EQ(fault_of("[1,2,3,4,5]", limits), Fault::too_large);
  EXPECT_EQ(fault_of(R"({"a":1,"b":2})", limits), std::nullopt);
  EXPECT_EQ(fault_of(R"({"a":1,"b":[]})", limits), std::nullopt);
  EXPECT_EQ(fault_of(R"({"a":1,"b":[0]})", limits), Fault::too_large);
}

TEST(Json, ReadsLargeDocumentsWithAParserOfTheirOwn) {
  JsonLimits limits;
  limits.bytes_max = 1 << 20;
  const std::string text = "\"" + std::string(600'000, 'x') + "\"";
  const Result<Json> result = Json::parse(text, limits);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->string()->size(), 600'000U);
}

TEST(Json, ReadsTextAtTheVeryEndOfItsMemory) {
  // No byte behind the text may be read; the sanitizers would tell.
  for (const std::string_view text : {"1", "true", "\"ab\"", "[1,2,3]", R"({"a":"b"})"}) {
    const std::vector<char> exact(text.begin(), text.end());
    EXPECT_TRUE(Json::parse({exact.data(), exact.size()})) << text;
  }
}

TEST(Json, IsReadOnSeveralThreadsAtOnce) {
  std::array<int, 4> good{};
  std::vector<std::thread> threads;
  for (int& count : good) {
    threads.emplace_back([&count] {
      for (int i = 0; i < 200; ++i) {
        const Result<Json> value = Json::parse("{\"n\":" + std::to_string(i) + "}");
        if (value && value->find("n")->number() == i) ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(good, testing::Each(200));
}

TEST(Json, DumpsWhatItRead) {
  const std::string text = R"({"a":[1,-2,18446744073709551615,1.5,1.0,1e+300,true,false,null],"b":{"c":"\"\\\n\u0001"},"":[]})";
  EXPECT_EQ(parsed(text).dump(), text);
}

TEST(Json, DumpsWithoutWhiteSpace) { EXPECT_EQ(parsed(" { \"a\" : [ 1 , { } ] } ").dump(), R"({"a":[1,{}]})"); }

TEST(Json, DumpsNumbersThatNoDocumentHoldsAsNull) {
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
}

TEST(Json, EscapesWhatRfc8259Demands) {
  std::string out = "x";
  append_json_string(out, "\0\x1f\"\\/\b\f\n\r\t\x7f\xC3\xA9"s);
  EXPECT_EQ(out, "x\"\\u0000\\u001f\\\"\\\\/\\b\\f\\n\\r\\t\x7f\xC3\xA9\"");
  std::string empty;
  append_json_string(empty, "");
  EXPECT_EQ(empty, "\"\"");
}

TEST(JsonPointer, FindsWhatRfc6901Lists) {
  const Json document = parsed(R"({"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8})");
  const auto at = [&](std::string_view text) {
    const Json* found = JsonPointer::parse(text)->find(document);
    return found == nullptr ? "nothing" : found->dump();
  };
  EXPECT_EQ(at(""), document.dump());
  EXPECT_EQ(at("/foo"), R"(["bar","baz"])");
  EXPECT_EQ(at("/foo/0"), "\"bar\"");
  EXPECT_EQ(at("/"), "0");
  EXPECT_EQ(at("/a~1b"), "1");
  EXPECT_EQ(at("/c%d"), "2");
  EXPECT_EQ(at("/e^f"), "3");
  EXPECT_EQ(at("/g|h"), "4");
  EXPECT_EQ(at("/i\\j"), "5");
  EXPECT_EQ(at("/k\"l"), "6");
  EXPECT_EQ(at("/ "), "7");
  EXPECT_EQ(at("/m~0n"), "8");
}

TEST(JsonPointer, FindsNothingWhereAStepIsMissing) {
  const Json document = parsed(R"({"foo":["bar"],"s":"text"})");
  for (const std::string_view text : {"/none", "/foo/1", "/foo/-", "/foo/00", "/foo/+0", "/foo/ 0", "/foo/0x0", "/foo/",
                                      "/foo/99999999999999999999", "/s/0", "/foo/0/x", "//foo"}) {
    EXPECT_EQ(JsonPointer::parse(text)->find(document), nullptr) << text;
  }
  EXPECT_NE(JsonPointer::parse("/foo/0")->find(document), nullptr);
}

TEST(JsonPointer, RefusesWhatIsNoPointer) {
  for (const std::string_view text : {"foo", "#/foo", "/~", "/~2", "/a~", "~0", " /a"}) {
    EXPECT_FALSE(JsonPointer::parse(text)) << text;
  }
  for (const std::string_view text : {"", "/", "/~0", "/~1", "/~01"}) EXPECT_TRUE(JsonPointer::parse(text)) << text;
}

TEST(JsonPointer, UnescapesOnce) {
  const Json document = parsed(R"({"~1":1,"/":2})");
  EXPECT_EQ(JsonPointer::parse("/~01")->find(document)->dump(), "1");
  EXPECT_EQ(JsonPointer::parse("/~1")->find(document)->dump(), "2");
}

TEST(JsonPointer, PrintsAsItWasWritten) {
  for (const std::string_view text : {"", "/", "/a/b", "/~0~1/x~01", "//"}) EXPECT_EQ(JsonPointer::parse(text)->text(), text);
}

TEST(JsonPointer, MemberTakesTheNameLiterally) {
  const Json document = parsed(R"({"https://example.com/~roles":[1],"a":{"b":2}})");
  ASSERT_NE(JsonPointer::member("https://example.com/~roles").find(document), nullptr);
  EXPECT_EQ(JsonPointer::member("/a/b").find(document), nullptr);
  EXPECT_EQ(JsonPointer::member("a/b").text(), "/a~1b");
  EXPECT_EQ(JsonPointer::member("a"), *JsonPointer::parse("/a"));
}

TEST(Json, RefusesTheEmptyTextEvenOfNoMemory) {
  EXPECT_FALSE(Json::parse(std::string_view()));
  EXPECT_FALSE(Json::parse(""));
  EXPECT_TRUE(Json::parse("0"));
}

}  // namespace
}  // namespace sallyport
