#include "issue/revoker.hpp"

#include <string>

#include <gtest/gtest.h>

#include "workshop.hpp"

namespace sallyport::issue {
namespace {

using Kind = store::Revocation::Kind;
using std::chrono::hours;

const RevocationTimes kTimes{.session = hours(1), .family = hours(2), .everything_else = hours(3)};

Result<store::Revocation> read_order(const std::string& document, const authenticate::TagKeys* tags = nullptr) {
  return read_revocation(testing::need(Json::parse(document)), tags, kTimes, kStart);
}

std::string of(const std::string& kind, const std::string& value) { return R"({")" + kind + R"(":")" + value + "\"}"; }

const std::string kHandle(64, 'a');

TEST(ReadRevocation, ReadsEachKind) {
  const auto subject = testing::need(read_order(of("subject", "alice")));
  EXPECT_EQ(subject.kind, Kind::subject);
  EXPECT_EQ(subject.value, "alice");
  EXPECT_EQ(subject.issued_before, std::nullopt) << "now, by the store's clock";
  EXPECT_EQ(subject.keep_for, hours(3));
  const auto token = testing::need(read_order(of("token_id", "abc")));
  EXPECT_EQ(token.kind, Kind::token_id);
  EXPECT_EQ(token.keep_for, hours(3));
  const auto session = testing::need(read_order(of("session", kHandle)));
  EXPECT_EQ(session.kind, Kind::session);
  EXPECT_EQ(session.keep_for, hours(1));
  const auto family = testing::need(read_order(of("family", kHandle)));
  EXPECT_EQ(family.kind, Kind::family);
  EXPECT_EQ(family.keep_for, hours(2));
}

TEST(ReadRevocation, KeepsSubjectsAsLongAsAnythingOfTheirsMayLive) {
  const RevocationTimes times{.session = hours(1), .family = hours(9), .everything_else = hours(3)};
  EXPECT_EQ(times.of(Kind::subject), hours(9));
  EXPECT_EQ(times.of(Kind::everything), hours(9));
  EXPECT_EQ(times.of(Kind::token_id), hours(3));
  EXPECT_EQ(times.longest(), hours(9));
}

TEST(ReadRevocation, OpensACookieOrARefreshTokenAndKeepsTheHandle) {
  const auto tags = tag_keys();
  const auto id = tags->make_session_id();
  EXPECT_EQ(testing::need(read_order(of("session", id.text), tags.get())).value, store::handle_of(id.key));
  const std::string family = tags->make_family_id();
  EXPECT_EQ(testing::need(read_order(of("family", tags->refresh_token(family, 7)), tags.get())).value, store::handle_of(sha256(family)));
  EXPECT_FALSE(read_order(of("family", id.text), tags.get())) << "a session's value is no refresh token";
  EXPECT_FALSE(read_order(of("session", tags->refresh_token(family, 7)), tags.get()));
  const auto forged = read_order(of("session", tag_keys('o')->make_session_id().text), tags.get());
  ASSERT_FALSE(forged);
  EXPECT_EQ(forged.error().fault, Fault::malformed);
}

TEST(ReadRevocation, CannotSayWhoseACookieIsWithoutKeys) {
  const auto unknown = read_order(of("session", tag_keys()->make_session_id().text));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().fault, Fault::unavailable);
  EXPECT_TRUE(read_order(of("session", kHandle))) << "a handle needs none";
  EXPECT_EQ(read_order(of("session", "short")).error().fault, Fault::malformed);
}

TEST(ReadRevocation, TakesTheHandleOfAnotherApplicationsSession) {
  EXPECT_EQ(testing::need(read_order(of("session", "shop:" + kHandle))).value, "shop:" + kHandle);
  EXPECT_FALSE(read_order(of("session", ":" + kHandle)));
  EXPECT_FALSE(read_order(of("session", "shop:" + kHandle.substr(1))));
  EXPECT_FALSE(read_order(of("family", "shop:" + kHandle)));
}

struct BadOrder {
  const char* name;
  const char* document;
};

class ReadRevocationRefuses : public ::testing::TestWithParam<BadOrder> {};

TEST_P(ReadRevocationRefuses, It) {
  const auto refused = read_order(GetParam().document);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::malformed);
}

