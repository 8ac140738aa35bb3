#include "store/redis_connection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <new>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include "support/fake_redis.hpp"
#include "support/test_certificates.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::array;
using test::bulk;
using test::FakeRedis;
using test::Words;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The loop of a worker; a test runs it as long as it needs to.
class RedisConnectionTest : public ::testing::Test {
 protected:
  ~RedisConnectionTest() override { wheel_.stop(); }

  void finish() {
    if (connection_) connection_->close(Fault::closed, "the test ends");
    run_until([this] { return tasks_.size() == 0; });
  }
  // Ends when the connection to it has ended, so that none of its threads waits for more.
  class Server final : public FakeRedis {
   public:
    Server(RedisConnectionTest& test, Answer answer) : FakeRedis(std::move(answer)), test_(test) {}
    ~Server() { test_.finish(); }

   private:
    RedisConnectionTest& test_;
  };

  template <class Condition>
  bool run_until(Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > patience) return false;
      context_.run_one_for(100ms);
      if (context_.stopped()) context_.restart();
    }
    return true;
  }
  template <class T>
  T wait(Task<T> task) {
    auto future = boost::asio::co_spawn(context_.get_executor(), std::move(task), boost::asio::use_future);
    EXPECT_TRUE(run_until([&] { return future.wait_for(0s) == std::future_status::ready; })) << "nothing happens any more";
    return future.get();
  }

  Result<void> dial(std::uint16_t port, std::chrono::milliseconds command_timeout = 5s) {
    settings_.host = "127.0.0.1";
    settings_.port = port;
    settings_.command_timeout = command_timeout;
    RedisDialer dialer(settings_, nullptr, context_, wheel_);
    auto dialed = wait(dialer.dial("test", tasks_));
    if (!dialed) return dialed.error();
    connection_ = *dialed;
    return {};
  }
  Result<RedisReply> reply(std::shared_ptr<PendingReply> pending) {
    return wait(RedisConnection::reply_to(connection_, std::move(pending)));
  }
  Result<RedisReply> ask(std::initializer_list<std::string_view> words) { return reply(connection_->send(words)); }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_};
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << what; }};
  RedisSettings settings_;
  std::shared_ptr<RedisConnection> connection_;
};

std::optional<FakeRedis::Reply> healthy() { return std::nullopt; }

// Echoes what ECHO says; the rest as a healthy server.
std::optional<FakeRedis::Reply> echo(const Words& words) {
  if (words[0] == "ECHO") return FakeRedis::Reply{bulk(words.at(1))};
  return healthy();
}

// The same, but not before `release`.
FakeRedis::Answer echo_after(std::promise<void>& release) {
  return [released = release.get_future().share()](const Words& words, int) {
    if (words[0] == "ECHO") released.wait();
    return echo(words);
  };
}

TEST_F(RedisConnectionTest, IntroducesItself) {
  test::TemporaryFolder folder;
  settings_.username = "gateway";
  settings_.password_file = folder.write("password", "pa\r\nss\n");
  settings_.database = 3;
  Server server(*this, [](const Words&, int) { return healthy(); });
  ASSERT_TRUE(dial(server.port()));
  EXPECT_THAT(server.heard(),
              ::testing::ElementsAre(Words{"AUTH", "gateway", "pa\r\nss"}, Words{"SELECT", "3"}, Words{"CLIENT", "SETNAME", "test"}));
}

TEST_F(RedisConnectionTest, SaysNothingThatIsNotNeeded) {
  Server server(*this, [](const Words&, int) { return healthy(); });
  ASSERT_TRUE(dial(server.port()));
  EXPECT_THAT(server.heard(), ::testing::ElementsAre(Words{"CLIENT", "SETNAME", "test"}));
}

TEST_F(RedisConnectionTest, N14_ReadsThePasswordAgainEachTime) {
  test::TemporaryFolder folder;
  settings_.password_file = folder.write("password", "first");
  Server server(*this, [](const Words&, int) { return healthy(); });
  ASSERT_TRUE(dial(server.port()));
  connection_->close(Fault::closed, "again");
  folder.write("password", "second");
  ASSERT_TRUE(dial(server.port()));
  EXPECT_THAT(server.heard(), ::testing::IsSupersetOf({Words{"AUTH", "first"}, Words{"AUTH", "second"}}));
}

