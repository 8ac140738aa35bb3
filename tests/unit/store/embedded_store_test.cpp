#include "store/embedded_store.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "embedded_kind.hpp"

namespace sallyport::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using test::TemporaryFolder;

std::unique_ptr<StoreUnderTest> make_file() { return std::make_unique<EmbeddedKind>(); }
std::unique_ptr<StoreUnderTest> make_memory() { return std::make_unique<EmbeddedKind>(""); }

INSTANTIATE_TEST_SUITE_P(Embedded, StoreContract, ::testing::Values(KindOfStore{"file", &make_file}, KindOfStore{"memory", &make_memory}),
                         name_of_kind);

NewSession new_session(std::string_view id, std::string subject = "alice", std::size_t claims_bytes = 0) {
  const std::string claims = R"({"filler":")" + std::string(claims_bytes, 'x') + "\"}";
  return {key_of(id), std::move(subject), *Json::parse(claims), minutes(30), hours(24)};
}
Result<void> create(StoreWorker& worker, const NewSession& session) {
  return worker.call([session](Store& store) { return store.create_session(session); });
}
Result<std::optional<Session>> find(StoreWorker& worker, std::string_view id) {
  return worker.call([key = key_of(id)](Store& store) { return store.find_session(key); });
}
Result<bool> end_session(StoreWorker& worker, std::string_view id) {
  return worker.call([key = key_of(id)](Store& store) { return store.end_session(key); });
}
std::string read_file(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}
void write_file(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// What opening a store needs, without workers.
struct Opening {
  Opening() = default;
  [[nodiscard]] Result<std::unique_ptr<StoreService>> open(const std::string& path) {
    StoreSettings settings;
    settings.path = path;
    return open_embedded_store(settings, {control.context(), control.wheel(), revocations, log, clock});
  }
  // The log as it was written.
  [[nodiscard]] std::string logged() {
    writer.reset();
    return read_file(folder.file("log"));
  }

  TemporaryFolder folder;
  test::ManualClock clock;
  ContextThread control;
  RevocationList revocations{100};
  std::unique_ptr<observe::LineWriter> writer =
      std::make_unique<observe::LineWriter>(observe::Sink{observe::Sink::Kind::file, folder.file("log")}, 65536);
  observe::Log log{*writer, observe::Level::info, clock};
};

TEST(EmbeddedStore, ReadsNoSessionsOfOtherApplications) {
  EmbeddedKind kind;
  StoreProcess process(kind);
  const auto found = process.worker(0).call([](Store& store) { return store.find_foreign_session("sess:", "id"); });
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().fault, Fault::unsupported);
}

TEST(EmbeddedStore, WarnsWhenItIsInMemoryOnly) {
  Opening opening;
  ASSERT_TRUE(opening.open(""));
  EXPECT_NE(opening.logged().find("\"store_in_memory\""), std::string::npos);
}

TEST(EmbeddedStore, WithoutItsFileItKnowsOfNoChangesAndNoRevocations) {
  Opening opening;
  auto service = opening.open(opening.folder.file("db"));
  ASSERT_TRUE(service);
  StoreWorker worker(**service);
  EXPECT_TRUE(worker.hears_changes());
  EXPECT_TRUE(opening.revocations.is_complete());
  const std::uint64_t generation = opening.revocations.generation();
  (*service)->let_go();
  EXPECT_FALSE(worker.hears_changes()) << "a successor makes them";
  EXPECT_FALSE(opening.revocations.is_complete());
  EXPECT_NE(opening.revocations.generation(), generation) << "what was remembered as not revoked is asked for again";
  worker.stop();
}

TEST(EmbeddedStore, InMemoryThereIsNothingToLetGo) {
  Opening opening;
  auto service = opening.open("");
  ASSERT_TRUE(service);
  StoreWorker worker(**service);
  (*service)->let_go();
  EXPECT_TRUE(worker.hears_changes());
  EXPECT_TRUE(opening.revocations.is_complete());
  worker.stop();
}

TEST(EmbeddedStore, DoesNotWarnOfAPrivateFile) {
  Opening opening;
  const mode_t before = ::umask(0);
  ASSERT_TRUE(opening.open(opening.folder.file("db")));
  ::umask(before);
  EXPECT_EQ(opening.logged(), "");
}

TEST(EmbeddedStore, WarnsOfAFileThatOthersMayRead) {
  Opening opening;
  const std::string path = opening.folder.file("db");
  write_file(path, "");
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_TRUE(opening.open(path));
  EXPECT_NE(opening.logged().find("\"store_readable_by_others\""), std::string::npos);
}

