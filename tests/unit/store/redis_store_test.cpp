#include "store/redis_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/text.hpp"
#include "redis_process.hpp"
#include "store/redis_records.hpp"
#include "store_contract.hpp"
#include "support/manual_clock.hpp"
#include "support/redis_server.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::RedisServer;

class RedisKind final : public StoreUnderTest {
 public:
  Result<std::unique_ptr<StoreService>> open(const StoreSurroundings& surroundings) override {
    StoreSettings settings;
    settings.redis.emplace();
    settings.redis->host = "127.0.0.1";
    settings.redis->port = server_.port();
    settings.redis->command_timeout = 5s;  // what a busy machine takes is no fault
    return open_redis_store(settings, surroundings);
  }
  bool is_shared() const override { return true; }
  const Clock& clock() const override { return clock_; }
  void advance(std::chrono::milliseconds time) override { std::this_thread::sleep_for(time); }
  bool is_exact() const override { return false; }
  std::chrono::milliseconds unit() const override { return 100ms; }

 private:
  RedisServer server_;
  SystemClock clock_;
};

std::unique_ptr<StoreUnderTest> make_redis_kind() { return std::make_unique<RedisKind>(); }

// Without a redis-server there is nothing to instantiate; RedisStore.IsTested says so.
std::vector<KindOfStore> kinds() {
  if (test::redis_server_program().empty()) return {};
  return {KindOfStore{"redis", &make_redis_kind}};
}
INSTANTIATE_TEST_SUITE_P(Redis, StoreContract, ::testing::ValuesIn(kinds()), name_of_kind);

// A server for each test, and a process with one worker that has reached it.
class RedisStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::redis_server_program().empty()) GTEST_SKIP() << "no redis-server on this machine: the Redis store is not tested";
    server_ = std::make_unique<RedisServer>();
    process_ = std::make_unique<RedisProcess>(server_->port());
    ASSERT_TRUE(eventually([this] { return process_->hears(); })) << "the store is not reached";
  }

  static std::string session_name(std::string_view id) { return "sallyport:session:{" + handle_of(key_of(id)) + "}"; }
  static std::string family_name(std::string_view id) { return "sallyport:family:{" + handle_of(key_of(id)) + "}"; }
  Result<std::optional<ForeignSession>> find_foreign(std::string prefix, std::string id) {
    return process_->worker().call([=](Store& store) { return store.find_foreign_session(prefix, id); });
  }

  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<RedisProcess> process_;
};

TEST_F(RedisStoreTest, KeysStandBelowThePrefixAndEachHasATag) {
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(process_->begin_family("f", "alice"));
  ASSERT_TRUE(process_->revoke({Revocation::Kind::subject, "bob", {}, 1h}));
  const auto agreed = process_->worker().call([](Store& store) { return store.agree_on_secret("cookie", Secret("bytes")); });
  ASSERT_TRUE(agreed);
  const std::string keys = server_->say({"KEYS", "*"});
  std::vector<std::string_view> names = split(keys, '\n');
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(session_name("a"), family_name("f"), "sallyport:secret:{cookie}",
                                                     "sallyport:revocations", "sallyport:subject:{" + handle_of(sha256("alice")) + "}"));
  for (const std::string& name : {session_name("a"), family_name("f")}) EXPECT_GT(std::stol(server_->say({"PTTL", name})), 0) << name;
}

TEST_F(RedisStoreTest, ACopyOfTheStoreOpensNothing) {
  ASSERT_TRUE(process_->create("a secret id", "alice"));
  EXPECT_THAT(server_->say({"KEYS", "*"}), ::testing::Not(::testing::HasSubstr("a secret id")));
  EXPECT_THAT(server_->say({"GET", session_name("a secret id")}), ::testing::Not(::testing::HasSubstr("a secret id")));
}