TEST_F(RedisConnectionTest, N14_ARefusedPasswordIsToldWithoutThePassword) {
  test::TemporaryFolder folder;
  settings_.password_file = folder.write("password", "correct horse");
  const std::vector<std::string> refusals{"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
                                          "-ERR unknown command `AUTH`, with args beginning with: `correct horse` \r\n"};
  for (const std::string& refusal : refusals) {
    Server server(*this,
                  [&](const Words& words, int) { return words[0] == "AUTH" ? std::optional(FakeRedis::Reply{refusal}) : healthy(); });
    const Result<void> dialed = dial(server.port());
    ASSERT_FALSE(dialed) << refusal;
    EXPECT_EQ(dialed.error().fault, Fault::unavailable);
    EXPECT_THAT(dialed.error().detail, ::testing::Not(HasSubstr("horse")));
  }
}

TEST_F(RedisConnectionTest, AMissingPasswordFileIsNamed) {
  settings_.password_file = "/nowhere/password";
  Server server(*this, [](const Words&, int) { return healthy(); });
  const Result<void> dialed = dial(server.port());
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().fault, Fault::unavailable);
  EXPECT_THAT(dialed.error().detail, HasSubstr("password_file"));
}

TEST_F(RedisConnectionTest, N01_NobodyListens) {
  testing::ClosedPort port;
  const Result<void> dialed = dial(port.port());
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().fault, Fault::unavailable);
}

TEST_F(RedisConnectionTest, N17_LooksTheNameUp) {
  Server server(*this, [](const Words& words, int) { return echo(words); });
  settings_.port = server.port();
  settings_.host = "localhost";
  settings_.command_timeout = 5s;
  RedisDialer dialer(settings_, nullptr, context_, wheel_);
  auto dialed = wait(dialer.dial("test", tasks_));
  ASSERT_TRUE(dialed) << dialed.error().detail;
  connection_ = *dialed;
  EXPECT_EQ(ask({"ECHO", "a"})->text, "a");
}

TEST_F(RedisConnectionTest, RepliesBelongToCommandsInTheirOrder) {
  Server server(*this, [](const Words& words, int) { return echo(words); });
  ASSERT_TRUE(dial(server.port()));
  std::vector<std::shared_ptr<PendingReply>> pending;
  for (int i = 0; i < 500; ++i) pending.push_back(connection_->send({"ECHO", std::to_string(i)}));
  for (int i = 499; i >= 0; --i) EXPECT_EQ(reply(pending[static_cast<std::size_t>(i)])->text, std::to_string(i));
}

TEST_F(RedisConnectionTest, CommandsOfOneTurnGoOutInOneWrite) {
  Server server(*this, [](const Words& words, int) { return echo(words); });
  ASSERT_TRUE(dial(server.port()));
  const std::uint64_t before = connection_->writes();
  std::vector<std::shared_ptr<PendingReply>> pending;
  for (int i = 0; i < 100; ++i) pending.push_back(connection_->send({"ECHO", "x"}));
  for (auto& one : pending) ASSERT_TRUE(reply(one));
  EXPECT_EQ(connection_->writes() - before, 1U);
}

TEST_F(RedisConnectionTest, N09_WhoGivesUpLeavesTheirPlaceInTheQueue) {
  // CVE-2023-28858: the reply to a command that nobody waits for any more must not go to the next one.
  Server server(*this, [](const Words& words, int) { return echo(words); });
  ASSERT_TRUE(dial(server.port()));
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::string, std::shared_ptr<PendingReply>>> pending;
    for (int i = 0; i < 10; ++i) {
      std::string secret = std::to_string(round) + "-" + std::to_string(i);
      auto one = connection_->send({"ECHO", secret});
      if ((round + i) % 2 == 0) pending.emplace_back(std::move(secret), std::move(one));  // every other one gives up at once
    }
    for (auto& [secret, one] : pending) ASSERT_EQ(reply(one)->text, secret);
  }
}