TEST(EmbeddedStore, RefusesAFileThatIsInUse) {
  Opening opening;
  const std::string path = opening.folder.file("db");
  {
    const auto first = opening.open(path);
    ASSERT_TRUE(first) << first.error().detail;
    const auto second = opening.open(path);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().fault, Fault::unavailable);
    EXPECT_NE(second.error().detail.find("used by another process"), std::string::npos) << second.error().detail;
  }
  EXPECT_TRUE(opening.open(path)) << "until the first has ended";
}

TEST(EmbeddedStore, OpensNoFileWhereNoneCanBe) {
  Opening opening;
  const auto refuses = [&](const std::string& path, const char* what) {
    const auto opened = opening.open(path);
    ASSERT_FALSE(opened) << what;
    EXPECT_EQ(opened.error().fault, Fault::unavailable) << what;
    EXPECT_NE(opened.error().detail.find(path), std::string::npos) << opened.error().detail;
  };
  refuses(opening.folder.file("no such folder/db"), "no such folder");
  // Whoever is root writes where mode bits say no; the kernel's own folders refuse root too.
  ASSERT_EQ(::chmod(opening.folder.path().c_str(), 0500), 0);
  refuses(::geteuid() == 0 ? "/sys/kernel/db" : opening.folder.file("db"), "a folder that may not be written");
  ASSERT_EQ(::chmod(opening.folder.path().c_str(), 0700), 0);
  std::filesystem::create_directory(opening.folder.file("folder"));
  refuses(opening.folder.file("folder"), "a folder instead of a file");
}

TEST(EmbeddedStore, RefusesAFileThatIsNoDatabaseOfOurs) {
  Opening opening;
  const std::string path = opening.folder.file("db");
  write_file(path, std::string(8192, 'x'));
  const auto text = opening.open(path);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().fault, Fault::malformed);
  EXPECT_EQ(read_file(path), std::string(8192, 'x')) << "it is left alone";

  const std::string other = opening.folder.file("other");
  ASSERT_TRUE(make_private_file(other));
  ASSERT_TRUE(SqliteDatabase::open(other, SqliteDatabase::Mode::read_write)->execute("CREATE TABLE thing (id INTEGER)"));
  const std::string before = read_file(other);
  const auto foreign = opening.open(other);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().fault, Fault::malformed);
  EXPECT_NE(foreign.error().detail.find("another program"), std::string::npos) << foreign.error().detail;
  EXPECT_EQ(read_file(other), before);
}

// A file with a few hundred sessions, closed in order.
std::string filled_file(const TemporaryFolder& folder) {
  const std::string path = folder.file("filled");
  EmbeddedKind kind(path);
  StoreProcess process(kind);
  std::vector<std::future<Result<void>>> created;
  for (int i = 0; i < 300; ++i) {
    created.push_back(process.worker(0).begin(
        [session = new_session(std::to_string(i), "alice", 500)](Store& store) { return store.create_session(session); }));
  }
  for (auto& one : created) EXPECT_TRUE(one.get());
  return path;
}