TEST_F(RedisStoreTest, SeekingAndFindingSayTheSame) {
  ASSERT_TRUE(process_->create("a", "alice"));
  const auto found = process_->find("a");
  ASSERT_TRUE(found && found->has_value());
  const auto sought = process_->seek("a");
  ASSERT_TRUE(sought) << sought.error().detail;
  ASSERT_TRUE(sought->has_value());
  EXPECT_EQ((*sought)->key, (*found)->key);
  EXPECT_EQ((*sought)->subject, (*found)->subject);
  EXPECT_EQ((*sought)->claims.text(), (*found)->claims.text());
  EXPECT_EQ((*sought)->created_at, (*found)->created_at);
  EXPECT_LE((*sought)->idle_left, (*found)->idle_left) << "never more than the store's own clock leaves";
  EXPECT_GT((*sought)->idle_left, (*found)->idle_left - 1min);
  ASSERT_TRUE(*process_->worker().call([](Store& store) { return store.end_session(key_of("a")); }));
  ASSERT_TRUE(process_->find("b"));  // the clock is known, however long that took
  const auto gone = process_->seek("a");
  ASSERT_TRUE(gone) << gone.error().detail;
  EXPECT_FALSE(gone->has_value());
}

TEST_F(RedisStoreTest, AListenerHearsOfSessionsThatWereSought) {
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(process_->find("nobody's"));
  const auto sought = process_->seek("a");
  ASSERT_TRUE(sought && sought->has_value());
  process_->worker().listener_.forget();
  server_->say({"DEL", session_name("a")});
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.heard_of(key_of("a")); }));
}

TEST_F(RedisStoreTest, TheIndexForgetsWhatEnded) {
  const std::string index = "sallyport:subject:{" + handle_of(sha256("alice")) + "}";
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(process_->begin_family("f", "alice"));
  EXPECT_EQ(server_->say({"ZCARD", index}), "2");
  EXPECT_GT(std::stol(server_->say({"PTTL", index})), 0);
  ASSERT_TRUE(*process_->worker().call([](Store& store) { return store.end_session(key_of("a")); }));
  EXPECT_EQ(server_->say({"ZCARD", index}), "1");
  ASSERT_TRUE(*process_->worker().call([](Store& store) { return store.end_family(key_of("f")); }));
  EXPECT_EQ(server_->say({"EXISTS", index}), "0");
  // What ran out goes when the next one comes.
  server_->say({"ZADD", index, "1000", "s:" + std::string(64, '0')});
  ASSERT_TRUE(process_->create("b", "alice"));
  EXPECT_EQ(server_->say({"ZCARD", index}), "1");
}

TEST_F(RedisStoreTest, G04_AnotherTypeUnderASessionsKeyIsNoAnswer) {
  server_->say({"LPUSH", session_name("a"), "x"});
  const auto found = process_->find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_FALSE(process_->worker().call([](Store& store) { return store.touch_session(key_of("a"), 1h); }));
  server_->say({"SET", family_name("f"), "x"});
  EXPECT_FALSE(process_->rotate("f", 1));
  EXPECT_TRUE(eventually([&] { return process_->log().find("something else stands under a key of ours") != std::string::npos; }));
  server_->say({"DEL", session_name("a")});
  EXPECT_FALSE(process_->find("a")->has_value()) << "and when it is gone there is none";
}

TEST_F(RedisStoreTest, G05_WhatIsNoWholeRecordIsNoAnswer) {
  ASSERT_TRUE(process_->create("a", "alice"));
  const std::string whole = server_->say({"GET", session_name("a")});
  const std::string name = session_name("a");
  const std::map<std::string, std::string> texts{{"empty", ""},
                                                 {"cut", whole.substr(0, whole.size() / 2)},
                                                 {"another version", R"({"v":2)" + whole.substr(6)},
                                                 {"express-session's", R"({"cookie":{},"passport":{"user":"alice"}})"}};
  for (const auto& [what, text] : texts) {
    server_->say({"SET", name, text, "PX", "60000"});
    const auto found = process_->find("a");
    ASSERT_FALSE(found) << what;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << what;
    const auto touched = process_->worker().call([](Store& store) { return store.touch_session(key_of("a"), 1h); });
    EXPECT_FALSE(touched) << what;
    EXPECT_EQ(server_->say({"GET", name}), text) << what << ": nobody wrote to it";
  }
  server_->say({"SET", name, whole});
  ASSERT_FALSE(process_->find("a")) << "a record without an end";
  ASSERT_FALSE(process_->seek("a")) << "the same by the short way";
  server_->say({"SET", name, whole, "PX", "60000"});
  ASSERT_TRUE(process_->find("a"));
  EXPECT_EQ((*process_->find("a"))->subject, "alice") << "the whole one is one";
}

