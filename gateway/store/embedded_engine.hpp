// The threads of the embedded store. A lane is a thread with a connection of its own: one lane writes and commits in groups, another reads
// beside it, so that a look-up does not wait for a disk. Questions come from workers; answers and changes go back to the worker's mailbox.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "store/embedded_tables.hpp"
#include "store/sqlite.hpp"
#include "store/store.hpp"

namespace sallyport::store {

class Mailbox;

// Sessions that a transaction changed: told to every worker once it is committed.
using ChangedSessions = std::vector<Digest>;

// What one worker asks of a lane, and the answer to it. Travels: worker, lane, worker.
class Question {
 public:
  Question(std::shared_ptr<Mailbox> asker, std::uint64_t number) : asker_(std::move(asker)), number_(number) {}
  virtual ~Question() = default;

  // On the lane's thread, within a transaction. An error takes back what it changed there.
  [[nodiscard]] virtual Result<void> run(EmbeddedTables& tables, WallTime now, ChangedSessions& changed) = 0;
  // The answer, whatever run() found.
  virtual void fail(Error error) = 0;

  [[nodiscard]] const std::shared_ptr<Mailbox>& asker() const noexcept { return asker_; }
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  std::shared_ptr<Mailbox> asker_;
  std::uint64_t number_;
};

template <class T>
class QuestionFor : public Question {
 public:
  using Question::Question;
  void fail(Error error) override { answer_ = std::move(error); }
  [[nodiscard]] Result<T> take() { return std::move(*answer_); }  // NOLINT(bugprone-unchecked-optional-access): answered before delivered

 protected:
  std::optional<Result<T>> answer_;
};

template <class T, class Work>
class QuestionOf final : public QuestionFor<T> {
 public:
  QuestionOf(std::shared_ptr<Mailbox> asker, std::uint64_t number, Work work)
      : QuestionFor<T>(std::move(asker), number), work_(std::move(work)) {}
  [[nodiscard]] Result<void> run(EmbeddedTables& tables, WallTime now, ChangedSessions& changed) override {
    this->answer_ = work_(tables, now, changed);
    if (!*this->answer_) return this->answer_->error();
    return {};
  }

 private:
  Work work_;
};

// Where what the lanes have to say to one worker arrives. Shared with whoever may outlive the store; all but post() belongs to the worker's
// thread.
class Mailbox : public std::enable_shared_from_this<Mailbox> {
 public:
  using Questions = std::vector<std::unique_ptr<Question>>;

  Mailbox(boost::asio::io_context& context, ChangeListener& listener, observe::WorkerMetrics& metrics)
      : context_(&context), executor_(context.get_executor()), listener_(&listener), metrics_(&metrics) {}

  // Any thread; nothing happens once it is closed.
  void post(std::shared_ptr<const ChangedSessions> changed, Questions answered);

  // Every call under way ends, with Fault::closed. Nothing is posted to the io_context and nobody is told of anything any more.
  void close();
  [[nodiscard]] bool is_closed() const noexcept { return listener_ == nullptr; }
  void count(std::string_view command, std::string_view result);

  // One call under way, in the frame of its coroutine.
  class Waiter {
   public:
    explicit Waiter(std::shared_ptr<Mailbox> mailbox);
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() { mailbox_->waiters_.erase(number_); }

    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    using Timer =
        boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
    [[nodiscard]] Timer& timer() noexcept { return timer_; }
    [[nodiscard]] std::unique_ptr<Question> take() noexcept { return std::move(answered_); }

   private:
    friend class Mailbox;
    std::shared_ptr<Mailbox> mailbox_;
    std::uint64_t number_;
    Timer timer_;
    std::unique_ptr<Question> answered_;
  };

  // Sees whether a session changed between a look at it and the use of what was seen: an answer may be older than the news that overtook
  // it.
  class Watch {
   public:
    Watch(std::shared_ptr<Mailbox> mailbox, const Digest& key);
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch();
    [[nodiscard]] bool has_changed() const noexcept { return has_changed_; }

   private:
    friend class Mailbox;
    std::shared_ptr<Mailbox> mailbox_;
    Digest key_;
    bool has_changed_ = false;
  };

 private:
  void deliver(const ChangedSessions* changed, Questions answered);
  struct HashOfDigest {
    std::size_t operator()(const Digest& digest) const noexcept;
  };

