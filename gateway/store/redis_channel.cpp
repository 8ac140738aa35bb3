#include "store/redis_channel.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

using observe::Level;
using std::chrono::milliseconds;

constexpr std::string_view kInvalidations = "__redis__:invalidate";
constexpr std::uint64_t kVersionMin = 7;

Error unexpected() { return make_error(Fault::unavailable, "redis: an unexpected answer"); }

}  // namespace

RedisChannel::RedisChannel(std::shared_ptr<const RedisSetup> setup, std::shared_ptr<RedisAudience> audience,
                           boost::asio::io_context& control)
    : setup_(std::move(setup)),
      audience_(std::move(audience)),
      context_(control),
      wheel_(control),
      tasks_(control, [setup = setup_](std::string_view what) { setup->log.event(Level::error, "task_failed", what); }),
      backoff_timer_(control.get_executor()),
      beat_timer_(control.get_executor()),
      trouble_("redis: not connected yet") {}

void RedisChannel::start() {
  const std::shared_ptr<RedisChannel> self = shared_from_this();
  tasks_.spawn(listen(self));
  // Joins the group and holds on to its owner until then.
  boost::asio::co_spawn(context_.get_executor(), tasks_.join(), [self](const std::exception_ptr&) {});
}

void RedisChannel::stop() {
  if (stopped_) return;
  stopped_ = true;
  audience_->end_epoch();
  backoff_timer_.cancel();
  beat_timer_.cancel();
  if (connection_) connection_->close(Fault::closed, "redis: the gateway ends");
  connection_.reset();
}

std::string RedisChannel::trouble() const {
  if (!trouble_.empty()) return trouble_;
  if (std::chrono::steady_clock::now() > fresh_until_) return "redis: nothing was heard for more than a second";
  return list_was_full_ ? "redis: there are more revocations than the list holds" : "";
}

void RedisChannel::went_down(std::string why) {
  audience_->end_epoch();
  connection_.reset();
  pings_.clear();
  // A failing reconnection comes several times a second: it is logged when something new is to be said.
  if (trouble_ != why) setup_->log.event(Level::warning, "store_unreachable", setup_->settings.address() + ": " + why);
  trouble_ = std::move(why);
}

Task<void> RedisChannel::listen(std::shared_ptr<RedisChannel> self) {
  Backoff backoff;
  RedisDialer dialer(self->setup_->settings, self->setup_->tls.get(), self->context_, self->wheel_);
  while (!self->stopped_) {
    Result<std::shared_ptr<RedisConnection>> dialed = co_await dialer.dial("sallyport-channel", self->tasks_);
    Result<void> opened = dialed ? Result<void>() : Result<void>(dialed.error());
    if (dialed) opened = co_await open(self, *dialed);
    if (!opened || self->stopped_) {
      const std::string why = opened ? "redis: the gateway ends" : opened.error().detail;
      if (dialed) (*dialed)->close(Fault::broken, why);
      if (!self->stopped_) self->went_down(why);
    } else {
      const std::shared_ptr<RedisConnection> connection = *dialed;
      const MonotonicTime since = std::chrono::steady_clock::now();
      self->setup_->log.event(Level::info, "store_connected", self->setup_->settings.address());
      self->trouble_.clear();
      if (!self->list_was_full_) self->setup_->revocations.complete();
      self->fresh_until_ = connection->heard_at() + kFreshness;
      self->audience_->begin_epoch(self->client_id_, self->fresh_until_);
      self->tasks_.spawn(RedisConnection::needs(connection, beat(self, connection)));
      co_await RedisConnection::ended(connection);
      if (std::chrono::steady_clock::now() - since > kFreshness) backoff.reset();
      if (!self->stopped_) self->went_down(connection->failure().detail);
    }
    if (self->stopped_) break;
    self->backoff_timer_.expires_after(backoff.next());
    auto waited = co_await self->backoff_timer_.async_wait(as_result);
    (void)waited;
  }
}

