#include "store/redis_store.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/asio/ip/address.hpp>

#include "base/text.hpp"
#include "store/redis_questions.hpp"
#include "store/redis_records.hpp"
#include "store/redis_sessions.hpp"

namespace sallyport::store {
namespace {

using Client = std::shared_ptr<RedisClient>;
using Answer = RedisClient::Answer;
using Asked = RedisClient::Asked;
using Question = RedisClient::Question;
using std::chrono::milliseconds;
namespace scripts = redis_scripts;

// Questions that one call has under way at once: well below what a connection takes.
constexpr std::size_t kBatch = 128;
constexpr std::size_t kListMax = 1000;
// What the index keeps a member beyond its record's end, which is counted from a moment later.
constexpr milliseconds kIndexMargin{60'000};

std::string text(milliseconds time) { return std::to_string(time.count()); }

std::string family_key(const RedisClient& client, std::string_view handle) { return client.setup().key("family", handle); }
std::string index_key(const RedisClient& client, std::string_view subject) {
  return client.setup().key("subject", handle_of(sha256(subject)));
}

bool is_life_for_redis(milliseconds time) { return time.count() > 0 && time.count() < kTimeMax / 2; }

Result<void> check(const std::string& subject, const Json& claims, milliseconds shorter, milliseconds longer) {
  if (subject.empty() || !is_utf8(subject)) return make_error(Fault::malformed, "a subject that is empty or no UTF-8");
  if (subject.size() > kNameBytesMax) return make_error(Fault::too_large, "a subject over the limit");
  if (claims.object() == nullptr) return make_error(Fault::malformed, "claims that are no object");
  if (!is_life_for_redis(shorter) || !is_life_for_redis(longer)) return make_error(Fault::malformed, "a life of no time");
  return {};
}

std::string quoted_json(std::string_view value) {
  std::string out;
  append_json_string(out, value);
  return out;
}

Task<Result<void>> add_to_index(Client client, std::string subject, std::string member, milliseconds life) {
  Question question = question_about(scripts::kIndexAdd, index_key(*client, subject), std::move(member), text(life + kIndexMargin));
  const Result<Answer> added = co_await RedisClient::ask(client, std::move(question));
  if (!added) co_return error_of_change(added.error());
  co_return Result<void>();
}

// Tidying up: that it failed changes nothing but the time until the index forgets by itself.
Task<void> remove_from_index(Client client, std::string subject, std::string member) {
  Question question = question_about(scripts::kIndexRemove, index_key(*client, subject), std::move(member));
  const Result<Answer> removed = co_await RedisClient::ask(client, std::move(question));
  (void)removed;
}

Task<Result<void>> create_session_in(Client client, NewSession session) {
  const Result<void> checked = check(session.subject, session.claims, session.idle_timeout, session.absolute_timeout);
  if (!checked) co_return checked.error();
  const std::string handle = handle_of(session.key);
  std::string subject = quoted_json(session.subject);
  std::string claims = session.claims.dump();
  constexpr std::size_t kFrame = 512;  // the record's other members
  if (subject.size() + claims.size() + kFrame > kRecordBytesMax) co_return make_error(Fault::too_large, "a session over the limit");
  const Result<void> indexed = co_await add_to_index(client, session.subject, "s:" + handle, session.absolute_timeout);
  if (!indexed) co_return indexed.error();
  Question question = question_about(scripts::kCreateSession, redis_session_key(*client, handle), handle, std::move(subject),
                                     std::move(claims), text(session.idle_timeout), text(session.absolute_timeout));
  const Result<Answer> created = co_await RedisClient::ask(client, std::move(question));
  if (!created) co_return error_of_change(created.error());
  if (number_in(*created, 0) == 0) co_return make_error(Fault::mismatch, "there is such a session already");
  if (number_in(*created, 0) != 1) co_return client->distrust(*created, "an unexpected answer");
  co_return Result<void>();
}

Task<Result<bool>> touch_session_in(Client client, Digest key, milliseconds idle_timeout) {
  if (!is_life_for_redis(idle_timeout)) co_return make_error(Fault::malformed, "a life of no time");
  const std::string handle = handle_of(key);
  Question question = question_about(scripts::kTouchSession, redis_session_key(*client, handle), handle, text(idle_timeout));
  const Result<Answer> touched = co_await RedisClient::ask(client, std::move(question));
  if (!touched) co_return error_of_change(touched.error());
  const auto outcome = number_in(*touched, 0);
  if (outcome == -1) co_return make_error(Fault::unavailable, "redis: a session record that is none");
  if (outcome != 0 && outcome != 1) co_return client->distrust(*touched, "an unexpected answer");
  co_return outcome == 1;
}

// The subject of a session record that was ended, whatever state it was in.
std::optional<std::string> subject_of(const RedisReply& record) {
  if (record.string() == nullptr) return std::nullopt;
  const Result<Json> document = Json::parse(record.text, {.bytes_max = kRecordBytesMax});
  const Json* subject = document ? document->find("subject") : nullptr;
  if (subject == nullptr || subject->string() == nullptr) return std::nullopt;
  return *subject->string();
}

Task<Result<bool>> end_session_in(Client client, Digest key) {
  const std::string handle = handle_of(key);
  Question question = question_about(scripts::kEndSession, redis_session_key(*client, handle));
  const Result<Answer> ended = co_await RedisClient::ask(client, std::move(question));
  if (!ended) co_return error_of_change(ended.error());
  const auto count = number_in(*ended, 0);
  if (ended->values.size() != 2 || (count != 0 && count != 1)) co_return client->distrust(*ended, "an unexpected answer");
  const std::optional<std::string> subject = subject_of(ended->values[1]);
  if (subject) co_await remove_from_index(client, *subject, "s:" + handle);
  co_return count == 1;
}

// Members of a subject's index; Redis' errors as they are.
Task<Result<std::vector<std::string>>> list_index(Client client, std::string subject, std::size_t offset) {
  Question question = question_about(scripts::kIndexList, index_key(*client, subject), std::to_string(offset), std::to_string(kBatch));
  const Result<Answer> listed = co_await RedisClient::ask(client, std::move(question));
  if (!listed) co_return listed.error();
  if (listed->values.size() != 1 || listed->values[0].array() == nullptr) co_return client->distrust(*listed, "an unexpected answer");
  std::vector<std::string> members;
  for (const RedisReply& member : listed->values[0].elements) members.push_back(member.text);
  co_return members;
}

std::optional<Digest> member_of(std::string_view member, std::string_view kind) {
  return member.starts_with(kind) ? digest_of_handle(member.substr(kind.size())) : std::nullopt;
}

Task<Result<std::vector<Session>>> sessions_of_in(Client client, std::string subject) {
  std::vector<Session> sessions;
  for (std::size_t offset = 0; sessions.size() < kListMax; offset += kBatch) {
    const Result<std::vector<std::string>> members = co_await list_index(client, subject, offset);
    if (!members) co_return error_of_reading(members.error());
    std::vector<std::pair<Digest, Asked>> asked;
    for (const std::string& member : *members) {
      const std::optional<Digest> key = member_of(member, "s:");
      if (key) asked.emplace_back(*key, client->begin(question_about(scripts::kFindSession, redis_session_key(*client, handle_of(*key)))));
    }
    for (auto& [key, question] : asked) {
      Result<Answer> answer = co_await RedisClient::finish(client, std::move(question));
      if (!answer) co_return error_of_reading(answer.error());
      Result<std::optional<Session>> session = session_in(client, *answer, key);
      if (!session) co_return session.error();
      if (*session && (*session)->subject == subject) sessions.push_back(std::move(**session));
    }
    if (members->size() < kBatch) break;
  }
  std::ranges::sort(sessions, {}, [](const Session& session) { return std::pair(session.created_at, session.key); });
  if (sessions.size() > kListMax) sessions.erase(sessions.begin() + kListMax, sessions.end());
  co_return sessions;
}

Task<Result<std::optional<ForeignSession>>> find_foreign_session_in(Client client, std::string prefix, std::string id) {
  client->watch_foreign(prefix);
  Question question = question_about(scripts::kFindForeignSession, prefix + id);
  const Result<Answer> answer = co_await RedisClient::ask(client, std::move(question));
  if (!answer) co_return error_of_reading(answer.error());
  const auto left = number_in(*answer, 1);
  if (answer->values.size() != 2 || !left || *left < -2) co_return client->distrust(*answer, "an unexpected answer");
  const RedisReply& value = answer->values[0];
  if (value.is_nil() && *left == -2) co_return std::optional<ForeignSession>();
  if (value.string() == nullptr) co_return client->distrust(*answer, "an unexpected answer");
  if (*left == 0) co_return std::optional<ForeignSession>();
  Result<Json> document = Json::parse(value.text, {.bytes_max = kRecordBytesMax});
  if (!document) co_return make_error(Fault::unavailable, "redis: a foreign session that is no JSON: " + document.error().detail);
  ForeignSession session{std::move(id), std::move(*document), std::nullopt};
  if (*left > 0) session.left = milliseconds(*left);
  co_return std::optional<ForeignSession>(std::move(session));
}

// What kCreateFamily and kRotateFamily answer from `first` on.
Result<Family> family_in(const Client& client, const Answer& answer, std::size_t first, const Digest& key, std::int64_t now) {
  if (answer.values.size() != first + kFamilyFields) return client->distrust(answer, "an unexpected answer");
  Result<Family> family = parse_family_fields(std::span(answer.values).subspan(first), key, now);
  if (!family) return error_of_record(client, answer, family.error());
  return family;
}

Task<Result<Family>> create_family_in(Client client, NewFamily family) {
  const Result<void> checked = check(family.subject, family.claims, family.refresh_ttl, family.family_ttl);
  if (!checked) co_return checked.error();
  const std::string handle = handle_of(family.key);
  std::string claims = family.claims.dump();
  if (claims.size() > kRecordBytesMax) co_return make_error(Fault::too_large, "claims over the limit");
  const Result<void> indexed = co_await add_to_index(client, family.subject, "f:" + handle, family.family_ttl);
  if (!indexed) co_return indexed.error();
  Question question = question_about(scripts::kCreateFamily, family_key(*client, handle), handle, family.subject, std::move(claims),
                                     text(family.refresh_ttl), text(family.family_ttl));
  const Result<Answer> created = co_await RedisClient::ask(client, std::move(question));
  if (!created) co_return error_of_change(created.error());
  const auto outcome = number_in(*created, 0);
  const auto now = number_in(*created, 1);
  if (outcome == 0) co_return make_error(Fault::mismatch, "there is such a family already");
  if (outcome != 1 || !now) co_return client->distrust(*created, "an unexpected answer");
  co_return family_in(client, *created, 2, family.key, *now);
}

std::optional<Rotation::Outcome> parse_outcome(std::string_view name) {
  if (name == "rotated") return Rotation::Outcome::rotated;
  if (name == "repeated") return Rotation::Outcome::repeated;
  if (name == "reused") return Rotation::Outcome::reused;
  if (name == "gone") return Rotation::Outcome::gone;
  return std::nullopt;
}

Task<Result<void>> revoke_in(Client client, Revocation revocation);

Task<Result<Rotation>> rotate_family_in(Client client, Digest key, std::uint64_t presented, RotationRules rules) {
  if (!is_life_for_redis(rules.refresh_ttl) || rules.reuse_window.count() < 0) co_return make_error(Fault::malformed, "a life of no time");
  const std::string handle = handle_of(key);
  Question question =
      question_about(scripts::kRotateFamily, family_key(*client, handle), handle, std::to_string(presented), text(rules.reuse_window),
                     text(rules.refresh_ttl), client->setup().revocations_channel(), text(client->setup().revocations_kept));
  const Result<Answer> answer = co_await RedisClient::ask(client, std::move(question));
  if (!answer) co_return error_of_change(answer.error());
  const auto now = number_in(*answer, 1);
  if (!now || answer->values[0].string() == nullptr) co_return client->distrust(*answer, "an unexpected answer");
  if (answer->values[0].text == "foreign") co_return make_error(Fault::unavailable, "redis: a family that is none");
  const auto outcome = parse_outcome(answer->values[0].text);
  if (!outcome) co_return client->distrust(*answer, "an unexpected answer");
  if (outcome == Rotation::Outcome::gone) co_return Rotation{Rotation::Outcome::gone, {}};
  Result<Family> family = family_in(client, *answer, 2, key, *now);
  if (outcome == Rotation::Outcome::reused) {
    // The family is dead and whoever listens has heard of it. Into the stream, for those who do not listen now, and into our own list.
    const RedisSetup& setup = client->setup();
    const WallTime wall_now = setup.clock.wall_now();
    Revocation revocation{Revocation::Kind::family, handle, wall_time(*now), setup.revocations_kept};
    const bool added = setup.revocations.add(revocation, wall_now + setup.revocations_kept, wall_now);
    const Result<void> kept = co_await revoke_in(client, std::move(revocation));
    if (!added || !kept) {
      setup.log.event(observe::Level::warning, "revocation_not_kept",
                      "family " + handle + ": " + (kept ? "the list of revocations is full" : kept.error().detail));
    }
  }
  if (!family) co_return family.error();
  co_return Rotation{*outcome, std::move(*family)};
}

Task<Result<bool>> end_family_in(Client client, Digest key) {
  const std::string handle = handle_of(key);
  Question question = question_about(scripts::kEndFamily, family_key(*client, handle));
  const Result<Answer> ended = co_await RedisClient::ask(client, std::move(question));
  if (!ended) co_return error_of_change(ended.error());
  const auto count = number_in(*ended, 0);
  if (ended->values.size() != 2 || (count != 0 && count != 1)) co_return client->distrust(*ended, "an unexpected answer");
  if (ended->values[1].string() != nullptr) co_await remove_from_index(client, ended->values[1].text, "f:" + handle);
  co_return count == 1;
}

Task<Result<void>> end_all_of_in(Client client, std::string subject) {
  constexpr int kBatchesMax = 1000;  // somebody may go on signing in meanwhile
  for (int batch = 0; batch < kBatchesMax; ++batch) {
    const Result<std::vector<std::string>> members = co_await list_index(client, subject, 0);
    if (!members) co_return error_of_change(members.error());
    if (members->empty()) break;
    std::vector<Asked> asked;
    for (const std::string& member : *members) {
      if (const auto session = member_of(member, "s:")) {
        asked.push_back(client->begin(question_about(scripts::kEndSession, redis_session_key(*client, handle_of(*session)))));
      } else if (const auto family = member_of(member, "f:")) {
        asked.push_back(client->begin(question_about(scripts::kEndFamily, family_key(*client, handle_of(*family)))));
      }
    }
    for (Asked& question : asked) {
      const Result<Answer> ended = co_await RedisClient::finish(client, std::move(question));
      if (!ended) co_return error_of_change(ended.error());
    }
    Question forgetting = question_about(scripts::kIndexRemove, index_key(*client, subject));
    forgetting.arguments = *members;
    const Result<Answer> removed = co_await RedisClient::ask(client, std::move(forgetting));
    if (!removed) co_return error_of_change(removed.error());
  }
  co_return Result<void>();
}

Task<Result<void>> revoke_in(Client client, Revocation revocation) {
  const RedisSetup& setup = client->setup();
  const bool is_everything = revocation.kind == Revocation::Kind::everything;
  if (revocation.value.empty() != is_everything || !is_utf8(revocation.value))
    co_return make_error(Fault::malformed, "a revocation of nothing");
  if (revocation.value.size() > kNameBytesMax) co_return make_error(Fault::too_large, "a name over the limit");
  if (!is_life_for_redis(revocation.keep_for)) co_return make_error(Fault::malformed, "a life of no time");
  if (!setup.revocations.has_room()) co_return make_error(Fault::too_large, "the list of revocations is full");
  std::string before;
  if (revocation.issued_before) {
    const std::int64_t at = unix_milliseconds(*revocation.issued_before);
    if (at > kTimeMax || at < -kTimeMax) co_return make_error(Fault::malformed, "a revocation with an impossible time");
    before = std::to_string(at);
  }
  Question question =
      question_about(scripts::kRevoke, setup.revocations_stream(), setup.revocations_channel(), std::string(name(revocation.kind)),
                     quoted_json(revocation.value), std::move(before), text(revocation.keep_for), text(setup.revocations_kept));
  const Result<Answer> revoked = co_await RedisClient::ask(client, std::move(question));
  if (!revoked) co_return error_of_change(revoked.error());
  const auto issued_before = number_in(*revoked, 1);
  if (revoked->values.size() != 3 || !issued_before) co_return client->distrust(*revoked, "an unexpected answer");
  revocation.issued_before = wall_time(*issued_before);
  const WallTime wall_now = setup.clock.wall_now();
  const WallTime forget_at = wall_now + std::min(revocation.keep_for, setup.revocations_kept);
  if (!setup.revocations.add(revocation, forget_at, wall_now)) co_return make_error(Fault::too_large, "the list of revocations is full");
  co_return Result<void>();
}

std::string_view word(RateQuestion::Kind kind) {
  switch (kind) {
    case RateQuestion::Kind::take: return "take";
    case RateQuestion::Kind::look: return "look";
    case RateQuestion::Kind::charge: return "charge";
  }
  return "take";
}

Task<Result<RateAnswer>> limit_rate_in(Client client, RateQuestion asked) {
  constexpr std::chrono::microseconds kFillMax = std::chrono::hours(24 * 31);
  if (asked.interval.count() <= 0 || asked.fill_time < asked.interval || asked.fill_time > kFillMax) {
    co_return make_error(Fault::malformed, "a bucket of no size");
  }
  Question question =
      question_about(scripts::kLimitRate, client->setup().key("rate", handle_of(asked.bucket)), std::to_string(asked.interval.count()),
                     std::to_string(asked.fill_time.count()), std::string(word(asked.kind)));
  const Result<Answer> answer = co_await RedisClient::ask(client, std::move(question));
  if (!answer) co_return error_of_reading(answer.error());
  const auto allowed = number_in(*answer, 0);
  const auto owed = number_in(*answer, 1);
  const bool is_sound = answer->values.size() == 2 && allowed && owed && (*allowed == 0 || *allowed == 1) && *owed >= 0;
  if (!is_sound || *owed > asked.fill_time.count()) co_return client->distrust(*answer, "an unexpected answer");
  co_return RateAnswer{*allowed == 1, std::chrono::microseconds(*owed)};
}

Task<Result<Secret>> agree_on_secret_in(Client client, std::string secret_name, Secret proposal) {
  if (proposal.empty() || secret_name.empty()) co_return make_error(Fault::malformed, "no secret");
  const auto bytes = proposal.reveal();
  std::string record = secret_name + "=" + base64url_encode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  Question question = question_about(scripts::kAgree, client->setup().key("secret", secret_name), std::move(record));
  const Result<Answer> agreed = co_await RedisClient::ask(client, std::move(question));
  if (!agreed) co_return error_of_reading(agreed.error());
  if (agreed->values.size() != 1 || agreed->values[0].string() == nullptr) co_return client->distrust(*agreed, "an unexpected answer");
  std::string_view stands = agreed->values[0].text;
  const bool has_name = stands.starts_with(secret_name) && stands.substr(secret_name.size()).starts_with('=');
  if (!has_name) co_return client->distrust(*agreed, "another name's secret");
  stands.remove_prefix(secret_name.size() + 1);
  std::optional<std::string> decoded = base64url_decode(stands);
  if (!decoded || decoded->empty()) co_return make_error(Fault::unavailable, "redis: a shared secret that is none");
  co_return Secret(std::move(*decoded));
}

bool is_loopback(const std::string& host) {
  boost::system::error_code no_address;
  const auto address = boost::asio::ip::make_address(host, no_address);
  return no_address ? host == "localhost" : address.is_loopback();
}

}  // namespace

// Each call is a coroutine that owns its arguments and the client, and does not know *this.
Task<Result<void>> RedisStore::create_session(NewSession session) { return create_session_in(client_, std::move(session)); }
Task<Result<std::optional<Session>>> RedisStore::find_session(Digest key) { return find_redis_session(client_, key); }
bool RedisStore::seek_session(const Digest& key, std::shared_ptr<SessionSeeker> seeker, MonotonicTime now) {
  return seek_redis_session(client_, key, std::move(seeker), now);
}
Task<Result<bool>> RedisStore::touch_session(Digest key, milliseconds idle_timeout) { return touch_session_in(client_, key, idle_timeout); }
Task<Result<bool>> RedisStore::end_session(Digest key) { return end_session_in(client_, key); }
Task<Result<std::vector<Session>>> RedisStore::sessions_of(std::string subject) { return sessions_of_in(client_, std::move(subject)); }
Task<Result<std::optional<ForeignSession>>> RedisStore::find_foreign_session(std::string prefix, std::string id) {
  return find_foreign_session_in(client_, std::move(prefix), std::move(id));
}
Task<Result<Family>> RedisStore::create_family(NewFamily family) { return create_family_in(client_, std::move(family)); }
Task<Result<Rotation>> RedisStore::rotate_family(Digest key, std::uint64_t presented_generation, RotationRules rules) {
  return rotate_family_in(client_, key, presented_generation, rules);
}
Task<Result<bool>> RedisStore::end_family(Digest key) { return end_family_in(client_, key); }
Task<Result<void>> RedisStore::end_all_of(std::string subject) { return end_all_of_in(client_, std::move(subject)); }
Task<Result<void>> RedisStore::revoke(Revocation revocation) { return revoke_in(client_, std::move(revocation)); }
Task<Result<RateAnswer>> RedisStore::limit_rate(RateQuestion question) { return limit_rate_in(client_, question); }
Task<Result<Secret>> RedisStore::agree_on_secret(std::string name, Secret proposal) {
  return agree_on_secret_in(client_, std::move(name), std::move(proposal));
}

RedisService::RedisService(std::shared_ptr<const RedisSetup> setup, boost::asio::io_context& control)
    : setup_(std::move(setup)),
      audience_(std::make_shared<RedisAudience>()),
      channel_(std::make_shared<RedisChannel>(setup_, audience_, control)) {
  setup_->revocations.expect_history();
  channel_->start();
}

std::string RedisService::trouble() const {
  std::string of_channel = channel_->trouble();
  if (!of_channel.empty()) return of_channel;
  const std::size_t unconnected = audience_->unconnected();
  return unconnected == 0 ? std::string() : "redis: " + std::to_string(unconnected) + " of the gateway's connections are not up";
}

std::unique_ptr<Store> RedisService::attach(boost::asio::io_context& context, transport::DeadlineWheel&, ChangeListener& listener,
                                            observe::WorkerMetrics& metrics) {
  auto client = std::make_shared<RedisClient>(setup_, audience_, context, listener, metrics);
  client->start();
  return std::make_unique<RedisStore>(std::move(client));
}

Result<std::unique_ptr<StoreService>> open_redis_store(const StoreSettings& settings, const StoreSurroundings& surroundings) {
  if (!settings.redis) return make_error(Fault::internal, "no redis in the settings");
  transport::SslContext tls;
  if (settings.redis->is_tls) {
    Result<transport::SslContext> made =
        transport::make_tls_client_context({.ca_file = settings.redis->ca_file, .server_name = {}, .certificate = {}});
    if (!made) return made.error();
    tls = std::move(*made);
  }
  if (!settings.redis->password_file && !is_loopback(settings.redis->host)) {
    surroundings.log.event(observe::Level::warning, "store_without_password",
                           "redis: " + settings.redis->address() + " is asked without a password: whoever reaches it can make sessions");
  }
  auto setup = std::make_shared<const RedisSetup>(RedisSetup{*settings.redis, settings.revocations_kept, std::move(tls),
                                                             surroundings.revocations, surroundings.log, surroundings.clock});
  return std::unique_ptr<StoreService>(std::make_unique<RedisService>(std::move(setup), surroundings.control));
}

}  // namespace sallyport::store
