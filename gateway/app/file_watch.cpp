#include "app/file_watch.hpp"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>

namespace sallyport::app {
namespace {

namespace fs = std::filesystem;

constexpr int kLinksMax = 40;  // as many as Linux follows
// A file that is still being written is not read: its writer's close is what counts. Permissions too: they decide what may be used.
constexpr std::uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

bool is_hidden(std::string_view name) { return name.empty() || name.front() == '.' || name.back() == '~'; }

}  // namespace

std::vector<WatchedName> names_on_the_way(const std::string& path) {
  std::vector<WatchedName> found;
  std::error_code failed;
  const bool wants_folder = !path.empty() && path.back() == '/';
  std::deque<fs::path> rest;
  const fs::path start = fs::absolute(path, failed);
  for (const fs::path& component : start.relative_path()) {
    if (!component.empty() && component != ".") rest.push_back(component);
  }
  fs::path at = "/";
  int links = 0;
  while (!rest.empty()) {
    const fs::path name = rest.front();
    rest.pop_front();
    if (name == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = at / name;
    const fs::file_status status = fs::symlink_status(next, failed);
    if (status.type() == fs::file_type::symlink && ++links <= kLinksMax) {
      found.push_back({at.string(), name.string()});
      const fs::path target = fs::read_symlink(next, failed);
      std::deque<fs::path> steps;
      for (const fs::path& component : target.relative_path()) {
        if (!component.empty() && component != ".") steps.push_back(component);
      }
      rest.insert(rest.begin(), steps.begin(), steps.end());
      if (target.is_absolute()) at = "/";
      continue;
    }
    const bool goes_on = status.type() == fs::file_type::directory && (!rest.empty() || wants_folder);
    if (!goes_on) {
      found.push_back({at.string(), name.string()});
      return found;  // the file itself, or where the way ends
    }
    at = next;
  }
  found.push_back({at.string(), ""});
  return found;
}

Result<std::unique_ptr<FileWatch>> FileWatch::create(boost::asio::io_context& context) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) return make_error(Fault::unavailable, std::string("inotify: ") + std::strerror(errno));
  return std::unique_ptr<FileWatch>(new FileWatch(context, descriptor));
}

FileWatch::FileWatch(boost::asio::io_context& context, int descriptor)
    : inotify_(descriptor), news_(context.get_executor()), quiet_(context.get_executor()) {}

FileWatch::~FileWatch() { ::close(inotify_); }

void NamesThatMatter::merge(NamesThatMatter& others) {
  names_.merge(others.names_);
  patterns_.merge(others.patterns_);
}

bool NamesThatMatter::contains(const std::string& name) const {
  if (names_.contains(name)) return true;
  const auto fits = [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0; };
  return !is_hidden(name) && std::ranges::any_of(patterns_, fits);
}

bool FileWatch::watch(const std::vector<ReadPath>& paths) {
  if (stopped_) return false;
  std::map<std::string, NamesThatMatter> wanted;
  for (const ReadPath& path : paths) {
    for (WatchedName& step : names_on_the_way(path.path)) {
      NamesThatMatter& names = wanted[std::move(step.folder)];
      if (step.name.empty() && !path.fitting.empty()) names.add_fitting(path.fitting);
      names.add(std::move(step.name));  // the empty one, too: what happens to the folder itself
    }
  }
  // What goes on being watched keeps its watch: nothing is missed between.
  for (auto known = descriptors_.begin(); known != descriptors_.end();) {
    if (wanted.contains(known->first)) {
      ++known;
      continue;
    }
    ::inotify_rm_watch(inotify_, known->second);
    names_.erase(known->second);
    known = descriptors_.erase(known);
  }
  bool complete = true;
  std::map<int, NamesThatMatter> names;
  for (auto& [folder, members] : wanted) {
    // Again for those that are known: the folder may be another one by now.
    const int watch = ::inotify_add_watch(inotify_, folder.c_str(), kEvents);
    if (watch < 0) {
      complete = false;
      continue;
    }
    const auto known = descriptors_.find(folder);
    if (known != descriptors_.end() && known->second != watch) ::inotify_rm_watch(inotify_, known->second);
    descriptors_[folder] = watch;
    names[watch].merge(members);
  }
  names_ = std::move(names);
  std::erase_if(writers_, [this](const auto& writer) { return !names_.contains(writer.first.first); });
  return complete;
}