Task<Result<void>> RedisChannel::open(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection) {
  std::shared_ptr<PendingReply> asked_id = connection->send({"CLIENT", "ID"});
  std::shared_ptr<PendingReply> asked_time = connection->send({"TIME"});
  const Result<RedisReply> id = co_await RedisConnection::reply_to(connection, asked_id);
  if (!id) co_return id.error();
  const Result<RedisReply> time = co_await RedisConnection::reply_to(connection, asked_time);
  if (!time) co_return time.error();
  if (id->is_error()) co_return meaning_of_error(id->text).error;
  if (time->is_error()) co_return meaning_of_error(time->text).error;
  if (!id->number() || time->elements.size() != 2) co_return unexpected();
  const auto seconds = parse_decimal(time->elements[0].text);
  if (!seconds || *seconds > static_cast<std::uint64_t>(kTimeMax / 1000)) co_return unexpected();
  self->client_id_ = *id->number();
  self->redis_now_ = static_cast<std::int64_t>(*seconds) * 1000;
  if (!self->inspected_) co_await inspect(self, connection);

  const std::int64_t start = std::max<std::int64_t>(self->redis_now_ - self->setup_->revocations_kept.count(), 0);
  std::int64_t from = start;
  if (self->last_seen_) {
    const auto seen = static_cast<std::int64_t>(std::min<std::uint64_t>(self->last_seen_->milliseconds, kTimeMax));
    // A clock that went back has dated what we do not know before what we do: then all of it is read.
    if (seen <= self->redis_now_) from = std::max(start, seen - milliseconds(kReplayMargin).count());
  }
  self->list_was_full_ = false;
  std::string position = std::to_string(from);
  const std::string stream = self->setup_->revocations_stream();
  const std::string count = std::to_string(kPage);
  for (;;) {
    std::shared_ptr<PendingReply> asked = connection->send({"XRANGE", stream, position, "+", "COUNT", count});
    const Result<RedisReply> page = co_await RedisConnection::reply_to(connection, asked);
    if (!page) co_return page.error();
    if (page->is_error()) co_return meaning_of_error(page->text).error;
    const Result<std::string> last = self->replay(*page);
    if (!last) co_return last.error();
    if (!last->empty()) position = "(" + *last;
    if (page->elements.size() < kPage) break;
  }
  const Result<void> subscribed = co_await subscribe(self, connection, std::move(position));
  co_return subscribed;
}

Task<Result<void>> RedisChannel::subscribe(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection,
                                           std::string from) {
  const std::string stream = self->setup_->revocations_stream();
  const std::string channel = self->setup_->revocations_channel();
  self->connection_ = connection;  // messages may follow the transaction's answer at once
  connection->on_push([weak = self->weak_from_this(), from = connection.get()](RedisReply push) {
    const std::shared_ptr<RedisChannel> alive = weak.lock();
    if (alive && !alive->stopped_ && alive->connection_.get() == from) alive->heard(std::move(push));
  });
  const std::string count = std::to_string(kPage);
  std::array<std::shared_ptr<PendingReply>, 4> queued{
      connection->send({"MULTI"}), connection->send({"XRANGE", stream, from, "+", "COUNT", count}),
      connection->send({"SUBSCRIBE", kInvalidations}), connection->send({"SUBSCRIBE", channel})};
  std::shared_ptr<PendingReply> executed = connection->send({"EXEC"});
  for (std::shared_ptr<PendingReply>& step : queued) {
    const Result<RedisReply> reply = co_await RedisConnection::reply_to(connection, step);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return meaning_of_error(reply->text).error;
  }
  const Result<RedisReply> outcome = co_await RedisConnection::reply_to(connection, executed);
  if (!outcome) co_return outcome.error();
  if (outcome->is_error()) co_return meaning_of_error(outcome->text).error;
  if (outcome->elements.size() != 3) co_return unexpected();
  for (const RedisReply& part : outcome->elements) {
    if (part.is_error()) co_return meaning_of_error(part.text).error;
    if (part.array() == nullptr) co_return unexpected();
  }
  const RedisReply& page = outcome->elements[0];
  const Result<std::string> last = self->replay(page);
  if (!last) co_return last.error();
  // Somebody revokes faster than we read: what was read counts, and the next attempt goes on from there.
  if (page.elements.size() >= kPage) co_return make_error(Fault::unavailable, "redis: the replay of revocations is not complete yet");
  co_return Result<void>();
}

// What an operator should know of the server, said once.
Task<void> RedisChannel::inspect(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection) {
  std::shared_ptr<PendingReply> asked_info = connection->send({"INFO", "server"});
  std::shared_ptr<PendingReply> asked_policy = connection->send({"CONFIG", "GET", "maxmemory-policy"});
  const Result<RedisReply> info = co_await RedisConnection::reply_to(connection, asked_info);
  const Result<RedisReply> policy = co_await RedisConnection::reply_to(connection, asked_policy);
  if (!info || !policy) co_return;
  self->inspected_ = true;  // a user who may not ask is not told, and need not be
  if (info->string() != nullptr) self->warn_of_version(*info->string());
  if (policy->elements.size() == 2 && policy->elements[1].text != "noeviction") {
    self->setup_->log.event(Level::warning, "store_evicts",
                            "redis: maxmemory-policy is " + policy->elements[1].text +
                                ": sessions and revocations may vanish when memory is short; set it to noeviction");
  }
}

void RedisChannel::warn_of_version(std::string_view info) {
  constexpr std::string_view kField = "redis_version:";
  const std::size_t at = info.find(kField);
  if (at == std::string_view::npos) return;
  const std::string_view version = info.substr(at + kField.size(), info.find('\r', at) - at - kField.size());
  const auto major = parse_decimal(version.substr(0, version.find('.')));
  if (major && *major >= kVersionMin) return;
  setup_->log.event(Level::warning, "store_is_old",
                    "redis: version " + std::string(version.substr(0, 32)) +
                        " is older than what this gateway is made for (7.0), and may have known vulnerabilities");
}

