// The tables of the embedded store, and what is done with them. No threads, no clock: each call is one step within the transaction that is
// open, at the time it is given. Times are kept in whole milliseconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "store/records.hpp"
#include "store/sqlite.hpp"

namespace sallyport::store {

class EmbeddedTables {
 public:
  static constexpr std::int64_t kSchemaVersion = 1;
  static constexpr std::size_t kClaimsBytesMax = 64 * 1024;
  static constexpr std::size_t kListedMax = 1000;
  // No life is longer: a greater number is somebody's mistake.
  static constexpr std::chrono::milliseconds kLifeMax = std::chrono::hours(24 * 366 * 100);

  // Makes the tables in a database without any, and looks whether they are ours in another. Fault::malformed: they are not.
  [[nodiscard]] static Result<void> prepare(SqliteDatabase& database);

  explicit EmbeddedTables(SqliteDatabase& database) noexcept : database_(&database) {}

  // Fault::malformed for what is no session (DESIGN: absence refuses), too_large for its claims, internal for a key that is there.
  [[nodiscard]] Result<void> create_session(const NewSession& session, WallTime now);
  [[nodiscard]] Result<std::optional<Session>> find_session(const Digest& key, WallTime now);
  [[nodiscard]] Result<bool> touch_session(const Digest& key, std::chrono::milliseconds idle_timeout, WallTime now);
  [[nodiscard]] Result<bool> end_session(const Digest& key, WallTime now);
  [[nodiscard]] Result<std::vector<Session>> sessions_of(const std::string& subject, WallTime now);
  // Ends at most `rows_max` sessions that began at or before `began_by`, and returns their keys.
  [[nodiscard]] Result<std::vector<Digest>> end_sessions_of(const std::string& subject, WallTime began_by, std::size_t rows_max);

  [[nodiscard]] Result<Family> create_family(const NewFamily& family, WallTime now);
  // Rotation::Outcome; a reused family is ended. Its revocation is the caller's to keep, in the same transaction.
  [[nodiscard]] Result<Rotation> rotate_family(const Digest& key, std::uint64_t presented, const RotationRules& rules, WallTime now);
  [[nodiscard]] Result<bool> end_family(const Digest& key, WallTime now);
  // Ends at most `rows_max` families; how many it were.
  [[nodiscard]] Result<std::size_t> end_families_of(const std::string& subject, WallTime began_by, std::size_t rows_max);

  // `issued_before` must be set. Of two about the same thing the later times stay.
  [[nodiscard]] Result<void> keep_revocation(const Revocation& revocation, WallTime forget_at);
  struct KeptRevocation {
    Revocation revocation;
    WallTime forget_at{};
  };
  [[nodiscard]] Result<std::vector<KeptRevocation>> revocations(WallTime now);

  [[nodiscard]] Result<Secret> agree_on_secret(const std::string& name, const Secret& proposal);

  // Removes at most `rows_max` rows of each table that are over.
  [[nodiscard]] Result<void> sweep(WallTime now, std::size_t rows_max);
  // Take room in the file, and give it back: two transactions, because what one takes and gives back never reaches the disk.
  [[nodiscard]] Result<void> take_room();
  [[nodiscard]] Result<void> give_room_back();

 private:
  struct KeptFamily;
  [[nodiscard]] Result<std::optional<KeptFamily>> find_family(const Digest& key, WallTime now);
  [[nodiscard]] Result<Rotation> advance(KeptFamily family, const RotationRules& rules, WallTime now);

  SqliteDatabase* database_;
};

}  // namespace sallyport::store