TEST_F(RedisStoreTest, G05_AValueOverTheLimitEndsTheConnectionAndNothingElse) {
  ASSERT_TRUE(process_->create("a", "alice"));
  server_->say({"SET", session_name("huge"), std::string(9 * 1024 * 1024, 'x'), "PX", "60000"});
  const auto found = process_->find("huge");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_TRUE(eventually([&] {
    const auto other = process_->find("a");
    return other && other->has_value();
  }));
}

TEST_F(RedisStoreTest, N08_ARecordCopiedToAnotherKeyIsNobodysSession) {
  ASSERT_TRUE(process_->create("a", "alice"));
  server_->say({"COPY", session_name("a"), session_name("b")});
  const auto found = process_->find("b");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_TRUE(eventually([&] {
    const auto own = process_->find("a");
    return own && own->has_value();
  }));
}

TEST_F(RedisStoreTest, G05_AFamilyThatIsNoneIsNoAnswer) {
  ASSERT_TRUE(process_->begin_family("f", "alice"));
  const std::vector<std::pair<std::string, std::string>> changes{{"v", "2"},   {"key", "0"},     {"generation", "x"},
                                                                 {"ends", ""}, {"claims", "[]"}, {"subject", ""}};
  for (const auto& [field, value] : changes) {
    const std::string before = server_->say({"HGET", family_name("f"), field});
    server_->say({"HSET", family_name("f"), field, value});
    EXPECT_FALSE(process_->rotate("f", 1)) << field;
    server_->say({"HSET", family_name("f"), field, before, "generation", "1"});
  }
  server_->say({"HDEL", family_name("f"), "dead"});
  EXPECT_FALSE(process_->rotate("f", 1)) << "a field less";
  server_->say({"HSET", family_name("f"), "dead", "0"});
  EXPECT_TRUE(eventually([&] { return process_->rotate("f", 1)->outcome == Rotation::Outcome::rotated; }));
}

TEST_F(RedisStoreTest, H17_TheGatewaysClockDoesNotMatter) {
  test::ManualClock ahead;
  ahead.advance(std::chrono::seconds(120));
  auto wish = RedisProcess::wish(server_->port(), 5s);
  wish.clock = &ahead;
  RedisProcess other(wish);
  ASSERT_TRUE(eventually([&] { return other.hears(); }));
  ASSERT_TRUE(process_->create("a", "alice", 1min));
  EXPECT_TRUE(other.find("a")->has_value()) << "two minutes ahead, and the session has one";
  EXPECT_GT((*other.find("a"))->idle_left, 30s);
  ASSERT_TRUE(process_->begin_family("f", "alice"));
  const RotationRules rules{10s, 1h};
  ASSERT_EQ(process_->rotate("f", 1, rules)->outcome, Rotation::Outcome::rotated);
  EXPECT_EQ(other.rotate("f", 1, rules)->outcome, Rotation::Outcome::repeated) << "no false alarm";
}

TEST_F(RedisStoreTest, ReadsAnotherApplicationsSessions) {
  server_->say({"SET", "sess:one", R"({"cookie":{"maxAge":1},"user":"alice"})", "PX", "60000"});
  server_->say({"SET", "sess:endless", "[1]"});
  const auto one = find_foreign("sess:", "one");
  ASSERT_TRUE(one) << one.error().detail;
  ASSERT_TRUE(one->has_value());
  EXPECT_EQ((*one)->id, "one");
  EXPECT_EQ(*(*one)->document.find("user")->string(), "alice");
  ASSERT_TRUE((*one)->left);
  EXPECT_LE(*(*one)->left, 60s);
  EXPECT_GT(*(*one)->left, 50s);
  EXPECT_EQ((*find_foreign("sess:", "endless"))->left, std::nullopt);
  EXPECT_FALSE(find_foreign("sess:", "nobody")->has_value());
  EXPECT_FALSE(find_foreign("ses", "s:nobody")->has_value());
}

TEST_F(RedisStoreTest, G02_NoByteOfAForeignIdIsSyntax) {
  server_->say({"SET", "sess:one", "1"});
  for (const std::string id : {"*", "?ne", "[o]ne", "one\r\n", "{one}", "one:", " one", "\r\n$3\r\nGET", ""}) {
    const auto found = find_foreign("sess:", id);
    ASSERT_TRUE(found) << id;
    EXPECT_FALSE(found->has_value()) << id;
  }
  EXPECT_FALSE(find_foreign("sess:", std::string("one\0", 4))->has_value());
  EXPECT_TRUE(find_foreign("sess:", "one")->has_value());
}

