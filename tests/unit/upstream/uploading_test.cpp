// Bodies on their way to an upstream: framing, back-pressure, early answers, and clients that fail in the middle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using ::testing::EndsWith;
using testing::FakeExchange;
using ::testing::HasSubstr;
using testing::kOk;
using ::testing::Not;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::Worker;

// Serves one request whose body is `bytes` long on the wire, and keeps what it saw.
ScriptedUpstream::Script recording(std::string& seen, std::size_t bytes) {
  return [&seen, bytes](Peer& peer) {
    peer.read_head();
    seen = peer.read_exactly(bytes);
    peer.write(kOk);
    peer.read_to_end();
  };
}

FakeExchange post() { return FakeExchange(http::Method::post, "POST"); }

TEST(Uploading, SendsHeadAndEarlyBodyTogether) {
  std::string head;
  std::string body;
  ScriptedUpstream server({[&](Peer& peer) {
    head = peer.read_head();
    body = peer.read_exactly(5);
    peer.write(kOk);
    peer.read_to_end();
  }});
  FakeExchange exchange = post();
  exchange.sized_body(5);
  exchange.body.push_back({"hello", true});
  {
    Worker worker(server);
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  EXPECT_THAT(head, HasSubstr("POST /thing HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_EQ(body, "hello");
  EXPECT_EQ(exchange.body_reads, 0) << "all was here";
}

TEST(Uploading, K15_NeverKeepsAConnectionBehindABodyThatNobodyExpects) {
  for (const auto& [method, text, kept] : {std::tuple(http::Method::get, "GET", 0U), std::tuple(http::Method::put, "PUT", 1U)}) {
    std::string seen;
    ScriptedUpstream server({recording(seen, 5)});
    FakeExchange exchange(method, text);
    exchange.sized_body(5);
    exchange.body.push_back({"hello", true});
    Worker worker(server);
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    EXPECT_EQ(worker.upstream().idle_connections(), kept) << text;
  }
}

TEST(Uploading, StreamsASizedBodyAsTheClientBringsIt) {
  std::string seen;
  ScriptedUpstream server({recording(seen, 11)});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(11);
  exchange.body.push_back({"hello", true});
  exchange.body.push_back({" ", false});
  exchange.body.push_back({"world", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(seen, "hello world");
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

TEST(Uploading, WritesItsOwnChunks) {
  const std::string expected = "5\r\nhello\r\n1\r\n \r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
  std::string seen;
  ScriptedUpstream server({recording(seen, expected.size())});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.chunked_body();
  exchange.body.push_back({"hello", true});
  exchange.body.push_back({" ", false});
  exchange.body.push_back({"abcdefghijklmnopqrstuvwxyz", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

TEST(Uploading, K16_AsksForABodyOnlyWhenItsHeadIsOnItsWay) {
  // Expect: 100-continue: nothing is buffered, and the first read_body() sends the 100.
  std::string seen;
  ScriptedUpstream server({recording(seen, 5)});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(5);
  exchange.end_is_buffered = false;
  exchange.body.push_back({"hello", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(seen, "hello");
  EXPECT_EQ(exchange.body_reads, 1);
  EXPECT_EQ(exchange.status, 200);
}

TEST(Uploading, StreamsALargeBodyUnchanged) {
  constexpr std::size_t kPieces = 1024;
  constexpr std::size_t kPieceBytes = 16 * 1024;
  std::size_t sum_seen = 0;
  std::size_t bytes_seen = 0;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    while (bytes_seen < kPieces * kPieceBytes) {
      const std::string part = peer.read_exactly(kPieceBytes);
      if (part.empty()) return;
      bytes_seen += part.size();
      for (const char c : part) sum_seen = sum_seen * 31 + static_cast<unsigned char>(c);
    }
    peer.write(kOk);
    peer.read_to_end();
  }});
  FakeExchange exchange = post();
  exchange.sized_body(kPieces * kPieceBytes);
  std::size_t sum_sent = 0;
  for (std::size_t i = 0; i < kPieces; ++i) {
    std::string piece(kPieceBytes, static_cast<char>('a' + i % 26));
    piece[i % kPieceBytes] = '!';
    for (const char c : piece) sum_sent = sum_sent * 31 + static_cast<unsigned char>(c);
    exchange.body.push_back({std::move(piece), false});
  }
  {
    Worker worker(server);
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  server.stop();
  EXPECT_EQ(bytes_seen, kPieces * kPieceBytes);
  EXPECT_EQ(sum_seen, sum_sent);
}

TEST(Uploading, O07_ReadsNoMoreFromTheClientThanTheUpstreamTakes) {
  std::promise<void> upstream_is_stuck;
  std::atomic<int> reads = 0;
  int reads_when_stuck = 0;
  constexpr int kPieces = 4096;  // 64 MiB
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    upstream_is_stuck.get_future().wait();
    reads_when_stuck = reads;
    for (int i = 0; i < kPieces; ++i) peer.read_exactly(16 * 1024);
    peer.write(kOk);
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(std::uint64_t{kPieces} * 16 * 1024);
  for (int i = 0; i < kPieces; ++i) {
    exchange.body.push_back({std::string(16 * 1024, 'x'), false, [&] { ++reads; }});
  }
  auto pending = worker.begin(exchange);
  // Nothing moves any more: the body waits for room.
  for (int before = -1; before != reads; worker.context().run_one_for(std::chrono::milliseconds(300))) before = reads;
  upstream_is_stuck.set_value();
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(reads, kPieces);
  EXPECT_LT(reads_when_stuck, kPieces);
}

TEST(Uploading, K29_ForwardsAnEarlyAnswerAndNeverUsesTheConnectionAgain) {
  std::promise<void> body_asked_for;  // not before: an answer to the bare head leaves the whole body unread
  std::promise<void> answered;
  std::string rest;
  ScriptedUpstream server({[&](Peer& peer) {
                             peer.read_head();
                             body_asked_for.get_future().wait();
                             peer.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
                             answered.set_value();
                             rest = peer.read_to_end();  // it keeps the connection open
                           },
                           testing::answering(std::string(kOk))});
  {
    Worker worker(server);
    FakeExchange exchange = post();
    exchange.sized_body(15);
    exchange.body.push_back({"first", false, [&] {
                               body_asked_for.set_value();
                               answered.get_future().wait();
                             }});
    exchange.body.push_back({"second", false});
    exchange.body.push_back({"last", false});
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    EXPECT_EQ(exchange.status, 413);
    EXPECT_EQ(exchange.written, "big");
    EXPECT_TRUE(exchange.closes) << "the rest of the client's body must not be taken for a request";
    EXPECT_EQ(exchange.body.size(), 2U) << "the rest was not read";
    EXPECT_EQ(worker.upstream().idle_connections(), 0U);
    FakeExchange next;
    EXPECT_EQ(worker.forward(next).status, ForwardStatus::answered);
    EXPECT_EQ(next.written, "ok");
  }
  server.stop();
  EXPECT_EQ(server.connections(), 2);
  EXPECT_EQ(rest, "first");
}

TEST(Uploading, K29_DoesNotDeadlockWithAnUpstreamThatAnswersAndStopsReading) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    // Large enough that neither side could finish alone.
    const std::string block(1024 * 1024, 'y');
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(32 * block.size()) + "\r\n\r\n");
    for (int i = 0; i < 32; ++i) {
      if (!peer.write(block)) return;
    }
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(std::uint64_t{4096} * 16 * 1024);
  for (int i = 0; i < 4096; ++i) exchange.body.push_back({std::string(16 * 1024, 'x'), false});
  exchange.on_write = [](std::string_view) { return true; };
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written_bytes, 32U * 1024 * 1024);
  EXPECT_TRUE(exchange.closes);
}

// Answers while it reads, as one that converts or echoes does.
void echo(Peer& peer, std::size_t bytes) {
  peer.read_head();
  peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (std::size_t done = 0; done < bytes;) {
    const std::string piece = peer.read_exactly(std::min<std::size_t>(bytes - done, 8 * 1024));
    if (piece.empty() || !peer.write("2000\r\n" + piece + "\r\n")) return;
    done += piece.size();
  }
  peer.write("0\r\n\r\n");
  peer.read_to_end();
}

TEST(Uploading, SendsOnBesideAnAnswerThatBeganEarly) {
  constexpr int kPieces = 2048;  // 32 MiB: far more than all buffers between the two ends
  ScriptedUpstream server({[](Peer& peer) { echo(peer, std::size_t{kPieces} * 16 * 1024); }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.may_keep_reading = true;
  exchange.sized_body(std::uint64_t{kPieces} * 16 * 1024);
  std::string sent;
  for (int i = 0; i < kPieces; ++i) {
    exchange.body.push_back({std::string(16 * 1024, static_cast<char>('a' + i % 26)), false});
    sent += exchange.body.back().bytes;
  }
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_TRUE(exchange.written == sent) << exchange.written.size();
  EXPECT_FALSE(exchange.closes) << "all was read and all was sent";
  EXPECT_TRUE(exchange.finished);
  EXPECT_LE(exchange.largest_write, 64U * 1024);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Uploading, K29_EndsTheBodyWithAnAnswerThatEndsFirst) {
  std::promise<void> begun;
  std::promise<void> ended;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    begun.set_value();
    peer.read_exactly(10);
    peer.write("0\r\n\r\n");
    ended.set_value();
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.may_keep_reading = true;
  exchange.sized_body(100);
  exchange.body.push_back({"first", false, [&] { begun.get_future().wait(); }});
  exchange.body.push_back({"other", false});
  exchange.body.push_back({"third", false, [&] { ended.get_future().wait(); }});
  exchange.body.push_back({"never", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.written, "ok");
  EXPECT_TRUE(exchange.closes);
  EXPECT_GE(exchange.body.size(), 1U) << "the last piece was not read";
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(Uploading, CutsAnAnswerThatBeganWhenTheBodyFails) {
  std::promise<void> begun;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    begun.set_value();
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.may_keep_reading = true;
  exchange.chunked_body();
  exchange.body.push_back({"first", false, [&] { begun.get_future().wait(); }});
  exchange.body.push_back({"other", false});
  exchange.body_end = http::BodyState::malformed;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answer_cut);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.finished);
}

TEST(Uploading, K29_ForwardsARefusalWhoseSenderClosedTheConnection) {
  std::promise<void> closed;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
    peer.close();
    closed.set_value();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(10);
  exchange.body.push_back({"first", false, [&] { closed.get_future().wait(); }});
  exchange.body.push_back({"other", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.status, 413);
  EXPECT_EQ(exchange.written, "big");
  EXPECT_TRUE(exchange.closes);
}

TEST(Uploading, GoesOnAfterA100InTheMiddleOfItsBody) {
  std::promise<void> continued;
  std::string seen;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 100 Continue\r\n\r\n");
    continued.set_value();
    seen = peer.read_exactly(10);
    peer.write(kOk);
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange = post();
  exchange.sized_body(10);
  exchange.body.push_back({"first", false, [&] { continued.get_future().wait(); }});
  exchange.body.push_back({"other", false});
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  EXPECT_EQ(seen, "firstother");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_FALSE(exchange.closes);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

struct BadBody {
  const char* name;
  http::BodyState state;
  ForwardStatus status;
};
const BadBody kBadBodies[] = {
    {"malformed", http::BodyState::malformed, ForwardStatus::body_refused},
    {"too large", http::BodyState::too_large, ForwardStatus::body_refused},
    {"timed out", http::BodyState::timed_out, ForwardStatus::body_refused},
    {"gone", http::BodyState::gone, ForwardStatus::client_gone},
};

TEST(Uploading, K11_NeverCompletesABodyThatTheClientDidNotComplete) {
  for (const BadBody& bad : kBadBodies) {
    for (const bool chunked : {true, false}) {
      SCOPED_TRACE(std::string(bad.name) + (chunked ? ", chunked" : ", sized"));
      std::string seen;
      ScriptedUpstream server({[&](Peer& peer) {
        peer.read_head();
        seen = peer.read_to_end();
      }});
      {
        Worker worker(server);
        FakeExchange exchange = post();
        if (chunked) {
          exchange.chunked_body();
        } else {
          exchange.sized_body(100);
        }
        exchange.body.push_back({"hello", false});
        exchange.body.push_back({"world", false});
        exchange.body_end = bad.state;
        const ForwardResult result = worker.forward(exchange);
        EXPECT_EQ(result.status, bad.status);
        EXPECT_EQ(result.body, bad.state);
        EXPECT_FALSE(exchange.started());
        EXPECT_EQ(worker.upstream().idle_connections(), 0U);
      }
      server.stop();
      EXPECT_THAT(seen, HasSubstr("hello"));
      EXPECT_THAT(seen, Not(HasSubstr("0\r\n\r\n")));
      EXPECT_EQ(server.connections(), 1);
    }
  }
}

TEST(Uploading, K11_ABodyThatIsAtFaultAlreadyReachesNobody) {
  for (const BadBody& bad : kBadBodies) {
    SCOPED_TRACE(bad.name);
    ScriptedUpstream server({testing::answering(std::string(kOk))});
    Worker worker(server);
    FakeExchange exchange = post();
    exchange.chunked_body();
    exchange.body.push_back({"hello", true});
    exchange.body_end = bad.state;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, bad.status);
    EXPECT_EQ(result.body, bad.state);
    EXPECT_EQ(server.connections(), 0);
  }
}

TEST(Uploading, TimesOutAnUpstreamThatTakesNoBody) {
  std::promise<void> over;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    over.get_future().wait();
  }});
  UpstreamSettings settings = testing::settings_for({testing::server_at(server.port())});
  settings.response_timeout = std::chrono::milliseconds(150);
  Worker worker(std::move(settings));
  FakeExchange exchange = post();
  exchange.sized_body(std::uint64_t{4096} * 16 * 1024);
  for (int i = 0; i < 4096; ++i) exchange.body.push_back({std::string(16 * 1024, 'x'), false});
  const ForwardResult result = worker.forward(exchange);
  over.set_value();
  EXPECT_EQ(result.status, ForwardStatus::timed_out);
  EXPECT_FALSE(exchange.body.empty());
}

}  // namespace
}  // namespace sallyport::upstream
