#include "store/embedded_tables.hpp"

#include <algorithm>
#include <limits>

namespace sallyport::store {
namespace {

using std::chrono::milliseconds;

// "Sall", in the header of the file: another program's database is not taken for ours.
constexpr std::int64_t kApplicationId = 0x53616c6c;

// A session's end is its idle end, which never lies beyond the absolute one: one index finds all that are over.
constexpr const char* kSchema = R"(
CREATE TABLE session (
  key BLOB NOT NULL UNIQUE, subject BLOB NOT NULL, claims BLOB NOT NULL, created_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL, absolute_end INTEGER NOT NULL) STRICT;
CREATE INDEX session_by_subject ON session (subject, created_at);
CREATE INDEX session_by_end ON session (ends_at);
CREATE TABLE family (
  key BLOB NOT NULL UNIQUE, subject BLOB NOT NULL, claims BLOB NOT NULL, generation INTEGER NOT NULL, started_at INTEGER NOT NULL,
  rotated_at INTEGER NOT NULL, ends_at INTEGER NOT NULL, absolute_end INTEGER NOT NULL) STRICT;
CREATE INDEX family_by_subject ON family (subject, started_at);
CREATE INDEX family_by_end ON family (ends_at);
CREATE TABLE revocation (
  kind BLOB NOT NULL, value BLOB NOT NULL, issued_before INTEGER NOT NULL, ends_at INTEGER NOT NULL, UNIQUE (kind, value)) STRICT;
CREATE INDEX revocation_by_end ON revocation (ends_at);
CREATE TABLE secret (name BLOB NOT NULL UNIQUE, value BLOB NOT NULL) STRICT;
CREATE TABLE room (filler BLOB NOT NULL) STRICT;
)";

// What was written under the limits above must be readable; more lenient than any of them.
constexpr JsonLimits kClaimsLimits{2 * EmbeddedTables::kClaimsBytesMax, 256, 1'000'000};

std::int64_t to_number(WallTime time) { return std::chrono::floor<milliseconds>(time).time_since_epoch().count(); }
WallTime to_time(std::int64_t number) { return WallTime(milliseconds(number)); }

bool is_life(milliseconds life) { return life > milliseconds(0) && life <= EmbeddedTables::kLifeMax; }

Error damaged(const char* what) { return make_error(Fault::unavailable, std::string("the store holds a damaged ") + what); }

Result<std::string> claims_text(const Json& claims) {
  if (claims.object() == nullptr) return make_error(Fault::malformed, "claims that are no JSON object");
  std::string text = claims.dump();
  if (text.size() > EmbeddedTables::kClaimsBytesMax)
    return make_error(Fault::too_large, "claims of " + std::to_string(text.size()) + " bytes");
  return text;
}

std::optional<Json> claims_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  auto claims = Json::parse(*text, kClaimsLimits);
  if (!claims || claims->object() == nullptr) return std::nullopt;
  return std::move(*claims);
}

// Of a row of key, subject, claims, created_at, last_seen_at, ends_at, absolute_end.
Result<Session> session_of(const SqliteStatement& row, WallTime now) {
  const auto key = row.digest(0);
  auto subject = row.bytes(1);
  auto text = row.bytes(2);
  Result<SessionClaims> claims = SessionClaims::parse(text ? std::move(*text) : std::string(), kClaimsLimits);
  const auto created_at = row.integer(3);
  const auto last_seen_at = row.integer(4);
  const auto ends_at = row.integer(5);
  const auto absolute_end = row.integer(6);
  if (!key || !subject || subject->empty() || !claims || !created_at || !last_seen_at || !ends_at || !absolute_end)
    return damaged("session");
  const std::int64_t moment = to_number(now);
  if (*ends_at <= moment || *absolute_end < *ends_at) return damaged("session");
  return Session{*key,
                 std::move(*subject),
                 std::move(*claims),
                 to_time(*created_at),
                 to_time(*last_seen_at),
                 milliseconds(*ends_at - moment),
                 milliseconds(*absolute_end - moment)};
}

}  // namespace

