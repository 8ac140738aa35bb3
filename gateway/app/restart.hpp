// Our successor: our own binary, started with our own arguments and our listening sockets, so that it goes on where we stop.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/result.hpp"
#include "base/task.hpp"
#include "base/timer.hpp"

namespace sallyport::app {

// How we were started, from /proc/self/cmdline.
[[nodiscard]] std::vector<std::string> own_command_line();

// The old process's side. Belongs to the thread of its io_context.
class Successor {
 public:
  // Starts `arguments` with `sockets` (listen::InheritedSockets::kVariable) and the way back to us. The program is looked for as a shell
  // would, so that what was installed in our binary's place is what starts. Fault::unavailable: it cannot be started.
  [[nodiscard]] static Result<std::unique_ptr<Successor>> start(boost::asio::io_context& context, const std::vector<std::string>& arguments,
                                                                const std::vector<int>& sockets);
  ~Successor();  // one that was not released is killed

  enum class Word : unsigned char {
    wants_store,  // all is prepared; it waits for the file that only one process may have
    ready,        // it serves
    gone,         // it ended without
    silent,       // nothing within the time
  };
  // What it says next.
  [[nodiscard]] Task<Word> hear(std::chrono::milliseconds patience);
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  // It lives without us.
  void release() noexcept { released_ = true; }
  // As we were told: it drains, or ends at once where it does not serve yet.
  void tell_to_stop() const noexcept;
  // Kills it where it still runs, and says how it ended.
  [[nodiscard]] std::string end();

 private:
  Successor(boost::asio::io_context& context, pid_t pid, int pipe);
  pid_t pid_;
  boost::asio::posix::basic_stream_descriptor<Executor> pipe_;
  Timer timer_;
  bool released_ = false;
  bool ended_ = false;
};

// The new process's side: whoever started us as his successor, or nobody.
class Predecessor {
 public:
  // Takes its variable out of the environment.
  [[nodiscard]] static Predecessor from_environment();
  Predecessor() = default;
  Predecessor(Predecessor&& other) noexcept;
  Predecessor& operator=(Predecessor&& other) noexcept;
  ~Predecessor();

  [[nodiscard]] bool exists() const noexcept { return pipe_ >= 0; }
  // Whether it is still there to hear of us.
  [[nodiscard]] bool is_listening() const noexcept;
  void say_wants_store() const { say('s'); }
  void say_ready() const { say('r'); }

 private:
  void say(char word) const;
  int pipe_ = -1;
};

}  // namespace sallyport::app
