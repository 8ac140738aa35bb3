#include "store/redis_client.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

std::size_t index_of(const RedisScript* script) {
  const auto found = std::ranges::find(redis_scripts::kAll, script);
  return static_cast<std::size_t>(found - redis_scripts::kAll.begin());
}

std::string_view result_label(const Error& error) {
  switch (error.fault) {
    case Fault::timed_out:
    case Fault::broken: return "timeout";
    case Fault::unavailable: return "unavailable";
    case Fault::malformed:
    case Fault::too_large:
    case Fault::unsupported:
    case Fault::mismatch:
    case Fault::not_found:
    case Fault::closed:
    case Fault::internal: break;
  }
  return "error";
}

bool is_hash(std::string_view text) {
  constexpr std::size_t kSha1Digits = 40;
  return text.size() == kSha1Digits && std::ranges::all_of(text, [](char c) { return hex_digit(c).has_value(); });
}

}  // namespace

std::chrono::milliseconds Backoff::next() {
  const std::chrono::milliseconds whole = std::min(kMost, kFirst * (1 << std::min(attempts_, 10U)));
  ++attempts_;
  const auto half = static_cast<std::uint64_t>(whole.count() / 2);
  return std::chrono::milliseconds(static_cast<std::int64_t>(half + random_u64() % (half + 1)));
}

void RedisAudience::join(Executor executor, std::weak_ptr<ChannelHearer> hearer) {
  const std::lock_guard lock(mutex_);
  members_.push_back({executor, hearer.lock().get(), hearer});
  const std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
  if (epoch == 0) return;
  boost::asio::post(executor, [hearer = std::move(hearer), epoch, client = client_id_] {
    if (const auto alive = hearer.lock()) alive->channel_is_up(epoch, client);
  });
}

void RedisAudience::leave(const ChannelHearer* hearer) {
  const std::lock_guard lock(mutex_);
  std::erase_if(members_, [hearer](const Member& member) { return member.identity == hearer; });
}

std::size_t RedisAudience::unconnected() {
  const std::lock_guard lock(mutex_);
  const std::ptrdiff_t missing = std::ssize(members_) - connected_.load(std::memory_order_relaxed);
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(missing, 0));
}

template <class Tell>
void RedisAudience::post_to_all(Tell tell) {
  const std::lock_guard lock(mutex_);
  for (const Member& member : members_) {
    boost::asio::post(member.executor, [hearer = member.hearer, tell] {
      if (const auto alive = hearer.lock()) tell(*alive);
    });
  }
}

void RedisAudience::begin_epoch(std::int64_t client_id, MonotonicTime fresh_until) {
  std::uint64_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    epoch = ++epochs_;
    client_id_ = client_id;
    keep_fresh(fresh_until);
    epoch_.store(epoch, std::memory_order_release);
  }
  post_to_all([epoch, client_id](ChannelHearer& hearer) { hearer.channel_is_up(epoch, client_id); });
}

void RedisAudience::end_epoch() {
  epoch_.store(0, std::memory_order_release);
  fresh_until_.store(0, std::memory_order_release);
}

void RedisAudience::tell_keys(std::vector<std::string> keys) {
  post_to_all([shared = std::make_shared<const std::vector<std::string>>(std::move(keys))](ChannelHearer& hearer) {
    hearer.keys_changed(*shared);
  });
}

void RedisAudience::tell_all_ended() {
  post_to_all([](ChannelHearer& hearer) { hearer.all_ended(); });
}

RedisClient::RedisClient(std::shared_ptr<const RedisSetup> setup, std::shared_ptr<RedisAudience> audience, boost::asio::io_context& context,
                         ChangeListener& listener, observe::WorkerMetrics& metrics)
    : setup_(std::move(setup)),
      audience_(std::move(audience)),
      context_(context),
      wheel_(context),
      listener_(listener),
      metrics_(metrics),
      tasks_(context, [setup = setup_](std::string_view what) { setup->log.event(observe::Level::error, "task_failed", what); }),
      backoff_timer_(context.get_executor()),
      first_connection_(context.get_executor()) {
  first_connection_.expires_at(MonotonicTime::max());
}