TEST(EmbeddedStore, RefusesATruncatedFile) {
  Opening opening;
  const std::string path = filled_file(opening.folder);
  const std::string whole = read_file(path);
  ASSERT_GT(whole.size(), 100'000U);
  ASSERT_TRUE(opening.open(path)) << "the twin";
  for (const std::size_t length :
       {std::size_t{2}, std::size_t{99}, std::size_t{100}, std::size_t{4095}, std::size_t{4096}, whole.size() / 2, whole.size() - 4096}) {
    write_file(path, std::string_view(whole).substr(0, length));
    const auto opened = opening.open(path);
    ASSERT_FALSE(opened) << length << " of " << whole.size();
    EXPECT_EQ(opened.error().fault, Fault::malformed) << opened.error().detail;
  }
}

// Whatever stands in the file: an error, or what was written; never a crash, never another's session.
TEST(EmbeddedStore, G05_ADamagedFileIsAnErrorAndNeverAnIdentity) {
  const TemporaryFolder folder;
  const std::string path = filled_file(folder);
  const std::string whole = read_file(path);
  int errors = 0;
  for (std::size_t page = 1; page < whole.size() / 4096; ++page) {
    std::string damaged = whole;
    for (std::size_t i = 0; i < 4096; ++i) damaged[page * 4096 + i] = static_cast<char>(i * 31 + page);
    write_file(path, damaged);
    EmbeddedKind kind(path);
    std::unique_ptr<StoreProcess> process;
    try {
      process = std::make_unique<StoreProcess>(kind);
    } catch (const std::runtime_error&) {
      ++errors;
      continue;
    }
    for (int i = 0; i < 300; i += 37) {
      const std::string id = std::to_string(i);
      const auto found = find(process->worker(0), id);
      if (!found) {
        ++errors;
        EXPECT_EQ(found.error().fault, Fault::unavailable) << found.error().detail;
      } else if (found->has_value()) {
        EXPECT_EQ((*found)->key, key_of(id));
        EXPECT_EQ((*found)->subject, "alice");
      }
    }
    (void)create(process->worker(0), new_session("new"));
    (void)end_session(process->worker(0), "1");
  }
  EXPECT_GT(errors, 10);
}

TEST(EmbeddedStore, AFileThatIsDestroyedUnderItEndsInErrorsNotInTheProcess) {
  const TemporaryFolder folder;
  const std::string path = filled_file(folder);
  EmbeddedKind kind(path);
  StoreProcess process(kind);
  ASSERT_EQ(::truncate(path.c_str(), 4096), 0);
  int errors = 0;
  for (int i = 0; i < 300; i += 7) {
    const auto found = find(process.worker(0), std::to_string(i));
    if (!found) {
      ++errors;
      EXPECT_EQ(found.error().fault, Fault::unavailable) << found.error().detail;
    } else {
      EXPECT_TRUE(found->has_value()) << "what cannot be read is not absent: " << i;
    }
  }
  EXPECT_GT(errors, 0);
}

TEST(EmbeddedStore, AFullDiskIsAnErrorAndNothingAcknowledgedIsLost) {
  const TemporaryFolder folder;
  EngineLimits limits;
  limits.pages_max = 40;
  limits.probe_every = milliseconds(5);
  const std::string path = folder.file("db");
  std::vector<std::string> kept;
  {
    EmbeddedKind kind(path, limits);
    StoreProcess process(kind);
    StoreWorker& worker = process.worker(0);
    Result<void> created;
    for (int i = 0; i < 1000 && created; ++i) {
      created = create(worker, new_session(std::to_string(i), "alice", 1000));
      if (created) kept.push_back(std::to_string(i));
    }
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().fault, Fault::unavailable);
    EXPECT_NE(created.error().detail.find("the disk is full"), std::string::npos) << created.error().detail;
    EXPECT_NE(process.trouble().find("the disk is full"), std::string::npos);
    ASSERT_GT(kept.size(), 60U);
    for (const auto& id : kept) EXPECT_TRUE(find(worker, id)->has_value()) << id;
    EXPECT_TRUE(*end_session(worker, kept.back())) << "who makes room may";
    kept.pop_back();
    // With room again there is no trouble any more, without anybody asking.
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(*end_session(worker, kept.back()));
      kept.pop_back();
    }
    EXPECT_TRUE(eventually([&] { return process.trouble().empty(); })) << process.trouble();
    ASSERT_TRUE(create(worker, new_session("after", "alice", 1000)));
    kept.emplace_back("after");
  }
  EmbeddedKind kind(path);
  StoreProcess process(kind);
  for (const auto& id : kept) EXPECT_TRUE(find(process.worker(0), id)->has_value()) << id;
}

TEST(EmbeddedStore, AFullDiskIsSweptSoThatItRecovers) {
  const TemporaryFolder folder;
  EngineLimits limits;
  limits.pages_max = 40;
  limits.probe_every = milliseconds(5);
  EmbeddedKind kind(folder.file("db"), limits);
  StoreProcess process(kind);
  Result<void> created;
  for (int i = 0; i < 1000 && created; ++i) created = create(process.worker(0), new_session(std::to_string(i), "alice", 1000));
  ASSERT_FALSE(created);
  ASSERT_NE(process.trouble(), "");
  kind.advance(hours(1));
  EXPECT_TRUE(eventually([&] { return process.trouble().empty(); })) << process.trouble();
  EXPECT_TRUE(create(process.worker(0), new_session("after", "alice", 1000)));
}

// The kernel refuses to let any file of the process grow: as a full disk does, in the middle of a commit.
class NoFileGrows {
 public:
  explicit NoFileGrows(rlim_t bytes) {
    ignored_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~NoFileGrows() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, ignored_);
  }
  NoFileGrows(const NoFileGrows&) = delete;
  NoFileGrows& operator=(const NoFileGrows&) = delete;

 private:
  rlimit before_{};
  void (*ignored_)(int) = SIG_DFL;
};

