#include "app/reload.hpp"

#include <filesystem>
#include <fstream>
#include <optional>

#include <boost/asio/co_spawn.hpp>

#include "configuration_fixture.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class RestartProblems : public ConfigurationFixture {
 protected:
  std::vector<std::string> problems_of_change(const std::string& old, const std::string& text) {
    const Settings now = settings();
    const Settings next = settings(old, text);
    std::vector<std::string> lines;
    for (const Problem& problem : restart_problems(now, next)) {
      EXPECT_THAT(problem.file, HasSubstr("gateway.yaml"));
      EXPECT_GT(problem.line, 0);
      EXPECT_GT(problem.column, 0);
      lines.push_back(problem.message);
    }
    return lines;
  }
};

TEST_F(RestartProblems, NothingThatStayedNeedsARestart) { EXPECT_THAT(problems_of_change("", ""), IsEmpty()); }

TEST_F(RestartProblems, RoutesIssuersAndUpstreamsNeedNone) {
  EXPECT_THAT(problems_of_change("/api/**", "/other/**"), IsEmpty());
  EXPECT_THAT(problems_of_change("127.0.0.1:9001", "127.0.0.1:9002"), IsEmpty());
  EXPECT_THAT(problems_of_change("audiences: [api]", "audiences: [other]"), IsEmpty());
  EXPECT_THAT(problems_of_change("version: 1\nlisteners", "version: 1\nlog: { level: debug }\nshutdown: { drain_timeout: 1s }\nlisteners"),
              IsEmpty());
}

TEST_F(RestartProblems, AddressesNeedOne) {
  EXPECT_THAT(problems_of_change("127.0.0.1:8080", "127.0.0.1:8081"),
              ElementsAre("listener 'plain' was 127.0.0.1:8080 and is 127.0.0.1:8081: this needs a restart"));
}

TEST_F(RestartProblems, ListenersThatComeAndGoNeedOne) {
  const std::string both = "- { name: plain, address: 127.0.0.1:8080 }\n  - { name: second, address: 127.0.0.1:8082 }";
  EXPECT_THAT(problems_of_change("- { name: plain, address: 127.0.0.1:8080 }", both),
              ElementsAre(HasSubstr("listener 'second'"), HasSubstr("listeners was plain and is plain, second")));
  const Settings now = settings("- { name: plain, address: 127.0.0.1:8080 }", both);
  EXPECT_EQ(restart_problems(now, settings()).size(), 1U) << "and when one is taken away";
}

TEST_F(RestartProblems, WorkersAdminAndStoreNeedOne) {
  EXPECT_THAT(problems_of_change("version: 1\nlisteners", "version: 1\nworkers: 7\nlisteners"), ElementsAre(HasSubstr("workers was")));
  EXPECT_THAT(problems_of_change("version: 1\nlisteners", "version: 1\nadmin: { address: 127.0.0.1:9901 }\nlisteners"),
              ElementsAre(HasSubstr("admin was none")));
  EXPECT_THAT(problems_of_change("version: 1\nlisteners", "version: 1\nstore: { kind: embedded, path: ../state/db }\nlisteners"),
              ElementsAre(HasSubstr("store was embedded, in memory")));
}

class ReloaderTest : public ConfigurationFixture {
 protected:
  Loaded good() {
    Loaded loaded;
    loaded.settings = settings();
    loaded.files = {"a", "b"};
    return loaded;
  }
  static Loaded broken() {
    Loaded loaded;
    Problem problem;
    problem.file = "gateway.yaml";
    problem.line = 3;
    problem.column = 7;
    problem.message = "is at fault";
    loaded.problems = {problem};
    loaded.files = {"a"};
    return loaded;
  }
  Task<ReloadOutcome> apply(Settings) {
    ++applied_;
    if (apply_fails_) {
      ReloadOutcome refused;
      refused.problems = broken().problems;
      refused.needs_restart = true;
      co_return refused;
    }
    co_return ReloadOutcome{};
  }
  void begin(std::vector<ReloadOutcome>& outcomes, const std::string& cause = "a test") {
    boost::asio::co_spawn(context_.get_executor(), reloader_.reload(cause),
                          [&outcomes](const std::exception_ptr& failure, ReloadOutcome outcome) {
                            EXPECT_FALSE(failure);
                            outcomes.push_back(std::move(outcome));
                          });
  }
  ReloadOutcome reload() {
    std::vector<ReloadOutcome> outcomes;
    begin(outcomes);
    context_.restart();
    context_.run();
    return outcomes.at(0);
  }

