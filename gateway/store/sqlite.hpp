// SQLite as the embedded store uses it: one connection per thread, errors as values that a person understands. The only header (with its
// .cpp) that knows of sqlite3.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "base/secret.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace sallyport::store {

// One use of a prepared statement: parameters are bound in order, rows are stepped through. Reset and unbound at its end. A failure to bind
// is reported by the step. Text and bytes are copied; a column's bytes are copied out.
class SqliteStatement {
 public:
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&&) = delete;
  ~SqliteStatement();

  SqliteStatement& bind(std::int64_t value);
  SqliteStatement& bind(std::string_view bytes);  // a BLOB: compared byte for byte, NUL or not
  SqliteStatement& bind(const Sha256& digest);

  // True: a row stands ready. False: there is none any more.
  [[nodiscard]] Result<bool> step();
  // Steps to the end.
  [[nodiscard]] Result<void> run();

  // Of the row that stands ready; columns count from 0. nullopt: the column is of another type, or has another length.
  [[nodiscard]] std::optional<std::int64_t> integer(int column) const;
  [[nodiscard]] std::optional<std::string> bytes(int column) const;
  [[nodiscard]] std::optional<Sha256> digest(int column) const;

 private:
  friend class SqliteDatabase;
  SqliteStatement(const class SqliteDatabase& database, sqlite3_stmt* statement, int code) noexcept
      : database_(&database), statement_(statement), code_(code) {}

  const SqliteDatabase* database_;
  sqlite3_stmt* statement_;  // nullptr when it could not be prepared, or moved from
  int code_;                 // the first failure
  int bound_ = 0;
};

// A connection. Belongs to one thread at a time.
class SqliteDatabase {
 public:
  enum class Mode : std::uint8_t { read_write, read_only };

  // Opens `path`, or a database in memory when it is empty. The file must be there. Fault::malformed: no SQLite database, or a damaged one;
  // unavailable: everything else.
  [[nodiscard]] static Result<SqliteDatabase> open(const std::string& path, Mode mode);

  SqliteDatabase(SqliteDatabase&& other) noexcept;
  SqliteDatabase& operator=(SqliteDatabase&&) = delete;
  ~SqliteDatabase();

  // `sql` is one statement and must live as long as the database (a literal): it is prepared once.
  [[nodiscard]] SqliteStatement prepare(std::string_view sql);
  // Runs statements that stand alone (schema, pragmas).
  [[nodiscard]] Result<void> execute(const std::string& sql);
  // The first column of the first row, as a number.
  [[nodiscard]] Result<std::int64_t> number(const std::string& sql);
  // As text: what a pragma answers.
  [[nodiscard]] Result<std::string> text(const std::string& sql);

  // Rows that the last INSERT, UPDATE or DELETE changed.
  [[nodiscard]] std::int64_t changes() const noexcept;
  // Whether a transaction is open. SQLite ends one by itself when the disk fails.
  [[nodiscard]] bool in_transaction() const noexcept;

 private:
  friend class SqliteStatement;
  SqliteDatabase(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  [[nodiscard]] Error error(int code) const;

  std::string path_;  // for messages
  sqlite3* handle_;
  std::unordered_map<std::string_view, sqlite3_stmt*> statements_;
};

// Holds `<path>.lock` for this process until destroyed, or dies with it.
class FileLock {
 public:
  // Fault::unavailable: another process (or another store of this one) holds it, or the file cannot be made.
  [[nodiscard]] static Result<FileLock> take(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

// Makes `path` with mode 0600 when it is not there, so that what SQLite puts beside it has that mode too. Fault::unavailable.
[[nodiscard]] Result<void> make_private_file(const std::string& path);

}  // namespace sallyport::store
