// A busy exchange does not keep the worker to itself.
#include <gtest/gtest.h>

#include "support/bystander.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using testing::Bystander;
using testing::FakeExchange;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::Worker;

constexpr std::size_t kBytesPerTurn = 256 * 1024;
constexpr std::size_t kStepsPerTurn = 64;

ForwardResult forward_beside(Worker& worker, FakeExchange& exchange, Bystander& bystander) {
  const auto pending = worker.begin(exchange);
  const ForwardResult result = worker.finish(*pending);
  bystander.stop();
  return result;
}

TEST(Turns, M14_ABodyInSmallPiecesIsInterrupted) {
  constexpr std::size_t kPieces = 4000;
  for (const bool chunked : {true, false}) {
    SCOPED_TRACE(chunked ? "chunked" : "sized");
    ScriptedUpstream server({[&](Peer& peer) {
      peer.read_head();
      peer.read_exactly(chunked ? kPieces * 6 + 5 : kPieces);
      peer.write(testing::kOk);
      peer.read_to_end();
    }});
    Worker worker(server);
    FakeExchange exchange(http::Method::post, "POST");
    if (chunked) {
      exchange.chunked_body();
    } else {
      exchange.sized_body(kPieces);
    }
    for (std::size_t i = 0; i < kPieces; ++i) exchange.body.push_back({"x", false});
    Bystander bystander(worker.context(), [&] { return static_cast<std::size_t>(exchange.body_reads); });
    EXPECT_EQ(forward_beside(worker, exchange, bystander).status, ForwardStatus::answered);
    EXPECT_LE(bystander.widest(), kStepsPerTurn + 1);
  }
}

TEST(Turns, M14_SmallChunksThatCameTogetherLeaveTogether) {
  constexpr int kPieces = 4000;
  const std::size_t wire = std::size_t{kPieces} * 6 + 6 + 5;  // each "1\r\nx\r\n"
  std::string seen;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    seen = peer.read_exactly(wire);
    peer.write(testing::kOk);
    peer.read_to_end();
  }});
  FakeExchange exchange(http::Method::post, "POST");
  exchange.chunked_body();
  exchange.body.push_back({"x", false});
  for (int i = 0; i < kPieces; ++i) exchange.body.push_back({"x", true});
  {
    Worker worker(server);
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  server.stop();
  EXPECT_EQ(seen.size(), wire);
  EXPECT_TRUE(seen.ends_with("1\r\nx\r\n0\r\n\r\n"));
  EXPECT_LT(exchange.body_reads, 10) << "a write for each would let a byte cost what a kilobyte does";
}

TEST(Turns, M14_ALargeAnswerIsInterrupted) {
  constexpr std::size_t kBytes = 64 * 1024 * 1024;
  std::promise<void> is_full;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n");
    const std::size_t ahead = peer.write_until_blocked(kBytes);
    is_full.set_value();
    peer.write(std::string(kBytes - ahead, 'x'));
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange;
  exchange.on_write = [&, waited = false](std::string_view) mutable {
    if (!std::exchange(waited, true)) is_full.get_future().wait();  // from here on, reading need not wait
    return true;
  };
  Bystander bystander(worker.context(), [&] { return exchange.written_bytes; });
  EXPECT_EQ(forward_beside(worker, exchange, bystander).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.written_bytes, kBytes);
  EXPECT_LE(bystander.widest(), kBytesPerTurn + 64 * 1024);
}

TEST(Turns, M14_AnAnswerInSmallChunksIsInterrupted) {
  constexpr std::size_t kChunks = 20'000;
  std::string body;
  for (std::size_t i = 0; i < kChunks; ++i) body += "1\r\nx\r\n";
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    peer.write(body);
    peer.write("0\r\n\r\n");
    peer.read_to_end();
  }});
  Worker worker(server);
  FakeExchange exchange;
  Bystander bystander(worker.context(), [&] { return exchange.written_bytes; });
  EXPECT_EQ(forward_beside(worker, exchange, bystander).status, ForwardStatus::answered);
  EXPECT_EQ(exchange.written_bytes, kChunks + 1);
  // What came with the head is not more than a read, and goes in one turn.
  EXPECT_LE(bystander.widest(), kStepsPerTurn + 16 * 1024 / 6 + 2);
}

}  // namespace
}  // namespace sallyport::upstream