TEST_F(RedisStoreTest, G04_AForeignSessionOfAnotherTypeIsNoAnswer) {
  server_->say({"HSET", "sess:hash", "user", "alice"});
  server_->say({"SET", "sess:text", "alice"});
  server_->say({"SET", "sess:long", '"' + std::string(kRecordBytesMax, 'x') + '"'});
  for (const std::string id : {"hash", "text", "long"}) {
    const auto found = find_foreign("sess:", id);
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << id;
  }
}

TEST_F(RedisStoreTest, AListenerHearsOfForeignSessionsThatItLookedAt) {
  server_->say({"SET", "sess:one", "1"});
  ASSERT_TRUE(*find_foreign("sess:", "one"));
  ASSERT_FALSE(*find_foreign("sess:", "late"));
  auto& listener = process_->worker().listener_;
  server_->say({"SET", "sess:other", "1"});
  server_->say({"SET", "sess:one", "2"});
  EXPECT_TRUE(eventually([&] { return listener.heard_of_foreign("one"); }));
  server_->say({"SET", "sess:late", "1"});
  EXPECT_TRUE(eventually([&] { return listener.heard_of_foreign("late"); })) << "also of one that was not there";
  EXPECT_FALSE(listener.heard_of_foreign("other")) << "nobody looked at it";
}

TEST_F(RedisStoreTest, N13_FlushallIsALogoutThatEverybodyHears) {
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(*process_->find("a"));
  process_->worker().listener_.forget();
  server_->say({"FLUSHALL"});
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.ended() > 0; }));
  const auto found = process_->find("a");
  ASSERT_TRUE(found) << "asked and answered: " << found.error().detail;
  EXPECT_FALSE(found->has_value());
  EXPECT_TRUE(process_->create("b", "alice")) << "and life goes on";
}

TEST_F(RedisStoreTest, N13_ScriptsThatWereFlushedAreLoadedAgain) {
  ASSERT_TRUE(process_->create("a", "alice"));
  for (int round = 0; round < 3; ++round) {
    server_->say({"SCRIPT", "FLUSH"});
    const auto found = process_->find("a");
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_TRUE(found->has_value());
    server_->say({"SCRIPT", "FLUSH"});
    EXPECT_TRUE(process_->create("again" + std::to_string(round), "alice"));
  }
}

TEST_F(RedisStoreTest, StoresWithDifferentPrefixesDoNotMeet) {
  auto wish = RedisProcess::wish(server_->port(), 5s);
  wish.redis.prefix = "other:";
  RedisProcess other(wish);
  ASSERT_TRUE(process_->create("a", "alice"));
  EXPECT_FALSE(other.find("a")->has_value());
  ASSERT_TRUE(process_->revoke({Revocation::Kind::subject, "alice", {}, 1h}));
  ASSERT_TRUE(other.create("b", "bob"));
  EXPECT_EQ(other.revocations().size(), 0U) << "their revocations are theirs";
}

TEST_F(RedisStoreTest, ADatabaseOfItsOwnIsSelected) {
  auto wish = RedisProcess::wish(server_->port(), 5s);
  wish.redis.database = 5;
  RedisProcess other(wish);
  ASSERT_TRUE(other.create("a", "alice"));
  EXPECT_FALSE(process_->find("a")->has_value());
  EXPECT_TRUE(other.find("a")->has_value());
  // Its revocations are heard there and nowhere else.
  ASSERT_TRUE(eventually([&] { return other.hears(); }));
  RedisProcess beside(wish);
  ASSERT_TRUE(eventually([&] { return beside.hears(); }));
  ASSERT_TRUE(other.revoke({Revocation::Kind::subject, "alice", {}, 1h}));
  EXPECT_TRUE(eventually([&] { return beside.revocations().size() == 1; }));
  ASSERT_TRUE(process_->revoke({Revocation::Kind::subject, "bob", {}, 1h}));
  EXPECT_EQ(process_->revocations().size(), 1U);
}

TEST(RedisStore, IsTested) {
  if (test::redis_server_program().empty()) GTEST_SKIP() << "no redis-server on this machine: the Redis store is not tested";
}

}  // namespace
}  // namespace sallyport::store
