// The Redis store against servers that misbehave (hazards N06-N08): whatever they say, it is never "no such session", nor somebody's.
#include "store/redis_client.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "redis_process.hpp"
#include "store/redis_records.hpp"
#include "support/fake_redis.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::array;
using test::bulk;
using test::FakeRedis;
using test::integer;
using test::Words;
using ::testing::HasSubstr;

std::string session_text(const Digest& key, std::string_view subject) {
  return R"({"v":1,"key":")" + handle_of(key) + R"(","created":1699999990000,"ends":1700000100000,"idle":1700000100000,)" +
         R"("seen":1699999999000,"subject":")" + std::string(subject) + R"(","claims":{}})";
}
std::string session_reply(const std::string& redis_key, const Digest& key, std::string_view subject) {
  return array({bulk(redis_key), bulk(session_text(key, subject)), integer(5000), integer(1700000000000)});
}

// Answers every script so; the rest as a healthy server.
FakeRedis::Answer answering(std::string reply) {
  return [reply](const Words& words, int) { return FakeRedis::is_script(words) ? std::optional(FakeRedis::Reply{reply}) : std::nullopt; };
}
FakeRedis::Answer answering_with_key(std::vector<std::string> rest) {
  return [rest](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    std::vector<std::string> all{bulk(FakeRedis::key_of(words))};
    all.insert(all.end(), rest.begin(), rest.end());
    return FakeRedis::Reply{array(all)};
  };
}

TEST(RedisClient, AnswersWhenTheServerIsWell) {
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key_of("a"), "alice")};
  });
  RedisProcess process(server.port());
  const auto found = process.find("a");
  ASSERT_TRUE(found) << found.error().detail;
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->subject, "alice");
  process.end();
}

TEST(RedisClient, N06_NoErrorReadsAsNoSession) {
  for (const std::string_view text :
       {"LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script.", "OOM command not allowed",
        "READONLY You can't write", "NOAUTH Authentication required.", "WRONGPASS invalid", "NOPERM no permissions",
        "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "MISCONF Redis is configured to save", "CLUSTERDOWN The cluster is down",
        "MASTERDOWN Link with MASTER is down", "TRYAGAIN Multiple keys", "WRONGTYPE Operation against a key",
        "NOSCRIPT No matching script.", "ERR anything else"}) {
    FakeRedis server(answering("-" + std::string(text) + "\r\n"));
    RedisProcess process(server.port());
    const auto found = process.find("a");
    ASSERT_FALSE(found) << text;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << text;
    const auto rotated = process.worker().call([](Store& store) { return store.rotate_family(key_of("f"), 1, {1s, 1h}); });
    ASSERT_FALSE(rotated) << text;
    EXPECT_EQ(rotated.error().fault, Fault::unavailable) << text;
    process.end();
  }
}

TEST(RedisClient, N06_ReadonlyAndMovedConnectAgain) {
  for (const std::string_view text : {"READONLY You can't write", "MOVED 3999 127.0.0.1:6381", "NOAUTH Authentication required."}) {
    FakeRedis server([text](const Words& words, int connection) -> std::optional<FakeRedis::Reply> {
      if (!FakeRedis::is_script(words)) return std::nullopt;
      if (connection <= 2) return FakeRedis::Reply{"-" + std::string(text) + "\r\n"};
      return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key_of("a"), "alice")};
    });
    RedisProcess process(server.port());
    EXPECT_FALSE(process.find("a")) << text;
    EXPECT_TRUE(eventually([&] {
      const auto found = process.find("a");
      return found && found->has_value();
    })) << text;
    process.end();
  }
}

TEST(RedisClient, N06_NoscriptIsLoadedAndAskedAgainOnce) {
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (words[0].starts_with("EVALSHA")) return FakeRedis::Reply{"-NOSCRIPT No matching script.\r\n"};
    if (words[0] == "EVAL_RO") return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key_of("a"), "alice")};
    return std::nullopt;
  });
  RedisProcess process(server.port());
  const auto found = process.find("a");
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_TRUE(found->has_value());
  process.end();
  int asked = 0;
  for (const Words& words : server.heard()) asked += FakeRedis::is_script(words) ? 1 : 0;
  EXPECT_EQ(asked, 2);
}

