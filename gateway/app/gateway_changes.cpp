// What changes while the gateway serves, and what it tells of itself.
#include <cstdio>
#include <cstdlib>

#include <boost/asio/co_spawn.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "admin/route_list.hpp"
#include "app/gateway.hpp"
#include "app/version.hpp"
#include "base/secret.hpp"

namespace sallyport::app {

using observe::Level;

namespace {

double unix_seconds(WallTime time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); }

// Only for lack of memory. One worker would go on by the old policy while all others have the new one, and nobody would see which of them
// judges his request: whoever starts the gateway again starts one that is whole.
[[noreturn]] void end_divided() {
  std::fputs("sallyport: a worker could not take the new configuration over; the process ends\n", stderr);
  std::abort();
}

ReloadOutcome refused(const std::string& file, std::string message) {
  Problem problem;
  problem.file = file;
  problem.message = std::move(message);
  return {.problems = {std::move(problem)}};
}

}  // namespace

// Two phases: what may fail is done beside what serves; then everybody changes over, which cannot fail.
Task<ReloadOutcome> Gateway::apply(Settings settings) {
  ReloadOutcome outcome;
  outcome.problems = restart_problems(*settings_, settings);
  outcome.needs_restart = !outcome.problems.empty();
  if (outcome.needs_restart) co_return outcome;
  const auto next = std::make_shared<const Settings>(std::move(settings));

  authenticate::TagKeysPtr keys;
  const std::string digest = digest_of_files(next->session_secret_files);
  if (digest != secrets_digest_) {
    Result<authenticate::TagKeysPtr> read = read_shared_keys(next->session_secret_files);
    if (!read) co_return refused(config_path_, read.error().detail);
    keys = std::move(*read);
  }
  std::optional<Secret> token;
  if (next->admin && next->admin->token_file) {
    Result<Secret> read = read_secret_file(*next->admin->token_file);
    if (!read || read->empty()) co_return refused(*next->admin->token_file, read ? "the token is empty" : read.error().detail);
    token = std::move(*read);
  }
  Task<Result<void>> preparing = prepare_change(next);
  const auto prepared = co_await std::move(preparing);
  if (!prepared) co_return refused(config_path_, prepared.error().detail);
  if (state_ == State::draining) co_return refused(config_path_, "the gateway is stopping");
  secrets_digest_ = digest;
  Task<void> committing = commit_change(next, std::move(keys), std::move(token));
  co_await std::move(committing);
  co_return outcome;
}

Task<Result<void>> Gateway::prepare_change(const std::shared_ptr<const Settings>& next) {
  Result<upstream::Fleet::Upstreams> upstreams = fleet_.prepare(next->upstreams);
  if (!upstreams) co_return upstreams.error();
  next_upstreams_ = std::move(*upstreams);
  next_listener_states_.clear();
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    Result<listen::ListenerStatePtr> state = listeners_[i]->prepare(next->listeners[i]);
    if (!state) co_return make_error(state.error().fault, "listener '" + next->listeners[i].name + "': " + state.error().detail);
    next_listener_states_.push_back(std::move(*state));
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Task<void> preparing = worker->prepare(next, next_upstreams_);
    auto ended = co_await boost::asio::co_spawn(worker->executor(), std::move(preparing), as_result);
    auto& [failure] = ended;
    if (failure) co_return make_error(Fault::internal, "a worker could not prepare");
  }
  co_return Result<void>();
}

Task<void> Gateway::commit_change(std::shared_ptr<const Settings> next, authenticate::TagKeysPtr keys, std::optional<Secret> token) {
  // Before the workers: the new issuers have their keys when the first request asks.
  key_fetchers_.use(next->snapshot->issuers);
  if (keys) use_keys(keys);
  fleet_.commit(std::move(next_upstreams_));
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Task<void> committing = worker->commit();
    auto ended = co_await boost::asio::co_spawn(worker->executor(), std::move(committing), as_result);
    auto& [failure] = ended;
    if (failure) end_divided();
  }
  for (std::size_t i = 0; i < listeners_.size(); ++i) listeners_[i]->commit(std::move(next_listener_states_[i]));
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Task<void> ending = worker->end_distrusted();
    auto ended = co_await boost::asio::co_spawn(worker->executor(), std::move(ending), as_result);
    static_cast<void>(ended);  // it throws nothing
  }
  operators_->use(next->snapshot, next->takes_sessions);
  if (token) admin_api_->use_token(std::move(*token));
  log_.set_level(next->log.level);
  watchdog_.use(next->stall);
  overload_.use(next->overload);
  settings_ = std::move(next);
  log_certificates();
}

Task<void> Gateway::reload(std::string cause) {
  service_manager_.reloading(clock_.monotonic_now());
  Task<ReloadOutcome> reloading = reloader_.reload(std::move(cause));
  const ReloadOutcome outcome = co_await std::move(reloading);
  static_cast<void>(outcome);  // the reloader has logged it
  if (state_ == State::serving) service_manager_.ready();
}

