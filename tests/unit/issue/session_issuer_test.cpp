#include "issue/session_issuer.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/task_group.hpp"
#include "workshop.hpp"

namespace sallyport::issue {
namespace {

class SessionIssuerTest : public ::testing::Test {
 protected:
  SessionIssuerTest() {
    sessions_.use_store(store_);
    sessions_.use_keys(tag_keys());
  }

  [[nodiscard]] IssuedSession begin(const std::string& subject = "alice") {
    Principal principal = alice(R"({"tenant":"acme"})");
    principal.subject = subject;
    return testing::need(run(context_, issuer_.begin(std::move(principal), settings_)));
  }
  [[nodiscard]] Result<bool> end(const std::string& cookie) { return run(context_, issuer_.end(cookie, settings_)); }
  [[nodiscard]] bool is_revoked(const std::string& handle) const {
    store::RevocationList::Credential credential;
    credential.session = handle;
    credential.issued_at = kStart;
    return revocations_.revokes(credential, clock_.wall_now());
  }

  boost::asio::io_context context_;
  SteadyClock clock_{kStart};
  store::RevocationList revocations_{100};
  UnreliableStore store_{std::make_shared<SharedState>(), clock_, revocations_};
  observe::WorkerMetrics metrics_;
  TaskGroup tasks_{context_, [](std::string_view) {}};
  authenticate::SessionAuthenticator sessions_{{revocations_, clock_, tasks_, metrics_}};
  authenticate::SessionSettingsPtr settings_ = std::make_shared<authenticate::SessionSettings>();
  SessionIssuer issuer_{store_, sessions_};
};

TEST_F(SessionIssuerTest, KeepsTheDigestOfTheIdAndNeverTheId) {
  const IssuedSession issued = begin();
  ASSERT_EQ(store_.state().sessions.size(), 1U);
  const auto& [key, session] = *store_.state().sessions.begin();
  EXPECT_EQ(issued.handle, store::handle_of(key));
  EXPECT_EQ(tag_keys()->open_session_id(issued.cookie_value)->key, key);
  EXPECT_EQ(key, sha256(base64url_decode(issued.cookie_value)->substr(0, 32)));
  EXPECT_EQ(issued.cookie_value.size(), authenticate::kTaggedIdChars);
  EXPECT_EQ(session.subject, "alice");
  EXPECT_EQ(*session.claims.find("tenant")->string(), "acme");
  EXPECT_EQ(session.idle_timeout, settings_->idle_timeout);
  EXPECT_EQ(session.absolute_timeout, settings_->absolute_timeout);
}

TEST_F(SessionIssuerTest, G06_GivesANewIdAtEveryLoginWhateverWasPresentedBefore) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(begin().cookie_value);
  EXPECT_EQ(ids.size(), 1000U);
}

TEST_F(SessionIssuerTest, G06_TheSessionBeforeIsDeadAfterItsEnd) {
  const IssuedSession before = begin();
  const IssuedSession after = begin();
  ASSERT_TRUE(end(before.cookie_value).value());
  EXPECT_EQ(store_.state().sessions.size(), 1U);
  EXPECT_TRUE(is_revoked(before.handle));
  EXPECT_FALSE(is_revoked(after.handle));
}

TEST_F(SessionIssuerTest, F13_EndsTheSessionInTheStoreBeforeItSaysSo) {
  const IssuedSession issued = begin();
  ASSERT_TRUE(end(issued.cookie_value).value());
  EXPECT_TRUE(store_.state().sessions.empty());
  ASSERT_EQ(store_.state().revocations.size(), 1U);
  const store::Revocation& revocation = store_.state().revocations.front();
  EXPECT_EQ(revocation.kind, store::Revocation::Kind::session);
  EXPECT_EQ(revocation.value, issued.handle);
  EXPECT_EQ(revocation.keep_for, settings_->absolute_timeout);
  EXPECT_EQ(store_.state().order, (std::vector<std::string>{"create_session", "find_session", "revoke", "end_session"}));
}

TEST_F(SessionIssuerTest, BroadcastsNothingForASessionThatIsNotThere) {
  const IssuedSession issued = begin();
  ASSERT_TRUE(end(issued.cookie_value).value());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(end(issued.cookie_value).value());
  EXPECT_EQ(store_.asked("revoke"), 1);
}

TEST_F(SessionIssuerTest, G01_AsksNobodyAboutAValueThatIsNotOurs) {
  const std::string good = begin().cookie_value;
  const int before = store_.asked();
  std::string flipped = good;
  flipped[10] = flipped[10] == 'A' ? 'B' : 'A';
  for (const std::string& value : {std::string(), std::string("x"), std::string(64, 'A'), flipped, good + "A", good.substr(1),
                                   std::string(10'000, 'A'), tag_keys('o')->make_session_id().text}) {
    EXPECT_FALSE(end(value).value());
  }
  EXPECT_EQ(store_.asked(), before);
  EXPECT_TRUE(end(good).value()) << "the twin";
}

TEST_F(SessionIssuerTest, EndsByHandleToo) {
  const IssuedSession issued = begin();
  EXPECT_FALSE(run(context_, issuer_.end_by_handle("no handle", settings_)).value());
  EXPECT_FALSE(run(context_, issuer_.end_by_handle(std::string(64, '0'), settings_)).value());
  EXPECT_TRUE(run(context_, issuer_.end_by_handle(issued.handle, settings_)).value());
  EXPECT_TRUE(store_.state().sessions.empty());
}

TEST_F(SessionIssuerTest, ASessionWhoseBroadcastFailedCanBeEndedAgain) {
  const IssuedSession issued = begin();
  store_.refused["revoke"] = Fault::unavailable;
  EXPECT_EQ(end(issued.cookie_value).error().fault, Fault::unavailable);
  EXPECT_EQ(store_.state().sessions.size(), 1U) << "or nobody would hear of its end any more";
  store_.refused.clear();
  EXPECT_TRUE(end(issued.cookie_value).value());
  EXPECT_TRUE(is_revoked(issued.handle));
  EXPECT_TRUE(store_.state().sessions.empty());
}

TEST_F(SessionIssuerTest, SaysNeitherYesNorNoWhileItCannotAsk) {
  const IssuedSession issued = begin();
  store_.refused["end_session"] = Fault::unavailable;
  const Result<bool> ended = end(issued.cookie_value);
  ASSERT_FALSE(ended.has_value());
  EXPECT_EQ(ended.error().fault, Fault::unavailable);
  store_.refused.clear();
  store_.refused["create_session"] = Fault::timed_out;
  EXPECT_EQ(run(context_, issuer_.begin(alice(), settings_)).error().fault, Fault::timed_out);
}

TEST_F(SessionIssuerTest, WaitsForTheKeysWithoutARefusal) {
  sessions_.use_keys(nullptr);
  EXPECT_EQ(run(context_, issuer_.begin(alice(), settings_)).error().fault, Fault::unavailable);
  EXPECT_EQ(end(std::string(64, 'A')).error().fault, Fault::unavailable);
  EXPECT_EQ(store_.asked(), 0);
}

}  // namespace
}  // namespace sallyport::issue
