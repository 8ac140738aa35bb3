#include "app/key_fetcher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "authenticate/key_cache.hpp"
#include "support/manual_clock.hpp"
#include "support/scripted_upstream.hpp"
#include "support/test_certificates.hpp"
#include "support/token_factory.hpp"

namespace sallyport::app {
namespace {

using authenticate::Algorithm;
using authenticate::IssuerPtr;
using authenticate::KeySource;
using authenticate::SigningKey;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::need;
using testing::Peer;
using testing::ScriptedUpstream;
using namespace std::chrono_literals;

// A key set of one key of that id.
std::string jwks_of(const std::string& id, Algorithm algorithm = Algorithm::es256) {
  return need(SigningKey::public_jwks(need(SigningKey::generate_jwks(algorithm, id))));
}

ScriptedUpstream::Script serving(std::string body, std::string status = "200 OK") {
  return [body = std::move(body), status = std::move(status)](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  };
}

class KeyFetchersTest : public ::testing::Test {
 protected:
  ~KeyFetchersTest() override { finish(); }
  void finish() {
    if (!fetchers_) return;
    fetchers_->stop();
    run_until([this] { return tasks_.size() == 0; });
    fetchers_.reset();
    wheel_.stop();
  }
  KeyFetchers& fetchers() {
    if (!fetchers_) {
      limits_.fetch.time = 2s;
      fetchers_ = std::make_unique<KeyFetchers>(KeyFetchers::Surroundings{context_, wheel_, tasks_, log_, clock_}, limits_);
    }
    return *fetchers_;
  }
  template <class Condition>
  bool run_until(Condition condition, std::chrono::milliseconds patience = 10s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      if (context_.stopped()) context_.restart();
      context_.run_one_for(20ms);
    }
    return true;
  }
  void run_for(std::chrono::milliseconds time) {
    run_until([] { return false; }, time);
  }

  IssuerPtr issuer_at(const std::string& name, std::uint16_t port, const std::string& cache_file = {}) {
    authenticate::IssuerSettings settings;
    settings.name = name;
    settings.expectations = testing::expectations({Algorithm::es256});
    settings.key_url = authenticate::KeyUrl{url(port), {}, {}, cache_file};
    std::vector<std::string> warnings;
    return need(authenticate::load_issuer(std::move(settings), warnings));
  }
  static std::string url(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port) + "/keys"; }
  static bool knows(const IssuerPtr& issuer, const std::string& id) {
    const auto keys = issuer->keys->keys();
    return keys != nullptr && keys->has_key_id(id);
  }
  std::uint64_t fetches(const std::string& result, std::size_t index = 0) {
    const auto sets = fetchers().metrics();
    const auto found = sets.at(index).fetches.find(result);
    return found == sets[index].fetches.end() ? 0 : found->second;
  }
  std::shared_ptr<std::optional<bool>> ask(const IssuerPtr& issuer, const std::string& id) {
    auto answered = std::make_shared<std::optional<bool>>();
    boost::asio::co_spawn(context_.get_executor(), KeySource::ask(issuer->keys, id),
                          [answered](const std::exception_ptr& broken, bool result) { *answered = !broken && result; });
    return answered;
  }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_, 5ms};
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << what; }};
  test::ManualClock clock_;
  observe::LineWriter writer_{{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::error, clock_};
  test::TemporaryFolder folder_;
  KeyFetcherLimits limits_{};
  std::unique_ptr<KeyFetchers> fetchers_;
};

TEST_F(KeyFetchersTest, FetchesAtStart) {
  ScriptedUpstream server({serving(jwks_of("one"))});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  EXPECT_THAT(fetchers().missing(), ElementsAre(HasSubstr("issuer 'corp'")));
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  EXPECT_THAT(fetchers().missing(), IsEmpty());
  const auto sets = fetchers().metrics();
  EXPECT_EQ(sets.at(0).issuer, "corp");
  EXPECT_EQ(sets[0].keys, 1U);
  EXPECT_EQ(sets[0].age_seconds, 0.0);
  EXPECT_EQ(fetches("ok"), 1U);
  clock_.advance(90s);
  EXPECT_EQ(fetchers().metrics()[0].age_seconds, 90.0);
}

TEST_F(KeyFetchersTest, E01_TriesAgainAndMeanwhileSaysWhatIsMissing) {
  ScriptedUpstream server({serving("{}", "500 No"), serving(jwks_of("one"))});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return fetches("unavailable") == 1; }));
  EXPECT_THAT(fetchers().missing(), ElementsAre(HasSubstr("500")));
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  EXPECT_THAT(fetchers().missing(), IsEmpty());
}

