#include "store/redis_records.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

using std::chrono::milliseconds;

const Digest kKey = sha256("somebody's session");
constexpr std::int64_t kNowMilliseconds = 1'700'000'000'000;

std::string record(std::string_view replace = "", std::string_view by = "") {
  std::string text = R"({"v":1,"key":")" + handle_of(kKey) +
                     R"(","created":1699999990000,"ends":1700000100000,"idle":1700000001500,"seen":1699999999000,)"
                     R"("subject":"alice","claims":{"roles":["admin"]}})";
  if (!replace.empty()) {
    const std::size_t at = text.find(replace);
    EXPECT_NE(at, std::string::npos) << replace;
    text.replace(at, replace.size(), by);
  }
  return text;
}

TEST(SessionRecord, IsReadWhole) {
  const auto session = parse_session_record(record(), kKey, kNowMilliseconds);
  ASSERT_TRUE(session) << session.error().detail;
  ASSERT_TRUE(session->has_value());
  EXPECT_EQ((*session)->key, kKey);
  EXPECT_EQ((*session)->subject, "alice");
  EXPECT_EQ((*session)->claims.json(), *Json::parse(R"({"roles":["admin"]})"));
  EXPECT_EQ((*session)->created_at, wall_time(1699999990000));
  EXPECT_EQ((*session)->last_seen_at, wall_time(1699999999000));
  EXPECT_EQ((*session)->idle_left, milliseconds(1500));
  EXPECT_EQ((*session)->absolute_left, milliseconds(100'000));
}

TEST(SessionRecord, IsReadAlikeHoweverItIsWritten) {
  const auto written = parse_session_record(record(), kKey, kNowMilliseconds);
  ASSERT_TRUE(written && written->has_value());
  for (const std::string& text :
       {record(R"("v":1,)", R"("v": 1,)"), record(R"(,"seen":1699999999000)", R"( , "seen":1699999999000)"),
        record(R"("created":1699999990000,"ends":1700000100000)", R"("ends":1700000100000,"created":1699999990000)"),
        record("alice", R"(\u0061lice)"), record(R"("claims":{)", R"("claims": {)"), record("}}", "}\n}")}) {
    const auto session = parse_session_record(text, kKey, kNowMilliseconds);
    ASSERT_TRUE(session && session->has_value()) << text;
    EXPECT_EQ((*session)->subject, (*written)->subject);
    EXPECT_EQ((*session)->claims.json(), (*written)->claims.json());
    EXPECT_EQ((*session)->created_at, (*written)->created_at);
    EXPECT_EQ((*session)->last_seen_at, (*written)->last_seen_at);
    EXPECT_EQ((*session)->idle_left, (*written)->idle_left);
    EXPECT_EQ((*session)->absolute_left, (*written)->absolute_left);
  }
}

TEST(SessionRecord, IsBoundedAsItStandsNotAsItWouldBeWrittenAnew) {
  std::string numbers = "1e5";
  for (int i = 1; i < 10'000; ++i) numbers += ",1e5";
  const std::string claims = R"({"roles":["admin"],"n":[)" + numbers + "]}";
  for (const std::string_view beginning : {R"({"v":1,)", R"({"v": 1,)"}) {  // as our scripts write it, and as any document
    std::string text = record(R"({"roles":["admin"]})", claims);
    text.replace(0, std::string_view(R"({"v":1,)").size(), beginning);
    const auto session = parse_session_record(text, kKey, kNowMilliseconds);
    ASSERT_TRUE(session && session->has_value()) << beginning;
    EXPECT_EQ((*session)->claims.json().find("n")->array()->size(), 10'000U);
  }
}

TEST(SessionRecord, G07_IsOverAtItsIdleEnd) {
  EXPECT_TRUE(parse_session_record(record(), kKey, 1700000001499)->has_value());
  EXPECT_FALSE(parse_session_record(record(), kKey, 1700000001500)->has_value());
  EXPECT_FALSE(parse_session_record(record(), kKey, 1700000001501)->has_value());
}

TEST(SessionRecord, G05_NeverGivesAPartOfAnIdentity) {
  struct Row {
    const char* what;
    std::string text;
  };
  const std::vector<Row> rows{
      {"nothing", ""},
      {"no JSON", "alice"},
      {"another kind of JSON", R"(["alice"])"},
      {"null", "null"},
      {"two documents", record() + record()},
      {"of another version", record(R"("v":1)", R"("v":2)")},
      {"of a version in words", record(R"("v":1)", R"("v":"1")")},
      {"without a version", record(R"("v":1,)", "")},
      {"without its key", record(R"("key":")" + handle_of(kKey) + R"(",)", "")},
      {"with a key that is a number", record('"' + handle_of(kKey) + '"', "1")},
      {"without a subject", record(R"("subject":"alice",)", "")},
      {"with an empty subject", record("alice", "")},
      {"with a subject that is a number", record(R"("alice")", "7")},
      {"with a subject that is no UTF-8", record("alice", "al\xFFice")},
      {"with a control byte in its subject", record("alice", "al\nice")},
      {"with two subjects", record(R"("subject":"alice")", R"("subject":"bob","subject":"alice")")},
      {"without claims", record(R"(,"claims":{"roles":["admin"]})", "")},
      {"with claims that are no object", record(R"({"roles":["admin"]})", R"("admin")")},
      {"with claims that name one twice", record(R"("roles":["admin"])", R"("roles":["admin"],"roles":["user"])")},
      {"with claims that name one twice within", record(R"(["admin"])", R"({"a":1,"a":2})")},
      {"with claims that are no JSON", record(R"(["admin"])", R"([admin])")},
      {"with a member more", record(R"("v":1)", R"("v":1,"admin":true)")},
      {"with a member more behind its claims", record(R"("roles":["admin"]}})", R"("roles":["admin"]},"admin":true})")},
      {"with a member again behind its claims", record(R"("roles":["admin"]}})", R"("roles":["admin"]},"seen":1699999999000})")},
      {"with another bracket at its end", record("}}", "}]")},
      {"with more than the record", record(R"("roles":["admin"]}})", R"("roles":["admin"]}},{})")},
      {"with a zero before its time", record("1699999990000", "01699999990000")},
      {"with a time in words", record("1700000100000", R"("1700000100000")")},
      {"with a negative time", record("1699999990000", "-1")},
      {"with a fraction", record("1700000001500", "1700000001500.5")},
      {"with a time beyond the calendar", record("1700000100000", "9223372036854775807")},
      {"that is idle beyond its end", record("1700000001500", "1700000100001")},
      {"seen before it was created", record("1699999999000", "1699999989999")},
      {"over the limit", record(R"("admin")", '"' + std::string(kRecordBytesMax, 'x') + '"')},
  };
  for (const Row& row : rows) {
    const auto session = parse_session_record(row.text, kKey, kNowMilliseconds);
    ASSERT_FALSE(session) << row.what;
    EXPECT_EQ(session.error().fault, Fault::malformed) << row.what;
  }
}

TEST(SessionRecord, G05_CutAnywhereItIsNone) {
  const std::string whole = record();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_session_record(whole.substr(0, size), kKey, kNowMilliseconds)) << size;
}

TEST(SessionRecord, N08_OfAnotherKeyIsAMismatch) {
  const auto session = parse_session_record(record(), sha256("another session"), kNowMilliseconds);
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().fault, Fault::mismatch);
}

std::vector<RedisReply> family(std::size_t field = SIZE_MAX, std::string_view value = "") {
  std::vector<RedisReply> fields;
  for (const std::string& text :
       {std::string("1"), handle_of(kKey), std::string("7"), std::string("1699999990000"), std::string("1699999999000"),
        std::string("1700000100000"), std::string("1700000001500"), std::string("alice"), std::string(R"({"tenant":7})")}) {
    fields.push_back({.kind = RedisReply::Kind::string, .text = text, .integer = 0, .elements = {}});
  }
  if (field < fields.size()) fields[field].text = value;
  return fields;
}

TEST(FamilyFields, AreReadWhole) {
  const auto read = parse_family_fields(family(), kKey, kNowMilliseconds);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->key, kKey);
  EXPECT_EQ(read->subject, "alice");
  EXPECT_EQ(read->generation, 7U);
  EXPECT_EQ(read->claims, *Json::parse(R"({"tenant":7})"));
  EXPECT_EQ(read->started_at, wall_time(1699999990000));
  EXPECT_EQ(read->rotated_at, wall_time(1699999999000));
  EXPECT_EQ(read->refresh_left, milliseconds(1500));
}

TEST(FamilyFields, G05_NeverGiveAPartOfAnIdentity) {
  struct Row {
    const char* what;
    std::size_t field;
    std::string value;
  };
  const std::vector<Row> rows{
      {"another version", 0, "2"},
      {"no generation", 2, ""},
      {"generation zero", 2, "0"},
      {"a generation that is no number", 2, "7e3"},
      {"a generation beyond counting", 2, "9007199254740993"},
      {"a negative time", 3, "-1"},
      {"an end before the refresh token's", 5, "1700000001499"},
      {"no subject", 7, ""},
      {"no claims", 8, ""},
      {"claims that are no object", 8, "[]"},
      {"claims cut short", 8, R"({"tenant":7)"},
  };
  for (const Row& row : rows) {
    const auto read = parse_family_fields(family(row.field, row.value), kKey, kNowMilliseconds);
    ASSERT_FALSE(read) << row.what;
    EXPECT_EQ(read.error().fault, Fault::malformed) << row.what;
  }
  std::vector<RedisReply> fields = family();
  fields.pop_back();
  EXPECT_FALSE(parse_family_fields(fields, kKey, kNowMilliseconds)) << "one too few";
  fields = family();
  fields[7].kind = RedisReply::Kind::nil;
  EXPECT_FALSE(parse_family_fields(fields, kKey, kNowMilliseconds)) << "nil for the subject";
}

TEST(FamilyFields, N08_OfAnotherKeyAreAMismatch) {
  EXPECT_EQ(parse_family_fields(family(), sha256("another"), kNowMilliseconds).error().fault, Fault::mismatch);
}

TEST(RevocationRecord, IsReadWhole) {
  const auto read = parse_revocation_record(R"({"kind":"subject","value":"alice","before":1700000000000,"at":1700000000001,"keep":60000})");
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->revocation.kind, Revocation::Kind::subject);
  EXPECT_EQ(read->revocation.value, "alice");
  EXPECT_EQ(read->revocation.issued_before, wall_time(1700000000000));
  EXPECT_EQ(read->revocation.keep_for, milliseconds(60000));
  EXPECT_EQ(read->revoked_at, 1700000000001);
  EXPECT_TRUE(parse_revocation_record(R"({"kind":"everything","value":"","before":-5,"at":1,"keep":1})")) << "before 1970";
}

