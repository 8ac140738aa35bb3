#include "store/embedded_engine.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <filesystem>

#include <boost/asio/post.hpp>

namespace sallyport::store {

// ---- Mailbox

std::size_t Mailbox::HashOfDigest::operator()(const Digest& digest) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof hash);  // a digest's bytes are as good as any hash of them
  return hash;
}

void Mailbox::post(std::shared_ptr<const ChangedSessions> changed, Questions answered) {
  const std::lock_guard lock(mutex_);
  if (context_ == nullptr) return;
  boost::asio::post(*context_, [self = shared_from_this(), changed = std::move(changed), answered = std::move(answered)]() mutable {
    self->deliver(changed.get(), std::move(answered));
  });
}

void Mailbox::deliver(const ChangedSessions* changed, Questions answered) {
  if (is_closed()) return;
  if (changed != nullptr) {
    for (const Digest& key : *changed) {
      const auto [first, last] = watches_.equal_range(key);
      for (auto watch = first; watch != last; ++watch) watch->second->has_changed_ = true;
      listener_->session_changed(key);
    }
  }
  for (auto& question : answered) {
    const auto waiter = waiters_.find(question->number());
    if (waiter == waiters_.end()) continue;  // it gave up
    waiter->second->answered_ = std::move(question);
    waiter->second->timer_.cancel();
  }
}

void Mailbox::close() {
  {
    const std::lock_guard lock(mutex_);
    context_ = nullptr;
  }
  listener_ = nullptr;
  metrics_ = nullptr;
  for (const auto& [number, waiter] : waiters_) waiter->timer_.cancel();
}

void Mailbox::count(std::string_view command, std::string_view result) {
  if (metrics_ != nullptr) metrics_->store_command(command, result);
}

Mailbox::Waiter::Waiter(std::shared_ptr<Mailbox> mailbox)
    : mailbox_(std::move(mailbox)), number_(++mailbox_->last_number_), timer_(mailbox_->executor_) {
  mailbox_->waiters_.emplace(number_, this);
}

Mailbox::Watch::Watch(std::shared_ptr<Mailbox> mailbox, const Digest& key) : mailbox_(std::move(mailbox)), key_(key) {
  mailbox_->watches_.emplace(key_, this);
}

Mailbox::Watch::~Watch() {
  const auto [first, last] = mailbox_->watches_.equal_range(key_);
  const auto mine = std::find_if(first, last, [this](const auto& entry) { return entry.second == this; });
  if (mine != last) mailbox_->watches_.erase(mine);
}

// ---- Lane

// A queue, a connection, and the thread that serves one with the other.
class EmbeddedEngine::Lane {
 public:
  using Serve = void (EmbeddedEngine::*)(SqliteDatabase& database, Questions questions);

  Lane(EmbeddedEngine& engine, SqliteDatabase database, Serve serve, bool probes)
      : engine_(engine), serve_(serve), probes_(probes), database_(std::in_place, std::move(database)), thread_([this] { run(); }) {}
  ~Lane() { stop(); }

  [[nodiscard]] Result<void> ask(std::unique_ptr<Question> question) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return make_error(Fault::unavailable, "the store has been stopped");
      if (queue_.size() >= engine_.limits_.queue_max) {
        return make_error(Fault::unavailable, std::to_string(queue_.size()) + " questions wait for the store already");
      }
      queue_.push_back(std::move(question));
    }
    wake_.notify_one();
    return {};
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  // Closes the connection. The lane has stopped.
  void close() { database_.reset(); }

 private:
  // What waits, up to a group; nothing when it was woken for another reason.
  Questions next_group(bool& is_over) {
    std::unique_lock lock(mutex_);
    const auto is_wanted = [this] { return stopping_ || !queue_.empty(); };
    if (probes_ && engine_.has_trouble_) {
      wake_.wait_for(lock, engine_.limits_.probe_every, is_wanted);
    } else {
      wake_.wait(lock, is_wanted);
    }
    const auto count = static_cast<std::ptrdiff_t>(std::min(queue_.size(), engine_.limits_.group_max));
    Questions group(std::make_move_iterator(queue_.begin()), std::make_move_iterator(queue_.begin() + count));
    queue_.erase(queue_.begin(), queue_.begin() + count);
    is_over = stopping_ && group.empty();
    return group;
  }

  void run() {
    for (;;) {
      bool is_over = false;
      Questions group = next_group(is_over);
      if (is_over) return;
      if (group.empty()) {
        engine_.probe(*database_);
      } else {
        (engine_.*serve_)(*database_, std::move(group));
      }
    }
  }

  EmbeddedEngine& engine_;
  const Serve serve_;
  const bool probes_;
  std::optional<SqliteDatabase> database_;  // the thread's; nullopt once closed
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Question>> queue_;  // by mutex_
  bool stopping_ = false;                        // by mutex_
  std::thread thread_;
};

// ---- EmbeddedEngine

