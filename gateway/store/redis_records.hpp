// What stands in Redis, read strictly: a record is whole and for its key, or it is none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "store/records.hpp"
#include "store/redis_codec.hpp"

namespace sallyport::store {

// Of a session record, a family's claims, a foreign document: larger ones are not written and not read.
inline constexpr std::size_t kRecordBytesMax = 64 * 1024;
// Of a subject, and of whatever else is revoked by its name.
inline constexpr std::size_t kNameBytesMax = 8 * 1024;
// The greatest moment in Unix milliseconds that is read or written: in the year 2156. Lua's numbers are exact far beyond it, and a WallTime
// holds it with room to spare.
inline constexpr std::int64_t kTimeMax = 5'900'000'000'000;

[[nodiscard]] WallTime wall_time(std::int64_t unix_milliseconds);
// Rounded up, so that "issued before" covers the moment itself.
[[nodiscard]] std::int64_t unix_milliseconds(WallTime time);

// The session in `text`, which stood under `key` at `now` (both Unix milliseconds of Redis' clock). nullopt: it is over.
// Fault::mismatch: it is another key's record (hazards N08). Fault::malformed: anything else is off: truncated, of another version,
// without a subject.
[[nodiscard]] Result<std::optional<Session>> parse_session_record(std::string text, const Digest& key, std::int64_t now);

// v, key, generation, started, rotated, ends, refresh_ends, subject, claims, as kRotateFamily answers them. Faults likewise.
inline constexpr std::size_t kFamilyFields = 9;
[[nodiscard]] Result<Family> parse_family_fields(std::span<const RedisReply> fields, const Digest& key, std::int64_t now);

// A revocation in the stream and in the channel: {"kind":"subject","value":"alice","before":1,"at":1,"keep":1}.
struct RevocationRecord {
  Revocation revocation;        // with issued_before; keep_for counts from `at`
  std::int64_t revoked_at = 0;  // Unix milliseconds of Redis' clock
};
[[nodiscard]] Result<RevocationRecord> parse_revocation_record(std::string_view text);

// A message of the channel: the stream entry's id (or "-" when it is in no stream), a space, the record.
struct RevocationMessage {
  std::string id;  // empty: none
  RevocationRecord record;
};
[[nodiscard]] Result<RevocationMessage> parse_revocation_message(std::string_view text);

// "1526919030474-55" as its two numbers.
struct StreamId {
  std::uint64_t milliseconds = 0;
  std::uint64_t sequence = 0;
  friend auto operator<=>(const StreamId&, const StreamId&) = default;
  [[nodiscard]] std::string text() const { return std::to_string(milliseconds) + "-" + std::to_string(sequence); }
};
[[nodiscard]] std::optional<StreamId> parse_stream_id(std::string_view text);

}  // namespace sallyport::store
