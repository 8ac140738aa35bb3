#include "store/embedded_tables.hpp"

#include <gtest/gtest.h>

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kNow{std::chrono::sys_seconds(seconds(1'800'000'000))};

Digest digest_of(std::string_view id) { return sha256(id); }

class EmbeddedTablesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(EmbeddedTables::prepare(database_)); }

  [[nodiscard]] static SqliteDatabase open() {
    auto database = SqliteDatabase::open("", SqliteDatabase::Mode::read_write);
    if (!database) throw std::runtime_error(database.error().detail);
    return std::move(*database);
  }
  [[nodiscard]] static NewSession session(std::string_view id, std::string subject = "alice") {
    return {digest_of(id), std::move(subject), *Json::parse("{}"), minutes(30), hours(24)};
  }
  [[nodiscard]] static NewFamily family(std::string_view id, std::string subject = "alice") {
    return {digest_of(id), std::move(subject), *Json::parse("{}"), hours(1), hours(24)};
  }
  [[nodiscard]] std::int64_t count(const std::string& table) { return *database_.number("SELECT count(*) FROM " + table); }

  SqliteDatabase database_ = open();
  EmbeddedTables tables_{database_};
};

TEST_F(EmbeddedTablesTest, ArePreparedOnce) {
  ASSERT_TRUE(tables_.create_session(session("a"), kNow));
  ASSERT_TRUE(EmbeddedTables::prepare(database_));
  EXPECT_EQ(count("session"), 1);
}

TEST_F(EmbeddedTablesTest, RefuseADatabaseThatIsNotOurs) {
  const std::pair<const char*, const char*> others[] = {
      {"a table without our mark", "CREATE TABLE thing (id INTEGER)"},
      {"another program's mark", "PRAGMA application_id = 1"},
      {"a version without our mark", "PRAGMA user_version = 1"},
  };
  for (const auto& [what, sql] : others) {
    auto other = open();
    ASSERT_TRUE(other.execute(sql));
    const auto things = *other.number("SELECT count(*) FROM sqlite_schema");
    const auto prepared = EmbeddedTables::prepare(other);
    ASSERT_FALSE(prepared) << what;
    EXPECT_EQ(prepared.error().fault, Fault::malformed) << what;
    EXPECT_EQ(*other.number("SELECT count(*) FROM sqlite_schema"), things) << what << ": and it is left alone";
  }
}

TEST_F(EmbeddedTablesTest, RefuseAnotherVersion) {
  for (const char* version : {"0", "2", "-1"}) {
    ASSERT_TRUE(database_.execute(std::string("PRAGMA user_version = ") + version));
    const auto prepared = EmbeddedTables::prepare(database_);
    ASSERT_FALSE(prepared) << version;
    EXPECT_EQ(prepared.error().fault, Fault::malformed);
    EXPECT_NE(prepared.error().detail.find(std::string("format ") + version), std::string::npos) << prepared.error().detail;
  }
  ASSERT_TRUE(database_.execute("PRAGMA user_version = 1"));
  EXPECT_TRUE(EmbeddedTables::prepare(database_));
}

TEST_F(EmbeddedTablesTest, RefuseTheSameKeyTwice) {
  ASSERT_TRUE(tables_.create_session(session("a", "alice"), kNow));
  const auto again = tables_.create_session(session("a", "mallory"), kNow);
  ASSERT_FALSE(again);
  EXPECT_EQ((*tables_.find_session(digest_of("a"), kNow))->subject, "alice");
  ASSERT_TRUE(tables_.create_family(family("f", "alice"), kNow));
  EXPECT_FALSE(tables_.create_family(family("f", "mallory"), kNow));
}

TEST_F(EmbeddedTablesTest, TakeClaimsUpToTheirLimit) {
  auto big = session("big");
  const std::string filler(EmbeddedTables::kClaimsBytesMax - std::string_view(R"({"a":""})").size(), 'x');
  big.claims = *Json::parse(R"({"a":")" + filler + "\"}", {1'000'000, 10, 10});
  ASSERT_TRUE(tables_.create_session(big, kNow));
  const auto found = tables_.find_session(digest_of("big"), kNow);
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->claims.json(), big.claims);
  auto bigger = session("bigger");
  bigger.claims = *Json::parse(R"({"a":")" + filler + "x\"}", {1'000'000, 10, 10});
  const auto refused = tables_.create_session(bigger, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::too_large);
}

