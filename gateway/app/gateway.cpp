#include "app/gateway.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <csignal>

#include <fmt/format.h>

#include "admin/operator_requests.hpp"
#include "base/secret.hpp"
#include "listen/descriptors.hpp"

namespace sallyport::app {

using observe::Level;

Gateway::Gateway(std::string config_path, Settings settings, std::vector<ReadPath> files, Inheritance inherited,
                 observe::LineWriter& log_writer)
    : config_path_(std::move(config_path)),
      settings_(std::make_shared<const Settings>(std::move(settings))),
      access_writer_(settings_->log.access, observe::LogSettings::kQueueBytesMax),
      audit_writer_(settings_->log.audit, observe::LogSettings::kQueueBytesMax),
      log_writer_(log_writer),
      log_(log_writer, settings_->log.level, clock_),
      wheel_(control_),
      revocations_(settings_->revocations_max),
      tasks_(control_, [this](std::string_view what) { fail(what); }),
      last_tasks_(control_, [this](std::string_view what) { fail(what); }),
      signals_(control_),
      certificate_timer_(control_),
      shared_keys_(control_, log_, [this](const authenticate::TagKeysPtr& keys) { use_keys(keys); }),
      key_fetchers_({control_, wheel_, tasks_, log_, clock_}),
      reloader_(
          {control_, tasks_, log_, clock_}, [path = config_path_] { return load_config(path, process_environment); },
          [this](Settings next) { return apply(std::move(next)); }),
      watchdog_(control_, log_),
      memory_watch_(control_, overload_, log_),
      inherited_(std::move(inherited)) {
  reloader_.set_files(std::move(files));
}

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
  // The listeners before the store: for that, a predecessor has to step back.
  if (Result<void> prepared = prepare_listeners(); !prepared) return prepared;
  if (Result<void> prepared = prepare_store(); !prepared) return prepared;
  if (Result<void> prepared = prepare_workers(); !prepared) return prepared;
  if (!settings_->session_secret_files.empty()) {
    const Result<authenticate::TagKeysPtr> keys = read_shared_keys(settings_->session_secret_files);
    if (!keys) return keys.error();
    secrets_digest_ = digest_of_files(settings_->session_secret_files);
    use_keys(*keys);
  }
  return settings_->admin ? prepare_admin() : Result<void>{};
}

Result<void> Gateway::prepare_listeners() {
  std::uint64_t connections = 0;
  for (const listen::ListenerSettings& listener : settings_->listeners) connections += listener.connections_max;
  constexpr std::uint64_t kOthers = 1024;                  // epolls, files, the store's, kept connections
  listen::provide_descriptors(2 * connections + kOthers);  // a client's, and one to an upstream for its request
  for (const listen::ListenerSettings& listener : settings_->listeners) {
    Result<std::shared_ptr<listen::SharedListener>> shared =
        listen::SharedListener::create(listener, clock_, &inherited_.sockets, settings_->workers);
    if (!shared) return shared.error();
    listeners_.push_back(std::move(*shared));
  }
  return {};
}

Result<void> Gateway::prepare_store() {
  Result<std::unique_ptr<store::StoreService>> opened = open_store_in_turn();
  if (!opened) return opened.error();
  store_service_ = std::move(*opened);
  store_ = store_service_->attach(control_, wheel_, shared_keys_, control_metrics_);
  operators_ = std::make_unique<OperatorDesk>(
      OperatorDesk::Surroundings{settings_->snapshot, settings_->takes_sessions, *store_, revocations_, clock_, tasks_, control_metrics_});
  return {};
}

Result<void> Gateway::prepare_workers() {
  shared_.emplace(Shared{
      settings_, access_writer_, audit_writer_, log_, clock_, revocations_, *store_service_, desks_, {}, &rate_limiter_, &overload_});
  overload_.use(settings_->overload);
  Result<upstream::Fleet::Upstreams> upstreams = fleet_.prepare(settings_->upstreams);
  if (!upstreams) return upstreams.error();
  next_upstreams_ = std::move(*upstreams);
  shared_->upstreams = next_upstreams_;
  shared_->listeners = listeners_;
  for (std::uint32_t i = 0; i < settings_->workers; ++i) {
    Result<std::unique_ptr<Worker>> worker = Worker::create(*shared_);
    if (!worker) return worker.error();
    watchdog_.add((*worker)->executor());
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
  if (settings_->admin->token_file) {
    Result<Secret> read = read_secret_file(*settings_->admin->token_file);
    if (!read) return read.error();
    token = std::move(*read);
  }
  admin::Sources sources;
  sources.why_not_ready = [this] { return not_ready_reasons(); };
  sources.metrics = [this] { return metrics(); };
  sources.routes = [this] { return routes(); };
  sources.reload = [this] { return reload_for_operator(); };
  admin_api_ = std::make_unique<admin::AdminApi>(std::move(sources), *operators_, clock_, std::move(token));

  listen::ListenerSettings listener;
  listener.name = "admin";
  listener.host = settings_->admin->host;
  listener.port = settings_->admin->port;
  listener.connections_max = 256;
  listener.limits.body_bytes_max = admin::kBodyBytesMax;
  Result<std::shared_ptr<listen::SharedListener>> shared = listen::SharedListener::create(listener, clock_, &inherited_.sockets);
  if (!shared) return shared.error();
  admin_shared_ = std::move(*shared);
  Result<std::unique_ptr<listen::Listener>> bound =
      listen::Listener::bind(admin_shared_, {control_, wheel_, *admin_api_, admin_draining_, control_metrics_, log_, clock_});
  if (!bound) return bound.error();
  admin_listener_ = std::move(*bound);
  return {};
}

void Gateway::serve() {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) signals_.add(signal);
  for (const std::string& address : inherited_.sockets.left()) {
    log_.event(Level::warning, "socket_unused", address + ": a listening socket was handed to us that no listener is configured for");
  }
  // A successor's not before it serves: until then operators are to meet the process that does.
  if (admin_listener_ && !inherited_.predecessor.exists()) admin_listener_->start();
  key_fetchers_.use(settings_->snapshot->issuers);
  fleet_.commit(std::move(next_upstreams_));
  tasks_.spawn(start_workers());
  tasks_.spawn(supervise());
  if (settings_->session_secret_files.empty()) tasks_.spawn(shared_keys_.keep_agreeing(*store_));
  begin_watching();
  control_.run();
  log_.event(Level::info, "stopped", "every connection has ended");
}

