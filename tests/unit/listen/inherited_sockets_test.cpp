#include "listen/inherited_sockets.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <map>

#include "listen/shared_listener.hpp"
#include "unit/transport/stream_fixture.hpp"

namespace sallyport::listen {
namespace {

// A socket as a parent leaves it: blocking, kept over exec, listening.
int listening_socket(bool shareable = false) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  if (shareable) ::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  SocketAddress address = *SocketAddress::parse("127.0.0.1", 0);
  EXPECT_EQ(::bind(socket, address.generic(), address.size), 0);
  EXPECT_EQ(::listen(socket, 8), 0);
  return socket;
}

SocketAddress address_of(int socket) {
  SocketAddress address;
  EXPECT_EQ(::getsockname(socket, address.generic(), &address.size), 0);
  return address;
}

struct InheritedSocketsTest : testing::Test {
  std::map<std::string, std::string, std::less<>> environment;
  InheritedSockets::Variable variable = [this](std::string_view name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  };
};

TEST_F(InheritedSocketsTest, OurPredecessorsAreFoundByTheirAddress) {
  const int one = listening_socket();
  const int other = listening_socket();
  environment["SALLYPORT_SOCKETS"] = InheritedSockets::variable_value({one, other});
  auto sockets = InheritedSockets::from_environment(variable, ::getpid());
  ASSERT_TRUE(sockets) << sockets.error().detail;
  EXPECT_EQ(::fcntl(one, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC) << "nobody we start gets it by accident";
  EXPECT_EQ(::fcntl(one, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  const std::vector<UniqueDescriptor> taken = sockets->take(address_of(other));
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken.front().get(), other);
  EXPECT_TRUE(sockets->take(address_of(other)).empty());
  ASSERT_EQ(sockets->left().size(), 1U);
  EXPECT_EQ(sockets->left().front(), address_of(one).text());
}

TEST_F(InheritedSocketsTest, SystemdsAreOursOnlyWithOurProcessId) {
  environment = {{"LISTEN_FDS", "2"}, {"LISTEN_PID", std::to_string(::getpid() + 1)}};
  auto others = InheritedSockets::from_environment(variable, ::getpid());
  ASSERT_TRUE(others);
  EXPECT_EQ(others->size(), 0U);
  environment.erase("LISTEN_PID");
  EXPECT_EQ(InheritedSockets::from_environment(variable, ::getpid())->size(), 0U);
  environment = {{"LISTEN_FDS", "many"}, {"LISTEN_PID", std::to_string(::getpid())}};
  EXPECT_EQ(InheritedSockets::from_environment(variable, ::getpid()).error().fault, Fault::malformed);
}

TEST_F(InheritedSocketsTest, WithoutVariablesThereAreNone) {
  const auto none = InheritedSockets::from_environment(variable, ::getpid());
  ASSERT_TRUE(none);
  EXPECT_EQ(none->size(), 0U);
}

TEST_F(InheritedSocketsTest, P11_WhatIsNoListOfListeningSocketsIsRefused) {
  for (const char* bad : {"x", "3,", ",3", "-1", "3;4", "99999999999"}) {
    environment["SALLYPORT_SOCKETS"] = bad;
    EXPECT_EQ(InheritedSockets::from_environment(variable, ::getpid()).error().fault, Fault::malformed) << bad;
  }
  EXPECT_EQ(InheritedSockets::adopt({::open("/dev/null", O_RDONLY)}).error().fault, Fault::mismatch);
  EXPECT_EQ(InheritedSockets::adopt({::socket(AF_INET, SOCK_STREAM, 0)}).error().fault, Fault::mismatch) << "it does not listen";
  EXPECT_EQ(InheritedSockets::adopt({::socket(AF_INET, SOCK_DGRAM, 0)}).error().fault, Fault::mismatch);
  const int socket = listening_socket();
  EXPECT_EQ(InheritedSockets::adopt({socket, socket}).error().fault, Fault::malformed);
  ::close(socket);
}

struct SharingOut : testing::Test {
  SystemClock clock;
  // How many sockets each of `workers` gets when `given` of them were inherited.
  std::vector<std::size_t> share_out(std::size_t given, std::size_t workers, bool shareable) {
    std::vector<int> sockets{listening_socket(shareable)};
    const SocketAddress address = address_of(sockets.front());
    while (sockets.size() < given) {
      auto more = bind_tcp(address, Share::yes);
      EXPECT_TRUE(more);
      EXPECT_EQ(::listen(more->get(), 8), 0);
      sockets.push_back(more->release());
    }
    auto inherited = InheritedSockets::adopt(sockets);
    ListenerSettings settings;
    settings.name = "public";
    settings.host = "127.0.0.1";
    settings.port = address.port();
    auto shared = SharedListener::create(settings, clock, &*inherited, workers);
    EXPECT_TRUE(shared) << shared.error().detail;
    std::vector<std::size_t> counts;
    for (std::size_t i = 0; i < workers; ++i) {
      auto own = (*shared)->next_sockets();
      EXPECT_TRUE(own) << own.error().detail;
      counts.push_back(own->size());
      for (const UniqueDescriptor& socket : *own) EXPECT_EQ(address_of(socket.get()).port(), address.port());
    }
    return counts;
  }
};

TEST_F(SharingOut, EveryWorkerGetsOne) { EXPECT_EQ(share_out(2, 2, true), (std::vector<std::size_t>{1, 1})); }
TEST_F(SharingOut, FewerWorkersTakeAllOfThem) { EXPECT_EQ(share_out(5, 2, true), (std::vector<std::size_t>{3, 2})); }
TEST_F(SharingOut, MoreWorkersBindTheirOwnBesideThem) { EXPECT_EQ(share_out(1, 3, true), (std::vector<std::size_t>{1, 1, 1})); }
TEST_F(SharingOut, ASocketThatCannotHaveOthersBesideItIsShared) { EXPECT_EQ(share_out(1, 3, false), (std::vector<std::size_t>{1, 1, 1})); }

}  // namespace
}  // namespace sallyport::listen
