// A WebSocket from a client's socket to an upstream's: the handshake behind a real session, and the tunnel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "base/task_group.hpp"
#include "http/http1_session.hpp"
#include "support/socket_client.hpp"
#include "support/websocket_frames.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using testing::client_frame;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::server_frame;
using testing::SocketClient;
using ::testing::StartsWith;

// Lets everybody in whose handshake is one.
class WebSocketHandler final : public http::RequestHandler {
 public:
  WebSocketHandler(Upstream& upstream, http::Tunnels& tunnels, Interruption& interruption)
      : upstream_(upstream), tunnels_(tunnels), interruption_(interruption) {}

  Task<void> handle(http::Exchange& exchange) override {
    const identity::Permit permit = testing::PermitBuilder::anonymous();
    const identity::OwnedNames owned({});
    const identity::OutboundPlan plan{};
    const auto read = http::read_handshake(exchange.request());
    const auto* handshake = std::get_if<http::WebSocketHandshake>(&read);
    ByteBuffer head;
    const identity::OutboundContext context{.client_address = "192.0.2.1",
                                            .scheme = "http",
                                            .request_id = "id-1",
                                            .traceparent = "00-11111111111111111111111111111111-2222222222222222-01",
                                            .websocket = handshake};
    const auto built = identity::OutboundRequest::build(permit, plan, owned, exchange.request(), context, head);
    const AnswerPolicy policy{
        .request_id = "id-1", .interruption = &interruption_, .tunnels = &tunnels_, .tunnel_idle_timeout = std::chrono::seconds(20)};
    results.push_back(co_await upstream_.forward(std::get<identity::OutboundRequest>(built), exchange, policy));
    if (!exchange.started()) {
      exchange.start(502, {}, {});
      static_cast<void>(co_await exchange.finish());
    }
    bytes_in = exchange.bytes_in();
    bytes_out = exchange.bytes_out();
  }
  Task<void> refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view) override {
    exchange.start(http::status_of(fault), {}, {});
    static_cast<void>(co_await exchange.finish());
  }
  std::vector<ForwardResult> results;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;

 private:
  Upstream& upstream_;
  http::Tunnels& tunnels_;
  Interruption& interruption_;
};

// A gateway of one connection.
class TunnelFront {
 public:
  explicit TunnelFront(ScriptedUpstream::Script script)
      : server_({std::move(script)}),
        worker_(server_),
        tunnels_(worker_.wheel(), metrics_),
        handler_(worker_.upstream(), tunnels_, interruption_),
        acceptor_(worker_.context(), {boost::asio::ip::address_v4::loopback(), 0}),
        tasks_(worker_.context(), [](std::string_view what) { ADD_FAILURE() << what; }) {
    tasks_.spawn(serve());
    thread_ = std::thread([this] { worker_.run_until([this] { return tasks_.size() == 0; }); });
  }
  ~TunnelFront() { finish(); }
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void interrupt() {
    boost::asio::post(worker_.context(), [this] { interruption_.fire(); });
  }
  // After finish().
  [[nodiscard]] const WebSocketHandler& handler() const { return handler_; }
  [[nodiscard]] const ForwardResult& result() const { return handler_.results.at(0); }
  [[nodiscard]] std::size_t kept_connections() { return worker_.upstream().idle_connections(); }
  [[nodiscard]] const observe::WorkerMetrics& metrics() const { return metrics_; }

 private:
  Task<void> serve() {
    auto accepted = co_await acceptor_.async_accept(as_result);
    auto& [ec, socket] = accepted;
    if (ec) co_return;
    transport::Stream stream(worker_.context(), socket.release(), worker_.wheel());
    const http::SessionContext context{handler_, limits_, timeouts_, draining_, clock_};
    http::SessionState state;
    co_await http::serve_http1(stream, http::Peer{}, context, state);
  }

  ScriptedUpstream server_;
  testing::Worker worker_;
  observe::WorkerMetrics metrics_;
  http::Tunnels tunnels_;
  Interruption interruption_;
  WebSocketHandler handler_;
  http::Limits limits_;
  http::Timeouts timeouts_;
  http::Draining draining_;
  SystemClock clock_;
  boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, Executor> acceptor_;
  TaskGroup tasks_;
  std::thread thread_;
};

constexpr std::string_view kHandshake =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X-Private\r\nUpgrade: websocket\r\nX-Private: 1\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec_WebSocket_Key: other\r\n"
    "Sec-WebSocket-Protocol: chat, v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
constexpr std::string_view kSwitched =
    "HTTP/1.1 101 Whatever\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

