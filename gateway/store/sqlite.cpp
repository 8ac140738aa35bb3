#include "store/sqlite.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>
#include <utility>

namespace sallyport::store {
namespace {

// A second connection of this process may hold the file for the length of a checkpoint's last step.
constexpr int kBusyMilliseconds = 5000;

std::string reason(int number) { return std::generic_category().message(number); }

// What happened, for a person who can do something about it. nullptr: nothing beyond SQLite's own words.
const char* advice(int code) noexcept {
  switch (code & 0xff) {
    case SQLITE_FULL: return "the disk is full";
    case SQLITE_IOERR: return "reading or writing the disk failed";
    case SQLITE_CORRUPT: return "the file is damaged; restore it from a copy, or move it away to begin with an empty one";
    case SQLITE_NOTADB: return "the file is no SQLite database";
    case SQLITE_READONLY: return "the file or its folder may not be written";
    case SQLITE_CANTOPEN: return "the file cannot be opened";
    case SQLITE_PERM:
    case SQLITE_AUTH: return "access is denied";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "the file is in use by somebody else";
    case SQLITE_NOMEM: return "memory is short";
    default: return nullptr;
  }
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)), code_(other.code_), bound_(other.bound_) {}

SqliteStatement::~SqliteStatement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteStatement& SqliteStatement::bind(std::int64_t value) {
  const int code = sqlite3_bind_int64(statement_, ++bound_, value);
  if (code_ == SQLITE_OK) code_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::bind(std::string_view bytes) {
  // A null pointer would bind NULL: the empty text is a text.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  const int code = sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_TRANSIENT);
  if (code_ == SQLITE_OK) code_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::bind(const Sha256& digest) {
  return bind(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

Result<bool> SqliteStatement::step() {
  if (code_ == SQLITE_OK) {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    code_ = code;
  }
  return database_->error(code_);
}

Result<void> SqliteStatement::run() {
  for (;;) {
    const auto row = step();
    if (!row) return row.error();
    if (!*row) return {};
  }
}

std::optional<std::int64_t> SqliteStatement::integer(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_INTEGER) return std::nullopt;
  return sqlite3_column_int64(statement_, column);
}

std::optional<std::string> SqliteStatement::bytes(int column) const {
  if (sqlite3_column_type(statement_, column) != SQLITE_BLOB) return std::nullopt;
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));  // nullptr when empty
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? std::string() : std::string(data, size);
}

std::optional<Sha256> SqliteStatement::digest(int column) const {
  const auto text = bytes(column);
  Sha256 digest{};
  if (!text || text->size() != digest.size()) return std::nullopt;
  std::memcpy(digest.data(), text->data(), digest.size());
  return digest;
}

Result<SqliteDatabase> SqliteDatabase::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  // A name that begins otherwise could be read as a URI or as ":memory:".
  const bool is_plain = path.empty() || path.front() == '/' || path.front() == '.';
  const std::string name = path.empty() ? ":memory:" : (is_plain ? path : "./" + path);
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  SqliteDatabase database(path, handle);  // closes the handle, which is there even when opening failed
  if (code != SQLITE_OK) return database.error(code);
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  // What a damaged file says is not believed further than needed.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  if (auto read = database.number("SELECT count(*) FROM sqlite_schema"); !read) {
    const int failed = sqlite3_errcode(handle) & 0xff;
    const bool is_unreadable = failed == SQLITE_NOTADB || failed == SQLITE_CORRUPT;
    return make_error(is_unreadable ? Fault::malformed : read.error().fault, read.error().detail);
  }
  return database;
}

SqliteDatabase::SqliteDatabase(SqliteDatabase&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, nullptr)), statements_(std::move(other.statements_)) {}

SqliteDatabase::~SqliteDatabase() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

SqliteStatement SqliteDatabase::prepare(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return {*this, found->second, SQLITE_OK};
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code == SQLITE_OK) statements_.emplace(sql, statement);
  return {*this, statement, code};
}

Result<void> SqliteDatabase::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Result<std::string> SqliteDatabase::text(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  int code = sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return error(code);
  code = sqlite3_step(statement);
  Result<std::string> outcome = make_error(Fault::unavailable, path_ + ": no answer to " + sql);
  if (code == SQLITE_ROW) {
    const auto* answer = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    outcome = std::string(answer == nullptr ? "" : answer);
  } else if (code != SQLITE_DONE) {
    outcome = error(code);
  }
  sqlite3_finalize(statement);
  return outcome;
}

Result<std::int64_t> SqliteDatabase::number(const std::string& sql) {
  const auto answer = text(sql);
  if (!answer) return answer.error();
  try {
    return std::stoll(*answer);
  } catch (const std::exception&) {
    return make_error(Fault::unavailable, path_ + ": no number in answer to " + sql);
  }
}

std::int64_t SqliteDatabase::changes() const noexcept { return sqlite3_changes64(handle_); }

bool SqliteDatabase::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }

Error SqliteDatabase::error(int code) const {
  const char* known = advice(code);
  std::string detail = path_.empty() ? std::string("the store in memory") : path_;
  detail += ": ";
  if (known != nullptr) detail += std::string(known) + " (";
  // The words of the connection are of its last failure, which may be another one.
  const bool is_last = handle_ != nullptr && sqlite3_extended_errcode(handle_) == code;
  detail += is_last ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  if (const int system = handle_ == nullptr ? 0 : sqlite3_system_errno(handle_); is_last && system != 0 && known != nullptr) {
    detail += "; " + reason(system);
  }
  detail += "; SQLite " + std::to_string(code);
  if (known != nullptr) detail += ")";
  const Fault fault = (code & 0xff) == SQLITE_CONSTRAINT ? Fault::internal : Fault::unavailable;
  return make_error(fault, std::move(detail));
}

Result<FileLock> FileLock::take(const std::string& path) {
  const std::string name = path + ".lock";
  const int descriptor = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return make_error(Fault::unavailable, name + ": cannot be opened: " + reason(errno));
  FileLock lock(descriptor);
  // On the open file, not on the process: a second store within this process is refused too. The file stays, because whoever removes it
  // takes it from under somebody who is just opening it.
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return make_error(Fault::unavailable, path + ": used by another process");
    return make_error(Fault::unavailable, name + ": cannot be locked: " + reason(errno));
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> make_private_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return make_error(Fault::unavailable, path + ": cannot be opened for writing: " + reason(errno));
  ::close(descriptor);
  return {};
}

}  // namespace sallyport::store