INSTANTIATE_TEST_SUITE_P(
    Documents, ReadRevocationRefuses,
    ::testing::Values(BadOrder{"Nothing", "{}"}, BadOrder{"Null", "null"}, BadOrder{"Array", "[]"}, BadOrder{"Text", "\"alice\""},
                      BadOrder{"EmptySubject", R"({"subject":""})"}, BadOrder{"NullSubject", R"({"subject":null})"},
                      BadOrder{"NumberSubject", R"({"subject":1})"}, BadOrder{"TwoKinds", R"({"subject":"alice","token_id":"x"})"},
                      BadOrder{"UnknownMember", R"({"subject":"alice","reason":"x"})"}, BadOrder{"UnknownKind", R"({"user":"alice"})"},
                      BadOrder{"OtherCase", R"({"Subject":"alice"})"}, BadOrder{"EverythingByName", R"({"everything":"x"})"},
                      BadOrder{"UpperCaseHandle", R"({"session":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA!"})"},
                      BadOrder{"TimeAsNumber", R"({"subject":"alice","issued_before":1700000000})"},
                      BadOrder{"TimeNull", R"({"subject":"alice","issued_before":null})"},
                      BadOrder{"TimeWithoutZone", R"({"subject":"alice","issued_before":"2023-11-14T22:13:20"})"},
                      BadOrder{"BeforeTheEpoch", R"({"subject":"alice","issued_before":"1969-12-31T23:59:59Z"})"},
                      BadOrder{"FarFuture", R"({"subject":"alice","issued_before":"9999-12-31T23:59:59Z"})"},
                      BadOrder{"Future", R"({"issued_before":"2023-11-14T22:13:26Z"})"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ReadRevocation, ReadsWhenWithItsOffsetAndRoundsUp) {
  const auto at = [](const std::string& time) {
    return testing::need(read_order(R"({"subject":"alice","issued_before":")" + time + "\"}")).issued_before;
  };
  EXPECT_EQ(at("2023-11-14T22:13:20Z"), testing::kNow);
  EXPECT_EQ(at("2023-11-15T00:13:20.25+02:00"), testing::kNow + milliseconds(250));
  EXPECT_EQ(at("2023-11-14T22:13:20.0000001Z"), testing::kNow + milliseconds(1)) << "rather a millisecond more than less";
  EXPECT_EQ(at("1970-01-01T00:00:00Z"), WallTime{});
  EXPECT_EQ(at("2023-11-14T22:13:25Z"), testing::kNow + seconds(5)) << "clocks differ a little";
}

TEST(ReadRevocation, ReadsATimeAloneAsEverything) {
  const auto everything = testing::need(read_order(R"({"issued_before":"2023-11-14T22:13:20Z"})"));
  EXPECT_EQ(everything.kind, Kind::everything);
  EXPECT_TRUE(everything.value.empty());
  EXPECT_EQ(everything.keep_for, hours(3));
}

TEST(ReadRevocation, TakesValuesOfOneKibibyteAndNoMore) {
  EXPECT_TRUE(read_order(of("subject", std::string(1024, 's'))));
  EXPECT_FALSE(read_order(of("subject", std::string(1025, 's'))));
  EXPECT_TRUE(read_order(of("token_id", std::string(1024, 's'))));
  EXPECT_FALSE(read_order(of("token_id", std::string(1025, 's'))));
}

TEST(ReadRevocation, H15_NeverRepeatsAValueInWhatItSaysOfAFault) {
  const std::string secret = "secret-cookie-value";
  for (const std::string& document : {of("session", secret), of("family", secret), of(secret, "x"), of("issued_before", secret)}) {
    const auto refused = read_order(document);
    ASSERT_FALSE(refused) << document;
    EXPECT_EQ(refused.error().detail.find(secret), std::string::npos) << refused.error().detail;
  }
}

class RevokerTest : public ::testing::Test {
 protected:
  [[nodiscard]] Result<void> revoke(const std::string& document) {
    return run(gateway_.context, revoker_.revoke(testing::need(read_order(document, gateway_.tags.get()))));
  }
  void sign_in(const std::string& subject, const store::Digest& key) {
    store::NewSession session;
    session.key = key;
    session.subject = subject;
    gateway_.store.state().sessions.emplace(key, session);
  }
  [[nodiscard]] bool is_subject_revoked(const std::string& subject, WallTime issued_at) const {
    store::RevocationList::Credential credential;
    credential.subject = subject;
    credential.issued_at = issued_at;
    return gateway_.revocations.revokes(credential, kStart);
  }
  [[nodiscard]] const std::vector<std::string>& order() { return gateway_.store.state().order; }

