#include "listen/listener.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "unit/listen/bench.hpp"

namespace sallyport::listen {
namespace {

using test::Descriptor;
using test::dns;
using test::make_identity;
using namespace std::chrono_literals;

struct ListenerTest : testing::Test, Bench {
  void TearDown() override { stop(); }
};

TEST_F(ListenerTest, ServesAPlainConnectionAndSaysWhoCame) {
  start();
  Descriptor client = connect();
  client.write("hello");
  client.shut_write();
  run_until([&] { return seen.ended == 1; });
  EXPECT_EQ(client.read(), "hello");
  EXPECT_THAT(seen.peers, testing::ElementsAre("127.0.0.1 public  "));
  run_until([&] { return listener->connections() == 0; });
  EXPECT_EQ(shared->connections(), 0U);
}

TEST_F(ListenerTest, ShowsMappedAddressesAsIpv4) {
  settings.host = "::";
  start();
  Descriptor client = connect("127.0.0.1");
  Descriptor other = connect("::1");
  run_until([&] { return seen.peers.size() == 2; });
  EXPECT_THAT(seen.peers, testing::UnorderedElementsAre("127.0.0.1 public  ", "::1 public  "));
}

TEST_F(ListenerTest, AnIpv6AddressOtherThanAnyTakesNoIpv4) {
  settings.host = "::1";
  start();
  Descriptor client = connect("::1");
  run_until([&] { return seen.peers.size() == 1; });
  EXPECT_THAT(seen.peers, testing::ElementsAre("::1 public  "));
}

TEST_F(ListenerTest, AnAddressInUseIsNamed) {
  start();
  ListenerSettings same = settings;
  same.port = shared->port();
  const auto second = SharedListener::create(same, clock);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().fault, Fault::unavailable);
  EXPECT_THAT(second.error().detail, testing::HasSubstr("127.0.0.1:" + std::to_string(same.port)));
}

TEST_F(ListenerTest, AnAddressThatIsNotOursIsNamed) {
  settings.host = "192.0.2.1";
  settings.port = 1;
  const auto elsewhere = SharedListener::create(settings, clock);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().fault, Fault::unavailable);
  settings.host = "localhost";
  EXPECT_EQ(SharedListener::create(settings, clock).error().fault, Fault::malformed);
}

TEST_F(ListenerTest, TheCapCountsAllWorkersAndIsExact) {
  settings.connections_max = 3;
  start();
  const std::unique_ptr<Listener> second = bind();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->port(), listener->port());
  second->start();
  std::vector<std::unique_ptr<Descriptor>> clients;
  const auto add = [&] { return clients.emplace_back(std::make_unique<Descriptor>(connect_descriptor())).get(); };
  for (int i = 0; i < 3; ++i) add();
  run_until([&] { return seen.peers.size() == 3; });
  const Descriptor* fourth = add();
  run_until([&] { return refused() == 1; });
  EXPECT_EQ(fourth->read(), "");  // closed at once
  EXPECT_EQ(shared->connections(), 3U);

  clients.front()->close();  // a place is free again
  run_until([&] { return shared->connections() == 2; });
  const Descriptor* taken = add();
  taken->write("hi");
  run_until([&] { return waiting_bytes(*taken) == 2; });
  EXPECT_EQ(taken->read(2), "hi");
  second->drain(clock.monotonic_now());
  loop.run(second->join());
}

TEST_F(ListenerTest, ConnectionsAreCounted) {
  start();
  {
    Descriptor one = connect();
    Descriptor two = connect();
    run_until([&] { return seen.peers.size() == 2; });
    EXPECT_EQ(number("sallyport_connections"), 2);
  }
  run_until([&] { return listener->connections() == 0; });
  EXPECT_EQ(number("sallyport_connections"), 0);
}

TEST_F(ListenerTest, M09_AStormOfResetsIsSurvived) {
  start();
  for (int i = 0; i < 300; ++i) connect().reset();
  Descriptor client = connect();
  client.write("still here");
  client.shut_write();
  run_until([&] { return waiting_bytes(client) == 10; });
  run_until([&] { return listener->connections() == 0; });
  EXPECT_EQ(client.read(), "still here");
}

TEST_F(ListenerTest, AnExceptionCostsOneConnection) {
  auto made = SharedListener::create(settings, clock);
  shared = std::move(*made);
  ListenerContext context = worker();
  context.serve = [](transport::Stream&, const http::Peer&, const http::SessionContext&, http::SessionState&) -> Task<void> {
    throw std::runtime_error("a bug");
    co_return;
  };
  auto bound = Listener::bind(shared, std::move(context));
  listener = std::move(*bound);
  listener->start();
  for (int i = 0; i < 2; ++i) {
    Descriptor client = connect();
    run_until([&] { return waiting_bytes(client) == 0 && listener->connections() == 0; });
  }
  EXPECT_EQ(listener->connections(), 0U);
}

