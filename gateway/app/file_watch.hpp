// Tells when a file of the configuration may have changed: written, replaced by a rename, or reached by another symbolic link.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "app/problems.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/timer.hpp"

namespace sallyport::app {

// Where a path leads to, link by link: in which folder which name decides. A change of any of them may change what the path reads. What
// does not exist is waited for in the last folder that does. A path that ends in '/' is a folder: its name is empty.
struct WatchedName {
  std::string folder;
  std::string name;
  friend auto operator<=>(const WatchedName&, const WatchedName&) = default;
};
[[nodiscard]] std::vector<WatchedName> names_on_the_way(const std::string& path);

// Which names of a folder matter. Hidden ones (".x", "x~") only when they are named.
class NamesThatMatter {
 public:
  void add(std::string name) { names_.insert(std::move(name)); }
  void add_fitting(std::string pattern) { patterns_.insert(std::move(pattern)); }  // fnmatch(3)
  void merge(NamesThatMatter& others);
  [[nodiscard]] bool contains(const std::string& name) const;

 private:
  std::set<std::string> names_;
  std::set<std::string> patterns_;
};

// Belongs to the thread of its io_context. Folders are watched, not files: editors and Kubernetes replace files by renaming others over
// them or over a link on the way.
class FileWatch {
 public:
  // Several changes in a row are told once, when it has been quiet for this long; but no later than kPatience after the first. A file that
  // somebody writes to is not quiet before he closes it, however long he pauses: half a policy may be a valid one. No later than
  // kWriterPatience; who has not closed it by then is not waited for again until he does.
  static constexpr std::chrono::milliseconds kQuiet{250};
  static constexpr std::chrono::milliseconds kPatience{2'000};
  static constexpr std::chrono::milliseconds kWriterPatience{30'000};
  // After news that concerns nobody: a folder in which a log is written has some for every line, and waking for each costs as much as it.
  static constexpr std::chrono::milliseconds kPause{50};

  // Fault::unavailable: the system gives no inotify instance.
  [[nodiscard]] static Result<std::unique_ptr<FileWatch>> create(boost::asio::io_context& context);
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;
  ~FileWatch();

  // From now on these, as far as they exist; looks up anew where links lead. False: some folder cannot be watched.
  bool watch(const std::vector<ReadPath>& paths);
  // Returns when something changed (true) or after stop() (false). One caller at a time; what happened between two calls is not lost.
  [[nodiscard]] Task<bool> changed();
  // Whether somebody is writing to a file that matters, as far as that was heard since watch().
  [[nodiscard]] bool is_being_written();
  // The files whose writers were not waited for any longer, since it was asked last: for the log.
  [[nodiscard]] std::vector<std::string> take_unclosed() { return std::exchange(unclosed_, {}); }
  void stop();

 private:
  using Name = std::pair<int, std::string>;  // watch and name
  enum class Writer : unsigned char { awaited, given_up };

  FileWatch(boost::asio::io_context& context, int descriptor);
  // Takes what the kernel has to say; whether any of it concerns a watched name.
  [[nodiscard]] bool take_events();
  // Keeps up who is writing to what.
  void note_writer(std::uint32_t what, Name name);
  [[nodiscard]] bool awaits_writer() const noexcept;
  void give_writers_up();
  [[nodiscard]] Task<void> settle();

  const int inotify_;
  // A duplicate while changed() waits for news: Asio's epoll wakes for each there is of a descriptor, be it waited for or not.
  boost::asio::posix::basic_stream_descriptor<Executor> news_;
  Timer quiet_;
  std::map<std::string, int> descriptors_;  // folder -> watch
  std::map<int, NamesThatMatter> names_;    // by watch
  std::map<Name, Writer> writers_;          // written to and not closed
  std::vector<std::string> unclosed_;
  bool is_pending_ = false;  // heard, not told
  bool stopped_ = false;
};

}  // namespace sallyport::app
