// Answers of an upstream: what passes, what is refused, and that nothing of one reaches the next exchange.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/limits.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using testing::answering;
using testing::FakeExchange;
using testing::hints;
using testing::kOk;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::Worker;
using Kind = http::AnswerBody::Kind;

TEST(Answering, ForwardsASmallAnswerWithOneDownstreamWrite) {
  ScriptedUpstream server(
      {answering("HTTP/1.1 201 Created\r\nServer: theirs\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")});
  Worker worker(server);
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(result.upstream_status, 201);
  EXPECT_EQ(result.server, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_GT(result.upstream_time.count(), 0);
  EXPECT_EQ(exchange.status, 201);
  EXPECT_EQ(exchange.announced.kind, Kind::sized);
  EXPECT_EQ(exchange.announced.size, 5U);
  EXPECT_EQ(exchange.written, "hello");
  EXPECT_EQ(exchange.field("Server"), "theirs");
  EXPECT_EQ(exchange.field("Content-Type"), "text/plain");
  EXPECT_EQ(exchange.field("Content-Length"), "(none)") << "framing is the exchange's";
  EXPECT_EQ(exchange.flushes, 0);
  EXPECT_TRUE(exchange.finished);
  EXPECT_FALSE(exchange.closes);
}

TEST(Answering, ReusesOneConnectionForManyRequests) {
  ScriptedUpstream server({answering(std::string(kOk))});
  Worker worker(server);
  for (int i = 0; i < 50; ++i) {
    FakeExchange exchange;
    ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    ASSERT_EQ(exchange.written, "ok");
  }
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  worker.upstream().close_idle();
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Answering, ClosesTheConnectionWhenTheUpstreamSaysSo) {
  ScriptedUpstream server({answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Answering, UnderstandsAnswersSplitAtEveryByte) {
  const std::string answer =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
      "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n";
  Worker* worker = nullptr;
  std::size_t split = 0;
  ScriptedUpstream server({[&](Peer& peer) {
    while (!peer.read_head().empty()) {
      peer.write(answer.substr(0, split));
      worker->settle();
      peer.write(answer.substr(split));
    }
  }});
  Worker owned(server);
  worker = &owned;
  for (split = 1; split < answer.size(); ++split) {
    SCOPED_TRACE(split);
    FakeExchange exchange;
    const ForwardResult result = owned.forward(exchange);
    ASSERT_EQ(result.status, ForwardStatus::answered) << result.detail;
    EXPECT_EQ(exchange.written, "hello world");
    EXPECT_EQ(exchange.field("X-A"), "b");
    EXPECT_EQ(exchange.field("X-Trailer"), "(none)");
    EXPECT_EQ(exchange.announced.kind, Kind::stream);
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST(Answering, I18_DropsHopByHopFieldsAndKeepsTheRest) {
  ScriptedUpstream server({answering(
      "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\nTrailer: X-T\r\nUpgrade: h2c\r\n"
      "Proxy-Connection: keep-alive\r\nTE: trailers\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Request-Id: theirs\r\nX-User-Id: theirs\r\n"
      "Content-Length: 2\r\n\r\nok")});
  Worker worker(server);
  FakeExchange exchange;
  ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  const std::vector<std::pair<std::string, std::string>> expected{
      {"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"X-User-Id", "theirs"}, {"X-Request-Id", "id-1"}};
  EXPECT_EQ(exchange.fields, expected);
}

TEST(Answering, KeepsEveryAliasOfTheEstablishingHeaderFromTheClient) {
  ScriptedUpstream server(
      {answering("HTTP/1.1 200 OK\r\nX-Auth-Establish: e30\r\nx_auth_establish: e30\r\nX.Auth-ESTABLISH: e30\r\nX-Auth-Established: e30\r\n"
                 "Content-Length: 2\r\n\r\nok")});
  Worker worker(server);
  FakeExchange exchange;
  ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  const std::vector<std::pair<std::string, std::string>> expected{{"X-Auth-Established", "e30"}, {"X-Request-Id", "id-1"}};
  EXPECT_EQ(exchange.fields, expected);
}

TEST(Answering, O09_PassesRefusalsOfTheUpstreamUnchanged) {
  for (const char* line : {"401 Unauthorized", "407 Proxy Authentication Required", "421 Misdirected Request", "425 Too Early"}) {
    SCOPED_TRACE(line);
    ScriptedUpstream server(
        {answering("HTTP/1.1 " + std::string(line) + "\r\nWWW-Authenticate: Basic realm=\"theirs\"\r\nContent-Length: 2\r\n\r\nno")});
    Worker worker(server);
    FakeExchange exchange;
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    EXPECT_EQ(std::to_string(exchange.status), std::string(line).substr(0, 3));
    EXPECT_EQ(exchange.field("WWW-Authenticate"), "Basic realm=\"theirs\"");
    EXPECT_EQ(exchange.written, "no");
  }
}

TEST(Answering, O10_PassesALocationUnchanged) {
  ScriptedUpstream server({answering("HTTP/1.1 302 Found\r\nLocation: http://internal:9001/x\r\nContent-Length: 0\r\n\r\n")});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.field("Location"), "http://internal:9001/x");
  EXPECT_EQ(exchange.announced.kind, Kind::sized);
  EXPECT_EQ(exchange.announced.size, 0U);
}

struct BrokenAnswer {
  const char* name;
  std::string bytes;
};

// Each is refused before anything went downstream, and its connection is never used again.
void expect_refused(const std::vector<BrokenAnswer>& answers) {
  for (const BrokenAnswer& answer : answers) {
    SCOPED_TRACE(answer.name);
    ScriptedUpstream server({[&](Peer& peer) {
                               peer.read_head();
                               peer.write(answer.bytes);
                               peer.read_to_end();
                             },
                             answering(std::string(kOk))});
    Worker worker(server);
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, ForwardStatus::broken);
    EXPECT_FALSE(result.detail.empty());
    EXPECT_FALSE(exchange.started());
    EXPECT_FALSE(exchange.aborted) << "a 502 can still be sent";
    EXPECT_EQ(worker.upstream().idle_connections(), 0U);
    FakeExchange next;
    EXPECT_EQ(worker.forward(next).status, ForwardStatus::answered);
    EXPECT_EQ(next.written, "ok");
    EXPECT_EQ(server.connections(), 2);
  }
}

TEST(Answering, K28_RefusesAnswersWithAmbiguousFraming) {
  expect_refused({
      {"CL and TE", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"TE and CL", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
      {"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"},
      {"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
      {"an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"a bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n"},
      {"a chunk longer than its size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n"},
      {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"},
  });
}

TEST(Answering, K28_O15_RefusesWhatIsNotHttp1) {
  expect_refused({
      {"HTTP/0.9", "<html>hello</html>"},
      {"HTTP/2 frames", std::string("\0\0\0\x04\0\0\0\0\0", 9)},
      {"HTTP/2 in text", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n"},
      {"a status of 99", "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok"},
  });
}

TEST(Answering, O06_RefusesOddAndOversizedHeads) {
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 10'000; ++i) many += "A: b\r\n";
  expect_refused({
      {"64 KiB in a field", "HTTP/1.1 200 OK\r\nX: " + std::string(64 * 1024, 'x') + "\r\n\r\n"},
      {"10,000 fields", many + "\r\n"},
      {"NUL", std::string("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", 49)},
      {"bare CR", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"},
      {"bare LF", "HTTP/1.1 200 OK\r\nX: a\nY: b\r\nContent-Length: 2\r\n\r\nok"},
      {"a fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"},
      {"a space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok"},
  });
}

TEST(Answering, O06_AcceptsAHeadAtItsLimit) {
  std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: ";
  head += std::string(http::Limits::kAnswerHeaderBytesMax - head.size() - 4, 'x') + "\r\n\r\n";
  ScriptedUpstream server({answering(head + "ok")});
  Worker worker(server);
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written, "ok");
}

TEST(Answering, O05_SkipsAFewInformationalAnswersAndRefusesAFlood) {
  expect_refused({
      {"one over the limit", hints(http::Limits::kInformationalAnswersMax + 1) + std::string(kOk)},
      {"10,000", hints(10'000)},
  });
  ScriptedUpstream server({
      answering(hints(http::Limits::kInformationalAnswersMax) + std::string(kOk)),
  });
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.written, "ok");
}

TEST(Answering, O05_SkipsA100ThatNobodyAskedFor) {
  ScriptedUpstream server({answering("HTTP/1.1 100 Continue\r\n\r\n" + std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.status, 200);
}

TEST(Answering, O12_RefusesASwitchOfProtocolsThatNobodyAskedFor) {
  expect_refused({{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nleak"}});
}

// The answer is good, what follows it is nobody's: the next exchange gets a new connection and its own answer.
void expect_leftover_discarded(const char* name, http::Method method, const char* method_text, const std::string& answer,
                               std::string_view body) {
  SCOPED_TRACE(name);
  ScriptedUpstream server({[&](Peer& peer) {
                             peer.read_head();
                             peer.write(answer);
                             peer.read_to_end();
                           },
                           answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange(method, method_text);
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written, body);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
  FakeExchange next;
  EXPECT_EQ(worker.forward(next).status, ForwardStatus::answered);
  EXPECT_EQ(next.written, "ok");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Answering, K28_BytesBehindAnAnswerNeverReachTheNextExchange) {
  const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
  using http::Method;
  expect_leftover_discarded("sized", Method::get, "GET", std::string(kOk) + evil, "ok");
  expect_leftover_discarded("one byte", Method::get, "GET", std::string(kOk) + "\n", "ok");
  expect_leftover_discarded("chunked", Method::get, "GET",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + evil, "ok");
  expect_leftover_discarded("HEAD with a body", Method::head, "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n" + evil, "");
  expect_leftover_discarded("304 with a body", Method::get, "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n" + evil, "");
  expect_leftover_discarded("204 with a body", Method::get, "GET", "HTTP/1.1 204 No Content\r\n\r\n" + evil, "");
}

TEST(Answering, K28_BytesThatComeLaterNeverReachTheNextExchange) {
  std::promise<void> first_is_over;
  std::promise<void> evil_is_sent;
  ScriptedUpstream server({[&](Peer& peer) {
                             peer.read_head();
                             peer.write(kOk);
                             first_is_over.get_future().wait();
                             peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
                             evil_is_sent.set_value();
                             peer.read_to_end();
                           },
                           answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  first_is_over.set_value();
  evil_is_sent.get_future().wait();
  FakeExchange next;
  EXPECT_EQ(worker.forward(next).status, ForwardStatus::answered);
  EXPECT_EQ(next.written, "ok");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Answering, AnnouncesToHeadWhatAGetWouldHaveHad) {
  ScriptedUpstream server({
      answering("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
  });
  Worker worker(server);
  FakeExchange sized(http::Method::head, "HEAD");
  EXPECT_EQ(worker.forward(sized).status, ForwardStatus::answered);
  EXPECT_EQ(sized.announced.kind, Kind::sized);
  EXPECT_EQ(sized.announced.size, 1234U);
  EXPECT_EQ(sized.written, "");
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

TEST(Answering, StreamsAnAnswerThatEndsWithItsConnection) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\n\r\nall of it");
  }});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.announced.kind, Kind::stream);
  EXPECT_EQ(exchange.written, "all of it");
  EXPECT_TRUE(exchange.finished);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Answering, FlushesWhatIsHereWhileTheUpstreamThinks) {
  Worker* worker = nullptr;
  FakeExchange exchange;
  std::string seen;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent1\r\n");
    worker->settle();
    seen = exchange.written + (exchange.flushes > 0 ? " flushed" : " held back");
    peer.write("6\r\nevent2\r\n0\r\n\r\n");
  }});
  Worker owned(server);
  worker = &owned;
  EXPECT_EQ(owned.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(seen, "event1 flushed");
  EXPECT_EQ(exchange.written, "event1event2");
}

}  // namespace
}  // namespace sallyport::upstream
