// Redis as one worker uses it: one connection that comes back by itself, scripts, and the tracking of what was read through it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/task_group.hpp"
#include "observe/log.hpp"
#include "store/redis_connection.hpp"
#include "store/redis_scripts.hpp"
#include "store/store.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::store {

// What every connection of one store shares. Immutable; safe from every thread.
struct RedisSetup {
  RedisSettings settings;
  std::chrono::milliseconds revocations_kept;
  transport::SslContext tls;  // empty: clear text
  RevocationList& revocations;
  const observe::Log& log;
  const Clock& clock;
  [[nodiscard]] std::string key(std::string_view kind, std::string_view name) const {
    std::string key;
    write_key(key, kind, name);
    return key;
  }
  // The same in place of what is in `key`.
  void write_key(std::string& key, std::string_view kind, std::string_view name) const {
    key.clear();
    key.reserve(settings.prefix.size() + kind.size() + name.size() + 3);
    key.append(settings.prefix).append(kind).append(":{").append(name).append("}");
  }
  [[nodiscard]] std::string revocations_stream() const { return settings.prefix + "revocations"; }
  // Channels know no databases: those of databases other than the first carry their number.
  [[nodiscard]] std::string revocations_channel() const {
    return revocations_stream() + (settings.database == 0 ? "" : "@" + std::to_string(settings.database));
  }
};

// How long to wait before connecting again: doubles from kFirst to kMost, each time somewhere between half of it and all of it, so that a
// fleet does not come back in step.
class Backoff {
 public:
  static constexpr std::chrono::milliseconds kFirst{20};
  static constexpr std::chrono::milliseconds kMost{500};
  [[nodiscard]] std::chrono::milliseconds next();
  void reset() noexcept { attempts_ = 0; }

 private:
  unsigned attempts_ = 0;
};

// Hears on its own thread what comes through the channel of the process.
class ChannelHearer {
 public:
  virtual ~ChannelHearer() = default;
  // The channel is Redis' client `client_id` from now on: what is read is to be tracked for it. What was read before may have changed.
  virtual void channel_is_up(std::uint64_t epoch, std::int64_t client_id) = 0;
  virtual void keys_changed(const std::vector<std::string>& keys) = 0;
  virtual void all_ended() = 0;
};

// Where the channel, on the control thread, meets the workers. Safe from every thread.
class RedisAudience {
 public:
  // A hearer is told at once when the channel is up already.
  void join(Executor executor, std::weak_ptr<ChannelHearer> hearer);
  // Afterwards nothing is posted to its executor.
  void leave(const ChannelHearer* hearer);

  // By the channel. An epoch is one uninterrupted time of hearing; what is told while it lasts is complete.
  void begin_epoch(std::int64_t client_id, MonotonicTime fresh_until);
  void end_epoch();
  void keep_fresh(MonotonicTime until) { fresh_until_.store(until.time_since_epoch().count(), std::memory_order_release); }
  void tell_keys(std::vector<std::string> keys);
  void tell_all_ended();

  // By the hearers: whose own connection to Redis is up.
  void count_connected(bool is_up) noexcept { connected_.fetch_add(is_up ? 1 : -1, std::memory_order_relaxed); }
  // How many hearers cannot ask Redis now.
  [[nodiscard]] std::size_t unconnected();

  // Two atomic loads: whether everything is heard at `now`, in that epoch.
  [[nodiscard]] bool hears(std::uint64_t epoch, MonotonicTime now) const noexcept {
    return epoch != 0 && epoch_.load(std::memory_order_acquire) == epoch &&
           now.time_since_epoch().count() <= fresh_until_.load(std::memory_order_acquire);
  }
  [[nodiscard]] bool is_current(std::uint64_t epoch) const noexcept { return epoch_.load(std::memory_order_acquire) == epoch; }
  [[nodiscard]] bool is_fresh(MonotonicTime now) const noexcept { return hears(epoch_.load(std::memory_order_acquire), now); }

 private:
  struct Member {
    Executor executor;
    const ChannelHearer* identity;
    std::weak_ptr<ChannelHearer> hearer;
  };
  template <class Tell>
  void post_to_all(Tell tell);

  std::mutex mutex_;  // never on the road of a request
  std::vector<Member> members_;
  std::uint64_t epochs_ = 0;
  std::int64_t client_id_ = 0;
  std::atomic<std::ptrdiff_t> connected_{0};
  std::atomic<std::uint64_t> epoch_{0};  // 0: nothing is heard
  std::atomic<MonotonicTime::rep> fresh_until_{0};
};

class RedisClient final : public ChannelHearer, public std::enable_shared_from_this<RedisClient> {
 public:
  RedisClient(std::shared_ptr<const RedisSetup> setup, std::shared_ptr<RedisAudience> audience, boost::asio::io_context& context,
              ChangeListener& listener, observe::WorkerMetrics& metrics);

  // Begins to connect, on the context's thread; *this stays until stop() and the last task's end.
  void start();
  // No more calls of the listener; whoever waits for an answer gets Fault::broken or unavailable.
  void stop();

