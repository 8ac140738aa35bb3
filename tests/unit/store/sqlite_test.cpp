#include "store/sqlite.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"

namespace sallyport::store {
namespace {

using test::TemporaryFolder;

SqliteDatabase open_in_memory() {
  auto database = SqliteDatabase::open("", SqliteDatabase::Mode::read_write);
  if (!database) throw std::runtime_error(database.error().detail);
  if (!database->execute("CREATE TABLE thing (id INTEGER NOT NULL UNIQUE, bytes BLOB) STRICT")) throw std::runtime_error("no table");
  return std::move(*database);
}

void write_bytes(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(SqliteDatabase, ReadsBackWhatWasBound) {
  auto database = open_in_memory();
  const std::string bytes("a\0'\xff;--", 7);
  ASSERT_TRUE(database.prepare("INSERT INTO thing VALUES (?, ?)").bind(-7).bind(bytes).run());
  EXPECT_EQ(database.changes(), 1);
  auto row = database.prepare("SELECT id, bytes FROM thing WHERE bytes = ?");
  row.bind(bytes);
  ASSERT_TRUE(*row.step());
  EXPECT_EQ(row.integer(0), -7);
  EXPECT_EQ(row.bytes(1), bytes);
  EXPECT_FALSE(*row.step());
}

TEST(SqliteDatabase, KeepsTheEmptyTextApartFromNothing) {
  auto database = open_in_memory();
  ASSERT_TRUE(database.prepare("INSERT INTO thing VALUES (1, ?)").bind(std::string_view()).run());
  ASSERT_TRUE(database.prepare("INSERT INTO thing VALUES (2, NULL)").run());
  auto row = database.prepare("SELECT bytes FROM thing ORDER BY id");
  ASSERT_TRUE(*row.step());
  EXPECT_EQ(row.bytes(0), "");
  ASSERT_TRUE(*row.step());
  EXPECT_FALSE(row.bytes(0));
}

TEST(SqliteDatabase, ReadsAColumnOnlyAsWhatItIs) {
  auto database = open_in_memory();
  ASSERT_TRUE(database.prepare("INSERT INTO thing VALUES (1, ?)").bind(std::string(31, 'x')).run());
  auto row = database.prepare("SELECT id, bytes, NULL, '1' FROM thing");
  ASSERT_TRUE(*row.step());
  EXPECT_FALSE(row.bytes(0));
  EXPECT_FALSE(row.integer(1));
  EXPECT_FALSE(row.digest(1)) << "31 bytes are no digest";
  EXPECT_FALSE(row.integer(2));
  EXPECT_FALSE(row.integer(3)) << "a text that looks like a number";
  EXPECT_FALSE(row.integer(9)) << "no such column";
}

TEST(SqliteDatabase, UsesAPreparedStatementAnew) {
  auto database = open_in_memory();
  constexpr std::string_view kInsert = "INSERT INTO thing VALUES (?, ?)";
  for (std::int64_t id = 0; id < 3; ++id) ASSERT_TRUE(database.prepare(kInsert).bind(id).bind("x").run());
  ASSERT_TRUE(database.prepare(kInsert).bind(7).run()) << "what the last use bound is forgotten";
  auto row = database.prepare("SELECT bytes FROM thing WHERE id = 7");
  ASSERT_TRUE(*row.step());
  EXPECT_FALSE(row.bytes(0));
}

TEST(SqliteDatabase, ReportsWhatCannotBeDone) {
  auto database = open_in_memory();
  EXPECT_FALSE(database.prepare("SELECT nothing FROM nowhere").run());
  EXPECT_FALSE(database.prepare("SELECT nothing FROM nowhere").bind(1).step());
  EXPECT_FALSE(database.prepare("SELECT 1").bind(1).run()) << "a parameter too many";
  EXPECT_FALSE(database.execute("nonsense"));
  EXPECT_FALSE(database.number("SELECT 'x'"));
  EXPECT_FALSE(database.number("SELECT 1 WHERE 0"));
  EXPECT_EQ(*database.number("SELECT 41 + 1"), 42);
  EXPECT_EQ(*database.text("SELECT 'x'"), "x");
}

TEST(SqliteDatabase, TellsAConstraintFromAFailedDisk) {
  auto database = open_in_memory();
  ASSERT_TRUE(database.prepare("INSERT INTO thing VALUES (1, NULL)").run());
  const auto twice = database.prepare("INSERT INTO thing VALUES (1, NULL)").run();
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().fault, Fault::internal);
  ASSERT_TRUE(database.number("PRAGMA max_page_count = 4"));
  const auto full = database.prepare("INSERT INTO thing VALUES (2, zeroblob(1000000))").run();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().fault, Fault::unavailable);
  EXPECT_NE(full.error().detail.find("the disk is full"), std::string::npos) << full.error().detail;
}

TEST(SqliteDatabase, KnowsWhetherATransactionIsOpen) {
  auto database = open_in_memory();
  EXPECT_FALSE(database.in_transaction());
  ASSERT_TRUE(database.execute("BEGIN"));
  EXPECT_TRUE(database.in_transaction());
  ASSERT_TRUE(database.execute("COMMIT"));
  EXPECT_FALSE(database.in_transaction());
}

TEST(SqliteDatabase, RefusesWhatIsNoDatabase) {
  const TemporaryFolder folder;
  const std::pair<const char*, std::string> files[] = {
      {"text", std::string(5000, 'x')},
      {"a magic number and no more", std::string("SQLite format 3\0", 16) + std::string(5000, '\xff')},
  };
  for (const auto& [what, bytes] : files) {
    write_bytes(folder.file("file"), bytes);
    const auto opened = SqliteDatabase::open(folder.file("file"), SqliteDatabase::Mode::read_write);
    ASSERT_FALSE(opened) << what;
    EXPECT_EQ(opened.error().fault, Fault::malformed) << what;
    EXPECT_NE(opened.error().detail.find(folder.file("file")), std::string::npos) << opened.error().detail;
  }
  const auto missing = SqliteDatabase::open(folder.file("missing"), SqliteDatabase::Mode::read_write);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, Fault::unavailable);
  const auto directory = SqliteDatabase::open(folder.path().string(), SqliteDatabase::Mode::read_write);
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().fault, Fault::unavailable);
}