bool FileWatch::take_events() {
  bool concerns = false;
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t size = ::read(inotify_, buffer.data(), buffer.size());
    if (size <= 0) return concerns;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const text = buffer.data() + at + sizeof event;
      const std::string name(text, ::strnlen(text, event.len));
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) concerns = true;  // whatever it was
      const auto watched = names_.find(event.wd);
      if (watched == names_.end()) continue;
      // A folder that goes away takes its watch with it.
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) concerns = true;
      if ((event.mask & IN_IGNORED) != 0) {
        const int gone = event.wd;
        std::erase_if(descriptors_, [gone](const auto& known) { return known.second == gone; });
        names_.erase(watched);
        std::erase_if(writers_, [gone](const auto& writer) { return writer.first.first == gone; });
        continue;
      }
      // A new file that is still empty is heard of when its writer closes it; a link and a folder are complete.
      if (!watched->second.contains(name)) continue;
      concerns = true;
      note_writer(event.mask, {event.wd, name});
    }
  }
}

void FileWatch::note_writer(std::uint32_t what, Name name) {
  if ((what & IN_MODIFY) != 0) {
    writers_.try_emplace(std::move(name), Writer::awaited);
  } else if ((what & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) != 0) {
    // Whoever else has it open, this one has said that it is whole; or it is another file now.
    writers_.erase(name);
  }
}

bool FileWatch::awaits_writer() const noexcept {
  return std::ranges::any_of(writers_, [](const auto& writer) { return writer.second == Writer::awaited; });
}

void FileWatch::give_writers_up() {
  for (auto& [name, writer] : writers_) {
    if (std::exchange(writer, Writer::given_up) == Writer::awaited) unclosed_.push_back(name.second);
  }
}

bool FileWatch::is_being_written() {
  if (stopped_) return false;
  if (take_events()) {
    is_pending_ = true;
    boost::system::error_code ignored;
    news_.cancel(ignored);  // changed() has something to tell
  }
  return awaits_writer();
}

Task<void> FileWatch::settle() {
  const auto began = std::chrono::steady_clock::now();
  while (!stopped_) {
    quiet_.expires_after(kQuiet);
    auto waited = co_await quiet_.async_wait(as_result);
    static_cast<void>(waited);
    if (stopped_) break;
    const bool more = take_events();
    const auto passed = std::chrono::steady_clock::now() - began;
    if (passed >= kWriterPatience) give_writers_up();
    if (!awaits_writer() && (!more || passed >= kPatience)) break;
  }
}

Task<bool> FileWatch::changed() {
  while (!stopped_) {
    if (take_events()) is_pending_ = true;
    if (is_pending_) {
      co_await settle();
      is_pending_ = false;
      co_return !stopped_;
    }
    boost::system::error_code failed;
    news_.assign(::fcntl(inotify_, F_DUPFD_CLOEXEC, 0), failed);
    if (!failed) {  // or no descriptor is left: then it looks after each pause
      auto waited = co_await news_.async_wait(boost::asio::posix::descriptor_base::wait_read, as_result);
      static_cast<void>(waited);
      if (stopped_) break;
      news_.close(failed);
    }
    if (take_events()) is_pending_ = true;
    if (is_pending_) continue;
    quiet_.expires_after(kPause);
    auto paused = co_await quiet_.async_wait(as_result);
    static_cast<void>(paused);
  }
  co_return false;
}

void FileWatch::stop() {
  stopped_ = true;
  quiet_.cancel();
  boost::system::error_code ignored;
  news_.close(ignored);
}

}  // namespace sallyport::app
