// One process that uses a Redis: its service, its workers, its log.
#pragma once

#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "store/redis_store.hpp"
#include "store_contract.hpp"
#include "support/test_certificates.hpp"

namespace sallyport::store {

class RedisProcess {
 public:
  struct Wish {
    RedisSettings redis{};
    std::size_t workers = 1;
    std::size_t revocations_max = 10'000;
    const Clock* clock = nullptr;  // nullptr: the system's
  };

  explicit RedisProcess(std::uint16_t port, std::chrono::milliseconds command_timeout = std::chrono::seconds(5))
      : RedisProcess(wish(port, command_timeout)) {}
  explicit RedisProcess(const Wish& wish)
      : revocations_(wish.revocations_max),
        writer_(observe::Sink{observe::Sink::Kind::file, folder_.file("log")}, 1024 * 1024),
        log_(writer_, observe::Level::info, clock_) {
    StoreSettings settings;
    settings.redis = wish.redis;
    auto opened = open_redis_store(
        settings, {control_.context(), control_.wheel(), revocations_, log_, wish.clock != nullptr ? *wish.clock : clock_});
    if (!opened) throw std::runtime_error("the store does not open: " + opened.error().detail);
    service_ = std::move(*opened);
    for (std::size_t i = 0; i < wish.workers; ++i) workers_.push_back(std::make_unique<StoreWorker>(*service_));
    control_.start();
  }
  ~RedisProcess() { end(); }
  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  static Wish wish(std::uint16_t port, std::chrono::milliseconds command_timeout) {
    Wish wish;
    wish.redis.host = "127.0.0.1";
    wish.redis.port = port;
    wish.redis.command_timeout = command_timeout;
    return wish;
  }

  void end() {
    if (!service_) return;
    for (auto& worker : workers_) worker->stop();
    control_.run([this] { service_->stop(); });
    control_.stop();
    service_.reset();
  }

  [[nodiscard]] StoreWorker& worker(std::size_t index = 0) { return *workers_.at(index); }
  [[nodiscard]] RevocationList& revocations() noexcept { return revocations_; }
  [[nodiscard]] bool hears() {
    return std::ranges::all_of(workers_, [](auto& worker) { return worker->hears_changes(); });
  }
  [[nodiscard]] std::string trouble() {
    std::string trouble;
    control_.run([&] { trouble = service_->trouble(); });
    return trouble;
  }
  // All lines so far.
  [[nodiscard]] std::string log() const {
    std::ifstream in(folder_.file("log"), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  Result<std::optional<Session>> find(std::string_view id) {
    return worker().call([key = key_of(id)](Store& store) { return store.find_session(key); });
  }
  // What a seeker is told. Fault::unsupported: there is no way without a coroutine now.
  Result<std::optional<Session>> seek(std::string_view id) {
    const auto seeker = std::make_shared<Seeker>();
    auto answer = seeker->answer.get_future();
    const Digest key = key_of(id);
    const Result<void> began = worker().call([key, seeker](Store& store) { return begin_seeking(store, key, seeker); });
    if (!began) return began.error();
    if (answer.wait_for(std::chrono::seconds(20)) != std::future_status::ready) return make_error(Fault::internal, "nobody was told");
    return answer.get();
  }
  Result<void> create(std::string_view id, std::string_view subject, std::chrono::milliseconds idle = std::chrono::hours(1)) {
    NewSession session{key_of(id), std::string(subject), *Json::parse(R"({"roles":["admin"]})"), idle, std::chrono::hours(24)};
    return worker().call([session](Store& store) { return store.create_session(session); });
  }
  Result<Family> begin_family(std::string_view id, std::string_view subject) {
    NewFamily family{key_of(id), std::string(subject), *Json::parse("{}"), std::chrono::hours(1), std::chrono::hours(24)};
    return worker().call([family](Store& store) { return store.create_family(family); });
  }
  Result<Rotation> rotate(std::string_view id, std::uint64_t generation,
                          RotationRules rules = {std::chrono::hours(1), std::chrono::hours(1)}) {
    return worker().call([key = key_of(id), generation, rules](Store& store) { return store.rotate_family(key, generation, rules); });
  }
  Result<void> revoke(Revocation revocation) {
    return worker().call([revocation](Store& store) { return store.revoke(revocation); });
  }

 private:
  struct Seeker final : SessionSeeker {
    std::promise<Result<std::optional<Session>>> answer;
    void told(Result<std::optional<Session>>&& found) override { answer.set_value(std::move(found)); }
  };
  static Task<Result<void>> begin_seeking(Store& store, Digest key, std::shared_ptr<SessionSeeker> seeker) {
    if (!store.seek_session(key, std::move(seeker), std::chrono::steady_clock::now())) co_return make_error(Fault::unsupported, "not now");
    co_return Result<void>();
  }

  test::TemporaryFolder folder_;
  SystemClock clock_;
  ContextThread control_;
  RevocationList revocations_;
  observe::LineWriter writer_;
  observe::Log log_;
  std::unique_ptr<StoreService> service_;
  std::vector<std::unique_ptr<StoreWorker>> workers_;
};

}  // namespace sallyport::store
