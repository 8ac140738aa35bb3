// The process while it serves: the main thread with its signals, the admin listener, and the workers' lives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/basic_signal_set.hpp>

#include "admin/admin_api.hpp"
#include "app/file_watch.hpp"
#include "app/key_fetcher.hpp"
#include "app/memory_watch.hpp"
#include "app/open_store.hpp"
#include "app/operator_desk.hpp"
#include "app/reload.hpp"
#include "app/restart.hpp"
#include "app/service_manager.hpp"
#include "app/shared_keys.hpp"
#include "app/watchdog.hpp"
#include "app/worker.hpp"
#include "base/timer.hpp"
#include "upstream/fleet.hpp"

namespace sallyport::app {

class Gateway {
 public:
  // What the process was given by whoever started it.
  struct Inheritance {
    listen::InheritedSockets sockets;
    Predecessor predecessor;
  };
  Gateway(std::string config_path, Settings settings, std::vector<ReadPath> files, Inheritance inherited, observe::LineWriter& log_writer);
  ~Gateway();

  // Binds every listener, so that what cannot work is said before anything is served.
  [[nodiscard]] Result<void> prepare();
  // Until a signal ends it.
  void serve();

 private:
  enum class State { starting, serving, draining };
  static constexpr std::chrono::milliseconds kStorePatience{1'000};
  static constexpr std::chrono::milliseconds kPoll{5};
  static constexpr std::chrono::seconds kSuccessorPatience{30};     // until it serves
  static constexpr std::chrono::milliseconds kIdlePatience{1'000};  // of a hand-over: as Worker::drain() has it
  static constexpr std::chrono::milliseconds kStoreGrace{1'000};    // for requests under way, before a successor gets the file
  static constexpr std::chrono::hours kCertificateLook{24};
  static constexpr std::chrono::hours kCertificateSoon{24 * 30};

  // gateway.cpp: from the start to the end.
  [[nodiscard]] Result<void> prepare_listeners();
  [[nodiscard]] Result<void> prepare_store();
  [[nodiscard]] Result<void> prepare_workers();
  [[nodiscard]] Result<void> prepare_admin();
  void use_keys(const authenticate::TagKeysPtr& keys);
  [[nodiscard]] Task<void> start_workers();
  [[nodiscard]] Task<void> supervise();
  [[nodiscard]] Task<int> next_signal();
  void on_signal(int signal);
  void reopen_logs();
  void begin_drain(std::chrono::milliseconds time, std::chrono::milliseconds patience);
  void worker_drained();
  [[nodiscard]] Task<void> wind_down();
  [[nodiscard]] Task<void> close_store();
  void log_listening() const;
  void fail(std::string_view what) const { log_.event(observe::Level::error, "task_failed", what); }

  // gateway_restart.cpp: our successor, and us as one.
  [[nodiscard]] Result<std::unique_ptr<store::StoreService>> open_store_in_turn();
  [[nodiscard]] std::vector<listen::UniqueDescriptor> listening_sockets() const;
  [[nodiscard]] Task<void> hand_over();
  [[nodiscard]] Task<bool> hand_over_to_one(const std::vector<listen::UniqueDescriptor>& sockets);
  void step_back();
  [[nodiscard]] Task<void> give_store_up();

  // gateway_changes.cpp: what changes while it serves, and what is told of it.
  [[nodiscard]] Task<ReloadOutcome> apply(Settings settings);
  [[nodiscard]] Task<Result<void>> prepare_change(const std::shared_ptr<const Settings>& next);
  [[nodiscard]] Task<void> commit_change(std::shared_ptr<const Settings> next, authenticate::TagKeysPtr keys, std::optional<Secret> token);
  [[nodiscard]] Task<void> reload(std::string cause);
  [[nodiscard]] Task<admin::ReloadReport> reload_for_operator();
  void begin_watching();
  [[nodiscard]] Task<void> watch_files();
  [[nodiscard]] Task<void> watch_certificates();
  void log_certificates() const;
  [[nodiscard]] Task<std::string> metrics();
  [[nodiscard]] observe::ProcessMetrics process_metrics();
  [[nodiscard]] std::vector<std::string> not_ready_reasons() const;
  [[nodiscard]] Task<std::string> routes();

  const std::string config_path_;
  std::shared_ptr<const Settings> settings_;  // those in use
  SystemClock clock_;
  observe::LineWriter access_writer_;
  observe::LineWriter audit_writer_;
  observe::LineWriter& log_writer_;
  observe::Log log_;
  ServiceManager service_manager_;
  boost::asio::io_context control_{1};
  transport::DeadlineWheel wheel_;
  store::RevocationList revocations_;
  authorize::RateLimiter rate_limiter_;
  Overload overload_;
  TaskGroup tasks_;
  TaskGroup last_tasks_;  // what waits for those above
  boost::asio::basic_signal_set<Executor> signals_;
  Timer certificate_timer_;
  SharedKeys shared_keys_;  // hears of changes in store_
  bool has_keys_ = false;
  std::string secrets_digest_;  // of the files of `sessions.secret_file`
  observe::WorkerMetrics control_metrics_;
  std::unique_ptr<store::StoreService> store_service_;
  issue::RefreshDesks desks_;
  std::optional<Shared> shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t workers_undrained_ = 0;
  std::unique_ptr<store::Store> store_;  // of this thread
  std::unique_ptr<OperatorDesk> operators_;
  std::unique_ptr<admin::AdminApi> admin_api_;
  http::Draining admin_draining_;
  std::unique_ptr<listen::Listener> admin_listener_;
  std::shared_ptr<listen::SharedListener> admin_shared_;
  std::vector<std::shared_ptr<listen::SharedListener>> listeners_;  // in the order of the settings
  std::vector<listen::ListenerStatePtr> next_listener_states_;      // prepared, not committed yet
  KeyFetchers key_fetchers_;
  upstream::Fleet fleet_{{control_, wheel_, log_}};
  upstream::Fleet::Upstreams next_upstreams_;  // prepared, not committed yet
  Reloader reloader_;
  std::unique_ptr<FileWatch> file_watch_;  // nullptr: not wanted, or not to be had
  Watchdog watchdog_;
  MemoryWatch memory_watch_;
  Inheritance inherited_;
  bool is_handing_over_ = false;
  Successor* successor_ = nullptr;  // that is being started
  bool told_to_stop_ = false;       // by SIGTERM or SIGINT: the service, not this process alone
  State state_ = State::starting;
  WallTime started_at_{};
};

}  // namespace sallyport::app
