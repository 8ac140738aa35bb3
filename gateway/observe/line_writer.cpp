#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "observe/log.hpp"

namespace sallyport::observe {
namespace {

using namespace std::chrono_literals;

constexpr auto kLastWrites = 1s;                // what the destructor waits for
constexpr auto kPollInterval = 20ms;            // how soon a writer that waits for its sink sees that it shall stop
constexpr std::size_t kKeptBytes = 256 * 1024;  // a queue that grew beyond this gives its memory back

// How the thread writes without being held by the sink for longer than it wants.
enum class Way : unsigned char {
  at_once,       // a regular file
  non_blocking,  // a description of our own that says EAGAIN
  polled,        // somebody else's blocking description: after POLLOUT a pipe takes PIPE_BUF bytes without blocking
  socket,        // per call by MSG_DONTWAIT
};

struct Output {
  int descriptor = -1;
  Way way = Way::at_once;
};

[[noreturn]] void throw_errno(const std::string& what, int number) { throw std::runtime_error(what + ": " + std::strerror(number)); }

Output described(int descriptor, const std::string& what) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) {
    const int number = errno;
    ::close(descriptor);
    throw_errno(what, number);
  }
  if (S_ISREG(status.st_mode)) return {descriptor, Way::at_once};
  if (S_ISSOCK(status.st_mode)) return {descriptor, Way::socket};
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) return {descriptor, Way::non_blocking};
  // O_NONBLOCK belongs to the description, which the shell or the supervisor may share with us: setting it would change theirs.
  const std::string name = "/proc/self/fd/" + std::to_string(descriptor);
  const int own = ::open(name.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (own < 0) return {descriptor, Way::polled};
  ::close(descriptor);
  return {own, Way::non_blocking};
}

Output duplicate(int descriptor, const std::string& what) {
  const int copy = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw_errno(what, errno);
  return described(copy, what);
}

Output open_file(const std::string& path) {
  // O_NONBLOCK matters to FIFOs alone: without a reader they are an error and not a wait.
  constexpr mode_t kOwnerAndGroup = 0640;
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, kOwnerAndGroup);
  if (file < 0) throw_errno(path, errno);
  return described(file, path);
}

Output open_sink(const Sink& sink) {
  switch (sink.kind) {
    case Sink::Kind::standard_output: return duplicate(STDOUT_FILENO, "standard output");
    case Sink::Kind::standard_error: return duplicate(STDERR_FILENO, "standard error");
    case Sink::Kind::file: return open_file(sink.path);
    case Sink::Kind::off: break;
  }
  return {};
}

std::uint64_t count_lines(std::string_view text) noexcept { return static_cast<std::uint64_t>(std::ranges::count(text, '\n')); }

// What to do after one attempt to write.
enum class Attempt : unsigned char { progressed, must_wait, failed };

}  // namespace

struct LineWriter::Impl {
  Impl(Output output, std::string path, std::size_t bytes_max) : output(output), path(std::move(path)), queue_bytes_max(bytes_max) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    ::close(output.descriptor);
    if (reopened.descriptor >= 0) ::close(reopened.descriptor);
  }

  void run();
  void write_batch(std::string_view batch);
  Attempt write_some(std::string_view& rest);
  bool may_go_on();
  void lose(std::uint64_t lines);  // with the mutex held
  void report_losses();            // with the mutex held

  Output output;  // of the thread
  const std::string path;
  const std::size_t queue_bytes_max;
  bool broke_a_line = false;  // of the thread: the last thing written was a piece of a line
  std::atomic<std::uint64_t> lost{0};

  std::mutex mutex;
  std::condition_variable changed;
  std::string queue;
  std::size_t bytes_on_their_way = 0;  // taken out of the queue, not yet written
  std::uint64_t unreported = 0;        // lines lost since the last report
  Output reopened;
  bool is_stopping = false;
  bool is_over = false;
  MonotonicTime stop_by;
  std::thread thread;  // of the LineWriter
};

void LineWriter::Impl::lose(std::uint64_t lines) {
  lost.fetch_add(lines, std::memory_order_relaxed);
  unreported += lines;
}

void LineWriter::Impl::report_losses() {
  if (unreported == 0) return;
  queue += fmt::format("{{\"event\":\"log_lines_lost\",\"count\":{}}}\n", std::exchange(unreported, 0));
}

void LineWriter::Impl::run() {
  std::string batch;
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return !queue.empty() || is_stopping; });
    if (is_stopping) report_losses();
    if (queue.empty()) break;
    batch.swap(queue);
    bytes_on_their_way = batch.size();
    if (reopened.descriptor >= 0) {
      ::close(output.descriptor);
      output = std::exchange(reopened, Output{});
      broke_a_line = false;
    }
    const bool is_last = is_stopping;
    lock.unlock();
    write_batch(batch);
    batch.clear();
    if (batch.capacity() > kKeptBytes) batch.shrink_to_fit();
    lock.lock();
    bytes_on_their_way = 0;
    if (is_last) break;
  }
  is_over = true;
  changed.notify_all();
}