TEST_F(RedisConnectionTest, N09_ALateReplyGoesToNobody) {
  std::promise<void> release;
  auto released = release.get_future().share();
  Server server(*this, [&](const Words& words, int) {
    if (words.size() > 1 && words[1] == "slow") released.wait();
    return echo(words);
  });
  ASSERT_TRUE(dial(server.port(), 300ms));
  const auto slow = ask({"ECHO", "slow"});
  ASSERT_FALSE(slow);
  EXPECT_EQ(slow.error().fault, Fault::timed_out);
  EXPECT_TRUE(connection_->is_overdue());
  EXPECT_EQ(connection_->send({"ECHO", "next"}), nullptr) << "while the oldest is overdue nothing is sent";
  release.set_value();
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  ASSERT_TRUE(connection_->is_open());
  EXPECT_EQ(ask({"ECHO", "next"})->text, "next");
}

TEST_F(RedisConnectionTest, N03_AServerThatHangsIsGivenUp) {
  std::promise<void> release;
  auto released = release.get_future().share();
  Server server(*this, [&](const Words& words, int) {
    if (words[0] == "ECHO") released.wait();
    return echo(words);
  });
  ASSERT_TRUE(dial(server.port(), 100ms));
  const auto start = std::chrono::steady_clock::now();
  const auto reply = ask({"ECHO", "a"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().fault, Fault::timed_out);
  EXPECT_TRUE(run_until([&] { return !connection_->is_open(); }));
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, 200ms);
  EXPECT_EQ(connection_->failure().fault, Fault::timed_out);
  release.set_value();
}

TEST_F(RedisConnectionTest, N03_AnIdleConnectionIsAskedForASignOfLife) {
  std::atomic<bool> silent = false;
  Server server(*this,
                [&](const Words& words, int) { return silent && words[0] == "PING" ? std::optional(FakeRedis::Reply{}) : echo(words); });
  ASSERT_TRUE(dial(server.port(), 100ms));
  const MonotonicTime first = connection_->heard_at();
  EXPECT_TRUE(run_until([&] { return connection_->heard_at() > first; })) << "nobody asked anything but the connection itself";
  silent = true;
  EXPECT_TRUE(run_until([&] { return !connection_->is_open(); }));
}