TEST_F(KeyFetchersTest, E01_E03_KeepsTheLastGoodSet) {
  limits_.ask_interval = 1ms;
  ScriptedUpstream server({serving(jwks_of("one")), serving("<html>"), serving(R"({"keys":[]})"), serving("{}", "500 No")});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  const std::uint64_t generation = corp->keys->generation();
  const auto answered = ask(corp, "two");
  ASSERT_TRUE(run_until([&] { return answered->has_value(); }));
  EXPECT_EQ(*answered, false);
  ASSERT_TRUE(run_until([&] { return fetches("malformed") == 2 && fetches("unavailable") >= 1; })) << "its own retries";
  EXPECT_TRUE(knows(corp, "one"));
  EXPECT_EQ(corp->keys->generation(), generation);
  EXPECT_THAT(fetchers().missing(), IsEmpty());
}

TEST_F(KeyFetchersTest, D11_ASecretByUrlChangesNothing) {
  ScriptedUpstream server({serving(R"({"keys":[{"kty":"oct","kid":"s","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0xMjM"}]})")});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return fetches("malformed") == 1; }));
  EXPECT_EQ(corp->keys->keys(), nullptr);
}

TEST_F(KeyFetchersTest, E04_E05_AnUnknownKeyCausesOneFetch) {
  ScriptedUpstream server({serving(jwks_of("one")), serving(jwks_of("two"))});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  std::vector<std::shared_ptr<std::optional<bool>>> all;
  for (int i = 0; i < 50; ++i) all.push_back(ask(corp, i == 0 ? "two" : "stranger-" + std::to_string(i)));
  ASSERT_TRUE(run_until([&] { return all.back()->has_value(); }));
  for (const auto& answered : all) EXPECT_EQ(*answered, true);
  EXPECT_TRUE(knows(corp, "two"));
  for (int i = 0; i < 50; ++i) all.push_back(ask(corp, "late-" + std::to_string(i)));
  run_for(200ms);
  EXPECT_EQ(server.connections(), 2);
}

TEST_F(KeyFetchersTest, E06_ManyWhoComeBeforeTheFirstKeysCauseOneFetch) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    const std::string body = jwks_of("one");
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  std::vector<std::shared_ptr<std::optional<bool>>> all;
  context_.poll();
  for (int i = 0; i < 1000; ++i) all.push_back(ask(corp, "one"));
  ASSERT_TRUE(run_until([&] { return std::ranges::all_of(all, [](const auto& answered) { return answered->has_value(); }); }));
  EXPECT_TRUE(std::ranges::all_of(all, [](const auto& answered) { return *answered == true; }));
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(KeyFetchersTest, E01_ARestartServesWhatWasKeptWhileTheIssuerIsAway) {
  const std::string cache = folder_.file("store.keys/corp.json");
  std::uint16_t port = 0;
  {
    ScriptedUpstream server({serving(jwks_of("one"))});
    port = server.port();
    const IssuerPtr corp = issuer_at("corp", port, cache);
    fetchers().use({corp});
    ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
    fetchers().stop();
  }
  fetchers_.reset();
  clock_.advance(60s);
  const IssuerPtr again = issuer_at("corp", port, cache);
  EXPECT_TRUE(knows(again, "one"));
  fetchers().use({again});
  EXPECT_THAT(fetchers().missing(), IsEmpty());
  ASSERT_TRUE(run_until([&] { return fetches("unavailable") >= 1; }));
  EXPECT_TRUE(knows(again, "one"));
  EXPECT_NEAR(fetchers().metrics()[0].age_seconds.value_or(0), 60, 1.5);
}

TEST_F(KeyFetchersTest, D12_PrivateKeysAreNotWrittenDown) {
  const std::string cache = folder_.file("corp.json");
  ScriptedUpstream server({serving(need(SigningKey::generate_jwks(Algorithm::es256, "one")))});
  const IssuerPtr corp = issuer_at("corp", server.port(), cache);
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); })) << "the public half serves";
  EXPECT_EQ(authenticate::read_cached_keys(cache, url(server.port())).error().fault, Fault::not_found);
}

TEST_F(KeyFetchersTest, ACacheThatCannotBeWrittenCostsNothingElse) {
  ScriptedUpstream server({serving(jwks_of("one"))});
  const IssuerPtr corp = issuer_at("corp", server.port(), folder_.file("no/such/corp.json"));
  fetchers().use({corp});
  EXPECT_TRUE(run_until([&] { return knows(corp, "one"); }));
}

TEST_F(KeyFetchersTest, E08_AReloadKeepsKeysAndFillsTheNewSource) {
  ScriptedUpstream server({serving(jwks_of("one"))});
  const IssuerPtr before = issuer_at("corp", server.port());
  fetchers().use({before});
  ASSERT_TRUE(run_until([&] { return knows(before, "one"); }));
  const IssuerPtr after = issuer_at("corp", server.port());
  EXPECT_EQ(after->keys->keys(), nullptr);
  fetchers().use({after});
  EXPECT_TRUE(knows(after, "one"));
  run_for(100ms);
  EXPECT_EQ(server.connections(), 1) << "the same settings are not fetched again";
}