  test::ManualClock clock_;
  observe::LineWriter writer_{observe::Sink{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::error, clock_};
  boost::asio::io_context context_;
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << what; }};
  std::function<Loaded()> next_ = [this] { return good(); };
  int loads_ = 0;
  int applied_ = 0;
  bool apply_fails_ = false;
  Reloader reloader_{{context_, tasks_, log_, clock_},
                     [this] {
                       ++loads_;
                       return next_();
                     },
                     [this](Settings next) { return apply(std::move(next)); }};
};

TEST_F(ReloaderTest, TakesAGoodConfigurationOver) {
  const WallTime before = reloader_.last_success();
  clock_.advance(std::chrono::seconds(5));
  EXPECT_TRUE(reload().accepted());
  EXPECT_EQ(applied_, 1);
  EXPECT_EQ(reloader_.counts().at("accepted"), 1U);
  EXPECT_EQ(reloader_.counts().at("refused"), 0U);
  EXPECT_EQ(reloader_.last_success() - before, std::chrono::seconds(5));
  EXPECT_THAT(reloader_.files(), ElementsAre("a", "b"));
}

TEST_F(ReloaderTest, ABrokenOneIsNotEvenTried) {
  const WallTime before = reloader_.last_success();
  clock_.advance(std::chrono::seconds(5));
  next_ = [] { return broken(); };
  const ReloadOutcome outcome = reload();
  ASSERT_EQ(outcome.problems.size(), 1U);
  EXPECT_EQ(outcome.problems[0].text(), "gateway.yaml:3:7: is at fault");
  EXPECT_FALSE(outcome.needs_restart);
  EXPECT_EQ(applied_, 0);
  EXPECT_EQ(reloader_.counts().at("refused"), 1U);
  EXPECT_EQ(reloader_.last_success(), before);
  EXPECT_THAT(reloader_.files(), ElementsAre("a")) << "what has to be mended is watched";
}

TEST_F(ReloaderTest, OneThatCannotBeAppliedIsRefused) {
  apply_fails_ = true;
  const ReloadOutcome outcome = reload();
  EXPECT_FALSE(outcome.accepted());
  EXPECT_TRUE(outcome.needs_restart);
  EXPECT_EQ(reloader_.counts().at("refused"), 1U);
}

TEST_F(ReloaderTest, AnExceptionIsARefusal) {
  next_ = []() -> Loaded { throw std::runtime_error("out of the blue"); };
  const ReloadOutcome outcome = reload();
  ASSERT_EQ(outcome.problems.size(), 1U);
  EXPECT_THAT(outcome.problems[0].message, HasSubstr("out of the blue"));
  next_ = [this] { return good(); };
  EXPECT_TRUE(reload().accepted()) << "and the next one is not the worse for it";
}

TEST_F(ReloaderTest, WhoeverAsksWhileOneRunsSharesTheNext) {
  std::vector<ReloadOutcome> outcomes;
  bool has_begun = false;
  next_ = [&] {
    if (!std::exchange(has_begun, true)) {
      // On the reader's thread, while the first load runs; the loop waits for it.
      boost::asio::post(context_, [&] {
        begin(outcomes, "second");
        begin(outcomes, "third");
      });
      return broken();
    }
    return good();
  };
  begin(outcomes, "first");
  context_.restart();
  context_.run();
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(loads_, 2) << "one for the first, one for the other two";
  EXPECT_FALSE(outcomes[0].accepted());
  EXPECT_TRUE(outcomes[1].accepted());
  EXPECT_TRUE(outcomes[2].accepted());
}

TEST_F(ReloaderTest, P14_ReadsAgainWhatChangedWhileItWasRead) {
  const std::filesystem::path file = folder().write("config/read.yaml", "1");
  std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  next_ = [&] {
    if (loads_ == 1) std::ofstream(file) << "2";
    Loaded loaded = good();
    loaded.files = {file.string()};
    return loaded;
  };
  EXPECT_TRUE(reload().accepted());
  EXPECT_GE(loads_, 2);
  EXPECT_EQ(applied_, 1) << "the first reading is nobody's";
  std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  loads_ = 1;
  EXPECT_TRUE(reload().accepted());
  EXPECT_EQ(loads_, 2) << "once more, and once was enough";
}

TEST_F(ReloaderTest, P14_ReadsAgainWhileSomebodyWrites) {
  int asked = 0;
  reloader_.ask_whether_written([&] { return ++asked < 3; });
  EXPECT_TRUE(reload().accepted());
  EXPECT_EQ(loads_, 3);
  EXPECT_EQ(applied_, 1);
}

TEST_F(ReloaderTest, NothingIsBegunOnceItStops) {
  reloader_.stop();
  EXPECT_FALSE(reload().accepted());
  EXPECT_EQ(loads_, 0);
}

}  // namespace
}  // namespace sallyport::app
