#include "app/app.hpp"

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "admin/admin_api.hpp"
#include "admin/operator_requests.hpp"
#include "admin/route_list.hpp"
#include "app/config_loader.hpp"
#include "app/open_store.hpp"
#include "app/operator_desk.hpp"
#include "app/shared_keys.hpp"
#include "app/version.hpp"
#include "app/worker.hpp"
#include "base/secret.hpp"

namespace sallyport::app {
namespace {

using observe::Level;

constexpr int kExitDone = 0;
constexpr int kExitInvalidConfiguration = 1;
constexpr int kExitCouldNotStart = 3;

// The main thread: signals, the admin listener, and the workers' lives.
class Gateway {
 public:
  Gateway(const Settings& settings, observe::LineWriter& log_writer)
      : settings_(settings),
        access_writer_(settings.log.access, observe::LogSettings::kQueueBytesMax),
        audit_writer_(settings.log.audit, observe::LogSettings::kQueueBytesMax),
        log_writer_(log_writer),
        log_(log_writer, settings.log.level, clock_),
        wheel_(control_),
        revocations_(settings.revocations_max),
        tasks_(control_, [this](std::string_view what) { log_.event(Level::error, "task_failed", what); }),
        last_tasks_(control_, [this](std::string_view what) { log_.event(Level::error, "task_failed", what); }),
        signals_(control_),
        shared_keys_(control_, log_, [this](authenticate::TagKeysPtr keys) { use_keys(keys); }) {}
  ~Gateway();

  // Binds every listener, so that what cannot work is said before anything is served.
  [[nodiscard]] Result<void> prepare();
  // Until a signal ends it.
  int serve();

