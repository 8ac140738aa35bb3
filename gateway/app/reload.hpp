// Taking over a changed configuration while serving: when, in which order, and what is said about it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/thread_pool.hpp>

#include "app/config_loader.hpp"
#include "base/clock.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "observe/log.hpp"

namespace sallyport::app {

// What of `next` a gateway that runs with `now` cannot take over; a problem for each, at its place. Pure.
[[nodiscard]] std::vector<Problem> restart_problems(const Settings& now, const Settings& next);

struct ReloadOutcome {
  std::vector<Problem> problems = {};  // empty: it is in use
  bool needs_restart = false;          // it is valid, but not while this process runs
  [[nodiscard]] bool accepted() const noexcept { return problems.empty(); }
};

// Belongs to the control thread. One at a time; whoever asks while one runs gets the next, which all of them share.
//
// Log events: config_reloaded (info), config_warning (warning, one for each), config_refused (error, one for each problem).
class Reloader {
 public:
  using Load = std::function<Loaded()>;                        // on a thread of its own: it reads files
  using Apply = std::function<Task<ReloadOutcome>(Settings)>;  // all of it, or problems and nothing
  struct Surroundings {
    boost::asio::io_context& control;
    TaskGroup& tasks;
    const observe::Log& log;
    const Clock& clock;
  };
  Reloader(const Surroundings& surroundings, Load load, Apply apply);
  ~Reloader();
  Reloader(const Reloader&) = delete;
  Reloader& operator=(const Reloader&) = delete;

  // `cause` is for the log: "SIGHUP". The answer is about a load that began after the call, and of files that had not changed for kQuiet
  // by then; for that it waits kPatience, and kWriterPatience for who is known to be writing.
  static constexpr std::chrono::milliseconds kQuiet{250};
  static constexpr std::chrono::milliseconds kPatience{2'000};
  static constexpr std::chrono::milliseconds kWriterPatience{30'000};
  [[nodiscard]] Task<ReloadOutcome> reload(std::string cause);
  // Nothing is begun any more; whoever waits is told so.
  void stop() noexcept { stopped_ = true; }
  [[nodiscard]] bool is_busy() const noexcept { return running_; }

  // What the last load read, a refused one too: what to watch. Before the first: set_files().
  [[nodiscard]] const std::vector<ReadPath>& files() const noexcept { return files_; }
  void set_files(std::vector<ReadPath> files) { files_ = std::move(files); }
  // Whether a file is being written just now: asked after a load, which then is not the last.
  void ask_whether_written(std::function<bool()> is_written) { is_written_ = std::move(is_written); }
  // Called after every load.
  void on_files(std::function<void()> told) { on_files_ = std::move(told); }

  [[nodiscard]] const std::map<std::string, std::uint64_t>& counts() const noexcept { return counts_; }
  [[nodiscard]] WallTime last_success() const noexcept { return last_success_; }

 private:
  struct Pass;
  [[nodiscard]] Task<void> run();
  [[nodiscard]] Task<ReloadOutcome> pass();
  // Until nothing changed while it was read, as far as can be told.
  [[nodiscard]] Task<Loaded> load_settled();
  struct Read {
    Loaded loaded;
    bool is_fresh = false;  // a file changed while it was read, or just before: who wrote it may write more
  };
  [[nodiscard]] Task<Read> load();
  void report(const ReloadOutcome& outcome, const std::string& causes);

  Surroundings surroundings_;
  Load load_;
  Apply apply_;
  std::function<void()> on_files_;
  std::function<bool()> is_written_;
  boost::asio::thread_pool reader_{1};
  std::shared_ptr<Pass> next_;
  bool running_ = false;
  bool stopped_ = false;
  std::vector<ReadPath> files_;
  std::map<std::string, std::uint64_t> counts_{{"accepted", 0}, {"refused", 0}};
  WallTime last_success_;
};

}  // namespace sallyport::app