  Gateway gateway_{std::make_shared<SharedState>()};
  Revoker revoker_{gateway_.store, kTimes, gateway_.metrics};
};

TEST_F(RevokerTest, BroadcastsBeforeItTidies) {
  sign_in("alice", sha256("1"));
  sign_in("bob", sha256("2"));
  ASSERT_TRUE(revoke(of("subject", "alice")));
  EXPECT_EQ(order(), (std::vector<std::string>{"revoke", "end_all_of"}));
  EXPECT_TRUE(is_subject_revoked("alice", kStart));
  EXPECT_FALSE(is_subject_revoked("alice", kStart + milliseconds(1))) << "who signs in again is welcome";
  EXPECT_FALSE(is_subject_revoked("bob", kStart));
  EXPECT_EQ(gateway_.store.state().sessions.size(), 1U);
  EXPECT_EQ(counted(gateway_.metrics, "sallyport_revocations_total{kind=\"subject\"}"), 1U);
}

TEST_F(RevokerTest, EndsTheRecordOfASessionAndOfAFamily) {
  const auto id = gateway_.tags->make_session_id();
  sign_in("alice", id.key);
  ASSERT_TRUE(revoke(of("session", id.text)));
  EXPECT_TRUE(gateway_.store.state().sessions.empty());
  const TokenPairPtr pair = gateway_.begin(edge_keys(Algorithm::es256));
  ASSERT_TRUE(revoke(of("family", pair->refresh)));
  EXPECT_TRUE(gateway_.store.state().families.empty());
  EXPECT_EQ(gateway_.store.state().revocations.back().value, pair->family);
}

TEST_F(RevokerTest, LeavesWhatIsYoungerThanAStatedTime) {
  sign_in("alice", sha256("1"));
  ASSERT_TRUE(revoke(R"({"subject":"alice","issued_before":"2023-11-14T22:13:10Z"})"));
  EXPECT_EQ(order(), (std::vector<std::string>{"revoke"}));
  EXPECT_TRUE(is_subject_revoked("alice", kStart - seconds(60)));
  EXPECT_FALSE(is_subject_revoked("alice", kStart));
  EXPECT_EQ(gateway_.store.state().sessions.size(), 1U);
}

TEST_F(RevokerTest, TidiesNothingForWhatHasNoRecord) {
  ASSERT_TRUE(revoke(of("token_id", "abc")));
  ASSERT_TRUE(revoke(R"({"issued_before":"2023-11-14T22:13:10Z"})"));
  ASSERT_TRUE(revoke(of("session", "shop:" + kHandle)));
  EXPECT_EQ(order(), (std::vector<std::string>{"revoke", "revoke", "revoke"}));
}

TEST_F(RevokerTest, FailsWhereTheBroadcastFailsAndTouchesNothing) {
  sign_in("alice", sha256("1"));
  for (const Fault fault : {Fault::unavailable, Fault::timed_out, Fault::too_large}) {
    gateway_.store.refused["revoke"] = fault;
    const Result<void> revoked = revoke(of("subject", "alice"));
    ASSERT_FALSE(revoked);
    EXPECT_EQ(revoked.error().fault, fault);
  }
  EXPECT_EQ(gateway_.store.state().sessions.size(), 1U);
  EXPECT_EQ(counted(gateway_.metrics, "sallyport_revocations_total{kind=\"subject\"}"), 0U);
}

TEST_F(RevokerTest, StandsThoughTidyingFails) {
  gateway_.store.refused["end_all_of"] = Fault::unavailable;
  ASSERT_TRUE(revoke(of("subject", "alice")));
  EXPECT_TRUE(is_subject_revoked("alice", kStart));
}

// Stores date to the millisecond, and a login takes half of one.
TEST_F(RevokerTest, ReturnsWhenWhatIsIssuedNextIsDatedLater) {
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(run(gateway_.context, revoker_.revoke_subject("alice")));
  EXPECT_GT(std::chrono::steady_clock::now() - began, milliseconds(1));
}

TEST_F(RevokerTest, RevokesASubjectAsOfNow) {
  ASSERT_TRUE(run(gateway_.context, revoker_.revoke_subject("alice")));
  EXPECT_TRUE(is_subject_revoked("alice", kStart));
  EXPECT_EQ(gateway_.store.state().revocations.front().keep_for, hours(3));
}

}  // namespace
}  // namespace sallyport::issue
