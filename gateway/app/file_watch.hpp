// Tells when a file of the configuration may have changed: written, replaced by a rename, or reached by another symbolic link.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

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

// Belongs to the thread of its io_context. Folders are watched, not files: editors and Kubernetes replace files by renaming others over
// them or over a link on the way.
class FileWatch {
 public:
  // Several changes in a row are told once, when it has been quiet for this long; but no later than kPatience after the first.
  static constexpr std::chrono::milliseconds kQuiet{250};
  static constexpr std::chrono::milliseconds kPatience{2'000};

  // Fault::unavailable: the system gives no inotify instance.
  [[nodiscard]] static Result<std::unique_ptr<FileWatch>> create(boost::asio::io_context& context);

  // From now on these, as far as they exist; looks up anew where links lead. False: some folder cannot be watched.
  bool watch(const std::vector<std::string>& paths);
  // Returns when something changed (true) or after stop() (false). One caller at a time; what happened between two calls is not lost.
  [[nodiscard]] Task<bool> changed();
  void stop();

 private:
  FileWatch(boost::asio::io_context& context, int descriptor);
  // Takes what the kernel has to say; whether any of it concerns a watched name.
  [[nodiscard]] bool take_events();
  [[nodiscard]] Task<void> settle();

  boost::asio::posix::basic_stream_descriptor<Executor> inotify_;
  Timer quiet_;
  std::map<std::string, int> descriptors_;      // folder -> watch
  std::map<int, std::set<std::string>> names_;  // watch -> names that matter; "" for every name but hidden ones
  bool is_pending_ = false;                     // heard, not told
  bool stopped_ = false;
};

}  // namespace sallyport::app