Result<void> EmbeddedTables::prepare(SqliteDatabase& database) {
  const auto application = database.number("PRAGMA application_id");
  if (!application) return application.error();
  const auto version = database.number("PRAGMA user_version");
  if (!version) return version.error();
  const auto things = database.number("SELECT count(*) FROM sqlite_schema");
  if (!things) return things.error();
  if (*application == 0 && *version == 0 && *things == 0) {
    // One transaction: a start that was cut short left nothing.
    auto made = database.execute("BEGIN IMMEDIATE;" + std::string(kSchema) + "PRAGMA application_id = " + std::to_string(kApplicationId) +
                                 "; PRAGMA user_version = " + std::to_string(kSchemaVersion) + "; COMMIT;");
    if (!made && database.in_transaction()) (void)database.execute("ROLLBACK");
    return made;
  }
  if (*application != kApplicationId) return make_error(Fault::malformed, "the database belongs to another program");
  if (*version != kSchemaVersion) {
    return make_error(Fault::malformed, "the database has format " + std::to_string(*version) + "; this program reads and writes " +
                                            std::to_string(kSchemaVersion));
  }
  return {};
}

Result<void> EmbeddedTables::create_session(const NewSession& session, WallTime now) {
  if (session.subject.empty() || !is_life(session.idle_timeout) || !is_life(session.absolute_timeout)) {
    return make_error(Fault::malformed, "a session without a subject or a life");
  }
  const auto claims = claims_text(session.claims);
  if (!claims) return claims.error();
  const std::int64_t moment = to_number(now);
  return database_
      ->prepare("INSERT INTO session (key, subject, claims, created_at, last_seen_at, ends_at, absolute_end) VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(session.key)
      .bind(session.subject)
      .bind(*claims)
      .bind(moment)
      .bind(moment)
      .bind(moment + std::min(session.idle_timeout, session.absolute_timeout).count())
      .bind(moment + session.absolute_timeout.count())
      .run();
}

Result<std::optional<Session>> EmbeddedTables::find_session(const Digest& key, WallTime now) {
  auto row = database_->prepare(
      "SELECT key, subject, claims, created_at, last_seen_at, ends_at, absolute_end FROM session WHERE key = ? AND ends_at > ?");
  const auto found = row.bind(key).bind(to_number(now)).step();
  if (!found) return found.error();
  if (!*found) return std::optional<Session>();
  auto session = session_of(row, now);
  if (!session) return session.error();
  if (session->key != key) return damaged("index");  // never another's session, whatever the disk did
  return std::optional<Session>(std::move(*session));
}

Result<bool> EmbeddedTables::touch_session(const Digest& key, milliseconds idle_timeout, WallTime now) {
  if (!is_life(idle_timeout)) return make_error(Fault::malformed, "no idle timeout");
  const std::int64_t moment = to_number(now);
  const auto done = database_->prepare("UPDATE session SET last_seen_at = ?, ends_at = min(absolute_end, ?) WHERE key = ? AND ends_at > ?")
                        .bind(moment)
                        .bind(moment + idle_timeout.count())
                        .bind(key)
                        .bind(moment)
                        .run();
  if (!done) return done.error();
  return database_->changes() > 0;
}

Result<bool> EmbeddedTables::end_session(const Digest& key, WallTime now) {
  const auto done = database_->prepare("DELETE FROM session WHERE key = ? AND ends_at > ?").bind(key).bind(to_number(now)).run();
  if (!done) return done.error();
  return database_->changes() > 0;
}

Result<std::vector<Session>> EmbeddedTables::sessions_of(const std::string& subject, WallTime now) {
  auto row = database_->prepare(
      "SELECT key, subject, claims, created_at, last_seen_at, ends_at, absolute_end FROM session WHERE subject = ? AND ends_at > ? "
      "ORDER BY created_at, rowid LIMIT ?");
  row.bind(subject).bind(to_number(now)).bind(static_cast<std::int64_t>(kListedMax));
  std::vector<Session> sessions;
  for (;;) {
    const auto found = row.step();
    if (!found) return found.error();
    if (!*found) return sessions;
    auto session = session_of(row, now);
    if (!session) return session.error();
    if (session->subject != subject) return damaged("index");
    sessions.push_back(std::move(*session));
  }
}

Result<std::vector<Digest>> EmbeddedTables::end_sessions_of(const std::string& subject, WallTime began_by, std::size_t rows_max) {
  auto row = database_->prepare(
      "DELETE FROM session WHERE rowid IN (SELECT rowid FROM session WHERE subject = ? AND created_at <= ? LIMIT ?) RETURNING key");
  row.bind(subject).bind(to_number(began_by)).bind(static_cast<std::int64_t>(rows_max));
  std::vector<Digest> keys;
  for (;;) {
    const auto found = row.step();
    if (!found) return found.error();
    if (!*found) return keys;
    const auto key = row.digest(0);
    if (!key) return damaged("session");
    keys.push_back(*key);
  }
}

Result<Family> EmbeddedTables::create_family(const NewFamily& family, WallTime now) {
  if (family.subject.empty() || !is_life(family.refresh_ttl) || !is_life(family.family_ttl)) {
    return make_error(Fault::malformed, "a family without a subject or a life");
  }
  const auto claims = claims_text(family.claims);
  if (!claims) return claims.error();
  const std::int64_t moment = to_number(now);
  const milliseconds refresh_left = std::min(family.refresh_ttl, family.family_ttl);
  const auto done = database_
                        ->prepare(
                            "INSERT INTO family (key, subject, claims, generation, started_at, rotated_at, ends_at, absolute_end) "
                            "VALUES (?, ?, ?, 1, ?, ?, ?, ?)")
                        .bind(family.key)
                        .bind(family.subject)
                        .bind(*claims)
                        .bind(moment)
                        .bind(moment)
                        .bind(moment + refresh_left.count())
                        .bind(moment + family.family_ttl.count())
                        .run();
  if (!done) return done.error();
  return Family{family.key, family.subject, family.claims, 1, to_time(moment), to_time(moment), refresh_left};
}

struct EmbeddedTables::KeptFamily {
  Family family;
  WallTime absolute_end{};
};

Result<std::optional<EmbeddedTables::KeptFamily>> EmbeddedTables::find_family(const Digest& key, WallTime now) {
  auto row = database_->prepare(
      "SELECT key, subject, claims, generation, started_at, rotated_at, ends_at, absolute_end FROM family WHERE key = ? AND ends_at > ?");
  const auto found = row.bind(key).bind(to_number(now)).step();
  if (!found) return found.error();
  if (!*found) return std::optional<KeptFamily>();
  auto subject = row.bytes(1);
  auto claims = claims_of(row.bytes(2));
  const auto generation = row.integer(3);
  const auto started_at = row.integer(4);
  const auto rotated_at = row.integer(5);
  const auto ends_at = row.integer(6);
  const auto absolute_end = row.integer(7);
  if (row.digest(0) != key || !subject || subject->empty() || !claims || !generation || !started_at || !rotated_at || !ends_at ||
      !absolute_end || *generation < 1 || *absolute_end < *ends_at) {
    return damaged("family");
  }
  return std::optional(KeptFamily{{key, std::move(*subject), std::move(*claims), static_cast<std::uint64_t>(*generation),
                                   to_time(*started_at), to_time(*rotated_at), milliseconds(*ends_at - to_number(now))},
                                  to_time(*absolute_end)});
}

Result<Rotation> EmbeddedTables::rotate_family(const Digest& key, std::uint64_t presented, const RotationRules& rules, WallTime now) {
  using Outcome = Rotation::Outcome;
  if (!is_life(rules.refresh_ttl) || rules.reuse_window < milliseconds(0)) return make_error(Fault::malformed, "no rules of rotation");
  auto kept = find_family(key, now);
  if (!kept) return kept.error();
  if (!kept->has_value()) return Rotation{Outcome::gone, {}};
  Family& family = (*kept)->family;
  if (presented == family.generation) return advance(std::move(**kept), rules, now);
  // The generation before the first one never was: it is not 0.
  const bool is_one_before = presented != 0 && presented + 1 == family.generation;
  const auto since = milliseconds(to_number(now) - to_number(family.rotated_at));
  if (is_one_before && since <= rules.reuse_window) return Rotation{Outcome::repeated, std::move(family)};
  const auto ended = end_family(key, now);
  if (!ended) return ended.error();
  return Rotation{Outcome::reused, std::move(family)};
}

Result<Rotation> EmbeddedTables::advance(KeptFamily kept, const RotationRules& rules, WallTime now) {
  Family& family = kept.family;
  if (family.generation >= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return damaged("family");
  const std::int64_t moment = to_number(now);
  ++family.generation;
  family.rotated_at = to_time(moment);
  family.refresh_left = std::min(rules.refresh_ttl, milliseconds(to_number(kept.absolute_end) - moment));
  const auto done = database_->prepare("UPDATE family SET generation = ?, rotated_at = ?, ends_at = ? WHERE key = ? AND generation = ?")
                        .bind(static_cast<std::int64_t>(family.generation))
                        .bind(moment)
                        .bind(moment + family.refresh_left.count())
                        .bind(family.key)
                        .bind(static_cast<std::int64_t>(family.generation - 1))
                        .run();
  if (!done) return done.error();
  if (database_->changes() != 1) return damaged("index");
  return Rotation{Rotation::Outcome::rotated, std::move(family)};
}

Result<bool> EmbeddedTables::end_family(const Digest& key, WallTime now) {
  const auto done = database_->prepare("DELETE FROM family WHERE key = ? AND ends_at > ?").bind(key).bind(to_number(now)).run();
  if (!done) return done.error();
  return database_->changes() > 0;
}

Result<std::size_t> EmbeddedTables::end_families_of(const std::string& subject, WallTime began_by, std::size_t rows_max) {
  const auto done =
      database_->prepare("DELETE FROM family WHERE rowid IN (SELECT rowid FROM family WHERE subject = ? AND started_at <= ? LIMIT ?)")
          .bind(subject)
          .bind(to_number(began_by))
          .bind(static_cast<std::int64_t>(rows_max))
          .run();
  if (!done) return done.error();
  return static_cast<std::size_t>(database_->changes());
}

Result<void> EmbeddedTables::keep_revocation(const Revocation& revocation, WallTime forget_at) {
  return database_
      ->prepare(
          "INSERT INTO revocation (kind, value, issued_before, ends_at) VALUES (?, ?, ?, ?) ON CONFLICT (kind, value) DO UPDATE SET "
          "issued_before = max(issued_before, excluded.issued_before), ends_at = max(ends_at, excluded.ends_at)")
      .bind(name(revocation.kind))
      .bind(revocation.value)
      .bind(std::chrono::ceil<milliseconds>(revocation.issued_before.value()).time_since_epoch().count())
      .bind(to_number(forget_at))
      .run();
}

Result<std::vector<EmbeddedTables::KeptRevocation>> EmbeddedTables::revocations(WallTime now) {
  auto row = database_->prepare("SELECT kind, value, issued_before, ends_at FROM revocation WHERE ends_at > ?");
  row.bind(to_number(now));
  std::vector<KeptRevocation> kept;
  for (;;) {
    const auto found = row.step();
    if (!found) return found.error();
    if (!*found) return kept;
    const auto kind = parse_revocation_kind(row.bytes(0).value_or(std::string()));
    auto value = row.bytes(1);
    const auto issued_before = row.integer(2);
    const auto ends_at = row.integer(3);
    if (!kind || !value || !issued_before || !ends_at) return damaged("revocation");
    kept.push_back({{*kind, std::move(*value), to_time(*issued_before), milliseconds(*ends_at - to_number(now))}, to_time(*ends_at)});
  }
}

Result<Secret> EmbeddedTables::agree_on_secret(const std::string& name, const Secret& proposal) {
  if (name.empty() || proposal.empty()) return make_error(Fault::malformed, "a secret without name or bytes");
  const auto bytes = proposal.reveal();
  const auto proposed = database_->prepare("INSERT INTO secret (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING")
                            .bind(name)
                            .bind(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()))
                            .run();
  if (!proposed) return proposed.error();
  auto row = database_->prepare("SELECT value FROM secret WHERE name = ?");
  const auto found = row.bind(name).step();
  if (!found) return found.error();
  auto value = *found ? row.bytes(0) : std::nullopt;
  if (!value || value->empty()) return damaged("secret");
  return Secret(std::move(*value));
}

Result<void> EmbeddedTables::sweep(WallTime now, std::size_t rows_max) {
  constexpr std::string_view kSweeps[] = {
      "DELETE FROM session WHERE rowid IN (SELECT rowid FROM session WHERE ends_at <= ? LIMIT ?)",
      "DELETE FROM family WHERE rowid IN (SELECT rowid FROM family WHERE ends_at <= ? LIMIT ?)",
      "DELETE FROM revocation WHERE rowid IN (SELECT rowid FROM revocation WHERE ends_at <= ? LIMIT ?)",
  };
  for (const std::string_view sql : kSweeps) {
    if (auto done = database_->prepare(sql).bind(to_number(now)).bind(static_cast<std::int64_t>(rows_max)).run(); !done) return done;
  }
  return {};
}

Result<void> EmbeddedTables::take_room() { return database_->prepare("INSERT INTO room (filler) VALUES (randomblob(16384))").run(); }

Result<void> EmbeddedTables::give_room_back() { return database_->prepare("DELETE FROM room").run(); }

}  // namespace sallyport::store