// Not before the store has told what was revoked, so that a restart forgets nothing. The listeners are bound: who connects meanwhile waits
// in the kernel's queue, or is served by our predecessor: he knows, and ends us when we do not within his patience. Without one, a store
// that is away is waited for no longer than this, because public routes are served without it.
Task<void> Gateway::start_workers() {
  const MonotonicTime until = clock_.monotonic_now() + kStorePatience;
  while (state_ == State::starting && !(store_->hears_changes(clock_.monotonic_now()) && revocations_.is_complete())) {
    if (clock_.monotonic_now() >= until && !inherited_.predecessor.is_listening()) break;
    co_await pause(control_.get_executor(), kPoll);
  }
  if (admin_listener_ && inherited_.predecessor.exists() && state_ == State::starting) admin_listener_->start();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->start();
  tasks_.spawn(watchdog_.run());
  tasks_.spawn(memory_watch_.run());
  if (state_ == State::draining) co_return;  // told to stop meanwhile: nobody is told that we serve
  state_ = State::serving;
  log_listening();
  service_manager_.ready();
  inherited_.predecessor.say_ready();
}

void Gateway::log_listening() const {
  for (const listen::ListenerSettings& listener : settings_->listeners) {
    log_.event(Level::info, "listening",
               fmt::format("{} on {}:{} ({}), {} workers", listener.name, listener.host, listener.port, listener.tls ? "https" : "http",
                           settings_->workers));
  }
}

Task<int> Gateway::next_signal() {
  auto result = co_await signals_.async_wait(as_result);
  auto& [error, number] = result;
  co_return error ? 0 : number;
}

Task<void> Gateway::supervise() {
  for (;;) {
    const int signal = co_await next_signal();
    if (signal == 0) co_return;  // drained: the signal set was closed
    // Whatever becomes of one, the next is heard.
    try {
      on_signal(signal);
    } catch (const std::exception& failure) {
      fail(failure.what());
    }
  }
}

// Serving until SIGTERM or SIGINT, then draining until nothing is left; a second signal ends the patience.
void Gateway::on_signal(int signal) {
  if (signal == SIGUSR1) return reopen_logs();  // what log rotation sends
  if (signal == SIGUSR2) return tasks_.spawn(hand_over());
  if (signal == SIGHUP) return tasks_.spawn(reload("SIGHUP"));
  told_to_stop_ = true;
  if (successor_ != nullptr) successor_->tell_to_stop();
  const bool impatient = state_ == State::draining;
  log_.event(Level::info, "draining",
             impatient ? "a second signal: closing what is left" : "no new connections; requests under way finish");
  service_manager_.stopping();
  begin_drain(impatient ? std::chrono::milliseconds(0) : settings_->drain_timeout, std::chrono::milliseconds(0));
}

// Each by itself. One that cannot be opened goes on with the file that it has.
void Gateway::reopen_logs() {
  for (observe::LineWriter* writer : {&access_writer_, &audit_writer_, &log_writer_}) {
    try {
      writer->reopen();
    } catch (const std::runtime_error& failure) {
      log_.event(Level::error, "log_reopen_failed", failure.what());
    }
  }
}

void Gateway::begin_drain(std::chrono::milliseconds time, std::chrono::milliseconds patience) {
  if (state_ != State::draining) workers_undrained_ = workers_.size();
  state_ = State::draining;
  reloader_.stop();
  const MonotonicTime deadline = clock_.monotonic_now() + time;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    worker->drain(deadline, patience, [this] { boost::asio::post(control_, [this] { worker_drained(); }); });
  }
}

void Gateway::worker_drained() {
  if (--workers_undrained_ == 0) tasks_.spawn(wind_down());
}

// From the outside in: whoever asks the store ends before it does.
Task<void> Gateway::wind_down() {
  // A reload under way talks with the workers; while a successor is being started, signals are for him too.
  while (reloader_.is_busy() || is_handing_over_) co_await pause(control_.get_executor(), kPoll);
  // The admin listener stayed to the last, so that /readyz and /metrics could be watched while draining.
  if (admin_listener_) {
    admin_draining_.value = true;
    admin_listener_->drain(clock_.monotonic_now());
    co_await admin_listener_->join();
  }
  if (file_watch_) file_watch_->stop();
  certificate_timer_.cancel();
  watchdog_.stop();
  fleet_.stop();
  memory_watch_.stop();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Task<void> winding_down = worker->wind_down();
    auto ended = co_await boost::asio::co_spawn(worker->executor(), std::move(winding_down), as_result);
    auto& [failure] = ended;
    if (failure) fail("a worker did not wind down in order");
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->join();
  key_fetchers_.stop();
  shared_keys_.stop();
  boost::system::error_code ignored;
  signals_.cancel(ignored);
  last_tasks_.spawn(close_store());
}

Task<void> Gateway::close_store() {
  co_await fleet_.join();
  co_await tasks_.join();  // nothing of this thread asks it any more
  operators_.reset();
  store_.reset();
  store_service_->stop();
  wheel_.stop();
}

}  // namespace sallyport::app