TEST_F(RedisConnectionTest, N04_TooManyCommandsAreRefusedAtOnce) {
  std::promise<void> release;
  Server server(*this, echo_after(release));
  ASSERT_TRUE(dial(server.port()));
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  std::vector<std::shared_ptr<PendingReply>> pending;
  for (std::size_t i = 0; i < RedisConnection::kInFlightMax; ++i) {
    pending.push_back(connection_->send({"ECHO", std::to_string(i)}));
    ASSERT_NE(pending.back(), nullptr) << i;
  }
  const auto refused = ask({"ECHO", "one more"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_THAT(refused.error().detail, HasSubstr("too many"));
  release.set_value();
  for (std::size_t i = 0; i < pending.size(); ++i) EXPECT_EQ(reply(pending[i])->text, std::to_string(i));
  EXPECT_EQ(ask({"ECHO", "again"})->text, "again");
}

TEST_F(RedisConnectionTest, N04_OfSeveralCommandsAllAreTakenOrNone) {
  struct Counter final : ReplyHearer {
    void replied(Result<RedisReply> reply) override { texts.push_back(reply ? reply->text : "none"); }
    std::vector<std::string> texts;
  };
  std::promise<void> release;
  Server server(*this, echo_after(release));
  ASSERT_TRUE(dial(server.port()));
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  const std::array<std::string_view, 2> one{"ECHO", "one"};
  const std::array<std::string_view, 2> two{"ECHO", "two"};
  const auto both = std::make_shared<Counter>();
  EXPECT_TRUE(connection_->send({one, two}, both, std::chrono::steady_clock::now()));
  while (connection_->in_flight() < RedisConnection::kInFlightMax - 1) ASSERT_NE(connection_->send({"ECHO", "filler"}), nullptr);
  const auto refused = std::make_shared<Counter>();
  EXPECT_FALSE(connection_->send({one, two}, refused, std::chrono::steady_clock::now()));
  EXPECT_EQ(connection_->in_flight(), RedisConnection::kInFlightMax - 1);
  const auto last = std::make_shared<Counter>();
  EXPECT_TRUE(connection_->send({two}, last, std::chrono::steady_clock::now())) << "one still fits";
  release.set_value();
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  EXPECT_THAT(both->texts, ElementsAre("one", "two"));
  EXPECT_THAT(refused->texts, IsEmpty());
  EXPECT_THAT(last->texts, ElementsAre("two"));
}

TEST_F(RedisConnectionTest, WhoFindsNoMemoryLeavesNoTrace) {
  struct Hearer final : ReplyHearer {
    void replied(Result<RedisReply>) override { ADD_FAILURE() << "it was not sent"; }
  };
  Server server(*this, [](const Words& words, int) { return echo(words); });
  ASSERT_TRUE(dial(server.port()));
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  const std::array<std::string_view, 2> fits{"ECHO", "fits"};
  const std::string small = "nobody reads further";
  const std::array<std::string_view, 2> beyond{"ECHO", std::string_view(small.data(), std::numeric_limits<std::size_t>::max() / 2)};
  EXPECT_THROW((void)connection_->send({fits, beyond}, std::make_shared<Hearer>(), std::chrono::steady_clock::now()), std::bad_alloc);
  EXPECT_EQ(connection_->in_flight(), 0U);
  EXPECT_THROW(connection_->send_unanswered({"ECHO", beyond[1]}), std::bad_alloc);
  EXPECT_EQ(ask({"ECHO", "mine"})->text, "mine");
  EXPECT_EQ(ask({"ECHO", "mine, too"})->text, "mine, too");
}

TEST_F(RedisConnectionTest, EndsWhenItCannotGoOnReading) {
  struct Failing final : ReplyHearer {
    void replied(Result<RedisReply>) override { throw std::bad_alloc(); }
  };
  Server server(*this, [](const Words& words, int) { return echo(words); });
  ASSERT_TRUE(dial(server.port()));
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  const std::array<std::string_view, 2> first{"ECHO", "first"};
  ASSERT_TRUE(connection_->send({first}, std::make_shared<Failing>(), std::chrono::steady_clock::now()));
  const auto next = ask({"ECHO", "next"});
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().fault, Fault::broken);
  EXPECT_THAT(next.error().detail, HasSubstr("bad_alloc"));
  EXPECT_FALSE(connection_->is_open());
}

TEST_F(RedisConnectionTest, N07_WhatIsNoReplyEndsTheConnection) {
  struct Row {
    const char* what;
    FakeRedis::Reply reply;
  };
  const std::vector<Row> rows{
      {"garbage", {"hello\r\n"}},
      {"an overflowing number", {":99999999999999999999\r\n"}},
      {"a count over 32 bits", {"*4294967297\r\n"}},
      {"a huge length", {"$536870913\r\n"}},
      {"a negative length", {"$-2\r\n"}},
      {"half a reply, then the end", {"$100\r\nhalf", true}},
      {"the end", {"", true}},
      {"one reply too many", {"+OK\r\n+OK\r\n+OK\r\n"}},
  };
  for (const Row& row : rows) {
    Server server(*this, [&](const Words& words, int) { return words[0] == "ECHO" ? std::optional(row.reply) : echo(words); });
    ASSERT_TRUE(dial(server.port())) << row.what;
    ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
    const auto reply = ask({"ECHO", "a"});
    EXPECT_TRUE(run_until([&] { return !connection_->is_open(); })) << row.what;
    if (row.reply.bytes.starts_with("+OK")) continue;  // the first one was an answer
    ASSERT_FALSE(reply) << row.what;
    EXPECT_EQ(reply.error().fault, Fault::broken) << row.what << ": it may have been executed";
    EXPECT_EQ(connection_->send({"ECHO", "b"}), nullptr) << row.what;
  }
}

TEST_F(RedisConnectionTest, N02_EverybodyHearsOfTheEnd) {
  Server server(*this, [](const Words& words, int) {
    return words.size() > 1 && words[1] == "last" ? std::optional(FakeRedis::Reply{"", true}) : std::optional(FakeRedis::Reply{"+OK\r\n"});
  });
  ASSERT_TRUE(dial(server.port()));
  std::vector<std::shared_ptr<PendingReply>> pending;
  for (int i = 0; i < 10; ++i) pending.push_back(connection_->send({"ECHO", i == 3 ? "last" : "more"}));
  for (std::size_t i = 0; i < 10; ++i) {
    const auto outcome = reply(pending[i]);
    EXPECT_EQ(outcome.has_value(), i < 3) << i;
    if (!outcome) {
      EXPECT_EQ(outcome.error().fault, Fault::broken);
    }
  }
  const auto later = ask({"ECHO", "later"});
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().fault, Fault::unavailable) << "it was not sent";
}

