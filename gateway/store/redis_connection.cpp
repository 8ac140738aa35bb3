#include "store/redis_connection.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hpp"
#include "transport/connector.hpp"

namespace sallyport::store {
namespace {

// A reply's text may be anything: what is shown of it is short and printable, and without the words of ours that Redis repeats.
std::string printable(std::string_view text) {
  constexpr std::size_t kShownMax = 200;
  std::string shown(text.substr(0, std::min(text.find(", with args"), kShownMax)));
  std::ranges::replace_if(shown, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return shown;
}

}  // namespace

RedisConnection::RedisConnection(std::unique_ptr<transport::Stream> stream, std::chrono::milliseconds command_timeout,
                                 const RedisReplyLimits& limits)
    : stream_(std::move(stream)),
      command_timeout_(command_timeout),
      decoder_(limits),
      heard_at_(std::chrono::steady_clock::now()),
      work_(stream_->executor()),
      watch_(stream_->executor()),
      end_(stream_->executor()) {
  end_.expires_at(MonotonicTime::max());
}

void RedisConnection::start(TaskGroup& tasks) {
  const std::shared_ptr<RedisConnection> self = shared_from_this();
  tasks.spawn(needs(self, read_replies(self)));
  tasks.spawn(needs(self, write_commands(self)));
  tasks.spawn(needs(self, watch(self)));
}

Task<void> RedisConnection::needs(std::shared_ptr<RedisConnection> connection, Task<void> task) {
  try {
    co_await std::move(task);
  } catch (const std::exception& failure) {
    connection->close(Fault::broken, std::string("redis: ") + failure.what());
  }
}

bool RedisConnection::is_overdue() const noexcept { return is_overdue(std::chrono::steady_clock::now()); }

bool RedisConnection::is_overdue(MonotonicTime now) const noexcept {
  return !places_.empty() && now - places_.front().queued_at > command_timeout_;
}

bool RedisConnection::send(std::initializer_list<Command> commands, const std::shared_ptr<ReplyHearer>& hearer, MonotonicTime now) {
  const bool has_room = places_.size() + commands.size() <= kInFlightMax && unsent_.size() < kUnsentBytesMax;
  if (!is_open() || !has_room || is_overdue(now)) return false;
  if (unsent_.empty()) work_.wake();
  const std::size_t places = places_.size();
  const std::size_t bytes = unsent_.size();
  try {
    for (const Command words : commands) {
      append_command(unsent_, words);
      places_.push_back({hearer, now});
    }
  } catch (...) {  // no memory: a command without its place, or the other way round, would give everybody the next one's reply
    unsent_.truncate(bytes);
    while (places_.size() > places) places_.pop_back();
    throw;
  }
  return true;
}

std::shared_ptr<PendingReply> RedisConnection::send(std::span<const std::string_view> words) {
  auto pending = std::make_shared<PendingReply>(stream_->executor());
  return send({words}, pending, std::chrono::steady_clock::now()) ? pending : nullptr;
}

void RedisConnection::send_unanswered(std::initializer_list<std::string_view> words) {
  if (!is_open() || unsent_.size() >= kUnsentBytesMax) return;
  if (unsent_.empty()) work_.wake();
  append_command(unsent_, words);
}

Task<Result<RedisReply>> RedisConnection::reply_to(std::shared_ptr<RedisConnection> connection, std::shared_ptr<PendingReply> pending) {
  if (!pending) {
    if (!connection->is_open()) co_return make_error(Fault::unavailable, connection->failure().detail);
    co_return make_error(Fault::unavailable, connection->is_overdue() ? "redis: it does not answer" : "redis: too many commands under way");
  }
  while (!pending->result_) {
    Event::Wait landing = pending->landed_.wait();
    co_await std::move(landing);
  }
  co_return std::move(*pending->result_);
}

void PendingReply::replied(Result<RedisReply> reply) {
  result_.emplace(std::move(reply));
  landed_.wake();
}

void RedisConnection::deliver(RedisReply&& reply) {
  if (places_.empty()) {
    if (on_push_) return on_push_(std::move(reply));
    return close(Fault::broken, "redis: an answer that nobody asked for");
  }
  const Place place = std::move(places_.front());
  places_.pop_front();
  heard_at_ = place.queued_at;
  if (place.hearer) place.hearer->replied(std::move(reply));
}

void RedisConnection::give_up_overdue() {
  const MonotonicTime now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < places_.size() && now - places_[i].queued_at >= command_timeout_; ++i) {  // whoever is told may send or close
    const std::shared_ptr<ReplyHearer> hearer = std::exchange(places_[i].hearer, nullptr);
    if (hearer) hearer->replied(make_error(Fault::timed_out, "redis: no answer in time"));
  }
}

// No later than the next command's timeout: none that is queued until then ends before the look after it.
std::chrono::milliseconds RedisConnection::until_next_look() const noexcept {
  constexpr std::chrono::milliseconds kLookMin{10};
  std::chrono::milliseconds wait = std::clamp(command_timeout_, kLookMin, kHeartbeat);
  const auto waiting = std::ranges::find_if(places_, [](const Place& place) { return place.hearer != nullptr; });
  if (waiting == places_.end()) return wait;
  const auto left = waiting->queued_at + command_timeout_ - std::chrono::steady_clock::now();
  return std::clamp(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0), wait);
}

