// JSON lines, written by one thread: a worker never waits for a disk or a pipe.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
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
// that fits is preceded by {"event":"log_lines_lost","count":N}. A sink that fails (a full disk, a pipe without a reader) costs the lines
// that were on their way, counted like the others; one that blocks costs what the queue cannot hold. Neither stops a caller or the process.
class LineWriter {
 public:
  // Opens the sink; throws std::runtime_error naming the file when it cannot.
  LineWriter(const Sink& sink, std::size_t queue_bytes_max);
  // Writes to a descriptor that stays the caller's: a duplicate is kept.
  LineWriter(int descriptor, std::size_t queue_bytes_max);
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;
  ~LineWriter();  // writes what is queued (for at most 1 s)

  // `lines`: whole lines, each ending in '\n'. Never waits for I/O. Those at the front that fit are taken, the others lost.
  void write(std::string_view lines);
  [[nodiscard]] bool is_off() const noexcept { return impl_ == nullptr; }
  [[nodiscard]] std::uint64_t lost() const noexcept;
  // For log rotation: opens the file again; nothing for other sinks. Throws std::runtime_error and stays with the old file when it cannot.
  void reopen();

 private:
  struct Impl;
  static std::shared_ptr<Impl> start(std::shared_ptr<Impl> impl);
  // Shared with the writing thread alone, which is left behind when a sink holds it beyond the last second.
  std::shared_ptr<Impl> impl_;
};

// Builds one JSON line: {"ts":"2026-01-31T12:00:00.123456Z","level":"info","event":"listening",…}. Values are escaped; bytes that are no
// UTF-8, DEL and the C1 controls (which a terminal would obey) become U+FFFD. Names are ours and written as they are. Reuse one per thread
// and keep its capacity.
class LogLine {
 public:
  LogLine& begin(WallTime now, Level level, std::string_view event);
  LogLine& text(std::string_view name, std::string_view value);  // an empty value is written too
  LogLine& number(std::string_view name, std::int64_t value);
  LogLine& decimal(std::string_view name, double value);  // three digits behind the point; null when not finite
  LogLine& boolean(std::string_view name, bool value);
  // The finished line with its '\n'. Valid until the next begin().
  [[nodiscard]] std::string_view end();

 private:
  // Room for `bytes` more behind the line; what was written there is made part of it by moving used_.
  [[nodiscard]] char* room(std::size_t bytes);
  void member(std::string_view name);
  void append(std::string_view bytes);
  void digits(std::int64_t value);

  std::string buffer_;  // its size is the room, not the line
  std::size_t used_ = 0;
  // The time up to the second as it was last printed, and that second.
  std::array<char, 20> stamp_{};
  std::chrono::sys_seconds stamped_ = std::chrono::sys_seconds::min();
};

// Operational events of the process: start, stop, reload, warnings. Any thread.
class Log {
 public:
  Log(LineWriter& writer, Level level, const Clock& clock) : writer_(writer), level_(level), clock_(clock) {}
  [[nodiscard]] bool enabled(Level level) const noexcept { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(Level level) noexcept { level_.store(level, std::memory_order_relaxed); }
  // `event` is a stable name; `detail` is for a person.
  void event(Level level, std::string_view event, std::string_view detail) const;

 private:
  LineWriter& writer_;
  std::atomic<Level> level_;
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