TEST(RedisClient, N07_WrongRepliesDropTheConnectionAndAnswerNothing) {
  struct Row {
    const char* what;
    FakeRedis::Answer answer;
  };
  const std::vector<Row> rows{
      {"a status", answering("+OK\r\n")},
      {"nil", answering("$-1\r\n")},
      {"the empty array", answering("*0\r\n")},
      {"a string", answering(bulk("alice"))},
      {"the key alone", answering_with_key({})},
      {"an array in place of the record", answering_with_key({"*0\r\n", integer(-2), integer(1)})},
      {"a number in place of the record", answering_with_key({integer(7), integer(5), integer(1)})},
      {"a status in place of the record", answering_with_key({"+alice\r\n", integer(5), integer(1)})},
      {"nil with time left", answering_with_key({"$-1\r\n", integer(5), integer(1)})},
      {"a record without a clock", answering_with_key({"$-1\r\n", integer(-2)})},
      {"a clock in words", answering_with_key({"$-1\r\n", integer(-2), bulk("now")})},
      {"one part too many", answering_with_key({"$-1\r\n", integer(-2), integer(1), integer(1)})},
      {"garbage", answering("hello\r\n")},
      {"an overflowing count", answering("*4294967297\r\n")},
      {"an overflowing number", answering(":99999999999999999999\r\n")},
      {"a huge string", answering("$536870913\r\n")},
      {"a negative length", answering("$-2\r\n")},
  };
  for (const Row& row : rows) {
    FakeRedis server(row.answer);
    RedisProcess process(server.port());
    ASSERT_TRUE(eventually([&] { return process.hears(); })) << row.what;
    const int connections = server.connections();
    const auto found = process.find("a");
    ASSERT_FALSE(found) << row.what;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << row.what << ": " << found.error().detail;
    EXPECT_TRUE(eventually([&] { return server.connections() > connections; })) << row.what << ": it connects anew";
    process.end();
  }
}

TEST(RedisClient, N07_HalfAReplyThenTheEndAnswersNothing) {
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    const std::string whole = session_reply(FakeRedis::key_of(words), key_of("a"), "alice");
    return FakeRedis::Reply{whole.substr(0, whole.size() / 2), true};
  });
  RedisProcess process(server.port());
  const auto found = process.find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  const auto touched = process.worker().call([](Store& store) { return store.touch_session(key_of("a"), 1h); });
  ASSERT_FALSE(touched);
  EXPECT_NE(touched.error().fault, Fault::not_found);
  process.end();
}

TEST(RedisClient, N08_TheReplyToAnotherQuestionIsNobodysSession) {
  // An off-by-one somewhere on the way: each question gets the answer to the one before it.
  std::string last = session_reply("sallyport:session:{x}", key_of("victim"), "victim");
  std::mutex mutex;
  FakeRedis server([&](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    const std::lock_guard lock(mutex);
    return FakeRedis::Reply{std::exchange(last, session_reply(FakeRedis::key_of(words), key_of("victim"), "victim"))};
  });
  RedisProcess process(server.port());
  ASSERT_TRUE(eventually([&] { return process.hears(); }));
  const int connections = server.connections();
  const auto found = process.find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_TRUE(eventually([&] { return server.connections() > connections; }));
  process.end();
}

TEST(RedisClient, N08_ARecordOfAnotherKeyIsNobodysSession) {
  // The answer is about our key, but what stands there is somebody else's.
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key_of("victim"), "victim")};
  });
  RedisProcess process(server.port());
  ASSERT_TRUE(eventually([&] { return process.hears(); }));
  const int connections = server.connections();
  const auto found = process.find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_TRUE(eventually([&] { return server.connections() > connections; }));
  const auto theirs = process.find("victim");
  EXPECT_TRUE(!theirs || theirs->has_value()) << "its own key, once connected again";
  process.end();
}

TEST(RedisClient, N08_AFamilyOfAnotherKeyIsNotRotated) {
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (!FakeRedis::is_script(words)) return std::nullopt;
    return FakeRedis::Reply{array({bulk(FakeRedis::key_of(words)), bulk("rotated"), integer(1700000000000), bulk("1"),
                                   bulk(handle_of(key_of("victim"))), bulk("2"), bulk("1700000000000"), bulk("1700000000000"),
                                   bulk("1700000900000"), bulk("1700000800000"), bulk("victim"), bulk("{}")})};
  });
  RedisProcess process(server.port());
  const auto rotated = process.worker().call([](Store& store) { return store.rotate_family(key_of("f"), 1, {1s, 1h}); });
  ASSERT_FALSE(rotated);
  EXPECT_EQ(rotated.error().fault, Fault::unavailable);
  process.end();
}