void RedisConnection::close(Fault fault, std::string why) {
  if (failure_) return;
  failure_ = make_error(fault, std::move(why));
  const std::shared_ptr<RedisConnection> self = shared_from_this();  // a waiter's end may be the owner's
  stream_->abort();
  for (const Place& place : std::exchange(places_, {})) {
    if (place.hearer) place.hearer->replied(make_error(Fault::broken, failure_->detail));
  }
  work_.wake();
  watch_.cancel();
  end_.cancel();
}

void RedisConnection::leave(std::string why) {
  if (is_open() && sending_.empty() && !unsent_.empty()) (void)stream_->try_write(unsent_.view());
  close(Fault::closed, std::move(why));
}

Task<void> RedisConnection::ended(std::shared_ptr<RedisConnection> connection) {
  while (connection->is_open()) {
    auto waited = co_await connection->end_.async_wait(as_result);
    (void)waited;
  }
}

Task<void> RedisConnection::read_replies(std::shared_ptr<RedisConnection> self) {
  while (self->is_open()) {
    const std::span<char> room = self->decoder_.room();
    const transport::IoResult got = co_await self->stream_->read_some(room);
    if (!got.ok()) {
      self->close(Fault::broken,
                  got.status == transport::IoStatus::closed ? "redis: it closed the connection" : "redis: the connection was lost");
      break;
    }
    self->decoder_.commit(got.bytes);
    while (self->is_open()) {
      Result<std::optional<RedisReply>> reply = self->decoder_.next();
      if (!reply) {
        self->close(Fault::broken, "redis: " + reply.error().detail);
        break;
      }
      if (!reply->has_value()) break;
      self->deliver(std::move(**reply));
    }
  }
}

Task<void> RedisConnection::write_commands(std::shared_ptr<RedisConnection> self) {
  while (self->is_open()) {
    if (self->unsent_.empty()) {
      Event::Wait work = self->work_.wait();
      co_await std::move(work);
      continue;
    }
    std::swap(self->unsent_, self->sending_);
    ++self->writes_;
    const std::string_view bytes = self->sending_.view();
    const transport::IoResult sent = co_await self->stream_->write_all(bytes);
    if (!sent.ok()) {
      self->close(Fault::broken, "redis: the connection was lost");
      break;
    }
    self->sending_.clear();
  }
}

// Commands that take too long are given up. A server that hangs is given up after twice the time that a command has; one that nobody asks
// anything is asked for a sign of life.
Task<void> RedisConnection::watch(std::shared_ptr<RedisConnection> self) {
  MonotonicTime last_beat = std::chrono::steady_clock::now();
  while (self->is_open()) {
    self->watch_.expires_after(self->until_next_look());
    auto waited = co_await self->watch_.async_wait(as_result);
    (void)waited;
    self->give_up_overdue();
    if (!self->is_open()) break;
    const bool is_hung =
        !self->places_.empty() && std::chrono::steady_clock::now() - self->places_.front().queued_at > 2 * self->command_timeout_;
    if (is_hung) {
      self->close(Fault::timed_out, "redis: it does not answer");
      break;
    }
    if (!self->on_push_ && self->places_.empty() && std::chrono::steady_clock::now() - last_beat >= kHeartbeat) {
      last_beat = std::chrono::steady_clock::now();
      (void)self->send({"PING"});
    }
  }
}

Task<Result<std::shared_ptr<RedisConnection>>> RedisDialer::dial(std::string client_name, TaskGroup& tasks) {
  std::string failure;
  try {
    Result<std::shared_ptr<RedisConnection>> dialed = co_await attempt(std::move(client_name), tasks);
    co_return dialed;
  } catch (const std::exception& exception) {  // the kernel or the memory has no room: whoever dials tries again
    failure = exception.what();
  }
  co_return make_error(Fault::unavailable, "redis: " + failure);
}

