#include "authenticate/key_source.hpp"

#include <atomic>
#include <map>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using testing::need;
using testing::test_key;
using namespace std::chrono_literals;
using Prospect = KeySource::Prospect;

const MonotonicTime kStart = std::chrono::steady_clock::now();
const std::optional<std::string> kStranger = "stranger";

constexpr const char* kOld = "old";
constexpr const char* kNew = "new";

// A key set of one key of that id.
const std::string& jwks_of(const std::string& id) {
  static std::map<std::string, std::string> made;
  std::string& jwks = made[id];
  if (jwks.empty()) jwks = need(SigningKey::public_jwks(need(SigningKey::generate_jwks(Algorithm::es256, id))));
  return jwks;
}

KeySource::KeysPtr keys_of(const std::string& id) {
  std::vector<std::string> warnings;
  return std::make_shared<const KeySet>(need(KeySet::from_jwks(jwks_of(id), warnings)));
}

class KeySourceTest : public ::testing::Test {
 protected:
  void make(const KeySourceLimits& limits = {}) {
    source_ = std::make_shared<KeySource>(limits);
    source_->attach([this] { ++wanted_; });
  }
  void publish(const std::string& id) { source_->publish(keys_of(id), sha256(jwks_of(id)), WallTime(1'700'000'000s)); }
  // A fetch that goes as the test says.
  void fetch(bool answered) {
    source_->begin_fetch();
    source_->end_fetch(answered);
  }
  struct Pending {
    std::optional<bool> answered;
  };
  std::shared_ptr<Pending> ask(std::optional<std::string> id = kStranger) {
    auto pending = std::make_shared<Pending>();
    boost::asio::co_spawn(context_.get_executor(), KeySource::ask(source_, std::move(id)),
                          [pending](const std::exception_ptr& broken, bool answered) {
                            if (!broken) pending->answered = answered;
                          });
    settle();
    return pending;
  }
  void settle() {
    context_.restart();
    context_.poll();
  }

  boost::asio::io_context context_;
  std::shared_ptr<KeySource> source_;
  int wanted_ = 0;
};

TEST_F(KeySourceTest, OfAFileHasItsKeysAndAsksNobody) {
  std::vector<std::string> warnings;
  const KeySource source(need(KeySet::from_jwks(test_key(Algorithm::es256).public_jwks, warnings)));
  EXPECT_FALSE(source.is_fetched());
  EXPECT_NE(source.generation(), 0U);
  EXPECT_TRUE(source.keys()->can_verify(Algorithm::es256));
  EXPECT_EQ(source.prospect(kStranger, kStart), Prospect::none);
}

TEST_F(KeySourceTest, MovesItsGenerationWhenTheKeysChangeAndOnlyThen) {
  make();
  EXPECT_EQ(source_->keys(), nullptr);
  publish(kOld);
  const std::uint64_t first = source_->generation();
  EXPECT_NE(first, 0U);
  publish(kOld);
  EXPECT_EQ(source_->generation(), first);
  publish(kNew);
  EXPECT_NE(source_->generation(), first);
  EXPECT_TRUE(source_->keys()->has_key_id(kNew));
  EXPECT_EQ(source_->current().generation, source_->generation());
}

TEST_F(KeySourceTest, WithoutAFetcherNothingCanBeAsked) {
  source_ = std::make_shared<KeySource>(KeySourceLimits{});
  EXPECT_EQ(source_->prospect(kStranger, kStart), Prospect::unavailable);
  EXPECT_EQ(ask()->answered, false);
  publish(kOld);
  EXPECT_EQ(source_->prospect(kStranger, kStart), Prospect::unavailable);
}

TEST_F(KeySourceTest, E04_E05_OneFetchAnswersAllThatWaitAndTheNextIsAnIntervalAway) {
  make();
  publish(kOld);
  EXPECT_EQ(source_->prospect(kStranger, std::chrono::steady_clock::now()), Prospect::worth_asking);
  std::vector<std::shared_ptr<Pending>> waiting;
  for (int i = 0; i < 100; ++i) waiting.push_back(ask("stranger-" + std::to_string(i)));
  EXPECT_EQ(wanted_, 1);
  EXPECT_TRUE(source_->is_wanted());
  for (const auto& pending : waiting) EXPECT_FALSE(pending->answered);
  fetch(true);
  settle();
  for (const auto& pending : waiting) EXPECT_EQ(pending->answered, true);
  // Whoever comes now gets the answer of that fetch.
  const MonotonicTime now = std::chrono::steady_clock::now();
  EXPECT_EQ(source_->prospect("stranger-1", now), Prospect::none);
  EXPECT_EQ(source_->prospect("another", now), Prospect::none);
  EXPECT_EQ(ask("another")->answered, true);
  EXPECT_EQ(wanted_, 1);
  // An interval later another stranger is worth a fetch, the known one is not.
  EXPECT_EQ(source_->prospect("another", now + 10s), Prospect::worth_asking);
  EXPECT_EQ(source_->prospect("stranger-1", now + 9s), Prospect::none);
  EXPECT_EQ(source_->prospect("stranger-1", now + 11s), Prospect::worth_asking);
}

TEST_F(KeySourceTest, E05_AStrangerWhoGuessesTheNextKeyDoesNotKeepItAway) {
  EXPECT_LE(KeySourceLimits{}.unknown_for, KeySourceLimits{}.ask_interval);
  make({.ask_interval = 0ms, .unknown_for = 0ms});
  publish(kOld);
  const auto guess = ask(kNew);
  fetch(true);
  settle();
  EXPECT_EQ(guess->answered, true);
  EXPECT_FALSE(source_->keys()->has_key_id(kNew));
  EXPECT_EQ(source_->prospect(kNew, std::chrono::steady_clock::now()), Prospect::worth_asking);
}

// A reload made the source while the fetch for a former one was under way.
TEST_F(KeySourceTest, E08_AFetchThatBeganBeforeTheSourceDoesNotRefuseAKey) {
  make();
  publish(kOld);
  const auto pending = ask(kNew);
  EXPECT_EQ(wanted_, 1);
  source_->end_fetch(true);
  settle();
  EXPECT_FALSE(pending->answered);
  EXPECT_EQ(wanted_, 2);
  EXPECT_TRUE(source_->is_wanted());
  source_->begin_fetch();
  publish(kNew);
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(pending->answered, true);
}

TEST_F(KeySourceTest, E08_AFetchThatBeganBeforeTheSourceMayBringTheKey) {
  make();
  const auto pending = ask(kNew);
  publish(kNew);
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(pending->answered, true);
  EXPECT_EQ(wanted_, 1);
}

TEST_F(KeySourceTest, E05_TheKeyThatTheFetchBringsAnswersWhoWaitsForIt) {
  make();
  publish(kOld);
  const auto pending = ask(kNew);
  source_->begin_fetch();
  publish(kNew);
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(pending->answered, true);
  EXPECT_TRUE(source_->keys()->has_key_id(kNew));
}

// What was on its way when the request came may have left the issuer before the key was there.
TEST_F(KeySourceTest, E05_AFetchThatBeganEarlierDoesNotRefuseAKey) {
  make();
  publish(kOld);
  source_->begin_fetch();
  const auto pending = ask(kNew);
  EXPECT_EQ(wanted_, 0);
  source_->end_fetch(true);
  settle();
  EXPECT_FALSE(pending->answered);
  EXPECT_EQ(wanted_, 1);
  source_->begin_fetch();
  publish(kNew);
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(pending->answered, true);
}

TEST_F(KeySourceTest, E01_AFetchThatFailsIsNoAnswer) {
  make();
  publish(kOld);
  const auto pending = ask();
  fetch(false);
  settle();
  EXPECT_EQ(pending->answered, false);
  // Nor is it one for who comes within the interval.
  EXPECT_EQ(source_->prospect(kStranger, std::chrono::steady_clock::now()), Prospect::unavailable);
  EXPECT_EQ(wanted_, 1);
  // The issuer answers again.
  fetch(true);
  EXPECT_EQ(source_->prospect(kStranger, std::chrono::steady_clock::now()), Prospect::none);
}

TEST_F(KeySourceTest, E06_AtAColdStartAllWaitForTheFetchThatGoesOnUpToABound) {
  make({.waiters_max = 3});
  source_->begin_fetch();
  std::vector<std::shared_ptr<Pending>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(ask(kOld));
  EXPECT_EQ(source_->prospect(kStranger, kStart), Prospect::unavailable);
  EXPECT_EQ(ask()->answered, false) << "one too many waits";
  EXPECT_EQ(wanted_, 0) << "one fetch is enough";
  publish(kOld);
  source_->end_fetch(true);
  settle();
  for (const auto& pending : waiting) EXPECT_EQ(pending->answered, true);
}

TEST_F(KeySourceTest, E02_WhoWaitsForAHangingFetchGivesUp) {
  make({.patience = 20ms});
  const auto pending = std::make_shared<Pending>();
  boost::asio::co_spawn(context_.get_executor(), KeySource::ask(source_, kStranger),
                        [pending](const std::exception_ptr&, bool answered) { pending->answered = answered; });
  context_.restart();
  context_.run();  // until it gives up
  EXPECT_EQ(pending->answered, false);
  source_->end_fetch(true);  // nobody is left to be told
  settle();
}

TEST_F(KeySourceTest, E04_RemembersABoundedNumberOfStrangers) {
  make({.ask_interval = 1s, .unknown_max = 2});
  publish(kOld);
  for (int i = 0; i < 4; ++i) static_cast<void>(ask("stranger-" + std::to_string(i)));
  fetch(true);
  settle();
  const MonotonicTime later = std::chrono::steady_clock::now() + 2s;
  EXPECT_EQ(source_->prospect("stranger-0", later), Prospect::none);
  EXPECT_EQ(source_->prospect("stranger-1", later), Prospect::none);
  EXPECT_EQ(source_->prospect("stranger-3", later), Prospect::worth_asking);
}

TEST_F(KeySourceTest, E04_NewKeysMakeStrangersWorthAskingAgain) {
  make({.ask_interval = 1s});
  publish(kOld);
  static_cast<void>(ask());
  fetch(true);
  settle();
  const MonotonicTime later = std::chrono::steady_clock::now() + 2s;
  EXPECT_EQ(source_->prospect(kStranger, later), Prospect::none);
  publish(kNew);
  EXPECT_EQ(source_->prospect(kStranger, later), Prospect::worth_asking);
}

TEST_F(KeySourceTest, E08_WhoWaitsWhenTheFetcherLeavesGetsNoAnswer) {
  make();
  const auto pending = ask();
  source_->detach();
  settle();
  EXPECT_EQ(pending->answered, false);
  source_->end_fetch(true);
  EXPECT_EQ(source_->prospect(kStranger, std::chrono::steady_clock::now() + 1h), Prospect::unavailable);
}

// The connection's coroutine is destroyed in its wait, and its worker with it: nobody may be woken there any more.
TEST_F(KeySourceTest, E07_WhoLeavesWhileWaitingGivesHisPlaceBack) {
  make({.waiters_max = 1});
  {
    boost::asio::io_context worker;
    boost::asio::co_spawn(worker.get_executor(), KeySource::ask(source_, kStranger), [](const std::exception_ptr&, bool) {});
    worker.poll();
    EXPECT_EQ(source_->prospect(kStranger, kStart), Prospect::unavailable) << "somebody waits";
  }
  EXPECT_NE(source_->prospect(kStranger, kStart), Prospect::unavailable);
  fetch(true);
}

TEST_F(KeySourceTest, E04_HoldsWhenManyThreadsAskAndKeysChange) {
  make({.patience = 50ms, .ask_interval = 1ms});
  publish(kOld);
  std::vector<std::thread> workers;
  std::atomic<int> done = 0;
  for (int number = 0; number < 3; ++number) {
    workers.emplace_back([this, number, &done] {
      boost::asio::io_context worker;
      for (int i = 0; i < 200; ++i) {
        boost::asio::co_spawn(worker.get_executor(), KeySource::ask(source_, std::to_string(number * 1000 + i)),
                              [&done](const std::exception_ptr& broken, bool) { done += broken ? 0 : 1; });
        worker.restart();
        worker.poll();
        static_cast<void>(source_->current());
        static_cast<void>(source_->prospect(kStranger, std::chrono::steady_clock::now()));
      }
      worker.restart();
      worker.run();
    });
  }
  for (int i = 0; i < 300; ++i) {
    source_->begin_fetch();
    publish(i % 2 == 0 ? kNew : kOld);
    source_->end_fetch(i % 3 != 0);
    std::this_thread::yield();
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(done, 600);
}

}  // namespace
}  // namespace sallyport::authenticate
