// JSON lines, written by one thread: a worker never waits for a disk or a pipe.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// The name of a member of a line, from a literal: `,"name":"` is put together by the compiler, and its room has one size, so that a line
// copies it without a loop.
class MemberName {
 public:
  static constexpr std::size_t kRoom = 24;
  template <std::size_t kSize>
  consteval MemberName(const char (&name)[kSize])
      : size_(kSize - 1 + kAround) {  // NOLINT(google-explicit-constructor): a name is a literal
    static_assert(kSize - 1 + kAround <= kRoom);
    text_[0] = ',';
    text_[1] = '"';
    for (std::size_t i = 0; i + 1 < kSize; ++i) {
      if (name[i] < 0x20 || name[i] > 0x7E || name[i] == '"' || name[i] == '\\') throw "a name that needs an escape";
      text_[2 + i] = name[i];
    }
    text_[kSize + 1] = '"';
    text_[kSize + 2] = ':';
    text_[kSize + 3] = '"';
  }
  // Writes kRoom bytes; returns where a string begins, behind its quote.
  [[nodiscard]] char* write_before_string(char* to) const noexcept {
    std::memcpy(to, text_.data(), kRoom);
    return to + size_;
  }
  // The same where another value begins.
  [[nodiscard]] char* write(char* to) const noexcept { return write_before_string(to) - 1; }

 private:
  static constexpr std::size_t kAround = 5;
  std::array<char, kRoom> text_{};
  std::size_t size_;
};

// Builds one JSON line: {"ts":"2026-01-31T12:00:00.123456Z","level":"info","event":"listening",…}. Values are escaped; bytes that are no
// UTF-8, DEL and the C1 controls (which a terminal would obey) become U+FFFD. Reuse one per thread and keep its capacity.
class LogLine {
 public:
  LogLine& begin(WallTime now, Level level, std::string_view event);
  LogLine& text(const MemberName& name, std::string_view value);  // an empty value is written too
  LogLine& number(const MemberName& name, std::int64_t value);
  LogLine& milliseconds(const MemberName& name, std::chrono::microseconds value);  // with three digits behind the point
  LogLine& boolean(const MemberName& name, bool value);
  // The finished line with its '\n'. Valid until the next begin().
  [[nodiscard]] std::string_view end();

 private:
  // Room for `bytes` more behind the line; what was written there is made part of it by end_at().
  [[nodiscard]] char* room(std::size_t bytes) {
    if (buffer_.size() - used_ < bytes) [[unlikely]]
      grow(bytes);
    return buffer_.data() + used_;
  }
  void grow(std::size_t bytes);
  void escaped_text(const MemberName& name, std::string_view value);
  void end_at(const char* end) noexcept { used_ = static_cast<std::size_t>(end - buffer_.data()); }
  void stamp(std::chrono::sys_seconds second) noexcept;

  std::string buffer_;  // its size is the room, not the line
  std::size_t used_ = 0;
  // How a line of stamped_ begins: {"ts":"2026-01-31T12:00:00.
  std::array<char, 27> stamp_{};
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
