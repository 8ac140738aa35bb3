// Where sessions, refresh-token families and revocations live. One interface, two kinds: embedded (SQLite in this process) and Redis;
// tests/unit/store/store_contract.hpp is what both promise.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "store/records.hpp"
#include "store/revocation_list.hpp"
#include "transport/deadline_wheel.hpp"

namespace sallyport::store {

// Hears on its worker's thread what somebody changed, here or on another replica: whatever was remembered of it is to be forgotten.
class ChangeListener {
 public:
  virtual ~ChangeListener() = default;
  virtual void session_changed(const Digest& key) = 0;
  virtual void foreign_session_changed(std::string_view id) = 0;
  // Anything may have changed: the channel was cut. What was remembered was true until then.
  virtual void everything_changed() = 0;
  // The store was emptied: nothing that was remembered is true any more, not even while the store is away.
  virtual void everything_ended() = 0;
};

// Who waits for a session in no coroutine.
class SessionSeeker {
 public:
  virtual ~SessionSeeker() = default;
  // Once, on the worker's thread: what find_session() would have said. May use it up.
  virtual void told(Result<std::optional<Session>>&& found) = 0;
};

// The store as one worker uses it; belongs to the worker's thread. Every change is atomic, and acknowledged only when it is kept: a
// Result without error means that it survives the process. Fault::unavailable and timed_out mean "could not ask": nobody may read them as
// no. A change that ended with timed_out may have happened. Arguments are taken by value: calls outlive their callers' frames safely.
class Store {
 public:
  virtual ~Store() = default;

  [[nodiscard]] virtual Task<Result<void>> create_session(NewSession session) = 0;
  // nullopt: there is none, or it is over.
  [[nodiscard]] virtual Task<Result<std::optional<Session>>> find_session(Digest key) = 0;
  // find_session() for the road of a request: without a coroutine, where the store has such a way at `now`. False: nothing is asked,
  // nobody told.
  [[nodiscard]] virtual bool seek_session(const Digest& /*key*/, std::shared_ptr<SessionSeeker> /*seeker*/, MonotonicTime /*now*/) {
    return false;
  }
  // Moves the idle end to now + idle_timeout, never beyond the absolute end. False: it is gone.
  [[nodiscard]] virtual Task<Result<bool>> touch_session(Digest key, std::chrono::milliseconds idle_timeout) = 0;
  // False: there was none.
  [[nodiscard]] virtual Task<Result<bool>> end_session(Digest key) = 0;
  // Those that are not over, oldest first; at most 1,000.
  [[nodiscard]] virtual Task<Result<std::vector<Session>>> sessions_of(std::string subject) = 0;
  // Read as they are under `prefix` + id, never written. Fault::unsupported where the store is this process's own.
  [[nodiscard]] virtual Task<Result<std::optional<ForeignSession>>> find_foreign_session(std::string prefix, std::string id) = 0;

  [[nodiscard]] virtual Task<Result<Family>> create_family(NewFamily family) = 0;
  // The whole decision about a presented refresh token, in one atomic step (Rotation::Outcome).
  [[nodiscard]] virtual Task<Result<Rotation>> rotate_family(Digest key, std::uint64_t presented_generation, RotationRules rules) = 0;
  // False: there was none that lived.
  [[nodiscard]] virtual Task<Result<bool>> end_family(Digest key) = 0;
  // Ends every session and family of the subject that is there now. The revocation of the subject is what refuses them; this tidies up.
  [[nodiscard]] virtual Task<Result<void>> end_all_of(std::string subject) = 0;

  // Keeps and broadcasts it; when this returns, this process's RevocationList has it. Fault::too_large when the list is full.
  [[nodiscard]] virtual Task<Result<void>> revoke(Revocation revocation) = 0;

  // Takes a token of the bucket that all gateways of this store share under `bucket`, in one atomic step by the store's clock. Rates are
  // forgotten without harm, so nothing of this is durable. Fault::unsupported where the store is this process's own: there are no others.
  [[nodiscard]] virtual Task<Result<RateAnswer>> limit_rate(RateQuestion /*question*/) {
    co_return make_error(Fault::unsupported, "this store is one process's own");
  }

  // The secret that all gateways of this store share under `name`: the first proposal wins and stays.
  [[nodiscard]] virtual Task<Result<Secret>> agree_on_secret(std::string name, Secret proposal) = 0;

  // Whether changes made by anybody reach the listener now, so that what is remembered is true: false when the channel has been silent for
  // more than a second, and from then on until everything_changed() or everything_ended() was called. Costs nothing; ask at each use, with
  // the time by the steady clock.
  [[nodiscard]] virtual bool hears_changes(MonotonicTime now) const noexcept = 0;
};

struct RedisSettings {
  bool is_tls = false;
  std::string host;
  std::uint16_t port = 6379;
  std::uint32_t database = 0;
  std::string username;                      // empty: the default user
  std::optional<std::string> password_file;  // read again at every connection
  std::string ca_file;                       // empty: the system's authorities
  std::string prefix = "sallyport:";
  std::chrono::milliseconds command_timeout{250};
  [[nodiscard]] std::string address() const { return host + ":" + std::to_string(port); }
};

struct StoreSettings {
  std::optional<RedisSettings> redis;  // nullopt: embedded
  std::string path;                    // of the embedded one; empty: memory only
  bool is_relied_on = true;            // sessions or tokens are used: worth a warning when they are in memory only
  std::chrono::milliseconds revocations_kept{std::chrono::hours(24 * 31)};  // the longest `keep_for`, and how far back a start replays
};

// The process's side of the store: threads, files, the channel that brings changes.
class StoreService {
 public:
  virtual ~StoreService() = default;

  // The store of one worker. Called before the worker's thread runs; the listener outlives the store, the service outlives both.
  [[nodiscard]] virtual std::unique_ptr<Store> attach(boost::asio::io_context& context, transport::DeadlineWheel& wheel,
                                                      ChangeListener& listener, observe::WorkerMetrics& metrics) = 0;
  // Why the store cannot be relied on now, for /readyz and operators; empty when it can. From the control thread.
  [[nodiscard]] virtual std::string trouble() const = 0;
  // No more changes are heard. The stores are detached (destroyed) by then; called on the control thread.
  virtual void stop() = 0;

  // For a successor, of a store that one process alone can have open: answers what waits and closes the file, for good. From now on others
  // change it and nobody tells us: whatever is asked is Fault::unavailable, no changes are heard, and the revocations are not complete.
  // Called on the control thread, and holds it up for as long as a disk takes; nothing where several processes can have it open.
  virtual void let_go() {}
};

// What a service needs of its surroundings. `control` is the io_context of the main thread, where the channel lives; all outlive it.
struct StoreSurroundings {
  boost::asio::io_context& control;
  transport::DeadlineWheel& wheel;  // of control
  RevocationList& revocations;
  const observe::Log& log;
  const Clock& clock;
};

// Opens the file (Fault::unavailable: used by another process, unreadable, no such folder; malformed: no database of ours), replays its
// revocations. Warns in the log when it is in memory only and relied on.
[[nodiscard]] Result<std::unique_ptr<StoreService>> open_embedded_store(const StoreSettings& settings,
                                                                        const StoreSurroundings& surroundings);
// Begins to connect and returns: a Redis that is away is no reason not to start. Faults only for what the settings lack (ca_file).
[[nodiscard]] Result<std::unique_ptr<StoreService>> open_redis_store(const StoreSettings& settings, const StoreSurroundings& surroundings);

}  // namespace sallyport::store
