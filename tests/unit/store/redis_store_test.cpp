#include "store/redis_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store_contract.hpp"
#include "support/redis_server.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::RedisServer;
using test::RedisTalk;

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
INSTANTIATE_TEST_SUITE_P(Redis, StoreContract, testing::ValuesIn(kinds()), name_of_kind);

TEST(RedisStore, IsTested) {
  if (test::redis_server_program().empty()) GTEST_SKIP() << "no redis-server on this machine: the Redis store is not tested";
}

}  // namespace
}  // namespace sallyport::store
