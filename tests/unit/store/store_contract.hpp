// What every kind of store promises. The cases are in store_contract_*_test.cpp; each kind says in its own test how it is opened:
//
//   INSTANTIATE_TEST_SUITE_P(Redis, StoreContract, ::testing::Values(KindOfStore{"redis", &make_redis_kind}), name_of_kind);
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "store/store.hpp"
#include "transport/deadline_wheel.hpp"

namespace sallyport::store {

// One store of a kind, empty at first, with all it needs (a folder, a server). Made anew for each test.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  // A process' side of it.
  [[nodiscard]] virtual Result<std::unique_ptr<StoreService>> open(const StoreSurroundings& surroundings) = 0;
  // Whether several processes may have it open at once.
  [[nodiscard]] virtual bool is_shared() const = 0;
  // Whether it is there after all processes have ended.
  [[nodiscard]] virtual bool is_durable() const { return true; }
  // The clock of the processes.
  [[nodiscard]] virtual const Clock& clock() const = 0;
  // Moves the store's time on: a clock, or real waiting.
  virtual void advance(std::chrono::milliseconds time) = 0;
  // Whether the store's time stands still but for advance(): then the tests look at the very millisecond.
  [[nodiscard]] virtual bool is_exact() const = 0;
  // What the tests count in: long against the noise of the store's clock, short enough to wait for a dozen.
  [[nodiscard]] virtual std::chrono::milliseconds unit() const = 0;
};

struct KindOfStore {
  const char* name;
  std::unique_ptr<StoreUnderTest> (*make)();
};

inline std::string name_of_kind(const ::testing::TestParamInfo<KindOfStore>& kind) { return kind.param.name; }

// Waits until it is so; false when it is not within the time.
[[nodiscard]] inline bool eventually(const std::function<bool()>& so, std::chrono::milliseconds within = std::chrono::seconds(5)) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!so()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Remembers what it was told. Asked from the test's thread.
class RecordingListener final : public ChangeListener {
 public:
  void session_changed(const Digest& key) override {
    const std::lock_guard lock(mutex_);
    sessions_.push_back(key);
  }
  void foreign_session_changed(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    foreign_.emplace_back(id);
  }
  void everything_changed() override {
    const std::lock_guard lock(mutex_);
    ++everything_;
  }
  void everything_ended() override {
    const std::lock_guard lock(mutex_);
    ++everything_;
    ++ended_;
  }

  [[nodiscard]] bool heard_of(const Digest& key) const {
    const std::lock_guard lock(mutex_);
    return std::find(sessions_.begin(), sessions_.end(), key) != sessions_.end();
  }
  [[nodiscard]] bool heard_of_foreign(std::string_view id) const {
    const std::lock_guard lock(mutex_);
    return std::find(foreign_.begin(), foreign_.end(), id) != foreign_.end();
  }
  [[nodiscard]] std::size_t everything() const {
    const std::lock_guard lock(mutex_);
    return everything_;
  }
  // How often the store was emptied; everything() counts those too.
  [[nodiscard]] std::size_t ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    ended_ = 0;
    sessions_.clear();
    foreign_.clear();
    everything_ = 0;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Digest> sessions_;
  std::vector<std::string> foreign_;
  std::size_t everything_ = 0;
  std::size_t ended_ = 0;
};

// An io_context and the thread that runs it.
class ContextThread {
 public:
  ContextThread() : guard_(boost::asio::make_work_guard(context_)), wheel_(context_) {}
  ~ContextThread() { stop(); }
  ContextThread(const ContextThread&) = delete;
  ContextThread& operator=(const ContextThread&) = delete;

  void start() {
    thread_ = std::thread([this] { context_.run(); });
  }
  // Runs `work` on the thread and waits for it.
  void run(std::function<void()> work) {
    std::packaged_task<void()> task(std::move(work));
    auto done = task.get_future();
    boost::asio::post(context_, [&task] { task(); });
    done.get();
  }
  // Lets the thread end when nothing is left to do.
  void stop() {
    if (!thread_.joinable()) return;
    run([this] {
      wheel_.stop();
      guard_.reset();
    });
    thread_.join();
  }