  struct Question {
    const RedisScript* script;
    std::string key;
    std::vector<std::string> arguments;
  };
  // What a script answered behind its key, and the connection that it came through, for who finds that it is not what was asked for.
  struct Answer {
    std::vector<RedisReply> values;
    std::shared_ptr<RedisConnection> from;
    MonotonicTime asked_at{};
  };
  // A question under way; several may be, to be asked in one go.
  struct Asked {
    Question question;
    std::shared_ptr<RedisConnection> connection;  // nullptr: there is none
    std::shared_ptr<PendingReply> pending;
    MonotonicTime at{};
  };
  [[nodiscard]] static Task<Result<Answer>> ask(std::shared_ptr<RedisClient> self, Question question);
  [[nodiscard]] Asked begin(Question question);
  // Fault::unavailable: it was not executed, or nothing is known; timed_out and broken: it may have been.
  [[nodiscard]] static Task<Result<Answer>> finish(std::shared_ptr<RedisClient> self, Asked asked);
  // Sends PTTL and GET for the key of that kind and name; whoever is told, of both in this order, asks refusal_in() about the replies.
  // nullptr: they cannot be sent now. The connection that they go through.
  [[nodiscard]] std::shared_ptr<RedisConnection> glance_at(std::string_view kind, std::string_view name,
                                                           const std::shared_ptr<ReplyHearer>& hearer, MonotonicTime now);
  // Why the reply to the command `name` is none; counts it then. nullopt: it is one, and whether it is an answer is for the caller to say.
  [[nodiscard]] std::optional<Error> refusal_in(const Result<RedisReply>& reply, std::string_view name,
                                                const std::shared_ptr<RedisConnection>& from);
  void count_answer(std::string_view name, const std::shared_ptr<RedisConnection>& from);
  // Belongs to the client as its own tasks do.
  void spawn(Task<void> task) { tasks_.spawn(std::move(task)); }

  // A script that was sent at `asked_at` read Redis' clock.
  void note_clock(std::int64_t now, MonotonicTime asked_at) noexcept { clock_ = {now, asked_at}; }
  // Redis' clock in Unix milliseconds at `now`, from what a script read within kFreshness: never behind it, ahead by at most that script's
  // way there. nullopt: none did.
  [[nodiscard]] std::optional<std::int64_t> clock_at(MonotonicTime now) const noexcept;

  // The answer was not what was asked for: nothing that comes through that connection can be believed. The error to return.
  [[nodiscard]] Error distrust(const Answer& answer, std::string_view why);

  // Keys that begin so are told as foreign sessions when they change. Remembered for good; few.
  void watch_foreign(std::string_view prefix);

  [[nodiscard]] bool hears_changes(MonotonicTime now) const noexcept;
  [[nodiscard]] const RedisSetup& setup() const noexcept { return *setup_; }

  void channel_is_up(std::uint64_t epoch, std::int64_t client_id) override;
  void keys_changed(const std::vector<std::string>& keys) override;
  void all_ended() override;

 private:
  static Task<void> stay_connected(std::shared_ptr<RedisClient> self);
  static Task<Result<void>> load_scripts(std::shared_ptr<RedisClient> self, std::shared_ptr<RedisConnection> connection);
  static Task<void> track(std::shared_ptr<RedisClient> self, std::shared_ptr<RedisConnection> connection, std::uint64_t epoch);
  static Task<void> wait_for_first_connection(std::shared_ptr<RedisClient> self);
  static Task<Result<RedisReply>> reply_or_reload(std::shared_ptr<RedisClient> self, const Asked& asked);
  [[nodiscard]] std::shared_ptr<PendingReply> send(RedisConnection& connection, const Question& question, bool with_body) const;
  [[nodiscard]] Error refuse(const std::shared_ptr<RedisConnection>& from, const RedisReply& error);
  [[nodiscard]] Error not_connected() const;
  void connection_made(std::shared_ptr<RedisConnection> connection);
  void connection_lost(const Error& why);
  void complain(std::string_view event, std::string_view text);

  std::shared_ptr<const RedisSetup> setup_;
  std::shared_ptr<RedisAudience> audience_;
  boost::asio::io_context& context_;
  transport::DeadlineWheel wheel_;  // of our own: it goes on while the worker's is stopped and connecting comes to its end
  ChangeListener& listener_;
  observe::WorkerMetrics& metrics_;
  TaskGroup tasks_;
  RedisTimer backoff_timer_;
  RedisTimer first_connection_;  // whoever waits for the first attempt's end
  std::shared_ptr<RedisConnection> connection_;
  std::optional<Error> down_;  // why there is none; nullopt at the very start
  std::vector<std::string> script_hashes_;
  std::uint64_t channel_epoch_ = 0;
  std::int64_t channel_client_ = 0;
  std::uint64_t tracked_epoch_ = 0;  // what is read through connection_ is told to this epoch's channel; 0: to none
  std::vector<std::string> foreign_prefixes_;
  std::string complaint_;
  MonotonicTime complained_at_{};
  struct ClockReading {
    std::int64_t now = 0;
    MonotonicTime asked_at{};
  };
  std::optional<ClockReading> clock_;  // of connection_'s server
  std::string key_;                    // room for glance_at()
  bool has_served_ = false;            // connection_ has answered a question
  bool stopped_ = false;
};

}  // namespace sallyport::store