TEST(RevocationRecord, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"", "{}", R"({"kind":"subject","value":"alice","before":1,"at":1})",
        R"({"kind":"subjects","value":"alice","before":1,"at":1,"keep":1})", R"({"kind":"subject","value":"","before":1,"at":1,"keep":1})",
        R"({"kind":"everything","value":"x","before":1,"at":1,"keep":1})",
        R"({"kind":"subject","value":"alice","before":"1","at":1,"keep":1})",
        R"({"kind":"subject","value":"alice","before":1,"at":-1,"keep":1})",
        R"({"kind":"subject","value":"alice","before":9223372036854775807,"at":1,"keep":1})",
        R"({"kind":"subject","value":"alice","before":1,"at":1,"keep":9223372036854775807})",
        R"({"kind":"subject","value":"alice","before":1,"at":1,"keep":1,"more":1})"}) {
    EXPECT_FALSE(parse_revocation_record(text)) << text;
  }
}

TEST(RevocationMessage, CarriesTheIdOfItsEntryOrNone) {
  const std::string body = R"({"kind":"family","value":"f","before":1,"at":1,"keep":1})";
  EXPECT_EQ(parse_revocation_message("17-3 " + body)->id, "17-3");
  EXPECT_EQ(parse_revocation_message("- " + body)->id, "");
  for (const std::string_view text : {"", " ", "17", "17-3", "17-3 ", "17 {}", "x-3 {}", "-- {}"})
    EXPECT_FALSE(parse_revocation_message(text)) << text;
  EXPECT_FALSE(parse_revocation_message(body));
}

TEST(StreamId, IsTwoNumbersThatCompareInOrder) {
  EXPECT_EQ(parse_stream_id("1526919030474-55")->text(), "1526919030474-55");
  EXPECT_LT(*parse_stream_id("9-99"), *parse_stream_id("10-0"));
  EXPECT_LT(*parse_stream_id("10-9"), *parse_stream_id("10-10"));
  for (const std::string_view text : {"", "-", "1", "1-", "-1", "1-1-1", "1-x", "99999999999999999999-1"})
    EXPECT_FALSE(parse_stream_id(text)) << text;
}

TEST(UnixMilliseconds, AreRoundedUp) {
  EXPECT_EQ(unix_milliseconds(WallTime(std::chrono::microseconds(1'000))), 1);
  EXPECT_EQ(unix_milliseconds(WallTime(std::chrono::microseconds(1'001))), 2);
  EXPECT_EQ(wall_time(unix_milliseconds(wall_time(kNowMilliseconds))), wall_time(kNowMilliseconds));
}

}  // namespace
}  // namespace sallyport::store