void RedisClient::start() {
  const std::shared_ptr<RedisClient> self = shared_from_this();
  audience_->join(context_.get_executor(), self);
  tasks_.spawn(stay_connected(self));
  // Joins the group and holds on to its owner until then.
  boost::asio::co_spawn(context_.get_executor(), tasks_.join(), [self](const std::exception_ptr&) {});
}

void RedisClient::stop() {
  stopped_ = true;
  audience_->leave(this);
  backoff_timer_.cancel();
  if (connection_) connection_->leave("redis: the gateway ends");
  connection_lost(make_error(Fault::unavailable, "redis: the gateway ends"));
}

void RedisClient::connection_made(std::shared_ptr<RedisConnection> connection) {
  connection_ = std::move(connection);
  audience_->count_connected(true);
  down_.reset();
  first_connection_.cancel();
}

void RedisClient::connection_lost(const Error& why) {
  if (connection_) audience_->count_connected(false);
  connection_.reset();
  clock_.reset();
  tracked_epoch_ = 0;
  has_served_ = false;
  down_ = make_error(Fault::unavailable, why.detail);
  first_connection_.cancel();
}

Error RedisClient::not_connected() const { return down_ ? *down_ : make_error(Fault::unavailable, "redis: not connected yet"); }

Task<void> RedisClient::stay_connected(std::shared_ptr<RedisClient> self) {
  Backoff backoff;
  RedisDialer dialer(self->setup_->settings, self->setup_->tls.get(), self->context_, self->wheel_);
  while (!self->stopped_) {
    Result<std::shared_ptr<RedisConnection>> dialed = co_await dialer.dial("sallyport", self->tasks_);
    Result<void> ready = dialed ? Result<void>() : Result<void>(dialed.error());
    if (dialed) ready = co_await load_scripts(self, *dialed);
    if (!ready || self->stopped_) {
      if (dialed) (*dialed)->close(Fault::broken, ready ? "redis: the gateway ends" : ready.error().detail);
      if (!ready) self->connection_lost(ready.error());
    } else {
      const std::shared_ptr<RedisConnection> connection = *dialed;
      self->connection_made(connection);
      if (self->channel_epoch_ != 0) self->tasks_.spawn(track(self, connection, self->channel_epoch_));
      co_await RedisConnection::ended(connection);
      if (self->has_served_) backoff.reset();
      self->connection_lost(connection->failure());
    }
    if (self->stopped_) break;
    self->backoff_timer_.expires_after(backoff.next());
    auto waited = co_await self->backoff_timer_.async_wait(as_result);
    (void)waited;
  }
}

Task<Result<void>> RedisClient::load_scripts(std::shared_ptr<RedisClient> self, std::shared_ptr<RedisConnection> connection) {
  std::vector<std::shared_ptr<PendingReply>> loading;
  for (const RedisScript* script : redis_scripts::kAll) loading.push_back(connection->send({"SCRIPT", "LOAD", script->body}));
  std::vector<std::string> hashes;
  for (std::shared_ptr<PendingReply>& pending : loading) {
    Result<RedisReply> reply = co_await RedisConnection::reply_to(connection, pending);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return meaning_of_error(reply->text).error;
    if (reply->string() == nullptr || !is_hash(*reply->string())) co_return make_error(Fault::unavailable, "redis: an unexpected answer");
    hashes.push_back(std::move(reply->text));
  }
  self->script_hashes_ = std::move(hashes);
  co_return Result<void>();
}