TEST(UpstreamTunnel, AsksTheUpstreamWithAHandshakeOfOurOwn) {
  std::string head;
  TunnelFront front([&head](Peer& peer) {
    head = peer.read_head();
    peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    peer.read_to_end();
  });
  SocketClient client(front.port());
  client.send(kHandshake);
  static_cast<void>(client.read_to_end());
  front.finish();
  EXPECT_THAT(head, StartsWith("GET /chat HTTP/1.1\r\nHost: a\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, v2\r\n"
                              "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("X-Private")));
  EXPECT_THAT(head, Not(HasSubstr("Sec_WebSocket_Key")));
}

TEST(UpstreamTunnel, CarriesFramesAfterTheSwitch) {
  const std::string question = client_frame(1, "hello");
  const std::string answer = server_frame(1, "hello yourself");
  TunnelFront front([&](Peer& peer) {
    peer.read_head();
    peer.write(std::string(kSwitched) + "Sec-WebSocket-Protocol: v2\r\nSet-Cookie: a=b\r\nServer: theirs\r\nKeep-Alive: timeout=5\r\n\r\n");
    EXPECT_EQ(peer.read_exactly(question.size()), question);
    peer.write(answer);
    EXPECT_EQ(peer.read_to_end(), "");
  });
  SocketClient client(front.port());
  client.send(kHandshake);
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nSec-WebSocket-Protocol: v2\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nSet-Cookie: a=b\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nX-Request-Id: id-1\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Keep-Alive")));
  client.send(question);
  EXPECT_EQ(client.read_until("yourself"), answer);
  client.finish_sending();
  EXPECT_EQ(client.read_to_end(), "");
  front.finish();
  EXPECT_EQ(front.result().status, ForwardStatus::answered);
  EXPECT_EQ(front.result().upstream_status, 101);
  EXPECT_EQ(front.result().tunnel_end, http::TunnelEnd::closed);
  EXPECT_EQ(front.handler().bytes_in, question.size());
  EXPECT_EQ(front.handler().bytes_out, answer.size());
  EXPECT_EQ(front.kept_connections(), 0U) << "a connection that was a tunnel is nobody else's";
  EXPECT_EQ(front.metrics().tunnels, 0);
}

TEST(UpstreamTunnel, K19_HoldsEarlyBytesUntilTheSwitch) {
  const std::string early = client_frame(1, "early");
  const std::string greeting = server_frame(1, "greeting");
  TunnelFront front([&](Peer& peer) {
    peer.read_head();
    EXPECT_TRUE(peer.is_silent(std::chrono::milliseconds(200))) << "nothing of a tunnel before it is one";
    peer.write(std::string(kSwitched) + "\r\n" + greeting);
    EXPECT_EQ(peer.read_exactly(early.size()), early);
  });
  SocketClient client(front.port());
  client.send(std::string(kHandshake) + early);
  static_cast<void>(client.read_until("\r\n\r\n"));
  EXPECT_EQ(client.read_until("greeting"), greeting);
  client.finish_sending();
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(UpstreamTunnel, Q05_RelaysARefusalAndReadsNoRequestBehindIt) {
  TunnelFront front([&](Peer& peer) {
    EXPECT_THAT(peer.read_head(), StartsWith("GET /chat "));
    peer.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    EXPECT_EQ(peer.read_to_end(), "");
  });
  SocketClient client(front.port());
  client.send(std::string(kHandshake) + "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = client.read_to_end();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("Connection: close\r\n\r\nno"));
  front.finish();
  EXPECT_EQ(front.handler().results.size(), 1U);
  EXPECT_EQ(front.result().tunnel_end, std::nullopt);
  EXPECT_EQ(front.kept_connections(), 0U);
}

TEST(UpstreamTunnel, RefusesASwitchThatIsNone) {
  const std::vector<std::pair<std::string, std::string>> answers{
      {"WrongAccept",
       "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"},
      {"NoAccept", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
      {"OtherProtocol",
       "HTTP/1.1 101 S\r\nUpgrade: foo\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
      {"NoConnection", "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
      {"UnknownSubprotocol", std::string(kSwitched) + "Sec-WebSocket-Protocol: v3\r\n\r\n"},
  };
  for (const auto& [name, answer] : answers) {
    TunnelFront front([&](Peer& peer) {
      peer.read_head();
      peer.write(answer + "leaked bytes");
      EXPECT_EQ(peer.read_to_end(), "");
    });
    SocketClient client(front.port());
    client.send(std::string(kHandshake) + client_frame(1, "early"));
    const std::string got = client.read_to_end();
    EXPECT_THAT(got, StartsWith("HTTP/1.1 502 ")) << name;
    EXPECT_THAT(got, Not(HasSubstr("leaked"))) << name;
    front.finish();
    EXPECT_EQ(front.result().status, ForwardStatus::broken) << name;
  }
}

TEST(UpstreamTunnel, RefusesASwitchThatNobodyAskedFor) {
  TunnelFront front([&](Peer& peer) {
    peer.read_head();
    peer.write(std::string(kSwitched) + "\r\nleaked");
    peer.read_to_end();
  });
  SocketClient client(front.port());
  client.send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.read_to_end(), StartsWith("HTTP/1.1 502 "));
}

TEST(UpstreamTunnel, Q04_AnInterruptionSaysWhyBeforeItCloses) {
  TunnelFront front([&](Peer& peer) {
    peer.read_head();
    peer.write(std::string(kSwitched) + "\r\n");
    EXPECT_EQ(peer.read_to_end(), "");
  });
  SocketClient client(front.port());
  client.send(kHandshake);
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 101 "));
  front.interrupt();
  EXPECT_EQ(client.read_to_end(), http::close_frame(4401, "the caller's session or token has ended"));
  client.close();
  front.finish();
  EXPECT_EQ(front.result().tunnel_end, http::TunnelEnd::caller_ended);
}

TEST(UpstreamTunnel, Q07_AResetOfTheUpstreamEndsTheClient) {
  TunnelFront front([&](Peer& peer) {
    peer.read_head();
    peer.write(std::string(kSwitched) + "\r\n");
    peer.read_exactly(1);
    peer.reset();
  });
  SocketClient client(front.port());
  client.send(kHandshake);
  static_cast<void>(client.read_until("\r\n\r\n"));
  client.send(client_frame(2, std::string(1000, 'x')).substr(0, 300));
  EXPECT_EQ(client.read_to_end(), "");
  front.finish();
  EXPECT_EQ(front.result().tunnel_end, http::TunnelEnd::upstream_gone);
}

}  // namespace
}  // namespace sallyport::upstream