Task<admin::ReloadReport> Gateway::reload_for_operator() {
  Task<ReloadOutcome> reloading = reloader_.reload("POST /reload");
  const ReloadOutcome outcome = co_await std::move(reloading);
  admin::ReloadReport report{.problems = {}, .needs_restart = outcome.needs_restart};
  for (const Problem& problem : outcome.problems) report.problems.push_back(problem.file.empty() ? problem.message : problem.text());
  co_return report;
}

void Gateway::begin_watching() {
  watchdog_.use(settings_->stall);
  log_certificates();
  tasks_.spawn(watch_certificates());
  if (!settings_->watches_files) return;
  Result<std::unique_ptr<FileWatch>> watch = FileWatch::create(control_);
  if (!watch) {
    log_.event(Level::warning, "watch_failed", watch.error().detail + ": changed files are not noticed; SIGHUP reloads");
    return;
  }
  file_watch_ = std::move(*watch);
  reloader_.ask_whether_written([this] { return file_watch_->is_being_written(); });
  reloader_.on_files([this] { static_cast<void>(file_watch_->watch(reloader_.files())); });
  if (!file_watch_->watch(reloader_.files())) {
    log_.event(Level::warning, "watch_failed", "some files cannot be watched; SIGHUP reloads");
  }
  tasks_.spawn(watch_files());
}

Task<void> Gateway::watch_files() {
  for (;;) {
    Task<bool> changing = file_watch_->changed();
    const bool changed = co_await std::move(changing);
    if (!changed) co_return;
    if (state_ == State::draining) continue;
    for (const std::string& name : file_watch_->take_unclosed()) {
      log_.event(Level::warning, "watch_impatient", name + " is being written and was not closed for half a minute; it is read as it is");
    }
    // Links may lead elsewhere now.
    static_cast<void>(file_watch_->watch(reloader_.files()));
    Task<void> reloading = reload("a changed file");
    co_await std::move(reloading);
  }
}

Task<void> Gateway::watch_certificates() {
  for (;;) {
    certificate_timer_.expires_after(kCertificateLook);
    auto waited = co_await certificate_timer_.async_wait(as_result);
    auto& [error] = waited;
    if (error) co_return;
    log_certificates();
  }
}

void Gateway::log_certificates() const {
  const WallTime now = clock_.wall_now();
  for (const std::shared_ptr<listen::SharedListener>& listener : shared_->listeners) {
    for (const auto& [name, expiry] : listener->certificate_expiry()) {
      if (expiry - now > kCertificateSoon) continue;
      const auto days = std::chrono::floor<std::chrono::days>(expiry - now).count();
      log_.event(Level::warning, "certificate_expires",
                 fmt::format("{} on {:%Y-%m-%d}, {}", name, std::chrono::floor<std::chrono::seconds>(expiry),
                             days < 0 ? std::string("which has passed") : fmt::format("in {} days", days)));
    }
  }
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

observe::ProcessMetrics Gateway::process_metrics() {
  observe::ProcessMetrics process;
  process.version = kVersion;
  process.start_time_seconds = unix_seconds(started_at_);
  process.log_lines_lost = access_writer_.lost() + audit_writer_.lost() + log_writer_.lost();
  process.store_up = store_service_->trouble().empty();
  process.config_reloads = reloader_.counts();
  process.config_loaded_seconds = unix_seconds(reloader_.last_success());
  process.event_loop_stalls = watchdog_.stalls();
  process.event_loop_lag_seconds = std::chrono::duration<double>(watchdog_.take_lag()).count();
  process.key_sets = key_fetchers_.metrics();
  if (settings_->overload != OverloadSettings{}) {
    process.load = {overload_.requests_in_flight(), overload_.resident_bytes(), overload_.is_over()};
  }
  process.upstreams = fleet_.metrics();
  for (const std::shared_ptr<listen::SharedListener>& listener : shared_->listeners) {
    for (const auto& [name, expiry] : listener->certificate_expiry()) process.certificate_expiry.emplace_back(name, unix_seconds(expiry));
  }
  return process;
}

Task<std::string> Gateway::routes() { co_return admin::route_list(*settings_->snapshot); }

std::vector<std::string> Gateway::not_ready_reasons() const {
  std::vector<std::string> reasons;
  if (state_ == State::starting) reasons.emplace_back("starting");
  if (state_ == State::draining) reasons.emplace_back("draining");
  for (std::string& missing : key_fetchers_.missing()) reasons.push_back(std::move(missing));
  if (!revocations_.is_complete()) reasons.emplace_back("store: what was revoked is not known yet");
  if (!settings_->needs_store) return reasons;
  std::string trouble = store_service_->trouble();
  if (!trouble.empty()) reasons.push_back("store: " + std::move(trouble));
  if (!has_keys_) reasons.emplace_back("store: the secret that the gateways share is not known yet");
  return reasons;
}

}  // namespace sallyport::app