Task<Result<std::shared_ptr<RedisConnection>>> RedisDialer::attempt(std::string client_name, TaskGroup& tasks) {
  const std::chrono::milliseconds patience = std::max(2 * settings_.command_timeout, std::chrono::milliseconds(500));
  // A connector of its own for each attempt: its memory of addresses must not outlive a failover that DNS knows of.
  transport::Connector connector(settings_.host, settings_.port, tls_, settings_.host, context_, wheel_);
  Result<std::unique_ptr<transport::Stream>> stream = co_await connector.connect(patience);
  if (!stream) co_return make_error(stream.error().fault, "redis: " + stream.error().detail);
  auto connection = std::make_shared<RedisConnection>(std::move(*stream), settings_.command_timeout);
  connection->start(tasks);
  const Result<void> introduced = co_await introduce(connection, std::move(client_name));
  if (!introduced) {
    connection->close(Fault::broken, introduced.error().detail);
    co_return introduced.error();
  }
  co_return connection;
}

Task<Result<void>> RedisDialer::introduce(std::shared_ptr<RedisConnection> connection, std::string client_name) {
  std::shared_ptr<PendingReply> authenticated;
  if (settings_.password_file || !settings_.username.empty()) {
    Secret password;
    if (settings_.password_file) {
      Result<Secret> read = read_secret_file(*settings_.password_file);
      if (!read) co_return make_error(Fault::unavailable, "password_file: " + read.error().detail);
      password = std::move(*read);
    }
    const std::string_view bytes(reinterpret_cast<const char*>(password.reveal().data()), password.size());
    authenticated = settings_.username.empty() ? connection->send({"AUTH", bytes}) : connection->send({"AUTH", settings_.username, bytes});
  }
  const std::string database = std::to_string(settings_.database);
  std::shared_ptr<PendingReply> selected = settings_.database != 0 ? connection->send({"SELECT", database}) : nullptr;
  std::shared_ptr<PendingReply> named = connection->send({"CLIENT", "SETNAME", client_name});
  std::shared_ptr<PendingReply> alive = connection->send({"PING"});

  const std::array<std::shared_ptr<PendingReply>, 3> needed{authenticated, selected, alive};
  for (const std::shared_ptr<PendingReply>& step : needed) {
    if (!step) continue;
    const Result<RedisReply> reply = co_await RedisConnection::reply_to(connection, step);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return meaning_of_error(reply->text).error;
    if (reply->kind != RedisReply::Kind::status) co_return make_error(Fault::unavailable, "redis: an unexpected answer");
  }
  co_return Result<void>();  // whether it took the name does not matter
}

RedisErrorMeaning meaning_of_error(std::string_view text) {
  struct Known {
    std::string_view code;
    std::string_view advice;
    bool reconnect;
  };
  static constexpr std::array kKnown{
      Known{"NOAUTH", "it wants a password: set password_file", true},
      Known{"WRONGPASS", "it refuses the username or password", true},
      Known{"NOPERM", "the user lacks a right", false},
      Known{"LOADING", "it is loading its data", false},
      Known{"BUSY", "somebody's script runs too long there", false},
      Known{"OOM", "its memory is full (maxmemory)", false},
      Known{"READONLY", "it is a replica: the url must lead to the master", true},
      Known{"MOVED", "another node of a cluster has the key", true},
      Known{"ASK", "another node of a cluster has the key", true},
      Known{"TRYAGAIN", "the cluster moves the key right now", false},
      Known{"CLUSTERDOWN", "the cluster is down", false},
      Known{"MASTERDOWN", "the replica lost its master", true},
      Known{"MISCONF", "it cannot write to its disk", false},
      Known{"NOREPLICAS", "it has too few replicas to accept writes", false},
      Known{"WRONGTYPE", "something else stands under a key of ours", false},
      Known{"NOSCRIPT", "it lost our scripts", false},
      Known{"UNKILLABLE", "somebody's script runs too long there", false},
  };
  const std::string_view code = text.substr(0, text.find(' '));
  for (const Known& known : kKnown) {
    if (code == known.code) {
      std::string detail = "redis: ";
      detail.append(known.advice).append(" (").append(printable(text)).append(")");
      return {make_error(Fault::unavailable, std::move(detail)), known.reconnect};
    }
  }
  return {make_error(Fault::unavailable, "redis: " + printable(text)), false};
}

}  // namespace sallyport::store