  [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
  [[nodiscard]] transport::DeadlineWheel& wheel() noexcept { return wheel_; }

 private:
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<Executor> guard_;
  transport::DeadlineWheel wheel_;
  std::thread thread_;
};

// A worker: its thread, its store, what its store told it.
class StoreWorker {
 public:
  explicit StoreWorker(StoreService& service) : store_(service.attach(thread_.context(), thread_.wheel(), listener_, metrics_)) {
    thread_.start();
  }
  ~StoreWorker() { stop(); }

  // Begins `call(Store&)`, which returns a Task, on the worker's thread.
  template <class Call>
  [[nodiscard]] auto begin(Call call) {
    using Outcome = typename std::invoke_result_t<Call, Store&>::value_type;
    return boost::asio::co_spawn(
        thread_.context().get_executor(), [this, call = std::move(call)]() mutable -> Task<Outcome> { return call(*store_); },
        boost::asio::use_future);
  }
  template <class Call>
  [[nodiscard]] auto call(Call call) {
    return begin(std::move(call)).get();
  }

  [[nodiscard]] bool hears_changes() {
    bool hears = false;
    thread_.run([&] { hears = store_->hears_changes(std::chrono::steady_clock::now()); });
    return hears;
  }
  // Waits until all that was posted to the worker has run.
  void settle() {
    thread_.run([] {});
  }
  // Destroys the store on its own thread, whatever it is doing.
  void detach() {
    thread_.run([this] { store_.reset(); });
  }
  void stop() {
    if (store_) detach();
    thread_.stop();
  }

  RecordingListener listener_;

 private:
  observe::WorkerMetrics metrics_;
  ContextThread thread_;
  std::unique_ptr<Store> store_;
};

// A process: its revocations, its service, two workers.
class StoreProcess {
 public:
  static constexpr std::size_t kRevocationsMax = 1000;

  explicit StoreProcess(StoreUnderTest& kind, std::size_t revocations_max = kRevocationsMax)
      : revocations_(revocations_max),
        writer_(observe::Sink{observe::Sink::Kind::off, {}}, 1024),
        log_(writer_, observe::Level::error, kind.clock()) {
    auto opened = kind.open({control_.context(), control_.wheel(), revocations_, log_, kind.clock()});
    if (!opened) throw std::runtime_error("the store does not open: " + opened.error().detail);
    service_ = std::move(*opened);
    for (auto& worker : workers_) worker = std::make_unique<StoreWorker>(*service_);
    control_.start();
  }
  ~StoreProcess() {
    for (auto& worker : workers_) worker->stop();
    control_.run([this] { service_->stop(); });
    control_.stop();
    service_.reset();
  }

  [[nodiscard]] StoreWorker& worker(std::size_t index) { return *workers_.at(index); }
  [[nodiscard]] RevocationList& revocations() noexcept { return revocations_; }
  [[nodiscard]] std::string trouble() {
    std::string trouble;
    control_.run([&] { trouble = service_->trouble(); });
    return trouble;
  }
  [[nodiscard]] bool is_ready() {
    return std::all_of(workers_.begin(), workers_.end(), [](auto& worker) { return worker->hears_changes(); });
  }

 private:
  ContextThread control_;
  RevocationList revocations_;
  observe::LineWriter writer_;
  observe::Log log_;
  std::unique_ptr<StoreService> service_;
  std::array<std::unique_ptr<StoreWorker>, 2> workers_;
};

[[nodiscard]] inline Digest key_of(std::string_view text) { return sha256(text); }

class StoreContract : public ::testing::TestWithParam<KindOfStore> {
 protected:
  static constexpr std::chrono::milliseconds kMillisecond{1};

  void SetUp() override {
    kind_ = GetParam().make();
    start();
  }
  void TearDown() override { end(); }

  void start() {
    first_ = std::make_unique<StoreProcess>(*kind_);
    if (kind_->is_shared()) second_ = std::make_unique<StoreProcess>(*kind_);
    ASSERT_TRUE(eventually([this] { return first_->is_ready() && other_process().is_ready(); })) << "the store is not reached";
  }
  void end() {
    second_.reset();
    first_.reset();
  }
  // All processes end, and begin again.
  void restart() {
    end();
    start();
  }

