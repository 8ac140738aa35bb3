// What systemd is told (sd_notify(3)) when it started us with `Type=notify-reload` or `Type=notify`.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace sallyport::app {

// Takes NOTIFY_SOCKET from the environment; without it nothing is told to anybody. A message that cannot be delivered is lost.
class ServiceManager {
 public:
  ServiceManager();
  explicit ServiceManager(std::string socket_path) : path_(std::move(socket_path)) {}

  void ready() const { tell("READY=1"); }
  void reloading(MonotonicTime now) const;
  void stopping() const { tell("STOPPING=1"); }
  // The process that goes on in our place.
  void main_process(int pid) const;

 private:
  void tell(std::string_view message) const;
  std::string path_;  // empty: nobody. '@' first: an abstract name
};

}  // namespace sallyport::app