  std::mutex mutex_;
  boost::asio::io_context* context_;  // nullptr once closed; by mutex_
  Executor executor_;
  ChangeListener* listener_;         // nullptr once closed
  observe::WorkerMetrics* metrics_;  // as long as listener_
  std::uint64_t last_number_ = 0;
  std::unordered_map<std::uint64_t, Waiter*> waiters_;
  std::unordered_multimap<Digest, Watch*, HashOfDigest> watches_;
};

struct EngineLimits {
  std::size_t queue_max = 10'000;                // questions that wait for one lane
  std::size_t group_max = 512;                   // questions of one transaction
  std::size_t swept_min = 50;                    // rows of each table that a writing transaction removes when they are over
  std::chrono::milliseconds call_timeout{5000};  // of a worker's wait for an answer
  std::chrono::milliseconds probe_every{1000};   // while the disk is in trouble
  std::optional<std::int64_t> pages_max;         // of the file; nullopt: as many as the disk holds
};

class EmbeddedEngine {
 public:
  // Opens `path` (empty: in memory) and starts the lanes.
  [[nodiscard]] static Result<std::unique_ptr<EmbeddedEngine>> open(const std::string& path, const EngineLimits& limits, const Clock& clock,
                                                                    const observe::Log& log);
  ~EmbeddedEngine();
  EmbeddedEngine(const EmbeddedEngine&) = delete;
  EmbeddedEngine& operator=(const EmbeddedEngine&) = delete;

  enum class Access : std::uint8_t { read, write };
  // Any thread. Fault::unavailable: too many wait already, or the engine has stopped. A reader sees all that was acknowledged before.
  [[nodiscard]] Result<void> ask(Access access, std::unique_ptr<Question> question);

  [[nodiscard]] std::shared_ptr<Mailbox> attach(boost::asio::io_context& context, ChangeListener& listener,
                                                observe::WorkerMetrics& metrics);
  // Why nothing can be kept now; empty when it can. Any thread.
  [[nodiscard]] std::string trouble() const;
  // Answers what waits, then ends the lanes.
  void stop();

  [[nodiscard]] bool is_file() const noexcept { return reader_ != nullptr; }
  // Of a file: stops, closes it and gives up its lock. For good.
  void let_go();
  // Any thread.
  [[nodiscard]] bool has_let_go() const noexcept { return has_let_go_.load(std::memory_order_acquire); }

  [[nodiscard]] const EngineLimits& limits() const noexcept { return limits_; }
  // The revocations that were kept when it was opened.
  [[nodiscard]] std::vector<EmbeddedTables::KeptRevocation> take_revocations() { return std::move(revocations_); }

 private:
  using Questions = Mailbox::Questions;
  class Lane;
  EmbeddedEngine(std::string path, const EngineLimits& limits, const Clock& clock, const observe::Log& log);

  void read_group(SqliteDatabase& database, Questions questions);
  void write_group(SqliteDatabase& database, Questions questions);
  void probe(SqliteDatabase& database);
  void tell(const ChangedSessions& changed, Questions answered);
  void set_trouble(const std::string& trouble);

  std::string path_;
  EngineLimits limits_;
  const Clock& clock_;
  const observe::Log& log_;
  std::vector<EmbeddedTables::KeptRevocation> revocations_;

  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<Mailbox>> mailboxes_;  // by mutex_
  std::string trouble_;                            // by mutex_
  std::atomic<bool> has_trouble_{false};
  std::atomic<bool> has_let_go_{false};

  std::optional<FileLock> file_lock_;
  std::unique_ptr<Lane> writer_;
  std::unique_ptr<Lane> reader_;  // nullptr in memory; ends first, so that the writer closes the file
};

// Asks, and waits on the worker's thread. Takes values: outlives whoever called it.
template <class T, class Work>
Task<Result<T>> ask(std::shared_ptr<Mailbox> mailbox, EmbeddedEngine* engine, EmbeddedEngine::Access access, std::string_view command,
                    Work work) {
  Mailbox::Waiter waiter(mailbox);
  waiter.timer().expires_after(engine->limits().call_timeout);
  auto question = std::make_unique<QuestionOf<T, Work>>(mailbox, waiter.number(), std::move(work));
  if (auto taken = engine->ask(access, std::move(question)); !taken) {
    mailbox->count(command, "unavailable");
    co_return taken.error();
  }
  auto woken = co_await waiter.timer().async_wait(as_result);
  auto& [ec] = woken;
  const auto answered = waiter.take();
  if (answered == nullptr) {
    if (mailbox->is_closed()) co_return make_error(Fault::closed, "the store was closed");
    mailbox->count(command, "timeout");
    co_return make_error(Fault::timed_out, ec ? "nobody waits for the store any more" : "the store did not answer in time");
  }
  Result<T> answer = static_cast<QuestionFor<T>&>(*answered).take();
  mailbox->count(command, answer ? "ok" : "error");
  co_return answer;
}

}  // namespace sallyport::store
