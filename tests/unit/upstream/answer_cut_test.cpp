// Upstreams and clients that fail, fall silent or dawdle within an answer.
#include <gtest/gtest.h>

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

TEST(AnswerCut, O04_CutsAnAnswerThatEndsEarly) {
  for (const std::string& answer : {
           std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
           std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
           std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
           std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
       }) {
    SCOPED_TRACE(answer);
    ScriptedUpstream server({[&](Peer& peer) {
      peer.read_head();
      peer.write(answer);
    }});
    Worker worker(server);
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, ForwardStatus::answer_cut);
    EXPECT_EQ(result.upstream_status, 200);
    EXPECT_TRUE(exchange.aborted);
    EXPECT_FALSE(exchange.finished);
    EXPECT_EQ(worker.upstream().idle_connections(), 0U);
  }
}

TEST(AnswerCut, O04_CutsAnAnswerWhoseLaterChunkIsBroken) {
  Worker* worker = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    worker->settle();
    peer.write("zz\r\n");
    peer.read_to_end();
  }});
  Worker owned(server);
  worker = &owned;
  FakeExchange exchange;
  EXPECT_EQ(owned.forward(exchange).status, ForwardStatus::answer_cut);
  EXPECT_EQ(exchange.written, "hello");
  EXPECT_TRUE(exchange.aborted);
}

TEST(AnswerCut, O04_CutsAnAnswerUntilCloseThatWasReset) {
  Worker* worker = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\n\r\nhalf");
    worker->settle();
    peer.reset();
  }});
  Worker owned(server);
  worker = &owned;
  FakeExchange exchange;
  EXPECT_EQ(owned.forward(exchange).status, ForwardStatus::answer_cut);
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.finished);
}

TEST(AnswerCut, O04_RefusesAHeadThatEndsEarly) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Le");
  }});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::broken);
  EXPECT_FALSE(exchange.started());
}

TEST(AnswerCut, O02_TimesOutAnUpstreamThatNeverAnswers) {
  ScriptedUpstream server({[](Peer& peer) { peer.read_to_end(); }});
  UpstreamSettings settings = testing::settings_for({testing::server_at(server.port())});
  settings.response_timeout = std::chrono::milliseconds(100);
  Worker worker(std::move(settings));
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::timed_out);
  EXPECT_FALSE(exchange.started());
  EXPECT_EQ(server.connections(), 1) << "never asked again";
}

TEST(AnswerCut, O02_InformationalAnswersDoNotStretchTheResponseTimeout) {
  Worker* worker = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write(hints(1));
    worker->settle();
    peer.read_to_end();
  }});
  UpstreamSettings settings = testing::settings_for({testing::server_at(server.port())});
  settings.response_timeout = std::chrono::milliseconds(100);
  Worker owned(std::move(settings));
  worker = &owned;
  FakeExchange exchange;
  EXPECT_EQ(owned.forward(exchange).status, ForwardStatus::timed_out);
}

TEST(AnswerCut, O02_CutsAnAnswerThatFallsSilent) {
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    peer.read_to_end();
  }});
  UpstreamSettings settings = testing::settings_for({testing::server_at(server.port())});
  settings.idle_timeout = std::chrono::milliseconds(100);
  Worker worker(std::move(settings));
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answer_cut);
  EXPECT_TRUE(exchange.aborted);
}

TEST(AnswerCut, O11_AConnectionWhoseClientLeftIsNeverUsedAgain) {
  ScriptedUpstream server({[](Peer& peer) {
                             peer.read_head();
                             peer.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfor-A");
                             peer.read_to_end();
                             peer.write("-me");
                           },
                           answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfor-B")});
  Worker worker(server);
  FakeExchange a;
  a.on_write = [](std::string_view) { return false; };
  EXPECT_EQ(worker.forward(a).status, ForwardStatus::answer_cut);
  EXPECT_TRUE(a.aborted);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
  FakeExchange b;
  EXPECT_EQ(worker.forward(b).status, ForwardStatus::answered);
  EXPECT_EQ(b.written, "for-B");
}

TEST(AnswerCut, O11_AFailedFinishClosesTheConnectionToo) {
  ScriptedUpstream server({answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  exchange.finish_succeeds = false;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answer_cut);
  EXPECT_EQ(worker.upstream().idle_connections(), 0U);
}

TEST(AnswerCut, O11_EveryExchangeGetsItsOwnAnswerWhileClientsComeAndGo) {
  // The answer repeats the marker of its request.
  const auto echo = [](Peer& peer) {
    for (;;) {
      const std::string head = peer.read_head();
      if (head.empty()) return;
      const std::size_t at = head.find("marker-");
      if (!peer.write("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + head.substr(at, 11))) return;
    }
  };
  ScriptedUpstream server({echo});
  Worker worker(server);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::unique_ptr<FakeExchange>> exchanges;
    std::vector<std::unique_ptr<Worker::Pending>> pending;
    std::vector<std::string> targets;
    for (int i = 0; i < 8; ++i) targets.push_back("/marker-" + std::to_string(1000 + (round * 8 + i) % 9000));
    for (int i = 0; i < 8; ++i) {
      auto& exchange = exchanges.emplace_back(std::make_unique<FakeExchange>());
      ASSERT_TRUE(exchange->head.target.assign(targets[static_cast<std::size_t>(i)]));
      if ((round + i) % 3 == 0) exchange->on_write = [](std::string_view) { return false; };
      pending.push_back(worker.begin(*exchange));
    }
    for (std::size_t i = 0; i < 8; ++i) {
      const ForwardResult result = worker.finish(*pending[i]);
      if (exchanges[i]->on_write) continue;
      ASSERT_EQ(result.status, ForwardStatus::answered) << result.detail;
      ASSERT_EQ("/" + exchanges[i]->written, targets[i]);
    }
  }
}

using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

Task<void> wait_at(Timer& gate, const std::atomic<std::size_t>& taken) {
  if (taken != 0) co_return;
  auto opened = co_await gate.async_wait(as_result);
  (void)opened;
}

TEST(AnswerCut, O07_HoldsBackAFastUpstreamForASlowClient) {
  constexpr std::size_t kBody = 64 * 1024 * 1024;
  std::atomic<std::size_t> taken = 0;
  boost::asio::io_context* context = nullptr;
  std::unique_ptr<Timer> gate;
  ScriptedUpstream server({[&](Peer& peer) {
    peer.read_head();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBody) + "\r\n\r\n");
    taken = peer.write_until_blocked(kBody);
    boost::asio::post(*context, [&] { gate->cancel(); });
    const std::string block(1024 * 1024, 'x');
    for (std::size_t left = kBody - taken; left > 0;) {
      const std::size_t now = std::min(left, block.size());
      if (!peer.write(std::string_view(block).substr(0, now))) return;
      left -= now;
    }
  }});
  Worker worker(server);
  context = &worker.context();
  gate = std::make_unique<Timer>(context->get_executor(), std::chrono::steady_clock::time_point::max());
  FakeExchange exchange;
  exchange.before_write = [&] { return wait_at(*gate, taken); };  // the client takes nothing until the upstream is stuck
  exchange.on_write = [](std::string_view) { return true; };
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  gate.reset();  // before its io_context
  EXPECT_LT(taken.load(), kBody / 2) << "the upstream was held back";
  EXPECT_EQ(exchange.written_bytes, kBody);
  EXPECT_LE(exchange.largest_write, 64U * 1024);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

}  // namespace
}  // namespace sallyport::upstream
