// The upstream stage behind a real session: what a client on a socket sees when an upstream answers while it still reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "base/task_group.hpp"
#include "http/http1_session.hpp"
#include "support/socket_client.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::kOk;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::SocketClient;
using ::testing::StartsWith;
using testing::Worker;

class ForwardingHandler final : public http::RequestHandler {
 public:
  explicit ForwardingHandler(Upstream& upstream) : upstream_(upstream) {}

  Task<void> handle(http::Exchange& exchange) override {
    const identity::Permit permit = testing::PermitBuilder::anonymous();
    const identity::OwnedNames owned({});
    const identity::OutboundPlan plan{};
    ByteBuffer head;
    auto built =
        identity::OutboundRequest::build(permit, plan, owned, exchange.request(),
                                         {"192.0.2.1", "http", "id-1", "00-11111111111111111111111111111111-2222222222222222-01"}, head);
    const AnswerPolicy policy{.request_id = "id-1"};
    const ForwardResult result = co_await upstream_.forward(std::get<identity::OutboundRequest>(built), exchange, policy);
    if (!exchange.started()) {
      exchange.start(502, {}, {});
      static_cast<void>(co_await exchange.finish());
    }
    statuses.push_back(result.status);
  }
  Task<void> refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view) override {
    exchange.start(http::status_of(fault), {}, {});
    static_cast<void>(co_await exchange.finish());
  }
  std::vector<ForwardStatus> statuses;

 private:
  Upstream& upstream_;
};

// A gateway of one listener and one connection.
class Front {
 public:
  explicit Front(const ScriptedUpstream& server)
      : worker_(server),
        handler_(worker_.upstream()),
        acceptor_(worker_.context(), {boost::asio::ip::address_v4::loopback(), 0}),
        tasks_(worker_.context(), [](std::string_view what) { ADD_FAILURE() << what; }) {
    tasks_.spawn(serve());
    thread_ = std::thread([this] { worker_.run_until([this] { return tasks_.size() == 0; }); });
  }
  ~Front() { finish(); }
  // Waits until the session is over.
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  // After finish().
  [[nodiscard]] const std::vector<ForwardStatus>& statuses() const { return handler_.statuses; }

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

  Worker worker_;
  ForwardingHandler handler_;
  http::Limits limits_{.body_bytes_max = std::uint64_t{1} << 30};
  http::Timeouts timeouts_;
  http::Draining draining_;
  SystemClock clock_;
  boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, Executor> acceptor_;
  TaskGroup tasks_;
  std::thread thread_;
};

TEST(UpstreamBehindASession, EchoesWhileTheClientStillSends) {
  constexpr std::size_t kBytes = 16 * 1024 * 1024;
  constexpr std::size_t kBlock = 64 * 1024;
  ScriptedUpstream server({[](Peer& peer) {
                             peer.read_head();
                             peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n");
                             for (std::size_t done = 0; done < kBytes;) {
                               const std::string piece = peer.read_exactly(std::min<std::size_t>(kBytes - done, 8 * 1024));
                               if (piece.empty() || !peer.write(piece)) return;
                               done += piece.size();
                             }
                             peer.read_to_end();
                           },
                           testing::answering(std::string(kOk))});
  Front front(server);
  SocketClient client(front.port());
  std::thread sender([&] {
    client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n");
    for (std::size_t i = 0; i < kBytes / kBlock; ++i) client.send(std::string(kBlock, static_cast<char>('a' + i % 26)));
    client.send("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  });
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  std::string body;
  std::vector<char> room(kBlock);
  while (body.size() < kBytes) {
    const ssize_t got = ::recv(client.fd(), room.data(), std::min(room.size(), kBytes - body.size()), 0);
    ASSERT_GT(got, 0) << body.size();
    body.append(room.data(), static_cast<std::size_t>(got));
  }
  sender.join();
  bool same = true;
  for (std::size_t i = 0; i < kBytes; ++i) same = same && body[i] == static_cast<char>('a' + i / kBlock % 26);
  EXPECT_TRUE(same);
  // The next request of the connection is read where the body ended, and goes to a new connection.
  const std::string next = client.read_to_end();
  EXPECT_THAT(next, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(next, EndsWith("\r\n\r\nok"));
}

TEST(UpstreamBehindASession, K29_AnEarlyRefusalReachesTheClientAndTheRestIsNoRequest) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
    peer.read_to_end();
  }});
  Front front(server);
  SocketClient client(front.port());
  client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  client.send("GET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
  // The answer is noticed at the latest with the next piece of the body.
  std::string answer = client.read_until("\r\n\r\n");
  if (answer.empty()) FAIL() << "no answer";
  answer += client.read_to_end();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nbig"));
  front.finish();
  EXPECT_EQ(front.statuses().size(), 1U);
}

TEST(UpstreamBehindASession, K16_OneAnswerWhenTheUpstreamDoesNotWaitForThe100) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write(kOk);
    peer.read_to_end();
  }});
  Front front(server);
  SocketClient client(front.port());
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  std::string answer = client.read_until("\r\n\r\n");
  if (answer == "HTTP/1.1 100 Continue\r\n\r\n") {
    client.send("hello");
    answer = client.read_until("\r\n\r\n");
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(client.read_until("ok"), "ok");
  client.finish_sending();
  EXPECT_EQ(client.read_to_end(), "") << "and nothing behind it";
}

}  // namespace
}  // namespace sallyport::upstream
