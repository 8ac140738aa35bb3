// Redis is killed while changes are made: what was acknowledged is there afterwards, where Redis is told to write before it answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>

#include "redis_process.hpp"
#include "support/redis_server.hpp"

namespace sallyport::store {
namespace {

using namespace std::chrono_literals;
using test::RedisServer;

// SALLYPORT_REDIS_KILLS=20 SALLYPORT_REDIS_WRITES=10000 for the long run: how often it is killed, and before which write each time.
int wanted(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

// What a writer was told; a change that ended in a fault may or may not have happened.
struct Told {
  std::map<std::string, bool> sessions;              // id -> lives
  std::map<std::string, std::uint64_t> generations;  // family -> the last generation that was acknowledged
  std::vector<std::string> revoked;
};

// Makes changes one after the other until one fails.
Told write_until_it_fails(RedisProcess& process, std::size_t worker, const std::string& name, std::atomic<int>& acknowledged) {
  Told told;
  StoreWorker& self = process.worker(worker);
  const auto call = [&](auto make) { return self.call(std::move(make)); };
  for (int i = 0;; ++i) {
    const std::string id = name + "-" + std::to_string(i);
    const NewSession session{key_of(id), "subject " + name, *Json::parse("{}"), 1h, 24h};
    if (!call([session](Store& store) { return store.create_session(session); })) break;
    told.sessions[id] = true;
    ++acknowledged;
    if (i % 3 == 0) {
      told.sessions.erase(id);  // until it is told otherwise nobody knows
      if (!call([id](Store& store) { return store.end_session(key_of(id)); })) break;
      told.sessions[id] = false;
    }
    if (i % 10 == 0) {
      const NewFamily family{key_of("f" + id), "subject " + name, *Json::parse("{}"), 1h, 24h};
      if (!call([family](Store& store) { return store.create_family(family); })) break;
      told.generations["f" + id] = 1;
      for (std::uint64_t generation = 1; generation <= 3; ++generation) {
        const auto rotated = call([id, generation](Store& store) { return store.rotate_family(key_of("f" + id), generation, {1h, 1h}); });
        if (!rotated) return told;
        if (rotated->outcome != Rotation::Outcome::rotated) ADD_FAILURE() << "a good token was not rotated";
        told.generations["f" + id] = rotated->family.generation;
      }
      const Revocation revocation{Revocation::Kind::token_id, id, {}, 1h};
      if (!call([revocation](Store& store) { return store.revoke(revocation); })) break;
      told.revoked.push_back(id);
    }
  }
  return told;
}

void expect_kept(RedisProcess& process, const Told& told) {
  for (const auto& [id, lives] : told.sessions) {
    const auto found = process.find(id);
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->has_value(), lives) << id;
  }
  for (const auto& [id, generation] : told.generations) {
    // The acknowledged generation is the good one, or the one before it when an answer was lost: never older, or the holder is a thief.
    const auto rotated = process.rotate(id, generation);
    ASSERT_TRUE(rotated) << rotated.error().detail;
    EXPECT_TRUE(rotated->outcome == Rotation::Outcome::rotated || rotated->outcome == Rotation::Outcome::repeated) << id;
  }
  for (const std::string& id : told.revoked) {
    EXPECT_TRUE(process.revocations().revokes({.token_id = id}, std::chrono::system_clock::now())) << id;
  }
}

TEST(RedisDurability, NothingAcknowledgedIsLostWhenItIsKilled) {
  if (test::redis_server_program().empty()) GTEST_SKIP() << "no redis-server on this machine: the Redis store is not tested";
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  const int rounds = wanted("SALLYPORT_REDIS_KILLS", 2);
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> kill_after(1, wanted("SALLYPORT_REDIS_WRITES", 400) - 1);
  std::size_t changes = 0;
  for (int round = 0; round < rounds; ++round) {
    auto wish = RedisProcess::wish(server.port(), 5s);
    wish.workers = 4;
    RedisProcess process(wish);
    ASSERT_TRUE(eventually([&] { return process.hears(); }));
    std::vector<Told> told(wish.workers);
    std::vector<std::thread> writers;
    std::atomic<int> acknowledged = 0;
    for (std::size_t i = 0; i < wish.workers; ++i) {
      writers.emplace_back(
          [&, i] { told[i] = write_until_it_fails(process, i, std::to_string(round) + "/" + std::to_string(i), acknowledged); });
    }
    const int last = kill_after(random);
    EXPECT_TRUE(eventually([&] { return acknowledged >= last; }, 120s));
    server.kill();
    for (std::thread& writer : writers) writer.join();
    process.end();
    server.start();
    // A process that knows nothing but what is kept.
    auto anew = RedisProcess::wish(server.port(), 5s);
    anew.revocations_max = 100'000;
    RedisProcess after(anew);
    ASSERT_TRUE(eventually([&] { return after.hears(); }));
    for (const Told& one : told) {
      changes += one.sessions.size() + one.generations.size() + one.revoked.size();
      expect_kept(after, one);
    }
    if (HasFailure()) break;
  }
  EXPECT_GT(changes, 0U);
  RecordProperty("acknowledged", static_cast<int>(changes));
  std::printf("%d kills, %zu acknowledged changes looked for\n", rounds, changes);
}

}  // namespace
}  // namespace sallyport::store