TEST_F(ListenerTest, StoppedItTakesNobodyButServesWhoIsThere) {
  start();
  Descriptor client = connect();
  run_until([&] { return seen.peers.size() == 1; });
  listener->stop_accepting();
  const int late = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const SocketAddress to = address();
  EXPECT_NE(::connect(late, to.generic(), to.size), 0);
  ::close(late);
  client.write("old");
  run_until([&] { return waiting_bytes(client) == 3; });
}

TEST_F(ListenerTest, M16_DrainingEndsIdleConnectionsAndWaitsForBusyOnes) {
  start();
  Descriptor idle = connect();
  run_until([&] { return seen.peers.size() == 1; });
  idle_while_served = false;
  Descriptor busy = connect();
  run_until([&] { return seen.peers.size() == 2; });
  draining.value = true;
  listener->drain(clock.monotonic_now() + 1h);
  run_until([&] { return listener->connections() == 1; });
  EXPECT_EQ(idle.read(), "");
  busy.write("finish");
  busy.shut_write();
  loop.run(listener->join());
  EXPECT_EQ(busy.read(), "finish");
}

// An answer is complete for its session when it was taken: whatever of it waits for room still goes out.
TEST_F(ListenerTest, M16_DrainingLetsTheEndOfAnAnswerOut) {
  auto made = SharedListener::create(settings, clock);
  shared = std::move(*made);
  ListenerContext context = worker();
  std::size_t sent = 0;
  bool is_idle = false;
  context.serve = [&](transport::Stream& stream, const http::Peer&, const http::SessionContext&, http::SessionState& state) -> Task<void> {
    std::array<char, 1> byte{};
    static_cast<void>(co_await stream.read_some(byte));
    const std::string piece(16 * 1024, 'x');
    for (transport::IoResult written = stream.try_write(piece); written.ok(); written = stream.try_write(piece)) sent += written.bytes;
    EXPECT_TRUE(stream.write_soon(std::string_view("the end")).ok());
    state.idle = is_idle = true;
    static_cast<void>(co_await stream.read_some(byte));
  };
  auto bound = Listener::bind(shared, std::move(context));
  listener = std::move(*bound);
  listener->start();
  Descriptor client = connect();
  run_until([&] { return shared->connections() == 1; });
  client.write("?");
  run_until([&] { return is_idle; });
  draining.value = true;
  listener->drain(clock.monotonic_now() + 1h);
  std::string got;
  std::thread reader([&] {
    got = client.read();
    client.close();
  });
  loop.run(listener->join());
  reader.join();
  EXPECT_EQ(got.size(), sent + 7);
  EXPECT_TRUE(got.ends_with("the end"));
}

TEST_F(ListenerTest, M16_TheDrainDeadlineEndsWhoIsStillBusy) {
  idle_while_served = false;
  start();
  Descriptor busy = connect();
  run_until([&] { return seen.peers.size() == 1; });
  const auto before = std::chrono::steady_clock::now();
  listener->drain(clock.monotonic_now() + 1h);
  listener->drain(clock.monotonic_now() + 50ms);  // moved
  loop.run(listener->join());
  EXPECT_GE(std::chrono::steady_clock::now() - before, 50ms);
  EXPECT_EQ(busy.read(), "");
}

// In a child, whose limit of descriptors is its own. Exit codes tell what went wrong.
bool limit_descriptors(rlim_t count) {
  const rlimit limit{count, count};
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

std::vector<int> take_all_descriptors() {
  std::vector<int> taken;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) taken.push_back(fd);
  return taken;
}

int starve_and_recover() {
  if (!limit_descriptors(48)) return 10;
  Bench bench;
  bench.start();
  bench.loop.context.poll();
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::vector<int> taken = take_all_descriptors();
  if (taken.empty()) return 11;
  const SocketAddress address = bench.address();
  if (::connect(client, address.generic(), address.size) != 0) return 12;
  if (bench.run_for(350ms) > 50) return 13;  // it spins
  if (!bench.seen.peers.empty()) return 14;  // nobody can be served
  char byte = 0;
  const ssize_t told = ::recv(client, &byte, 1, MSG_DONTWAIT);
  if (told > 0 || (told < 0 && errno != ECONNRESET)) return 15;  // the client was not told

  for (const int fd : taken) ::close(fd);
  const Descriptor again = bench.connect();
  bench.run_until([&] { return bench.seen.peers.size() == 1; });
  bench.stop();
  return bench.seen.peers.size() == 1 ? 0 : 16;
}