TEST(RedisClient, AChangeWhoseAnswerWasLostMayHaveHappened) {
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    return FakeRedis::is_script(words) ? std::optional(FakeRedis::Reply{"", true}) : std::nullopt;
  });
  RedisProcess process(server.port());
  const auto ended = process.worker().call([](Store& store) { return store.end_session(key_of("a")); });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().fault, Fault::timed_out);
  process.end();
}

TEST(RedisClient, N18_HearsNothingWithoutTracking) {
  // A server whose TRACKING fails can be asked, but nothing that it says may be remembered.
  FakeRedis server([](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (words[0] == "CLIENT" && words[1] == "TRACKING") return FakeRedis::Reply{"-NOPERM no permissions\r\n"};
    if (!FakeRedis::is_script(words)) return std::nullopt;
    return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key_of("a"), "alice")};
  });
  RedisProcess process(server.port());
  ASSERT_TRUE(process.find("a"));
  EXPECT_FALSE(eventually([&] { return process.hears(); }, 500ms));
  EXPECT_EQ(process.worker().listener_.everything(), 0U);
  process.end();
}

// Looking for a session without a coroutine: once a script has read the clock, by a bare PTTL and a bare GET.

// Scripts and PTTL are answered as a healthy Redis with everybody's session would; GET as the test says.
FakeRedis::Answer answering_get(std::function<std::string(const Words& words)> reply, const std::string& left = integer(100'000)) {
  return [reply = std::move(reply), left, key = key_of("a")](const Words& words, int) -> std::optional<FakeRedis::Reply> {
    if (words[0] == "PTTL") return FakeRedis::Reply{left};
    if (words[0] == "GET") return FakeRedis::Reply{reply(words)};
    if (!FakeRedis::is_script(words)) return std::nullopt;
    return FakeRedis::Reply{session_reply(FakeRedis::key_of(words), key, "alice, by script")};
  };
}

TEST(RedisClient, SeeksNothingBeforeItKnowsTheClock) {
  FakeRedis server(answering_get([](const Words&) { return bulk(session_text(key_of("a"), "alice")); }));
  RedisProcess process(server.port());
  ASSERT_TRUE(eventually([&] { return process.hears(); }));
  EXPECT_EQ(process.seek("a").error().fault, Fault::unsupported);
  ASSERT_TRUE(process.find("a"));
  const auto found = process.seek("a");
  ASSERT_TRUE(found) << found.error().detail;
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->subject, "alice");
  EXPECT_LE((*found)->idle_left, 100s) << "by the clock that the script read";
  EXPECT_GT((*found)->idle_left, 90s);
  process.end();
}

TEST(RedisClient, N08_ANilSaysNothingOfWhomItIsAbout) {
  FakeRedis server(answering_get([](const Words&) { return std::string("$-1\r\n"); }));
  RedisProcess process(server.port());
  ASSERT_TRUE(process.find("a"));
  const auto found = process.seek("a");
  ASSERT_TRUE(found && found->has_value()) << "the script decides";
  EXPECT_EQ((*found)->subject, "alice, by script");
  process.end();
}

TEST(RedisClient, G07_ARecordThatMayBeOverIsAskedAboutAgain) {
  FakeRedis server(answering_get([](const Words&) {
    std::string text = session_text(key_of("a"), "alice");
    text.replace(text.find(R"("idle":1700000100000)"), 20, R"("idle":1700000000000)");
    return bulk(text);
  }));
  RedisProcess process(server.port());
  ASSERT_TRUE(process.find("a"));
  const auto found = process.seek("a");
  ASSERT_TRUE(found && found->has_value()) << "the script decides";
  EXPECT_EQ((*found)->subject, "alice, by script");
  process.end();
}

