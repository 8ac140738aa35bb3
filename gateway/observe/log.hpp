// JSON lines, written by one thread: a worker never waits for a disk or a pipe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace sallyport::observe {

enum class Level : unsigned char { debug, info, warning, error };
[[nodiscard]] std::string_view name(Level level) noexcept;  // "info"

// Where lines go: `stdout`, `stderr`, `off` or a file that is appended to.
struct Sink {
  enum class Kind : unsigned char { off, standard_output, standard_error, file } kind = Kind::standard_output;
  std::string path;
};

struct LogSettings {
  Level level = Level::info;
  Sink access;
  Sink audit;
  static constexpr std::size_t kQueueBytesMax = 8 * 1024 * 1024;  // per sink; beyond it lines are dropped and counted
};

// Collects lines from any thread and writes them from its own. Bounded: what does not fit is dropped and counted, and the next line
// that fits is preceded by one that says how many were lost.
class LineWriter {
 public:
  // Opens the sink; throws std::runtime_error naming the file when it cannot.
  LineWriter(const Sink& sink, std::size_t queue_bytes_max);
  ~LineWriter();  // writes what is queued (for at most 1 s)

  // `lines`: whole lines, each ending in '\n'. Never blocks on I/O.
  void write(std::string_view lines);
  [[nodiscard]] bool is_off() const noexcept { return off_; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }
  // For log rotation: opens the file again.
  void reopen();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  bool off_ = false;
  std::atomic<std::uint64_t> lost_{0};
};

// Builds one JSON line: {"ts":"2026-01-31T12:00:00.123456Z","level":"info","event":"listening",…}. Values are escaped; bytes that are no
// UTF-8 become U+FFFD. Reuse one per thread and keep its capacity.
class LogLine {
 public:
  LogLine& begin(WallTime now, Level level, std::string_view event);
  LogLine& text(std::string_view name, std::string_view value);  // an empty value is written too
  LogLine& number(std::string_view name, std::int64_t value);
  LogLine& decimal(std::string_view name, double value);         // three digits behind the point
  LogLine& boolean(std::string_view name, bool value);
  // The finished line with its '\n'. Valid until the next begin().
  [[nodiscard]] std::string_view end();

 private:
  std::string line_;
};

// Operational events of the process: start, stop, reload, warnings. Any thread.
class Log {
 public:
  Log(LineWriter& writer, Level level, const Clock& clock) : writer_(writer), level_(level), clock_(clock) {}
  [[nodiscard]] bool enabled(Level level) const noexcept { return level >= level_; }
  // `event` is a stable name; `detail` is for a person.
  void event(Level level, std::string_view event, std::string_view detail) const;

 private:
  LineWriter& writer_;
  Level level_;
  const Clock& clock_;
};

// The lines of one worker, handed to the writer in batches: at kBatchBytes, and when flush() is called by the worker's tick.
class WorkerLog {
 public:
  static constexpr std::size_t kBatchBytes = 64 * 1024;
  explicit WorkerLog(LineWriter& writer) : writer_(writer) {}
  void add(std::string_view line);
  void flush();
  [[nodiscard]] bool is_off() const noexcept { return writer_.is_off(); }

 private:
  LineWriter& writer_;
  std::string batch_;
};

}  // namespace sallyport::observe
