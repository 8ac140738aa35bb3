#include "app/service_manager.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "support/temporary_folder.hpp"

namespace sallyport::app {
namespace {

class Manager {
 public:
  explicit Manager(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("bind");
  }
  ~Manager() { ::close(socket_); }
  [[nodiscard]] std::string heard() const {
    std::array<char, 256> buffer{};
    const ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), 0);
    return size < 0 ? "nothing" : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

 private:
  int socket_;
};

TEST(ServiceManager, IsToldWhatHappens) {
  const test::TemporaryFolder folder;
  const Manager manager(folder.file("notify"));
  const ServiceManager told(folder.file("notify"));
  told.ready();
  EXPECT_EQ(manager.heard(), "READY=1");
  told.reloading(MonotonicTime(std::chrono::microseconds(1'234'567)));
  EXPECT_EQ(manager.heard(), "RELOADING=1\nMONOTONIC_USEC=1234567");
  told.main_process(42);
  EXPECT_EQ(manager.heard(), "MAINPID=42");
  told.stopping();
  EXPECT_EQ(manager.heard(), "STOPPING=1");
  EXPECT_EQ(manager.heard(), "nothing");
}

TEST(ServiceManager, NobodyToTellIsNoTrouble) {
  ServiceManager(std::string()).ready();
  ServiceManager("/nowhere/at/all").ready();
  ServiceManager(std::string(300, 'x')).ready();
  SUCCEED();
}

}  // namespace
}  // namespace sallyport::app