// Clients may not take the descriptors that upstreams need.
int leave_some_for_upstreams() {
  if (!limit_descriptors(64)) return 10;
  Bench bench;
  bench.start();
  // The clients live in a process of their own, so that only the gateway's ends count here.
  const pid_t clients = ::fork();
  if (clients == 0) {
    for (int fd = 3; fd < 64; ++fd) ::close(fd);
    for (int i = 0; i < 60; ++i) static_cast<void>(bench.connect_descriptor());
    ::pause();
    ::_exit(0);
  }
  bench.run_until(
      [&] { return bench.refused("descriptors") > 0 && bench.refused("descriptors") + static_cast<int>(bench.seen.peers.size()) == 60; });
  const std::vector<int> left = take_all_descriptors();
  ::kill(clients, SIGKILL);
  ::waitpid(clients, nullptr, 0);
  for (const int fd : left) ::close(fd);
  bench.stop();
  if (bench.seen.peers.size() < 20) return 11;
  return left.size() >= 64 / Listener::kReservedShare ? 0 : 12;
}

int in_a_child(int (*job)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(job());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Listener, M06_WithoutDescriptorsItRefusesPausesAndRecovers) { EXPECT_EQ(in_a_child(&starve_and_recover), 0); }

TEST(Listener, M06_DescriptorsAreLeftForUpstreams) { EXPECT_EQ(in_a_child(&leave_some_for_upstreams), 0); }

struct TlsListenerTest : ListenerTest {
  TlsListenerTest() {
    const test::IdentityFiles files =
        test::write_identity(folder, "server", make_identity({.common_name = "a.example", .alt_names = {dns("a.example")}}));
    settings.tls = TlsSettings{{{files.certificate_file, files.key_file}}};
    settings.timeouts.handshake = 20s;
  }
  test::TemporaryFolder folder;
};

TEST_F(TlsListenerTest, ServesATlsConnection) {
  start();
  Descriptor socket = connect();
  std::string got;
  std::thread client([&] {
    const transport::SslContext context = test::plain_client_context();
    test::TlsPeer tls(socket.get(), context.get());
    SSL_set_tlsext_host_name(tls.ssl(), "a.example");
    ASSERT_TRUE(tls.handshake());
    ASSERT_TRUE(tls.write("secret"));
    got = tls.read();
    SSL_shutdown(tls.ssl());
    tls.flush();
    socket.shut_write();
  });
  run_until([&] { return seen.ended == 1; });
  client.join();
  EXPECT_EQ(got, "secret");
  EXPECT_THAT(seen.peers, testing::ElementsAre("127.0.0.1 public TLSv1.3 a.example"));
  EXPECT_EQ(shared->certificate_expiry().size(), 1U);
}

TEST_F(TlsListenerTest, K23_PlainHttpOnTheTlsPortIsClosedAndCounted) {
  start();
  Descriptor client = connect();
  client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  run_until([&] { return number("sallyport_tls_handshake_failures_total") == 1 && listener->connections() == 0; });
  EXPECT_EQ(client.read(), "");
  EXPECT_TRUE(seen.peers.empty());
}

TEST_F(TlsListenerTest, L10_StalledHandshakesEndAtTheirDeadlineWhileOthersAreServed) {
  settings.timeouts.handshake = 100ms;
  start();
  std::vector<std::unique_ptr<Descriptor>> stalled;
  for (int i = 0; i < 50; ++i) {
    stalled.emplace_back(std::make_unique<Descriptor>(connect_descriptor()))
        ->write(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  }
  Descriptor socket = connect();
  std::thread client([&] {
    const transport::SslContext context = test::plain_client_context();
    test::TlsPeer tls(socket.get(), context.get());
    EXPECT_TRUE(tls.handshake());
    EXPECT_TRUE(tls.write("x"));
    EXPECT_EQ(tls.read(), "x");
  });
  run_until([&] { return seen.peers.size() == 1 && listener->connections() == 1; });
  client.join();
  for (auto& each : stalled) EXPECT_EQ(each->read(), "");
}

TEST_F(TlsListenerTest, M04_AClientThatSaysNothingMeetsTheHandshakeDeadline) {
  settings.timeouts.handshake = 50ms;
  start();
  Descriptor silent = connect();
  run_until([&] { return listener->connections() == 1; });
  run_until([&] { return listener->connections() == 0; });
  EXPECT_EQ(silent.read(), "");
}

TEST(SocketAddress, ParsesAddressesAndNothingElse) {
  for (const char* good : {"127.0.0.1", "0.0.0.0", "::", "::1", "2001:db8::1"}) {
    const Result<SocketAddress> address = SocketAddress::parse(good, 443);
    ASSERT_TRUE(address) << good;
    EXPECT_EQ(address->host_text(), good);
    EXPECT_EQ(address->port(), 443);
  }
  for (const char* bad : {"", "localhost", "127.0.0.1:80", "[::1]", "1.2.3", "::1%lo", "256.0.0.1", "01.2.3.4"}) {
    EXPECT_FALSE(SocketAddress::parse(bad, 443)) << bad;
  }
  EXPECT_EQ(SocketAddress::parse("::1", 80)->text(), "[::1]:80");
  EXPECT_EQ(SocketAddress::parse("::ffff:192.0.2.1", 80)->text(), "192.0.2.1:80");
}

}  // namespace
}  // namespace sallyport::listen