Result<std::string> RedisChannel::replay(const RedisReply& page) {
  if (page.array() == nullptr) return unexpected();
  std::string last;
  for (const RedisReply& entry : page.elements) {
    if (entry.elements.size() != 2 || entry.elements[0].string() == nullptr) return unexpected();
    const std::optional<StreamId> id = parse_stream_id(entry.elements[0].text);
    if (!id) return unexpected();
    last = entry.elements[0].text;
    last_seen_ = last_seen_ ? std::max(*last_seen_, *id) : *id;
    const std::vector<RedisReply>& fields = entry.elements[1].elements;
    const Result<RevocationRecord> record = fields.size() == 2 && fields[0].text == "r" && fields[1].string() != nullptr
                                                ? parse_revocation_record(fields[1].text)
                                                : Result<RevocationRecord>(make_error(Fault::malformed, "no revocation"));
    if (record) {
      add(*record, redis_now_);
    } else {
      setup_->log.event(Level::error, "revocation_unreadable", "redis: entry " + last + ": " + record.error().detail);
    }
  }
  return last;
}

void RedisChannel::add(const RevocationRecord& record, std::int64_t redis_now) {
  const std::int64_t left = record.revoked_at + record.revocation.keep_for.count() - redis_now;
  if (left <= 0) return;
  const WallTime wall_now = setup_->clock.wall_now();
  if (setup_->revocations.add(record.revocation, wall_now + std::min(milliseconds(left), setup_->revocations_kept), wall_now)) return;
  if (!list_was_full_) setup_->log.event(Level::error, "revocations_full", "there are more revocations than the list holds");
  list_was_full_ = true;
}

void RedisChannel::heard(RedisReply push) {
  std::vector<RedisReply>& parts = push.elements;
  if (parts.size() == 2 && parts[0].text == "pong") return heard_pong(parts[1]);
  if (parts.size() == 3 && parts[0].text == "message") {
    if (parts[1].text == kInvalidations) {
      if (heard_invalidation(parts[2])) return;
    } else if (parts[1].text == setup_->revocations_channel() && parts[2].string() != nullptr) {
      return heard_revocation(parts[2].text);
    }
  }
  connection_->close(Fault::broken, "redis: an unexpected message");
}

// All that Redis had to say before it answered has been told to the workers by now.
void RedisChannel::heard_pong(const RedisReply& number) {
  const std::optional<std::uint64_t> which = parse_decimal(number.text);
  while (!pings_.empty() && which && pings_.front().number < *which) pings_.pop_front();
  if (pings_.empty() || !which || pings_.front().number != *which) {
    return connection_->close(Fault::broken, "redis: an answer to another question");
  }
  const bool was_silent = std::chrono::steady_clock::now() > fresh_until_;
  fresh_until_ = pings_.front().sent_at + kFreshness;
  pings_.pop_front();
  // After a silence the workers begin anew: one of them may look at the time before what came with this answer has reached it.
  if (was_silent) {
    audience_->begin_epoch(client_id_, fresh_until_);
  } else {
    audience_->keep_fresh(fresh_until_);
  }
}

bool RedisChannel::heard_invalidation(RedisReply& keys) {
  if (keys.is_nil()) {  // FLUSHALL or FLUSHDB
    audience_->tell_all_ended();
    return true;
  }
  if (keys.array() == nullptr) return false;
  std::vector<std::string> names;
  names.reserve(keys.elements.size());
  for (RedisReply& key : keys.elements) names.push_back(std::move(key.text));
  audience_->tell_keys(std::move(names));
  return true;
}

void RedisChannel::heard_revocation(std::string_view text) {
  const Result<RevocationMessage> message = parse_revocation_message(text);
  if (!message) {
    setup_->log.event(Level::error, "revocation_unreadable", "redis: " + message.error().detail);
    return;
  }
  if (const auto id = parse_stream_id(message->id)) last_seen_ = last_seen_ ? std::max(*last_seen_, *id) : *id;
  add(message->record, message->record.revoked_at);
}

Task<void> RedisChannel::beat(std::shared_ptr<RedisChannel> self, std::shared_ptr<RedisConnection> connection) {
  while (connection->is_open()) {
    const MonotonicTime at = std::chrono::steady_clock::now();
    if (!self->pings_.empty() && at - self->pings_.front().sent_at > std::max(2 * self->setup_->settings.command_timeout, kFreshness)) {
      connection->close(Fault::timed_out, "redis: it does not answer");
      break;
    }
    const std::string number = std::to_string(++self->pings_sent_);
    self->pings_.push_back({self->pings_sent_, at});
    connection->send_unanswered({"PING", number});
    self->forget_old();
    self->beat_timer_.expires_after(kHeartbeat);
    auto waited = co_await self->beat_timer_.async_wait(as_result);
    (void)waited;
  }
}

void RedisChannel::forget_old() {
  if (std::chrono::steady_clock::now() - forgot_at_ < kForgetEvery) return;
  forgot_at_ = std::chrono::steady_clock::now();
  setup_->revocations.forget(setup_->clock.wall_now());
  // What found no room is asked for again when there is some.
  if (list_was_full_ && setup_->revocations.has_room()) {
    last_seen_.reset();
    connection_->close(Fault::broken, "redis: the revocations that found no room are read again");
  }
}

}  // namespace sallyport::store
