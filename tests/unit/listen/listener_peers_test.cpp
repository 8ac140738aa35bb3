// Who may connect, whom the PROXY protocol names, which certificates count, and what a reload changes.
#include <netinet/tcp.h>

#include "listen/listener.hpp"
#include "unit/listen/bench.hpp"

namespace sallyport::listen {
namespace {

using test::Descriptor;
using test::dns;
using test::Identity;
using test::make_authority;
using test::make_identity;
using namespace std::chrono_literals;
using namespace std::string_literals;

Network network(const char* text) { return Network::parse(text).value(); }

struct PeersTest : testing::Test, Bench {
  void TearDown() override { stop(); }
  void believe_loopback() {
    settings.proxy_protocol = ProxyProtocol::v1_v2;
    settings.trusted_proxies.networks = {network("127.0.0.0/8")};
    settings.timeouts.handshake = 20s;
  }
  // Whether the connection ended without anybody having been served.
  void expect_refused(const Descriptor& client, const std::string& reason) {
    run_until([&] { return refused(reason) == 1 && listener->connections() == 0; });
    EXPECT_EQ(client.read(), "");
    EXPECT_TRUE(seen.peers.empty());
  }
};

TEST_F(PeersTest, AProxyNamesTheClient) {
  believe_loopback();
  start();
  Descriptor client = connect();
  client.write("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nhello");
  client.shut_write();
  run_until([&] { return seen.ended == 1; });
  EXPECT_EQ(client.read(), "hello") << "not a byte of what follows is lost";
  EXPECT_THAT(seen.peers, testing::ElementsAre("192.0.2.7 public  "));
}

TEST_F(PeersTest, AHeaderMayComeByteByByte) {
  believe_loopback();
  start();
  Descriptor client = connect();
  const int on = 1;
  ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (const char byte : "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x01\x02\x03\x04\x00\x07\x01\xbb"s) {
    client.write(std::string(1, byte));
    loop.context.restart();
    loop.context.run_for(1ms);
  }
  client.write("x");
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_THAT(seen.peers, testing::ElementsAre("192.0.2.7 public  "));
  run_until([&] { return waiting_bytes(client) == 1; });
}

TEST_F(PeersTest, ABalancersOwnConnectionIsItsOwn) {
  believe_loopback();
  start();
  Descriptor client = connect();
  client.write("\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s + "x");
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_THAT(seen.peers, testing::ElementsAre("127.0.0.1 public  "));
}

// Whoever sent it may be the client of a balancer that could not say so.
TEST_F(PeersTest, I10_WhatAConnectionWithoutANameForwardsIsNotBelieved) {
  believe_loopback();
  start();
  const std::string unix_socket = "\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8"s + std::string(216, 'x');
  std::size_t served = 0;
  for (const std::string& header :
       {"PROXY UNKNOWN\r\n"s, "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s, "\r\n\r\n\0\r\nQUIT\n\x21\x00\x00\x00"s, unix_socket}) {
    const Descriptor client = connect();
    client.write(header + "x");
    run_until([&] { return seen.peers.size() == served + 1; });
    ++served;
    EXPECT_EQ(seen.peers.back(), "127.0.0.1 public  ");
  }
  EXPECT_EQ(seen.trusted, 0);
}

TEST_F(PeersTest, I11_WhoIsNoTrustedProxyIsRefused) {
  believe_loopback();
  settings.trusted_proxies.networks = {network("192.0.2.0/24")};
  start();
  const Descriptor client = connect();
  client.write("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
  expect_refused(client, "untrusted_proxy");
}

TEST_F(PeersTest, ATrustedProxyWithoutAHeaderIsRefused) {
  believe_loopback();
  start();
  const Descriptor client = connect();
  client.write("GET / HTTP/1.1\r\n\r\n");
  expect_refused(client, "proxy_header");
}

TEST_F(PeersTest, M04_AHeaderThatDoesNotComeMeetsTheHandshakeDeadline) {
  believe_loopback();
  settings.timeouts.handshake = 50ms;
  start();
  const Descriptor client = connect();
  client.write("PROXY TCP4 192.0");
  expect_refused(client, "proxy_header_late");
}

TEST_F(PeersTest, WithoutTheProtocolAHeaderIsJustBytes) {
  start();
  const Descriptor client = connect();
  client.write("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_THAT(seen.peers, testing::ElementsAre("127.0.0.1 public  "));
}

TEST_F(PeersTest, OnlyATrustedProxysForwardingHeadersMeanSomething) {
  settings.trusted_proxies.networks = {network("127.0.0.1")};
  start();
  const Descriptor client = connect();
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_EQ(seen.trusted, 1);
}

TEST_F(PeersTest, BehindTheProxyProtocolItIsTheNamedClientWhoMustBeTrusted) {
  believe_loopback();
  settings.trusted_proxies.networks.push_back(network("192.0.2.0/24"));
  start();
  const Descriptor inner = connect();
  inner.write("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_EQ(seen.trusted, 1);
  const Descriptor outer = connect();
  outer.write("PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n");
  run_until([&] { return seen.peers.size() == 2; });
  EXPECT_EQ(seen.trusted, 1);
}

struct ListRow {
  const char* name;
  std::optional<std::vector<Network>> allow;
  std::vector<Network> deny;
  bool comes_in;
};
struct Lists : PeersTest, testing::WithParamInterface<ListRow> {};

TEST_P(Lists, DecideByTheSocketsAddress) {
  settings.allow = GetParam().allow;
  settings.deny = GetParam().deny;
  start();
  const Descriptor client = connect();
  if (!GetParam().comes_in) return expect_refused(client, "denied");
  run_until([&] { return seen.peers.size() == 1; });
}

TEST_P(Lists, DecideByTheNamedAddress) {
  believe_loopback();
  settings.allow = GetParam().allow;
  settings.deny = GetParam().deny;
  start();
  const Descriptor client = connect();
  client.write("PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n");
  if (!GetParam().comes_in) return expect_refused(client, "denied");
  run_until([&] { return seen.peers.size() == 1; });
}

INSTANTIATE_TEST_SUITE_P(Listener, Lists,
                         testing::Values(ListRow{"none", std::nullopt, {}, true}, ListRow{"allowed", {{network("127.0.0.0/8")}}, {}, true},
                                         ListRow{"not_allowed", {{network("10.0.0.0/8")}}, {}, false},
                                         ListRow{"nobody_allowed", std::vector<Network>{}, {}, false},
                                         ListRow{"denied", std::nullopt, {network("127.0.0.1")}, false},
                                         ListRow{"deny_wins", {{network("127.0.0.1")}}, {network("127.0.0.0/8")}, false},
                                         ListRow{"others_denied", std::nullopt, {network("10.0.0.0/8")}, true}),
                         [](const auto& row) { return row.param.name; });

TEST_F(PeersTest, M10_OneAddressHasItsShareAndNoMore) {
  settings.connections_per_address_max = 2;
  start();
  Descriptor one = connect();
  const Descriptor two = connect();
  run_until([&] { return seen.peers.size() == 2; });
  const Descriptor three = connect();
  run_until([&] { return refused("address_full") == 1; });
  EXPECT_EQ(three.read(), "");
  EXPECT_EQ(shared->connections(), 2U) << "who is refused gives his place back";
  one.close();
  run_until([&] { return listener->connections() == 1; });
  const Descriptor four = connect();
  run_until([&] { return seen.peers.size() == 3; });
}

TEST_F(PeersTest, M10_ClientsBehindABalancerHaveAShareEach) {
  believe_loopback();
  settings.connections_per_address_max = 1;
  settings.trusted_proxies.networks = {network("127.0.0.0/8")};
  start();
  std::vector<std::unique_ptr<Descriptor>> clients;
  const auto come = [&](const std::string& address, const char* family) {
    clients.push_back(std::make_unique<Descriptor>(connect_descriptor()));
    clients.back()->write("PROXY " + std::string(family) + " " + address + " " + address + " 1 2\r\n");
  };
  come("192.0.2.1", "TCP4");
  come("192.0.2.2", "TCP4");
  come("2001:db8::1", "TCP6");
  run_until([&] { return seen.peers.size() == 3; });
  come("192.0.2.1", "TCP4");
  come("2001:db8::2", "TCP6");  // the same /64
  run_until([&] { return refused("address_full") == 2; });
  come("2001:db8:0:1::1", "TCP6");
  run_until([&] { return seen.peers.size() == 4; });
}

TEST_F(PeersTest, M10_TrustedProxiesBringMany) {
  settings.connections_per_address_max = 1;
  settings.trusted_proxies.networks = {network("127.0.0.1")};
  start();
  const Descriptor one = connect();
  const Descriptor two = connect();
  run_until([&] { return seen.peers.size() == 2; });
}

TEST_F(PeersTest, P13_AReloadOfAnythingElseIsForConnectionsToCome) {
  settings.connections_per_address_max = 1;
  start();
  const Descriptor old = connect();
  run_until([&] { return seen.peers.size() == 1; });
  ListenerSettings next = settings;
  next.connections_per_address_max = 2;
  next.connections_max = 2;
  next.timeouts.idle += 1s;
  auto state = shared->prepare(next);
  ASSERT_TRUE(state) << state.error().detail;
  const Descriptor before = connect();  // prepared is not yet in use
  run_until([&] { return refused("address_full") == 1; });
  shared->commit(std::move(*state));
  listener->end_distrusted();
  const Descriptor after = connect();
  run_until([&] { return seen.peers.size() == 2; });
  const Descriptor last = connect();
  run_until([&] { return refused("full") == 1; });
  old.write("still");
  run_until([&] { return waiting_bytes(old) == 5; });
  EXPECT_FALSE(seen.peer->is_distrusted);
}

struct TrustRow {
  const char* name;
  void (*change)(ListenerSettings&);
};
struct Distrust : PeersTest, testing::WithParamInterface<TrustRow> {
  void reload(const ListenerSettings& next) {
    auto state = shared->prepare(next);
    ASSERT_TRUE(state) << state.error().detail;
    shared->commit(std::move(*state));
    listener->end_distrusted();
  }
  void change_it() {
    ListenerSettings next = settings;
    GetParam().change(next);
    reload(next);
  }
};

TEST_P(Distrust, P13_EndsIdleConnectionsAtOnce) {
  start();
  const Descriptor client = connect();
  run_until([&] { return seen.peers.size() == 1; });
  reload(settings);  // nothing changed
  EXPECT_EQ(listener->connections(), 1U);
  change_it();
  run_until([&] { return listener->connections() == 0; });
  EXPECT_EQ(client.read(), "");
}

TEST_P(Distrust, P13_AndOthersWithTheRequestAtHand) {
  idle_while_served = false;
  start();
  const Descriptor client = connect();
  run_until([&] { return seen.peers.size() == 1; });
  change_it();
  client.write("still");
  run_until([&] { return waiting_bytes(client) == 5; });
  EXPECT_TRUE(seen.peer->is_distrusted);
  reload(settings);
  EXPECT_TRUE(seen.peer->is_distrusted) << "what was taken back once does not return to it";
}

TEST_P(Distrust, P13_EndsWhoIsStillShakingHands) {
  settings.proxy_protocol = ProxyProtocol::v1_v2;
  settings.trusted_proxies.networks = {network("127.0.0.0/8"), network("10.0.0.0/8")};
  settings.timeouts.handshake = 20s;
  start();
  const Descriptor client = connect();
  client.write("PROXY TCP4 192.0");
  run_until([&] { return listener->connections() == 1; });
  change_it();
  run_until([&] { return listener->connections() == 0; });
  EXPECT_TRUE(seen.peers.empty());
}

INSTANTIATE_TEST_SUITE_P(Listener, Distrust,
                         testing::Values(TrustRow{"deny", [](ListenerSettings& next) { next.deny = {network("127.0.0.0/8")}; }},
                                         TrustRow{"allow", [](ListenerSettings& next) { next.allow = {{network("10.0.0.0/8")}}; }},
                                         TrustRow{"trusted_proxies",
                                                  [](ListenerSettings& next) { next.trusted_proxies.networks = {network("127.0.0.1")}; }}),
                         [](const auto& row) { return row.param.name; });

TEST_F(PeersTest, AReloadDoesNotMoveAListener) {
  start();
  ListenerSettings next = settings;
  next.port = 1;
  EXPECT_EQ(shared->prepare(next).error().fault, Fault::unsupported);
  next = settings;
  next.tls = TlsSettings{};
  EXPECT_EQ(shared->prepare(next).error().fault, Fault::unsupported);
}

TEST_F(PeersTest, AListenerThatTakesOverServesWhoWaitsAtTheOldOne) {
  start();
  const SocketAddress at = address();
  stop();
  listener.reset();
  // The old process: a socket with somebody in its queue, which its successor gets a copy of.
  auto old = bind_tcp(at, Share::yes);
  ASSERT_TRUE(old);
  ASSERT_EQ(::listen(old->get(), 8), 0);
  const Descriptor waiting = connect();
  waiting.write("hello");
  auto inherited = InheritedSockets::adopt({::dup(old->get())});
  ASSERT_TRUE(inherited) << inherited.error().detail;
  old->reset();
  settings.port = at.port();
  auto made = SharedListener::create(settings, clock, &*inherited, 1);
  ASSERT_TRUE(made) << made.error().detail;
  shared = std::move(*made);
  listener = bind();
  ASSERT_NE(listener, nullptr);
  EXPECT_EQ(shared->descriptors().size(), 1U);
  listener->start();
  run_until([&] { return waiting_bytes(waiting) == 5; });
  EXPECT_THAT(seen.peers, testing::ElementsAre("127.0.0.1 public  "));
}

}  // namespace
}  // namespace sallyport::listen
