#include "app/shared_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "support/configuration_folder.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::app {
namespace {

class SharedKeysTest : public ::testing::Test {
 protected:
  SharedKeysTest() : store_(context_, clock_) { store_.add_listener(keys_); }
  ~SharedKeysTest() override {
    keys_.stop();
    store_.release();
    context_.restart();
    context_.run_for(std::chrono::seconds(5));
  }

  void begin() { tasks_.spawn(keys_.keep_agreeing(store_)); }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > patience) return false;
      if (context_.stopped()) context_.restart();
      context_.run_one_for(std::chrono::milliseconds(100));
    }
    return true;
  }

  SystemClock system_clock_;
  test::ManualClock clock_;
  observe::LineWriter writer_{{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::error, system_clock_};
  boost::asio::io_context context_{1};
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << what; }};
  std::vector<authenticate::TagKeysPtr> given_;
  SharedKeys keys_{context_, log_, [this](authenticate::TagKeysPtr keys) { given_.push_back(std::move(keys)); }};
  testing::FakeStore store_;
};

TEST_F(SharedKeysTest, AgreesOnceAndGivesTheKeys) {
  EXPECT_FALSE(keys_.has_agreed());
  begin();
  ASSERT_TRUE(run_until([&] { return !given_.empty(); }));
  EXPECT_TRUE(keys_.has_agreed());
  EXPECT_EQ(given_.size(), 1U);
  EXPECT_EQ(store_.calls("agree_on_secret"), 1U);
}

TEST_F(SharedKeysTest, TwoGatewaysOpenWhatTheOtherMade) {
  std::vector<authenticate::TagKeysPtr> others;
  SharedKeys other(context_, log_, [&](authenticate::TagKeysPtr keys) { others.push_back(std::move(keys)); });
  begin();
  tasks_.spawn(other.keep_agreeing(store_));
  ASSERT_TRUE(run_until([&] { return !given_.empty() && !others.empty(); }));
  EXPECT_TRUE(others.front()->open_session_id(given_.front()->make_session_id().text));
  other.stop();
  ASSERT_TRUE(run_until([&] { return tasks_.size() == 1; }));
}

TEST_F(SharedKeysTest, TriesUntilTheStoreAnswers) {
  store_.fail_with(Fault::unavailable);
  begin();
  ASSERT_TRUE(run_until([&] { return store_.calls("agree_on_secret") >= 3; }));
  EXPECT_TRUE(given_.empty());
  store_.fail_with(std::nullopt);
  EXPECT_TRUE(run_until([&] { return given_.size() == 1; }));
}

TEST_F(SharedKeysTest, GivesAnEmptiedStoreTheSameSecretAgain) {
  begin();
  ASSERT_TRUE(run_until([&] { return given_.size() == 1; }));
  const std::string id = given_.front()->make_session_id().text;
  store_.flush();
  ASSERT_TRUE(run_until([&] { return store_.calls("agree_on_secret") == 2; }));
  EXPECT_EQ(given_.size(), 1U) << "the same keys are no news";
  // Whoever comes new gets what everybody uses.
  std::vector<authenticate::TagKeysPtr> others;
  SharedKeys other(context_, log_, [&](authenticate::TagKeysPtr keys) { others.push_back(std::move(keys)); });
  tasks_.spawn(other.keep_agreeing(store_));
  ASSERT_TRUE(run_until([&] { return !others.empty(); }));
  EXPECT_TRUE(others.front()->open_session_id(id));
  other.stop();
  ASSERT_TRUE(run_until([&] { return tasks_.size() == 1; }));
}

TEST_F(SharedKeysTest, AChangeThatComesWhileItAsksIsAskedAbout) {
  store_.hang();
  begin();
  ASSERT_TRUE(run_until([&] { return store_.waiting() == 1; }));
  keys_.everything_changed();
  store_.release();
  EXPECT_TRUE(run_until([&] { return store_.calls("agree_on_secret") == 2; }));
}

TEST_F(SharedKeysTest, EndsWhenItIsStopped) {
  begin();
  ASSERT_TRUE(run_until([&] { return !given_.empty(); }));
  keys_.stop();
  EXPECT_TRUE(run_until([&] { return tasks_.size() == 0; }));
}

TEST(ReadSharedKeys, MakesWithTheFirstFileAndOpensWithAll) {
  const testing::ConfigurationFolder folder;
  const std::string first = folder.write_secret("config/first", std::string(32, 'a'));
  const std::string second = folder.write_secret("config/second", std::string(32, 'b'));
  const auto both = read_shared_keys({first, second});
  const auto old = read_shared_keys({second});
  ASSERT_TRUE(both && old);
  EXPECT_TRUE((*both)->open_session_id((*old)->make_session_id().text));
  EXPECT_FALSE((*old)->open_session_id((*both)->make_session_id().text));
  const auto missing = read_shared_keys({first, folder.file("config/none")});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, Fault::not_found);
}

}  // namespace
}  // namespace sallyport::app
