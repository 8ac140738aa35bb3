#include "store/redis_sessions.hpp"

#include <utility>

#include "store/redis_questions.hpp"
#include "store/redis_records.hpp"

namespace sallyport::store {
namespace {

// What PTTL says instead of a time.
constexpr std::int64_t kNoEnd = -1;
constexpr std::int64_t kNoKey = -2;

// The session in a record whose key lives for `left` more. nullopt: it is over.
Result<std::optional<Session>> session_of(RedisReply&& record, std::int64_t left, const Digest& key, std::int64_t now) {
  Result<std::optional<Session>> session = parse_session_record(std::move(record.text), key, now);
  if (session && left == kNoEnd) session = make_error(Fault::malformed, "a session record without an end");
  return session;
}

// A look at a session by a bare PTTL and a bare GET, which together cost less than a script. A record says itself whose it is and when it
// ends, so it can be believed (hazards N08); Redis expires it by its own clock, and one that it does not expire is none that we wrote.
// Nothing says of a nil whom it is about, nor how late it is there: whatever is not simply a session that stands is asked again by the
// script that says it all.
class Glance final : public ReplyHearer {
 public:
  Glance(std::shared_ptr<RedisClient> client, const Digest& key, std::int64_t now, std::shared_ptr<SessionSeeker> seeker)
      : client_(std::move(client)), key_(key), now_(now), seeker_(std::move(seeker)) {}

  // False: not now.
  static bool begin(const std::shared_ptr<RedisClient>& client, const Digest& key, std::shared_ptr<SessionSeeker> seeker,
                    MonotonicTime now) {
    const std::optional<std::int64_t> clock = client->clock_at(now);
    if (!clock) return false;
    auto made = std::make_shared<Glance>(client, key, *clock, std::move(seeker));
    Glance& glance = *made;
    const std::shared_ptr<ReplyHearer> hearer = std::move(made);
    const auto handle = handle_digits(key);
    glance.from_ = client->glance_at(kSessionKeys, {handle.data(), handle.size()}, hearer, now);
    return glance.from_ != nullptr;
  }

  void replied(Result<RedisReply> reply) override {
    // Taken before anything is done: what is no answer ends the connection, which tells us of the other reply at once.
    std::shared_ptr<SessionSeeker> seeker = std::move(seeker_);
    if (!seeker) return;
    std::optional<Error> refused = client_->refusal_in(reply, redis_scripts::kFindSession.name, from_);
    if (refused) return seeker->told(error_of_reading(std::move(*refused)));
    if (left_) return hear_record(std::move(*reply), std::move(seeker));
    left_ = reply->number();
    if (!left_) return seeker->told(client_->distrust(answer(), "an unexpected answer"));
    seeker_ = std::move(seeker);
  }

 private:
  // For who says that it is none.
  [[nodiscard]] RedisClient::Answer answer() const { return {{}, from_}; }

  void hear_record(RedisReply&& record, std::shared_ptr<SessionSeeker> seeker) {
    if (record.string() == nullptr && !record.is_nil()) return seeker->told(client_->distrust(answer(), "an unexpected answer"));
    client_->count_answer(redis_scripts::kFindSession.name, from_);
    if (record.string() != nullptr && *left_ != kNoKey) {
      Result<std::optional<Session>> session = session_of(std::move(record), *left_, key_, now_);
      if (!session) return seeker->told(error_of_record(client_, answer(), session.error()));
      if (session->has_value()) return seeker->told(std::move(session));
    }
    client_->spawn(find_and_tell(client_, key_, std::move(seeker)));
  }

  static Task<void> find_and_tell(std::shared_ptr<RedisClient> client, Digest key, std::shared_ptr<SessionSeeker> seeker) {
    Result<std::optional<Session>> found = co_await find_redis_session(client, key);
    seeker->told(std::move(found));
  }

  std::shared_ptr<RedisClient> client_;
  Digest key_;
  std::int64_t now_;                       // of Redis' clock, when it was asked
  std::shared_ptr<SessionSeeker> seeker_;  // nullptr: was told
  std::shared_ptr<RedisConnection> from_;
  std::optional<std::int64_t> left_;  // what PTTL said
};

}  // namespace

Result<std::optional<Session>> session_in(const std::shared_ptr<RedisClient>& client, RedisClient::Answer& answer, const Digest& key) {
  const auto left = number_in(answer, 1);
  const auto now = number_in(answer, 2);
  if (answer.values.size() != 3 || !left || !now) return client->distrust(answer, "an unexpected answer");
  client->note_clock(*now, answer.asked_at);
  RedisReply& record = answer.values[0];
  if (record.is_nil() && *left == kNoKey) return std::optional<Session>();
  if (record.string() == nullptr) return client->distrust(answer, "an unexpected answer");
  Result<std::optional<Session>> session = session_of(std::move(record), *left, key, *now);
  if (!session) return error_of_record(client, answer, session.error());
  return session;
}

Task<Result<std::optional<Session>>> find_redis_session(std::shared_ptr<RedisClient> client, Digest key) {
  RedisClient::Question question = question_about(redis_scripts::kFindSession, redis_session_key(*client, handle_of(key)));
  Result<RedisClient::Answer> answer = co_await RedisClient::ask(client, std::move(question));
  if (!answer) co_return error_of_reading(answer.error());
  co_return session_in(client, *answer, key);
}

bool seek_redis_session(const std::shared_ptr<RedisClient>& client, const Digest& key, std::shared_ptr<SessionSeeker> seeker,
                        MonotonicTime now) {
  return Glance::begin(client, key, std::move(seeker), now);
}

}  // namespace sallyport::store