TEST_F(EmbeddedTablesTest, RefuseLivesThatOverflow) {
  auto endless = session("a");
  endless.absolute_timeout = milliseconds::max();
  EXPECT_FALSE(tables_.create_session(endless, kNow));
  endless = session("a");
  endless.idle_timeout = milliseconds::max();
  EXPECT_FALSE(tables_.create_session(endless, kNow));
  endless = session("a");
  endless.idle_timeout = endless.absolute_timeout = EmbeddedTables::kLifeMax;
  EXPECT_TRUE(tables_.create_session(endless, kNow));
  EXPECT_FALSE(tables_.touch_session(digest_of("a"), milliseconds::max(), kNow));
  ASSERT_TRUE(tables_.create_family(family("f"), kNow));
  EXPECT_FALSE(tables_.rotate_family(digest_of("f"), 1, {seconds(10), milliseconds::max()}, kNow));
  EXPECT_EQ(tables_.rotate_family(digest_of("f"), 1, {milliseconds::max(), hours(1)}, kNow)->outcome, Rotation::Outcome::rotated);
}

TEST_F(EmbeddedTablesTest, CountTimeInWholeMilliseconds) {
  ASSERT_TRUE(tables_.create_session(session("a"), kNow + std::chrono::microseconds(999)));
  const auto found = tables_.find_session(digest_of("a"), kNow + std::chrono::microseconds(1));
  ASSERT_TRUE(found && found->has_value());
  EXPECT_EQ((*found)->created_at, kNow);
  EXPECT_EQ((*found)->idle_left, minutes(30));
}

// Whatever the disk gives back, nobody gets an identity out of it, and nobody is told that there is none.
TEST_F(EmbeddedTablesTest, G05_ADamagedSessionIsNeverAnIdentityNorAbsent) {
  const char* damages[] = {
      "claims = CAST('{' AS BLOB)",
      "claims = CAST('[]' AS BLOB)",
      "claims = x''",
      "claims = CAST('{\"a\":1,\"a\":2}' AS BLOB)",
      "subject = x''",
      "absolute_end = ends_at - 1",
  };
  for (const char* damage : damages) {
    ASSERT_TRUE(database_.execute("DELETE FROM session"));
    ASSERT_TRUE(tables_.create_session(session("a"), kNow));
    ASSERT_TRUE(*tables_.find_session(digest_of("a"), kNow));
    ASSERT_TRUE(database_.execute(std::string("UPDATE session SET ") + damage));
    const auto found = tables_.find_session(digest_of("a"), kNow);
    ASSERT_FALSE(found) << damage;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << damage;
    if (std::string_view(damage).starts_with("subject")) continue;
    EXPECT_FALSE(tables_.sessions_of("alice", kNow)) << damage;
  }
}

TEST_F(EmbeddedTablesTest, G05_ADamagedFamilyDoesNotRotate) {
  const char* damages[] = {"claims = x'00'",
                           "subject = x''",
                           "generation = 0",
                           "generation = -1",
                           "absolute_end = ends_at - 1",
                           "generation = 9223372036854775807"};
  for (const char* damage : damages) {
    ASSERT_TRUE(database_.execute("DELETE FROM family"));
    ASSERT_TRUE(tables_.create_family(family("f"), kNow));
    ASSERT_TRUE(database_.execute(std::string("UPDATE family SET ") + damage));
    const std::uint64_t presented = std::string_view(damage).ends_with("807") ? 9223372036854775807ULL : 1;
    const auto rotated = tables_.rotate_family(digest_of("f"), presented, {seconds(10), hours(1)}, kNow);
    ASSERT_FALSE(rotated) << damage;
    EXPECT_EQ(rotated.error().fault, Fault::unavailable) << damage;
    EXPECT_EQ(count("family"), 1) << damage;
  }
}

TEST_F(EmbeddedTablesTest, EndASubjectsSessionsInPieces) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(tables_.create_session(session(std::to_string(i)), kNow));
  ASSERT_TRUE(tables_.create_session(session("later"), kNow + milliseconds(1)));
  ASSERT_TRUE(tables_.create_session(session("bob's", "bob"), kNow));
  EXPECT_EQ(tables_.end_sessions_of("alice", kNow, 3)->size(), 3U);
  EXPECT_EQ(tables_.end_sessions_of("alice", kNow, 3)->size(), 2U);
  EXPECT_EQ(tables_.end_sessions_of("alice", kNow, 3)->size(), 0U);
  EXPECT_EQ(count("session"), 2) << "bob's, and the one that began later";
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(tables_.create_family(family(std::to_string(i)), kNow));
  EXPECT_EQ(*tables_.end_families_of("alice", kNow, 3), 3U);
  EXPECT_EQ(*tables_.end_families_of("alice", kNow, 3), 2U);
}