// Until Redis says yes: while it does not, hears_changes() is false and nothing is remembered.
Task<void> RedisClient::track(std::shared_ptr<RedisClient> self, std::shared_ptr<RedisConnection> connection, std::uint64_t epoch) {
  constexpr std::chrono::milliseconds kAgain{100};
  const std::string client = std::to_string(self->channel_client_);
  RedisTimer again(self->context_.get_executor());
  while (!self->stopped_ && self->connection_ == connection && self->channel_epoch_ == epoch && self->audience_->is_current(epoch)) {
    std::shared_ptr<PendingReply> pending = connection->send({"CLIENT", "TRACKING", "ON", "REDIRECT", client});
    const Result<RedisReply> reply = co_await RedisConnection::reply_to(connection, pending);
    if (self->stopped_ || self->connection_ != connection || self->channel_epoch_ != epoch) break;
    if (reply && reply->is_ok()) {
      self->listener_.everything_changed();
      self->tracked_epoch_ = epoch;
      break;
    }
    if (reply && reply->is_error()) self->complain("store_tracking_refused", meaning_of_error(reply->text).error.detail);
    again.expires_after(kAgain);
    auto waited = co_await again.async_wait(as_result);
    (void)waited;
  }
}

void RedisClient::channel_is_up(std::uint64_t epoch, std::int64_t client_id) {
  if (stopped_) return;
  channel_epoch_ = epoch;
  channel_client_ = client_id;
  tracked_epoch_ = 0;
  if (connection_) tasks_.spawn(track(shared_from_this(), connection_, epoch));
}

void RedisClient::keys_changed(const std::vector<std::string>& keys) {
  if (stopped_) return;
  const std::string& prefix = setup_->settings.prefix;
  constexpr std::string_view kSession = "session:{";
  for (const std::string& key : keys) {
    std::string_view rest = key;
    if (rest.starts_with(prefix) && rest.substr(prefix.size()).starts_with(kSession) && rest.ends_with('}')) {
      rest.remove_prefix(prefix.size() + kSession.size());
      rest.remove_suffix(1);
      if (const std::optional<Digest> digest = digest_of_handle(rest)) listener_.session_changed(*digest);
    }
    for (const std::string& foreign : foreign_prefixes_) {
      if (key.starts_with(foreign)) listener_.foreign_session_changed(std::string_view(key).substr(foreign.size()));
    }
  }
}

void RedisClient::all_ended() {
  if (!stopped_) listener_.everything_ended();
}

void RedisClient::watch_foreign(std::string_view prefix) {
  if (std::ranges::find(foreign_prefixes_, prefix) == foreign_prefixes_.end()) foreign_prefixes_.emplace_back(prefix);
}

bool RedisClient::hears_changes(MonotonicTime now) const noexcept {
  if (tracked_epoch_ == 0 || !connection_) return false;
  return audience_->hears(tracked_epoch_, now) && now - connection_->heard_at() <= kFreshness;
}

std::shared_ptr<PendingReply> RedisClient::send(RedisConnection& connection, const Question& question, bool with_body) const {
  std::vector<std::string_view> words;
  words.reserve(4 + question.arguments.size());
  if (with_body) {
    words.insert(words.end(), {question.script->is_read_only ? "EVAL_RO" : "EVAL", question.script->body});
  } else {
    words.insert(words.end(), {question.script->is_read_only ? "EVALSHA_RO" : "EVALSHA", script_hashes_[index_of(question.script)]});
  }
  words.insert(words.end(), {"1", question.key});
  words.insert(words.end(), question.arguments.begin(), question.arguments.end());
  return connection.send(words);
}

RedisClient::Asked RedisClient::begin(Question question) {
  Asked asked{std::move(question), connection_, nullptr, std::chrono::steady_clock::now()};
  if (asked.connection) asked.pending = send(*asked.connection, asked.question, false);
  return asked;
}

Task<void> RedisClient::wait_for_first_connection(std::shared_ptr<RedisClient> self) {
  while (!self->connection_ && !self->down_) {  // an attempt to connect ends by itself
    auto waited = co_await self->first_connection_.async_wait(as_result);
    (void)waited;
  }
}

Task<Result<RedisClient::Answer>> RedisClient::ask(std::shared_ptr<RedisClient> self, Question question) {
  // Only at the very start is there anything to wait for: later a request that finds no connection fails at once.
  if (!self->connection_ && !self->down_) co_await wait_for_first_connection(self);
  Asked asked = self->begin(std::move(question));
  Result<Answer> answer = co_await finish(self, std::move(asked));
  co_return answer;
}

