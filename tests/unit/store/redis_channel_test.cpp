// What the Redis store does when its server, its connections or its rights go away and come back (hazards N01-N05, N12-N14).
#include "store/redis_channel.hpp"

#include <atomic>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "redis_process.hpp"
#include "support/fake_redis.hpp"
#include "support/redis_server.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::RedisServer;
using test::RedisTalk;
using ::testing::HasSubstr;
using ::testing::Not;
using SteadyTime = std::chrono::steady_clock;

// What is promised in time is promised to a gateway that has a processor. This thread wants it once in a millisecond, and adds up how long
// it did not get it: on a quiet machine next to nothing.
class Starvation {
 public:
  Starvation() : thread_([this] { watch(); }) {}
  ~Starvation() {
    ended_ = true;
    thread_.join();
  }
  [[nodiscard]] std::chrono::nanoseconds so_far() const { return std::chrono::nanoseconds(lost_); }

 private:
  void watch() {
    constexpr auto kTurn = 1ms;
    constexpr auto kUsual = 2ms;
    while (!ended_) {
      const auto start = SteadyTime::now();
      std::this_thread::sleep_for(kTurn);
      const std::chrono::nanoseconds took = SteadyTime::now() - start;
      if (took > kUsual) lost_ += took.count();
    }
  }
  std::atomic<std::int64_t> lost_ = 0;
  std::atomic<bool> ended_ = false;
  std::thread thread_;
};

// Sanitizers make everything slow, and an unoptimised one with them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSlowness = 8;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr int kSlowness = 8;
#else
constexpr int kSlowness = 1;
#endif
#else
constexpr int kSlowness = 1;
#endif
constexpr auto kRecovery = 1s * kSlowness;
constexpr auto kGrace = 100ms * kSlowness;

class RedisFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::redis_server_program().empty()) GTEST_SKIP() << "no redis-server on this machine: the Redis store is not tested";
    server_ = std::make_unique<RedisServer>();
  }
  void open(std::size_t workers = 2, std::chrono::milliseconds command_timeout = 250ms) {
    auto wish = RedisProcess::wish(server_->port(), command_timeout);
    wish.workers = workers;
    open(wish);
    ASSERT_TRUE(eventually([this] { return process_->hears(); })) << process_->trouble();
  }
  void open(const RedisProcess::Wish& wish) { process_ = std::make_unique<RedisProcess>(wish); }
  // How long the work takes, but for the time that the machine did not give us. Several threads of ours wait for each other in turn.
  std::chrono::milliseconds took(const std::function<void()>& work) const {
    constexpr int kThreadsInTurn = 4;
    const auto lost = starvation_.so_far();
    const auto start = SteadyTime::now();
    work();
    const std::chrono::nanoseconds net = SteadyTime::now() - start - kThreadsInTurn * (starvation_.so_far() - lost);
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(net), 0ms);
  }
  // How long it takes until it is so.
  std::chrono::milliseconds takes(const std::function<bool()>& so) const {
    return took([&] { EXPECT_TRUE(eventually(so, 20s)); });
  }
  [[nodiscard]] bool finds(std::string_view id) {
    const auto found = process_->find(id);
    return found && found->has_value();
  }

  Starvation starvation_;
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<RedisProcess> process_;
};

TEST_F(RedisFaults, N01_AServerThatIsAwayIsNoReasonNotToStart) {
  server_->stop();
  open(RedisProcess::wish(server_->port(), 250ms));
  const auto found = process_->find("a");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unavailable);
  EXPECT_FALSE(process_->hears());
  EXPECT_NE(process_->trouble(), "");
  EXPECT_TRUE(eventually([&] { return process_->log().find("store_unreachable") != std::string::npos; }));
  EXPECT_FALSE(process_->revocations().is_complete()) << "nobody can say who was revoked";
  server_->start();
  EXPECT_LT(takes([&] { return process_->hears() && process_->trouble().empty(); }), kRecovery);
  EXPECT_TRUE(process_->revocations().is_complete());
  server_->stop();
  EXPECT_TRUE(eventually([&] { return !process_->hears(); }));
  EXPECT_TRUE(process_->revocations().is_complete()) << "what was heard is not forgotten";
  server_->start();
  EXPECT_TRUE(eventually([&] { return process_->hears(); }));
  EXPECT_TRUE(process_->create("a", "alice"));
}

