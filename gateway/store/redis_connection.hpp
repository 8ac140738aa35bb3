// One connection to Redis: commands go out in the order they are given, replies belong to them in the same order.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>

#include "base/byte_buffer.hpp"
#include "base/clock.hpp"
#include "base/event.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/task_group.hpp"
#include "store/redis_codec.hpp"
#include "store/store.hpp"
#include "transport/deadline_wheel.hpp"
#include "transport/stream.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::store {

using RedisTimer =
    boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

// How long what was heard counts as news, on the command connections and on the channel, and how often each asks for a sign of life.
inline constexpr std::chrono::milliseconds kFreshness{1000};
inline constexpr std::chrono::milliseconds kHeartbeat{200};

// Who hears of the reply to one command.
class ReplyHearer {
 public:
  virtual ~ReplyHearer() = default;
  // Once, on the connection's thread and in the midst of its reading: what takes long is posted or spawned. Error replies of Redis are
  // replies. Fault::timed_out, broken (the connection was lost): the command may have been executed.
  virtual void replied(Result<RedisReply> reply) = 0;
};

// A command whose reply a coroutine waits for. The place in the queue is the connection's: whoever waits may give up, the reply is read all
// the same and goes to nobody else (hazards, CVE-2023-28858).
class PendingReply final : public ReplyHearer {
 public:
  explicit PendingReply(const Executor& executor) : landed_(executor) {}

 private:
  friend class RedisConnection;
  void replied(Result<RedisReply> reply) override;

  Event landed_;
  std::optional<Result<RedisReply>> result_;
};

class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  static constexpr std::size_t kInFlightMax = 1024;
  static constexpr std::size_t kUnsentBytesMax = 16 * 1024 * 1024;

  // `stream` is connected. start() begins; until closed() returns, the tasks in `tasks` hold on to *this.
  RedisConnection(std::unique_ptr<transport::Stream> stream, std::chrono::milliseconds command_timeout,
                  const RedisReplyLimits& limits = {});
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;
  void start(TaskGroup& tasks);
  // A task without which the connection is of no use: where it throws, the connection ends, and so somebody dials anew.
  [[nodiscard]] static Task<void> needs(std::shared_ptr<RedisConnection> connection, Task<void> task);

  // Queues a command; those of one turn of the loop go out in one write. nullptr when it cannot be taken: closed, overdue (see
  // is_overdue), or too much is under way. Where memory runs out it throws std::bad_alloc, and nothing is queued.
  [[nodiscard]] std::shared_ptr<PendingReply> send(std::span<const std::string_view> words);
  [[nodiscard]] std::shared_ptr<PendingReply> send(std::initializer_list<std::string_view> words) {
    return send(std::span(words.begin(), words.size()));
  }
  // The same for who waits in no coroutine, with several commands: he is told of each reply. False: they cannot all be taken, none is, and
  // nobody is told.
  using Command = std::span<const std::string_view>;
  [[nodiscard]] bool send(std::initializer_list<Command> commands, const std::shared_ptr<ReplyHearer>& hearer, MonotonicTime now);
  // Waits for its reply, for at most the command timeout since it was queued. Error replies of Redis are replies. `pending` may be nullptr.
  // Fault::unavailable: it was not sent. timed_out, broken (the connection was lost): it may have been executed.
  [[nodiscard]] static Task<Result<RedisReply>> reply_to(std::shared_ptr<RedisConnection> connection,
                                                         std::shared_ptr<PendingReply> pending);

  // What comes while no command is under way, for a connection that has subscribed. Without it such bytes end the connection.
  void on_push(std::function<void(RedisReply)> handler) { on_push_ = std::move(handler); }
  // A command that is answered by a push, if at all.
  void send_unanswered(std::initializer_list<std::string_view> words);

  // Ends it: whoever waits gets `why` (Fault::broken where the command was sent). Safe at any time; the first reason stays.
  void close(Fault fault, std::string why);
  // The same after a last attempt to send what is queued: what was asked for at the gateway's end has a chance to happen.
  void leave(std::string why);
  [[nodiscard]] bool is_open() const noexcept { return !failure_.has_value(); }
  // Why it ended; good once it is not open any more.
  [[nodiscard]] const Error& failure() const { return *failure_; }
  // Returns when it has ended.
  [[nodiscard]] static Task<void> ended(std::shared_ptr<RedisConnection> connection);

  // The oldest command waits longer than the command timeout: nothing more is sent, so that requests fail at once instead of piling up.
  [[nodiscard]] bool is_overdue() const noexcept;
  // When the latest command that has its reply was queued: until then at least the server knew this connection.
  [[nodiscard]] MonotonicTime heard_at() const noexcept { return heard_at_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return places_.size(); }
  [[nodiscard]] std::uint64_t writes() const noexcept { return writes_; }

 private:
  struct Place {
    std::shared_ptr<ReplyHearer> hearer;  // nullptr: was told that it took too long
    MonotonicTime queued_at;
  };

  static Task<void> read_replies(std::shared_ptr<RedisConnection> self);
  static Task<void> write_commands(std::shared_ptr<RedisConnection> self);
  static Task<void> watch(std::shared_ptr<RedisConnection> self);
  void deliver(RedisReply&& reply);
  [[nodiscard]] bool is_overdue(MonotonicTime now) const noexcept;
  // Tells whoever waits for longer than the command timeout.
  void give_up_overdue();
  [[nodiscard]] std::chrono::milliseconds until_next_look() const noexcept;

  std::unique_ptr<transport::Stream> stream_;
  std::chrono::milliseconds command_timeout_;
  RedisReplyDecoder decoder_;
  std::function<void(RedisReply)> on_push_;
  std::deque<Place> places_;  // one for every command that has no reply yet, in order
  ByteBuffer unsent_;
  ByteBuffer sending_;
  std::uint64_t writes_ = 0;
  MonotonicTime heard_at_{};
  std::optional<Error> failure_;
  Event work_;        // the writer waits here
  RedisTimer watch_;  // heartbeat and command timeouts wait here
  RedisTimer end_;    // whoever waits for the end
};

// What a connection needs before its first command.
class RedisDialer {
 public:
  // `tls`: nullptr for clear text; all references outlive *this.
  RedisDialer(const RedisSettings& settings, ssl_ctx_st* tls, boost::asio::io_context& context, transport::DeadlineWheel& wheel)
      : settings_(settings), tls_(tls), context_(context), wheel_(wheel) {}

  // Looks the name up anew, connects, authenticates (the password file is read now), selects the database and names the connection.
  // Fault::unavailable, timed_out, mismatch, ...; the detail is for the operator and holds no secret.
  [[nodiscard]] Task<Result<std::shared_ptr<RedisConnection>>> dial(std::string client_name, TaskGroup& tasks);

 private:
  [[nodiscard]] Task<Result<std::shared_ptr<RedisConnection>>> attempt(std::string client_name, TaskGroup& tasks);
  [[nodiscard]] Task<Result<void>> introduce(std::shared_ptr<RedisConnection> connection, std::string client_name);

  const RedisSettings& settings_;
  ssl_ctx_st* tls_;
  boost::asio::io_context& context_;
  transport::DeadlineWheel& wheel_;
};

// What an error reply means: text for the operator, and whether the connection is of no more use (READONLY, MOVED, NOAUTH, ...).
struct RedisErrorMeaning {
  Error error;  // Fault::unavailable
  bool reconnect = false;
};
[[nodiscard]] RedisErrorMeaning meaning_of_error(std::string_view text);

}  // namespace sallyport::store
