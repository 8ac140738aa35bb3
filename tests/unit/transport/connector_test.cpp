#include "transport/connector.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>

#include "support/scripted_upstream.hpp"

namespace sallyport::transport {
namespace {

using boost::asio::ip::tcp;

// An address that takes the first packet and never answers: its queue of connections is full.
class SilentAddress {
 public:
  SilentAddress() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 0) != 0)
      throw std::runtime_error("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    for (int& filler : fillers_) {
      filler = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      ::connect(filler, reinterpret_cast<sockaddr*>(&address), size);
    }
  }
  ~SilentAddress() {
    for (const int filler : fillers_) ::close(filler);
    ::close(listener_);
  }
  SilentAddress(const SilentAddress&) = delete;
  SilentAddress& operator=(const SilentAddress&) = delete;
  [[nodiscard]] tcp::endpoint endpoint() const { return {boost::asio::ip::address_v4::loopback(), port_}; }

 private:
  int listener_;
  std::array<int, 4> fillers_{};
  std::uint16_t port_ = 0;
};

class ConnectInTurn : public ::testing::Test {
 protected:
  ~ConnectInTurn() override { wheel_.stop(); }

  // co_spawn wants a result that can be made from nothing.
  static Task<void> connect_into(std::optional<Result<ConnectedSocket>>& outcome, std::vector<tcp::endpoint> addresses,
                                 MonotonicTime deadline, boost::asio::io_context& context, DeadlineWheel& wheel) {
    Result<ConnectedSocket> connected = co_await connect_in_turn(std::move(addresses), deadline, context, wheel);
    outcome.emplace(std::move(connected));
  }

  Result<ConnectedSocket> connect(std::vector<tcp::endpoint> addresses, std::chrono::milliseconds patience) {
    std::optional<Result<ConnectedSocket>> outcome;
    const MonotonicTime begun = std::chrono::steady_clock::now();
    boost::asio::co_spawn(context_, connect_into(outcome, std::move(addresses), begun + patience, context_, wheel_),
                          [](std::exception_ptr thrown) {
                            if (thrown) std::rethrow_exception(thrown);
                          });
    while (!outcome && std::chrono::steady_clock::now() < begun + std::chrono::seconds(20)) context_.run_one_for(std::chrono::seconds(1));
    took_ = std::chrono::steady_clock::now() - begun;
    return std::move(outcome.value());
  }
  static tcp::endpoint at(std::uint16_t port) { return {boost::asio::ip::address_v4::loopback(), port}; }

  boost::asio::io_context context_{1};
  DeadlineWheel wheel_{context_};
  MonotonicTime::duration took_{};
};

TEST_F(ConnectInTurn, O16_LeavesADeadAddressSoon) {
  const SilentAddress dead;
  testing::ScriptedUpstream server({[](testing::Peer& peer) { peer.read_to_end(); }});
  const Result<ConnectedSocket> connected = connect({dead.endpoint(), at(server.port())}, std::chrono::seconds(15));
  ASSERT_TRUE(connected) << connected.error().detail;
  EXPECT_EQ(connected->address, 1U);
  EXPECT_GE(took_, kAddressPatience);
  EXPECT_LT(took_, std::chrono::seconds(5)) << "not the whole timeout";
}

TEST_F(ConnectInTurn, O16_GivesTheLastAddressAllTheTimeThereIs) {
  const SilentAddress dead;
  const Result<ConnectedSocket> connected = connect({dead.endpoint()}, std::chrono::milliseconds(600));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().fault, Fault::timed_out);
  EXPECT_GE(took_, std::chrono::milliseconds(600));
}

TEST_F(ConnectInTurn, O01_GoesOnAtOnceWhereAnAddressRefuses) {
  const testing::ClosedPort nobody;
  testing::ScriptedUpstream server({[](testing::Peer& peer) { peer.read_to_end(); }});
  const Result<ConnectedSocket> connected = connect({at(nobody.port()), at(server.port())}, std::chrono::seconds(15));
  ASSERT_TRUE(connected) << connected.error().detail;
  EXPECT_EQ(connected->address, 1U);
  EXPECT_LT(took_, kAddressPatience);
}

TEST_F(ConnectInTurn, O01_SaysThatNoneOfSeveralAnswers) {
  const testing::ClosedPort first;
  const testing::ClosedPort second;
  const Result<ConnectedSocket> connected = connect({at(first.port()), at(second.port())}, std::chrono::seconds(15));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().fault, Fault::unavailable);
  EXPECT_LT(took_, std::chrono::seconds(5));
}

TEST_F(ConnectInTurn, O16_GivesUpOnSeveralSilentAddressesAtTheDeadline) {
  const SilentAddress first;
  const SilentAddress second;
  const Result<ConnectedSocket> connected = connect({first.endpoint(), second.endpoint()}, std::chrono::milliseconds(600));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().fault, Fault::timed_out);
  EXPECT_GE(took_, std::chrono::milliseconds(600));
}

TEST(InterleaveFamilies, O16_TakesThemInTurnBeginningWithTheFirst) {
  const auto named = [](std::initializer_list<const char*> addresses) {
    std::vector<tcp::endpoint> endpoints;
    for (const char* address : addresses) endpoints.emplace_back(boost::asio::ip::make_address(address), 80);
    return endpoints;
  };
  EXPECT_EQ(interleave_families(named({"::1", "::2", "::3", "10.0.0.1", "10.0.0.2"})),
            named({"::1", "10.0.0.1", "::2", "10.0.0.2", "::3"}));
  EXPECT_EQ(interleave_families(named({"10.0.0.1", "::1", "::2", "::3"})), named({"10.0.0.1", "::1", "::2", "::3"}));
  EXPECT_EQ(interleave_families(named({"10.0.0.1", "10.0.0.2"})), named({"10.0.0.1", "10.0.0.2"}));
  EXPECT_TRUE(interleave_families({}).empty());
}

TEST_F(ConnectInTurn, RefusesAnEmptyList) {
  const Result<ConnectedSocket> connected = connect({}, std::chrono::seconds(1));
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().fault, Fault::unavailable);
}

}  // namespace
}  // namespace sallyport::transport