Task<Result<RedisReply>> RedisClient::reply_or_reload(std::shared_ptr<RedisClient> self, const Asked& asked) {
  Result<RedisReply> reply = co_await RedisConnection::reply_to(asked.connection, asked.pending);
  if (reply && reply->is_error() && reply->text.starts_with("NOSCRIPT")) {
    // Somebody emptied Redis' scripts. It did nothing; with its body it is loaded and executed.
    std::shared_ptr<PendingReply> again = self->send(*asked.connection, asked.question, true);
    reply = co_await RedisConnection::reply_to(asked.connection, again);
  }
  co_return reply;
}

Task<Result<RedisClient::Answer>> RedisClient::finish(std::shared_ptr<RedisClient> self, Asked asked) {
  const std::string_view name = asked.question.script->name;
  if (!asked.connection) {
    self->metrics_.store_command(name, "unavailable");
    co_return self->not_connected();
  }
  Result<RedisReply> reply = co_await reply_or_reload(self, asked);
  if (std::optional<Error> refused = self->refusal_in(reply, name, asked.connection)) co_return std::move(*refused);
  Answer answer{{}, asked.connection, asked.at};
  const bool is_ours = reply->array() != nullptr && reply->elements.size() > 1 && reply->elements.front().string() != nullptr &&
                       reply->elements.front().text == asked.question.key;
  if (!is_ours) {
    self->metrics_.store_command(name, "error");
    co_return self->distrust(answer, "an answer to another question");
  }
  self->count_answer(name, asked.connection);
  answer.values = std::move(reply->elements);
  answer.values.erase(answer.values.begin());
  co_return answer;
}

std::shared_ptr<RedisConnection> RedisClient::glance_at(std::string_view kind, std::string_view name,
                                                        const std::shared_ptr<ReplyHearer>& hearer, MonotonicTime now) {
  setup_->write_key(key_, kind, name);
  const std::array<std::string_view, 2> end{"PTTL", key_};
  const std::array<std::string_view, 2> record{"GET", key_};
  return connection_ && connection_->send({end, record}, hearer, now) ? connection_ : nullptr;
}

std::optional<Error> RedisClient::refusal_in(const Result<RedisReply>& reply, std::string_view name,
                                             const std::shared_ptr<RedisConnection>& from) {
  if (!reply) {
    metrics_.store_command(name, result_label(reply.error()));
    return reply.error();
  }
  if (!reply->is_error()) return std::nullopt;
  metrics_.store_command(name, "error");
  return refuse(from, *reply);
}

void RedisClient::count_answer(std::string_view name, const std::shared_ptr<RedisConnection>& from) {
  metrics_.store_command(name, "ok");
  if (connection_ == from) has_served_ = true;
}

std::optional<std::int64_t> RedisClient::clock_at(MonotonicTime now) const noexcept {
  if (!clock_) return std::nullopt;
  const auto since = now - clock_->asked_at;
  if (since > kFreshness) return std::nullopt;
  return clock_->now + std::chrono::ceil<std::chrono::milliseconds>(since).count();
}

Error RedisClient::refuse(const std::shared_ptr<RedisConnection>& from, const RedisReply& error) {
  const RedisErrorMeaning meaning = meaning_of_error(error.text);
  complain("store_refused", meaning.error.detail);
  if (meaning.reconnect) {
    from->close(Fault::broken, meaning.error.detail);
    if (connection_ == from) connection_lost(meaning.error);
  }
  return meaning.error;
}

Error RedisClient::distrust(const Answer& answer, std::string_view why) {
  Error error = make_error(Fault::unavailable, "redis: " + std::string(why));
  complain("store_distrusted", error.detail);
  answer.from->close(Fault::broken, error.detail);
  if (connection_ == answer.from) connection_lost(error);
  return error;
}

// The same complaint is logged once in a while only: it comes with every request.
void RedisClient::complain(std::string_view event, std::string_view text) {
  constexpr std::chrono::seconds kAgain{10};
  if (text == complaint_ && std::chrono::steady_clock::now() - complained_at_ < kAgain) return;
  complaint_ = text;
  complained_at_ = std::chrono::steady_clock::now();
  setup_->log.event(observe::Level::warning, event, text);
}

}  // namespace sallyport::store