TEST_F(EmbeddedTablesTest, SweepWhatIsOverInPiecesAndNothingElse) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(tables_.create_session(session(std::to_string(i)), kNow));
    ASSERT_TRUE(tables_.create_family(family(std::to_string(i)), kNow));
    ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::token_id, std::to_string(i), kNow, hours(1)}, kNow + hours(1)));
  }
  ASSERT_TRUE(tables_.create_session(session("lives"), kNow + hours(1)));
  ASSERT_TRUE(tables_.create_family(family("lives"), kNow + hours(1)));
  ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::token_id, "lives", kNow, hours(2)}, kNow + hours(2)));
  ASSERT_TRUE(tables_.sweep(kNow + minutes(30) - milliseconds(1), 3));
  EXPECT_EQ(count("session"), 6);
  ASSERT_TRUE(tables_.sweep(kNow + hours(1), 3));
  for (const char* table : {"session", "family", "revocation"}) EXPECT_EQ(count(table), 3) << table;
  ASSERT_TRUE(tables_.sweep(kNow + hours(1), 3));
  for (const char* table : {"session", "family", "revocation"}) EXPECT_EQ(count(table), 1) << table;
  EXPECT_TRUE(*tables_.find_session(digest_of("lives"), kNow + hours(1)));
}

TEST_F(EmbeddedTablesTest, KeepTheLaterTimesOfTwoRevocations) {
  ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::subject, "alice", kNow, hours(1)}, kNow + hours(2)));
  ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::subject, "alice", kNow + seconds(1), hours(1)}, kNow + hours(1)));
  ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::everything, "", kNow, hours(1)}, kNow + hours(1)));
  const auto kept = tables_.revocations(kNow);
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->size(), 2U);
  for (const auto& [revocation, forget_at] : *kept) {
    const bool is_subject = revocation.kind == Revocation::Kind::subject;
    EXPECT_EQ(revocation.kind, is_subject ? Revocation::Kind::subject : Revocation::Kind::everything);
    EXPECT_EQ(revocation.value, is_subject ? "alice" : "");
    EXPECT_EQ(revocation.issued_before, is_subject ? kNow + seconds(1) : kNow);
    EXPECT_EQ(forget_at, is_subject ? kNow + hours(2) : kNow + hours(1));
  }
  EXPECT_NE((*kept)[0].revocation.kind, (*kept)[1].revocation.kind);
  EXPECT_EQ(tables_.revocations(kNow + hours(1))->size(), 1U) << "without what no longer matters";
}

TEST_F(EmbeddedTablesTest, KeepARevocationNotEarlierThanItWas) {
  ASSERT_TRUE(
      tables_.keep_revocation({Revocation::Kind::subject, "alice", kNow + std::chrono::microseconds(1), hours(1)}, kNow + hours(1)));
  EXPECT_EQ(tables_.revocations(kNow)->front().revocation.issued_before, kNow + milliseconds(1));
}

TEST_F(EmbeddedTablesTest, ARevocationThatCannotBeReadIsAFault) {
  ASSERT_TRUE(tables_.keep_revocation({Revocation::Kind::subject, "alice", kNow, hours(1)}, kNow + hours(1)));
  ASSERT_TRUE(database_.execute("UPDATE revocation SET kind = CAST('sub' AS BLOB)"));
  EXPECT_FALSE(tables_.revocations(kNow));
}

TEST_F(EmbeddedTablesTest, AgreeOnNoEmptySecret) {
  EXPECT_FALSE(tables_.agree_on_secret("name", Secret()));
  EXPECT_FALSE(tables_.agree_on_secret("", Secret("bytes")));
  EXPECT_EQ(count("secret"), 0);
}

TEST_F(EmbeddedTablesTest, TakeRoomThatIsNotThereOnlyWithAFault) {
  ASSERT_TRUE(database_.number("PRAGMA max_page_count = 1"));  // no page more than there are
  EXPECT_FALSE(tables_.take_room());
  ASSERT_TRUE(database_.number("PRAGMA max_page_count = 1000"));
  EXPECT_TRUE(tables_.take_room());
  EXPECT_EQ(count("room"), 1);
  ASSERT_TRUE(tables_.give_room_back());
  EXPECT_EQ(count("room"), 0);
  ASSERT_TRUE(database_.number("PRAGMA max_page_count = 1"));
  EXPECT_TRUE(tables_.take_room()) << "what was given back";
}

}  // namespace
}  // namespace sallyport::store