 private:
  enum class State { starting, serving, draining };
  static constexpr std::chrono::milliseconds kStorePatience{1'000};

  [[nodiscard]] Result<void> prepare_store();
  [[nodiscard]] Result<void> prepare_workers();
  [[nodiscard]] Result<void> prepare_admin();
  void use_keys(const authenticate::TagKeysPtr& keys);
  [[nodiscard]] Task<void> start_workers();
  [[nodiscard]] Task<void> supervise();
  [[nodiscard]] Task<int> next_signal();
  void begin_drain(std::chrono::milliseconds time);
  void worker_drained();
  [[nodiscard]] Task<void> wind_down();
  [[nodiscard]] Task<void> close_store();
  [[nodiscard]] Task<std::string> metrics();
  [[nodiscard]] observe::ProcessMetrics process_metrics() const;
  [[nodiscard]] std::vector<std::string> not_ready_reasons() const;
  [[nodiscard]] Task<std::string> routes();
  void log_listening() const;

  const Settings& settings_;
  SystemClock clock_;
  observe::LineWriter access_writer_;
  observe::LineWriter audit_writer_;
  observe::LineWriter& log_writer_;
  observe::Log log_;
  boost::asio::io_context control_{1};
  transport::DeadlineWheel wheel_;
  store::RevocationList revocations_;
  TaskGroup tasks_;
  TaskGroup last_tasks_;  // what waits for those above
  boost::asio::basic_signal_set<Executor> signals_;
  SharedKeys shared_keys_;  // hears of changes in store_
  bool has_keys_ = false;
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
  State state_ = State::starting;
  WallTime started_at_{};
};

// In order also when the start failed half-way: stores first, then what they belong to.
Gateway::~Gateway() {
  admin_listener_.reset();
  admin_api_.reset();
  operators_.reset();
  store_.reset();
  workers_.clear();
  if (store_service_) store_service_->stop();
}

Result<void> Gateway::prepare() {
  started_at_ = clock_.wall_now();
  if (Result<void> prepared = prepare_store(); !prepared) return prepared;
  if (Result<void> prepared = prepare_workers(); !prepared) return prepared;
  if (!settings_.session_secret_files.empty()) {
    const Result<authenticate::TagKeysPtr> keys = read_shared_keys(settings_.session_secret_files);
    if (!keys) return keys.error();
    use_keys(*keys);
  }
  return settings_.admin ? prepare_admin() : Result<void>{};
}

Result<void> Gateway::prepare_store() {
  Result<std::unique_ptr<store::StoreService>> opened = open_store(settings_.store, {control_, wheel_, revocations_, log_, clock_});
  if (!opened) return opened.error();
  store_service_ = std::move(*opened);
  store_ = store_service_->attach(control_, wheel_, shared_keys_, control_metrics_);
  operators_ = std::make_unique<OperatorDesk>(
      OperatorDesk::Surroundings{settings_.snapshot, settings_.takes_sessions, *store_, revocations_, clock_, tasks_, control_metrics_});
  return {};
}

Result<void> Gateway::prepare_workers() {
  shared_.emplace(Shared{settings_, access_writer_, audit_writer_, log_, clock_, revocations_, *store_service_, desks_, {}});
  for (const listen::ListenerSettings& listener : settings_.listeners) {
    Result<std::shared_ptr<listen::SharedListener>> shared = listen::SharedListener::create(listener, clock_);
    if (!shared) return shared.error();
    shared_->listeners.push_back(std::move(*shared));
  }
  for (std::uint32_t i = 0; i < settings_.workers; ++i) {
    Result<std::unique_ptr<Worker>> worker = Worker::create(*shared_);
    if (!worker) return worker.error();
    workers_.push_back(std::move(*worker));
  }
  return {};
}

void Gateway::use_keys(const authenticate::TagKeysPtr& keys) {
  has_keys_ = true;
  operators_->use_keys(keys);
  for (const std::unique_ptr<Worker>& worker : workers_) worker->use_keys(keys);
}

Result<void> Gateway::prepare_admin() {
  std::optional<Secret> token;
  if (settings_.admin->token_file) {
    Result<Secret> read = read_secret_file(*settings_.admin->token_file);
    if (!read) return read.error();
    token = std::move(*read);
  }
  admin::Sources sources;
  sources.why_not_ready = [this] { return not_ready_reasons(); };
  sources.metrics = [this] { return metrics(); };
  sources.routes = [this] { return routes(); };
  admin_api_ = std::make_unique<admin::AdminApi>(std::move(sources), *operators_, clock_, std::move(token));

  listen::ListenerSettings listener;
  listener.name = "admin";
  listener.host = settings_.admin->host;
  listener.port = settings_.admin->port;
  listener.connections_max = 256;
  listener.limits.body_bytes_max = admin::kBodyBytesMax;
  Result<std::shared_ptr<listen::SharedListener>> shared = listen::SharedListener::create(listener, clock_);
  if (!shared) return shared.error();
  Result<std::unique_ptr<listen::Listener>> bound =
      listen::Listener::bind(std::move(*shared), {control_, wheel_, *admin_api_, admin_draining_, control_metrics_, log_, clock_});
  if (!bound) return bound.error();
  admin_listener_ = std::move(*bound);
  return {};
}

int Gateway::serve() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.add(SIGUSR1);
  if (admin_listener_) admin_listener_->start();
  tasks_.spawn(start_workers());
  tasks_.spawn(supervise());
  if (settings_.session_secret_files.empty()) tasks_.spawn(shared_keys_.keep_agreeing(*store_));
  control_.run();
  log_.event(Level::info, "stopped", "every connection has ended");
  return kExitDone;
}

// Not before the store has told what was revoked, so that a restart forgets nothing. The listeners are bound: who connects meanwhile waits
// in the kernel's queue. A store that is away is waited for no longer than this, because tokens are served without it.
Task<void> Gateway::start_workers() {
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  const MonotonicTime until = clock_.monotonic_now() + kStorePatience;
  Timer timer(control_);
  while (!store_->hears_changes() && clock_.monotonic_now() < until) {
    timer.expires_after(std::chrono::milliseconds(5));
    auto waited = co_await timer.async_wait(as_result);
    static_cast<void>(waited);
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->start();
  if (state_ == State::starting) state_ = State::serving;
  log_listening();
}

void Gateway::log_listening() const {
  for (const listen::ListenerSettings& listener : settings_.listeners) {
    log_.event(Level::info, "listening",
               fmt::format("{} on {}:{} ({}), {} workers", listener.name, listener.host, listener.port, listener.tls ? "https" : "http",
                           settings_.workers));
  }
}

Task<int> Gateway::next_signal() {
  auto result = co_await signals_.async_wait(as_result);
  auto& [error, number] = result;
  co_return error ? 0 : number;
}

// Serving until SIGTERM or SIGINT, then draining until nothing is left; a second signal ends the patience.
Task<void> Gateway::supervise() {
  for (;;) {
    const int signal = co_await next_signal();
    if (signal == 0) co_return;  // drained: the signal set was closed
    if (signal == SIGUSR1) {     // what log rotation sends
      access_writer_.reopen();
      audit_writer_.reopen();
      log_writer_.reopen();
      continue;
    }
    const bool impatient = state_ == State::draining;
    log_.event(Level::info, "draining",
               impatient ? "a second signal: closing what is left" : "no new connections; requests under way finish");
    begin_drain(impatient ? std::chrono::milliseconds(0) : settings_.drain_timeout);
  }
}

void Gateway::begin_drain(std::chrono::milliseconds time) {
  if (state_ != State::draining) workers_undrained_ = workers_.size();
  state_ = State::draining;
  const MonotonicTime deadline = clock_.monotonic_now() + time;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->drain(deadline, [this] { boost::asio::post(control_, [this] { worker_drained(); }); });
  }
}

void Gateway::worker_drained() {
  if (--workers_undrained_ == 0) tasks_.spawn(wind_down());
}

// From the outside in: whoever asks the store ends before it does.
Task<void> Gateway::wind_down() {
  // The admin listener stayed to the last, so that /readyz and /metrics could be watched while draining.
  if (admin_listener_) {
    admin_draining_.value = true;
    admin_listener_->drain(clock_.monotonic_now());
    co_await admin_listener_->join();
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Task<void> winding_down = worker->wind_down();
    auto ended = co_await boost::asio::co_spawn(worker->executor(), std::move(winding_down), as_result);
    auto& [failure] = ended;
    if (failure) log_.event(Level::error, "task_failed", "a worker did not wind down in order");
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->join();
  shared_keys_.stop();
  boost::system::error_code ignored;
  signals_.cancel(ignored);
  last_tasks_.spawn(close_store());
}

Task<void> Gateway::close_store() {
  co_await tasks_.join();  // nothing of this thread asks it any more
  operators_.reset();
  store_.reset();
  store_service_->stop();
  wheel_.stop();
}

Task<std::string> Gateway::metrics() {
  observe::WorkerMetrics sum = control_metrics_;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    auto copy = worker->copy_metrics();
    auto result = co_await boost::asio::co_spawn(worker->executor(), std::move(copy), as_result);
    auto& [failure, metrics] = result;
    if (!failure) sum.add(metrics);
  }
  co_return observe::exposition(process_metrics(), sum);
}

observe::ProcessMetrics Gateway::process_metrics() const {
  observe::ProcessMetrics process;
  process.version = kVersion;
  process.start_time_seconds = std::chrono::duration<double>(started_at_.time_since_epoch()).count();
  process.log_lines_lost = access_writer_.lost() + audit_writer_.lost() + log_writer_.lost();
  process.store_up = store_service_->trouble().empty();
  for (const std::shared_ptr<listen::SharedListener>& listener : shared_->listeners) {
    for (const auto& [name, expiry] : listener->certificate_expiry()) {
      process.certificate_expiry.emplace_back(name, std::chrono::duration<double>(expiry.time_since_epoch()).count());
    }
  }
  return process;
}

Task<std::string> Gateway::routes() { co_return admin::route_list(*settings_.snapshot); }

std::vector<std::string> Gateway::not_ready_reasons() const {
  std::vector<std::string> reasons;
  if (state_ == State::starting) reasons.emplace_back("starting");
  if (state_ == State::draining) reasons.emplace_back("draining");
  if (!settings_.needs_store) return reasons;
  std::string trouble = store_service_->trouble();
  if (!trouble.empty()) reasons.push_back("store: " + std::move(trouble));
  if (!has_keys_) reasons.emplace_back("store: the secret that the gateways share is not known yet");
  return reasons;
}

void print(const std::vector<Problem>& problems, std::string_view kind) {
  for (const Problem& problem : problems) std::fprintf(stderr, "%s%s\n", problem.text().c_str(), std::string(kind).c_str());
}

}  // namespace

int run(const RunOptions& options) {
  // A client or an upstream that goes away is an error code of a write, never a signal.
  std::signal(SIGPIPE, SIG_IGN);

  const Loaded loaded = load_config(options.config_path, process_environment);
  print(loaded.warnings, " (warning)");
  print(loaded.problems, "");
  if (!loaded.settings) return kExitInvalidConfiguration;

  try {
    observe::LineWriter log_writer({observe::Sink::Kind::standard_error, {}}, observe::LogSettings::kQueueBytesMax);
    Gateway gateway(*loaded.settings, log_writer);
    const Result<void> prepared = gateway.prepare();
    if (!prepared) {
      std::fprintf(stderr, "sallyport could not start: %s\n", prepared.error().detail.c_str());
      return kExitCouldNotStart;
    }
    return gateway.serve();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sallyport could not start: %s\n", error.what());
    return kExitCouldNotStart;
  }
}

}  // namespace sallyport::app