TEST_F(RedisFaults, N02_WhenItIsKilledNobodyIsAnswered) {
  open();
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  server_->kill();
  for (int i = 0; i < 20; ++i) {
    Result<std::optional<Session>> found = std::optional<Session>();
    EXPECT_LT(took([&] { found = process_->find("a"); }), 250ms + kGrace);
    ASSERT_FALSE(found) << "a session that cannot be asked for is not over";
    EXPECT_EQ(found.error().fault, Fault::unavailable);
  }
  EXPECT_LT(takes([&] { return !process_->hears(); }), kFreshness + kGrace);
  EXPECT_LT(takes([&] { return !process_->trouble().empty(); }), kFreshness + kGrace);
}

TEST_F(RedisFaults, N05_ItIsBackWithinASecondAndEverythingIsForgotten) {
  open();
  process_->worker(0).listener_.forget();
  process_->worker(1).listener_.forget();
  server_->kill();
  ASSERT_TRUE(eventually([&] { return !process_->hears() && !process_->find("a"); }));
  server_->start();
  EXPECT_LT(takes([&] { return process_->find("a").has_value(); }), kRecovery);
  EXPECT_LT(takes([&] { return process_->hears(); }), kRecovery);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_GE(process_->worker(i).listener_.everything(), 1U) << "before anything is remembered again";
  EXPECT_EQ(process_->trouble(), "");
}

TEST_F(RedisFaults, N05_WithoutTroubleEveryWorkerCanAsk) {
  open(4);
  for (int round = 0; round < 5; ++round) {
    server_->kill();
    ASSERT_TRUE(eventually([&] { return !process_->trouble().empty(); }));
    server_->start();
    ASSERT_TRUE(eventually([&] { return process_->trouble().empty(); }));
    for (std::size_t i = 0; i < 4; ++i) {
      const auto found = process_->worker(i).begin([](Store& store) { return store.find_session(key_of("a")); }).get();
      EXPECT_TRUE(found) << "worker " << i << ": " << found.error().detail;
    }
  }
}

TEST_F(RedisFaults, N05_ThereAreNeverMoreConnectionsThanWorkersAndOne) {
  open(4);
  EXPECT_EQ(server_->connections(), 5);
  for (int round = 0; round < 3; ++round) {
    server_->kill();
    ASSERT_TRUE(eventually([&] { return !process_->hears(); }));
    server_->start();
    ASSERT_TRUE(eventually([&] {
      EXPECT_LE(server_->connections(), 5);
      return process_->hears();
    }));
    EXPECT_EQ(server_->connections(), 5);
  }
  process_->end();
  EXPECT_TRUE(eventually([&] { return server_->connections() == 0; }));
}

TEST_F(RedisFaults, N03_WhenItHangsNothingIsHeardAfterASecondAndCallersDoNotWait) {
  open();
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  server_->freeze();
  const auto frozen = SteadyTime::now();
  auto call = process_->worker().begin([](Store& store) { return store.find_session(key_of("a")); });
  EXPECT_LT(takes([&] { return !process_->hears(); }), kFreshness + kGrace) << "nothing remembered is believed any more";
  const auto found = call.get();
  ASSERT_FALSE(found);
  EXPECT_TRUE(found.error().fault == Fault::timed_out || found.error().fault == Fault::unavailable);
  EXPECT_LT(takes([&] { return !process_->trouble().empty(); }), kFreshness + kGrace);
  // By now it is known to hang: nobody waits for it.
  std::this_thread::sleep_until(frozen + 1200ms);
  for (int i = 0; i < 10; ++i) {
    EXPECT_LT(took([&] { EXPECT_FALSE(process_->find("a")); }), 100ms + kGrace);
  }
  process_->worker(0).listener_.forget();
  server_->thaw();
  EXPECT_LT(takes([&] { return finds("a"); }), kRecovery);
  EXPECT_LT(takes([&] { return process_->hears(); }), kRecovery);
  EXPECT_GE(process_->worker(0).listener_.everything(), 1U);
  EXPECT_TRUE(eventually([&] { return server_->connections() == 3; }));
}

TEST_F(RedisFaults, N03_AShortPauseCostsNoConnection) {
  open(2, 2s);
  const std::string clients = server_->say({"INFO", "stats"});
  server_->freeze();
  std::this_thread::sleep_for(300ms);
  server_->thaw();
  EXPECT_TRUE(eventually([&] { return process_->hears(); }));
  EXPECT_THAT(process_->log(), Not(HasSubstr("store_unreachable")));
}

