// What one worker lends to its pipeline, over a store that does as the test says.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "authenticate/authenticator.hpp"
#include "http/tunnel.hpp"
#include "issue/revoker.hpp"
#include "issue/session_issuer.hpp"
#include "issue/token_pairs.hpp"
#include "pipeline/live_exchanges.hpp"
#include "support/fake_store.hpp"
#include "support/snapshot_builder.hpp"

namespace sallyport::pipeline {

// Begins at the time of the tests' tokens, and is moved by the test.
class TestClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override { return testing::kNow + passed_; }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return MonotonicTime{} + std::chrono::hours(1) + passed_; }
  void advance(std::chrono::milliseconds time) { passed_ += time; }

 private:
  std::chrono::milliseconds passed_{};
};

struct TestWorker {
  TestWorker() {
    store.add_listener(sessions);
    sessions.use_store(store);
    std::vector<Secret> secrets;
    secrets.emplace_back(std::string(32, 'k'));
    keys = std::make_shared<const authenticate::TagKeys>(std::move(secrets));
    sessions.use_keys(keys);
    desks.add(context.get_executor(), desk);
  }
  ~TestWorker() { wheel.stop(); }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    run(keep(std::move(task), result));
    return std::move(result.value());
  }
  void run(Task<void> task) {
    bool done = false;
    std::exception_ptr thrown;
    boost::asio::co_spawn(context.get_executor(), std::move(task), [&](std::exception_ptr exception) {
      thrown = std::move(exception);
      done = true;
    });
    context.restart();
    while (!done) {
      if (context.run_one() == 0) throw std::runtime_error("the task waits for ever");
    }
    if (thrown) std::rethrow_exception(thrown);
  }

  // The cookie's value.
  std::string sign_in(const std::string& subject = "alice", std::string_view claims = "{}") {
    auto principal = testing::need(issue::make_principal(subject, testing::need(Json::parse(claims)), clock.wall_now()));
    auto issued = run(session_issuer.begin(std::move(principal), std::make_shared<const authenticate::SessionSettings>()));
    return testing::need(std::move(issued)).cookie_value;
  }
  issue::TokenPairPtr issue_tokens(const issue::EdgeKeysPtr& edge, const std::string& subject = "alice", std::string_view claims = "{}") {
    auto principal = testing::need(issue::make_principal(subject, testing::need(Json::parse(claims)), clock.wall_now()));
    return testing::need(run(token_pairs.begin(std::move(principal), edge, keys)));
  }
  [[nodiscard]] std::string session_handle(const std::string& cookie) const {
    return store::handle_of(keys->open_session_id(cookie).value().key);
  }
  // The double-submit token of a session or of a family, as GET /.gateway/session hands it out.
  [[nodiscard]] std::string csrf_token_of_session(const std::string& cookie) const {
    identity::IdentityFacts facts;
    facts.session = session_handle(cookie);
    return keys->csrf_token(authenticate::csrf_binding(facts));
  }
  [[nodiscard]] std::string csrf_token_of_family(const std::string& handle) const {
    identity::IdentityFacts facts;
    facts.family = handle;
    return keys->csrf_token(authenticate::csrf_binding(facts));
  }

  boost::asio::io_context context{1};
  transport::DeadlineWheel wheel{context};
  TestClock clock;
  observe::WorkerMetrics metrics;
  store::RevocationList revocations{1000};
  testing::FakeStore store{context, clock, &revocations};
  TaskGroup tasks{context, [](std::string_view what) { ADD_FAILURE() << what; }};
  authenticate::VerifiedTokenCache cache{100, 1 << 20};
  authenticate::JwtAuthenticator tokens{cache, revocations};
  authenticate::SessionAuthenticator sessions{{revocations, clock, tasks, metrics}};
  authenticate::Authenticator authenticator{tokens, sessions};
  authenticate::TagKeysPtr keys;
  issue::SessionIssuer session_issuer{store, sessions};
  issue::RefreshDesk desk{{store, revocations, clock, metrics}};
  issue::RefreshDesks desks;
  issue::TokenPairs token_pairs{{store, revocations, desks, clock, metrics, context.get_executor()}};
  issue::Revoker revoker{store, {}, metrics};
  LiveExchanges live{{revocations, sessions, clock, tasks}};
  http::Tunnels tunnels{wheel, metrics};

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& result) {
    T value = co_await std::move(task);
    result.emplace(std::move(value));
  }
};

// A log that is a file of its own.
class LogFile {
 public:
  LogFile() {
    std::string name = (std::filesystem::temp_directory_path() / "sallyport-log-XXXXXX").string();
    const int descriptor = ::mkstemp(name.data());
    if (descriptor < 0) throw std::runtime_error("mkstemp");
    ::close(descriptor);
    path_ = name;
    writer_ = std::make_unique<observe::LineWriter>(observe::Sink{observe::Sink::Kind::file, path_}, 1 << 20);
    log_ = std::make_unique<observe::WorkerLog>(*writer_);
  }
  ~LogFile() { std::filesystem::remove(path_); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  [[nodiscard]] observe::WorkerLog& log() { return *log_; }
  // Everything that was logged; nothing can be logged behind it.
  std::string text() {
    log_->flush();
    writer_.reset();  // writes what is queued
    std::ifstream in(path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string path_;
  std::unique_ptr<observe::LineWriter> writer_;
  std::unique_ptr<observe::WorkerLog> log_;
};

}  // namespace sallyport::pipeline
