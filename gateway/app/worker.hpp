// One worker: a thread, its io_context, its own listeners, upstream connections, caches and counters.
#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>

#include "app/settings.hpp"
#include "authenticate/authenticator.hpp"
#include "authenticate/verified_token_cache.hpp"
#include "authorize/rate_limit.hpp"
#include "base/overload.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "issue/revoker.hpp"
#include "issue/session_issuer.hpp"
#include "issue/token_pairs.hpp"
#include "listen/listener.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "pipeline/live_exchanges.hpp"
#include "pipeline/pipeline.hpp"
#include "store/store.hpp"
#include "transport/deadline_wheel.hpp"
#include "upstream/fleet.hpp"

namespace sallyport::app {

// What all workers share: safe from every thread, and alive until the last of them ended.
struct Shared {
  std::shared_ptr<const Settings> settings;  // those of the start
  observe::LineWriter& access_writer;
  observe::LineWriter& audit_writer;
  const observe::Log& log;
  const Clock& clock;
  const store::RevocationList& revocations;
  store::StoreService& store;
  issue::RefreshDesks& desks;                                      // every worker adds its own before any of them runs
  std::vector<std::shared_ptr<listen::SharedListener>> listeners;  // in the order of settings.listeners
  authorize::RateLimiter* rate_limiter = nullptr;
  Overload* overload = nullptr;
  upstream::Fleet::Upstreams upstreams{};  // in the order of settings->upstreams: those of the start
};

class Worker {
 public:
  // Binds its listeners. Fault::unavailable naming the address (in use, not ours, no right), or what an upstream's TLS settings lack.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> create(const Shared& shared);
  ~Worker();  // the thread has ended before

  // Begins to accept, in a thread of its own.
  void start();

  // The keys of session ids and refresh tokens, from now on. From any thread; until then sessions cannot be judged (503).
  void use_keys(authenticate::TagKeysPtr keys);

  // Both on the worker's own thread (co_spawn them on executor()), before wind_down(). prepare() makes what the settings need beside what
  // is in use, and changes nothing. commit() is when the next requests follow them; those under way
  // end with what they began with. Upstreams whose settings are equal stay as they are, with their connections.
  [[nodiscard]] Task<void> prepare(std::shared_ptr<const Settings> settings, upstream::Fleet::Upstreams upstreams);
  [[nodiscard]] Task<void> commit();
  // On the worker's own thread, once the listeners' new states are committed: connections that were let in on something else end.
  [[nodiscard]] Task<void> end_distrusted();

  // From any thread. Stops accepting, lets requests under way finish until `deadline`, then aborts them; `on_drained` is called once, on
  // the worker's thread, when no connection is left. Called again, it only moves the deadline.
  // With `patience`, connections that are idle may send one more request for so long: somebody else serves the address by then.
  void drain(MonotonicTime deadline, std::chrono::milliseconds patience, std::function<void()> on_drained);
  // On the worker's own thread (co_spawn it on executor()), once every worker has drained: ends what goes on in the background, then gives
  // the store and the upstreams' connections back. The thread ends with it.
  [[nodiscard]] Task<void> wind_down();
  // From any other thread, after wind_down(): waits for the thread.
  void join();

  [[nodiscard]] Executor executor() noexcept { return context_.get_executor(); }
  // On the worker's own thread (co_spawn it on executor()), before wind_down(): its counters as they are now.
  [[nodiscard]] Task<observe::WorkerMetrics> copy_metrics();

 private:
  explicit Worker(const Shared& shared);
  [[nodiscard]] std::shared_ptr<const pipeline::Road> make_road(const Settings& settings, const upstream::Fleet::Upstreams& upstreams);
  [[nodiscard]] Task<void> flush_logs();
  [[nodiscard]] Task<void> look_after_callers();
  void begin_drain(MonotonicTime deadline, std::chrono::milliseconds patience, std::function<void()> on_drained);
  [[nodiscard]] Task<void> lose_patience(MonotonicTime deadline, std::chrono::milliseconds patience);
  [[nodiscard]] Task<void> report_drained(std::function<void()> on_drained);

  static constexpr std::size_t kTokenCacheEntriesMax = 16 * 1024;
  static constexpr std::size_t kTokenCacheBytesMax = 64 * 1024 * 1024;
  static constexpr std::chrono::milliseconds kLogFlushInterval{100};
  static constexpr std::chrono::milliseconds kRotationPoll{5};

  boost::asio::io_context context_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  boost::asio::executor_work_guard<Executor> work_;
  transport::DeadlineWheel wheel_;
  TaskGroup tasks_;
  Timer flush_timer_;
  Timer look_timer_;
  observe::WorkerMetrics metrics_;
  const observe::Log& log_;
  observe::WorkerLog access_log_;
  observe::WorkerLog audit_log_;
  authenticate::VerifiedTokenCache token_cache_;
  authenticate::JwtAuthenticator tokens_;
  authenticate::SessionAuthenticator sessions_;
  authenticate::Authenticator authenticator_;
  std::unique_ptr<store::Store> store_;  // tells sessions_ what changed
  issue::SessionIssuer session_issuer_;
  issue::RefreshDesk refresh_desk_;
  issue::TokenPairs token_pairs_;
  issue::Revoker revoker_;
  pipeline::LiveExchanges live_exchanges_;
  http::Tunnels tunnels_;
  pipeline::Pipeline pipeline_;
  std::shared_ptr<const pipeline::Road> road_;       // in use
  std::shared_ptr<const pipeline::Road> next_road_;  // prepared
  http::Draining draining_;
  bool finishing_ = false;
  std::vector<std::unique_ptr<listen::Listener>> listeners_;
  std::thread thread_;
};

}  // namespace sallyport::app