TEST_F(RedisConnectionTest, PushesGoToWhoListensAndOnlyBetweenReplies) {
  Server server(*this, [](const Words& words, int) {
    if (words[0] == "SUBSCRIBE")
      return std::optional(FakeRedis::Reply{"+OK\r\n" + array({bulk("message"), bulk("c"), bulk("1")}) + "+2\r\n"});
    return echo(words);
  });
  ASSERT_TRUE(dial(server.port()));
  ASSERT_TRUE(run_until([&] { return connection_->in_flight() == 0; }));
  std::vector<RedisReply> pushes;
  connection_->on_push([&](RedisReply push) { pushes.push_back(std::move(push)); });
  EXPECT_TRUE(ask({"SUBSCRIBE", "c"})->is_ok());
  ASSERT_TRUE(run_until([&] { return pushes.size() == 2; }));
  EXPECT_EQ(pushes[0].elements.at(2).text, "1");
  EXPECT_EQ(pushes[1].text, "2");
}

TEST(RedisErrors, N06_EachIsUnavailableAndSaysWhy) {
  struct Row {
    const char* text;
    const char* said;
    bool reconnect;
  };
  const std::vector<Row> rows{
      {"NOAUTH Authentication required.", "password_file", true},
      {"WRONGPASS invalid username-password pair", "refuses the username or password", true},
      {"NOPERM User x has no permissions to run the 'evalsha' command", "lacks a right", false},
      {"LOADING Redis is loading the dataset in memory", "loading", false},
      {"BUSY Redis is busy running a script.", "script runs too long", false},
      {"OOM command not allowed when used memory > 'maxmemory'.", "memory is full", false},
      {"READONLY You can't write against a read only replica.", "replica", true},
      {"MOVED 3999 127.0.0.1:6381", "another node", true},
      {"ASK 3999 127.0.0.1:6381", "another node", true},
      {"TRYAGAIN Multiple keys request during rehashing of slot", "moves the key", false},
      {"CLUSTERDOWN The cluster is down", "cluster is down", false},
      {"MASTERDOWN Link with MASTER is down", "lost its master", true},
      {"MISCONF Redis is configured to save RDB snapshots", "disk", false},
      {"NOREPLICAS Not enough good replicas to write.", "replicas", false},
      {"WRONGTYPE Operation against a key holding the wrong kind of value", "something else", false},
      {"NOSCRIPT No matching script.", "scripts", false},
      {"ERR whatever", "ERR whatever", false},
      {"", "redis: ", false},
  };
  for (const Row& row : rows) {
    const RedisErrorMeaning meaning = meaning_of_error(row.text);
    EXPECT_EQ(meaning.error.fault, Fault::unavailable) << row.text;
    EXPECT_THAT(meaning.error.detail, HasSubstr(row.said)) << row.text;
    EXPECT_EQ(meaning.reconnect, row.reconnect) << row.text;
  }
}

TEST(RedisErrors, ShowNothingUnprintableAndNotMuch) {
  const RedisErrorMeaning meaning = meaning_of_error("ERR a\x1b[31m\n" + std::string(10'000, 'x'));
  EXPECT_LT(meaning.error.detail.size(), 300U);
  EXPECT_THAT(meaning.error.detail, ::testing::Not(HasSubstr("\x1b")));
  EXPECT_THAT(meaning_of_error("ERR unknown command `X`, with args beginning with: `secret`").error.detail,
              ::testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace sallyport::store