TEST_F(RedisFaults, N16_AScriptThatRunsForASecondHoldsNobodyLonger) {
  open();
  ASSERT_TRUE(process_->create("a", "alice"));
  std::thread admin([&] {
    server_->say(
        {"EVAL",
         "local t = redis.call('TIME') local e = t[1] * 1000000 + t[2] + 1000000 repeat t = redis.call('TIME') until t[1] * 1000000 + "
         "t[2] > e return 1",
         "0"});
  });
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(took([&] { EXPECT_FALSE(process_->find("a")); }), 500ms + kGrace);
  admin.join();
  EXPECT_LT(takes([&] { return finds("a"); }), kRecovery);
}

TEST_F(RedisFaults, ACutChannelIsHeardOfAndMended) {
  open();
  for (std::size_t i = 0; i < 2; ++i) process_->worker(i).listener_.forget();
  server_->say({"CLIENT", "KILL", "TYPE", "pubsub"});
  EXPECT_LT(takes([&] { return process_->worker(0).listener_.everything() > 0 && process_->worker(1).listener_.everything() > 0; }),
            kRecovery);
  EXPECT_TRUE(eventually([&] { return process_->hears(); }));
  // And it hears again.
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  server_->say({"DEL", "sallyport:session:{" + handle_of(key_of("a")) + "}"});
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.heard_of(key_of("a")); }));
}

TEST_F(RedisFaults, WhatWasReadThroughALostConnectionIsForgotten) {
  open();
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  process_->worker().listener_.forget();
  server_->say({"CLIENT", "KILL", "TYPE", "normal"});
  EXPECT_LT(takes([&] { return process_->worker(0).listener_.everything() > 0; }), kRecovery);
  EXPECT_TRUE(eventually([&] { return process_->hears(); }));
  ASSERT_TRUE(finds("a"));
  server_->say({"DEL", "sallyport:session:{" + handle_of(key_of("a")) + "}"});
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.heard_of(key_of("a")); }));
}

TEST_F(RedisFaults, ARevocationMadeWhileTheChannelWasCutIsReplayed) {
  open();
  const std::string now = std::to_string(unix_milliseconds(std::chrono::system_clock::now()));
  const std::string record = R"({"kind":"subject","value":"alice","before":)" + now + R"(,"at":)" + now + R"(,"keep":3600000})";
  RedisTalk talk(server_->port());
  talk.say({"MULTI"});
  talk.say({"CLIENT", "KILL", "TYPE", "pubsub"});
  talk.say({"XADD", "sallyport:revocations", "*", "r", record});  // and nobody is told
  talk.say({"EXEC"});
  EXPECT_LT(takes([&] { return process_->revocations().revokes({.subject = "alice"}, std::chrono::system_clock::now()); }), kRecovery);
}

TEST_F(RedisFaults, EveryPageOfTheStreamIsReplayedAndRubbishIsSkipped) {
  const std::string now = std::to_string(unix_milliseconds(std::chrono::system_clock::now()));
  RedisTalk talk(server_->port());
  for (int i = 0; i < 1000; ++i) {
    const std::string record =
        R"({"kind":"token_id","value":"jti)" + std::to_string(i) + R"(","before":)" + now + R"(,"at":)" + now + R"(,"keep":3600000})";
    talk.say({"XADD", "sallyport:revocations", "*", "r", i % 100 == 50 ? "rubbish" : record});
  }
  talk.say({"XADD", "sallyport:revocations", "*", "other", "field"});
  open();
  const auto wall_now = std::chrono::system_clock::now();
  EXPECT_EQ(process_->revocations().size(), 990U);
  for (const int i : {0, 127, 128, 129, 511, 999}) {
    EXPECT_TRUE(process_->revocations().revokes({.token_id = "jti" + std::to_string(i)}, wall_now)) << i;
  }
  EXPECT_TRUE(eventually([&] { return process_->log().find("revocation_unreadable") != std::string::npos; }));
}

