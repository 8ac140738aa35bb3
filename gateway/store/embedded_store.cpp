#include "store/embedded_store.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "store/embedded_tables.hpp"

namespace sallyport::store {
namespace {

using Access = EmbeddedEngine::Access;
using std::chrono::milliseconds;

// Rows of one step of end_all_of(): others have their turn between two.
constexpr std::size_t kEndedAtOnce = 200;
// A look at a session that changes all the while is given up.
constexpr int kLooksMax = 8;

// What revoking needs on the writer's thread.
struct Revoking {
  RevocationList& list;
  const observe::Log& log;
};

// Takes effect in this process at once, before it is kept: a disk that fails does not keep a thief in, it only reports that the revocation
// will not survive.
Result<void> revoke_now(const Revoking& revoking, EmbeddedTables& tables, Revocation revocation, WallTime now) {
  const bool is_everything = revocation.kind == Revocation::Kind::everything;
  if (revocation.value.empty() != is_everything || revocation.keep_for <= milliseconds(0) ||
      revocation.keep_for > EmbeddedTables::kLifeMax) {
    return make_error(Fault::malformed, "a revocation of nothing, or for no time");
  }
  // In whole milliseconds, as sessions are dated.
  if (!revocation.issued_before) revocation.issued_before = std::chrono::floor<milliseconds>(now);
  const WallTime forget_at = now + revocation.keep_for;
  if (!revoking.list.add(revocation, forget_at, now)) return make_error(Fault::too_large, "the list of revocations is full");
  return tables.keep_revocation(revocation, forget_at);
}

Result<Rotation> rotate_now(const Revoking& revoking, EmbeddedTables& tables, const Digest& key, std::uint64_t presented,
                            const RotationRules& rules, milliseconds keep_for, WallTime now) {
  auto rotation = tables.rotate_family(key, presented, rules, now);
  if (!rotation || rotation->outcome != Rotation::Outcome::reused) return rotation;
  const auto revoked = revoke_now(revoking, tables, {Revocation::Kind::family, handle_of(key), {}, keep_for}, now);
  if (revoked) return rotation;
  // The family is over in any case. Only its access tokens are not refused before they expire.
  if (revoked.error().fault != Fault::too_large) return revoked.error();
  revoking.log.event(observe::Level::error, "revocation_list_full", "the access tokens of a revoked family stay good until they expire");
  return rotation;
}

class EmbeddedStore final : public Store {
 public:
  EmbeddedStore(EmbeddedEngine& engine, std::shared_ptr<Mailbox> mailbox, Revoking revoking, milliseconds revocations_kept)
      : engine_(engine), mailbox_(std::move(mailbox)), revoking_(revoking), revocations_kept_(revocations_kept) {}
  ~EmbeddedStore() override { mailbox_->close(); }
  EmbeddedStore(const EmbeddedStore&) = delete;
  EmbeddedStore& operator=(const EmbeddedStore&) = delete;

  Task<Result<void>> create_session(NewSession session) override {
    return write<void>("create_session", [session = std::move(session)](EmbeddedTables& tables, WallTime now, ChangedSessions&) {
      return tables.create_session(session, now);
    });
  }

  Task<Result<std::optional<Session>>> find_session(Digest key) override { return find(mailbox_, &engine_, key); }

  Task<Result<bool>> touch_session(Digest key, milliseconds idle_timeout) override {
    return write<bool>("touch_session", [key, idle_timeout](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) {
      auto touched = tables.touch_session(key, idle_timeout, now);
      if (touched && *touched) changed.push_back(key);
      return touched;
    });
  }

  Task<Result<bool>> end_session(Digest key) override {
    return write<bool>("end_session", [key](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) {
      auto ended = tables.end_session(key, now);
      if (ended && *ended) changed.push_back(key);
      return ended;
    });
  }

  Task<Result<std::vector<Session>>> sessions_of(std::string subject) override {
    return ask<std::vector<Session>>(mailbox_, &engine_, Access::read, "sessions_of",
                                     [subject = std::move(subject)](EmbeddedTables& tables, WallTime now, ChangedSessions&) {
                                       return tables.sessions_of(subject, now);
                                     });
  }

  Task<Result<std::optional<ForeignSession>>> find_foreign_session(std::string, std::string) override {
    co_return make_error(Fault::unsupported, "sessions of other applications are read from Redis; this store is the gateway's own");
  }

  Task<Result<Family>> create_family(NewFamily family) override {
    return write<Family>("create_family", [family = std::move(family)](EmbeddedTables& tables, WallTime now, ChangedSessions&) {
      return tables.create_family(family, now);
    });
  }

  Task<Result<Rotation>> rotate_family(Digest key, std::uint64_t presented_generation, RotationRules rules) override {
    return write<Rotation>("rotate_family", [key, presented_generation, rules, revoking = revoking_, keep_for = revocations_kept_](
                                                EmbeddedTables& tables, WallTime now, ChangedSessions&) {
      return rotate_now(revoking, tables, key, presented_generation, rules, keep_for, now);
    });
  }

  Task<Result<bool>> end_family(Digest key) override {
    return write<bool>("end_family", [key](EmbeddedTables& tables, WallTime now, ChangedSessions&) { return tables.end_family(key, now); });
  }

  Task<Result<void>> end_all_of(std::string subject) override { return end_all(mailbox_, &engine_, std::move(subject)); }

  Task<Result<void>> revoke(Revocation revocation) override {
    return write<void>("revoke",
                       [revocation = std::move(revocation), revoking = revoking_](EmbeddedTables& tables, WallTime now, ChangedSessions&) {
                         return revoke_now(revoking, tables, revocation, now);
                       });
  }

