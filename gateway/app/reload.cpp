#include "app/reload.hpp"

#include <algorithm>
#include <exception>
#include <filesystem>

#include <fmt/format.h>
#include <boost/asio/post.hpp>

namespace sallyport::app {

using observe::Level;

namespace {

// One that stands nowhere.
Problem general(std::string message) {
  Problem problem;
  problem.message = std::move(message);
  return problem;
}

using FileClock = std::filesystem::file_time_type::clock;

// Folders of patterns included: a file of theirs has come or gone. What bears a time to come says nothing.
bool has_changed_since(const std::vector<ReadPath>& files, FileClock::time_point since) {
  const auto now = FileClock::now();
  return std::ranges::any_of(files, [&](const ReadPath& file) {
    std::error_code failed;
    const auto changed = std::filesystem::last_write_time(file.path, failed);
    return !failed && changed > since && changed <= now;
  });
}

}  // namespace

std::vector<Problem> restart_problems(const Settings& now, const Settings& next) {
  std::vector<Problem> problems;
  for (const FixedPart& part : next.fixed) {
    const auto old = std::ranges::find(now.fixed, part.name, &FixedPart::name);
    const std::string was = old != now.fixed.end() ? old->value : std::string("not there");
    if (old != now.fixed.end() && old->value == part.value) continue;
    Problem problem = part.at;
    problem.message = fmt::format("{} was {} and is {}: this needs a restart", part.name, was, part.value);
    problems.push_back(std::move(problem));
  }
  return problems;
}

// One load, for all who asked for it by the time it began.
struct Reloader::Pass {
  explicit Pass(Executor executor) : done(std::move(executor)) { done.expires_at(std::chrono::steady_clock::time_point::max()); }
  std::string causes;
  std::optional<ReloadOutcome> outcome;
  Timer done;  // never expires; cancelled when the outcome is there
};

Reloader::Reloader(const Surroundings& surroundings, Load load, Apply apply)
    : surroundings_(surroundings), load_(std::move(load)), apply_(std::move(apply)), last_success_(surroundings.clock.wall_now()) {}

Reloader::~Reloader() { reader_.join(); }

Task<ReloadOutcome> Reloader::reload(std::string cause) {
  if (stopped_) co_return ReloadOutcome{.problems = {general("the gateway is stopping")}};
  if (!next_) next_ = std::make_shared<Pass>(surroundings_.control.get_executor());
  const std::shared_ptr<Pass> mine = next_;
  if (mine->causes.find(cause) == std::string::npos) mine->causes += (mine->causes.empty() ? "" : ", ") + cause;
  if (!running_) {
    running_ = true;
    surroundings_.tasks.spawn(run());
  }
  while (!mine->outcome) {
    auto woken = co_await mine->done.async_wait(as_result);
    static_cast<void>(woken);
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (!mine->outcome && state.cancelled() != boost::asio::cancellation_type::none) {
      co_return ReloadOutcome{.problems = {general("nobody waited for the end of it")}};
    }
  }
  co_return *mine->outcome;
}

Task<void> Reloader::run() {
  while (next_) {
    const std::shared_ptr<Pass> current = std::exchange(next_, nullptr);
    ReloadOutcome outcome;
    try {
      Task<ReloadOutcome> passing = pass();
      outcome = co_await std::move(passing);
    } catch (const std::exception& error) {
      outcome.problems.push_back(general(fmt::format("an exception ended the reload: {}", error.what())));
    }
    report(outcome, current->causes);
    current->outcome = std::move(outcome);
    current->done.cancel();
  }
  running_ = false;
}

// Files are read beside the event loop: it has others to serve meanwhile.
Task<Reloader::Read> Reloader::load() {
  struct Reading {
    explicit Reading(Executor executor) : done(std::move(executor)) { done.expires_at(std::chrono::steady_clock::time_point::max()); }
    std::optional<Read> read;
    Timer done;
  };
  const auto reading = std::make_shared<Reading>(surroundings_.control.get_executor());
  boost::asio::post(reader_, [reading, this] {
    Read read;
    Loaded& loaded = read.loaded;
    const auto began = FileClock::now();
    try {
      loaded = load_();
    } catch (const std::exception& error) {
      loaded.settings.reset();
      loaded.problems.push_back(general(fmt::format("the configuration could not be read: {}", error.what())));
    }
    read.is_fresh = has_changed_since(loaded.files, began - kQuiet);
    boost::asio::post(surroundings_.control, [reading, read = std::move(read)]() mutable {
      reading->read = std::move(read);
      reading->done.cancel();
    });
  });
  while (!reading->read) {
    auto woken = co_await reading->done.async_wait(as_result);
    static_cast<void>(woken);
  }
  co_return std::move(*reading->read);
}

Task<Loaded> Reloader::load_settled() {
  for (std::chrono::milliseconds waited{0};; waited += kQuiet) {
    Task<Read> loading = load();
    Read read = co_await std::move(loading);
    files_ = read.loaded.files;
    if (on_files_) on_files_();
    const bool is_written = is_written_ && is_written_();
    const bool again = is_written ? waited < kWriterPatience : read.is_fresh && waited < kPatience;
    if (!again || stopped_) co_return std::move(read.loaded);
    Task<void> waiting = pause(surroundings_.control.get_executor(), kQuiet);
    co_await std::move(waiting);
  }
}

Task<ReloadOutcome> Reloader::pass() {
  ReloadOutcome outcome;
  Task<Loaded> loading = load_settled();
  Loaded loaded = co_await std::move(loading);
  for (const Problem& warning : loaded.warnings) surroundings_.log.event(Level::warning, "config_warning", warning.text());
  if (!loaded.settings) {
    outcome.problems = std::move(loaded.problems);
    if (outcome.problems.empty()) outcome.problems.push_back(general("the configuration could not be read"));
    co_return outcome;
  }
  if (stopped_) {
    outcome.problems.push_back(general("the gateway is stopping"));
    co_return outcome;
  }
  Task<ReloadOutcome> applying = apply_(std::move(*loaded.settings));
  outcome = co_await std::move(applying);
  co_return outcome;
}

void Reloader::report(const ReloadOutcome& outcome, const std::string& causes) {
  ++counts_[outcome.accepted() ? "accepted" : "refused"];
  if (outcome.accepted()) {
    last_success_ = surroundings_.clock.wall_now();
    surroundings_.log.event(Level::info, "config_reloaded", causes);
    return;
  }
  for (const Problem& problem : outcome.problems) {
    surroundings_.log.event(Level::error, "config_refused",
                            (problem.file.empty() ? problem.message : problem.text()) + " (nothing was changed; " + causes + ")");
  }
}

}  // namespace sallyport::app