TEST(SqliteDatabase, AReadOnlyConnectionChangesNothing) {
  const TemporaryFolder folder;
  const std::string path = folder.file("file");
  ASSERT_TRUE(make_private_file(path));
  auto writing = SqliteDatabase::open(path, SqliteDatabase::Mode::read_write);
  ASSERT_TRUE(writing);
  ASSERT_TRUE(writing->execute("CREATE TABLE thing (id INTEGER)"));
  auto reading = SqliteDatabase::open(path, SqliteDatabase::Mode::read_only);
  ASSERT_TRUE(reading);
  EXPECT_EQ(*reading->number("SELECT count(*) FROM thing"), 0);
  const auto written = reading->execute("INSERT INTO thing VALUES (1)");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().fault, Fault::unavailable);
  EXPECT_TRUE(writing->execute("INSERT INTO thing VALUES (1)"));
}

TEST(PrivateFile, IsItsOwnersAlone) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(0);
  ASSERT_TRUE(make_private_file(folder.file("file")));
  auto database = SqliteDatabase::open(folder.file("file"), SqliteDatabase::Mode::read_write);
  ASSERT_TRUE(database && database->text("PRAGMA journal_mode = WAL"));
  ASSERT_TRUE(database->execute("CREATE TABLE thing (id INTEGER)"));
  ::umask(before);
  for (const char* name : {"file", "file-wal", "file-shm"}) {
    struct stat status{};
    ASSERT_EQ(::stat(folder.file(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600U) << name;
  }
}

TEST(PrivateFile, StaysAsItIsWhenItIsThere) {
  const TemporaryFolder folder;
  write_bytes(folder.file("file"), "what was written");
  ASSERT_TRUE(make_private_file(folder.file("file")));
  EXPECT_EQ(std::filesystem::file_size(folder.file("file")), 16U);
  EXPECT_FALSE(make_private_file(folder.file("missing/file")));
}

TEST(FileLock, IsHeldOnce) {
  const TemporaryFolder folder;
  {
    const auto held = FileLock::take(folder.file("file"));
    ASSERT_TRUE(held);
    const auto second = FileLock::take(folder.file("file"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().fault, Fault::unavailable);
    EXPECT_EQ(second.error().detail, folder.file("file") + ": used by another process");
    EXPECT_TRUE(FileLock::take(folder.file("another file")));
  }
  EXPECT_TRUE(FileLock::take(folder.file("file"))) << "until it is let go";
  EXPECT_FALSE(FileLock::take(folder.file("no such folder/file")));
}

TEST(FileLock, DiesWithItsProcess) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = FileLock::take(folder.file("file"));
    (void)!::write(ready[1], held ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::take(folder.file("file")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileLock::take(folder.file("file")));
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace sallyport::store