// Writes it all, or what the sink takes until it fails or time is up. The rest is lost.
void LineWriter::Impl::write_batch(std::string_view batch) {
  std::string_view rest = batch;
  if (broke_a_line) {
    // What is left of the line that broke ends here, so that the next one stands alone.
    std::string_view newline = "\n";
    while (!newline.empty()) {
      const Attempt attempt = write_some(newline);
      if (attempt == Attempt::failed || (attempt == Attempt::must_wait && !may_go_on())) break;
    }
    broke_a_line = !newline.empty();
  }
  while (!rest.empty() && !broke_a_line) {
    const Attempt attempt = write_some(rest);
    if (attempt == Attempt::failed || (attempt == Attempt::must_wait && !may_go_on())) break;
  }
  if (rest.empty()) return;
  if (rest.size() < batch.size()) broke_a_line = batch[batch.size() - rest.size() - 1] != '\n';
  const std::scoped_lock lock(mutex);
  lose(count_lines(rest));
}

Attempt LineWriter::Impl::write_some(std::string_view& rest) {
  if (output.way != Way::at_once) {
    pollfd writable{output.descriptor, POLLOUT, 0};
    const int ready = ::poll(&writable, 1, static_cast<int>(kPollInterval / 1ms));
    if (ready == 0 || (ready < 0 && errno == EINTR)) return Attempt::must_wait;
  }
  const std::size_t size = output.way == Way::polled ? std::min<std::size_t>(rest.size(), PIPE_BUF) : rest.size();
  const ssize_t count = output.way == Way::socket ? ::send(output.descriptor, rest.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                                  : ::write(output.descriptor, rest.data(), size);
  if (count > 0) {
    rest.remove_prefix(static_cast<std::size_t>(count));
    return Attempt::progressed;
  }
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return Attempt::must_wait;
  return Attempt::failed;
}

bool LineWriter::Impl::may_go_on() {
  const std::scoped_lock lock(mutex);
  return !is_stopping || std::chrono::steady_clock::now() < stop_by;
}

LineWriter::LineWriter(const Sink& sink, std::size_t queue_bytes_max) {
  if (sink.kind == Sink::Kind::off) return;
  impl_ = start(std::make_shared<Impl>(open_sink(sink), sink.kind == Sink::Kind::file ? sink.path : "", queue_bytes_max));
}

LineWriter::LineWriter(int descriptor, std::size_t queue_bytes_max)
    : impl_(start(std::make_shared<Impl>(duplicate(descriptor, "log descriptor"), "", queue_bytes_max))) {}

std::shared_ptr<LineWriter::Impl> LineWriter::start(std::shared_ptr<Impl> impl) {
  // No signal reaches the thread: handlers run elsewhere, and a pipe without a reader is an error code, not the end of the process.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    impl->thread = std::thread([impl] { impl->run(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return impl;
}

LineWriter::~LineWriter() {
  if (impl_ == nullptr) return;
  std::unique_lock lock(impl_->mutex);
  impl_->is_stopping = true;
  impl_->stop_by = std::chrono::steady_clock::now() + kLastWrites;
  impl_->changed.notify_all();
  const bool is_over = impl_->changed.wait_for(lock, kLastWrites + 2 * kPollInterval, [this] { return impl_->is_over; });
  lock.unlock();
  if (is_over) {
    impl_->thread.join();
  } else {
    impl_->thread.detach();  // a sink holds it; it owns a share of what it uses
  }
}

void LineWriter::write(std::string_view lines) {
  if (is_off() || lines.empty()) return;
  const std::scoped_lock lock(impl_->mutex);
  const std::size_t held = impl_->queue.size() + impl_->bytes_on_their_way;
  const std::size_t room = impl_->queue_bytes_max - std::min(held, impl_->queue_bytes_max);
  std::string_view taken = lines;
  if (lines.size() > room) {
    const std::size_t last_end = room == 0 ? std::string_view::npos : lines.rfind('\n', room - 1);
    taken = last_end == std::string_view::npos ? std::string_view() : lines.substr(0, last_end + 1);
  }
  if (!taken.empty()) {
    impl_->report_losses();
    impl_->queue += taken;
    impl_->changed.notify_all();
  }
  impl_->lose(count_lines(lines.substr(taken.size())));
}

std::uint64_t LineWriter::lost() const noexcept { return is_off() ? 0 : impl_->lost.load(std::memory_order_relaxed); }

void LineWriter::reopen() {
  if (is_off() || impl_->path.empty()) return;
  const Output output = open_file(impl_->path);
  const std::scoped_lock lock(impl_->mutex);
  if (impl_->reopened.descriptor >= 0) ::close(impl_->reopened.descriptor);
  impl_->reopened = output;
}

}  // namespace sallyport::observe