TEST_F(KeyFetchersTest, E08_AReloadDuringAFetchServesBothSnapshots) {
  std::promise<void> go;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    go.get_future().wait();
    const std::string body = jwks_of("one");
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }});
  const IssuerPtr before = issuer_at("corp", server.port());
  fetchers().use({before});
  const auto early = ask(before, "one");
  ASSERT_TRUE(run_until([&] { return server.connections() == 1; }));
  IssuerPtr dropped = issuer_at("corp", server.port());
  fetchers().use({dropped});
  dropped.reset();
  const IssuerPtr after = issuer_at("corp", server.port());
  fetchers().use({after});
  const auto late = ask(after, "one");
  go.set_value();
  ASSERT_TRUE(run_until([&] { return early->has_value() && late->has_value(); }));
  EXPECT_EQ(*early, true);
  EXPECT_EQ(*late, true);
  EXPECT_TRUE(knows(before, "one"));
  EXPECT_TRUE(knows(after, "one"));
}

TEST_F(KeyFetchersTest, E08_AnIssuerThatIsTakenOutIsGivenUpAtOnce) {
  ScriptedUpstream server({[](Peer& peer) { peer.read_to_end(); }});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers().use({corp});
  const auto answered = ask(corp, "one");
  ASSERT_TRUE(run_until([&] { return server.connections() == 1; }));
  run_for(20ms);
  fetchers().use({});
  ASSERT_TRUE(run_until([&] { return tasks_.size() == 0 && answered->has_value(); }, 1s));
  EXPECT_EQ(*answered, false);
  EXPECT_THAT(fetchers().metrics(), IsEmpty());
}

// As when there is no memory, or no thread for a name.
class ClockThatFailsOnce final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override {
    if (!std::exchange(failed_, true)) throw std::bad_alloc();
    return SystemClock().wall_now();
  }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return SystemClock().monotonic_now(); }

 private:
  mutable bool failed_ = false;
};

TEST_F(KeyFetchersTest, E01_WhatThrowsIsAFailedFetch) {
  const ClockThatFailsOnce clock;
  ScriptedUpstream server({serving(jwks_of("one")), serving(jwks_of("one"))});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers_ = std::make_unique<KeyFetchers>(KeyFetchers::Surroundings{context_, wheel_, tasks_, log_, clock}, limits_);
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return fetches("internal") == 1; }));
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  EXPECT_EQ(fetches("ok"), 1U);
  finish();  // before its clock
}

TEST_F(KeyFetchersTest, E12_OneIssuerDownLeavesTheOtherAlone) {
  const testing::ClosedPort nobody;
  ScriptedUpstream server({serving(jwks_of("one"))});
  const IssuerPtr down = issuer_at("down", nobody.port());
  const IssuerPtr up = issuer_at("up", server.port());
  fetchers().use({down, up});
  ASSERT_TRUE(run_until([&] { return knows(up, "one"); }));
  EXPECT_THAT(fetchers().missing(), ElementsAre(HasSubstr("'down'")));
}

TEST_F(KeyFetchersTest, E02_AHangingIssuerIsGivenUpAndTriedAgain) {
  limits_.fetch.time = 100ms;
  ScriptedUpstream server({[](Peer& peer) { peer.read_to_end(); }, serving(jwks_of("one"))});
  const IssuerPtr corp = issuer_at("corp", server.port());
  fetchers_ = std::make_unique<KeyFetchers>(KeyFetchers::Surroundings{context_, wheel_, tasks_, log_, clock_}, limits_);
  fetchers().use({corp});
  ASSERT_TRUE(run_until([&] { return knows(corp, "one"); }));
  EXPECT_EQ(fetches("timed_out"), 1U);
}

TEST(RefreshDelay, E11_ClampsWhatTheAnswerStates) {
  for (const std::uint64_t roll : {std::uint64_t{0}, std::uint64_t{1'234'567}, ~std::uint64_t{0}}) {
    const auto within = [roll](std::optional<std::chrono::seconds> life, std::chrono::milliseconds good) {
      const auto delay = refresh_delay(life, roll);
      EXPECT_LE(delay, good);
      EXPECT_GT(delay, good * 9 / 10 - 1ms);
    };
    within(0s, 60s);
    within(1s, 60s);
    within(60s, 60s);
    within(61s, 61s);
    within(3600s, 3600s);
    within(86'400s, 86'400s);
    within(86'401s, 86'400s);
    within(31'536'000s, 86'400s);
    within(std::nullopt, 300s);
  }
  EXPECT_EQ(refresh_delay(100s, 0), 100s);
}

TEST(RetryDelay, E01_BacksOffUpToAMinute) {
  EXPECT_EQ(retry_delay(1, 0), 1s);
  EXPECT_EQ(retry_delay(2, 0), 2s);
  EXPECT_EQ(retry_delay(3, 0), 4s);
  EXPECT_EQ(retry_delay(7, 0), 60s);
  EXPECT_EQ(retry_delay(4'000'000'000, 0), 60s);
  for (std::uint32_t failures = 1; failures < 20; ++failures) {
    EXPECT_GT(retry_delay(failures, 499), 0ms);
    EXPECT_GE(retry_delay(failures, ~std::uint64_t{0}), retry_delay(failures, 0) / 2);
  }
}

}  // namespace
}  // namespace sallyport::app