TEST_F(RedisFaults, ARevocationThatNoLongerMattersIsNotReplayed) {
  const std::int64_t now = unix_milliseconds(std::chrono::system_clock::now());
  const auto record = [&](std::string_view value, std::int64_t at) {
    return R"({"kind":"token_id","value":")" + std::string(value) + R"(","before":)" + std::to_string(at) + R"(,"at":)" +
           std::to_string(at) + R"(,"keep":3600000})";
  };
  server_->say({"XADD", "sallyport:revocations", "*", "r", record("old", now - 3'700'000)});
  server_->say({"XADD", "sallyport:revocations", "*", "r", record("young", now - 3'500'000)});
  open();
  EXPECT_EQ(process_->revocations().size(), 1U);
  EXPECT_TRUE(process_->revocations().revokes({.token_id = "young"}, std::chrono::system_clock::now()));
}

TEST_F(RedisFaults, MoreRevocationsThanTheListHoldsAreSaid) {
  RedisProcess other(server_->port());
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(other.revoke({Revocation::Kind::token_id, "jti" + std::to_string(i), {}, 1h}));
  auto wish = RedisProcess::wish(server_->port(), 5s);
  wish.revocations_max = 10;
  open(wish);
  EXPECT_TRUE(eventually([&] { return process_->trouble().find("more revocations than the list holds") != std::string::npos; }));
  EXPECT_FALSE(process_->revocations().is_complete());
}

TEST_F(RedisFaults, N12_EvictionIsWarnedOfOnce) {
  server_->say({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  open();
  EXPECT_TRUE(eventually([&] { return process_->log().find("store_evicts") != std::string::npos; }));
  server_->say({"CLIENT", "KILL", "TYPE", "pubsub"});
  ASSERT_TRUE(eventually([&] { return process_->worker().listener_.everything() > 1; }));
  EXPECT_TRUE(eventually([&] { return process_->hears(); }));
  const std::string log = process_->log();
  EXPECT_EQ(log.find("store_evicts"), log.rfind("store_evicts"));
}

TEST_F(RedisFaults, N12_ASoundConfigurationIsNotWarnedOf) {
  open();
  EXPECT_TRUE(eventually([&] { return process_->log().find("store_connected") != std::string::npos; }));
  for (const char* warning : {"store_evicts", "store_is_old", "store_without_password", "warning"})
    EXPECT_THAT(process_->log(), Not(HasSubstr(warning)));
}

TEST_F(RedisFaults, N12_EvictedSessionsAreALogout) {
  open();
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  server_->say({"DEL", "sallyport:session:{" + handle_of(key_of("a")) + "}"});  // as an eviction does
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.heard_of(key_of("a")); }));
  const auto found = process_->find("a");
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->has_value());
}

