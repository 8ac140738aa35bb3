// Listening sockets that whoever started this process opened for it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "listen/socket_address.hpp"

namespace sallyport::listen {

// From systemd (LISTEN_FDS with LISTEN_PID, sd_listen_fds(3)) or from the gateway that we follow (SALLYPORT_SOCKETS: "3,4,7"). Which is for
// which listener shows its address. One thread.
class InheritedSockets {
 public:
  static constexpr std::size_t kSocketsMax = 4096;
  using Variable = std::function<std::optional<std::string>(std::string_view name)>;

  InheritedSockets() = default;
  // `pid` is this process's. Takes every descriptor that the variables name; none without the variables. From now on programs that we start
  // do not get them. Fault::malformed: a variable is; mismatch: a descriptor is no listening TCP socket.
  [[nodiscard]] static Result<InheritedSockets> from_environment(const Variable& variable, long pid);
  // The same for descriptors that are known. Owns them in every case.
  [[nodiscard]] static Result<InheritedSockets> adopt(const std::vector<int>& descriptors);

  // What SALLYPORT_SOCKETS holds for a successor that inherits `descriptors`.
  static constexpr const char* kVariable = "SALLYPORT_SOCKETS";
  [[nodiscard]] static std::string variable_value(const std::vector<int>& descriptors);

  // All that listen at `address`, in order; they are the caller's.
  [[nodiscard]] std::vector<UniqueDescriptor> take(const SocketAddress& address);
  // "127.0.0.1:8443" of each that nobody took.
  [[nodiscard]] std::vector<std::string> left() const;
  [[nodiscard]] std::size_t size() const noexcept { return sockets_.size(); }

 private:
  struct Socket {
    std::string address;
    UniqueDescriptor descriptor;
  };
  std::vector<Socket> sockets_;
};

}  // namespace sallyport::listen