TEST(RedisClient, ARecordThatRedisDoesNotExpireIsNoAnswer) {
  FakeRedis server(answering_get([](const Words&) { return bulk(session_text(key_of("a"), "alice")); }, integer(-1)));
  RedisProcess process(server.port());
  ASSERT_TRUE(process.find("a"));
  const int connections = server.connections();
  const auto found = process.seek("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_THAT(found.error().detail, ::testing::HasSubstr("without an end"));
  EXPECT_EQ(server.connections(), connections) << "it is about that record alone";
  process.end();
}

TEST(RedisClient, ARecordThatCameMeanwhileIsAskedAboutAgain) {
  FakeRedis server(answering_get([](const Words&) { return bulk(session_text(key_of("a"), "alice")); }, integer(-2)));
  RedisProcess process(server.port());
  ASSERT_TRUE(process.find("a"));
  const auto found = process.seek("a");
  ASSERT_TRUE(found && found->has_value()) << "the script decides";
  EXPECT_EQ((*found)->subject, "alice, by script");
  process.end();
}

TEST(RedisClient, N06_N07_WhatIsNoAnswerToPttlIsUnavailable) {
  for (const std::string& left : {std::string("$-1\r\n"), bulk("100000"), std::string("+OK\r\n"), std::string("*0\r\n"),
                                  std::string("-LOADING Redis is loading\r\n")}) {
    FakeRedis server(answering_get([](const Words&) { return bulk(session_text(key_of("a"), "alice")); }, left));
    RedisProcess process(server.port());
    ASSERT_TRUE(process.find("a")) << left;
    const auto found = process.seek("a");
    ASSERT_FALSE(found) << left;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << left;
    process.end();
  }
}

TEST(RedisClient, N08_N07_WhatIsNoAnswerToGetDropsTheConnection) {
  struct Row {
    const char* what;
    std::string reply;
  };
  const std::vector<Row> rows{
      {"another key's record", bulk(session_text(key_of("victim"), "victim"))},
      {"a status", "+OK\r\n"},
      {"a number", ":1\r\n"},
      {"an answer to a script", session_reply("sallyport:session:{" + handle_of(key_of("a")) + "}", key_of("a"), "alice")},
      {"the empty array", "*0\r\n"},
      {"garbage", "hello\r\n"},
  };
  for (const Row& row : rows) {
    FakeRedis server(answering_get([&](const Words&) { return row.reply; }));
    RedisProcess process(server.port());
    ASSERT_TRUE(eventually([&] { return process.hears(); })) << row.what;
    ASSERT_TRUE(process.find("a")) << row.what;
    const int connections = server.connections();
    const auto found = process.seek("a");
    ASSERT_FALSE(found) << row.what;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << row.what << ": " << found.error().detail;
    EXPECT_TRUE(eventually([&] { return server.connections() > connections; })) << row.what << ": it connects anew";
    process.end();
  }
}

TEST(RedisClient, N06_N07_WhatIsOffAboutOneRecordOrGetIsUnavailable) {
  const std::vector<std::string> replies{
      "-LOADING Redis is loading\r\n",    "-WRONGTYPE Operation\r\n", "-NOPERM no\r\n", "-MOVED 1 127.0.0.1:1\r\n", bulk(""), bulk("alice"),
      bulk(session_text(key_of("a"), ""))};
  for (const std::string& reply : replies) {
    FakeRedis server(answering_get([&](const Words&) { return reply; }));
    RedisProcess process(server.port());
    ASSERT_TRUE(process.find("a")) << reply;
    const auto found = process.seek("a");
    ASSERT_FALSE(found) << reply;
    EXPECT_EQ(found.error().fault, Fault::unavailable) << reply;
    process.end();
  }
}

TEST(RedisClient, N03_WhoSeeksInVainIsToldWithinTheCommandTimeout) {
  FakeRedis server(answering_get([](const Words&) { return std::string(); }));
  constexpr auto kTimeout = 1s;  // a busy machine must not take the connection for one that hangs before it is asked
  RedisProcess process(server.port(), kTimeout);
  ASSERT_TRUE(process.find("a"));
  // Tracking is on: what is said of it is no answer to the GET, to which this server says nothing.
  ASSERT_TRUE(eventually([&] { return process.hears(); }));
  const auto began = std::chrono::steady_clock::now();
  const auto found = process.seek("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::timed_out) << found.error().detail;
  EXPECT_GE(std::chrono::steady_clock::now() - began, kTimeout);
  process.end();
}

TEST(Backoff, GrowsToHalfASecondAndIsJittered) {
  Backoff backoff;
  std::chrono::milliseconds bound = Backoff::kFirst;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, bound / 2) << attempt;
    EXPECT_LE(wait, bound) << attempt;
    bound = std::min(bound * 2, Backoff::kMost);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), Backoff::kFirst);
  std::set<std::chrono::milliseconds> waits;
  for (int attempt = 0; attempt < 100; ++attempt) waits.insert(backoff.next());
  EXPECT_GT(waits.size(), 10U) << "no two gateways come back in step";
}

}  // namespace
}  // namespace sallyport::store
