#include "listen/inherited_sockets.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.hpp"

namespace sallyport::listen {
namespace {

constexpr int kFirstOfSystemd = 3;  // SD_LISTEN_FDS_START
constexpr std::uint64_t kDescriptorMax = 1'000'000;

Result<std::vector<int>> read_list(std::string_view text) {
  std::vector<int> descriptors;
  for (const std::string_view item : split(text, ',')) {
    const std::optional<std::uint64_t> number = parse_decimal(item);
    if (!number || *number > kDescriptorMax || descriptors.size() == InheritedSockets::kSocketsMax) {
      return make_error(Fault::malformed, std::string(InheritedSockets::kVariable) + " is no list of descriptors");
    }
    descriptors.push_back(static_cast<int>(*number));
  }
  return descriptors;
}

Error refused(int descriptor, const std::string& why) {
  return make_error(Fault::mismatch, "the inherited descriptor " + std::to_string(descriptor) + " " + why);
}

Result<SocketAddress> listening_address(int descriptor) {
  int type = 0;
  int accepts = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return refused(descriptor, std::string("is no socket: ") + std::strerror(errno));
  }
  size = sizeof accepts;
  if (type != SOCK_STREAM || ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) != 0 || accepts == 0) {
    return refused(descriptor, "does not listen");
  }
  SocketAddress address;
  if (::getsockname(descriptor, address.generic(), &address.size) != 0 || address.host_text().empty()) {
    return refused(descriptor, "is no TCP socket");
  }
  return address;
}

bool make_ours(int descriptor) noexcept {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags >= 0 && ::fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 && ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

}  // namespace

Result<InheritedSockets> InheritedSockets::from_environment(const Variable& variable, long pid) {
  if (const std::optional<std::string> ours = variable(kVariable); ours && !ours->empty()) {
    const Result<std::vector<int>> descriptors = read_list(*ours);
    if (!descriptors) return descriptors.error();
    return adopt(*descriptors);
  }
  const std::optional<std::string> count = variable("LISTEN_FDS");
  const std::optional<std::string> owner = variable("LISTEN_PID");
  if (!count || !owner) return InheritedSockets();
  const std::optional<std::uint64_t> number = parse_decimal(*count);
  const std::optional<std::uint64_t> theirs = parse_decimal(*owner);
  if (!number || *number > kSocketsMax) return make_error(Fault::malformed, "LISTEN_FDS is no number of sockets");
  if (!theirs) return make_error(Fault::malformed, "LISTEN_PID is no process");
  if (*theirs != static_cast<std::uint64_t>(pid)) return InheritedSockets();  // left over from a parent: not for us
  std::vector<int> descriptors;
  for (std::uint64_t i = 0; i < *number; ++i) descriptors.push_back(kFirstOfSystemd + static_cast<int>(i));
  return adopt(descriptors);
}

Result<InheritedSockets> InheritedSockets::adopt(const std::vector<int>& descriptors) {
  InheritedSockets made;
  std::vector<int> sorted = descriptors;
  std::ranges::sort(sorted);
  if (std::ranges::adjacent_find(sorted) != sorted.end()) return make_error(Fault::malformed, "a descriptor is inherited twice");
  for (const int descriptor : descriptors) made.sockets_.push_back({{}, UniqueDescriptor(descriptor)});
  for (Socket& socket : made.sockets_) {
    const Result<SocketAddress> address = listening_address(socket.descriptor.get());
    if (!address) return address.error();
    if (!make_ours(socket.descriptor.get())) return refused(socket.descriptor.get(), "cannot be used");
    socket.address = address->text();
  }
  return made;
}

std::string InheritedSockets::variable_value(const std::vector<int>& descriptors) {
  std::string value;
  for (const int descriptor : descriptors) value += (value.empty() ? "" : ",") + std::to_string(descriptor);
  return value;
}

std::vector<UniqueDescriptor> InheritedSockets::take(const SocketAddress& address) {
  const std::string wanted = address.text();
  std::vector<UniqueDescriptor> taken;
  for (Socket& socket : sockets_) {
    if (socket.address == wanted) taken.push_back(std::move(socket.descriptor));
  }
  std::erase_if(sockets_, [](const Socket& socket) { return !socket.descriptor; });
  return taken;
}

std::vector<std::string> InheritedSockets::left() const {
  std::vector<std::string> addresses;
  for (const Socket& socket : sockets_) addresses.push_back(socket.address);
  return addresses;
}

}  // namespace sallyport::listen
