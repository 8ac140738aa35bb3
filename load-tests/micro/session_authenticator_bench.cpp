#include "authenticate/session_authenticator.hpp"

#include <cstring>
#include <memory>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/keyed_hash.hpp"
#include "stage.hpp"
#include "support/fake_store.hpp"
#include "support/manual_clock.hpp"
#include "support/token_factory.hpp"

namespace sallyport::micro {
namespace {

// A worker's share of sessions, with one session in the store.
class SessionMemory {
 public:
  SessionMemory() {
    store_.add_listener(sessions_);
    sessions_.use_store(store_);
    std::vector<Secret> secrets;
    secrets.emplace_back(std::string(32, 'k'));
    const auto keys = std::make_shared<const authenticate::TagKeys>(std::move(secrets));
    sessions_.use_keys(keys);
    auto made = keys->make_session_id();
    cookie_ = made.text;
    const auto claims =
        testing::need(Json::parse(R"({"roles":["reader"],"scope":"orders:read orders:write","email":"user@load.example"})"));
    settle(store_.create_session({made.key, "user-0001", claims, settings_->idle_timeout, settings_->absolute_timeout}));
    settle(sessions_.ask_own(cookie_, settings_));
  }
  [[nodiscard]] bool recall() { return sessions_.try_own(cookie_, *settings_).has_value(); }
  [[nodiscard]] const std::string& cookie() const noexcept { return cookie_; }

 private:
  template <class T>
  void settle(Task<T> task) {
    boost::asio::co_spawn(context_.get_executor(), std::move(task), [](const std::exception_ptr& broken, const T&) {
      if (broken) std::rethrow_exception(broken);
    });
    context_.restart();
    context_.poll();
  }

  boost::asio::io_context context_{1};
  test::ManualClock clock_;
  store::RevocationList revocations_{1000};
  observe::WorkerMetrics metrics_;
  TaskGroup tasks_{context_, [](std::string_view) {}};
  testing::FakeStore store_{context_, clock_, &revocations_};
  authenticate::SessionAuthenticator sessions_{{revocations_, clock_, tasks_, metrics_}};
  authenticate::SessionSettingsPtr settings_ = std::make_shared<const authenticate::SessionSettings>();
  std::string cookie_;
};

}  // namespace

void add_sessions(std::vector<Stage>& to) {
  to.push_back({"session remembered",
                [] {
                  auto at = std::make_shared<SessionMemory>();
                  if (!at->recall()) throw std::runtime_error("the session is not remembered");
                  return [at] { keep(at->recall()); };
                },
                [] {
                  return [hash = KeyedHash(), cookie = std::string(64, 'c'), copy = std::string(64, 'c')] {
                    keep(hash(cookie));
                    keep(std::memcmp(copy.data(), cookie.data(), cookie.size()));
                  };
                },
                "its hash, and one comparison"});
}

}  // namespace sallyport::micro