TEST(EmbeddedStore, ADiskThatFailsInTheMiddleOfACommitLosesNothingAcknowledged) {
  const TemporaryFolder folder;
  EngineLimits limits;
  limits.probe_every = milliseconds(5);
  const std::string path = folder.file("db");
  std::vector<std::string> kept;
  std::size_t refused = 0;
  {
    EmbeddedKind kind(path, limits);
    StoreProcess process(kind);
    StoreWorker& worker = process.worker(0);
    const auto create_many = [&](const std::string& prefix, int count) {
      std::vector<std::pair<std::string, std::future<Result<void>>>> created;
      for (int i = 0; i < count; ++i) {
        const std::string id = prefix + std::to_string(i);
        created.emplace_back(
            id, worker.begin([session = new_session(id, "alice", 2000)](Store& store) { return store.create_session(session); }));
      }
      for (auto& [id, one] : created) {
        const auto result = one.get();
        if (result) {
          kept.push_back(id);
        } else {
          ++refused;
          EXPECT_EQ(result.error().fault, Fault::unavailable) << result.error().detail;
        }
      }
    };
    create_many("before", 200);
    ASSERT_EQ(kept.size(), 200U);
    {
      // Neither the log nor, when the log is folded in, the database may hold all of these.
      const NoFileGrows limit(std::max(std::filesystem::file_size(path + "-wal"), std::filesystem::file_size(path)) + 100'000);
      create_many("meanwhile", 2000);
      EXPECT_GT(refused, 0U);
      EXPECT_TRUE(eventually([&] {
        (void)create(worker, new_session("probing" + std::to_string(refused++), "alice", 2000));
        return !process.trouble().empty();
      }));
      for (const auto& id : kept) ASSERT_TRUE(find(worker, id)->has_value()) << id;
    }
    EXPECT_TRUE(eventually([&] { return process.trouble().empty(); })) << process.trouble();
    const std::size_t before = kept.size();
    create_many("after", 200);
    EXPECT_EQ(kept.size(), before + 200);
  }
  EmbeddedKind kind(path);
  StoreProcess process(kind);
  for (const auto& id : kept) ASSERT_TRUE(find(process.worker(0), id)->has_value()) << id;
}

TEST(EmbeddedStore, ARevocationHoldsInTheProcessThoughTheDiskIsFull) {
  const TemporaryFolder folder;
  EmbeddedKind kind(folder.file("db"));
  StoreProcess process(kind);
  ASSERT_TRUE(create(process.worker(0), new_session("a")));
  const NoFileGrows limit(1);
  const auto revoked =
      process.worker(0).call([](Store& store) { return store.revoke({Revocation::Kind::subject, "alice", {}, hours(1)}); });
  ASSERT_FALSE(revoked) << "it would not survive";
  EXPECT_EQ(revoked.error().fault, Fault::unavailable);
  EXPECT_TRUE(process.revocations().revokes({.subject = "alice"}, kind.clock().wall_now()));
}

TEST(EmbeddedStore, DoesNotStartWithFewerRevocationsThanItPromised) {
  const TemporaryFolder folder;
  const std::string path = folder.file("db");
  {
    EmbeddedKind kind(path);
    StoreProcess process(kind);
    for (const char* id : {"a", "b", "c"}) {
      ASSERT_TRUE(process.worker(0).call([id](Store& store) { return store.revoke({Revocation::Kind::token_id, id, {}, hours(1)}); }));
    }
  }
  EmbeddedKind kind(path);
  EXPECT_THROW(StoreProcess(kind, 2), std::runtime_error);
  EXPECT_NO_THROW(StoreProcess(kind, 3));
}

TEST(EmbeddedStore, RefusesARevocationOfNothing) {
  EmbeddedKind kind;
  StoreProcess process(kind);
  const auto revoke = [&](Revocation revocation) {
    return process.worker(0).call([revocation](Store& store) { return store.revoke(revocation); });
  };
  EXPECT_FALSE(revoke({Revocation::Kind::subject, "", {}, hours(1)}));
  EXPECT_FALSE(revoke({Revocation::Kind::everything, "alice", {}, hours(1)}));
  EXPECT_FALSE(revoke({Revocation::Kind::subject, "alice", {}, milliseconds(0)}));
  EXPECT_FALSE(revoke({Revocation::Kind::subject, "alice", {}, milliseconds(-1)}));
  EXPECT_EQ(process.revocations().size(), 0U);
  EXPECT_TRUE(revoke({Revocation::Kind::subject, "alice", {}, milliseconds(1)}));
}

TEST(EmbeddedStore, SweepsWhatIsOverAfterOtherWrites) {
  const TemporaryFolder folder;
  const std::string path = folder.file("db");
  EngineLimits limits;
  limits.swept_min = 10;
  {
    EmbeddedKind kind(path, limits);
    StoreProcess process(kind);
    for (int i = 0; i < 35; ++i) ASSERT_TRUE(create(process.worker(0), new_session(std::to_string(i))));
    kind.advance(hours(1));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(create(process.worker(0), new_session("new" + std::to_string(i))));
  }
  auto database = SqliteDatabase::open(path, SqliteDatabase::Mode::read_only);
  ASSERT_TRUE(database);
  EXPECT_EQ(*database->number("SELECT count(*) FROM session"), 5 + 3) << "ten a time";
}

}  // namespace
}  // namespace sallyport::store
