#include "app/service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

namespace sallyport::app {
namespace {

std::string path_from_environment() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  return path == nullptr ? std::string() : std::string(path);
}

}  // namespace

ServiceManager::ServiceManager() : path_(path_from_environment()) {}

void ServiceManager::reloading(MonotonicTime now) const {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", microseconds));
}

void ServiceManager::main_process(int pid) const { tell(fmt::format("MAINPID={}", pid)); }

void ServiceManager::tell(std::string_view message) const {
  sockaddr_un address{};
  if (path_.size() < 2 || path_.size() >= sizeof address.sun_path || (path_.front() != '/' && path_.front() != '@')) return;
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  static_cast<void>(
      ::sendto(socket, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&address), size));
  ::close(socket);
}

}  // namespace sallyport::app
