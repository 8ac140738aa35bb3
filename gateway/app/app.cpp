#include "app/app.hpp"

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <cstdio>

#include <fmt/format.h>

#include "admin/admin_api.hpp"
#include "admin/route_list.hpp"
#include "app/config_loader.hpp"
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
        shared_{settings_, access_writer_, audit_writer_, log_, clock_, {}},
        wheel_(control_),
        tasks_(control_, [this](std::string_view what) { log_.event(Level::error, "task_failed", what); }),
        signals_(control_) {}

  // Binds every listener, so that what cannot work is said before anything is served.
  [[nodiscard]] Result<void> prepare();
  // Until a signal ends it.
  int serve();

 private:
  enum class State { starting, serving, draining };

  [[nodiscard]] Result<void> prepare_admin();
  [[nodiscard]] Task<void> supervise();
  [[nodiscard]] Task<int> next_signal();
  void begin_drain(std::chrono::milliseconds time);
  void worker_drained();
  [[nodiscard]] Task<std::string> metrics();
  [[nodiscard]] std::vector<std::string> not_ready_reasons() const;
  [[nodiscard]] Task<std::string> routes();
  void log_listening() const;

  const Settings& settings_;
  SystemClock clock_;
  observe::LineWriter access_writer_;
  observe::LineWriter audit_writer_;
  observe::LineWriter& log_writer_;
  observe::Log log_;
  Shared shared_;
  boost::asio::io_context control_{1};
  transport::DeadlineWheel wheel_;
  TaskGroup tasks_;
  boost::asio::basic_signal_set<Executor> signals_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t workers_undrained_ = 0;
  std::unique_ptr<admin::AdminApi> admin_api_;
  http::Draining admin_draining_;
  observe::WorkerMetrics admin_metrics_;
  std::unique_ptr<listen::Listener> admin_listener_;
  State state_ = State::starting;
  WallTime started_at_{};
};

Result<void> Gateway::prepare() {
  started_at_ = clock_.wall_now();
  for (const listen::ListenerSettings& listener : settings_.listeners) {
    Result<std::shared_ptr<listen::SharedListener>> shared = listen::SharedListener::create(listener, clock_);
    if (!shared) return shared.error();
    shared_.listeners.push_back(std::move(*shared));
  }
  for (std::uint32_t i = 0; i < settings_.workers; ++i) {
    Result<std::unique_ptr<Worker>> worker = Worker::create(shared_);
    if (!worker) return worker.error();
    workers_.push_back(std::move(*worker));
  }
  return settings_.admin ? prepare_admin() : Result<void>{};
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
  admin_api_ = std::make_unique<admin::AdminApi>(std::move(sources), std::move(token));

  listen::ListenerSettings listener;
  listener.name = "admin";
  listener.host = settings_.admin->host;
  listener.port = settings_.admin->port;
  listener.connections_max = 256;
  Result<std::shared_ptr<listen::SharedListener>> shared = listen::SharedListener::create(listener, clock_);
  if (!shared) return shared.error();
  Result<std::unique_ptr<listen::Listener>> bound =
      listen::Listener::bind(std::move(*shared), {control_, wheel_, *admin_api_, admin_draining_, admin_metrics_, log_, clock_});
  if (!bound) return bound.error();
  admin_listener_ = std::move(*bound);
  return {};
}

int Gateway::serve() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.add(SIGUSR1);
  if (admin_listener_) admin_listener_->start();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->start();
  state_ = State::serving;
  log_listening();
  tasks_.spawn(supervise());
  control_.run();
  log_.event(Level::info, "stopped", "every connection has ended");
  return kExitDone;
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
  if (--workers_undrained_ != 0) return;
  // The admin listener stays to the last, so that /readyz and /metrics can be watched while draining.
  if (admin_listener_) {
    admin_draining_.value = true;
    admin_listener_->drain(clock_.monotonic_now());
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->finish();
  boost::system::error_code ignored;
  signals_.cancel(ignored);
  wheel_.stop();
}

Task<std::string> Gateway::metrics() {
  observe::WorkerMetrics sum = admin_metrics_;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    auto copy = worker->copy_metrics();
    auto result = co_await boost::asio::co_spawn(worker->executor(), std::move(copy), as_result);
    auto& [failure, metrics] = result;
    if (!failure) sum.add(metrics);
  }
  observe::ProcessMetrics process;
  process.version = kVersion;
  process.start_time_seconds = std::chrono::duration<double>(started_at_.time_since_epoch()).count();
  process.log_lines_lost = access_writer_.lost() + audit_writer_.lost() + log_writer_.lost();
  for (const std::shared_ptr<listen::SharedListener>& listener : shared_.listeners) {
    for (const auto& [name, expiry] : listener->certificate_expiry()) {
      process.certificate_expiry.emplace_back(name, std::chrono::duration<double>(expiry.time_since_epoch()).count());
    }
  }
  co_return observe::exposition(process, sum);
}

Task<std::string> Gateway::routes() { co_return admin::route_list(*settings_.snapshot); }

std::vector<std::string> Gateway::not_ready_reasons() const {
  switch (state_) {
    case State::starting: return {"starting"};
    case State::serving: return {};
    case State::draining: return {"draining"};
  }
  return {"unknown"};
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