  // Two workers as far apart as the kind allows: of two processes where it is shared, else of one.
  [[nodiscard]] StoreWorker& here() { return first_->worker(0); }
  [[nodiscard]] StoreWorker& there() { return kind_->is_shared() ? second_->worker(0) : first_->worker(1); }
  [[nodiscard]] StoreProcess& this_process() { return *first_; }
  [[nodiscard]] StoreProcess& other_process() { return kind_->is_shared() ? *second_ : *first_; }

  [[nodiscard]] std::chrono::milliseconds units(int count) const { return kind_->unit() * count; }
  void pass(std::chrono::milliseconds time) { kind_->advance(time); }
  [[nodiscard]] bool is_exact() const { return kind_->is_exact(); }
  [[nodiscard]] bool is_durable() const { return kind_->is_durable(); }

  [[nodiscard]] static Json claims(std::string_view text) { return *Json::parse(text); }
  [[nodiscard]] NewSession new_session(std::string_view id, std::string_view subject, std::chrono::milliseconds idle,
                                       std::chrono::milliseconds absolute) const {
    return {key_of(id), std::string(subject), claims(R"({"roles":["admin"],"name":"Ünïcode \u0000 \"quoted\""})"), idle, absolute};
  }
  [[nodiscard]] NewFamily new_family(std::string_view id, std::string_view subject, std::chrono::milliseconds refresh,
                                     std::chrono::milliseconds family) const {
    return {key_of(id), std::string(subject), claims(R"({"scope":"orders:read","tenant":7})"), refresh, family};
  }

  // The calls, each on a worker, waited for.
  static Result<void> create(StoreWorker& worker, NewSession session) {
    return worker.call([session = std::move(session)](Store& store) { return store.create_session(session); });
  }
  static Result<std::optional<Session>> find(StoreWorker& worker, const Digest& key) {
    return worker.call([key](Store& store) { return store.find_session(key); });
  }
  static Result<bool> touch(StoreWorker& worker, const Digest& key, std::chrono::milliseconds idle) {
    return worker.call([key, idle](Store& store) { return store.touch_session(key, idle); });
  }
  static Result<bool> end_session(StoreWorker& worker, const Digest& key) {
    return worker.call([key](Store& store) { return store.end_session(key); });
  }
  static Result<std::vector<Session>> sessions_of(StoreWorker& worker, std::string subject) {
    return worker.call([subject = std::move(subject)](Store& store) { return store.sessions_of(subject); });
  }
  static Result<Family> create(StoreWorker& worker, NewFamily family) {
    return worker.call([family = std::move(family)](Store& store) { return store.create_family(family); });
  }
  static auto begin_rotation(StoreWorker& worker, const Digest& key, std::uint64_t generation, RotationRules rules) {
    return worker.begin([=](Store& store) { return store.rotate_family(key, generation, rules); });
  }
  static Result<Rotation> rotate(StoreWorker& worker, const Digest& key, std::uint64_t generation, RotationRules rules) {
    return begin_rotation(worker, key, generation, rules).get();
  }
  static Result<bool> end_family(StoreWorker& worker, const Digest& key) {
    return worker.call([key](Store& store) { return store.end_family(key); });
  }
  static Result<void> end_all_of(StoreWorker& worker, std::string subject) {
    return worker.call([subject = std::move(subject)](Store& store) { return store.end_all_of(subject); });
  }
  static Result<void> revoke(StoreWorker& worker, Revocation revocation) {
    return worker.call([revocation = std::move(revocation)](Store& store) { return store.revoke(revocation); });
  }
  static Result<std::string> agree(StoreWorker& worker, std::string name, std::string proposal) {
    auto agreed = worker.call([&](Store& store) { return store.agree_on_secret(name, Secret(proposal)); });
    if (!agreed) return agreed.error();
    const auto bytes = agreed->reveal();
    return std::string(bytes.begin(), bytes.end());
  }

  std::unique_ptr<StoreUnderTest> kind_;

 private:
  std::unique_ptr<StoreProcess> first_;
  std::unique_ptr<StoreProcess> second_;
};

}  // namespace sallyport::store
