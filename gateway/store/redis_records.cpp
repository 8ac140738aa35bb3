#include "store/redis_records.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

using std::chrono::milliseconds;

constexpr JsonLimits kLimits{.bytes_max = kRecordBytesMax};

// A moment, duration or generation that Lua wrote: an integer from 0 to kTimeMax.
std::optional<std::int64_t> counted(const Json* value) {
  if (value == nullptr) return std::nullopt;
  const auto* number = std::get_if<std::int64_t>(&value->value());
  if (number == nullptr || *number < 0 || *number > kTimeMax) return std::nullopt;
  return *number;
}

std::optional<std::int64_t> counted(std::string_view digits) {
  const std::optional<std::uint64_t> number = parse_decimal(digits);
  if (!number || *number > static_cast<std::uint64_t>(kTimeMax)) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

// Exactly these members, in whatever order.
template <std::size_t N>
bool has_members(const Json& document, const std::array<std::string_view, N>& names) {
  const JsonObject* object = document.object();
  return object != nullptr && object->size() == N &&
         std::ranges::all_of(names, [&](std::string_view name) { return document.find(name) != nullptr; });
}

Error malformed(std::string_view what) { return make_error(Fault::malformed, std::string(what)); }

constexpr std::array<std::string_view, 8> kSessionMembers{"v", "key", "created", "ends", "idle", "seen", "subject", "claims"};

struct SessionTimes {
  std::int64_t created = 0;
  std::int64_t ends = 0;
  std::int64_t idle = 0;
  std::int64_t seen = 0;
};

// A session record as our scripts write it, numbers first. Reading it so costs a fraction of what the same members cost in a document.
struct WrittenRecord {
  SessionTimes times;
  std::string_view subject;
  std::size_t claims_at = 0;  // up to the brace that ends the record
};

bool take(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// A number as JSON writes it, up to a comma.
bool take_time(std::string_view& text, std::string_view name, std::int64_t& time) {
  if (!take(text, name)) return false;
  const std::size_t end = text.find(',');
  const std::string_view digits = text.substr(0, end);
  const std::optional<std::int64_t> number = digits.size() > 1 && digits.front() == '0' ? std::nullopt : counted(digits);
  if (end == std::string_view::npos || !number) return false;
  time = *number;
  text.remove_prefix(end);
  return true;
}

// A string of JSON that stands for itself, up to its quote.
bool take_plain_string(std::string_view& text, std::string_view& string) {
  const std::size_t end = text.find('"');
  if (end == std::string_view::npos) return false;
  string = text.substr(0, end);
  text.remove_prefix(end);
  return is_utf8(string) && std::ranges::none_of(string, [](unsigned char c) { return c < 0x20 || c == '\\'; });
}

// nullopt: it is not written so, or not with that key. That makes it no worse: then it is read as any document. Of the claims nothing was
// looked at.
std::optional<WrittenRecord> read_written_record(const std::string_view record, const Digest& key) {
  WrittenRecord written;
  SessionTimes& times = written.times;
  std::string_view text = record;
  const auto handle = handle_digits(key);
  if (!take(text, R"({"v":1,"key":")") || !take(text, {handle.data(), handle.size()}) ||
      !take_time(text, R"(","created":)", times.created) || !take_time(text, R"(,"ends":)", times.ends) ||
      !take_time(text, R"(,"idle":)", times.idle) || !take_time(text, R"(,"seen":)", times.seen) || !take(text, R"(,"subject":")") ||
      !take_plain_string(text, written.subject) || !take(text, R"(","claims":)") || !text.ends_with('}')) {
    return std::nullopt;
  }
  written.claims_at = record.size() - text.size();
  return written;
}

// nullopt: it is over.
Result<std::optional<Session>> session_about(std::string&& subject, Result<SessionClaims>&& claims, const Digest& key,
                                             const SessionTimes& times, std::int64_t now) {
  if (!claims) return malformed("a session record whose claims cannot be read: " + claims.error().detail);
  if (times.idle > times.ends || times.seen < times.created) return malformed("a session record with impossible times");
  if (subject.empty()) return malformed("a session record without a subject");
  if (times.idle <= now) return std::optional<Session>();
  Result<std::optional<Session>> made(boost::system::in_place_value, std::in_place);
  Session& session = **made;
  session.key = key;
  session.subject = std::move(subject);
  session.claims = std::move(*claims);
  session.created_at = wall_time(times.created);
  session.last_seen_at = wall_time(times.seen);
  session.idle_left = milliseconds(times.idle - now);
  session.absolute_left = milliseconds(times.ends - now);
  return made;
}

// The same of a record that is written in whatever other way.
Result<SessionTimes> read_session_document(const Json& document, const Digest& key) {
  const Json* const record_key = document.find("key");
  if (record_key == nullptr || record_key->string() == nullptr) return malformed("a session record without its key");
  if (*record_key->string() != handle_of(key)) return make_error(Fault::mismatch, "another key's session record");
  const Json* const version = document.find("v");
  if (version == nullptr || counted(version) != 1) return malformed("a session record of another version");
  if (!has_members(document, kSessionMembers)) return malformed("a session record with members of another kind");
  const auto created = counted(document.find("created"));
  const auto ends = counted(document.find("ends"));
  const auto idle = counted(document.find("idle"));
  const auto seen = counted(document.find("seen"));
  if (!created || !ends || !idle || !seen) return malformed("a session record with impossible times");
  return SessionTimes{*created, *ends, *idle, *seen};
}
constexpr std::array<std::string_view, 5> kRevocationMembers{"kind", "value", "before", "at", "keep"};

}  // namespace

WallTime wall_time(std::int64_t unix_milliseconds) { return WallTime(milliseconds(unix_milliseconds)); }

std::int64_t unix_milliseconds(WallTime time) { return std::chrono::ceil<milliseconds>(time.time_since_epoch()).count(); }

Result<std::optional<Session>> parse_session_record(std::string text, const Digest& key, std::int64_t now) {
  if (text.size() > kRecordBytesMax) return malformed("a session record over the limit");
  if (const std::optional<WrittenRecord> written = read_written_record(text, key)) {
    std::string subject(written->subject);
    text.pop_back();
    text.erase(0, written->claims_at);
    return session_about(std::move(subject), SessionClaims::parse(std::move(text), kLimits), key, written->times, now);
  }
  const Result<Json> document = Json::parse(text, kLimits);
  if (!document) return malformed("a session record that is no JSON");
  const Result<SessionTimes> times = read_session_document(*document, key);
  if (!times) return times.error();
  const std::string* const subject = document->find("subject")->string();
  if (subject == nullptr) return malformed("a session record without a subject");
  constexpr JsonLimits kHoweverLong{.bytes_max = SIZE_MAX};  // the record was not; 1e5 is longer when it is written anew
  return session_about(std::string(*subject), SessionClaims::parse(document->find("claims")->dump(), kHoweverLong), key, *times, now);
}

Result<Family> parse_family_fields(std::span<const RedisReply> fields, const Digest& key, std::int64_t now) {
  const bool are_strings =
      fields.size() == kFamilyFields && std::ranges::all_of(fields, [](const RedisReply& field) { return field.string() != nullptr; });
  if (!are_strings) return malformed("a family that is none");
  if (fields[1].text != handle_of(key)) return make_error(Fault::mismatch, "another key's family");
  if (fields[0].text != "1") return malformed("a family of another version");
  const auto generation = counted(fields[2].text);
  const auto started = counted(fields[3].text);
  const auto rotated = counted(fields[4].text);
  const auto ends = counted(fields[5].text);
  const auto refresh_ends = counted(fields[6].text);
  if (!generation || *generation < 1 || !started || !rotated || !ends || !refresh_ends || *refresh_ends > *ends)
    return malformed("a family with impossible numbers");
  if (fields[7].text.empty()) return malformed("a family without a subject");
  Result<Json> claims = Json::parse(fields[8].text, kLimits);
  if (!claims || claims->object() == nullptr) return malformed("a family without claims");
  return Family{.key = key,
                .subject = fields[7].text,
                .claims = std::move(*claims),
                .generation = static_cast<std::uint64_t>(*generation),
                .started_at = wall_time(*started),
                .rotated_at = wall_time(*rotated),
                .refresh_left = milliseconds(std::max<std::int64_t>(*refresh_ends - now, 0))};
}

Result<RevocationRecord> parse_revocation_record(std::string_view text) {
  const Result<Json> document = Json::parse(text, kLimits);
  if (!document || !has_members(*document, kRevocationMembers)) return malformed("a revocation that is none");
  const std::string* const kind_name = document->find("kind")->string();
  const auto kind = kind_name == nullptr ? std::nullopt : parse_revocation_kind(*kind_name);
  const std::string* const value = document->find("value")->string();
  const auto* const before = std::get_if<std::int64_t>(&document->find("before")->value());
  const auto at = counted(document->find("at"));
  const auto keep = counted(document->find("keep"));
  if (!kind || value == nullptr || before == nullptr || !at || !keep) return malformed("a revocation that is none");
  if (value->empty() != (*kind == Revocation::Kind::everything)) return malformed("a revocation of nothing");
  if (*before > kTimeMax || *before < -kTimeMax) return malformed("a revocation with an impossible time");
  return RevocationRecord{Revocation{*kind, *value, wall_time(*before), milliseconds(*keep)}, *at};
}

Result<RevocationMessage> parse_revocation_message(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return malformed("a message that is no revocation");
  const std::string_view id = text.substr(0, space);
  if (id != "-" && !parse_stream_id(id)) return malformed("a message that is no revocation");
  Result<RevocationRecord> record = parse_revocation_record(text.substr(space + 1));
  if (!record) return record.error();
  return RevocationMessage{id == "-" ? std::string() : std::string(id), std::move(*record)};
}

std::optional<StreamId> parse_stream_id(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_decimal(text.substr(0, dash));
  const auto second = parse_decimal(text.substr(dash + 1));
  if (!first || !second) return std::nullopt;
  return StreamId{*first, *second};
}

}  // namespace sallyport::store
