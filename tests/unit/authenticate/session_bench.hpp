// A worker's share of sessions, with a store that does as the test says.
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "authenticate/session_authenticator.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::authenticate {

inline TagKeysPtr tag_keys_of(std::initializer_list<char> letters) {
  std::vector<Secret> secrets;
  for (const char letter : letters) secrets.emplace_back(std::string(32, letter));
  return std::make_shared<const TagKeys>(std::move(secrets));
}

// The subject, or why not: what an outcome says in one word.
inline std::string word_of(const identity::AuthOutcome& outcome) {
  if (const auto* verified = std::get_if<identity::IdentityPtr>(&outcome)) return (*verified)->facts().subject;
  if (const auto* refused = std::get_if<identity::Refused>(&outcome)) return std::string(name(refused->reason));
  if (std::holds_alternative<identity::Ambiguous>(outcome)) return "ambiguous";
  return std::holds_alternative<identity::NotPresented>(outcome) ? "not presented" : "unavailable";
}

// Something asked for that may take its time.
template <class T>
struct Pending {
  std::optional<T> result;
  boost::asio::cancellation_signal give_up;
};
inline std::string word_of(const Authentication& authentication) { return word_of(authentication.outcome); }

class SessionBench : public ::testing::Test {
 protected:
  explicit SessionBench(std::size_t entries_max = SessionAuthenticator::kEntriesUsual)
      : sessions_({revocations_, clock_, tasks_, metrics_}, entries_max) {
    store_.add_listener(sessions_);
    sessions_.use_store(store_);
    sessions_.use_keys(keys_);
    foreign_.emplace();
    foreign_->secrets.emplace_back(std::string(32, 'f'));
    foreign_->subject = *JsonPointer::parse("/user/id");
    use_settings();
  }
  ~SessionBench() override {
    store_.release();
    settle();
    EXPECT_EQ(tasks_.size(), 0U) << "a task in the background never ended";
  }

  // Settings are immutable: these make new ones, as a reload does.
  void use_settings() {
    auto settings = std::make_shared<SessionSettings>();
    settings->idle_timeout = idle_timeout_;
    settings->absolute_timeout = absolute_timeout_;
    settings->serve_cached_for = serve_cached_for_;
    settings->issuer = issuer_;
    if (foreign_) {
      settings->foreign.emplace();
      settings->foreign->subject = foreign_->subject;
      settings->foreign->claims = foreign_->claims;
      for (const Secret& secret : foreign_->secrets) {
        settings->foreign->secrets.emplace_back(std::string(secret.reveal().begin(), secret.reveal().end()));
      }
    }
    settings_ = std::move(settings);
  }

  // Lets everything run that can.
  void settle() {
    context_.restart();
    context_.poll();
  }
  template <class T>
  std::unique_ptr<Pending<T>> begin(Task<T> task) {
    auto pending = std::make_unique<Pending<T>>();
    boost::asio::co_spawn(
        context_.get_executor(), std::move(task),
        boost::asio::bind_cancellation_slot(pending->give_up.slot(), [at = pending.get()](const std::exception_ptr& broken, T result) {
          if (!broken) at->result = std::move(result);
        }));
    settle();
    return pending;
  }
  template <class T>
  T run(Task<T> task) {
    auto pending = begin(std::move(task));
    EXPECT_TRUE(pending->result) << "never answered";
    return pending->result ? std::move(*pending->result) : T{};
  }

  // A session in the store; its cookie.
  std::string create(std::string subject = "alice", std::string_view claims = "{}") {
    auto made = keys_->make_session_id();
    key_ = made.key;
    const auto created = run(store_.create_session({made.key, std::move(subject), *Json::parse(claims), idle_timeout_, absolute_timeout_}));
    EXPECT_TRUE(created);
    return made.text;
  }

  identity::AuthOutcome outcome_of(const std::string& cookie) {
    if (auto known = sessions_.try_own(cookie, *settings_)) return std::move(*known);
    return run(sessions_.ask_own(cookie, settings_)).outcome;
  }
  std::string judge(const std::string& cookie) { return word_of(outcome_of(cookie)); }
  identity::IdentityPtr identity_of(const std::string& cookie) {
    const auto outcome = outcome_of(cookie);
    const auto* identity = std::get_if<identity::IdentityPtr>(&outcome);
    return identity == nullptr ? nullptr : *identity;
  }
  // Only from memory: "ask" where the store must be asked.
  std::string recall(const std::string& cookie) {
    const auto known = sessions_.try_own(cookie, *settings_);
    return known ? word_of(*known) : "ask";
  }
  std::string judge_foreign(const std::string& cookie) {
    if (auto known = sessions_.try_foreign(cookie, *settings_)) return word_of(*known);
    return word_of(run(sessions_.ask_foreign(cookie, settings_)));
  }
  std::string recall_foreign(const std::string& cookie) {
    const auto known = sessions_.try_foreign(cookie, *settings_);
    return known ? word_of(*known) : "ask";
  }
  std::size_t fetches() const { return store_.calls("find_session") + store_.calls("find_foreign_session"); }

  [[nodiscard]] bool revoke(store::Revocation::Kind kind, std::string value) {
    return revocations_.add({kind, std::move(value), clock_.wall_now(), std::chrono::hours(1)}, clock_.wall_now() + std::chrono::hours(1),
                            clock_.wall_now());
  }

  boost::asio::io_context context_{1};
  test::ManualClock clock_;
  store::RevocationList revocations_{1000};
  observe::WorkerMetrics metrics_;
  TaskGroup tasks_{context_, [](std::string_view what) { ADD_FAILURE() << "a task threw: " << what; }};
  testing::FakeStore store_{context_, clock_, &revocations_};
  SessionAuthenticator sessions_;
  TagKeysPtr keys_ = tag_keys_of({'a'});
  std::chrono::milliseconds idle_timeout_{std::chrono::minutes(30)};
  std::chrono::milliseconds absolute_timeout_{std::chrono::hours(24)};
  std::chrono::milliseconds serve_cached_for_{0};
  std::string issuer_ = "https://gateway.example";
  std::optional<ForeignSessions> foreign_;
  SessionSettingsPtr settings_;
  store::Digest key_{};  // of the session that was created last
};

}  // namespace sallyport::authenticate