TEST_F(RedisFaults, N14_RightsAndPasswordsMayChange) {
  test::TemporaryFolder folder;
  server_->say({"ACL", "SETUSER", "gateway", "on", ">first", "~*", "&*", "+@all"});
  auto wish = RedisProcess::wish(server_->port(), 250ms);
  wish.redis.username = "gateway";
  wish.redis.password_file = folder.write("password", "first\n");
  open(wish);
  ASSERT_TRUE(eventually([&] { return process_->hears(); })) << process_->trouble();
  ASSERT_TRUE(process_->create("a", "alice"));

  server_->say({"ACL", "SETUSER", "gateway", "-@scripting"});
  const auto refused = process_->find("a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_THAT(refused.error().detail, HasSubstr("lacks a right"));
  server_->say({"ACL", "SETUSER", "gateway", "+@scripting"});
  EXPECT_TRUE(eventually([&] { return finds("a"); }));

  server_->say({"ACL", "SETUSER", "gateway", "resetpass", ">second"});
  server_->say({"CLIENT", "KILL", "USER", "gateway"});
  EXPECT_TRUE(eventually([&] { return process_->trouble().find("refuses the username or password") != std::string::npos; }));
  EXPECT_FALSE(process_->find("a"));
  folder.write("password", "second");
  EXPECT_LT(takes([&] { return finds("a") && process_->hears(); }), kRecovery);
  EXPECT_EQ(process_->trouble(), "");
  for (const char* secret : {"first", "second"}) EXPECT_THAT(process_->log(), Not(HasSubstr(secret)));
}

TEST_F(RedisFaults, N14_AServerThatWantsAPasswordIsToldOf) {
  server_->say({"CONFIG", "SET", "requirepass", "hunter2"});
  open(RedisProcess::wish(server_->port(), 250ms));
  EXPECT_TRUE(eventually([&] { return process_->trouble().find("set password_file") != std::string::npos; })) << process_->trouble();
  EXPECT_FALSE(process_->find("a"));
}

TEST(RedisChannel, WarnsWhenWhoeverReachesItCanMakeSessions) {
  auto wish = RedisProcess::wish(1, 250ms);
  wish.redis.host = "192.0.2.1";
  RedisProcess process(wish);
  EXPECT_TRUE(eventually([&] { return process.log().find("store_without_password") != std::string::npos; }));
}

TEST(RedisChannel, WarnsOfAnOldServer) {
  test::FakeRedis server([](const test::Words& words, int) {
    return words[0] == "INFO" ? std::optional(test::FakeRedis::Reply{test::bulk("# Server\r\nredis_version:6.0.16\r\n")}) : std::nullopt;
  });
  RedisProcess process(server.port());
  EXPECT_TRUE(eventually([&] { return process.log().find("store_is_old") != std::string::npos; }));
  EXPECT_THAT(process.log(), HasSubstr("6.0.16"));
  process.end();
}

// Redis with TLS, and the authority that signed its certificate.
class RedisTls : public RedisFaults {
 protected:
  void SetUp() override {
    RedisFaults::SetUp();
    if (IsSkipped()) return;
    server_.reset();
    const test::Identity authority = test::make_authority();
    const test::Identity leaf = test::make_identity({.common_name = "localhost", .alt_names = {test::dns("localhost")}}, &authority);
    const auto files = test::write_identity(folder_, "redis", leaf);
    ca_file_ = folder_.write("ca.crt", test::certificate_pem(authority));
    other_ca_file_ = folder_.write("other.crt", test::certificate_pem(test::make_authority("Another CA")));
    testing::ClosedPort port;  // bound by us, so that nobody else gets it before the server does
    tls_port_ = port.port();
    options_ = {"--tls-port",   std::to_string(tls_port_), "--tls-cert-file", files.certificate_file, "--tls-key-file",
                files.key_file, "--tls-ca-cert-file",      ca_file_,          "--tls-auth-clients",   "no"};
  }
  void open_tls(const std::string& ca_file, const std::string& host = "localhost") {
    try {
      server_ = std::make_unique<RedisServer>(options_);
    } catch (const std::runtime_error&) {
      GTEST_SKIP() << "this redis-server has no TLS";
    }
    auto wish = RedisProcess::wish(tls_port_, 2s);
    wish.redis.is_tls = true;
    wish.redis.host = host;
    wish.redis.ca_file = ca_file;
    open(wish);
  }

  test::TemporaryFolder folder_;
  std::string ca_file_;
  std::string other_ca_file_;
  std::uint16_t tls_port_ = 0;
  std::vector<std::string> options_;
};

TEST_F(RedisTls, WorksLikeClearText) {
  open_tls(ca_file_);
  if (IsSkipped()) return;
  ASSERT_TRUE(eventually([&] { return process_->hears(); })) << process_->trouble();
  ASSERT_TRUE(process_->create("a", "alice"));
  ASSERT_TRUE(finds("a"));
  server_->say({"DEL", "sallyport:session:{" + handle_of(key_of("a")) + "}"});
  EXPECT_TRUE(eventually([&] { return process_->worker().listener_.heard_of(key_of("a")); }));
}

TEST_F(RedisTls, RefusesACertificateOfAnotherAuthority) {
  open_tls(other_ca_file_);
  if (IsSkipped()) return;
  EXPECT_FALSE(eventually([&] { return process_->hears(); }, 500ms));
  EXPECT_FALSE(process_->find("a"));
  EXPECT_NE(process_->trouble(), "");
}

TEST_F(RedisTls, RefusesACertificateOfAnotherName) {
  open_tls(ca_file_, "127.0.0.1");
  if (IsSkipped()) return;
  EXPECT_FALSE(eventually([&] { return process_->hears(); }, 500ms));
  EXPECT_FALSE(process_->find("a"));
}

TEST(RedisChannel, AMissingAuthorityIsSaidAtOnce) {
  auto wish = RedisProcess::wish(1, 250ms);
  wish.redis.is_tls = true;
  wish.redis.ca_file = "/nowhere/ca.crt";
  EXPECT_THROW(RedisProcess process(wish), std::runtime_error);
}

}  // namespace
}  // namespace sallyport::store