namespace {

constexpr std::string_view kBeginToRead = "BEGIN";
constexpr std::string_view kBeginToWrite = "BEGIN IMMEDIATE";
constexpr std::string_view kCommit = "COMMIT";
constexpr std::string_view kRollback = "ROLLBACK";

void roll_back(SqliteDatabase& database) {
  // What a failed disk undid by itself needs no undoing.
  if (database.in_transaction()) (void)database.prepare(kRollback).run();
}

Result<void> run_guarded(Question& question, EmbeddedTables& tables, WallTime now, ChangedSessions& changed) {
  try {
    return question.run(tables, now, changed);
  } catch (const std::exception& exception) {
    return make_error(Fault::internal, std::string("a question to the store threw: ") + exception.what());
  }
}

// Whether the disk, not the question, is at fault.
bool is_trouble(const Error& error) { return error.fault == Fault::unavailable; }

// One question in the transaction that is open; what it changed is taken back when it fails.
Result<void> run_in_savepoint(SqliteDatabase& database, Question& question, WallTime now, ChangedSessions& changed) {
  if (auto begun = database.prepare("SAVEPOINT question").run(); !begun) {
    question.fail(begun.error());
    return begun;
  }
  EmbeddedTables tables(database);
  const std::size_t changed_before = changed.size();
  const auto done = run_guarded(question, tables, now, changed);
  if (!done) {
    question.fail(done.error());
    changed.resize(changed_before);
    // What cannot be taken back alone is taken back with the group.
    if (database.in_transaction() && !database.prepare("ROLLBACK TO question").run()) roll_back(database);
  }
  if (!database.in_transaction()) return done;
  if (auto released = database.prepare("RELEASE question").run(); !released) {
    question.fail(released.error());
    roll_back(database);
    return released;
  }
  return done;
}

Result<SqliteDatabase> open_file(const std::string& path, const EngineLimits& limits, std::optional<FileLock>& file_lock) {
  // The lock first: to open and close the file of a running process would already do harm.
  auto lock = FileLock::take(path);
  if (!lock) return lock.error();
  file_lock = std::move(*lock);
  if (auto made = make_private_file(path); !made) return made.error();
  auto database = SqliteDatabase::open(path, SqliteDatabase::Mode::read_write);
  if (!database) return database;
  if (auto prepared = EmbeddedTables::prepare(*database); !prepared) {
    return make_error(prepared.error().fault, path + ": " + prepared.error().detail);
  }
  const auto mode = database->text("PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return make_error(Fault::unavailable, path + ": its file system does not allow a write-ahead log");
  // Every commit is on the disk before it is acknowledged.
  if (auto set = database->execute("PRAGMA synchronous = FULL"); !set) return set.error();
  if (limits.pages_max) {
    if (auto set = database->number("PRAGMA max_page_count = " + std::to_string(*limits.pages_max)); !set) return set.error();
  }
  return database;
}

Result<SqliteDatabase> open_memory() {
  auto database = SqliteDatabase::open("", SqliteDatabase::Mode::read_write);
  if (!database) return database;
  if (auto prepared = EmbeddedTables::prepare(*database); !prepared) return prepared.error();
  return database;
}

}  // namespace

Result<std::unique_ptr<EmbeddedEngine>> EmbeddedEngine::open(const std::string& path, const EngineLimits& limits, const Clock& clock,
                                                             const observe::Log& log) {
  std::unique_ptr<EmbeddedEngine> engine(new EmbeddedEngine(path, limits, clock, log));
  auto database = path.empty() ? open_memory() : open_file(path, limits, engine->file_lock_);
  if (!database) return database.error();
  auto revocations = EmbeddedTables(*database).revocations(clock.wall_now());
  if (!revocations) return make_error(revocations.error().fault, path + ": " + revocations.error().detail);
  engine->revocations_ = std::move(*revocations);
  std::optional<SqliteDatabase> reading;
  if (!path.empty()) {
    auto opened = SqliteDatabase::open(path, SqliteDatabase::Mode::read_only);
    if (!opened) return opened.error();
    reading.emplace(std::move(*opened));
  }
  engine->writer_ = std::make_unique<Lane>(*engine, std::move(*database), &EmbeddedEngine::write_group, true);
  if (reading) engine->reader_ = std::make_unique<Lane>(*engine, std::move(*reading), &EmbeddedEngine::read_group, false);
  return engine;
}

EmbeddedEngine::EmbeddedEngine(std::string path, const EngineLimits& limits, const Clock& clock, const observe::Log& log)
    : path_(std::move(path)), limits_(limits), clock_(clock), log_(log) {}

EmbeddedEngine::~EmbeddedEngine() { stop(); }

void EmbeddedEngine::stop() {
  // The lanes stay: a late question is told that they have stopped.
  if (reader_) reader_->stop();
  if (writer_) writer_->stop();
}

void EmbeddedEngine::let_go() {
  if (!is_file()) return;
  has_let_go_.store(true, std::memory_order_release);
  stop();
  reader_->close();  // first, so that the writer closes the file
  writer_->close();
  file_lock_.reset();
}

Result<void> EmbeddedEngine::ask(Access access, std::unique_ptr<Question> question) {
  const bool beside = access == Access::read && reader_ != nullptr;
  return (beside ? *reader_ : *writer_).ask(std::move(question));
}

std::shared_ptr<Mailbox> EmbeddedEngine::attach(boost::asio::io_context& context, ChangeListener& listener,
                                                observe::WorkerMetrics& metrics) {
  auto mailbox = std::make_shared<Mailbox>(context, listener, metrics);
  const std::lock_guard lock(mutex_);
  std::erase_if(mailboxes_, [](const auto& known) { return known.expired(); });
  mailboxes_.push_back(mailbox);
  return mailbox;
}

std::string EmbeddedEngine::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void EmbeddedEngine::set_trouble(const std::string& trouble) {
  {
    const std::lock_guard lock(mutex_);
    if (trouble_.empty() == trouble.empty()) {
      trouble_ = trouble;
      return;
    }
    trouble_ = trouble;
    has_trouble_ = !trouble.empty();
  }
  if (trouble.empty()) {
    log_.event(observe::Level::info, "store_recovered", "the store keeps what it is given again");
  } else {
    log_.event(observe::Level::error, "store_failed", trouble);
  }
}

void EmbeddedEngine::read_group(SqliteDatabase& database, Questions questions) {
  // One snapshot for all: it holds whatever was acknowledged before the group was taken.
  const auto begun = database.prepare(kBeginToRead).run();
  ChangedSessions none;
  EmbeddedTables tables(database);
  for (auto& question : questions) {
    const auto done = begun ? run_guarded(*question, tables, clock_.wall_now(), none) : begun;
    if (!done) question->fail(done.error());
  }
  if (begun && database.in_transaction() && !database.prepare(kCommit).run()) roll_back(database);
  tell(none, std::move(questions));
}

void EmbeddedEngine::write_group(SqliteDatabase& database, Questions questions) {
  ChangedSessions changed;
  std::optional<std::string> trouble;
  const auto fail = [&](std::size_t first, std::size_t last, const Error& error) {
    for (std::size_t i = first; i < last; ++i) questions[i]->fail(error);
    trouble = error.detail;
  };
  for (std::size_t first = 0; first < questions.size();) {
    const std::size_t changed_before = changed.size();
    std::size_t next = first;
    Result<void> kept = database.prepare(kBeginToWrite).run();
    if (!kept) next = questions.size();
    for (; kept && next < questions.size() && database.in_transaction(); ++next) {
      const auto done = run_in_savepoint(database, *questions[next], clock_.wall_now(), changed);
      if (done) continue;
      if (is_trouble(done.error())) trouble = done.error().detail;
      // The transaction may be gone with the failure, and with it all that the group did so far.
      if (!database.in_transaction()) kept = done.error();
    }
    if (kept && !has_trouble_) {
      // What is over goes away in small pieces, two rows of each table for a question at least: faster than new ones come.
      const auto swept = EmbeddedTables(database).sweep(clock_.wall_now(), std::max(limits_.swept_min, 2 * (next - first)));
      if (!swept && !database.in_transaction()) kept = swept;
    }
    if (kept) kept = database.prepare(kCommit).run();
    if (!kept) {
      roll_back(database);
      changed.resize(changed_before);
      fail(first, next, kept.error());
    }
    first = next;
  }
  if (trouble) set_trouble(*trouble);  // the probe takes it back
  tell(changed, std::move(questions));
}

void EmbeddedEngine::probe(SqliteDatabase& database) {
  EmbeddedTables tables(database);
  const auto keep = [&](const auto& change) -> Result<void> {
    Result<void> kept = database.prepare(kBeginToWrite).run();
    if (kept) kept = change();
    if (kept) kept = database.prepare(kCommit).run();
    if (!kept) roll_back(database);
    return kept;
  };
  // What is over makes room first: then a full file recovers though everything new is refused.
  Result<void> kept = keep([&] { return tables.sweep(clock_.wall_now(), limits_.swept_min); });
  if (kept) kept = keep([&] { return tables.take_room(); });
  if (kept) kept = keep([&] { return tables.give_room_back(); });
  set_trouble(kept ? std::string() : kept.error().detail);
}

void EmbeddedEngine::tell(const ChangedSessions& changed, Questions answered) {
  const auto news = changed.empty() ? nullptr : std::make_shared<const ChangedSessions>(changed);
  std::vector<std::shared_ptr<Mailbox>> mailboxes;
  if (news != nullptr) {
    const std::lock_guard lock(mutex_);
    for (const auto& mailbox : mailboxes_) {
      if (auto known = mailbox.lock()) mailboxes.push_back(std::move(known));
    }
  }
  // The news first, to all: whoever hears of an answer finds that everybody has been told.
  for (const auto& mailbox : mailboxes) mailbox->post(news, {});
  std::unordered_map<std::shared_ptr<Mailbox>, Questions> by_asker;
  for (auto& question : answered) {
    auto asker = question->asker();
    by_asker[std::move(asker)].push_back(std::move(question));
  }
  for (auto& [asker, questions] : by_asker) asker->post(nullptr, std::move(questions));
}

}  // namespace sallyport::store