  Task<Result<Secret>> agree_on_secret(std::string name, Secret proposal) override {
    return write<Secret>("agree_on_secret",
                         [name = std::move(name), proposal = std::move(proposal)](EmbeddedTables& tables, WallTime, ChangedSessions&) {
                           return tables.agree_on_secret(name, proposal);
                         });
  }

  // Changes are made in this process and told with their acknowledgement: there is no channel that could be cut. A successor's are not.
  bool hears_changes(MonotonicTime /*now*/) const noexcept override { return !engine_.has_let_go(); }

 private:
  template <class T, class Work>
  Task<Result<T>> write(std::string_view command, Work work) {
    return ask<T>(mailbox_, &engine_, Access::write, command, std::move(work));
  }

  static Task<Result<std::optional<Session>>> find(std::shared_ptr<Mailbox> mailbox, EmbeddedEngine* engine, Digest key) {
    for (int look = 0; look < kLooksMax; ++look) {
      const Mailbox::Watch watch(mailbox, key);
      auto work = [key](EmbeddedTables& tables, WallTime now, ChangedSessions&) { return tables.find_session(key, now); };
      auto found = co_await ask<std::optional<Session>>(mailbox, engine, Access::read, "find_session", work);
      // The reader may have looked before a change that was told while its answer was on its way: whoever remembered that answer would
      // have heard the news too early.
      if (!found || !watch.has_changed() || mailbox->is_closed()) co_return found;
    }
    co_return make_error(Fault::unavailable, "the session changes faster than it can be read");
  }

  static Task<Result<void>> end_all(std::shared_ptr<Mailbox> mailbox, EmbeddedEngine* engine, std::string subject) {
    std::optional<WallTime> began_by;  // the first step's time: who signs in meanwhile stays
    for (;;) {
      struct Step {
        WallTime now{};
        std::size_t ended = 0;
      };
      auto work = [subject, began_by](EmbeddedTables& tables, WallTime now, ChangedSessions& changed) -> Result<Step> {
        const WallTime until = began_by.value_or(now);
        auto sessions = tables.end_sessions_of(subject, until, kEndedAtOnce);
        if (!sessions) return sessions.error();
        const auto families = tables.end_families_of(subject, until, kEndedAtOnce);
        if (!families) return families.error();
        changed.insert(changed.end(), sessions->begin(), sessions->end());
        return Step{until, std::max(sessions->size(), *families)};
      };
      const auto step = co_await ask<Step>(mailbox, engine, Access::write, "end_all_of", std::move(work));
      if (!step) co_return step.error();
      if (step->ended < kEndedAtOnce) co_return Result<void>();
      if (mailbox->is_closed()) co_return make_error(Fault::closed, "the store was closed");
      began_by = step->now;
    }
  }

  EmbeddedEngine& engine_;
  std::shared_ptr<Mailbox> mailbox_;
  Revoking revoking_;
  milliseconds revocations_kept_;
};

class EmbeddedService final : public StoreService {
 public:
  EmbeddedService(std::unique_ptr<EmbeddedEngine> engine, Revoking revoking, milliseconds revocations_kept)
      : engine_(std::move(engine)), revoking_(revoking), revocations_kept_(revocations_kept) {}

  std::unique_ptr<Store> attach(boost::asio::io_context& context, transport::DeadlineWheel&, ChangeListener& listener,
                                observe::WorkerMetrics& metrics) override {
    return std::make_unique<EmbeddedStore>(*engine_, engine_->attach(context, listener, metrics), revoking_, revocations_kept_);
  }
  std::string trouble() const override { return engine_->trouble(); }
  void stop() override { engine_->stop(); }
  void let_go() override {
    if (!engine_->is_file()) return;
    revoking_.list.expect_history();  // before a successor can add to it
    engine_->let_go();
  }

 private:
  std::unique_ptr<EmbeddedEngine> engine_;
  Revoking revoking_;
  milliseconds revocations_kept_;
};

// Who may read the file may not sign in with it, but learns who is signed in, and the secrets that tags are made with.
void warn_of_open_file(const std::string& path, const observe::Log& log) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 || (status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  log.event(observe::Level::warning, "store_readable_by_others", path + ": others than its owner may read or write it (chmod 600)");
}

}  // namespace

Result<std::unique_ptr<StoreService>> open_embedded_store(const StoreSettings& settings, const StoreSurroundings& surroundings) {
  return open_embedded_store(settings, surroundings, EngineLimits{});
}

Result<std::unique_ptr<StoreService>> open_embedded_store(const StoreSettings& settings, const StoreSurroundings& surroundings,
                                                          const EngineLimits& limits) {
  std::string path = settings.path;
  if (!path.empty()) {
    std::error_code failed;  // the working directory may be gone
    path = std::filesystem::absolute(path, failed).string();
    if (failed) return make_error(Fault::unavailable, settings.path + ": " + failed.message());
  }
  auto engine = EmbeddedEngine::open(path, limits, surroundings.clock, surroundings.log);
  if (!engine) return engine.error();
  const WallTime now = surroundings.clock.wall_now();
  for (const auto& [revocation, forget_at] : (*engine)->take_revocations()) {
    // A gateway that knows of fewer revocations than were promised does not start.
    if (surroundings.revocations.add(revocation, forget_at, now)) continue;
    return make_error(Fault::too_large, path + ": holds more revocations than may be kept in memory");
  }
  if (path.empty()) {
    if (settings.is_relied_on)
      surroundings.log.event(observe::Level::warning, "store_in_memory", "no store.path is set: a restart signs everyone out");
  } else {
    warn_of_open_file(path, surroundings.log);
  }
  return std::make_unique<EmbeddedService>(std::move(*engine), Revoking{surroundings.revocations, surroundings.log},
                                           settings.revocations_kept);
}

}  // namespace sallyport::store
