#include "http/tunnel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include <boost/asio/post.hpp>

#include "support/websocket_frames.hpp"
#include "unit/transport/stream_fixture.hpp"

namespace sallyport::http {
namespace {

using test::Descriptor;
using testing::client_frame;
using testing::server_frame;
using namespace std::chrono_literals;

// A tunnel between two sockets whose other ends are the test's: `script` uses them, on a thread of its own.
class TunnelTest : public ::testing::Test {
 protected:
  TunnelEnd run(const std::function<void()>& script, std::chrono::milliseconds idle_timeout = 1min, Tunnel::Early early = {}) {
    TunnelEnd end = TunnelEnd::closed;
    std::thread other;
    loop_.run(tunnel(script, idle_timeout, early, other, end));
    other.join();
    return end;
  }
  // From the script.
  void end(TunnelEnd why) {
    boost::asio::post(loop_.context, [this, why] { tunnel_->end(why); });
  }
  void drain(MonotonicTime deadline) {
    boost::asio::post(loop_.context, [this, deadline] { tunnels_.drain(deadline); });
  }

  test::Loop loop_;
  observe::WorkerMetrics metrics_;
  Tunnels tunnels_{loop_.wheel, metrics_};
  test::DescriptorPair client_pair_ = test::connected_tcp();
  test::DescriptorPair upstream_pair_ = test::connected_tcp();
  Descriptor client_{client_pair_.peer};
  Descriptor upstream_{upstream_pair_.peer};
  Tunnel* tunnel_ = nullptr;
  std::uint64_t from_client_ = 0;
  std::uint64_t to_client_ = 0;

 private:
  Task<void> tunnel(std::function<void()> script, std::chrono::milliseconds idle_timeout, Tunnel::Early early, std::thread& other,
                    TunnelEnd& end) {
    transport::Stream downstream(loop_.context, client_pair_.ours, loop_.wheel);
    transport::Stream upstream(loop_.context, upstream_pair_.ours, loop_.wheel);
    Tunnel tunnel(tunnels_, {downstream, upstream}, early, idle_timeout);
    tunnel_ = &tunnel;
    EXPECT_EQ(tunnels_.size(), 1U);
    EXPECT_EQ(metrics_.tunnels, 1);
    other = std::thread(std::move(script));
    end = co_await tunnel.run();
    EXPECT_FALSE(downstream.is_open());
    EXPECT_FALSE(upstream.is_open());
    from_client_ = tunnel.bytes_from_client();
    to_client_ = tunnel.bytes_to_client();
  }
};

TEST_F(TunnelTest, OneThatCannotBeginIsInNoList) {
  transport::Stream downstream(loop_.context, client_pair_.ours, loop_.wheel);
  transport::Stream upstream(loop_.context, upstream_pair_.ours, loop_.wheel);
  // More than any memory holds; only the head of the frame is looked at.
  const std::string head("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFFmask", 14);
  const std::string_view early(head.data(), std::size_t{1} << 62);
  EXPECT_THROW(Tunnel(tunnels_, {downstream, upstream}, {.of_client = early, .of_upstream = {}}, 1min), std::bad_alloc);
  EXPECT_EQ(tunnels_.size(), 0U);
  EXPECT_EQ(metrics_.tunnels, 0);
  tunnels_.drain(std::chrono::steady_clock::now() + 1min);
}

TEST_F(TunnelTest, CarriesFramesBothWaysAndCountsThem) {
  const std::string question = client_frame(1, "hello");
  const std::string answer = server_frame(1, "hello yourself");
  const TunnelEnd end = run([&] {
    client_.write(question);
    EXPECT_EQ(upstream_.read(question.size()), question);
    upstream_.write(answer);
    EXPECT_EQ(client_.read(answer.size()), answer);
    client_.shut_write();
    EXPECT_EQ(upstream_.read(), "");
    upstream_.shut_write();
    EXPECT_EQ(client_.read(), "");
  });
  EXPECT_EQ(end, TunnelEnd::closed);
  EXPECT_EQ(from_client_, question.size());
  EXPECT_EQ(to_client_, answer.size());
  EXPECT_EQ(metrics_.tunnel_bytes_upstream, question.size());
  EXPECT_EQ(metrics_.tunnel_bytes_downstream, answer.size());
  EXPECT_EQ(metrics_.tunnels, 0);
  EXPECT_EQ(tunnels_.size(), 0U);
}

TEST_F(TunnelTest, PassesOnWhatBothSidesSentEarly) {
  const std::string of_client = client_frame(1, "early");
  const std::string of_upstream = server_frame(1, "greeting");
  run(
      [&] {
        EXPECT_EQ(upstream_.read(of_client.size()), of_client);
        EXPECT_EQ(client_.read(of_upstream.size()), of_upstream);
        client_.close();
        upstream_.close();
      },
      1min, {of_client, of_upstream});
  EXPECT_EQ(from_client_, of_client.size());
  EXPECT_EQ(to_client_, of_upstream.size());
}

TEST_F(TunnelTest, Q07_EndsOneDirectionWhenTheClientDoesSo) {
  const std::string late = server_frame(1, std::string(100'000, 'x'));
  const TunnelEnd end = run([&] {
    client_.write(client_frame(1, "last"));
    client_.shut_write();
    EXPECT_EQ(upstream_.read(), client_frame(1, "last"));
    upstream_.write(late);
    EXPECT_EQ(client_.read(late.size()), late);
    upstream_.close();
    EXPECT_EQ(client_.read(), "");
  });
  EXPECT_EQ(end, TunnelEnd::closed);
}

TEST_F(TunnelTest, Q07_EndsOneDirectionWhenTheUpstreamDoesSo) {
  const std::string late = client_frame(1, std::string(100'000, 'x'));
  const TunnelEnd end = run([&] {
    upstream_.shut_write();
    EXPECT_EQ(client_.read(), "");
    client_.write(late);
    EXPECT_EQ(upstream_.read(late.size()), late);
    client_.close();
    EXPECT_EQ(upstream_.read(), "");
  });
  EXPECT_EQ(end, TunnelEnd::closed);
}

TEST_F(TunnelTest, Q07_EndsBothWhenOneIsResetWithinAFrame) {
  const TunnelEnd by_client = run([&] {
    client_.write(client_frame(2, std::string(1000, 'x')).substr(0, 500));
    EXPECT_EQ(upstream_.read(500).size(), 500U);
    client_.reset();
    EXPECT_EQ(upstream_.read(), "");
  });
  EXPECT_EQ(by_client, TunnelEnd::client_gone);
}

TEST_F(TunnelTest, Q07_EndsTheClientWhenTheUpstreamIsReset) {
  const TunnelEnd end = run([&] {
    upstream_.write(server_frame(2, std::string(1000, 'x')).substr(0, 500));
    EXPECT_EQ(client_.read(500).size(), 500U);
    upstream_.reset();
    EXPECT_EQ(client_.read(), "");
  });
  EXPECT_EQ(end, TunnelEnd::upstream_gone);
}

TEST_F(TunnelTest, Q04_SaysACloseFrameWhenTheCallerEnds) {
  const TunnelEnd ended = run([&] {
    upstream_.write(server_frame(1, "hello"));
    EXPECT_EQ(client_.read(7), server_frame(1, "hello"));
    end(TunnelEnd::caller_ended);
    EXPECT_EQ(client_.read(), close_frame(4401, "the caller's session or token has ended"));
    EXPECT_EQ(upstream_.read(), "");
    client_.close();
  });
  EXPECT_EQ(ended, TunnelEnd::caller_ended);
}

TEST_F(TunnelTest, Q04_LetsTheFrameUnderWayEndBeforeTheCloseFrame) {
  const std::string frame = server_frame(2, std::string(1000, 'x'));
  const std::string next = server_frame(1, "never seen");
  run([&] {
    upstream_.write(frame.substr(0, 300));
    EXPECT_EQ(client_.read(300), frame.substr(0, 300));
    end(TunnelEnd::caller_ended);
    upstream_.write(frame.substr(300) + next);
    EXPECT_EQ(client_.read(), frame.substr(300) + close_frame(4401, "the caller's session or token has ended"));
    client_.close();
  });
}

TEST_F(TunnelTest, Q04_ClosesTheSocketWhereTheFramingDoesNotAllowMore) {
  const std::string frame = server_frame(2, std::string(1000, 'x'));
  const auto began = std::chrono::steady_clock::now();
  run([&] {
    upstream_.write(frame.substr(0, 300));
    EXPECT_EQ(client_.read(300), frame.substr(0, 300));
    end(TunnelEnd::caller_ended);
    EXPECT_EQ(client_.read(), "");
  });
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(TunnelTest, Q04_SaysNothingBehindTheUpstreamsOwnClose) {
  const std::string close = server_frame(8, "\x03\xE8");
  run([&] {
    upstream_.write(close);
    EXPECT_EQ(client_.read(close.size()), close);
    end(TunnelEnd::caller_ended);
    EXPECT_EQ(client_.read(), "");
    client_.close();
  });
}

TEST_F(TunnelTest, Q04_EndsThoughTheClientTakesNothing) {
  const std::string flood = server_frame(2, std::string(64 * 1024 * 1024, 'x'));
  std::thread sender([&] { upstream_.write(flood); });
  const TunnelEnd ended = run([&] {
    EXPECT_EQ(client_.read(1000).size(), 1000U);
    end(TunnelEnd::caller_ended);
  });
  sender.join();
  EXPECT_EQ(ended, TunnelEnd::caller_ended);
  EXPECT_LT(to_client_, flood.size());
}

TEST_F(TunnelTest, Q09_SaysGoingAwayBeforeTheDrainsDeadline) {
  const auto deadline = std::chrono::steady_clock::now() + Tunnels::kFarewell + 100ms;
  const TunnelEnd ended = run([&] {
    drain(deadline);
    EXPECT_EQ(client_.read(), close_frame(1001, "the gateway is going away"));
    EXPECT_LT(std::chrono::steady_clock::now(), deadline);
    client_.close();
  });
  EXPECT_EQ(ended, TunnelEnd::going_away);
}

TEST_F(TunnelTest, EndsWhenNothingMovesForItsIdleTime) {
  const TunnelEnd ended = run(
      [&] {
        EXPECT_EQ(client_.read(), close_frame(1000, "nothing was sent for too long"));
        client_.close();
      },
      100ms);
  EXPECT_EQ(ended, TunnelEnd::idle);
}

TEST_F(TunnelTest, StaysOpenWhileOneSideTalks) {
  const TunnelEnd ended = run(
      [&] {
        for (int i = 0; i < 10; ++i) {
          upstream_.write(server_frame(9, ""));
          EXPECT_EQ(client_.read(2), server_frame(9, ""));
          std::this_thread::sleep_for(100ms);  // the time itself is what is tested
        }
        upstream_.close();
        client_.close();
      },
      600ms);
  EXPECT_EQ(ended, TunnelEnd::closed);
}

TEST_F(TunnelTest, Q06_EndsForAClientThatBreaksTheFraming) {
  const TunnelEnd ended = run([&] {
    client_.write(std::string("\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", 14));
    EXPECT_EQ(client_.read(), close_frame(1002, "a frame is malformed"));
    EXPECT_EQ(upstream_.read(), "") << "what is broken goes no further";
    client_.close();
  });
  EXPECT_EQ(ended, TunnelEnd::client_framing);
}

TEST_F(TunnelTest, Q06_EndsForABrokenEarlyFrame) {
  const TunnelEnd ended = run(
      [&] {
        EXPECT_EQ(client_.read(), close_frame(1002, "a frame is malformed"));
        EXPECT_EQ(upstream_.read(), "");
        client_.close();
      },
      1min, {.of_client = "GET / HTTP/1.1\r\n\r\n", .of_upstream = {}});
  EXPECT_EQ(ended, TunnelEnd::client_framing);
}

TEST_F(TunnelTest, Q06_EndsForAnUpstreamThatBreaksTheFraming) {
  const TunnelEnd ended = run([&] {
    upstream_.write(client_frame(1, "masked"));
    EXPECT_EQ(client_.read(), "");
  });
  EXPECT_EQ(ended, TunnelEnd::upstream_framing);
}

TEST_F(TunnelTest, Q06_SurvivesAFloodOfPings) {
  std::string flood;
  for (int i = 0; i < 100'000; ++i) flood += client_frame(9, "");
  const TunnelEnd ended = run([&] {
    std::thread sender([&] { client_.write(flood); });
    EXPECT_EQ(upstream_.read(flood.size()), flood);
    sender.join();
    upstream_.write(server_frame(10, ""));
    EXPECT_EQ(client_.read(2), server_frame(10, ""));
    client_.close();
    upstream_.close();
  });
  EXPECT_EQ(ended, TunnelEnd::closed);
}

TEST_F(TunnelTest, MovesManyBytesBothWaysAtOnce) {
  const std::string up = client_frame(2, std::string(20 * 1024 * 1024, 'u'));
  const std::string down = server_frame(2, std::string(20 * 1024 * 1024, 'd'));
  run([&] {
    auto sent_up = std::async(std::launch::async, [&] { client_.write(up); });
    auto sent_down = std::async(std::launch::async, [&] { upstream_.write(down); });
    auto got_up = std::async(std::launch::async, [&] { return upstream_.read(up.size()); });
    EXPECT_TRUE(client_.read(down.size()) == down);
    EXPECT_TRUE(got_up.get() == up);
    sent_up.get();
    sent_down.get();
    client_.close();
    upstream_.close();
  });
  EXPECT_EQ(from_client_, up.size());
  EXPECT_EQ(to_client_, down.size());
}

TEST_F(TunnelTest, ReadsNoMoreThanTheOtherSideTakes) {
  // The client reads nothing: what the upstream can push is what the sockets and one buffer hold, however long it tries.
  const std::string flood = server_frame(2, std::string(256 * 1024 * 1024, 'x'));
  const timeval soon{1, 0};
  ::setsockopt(upstream_.get(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
  run([&] {
    upstream_.write(flood);
    end(TunnelEnd::caller_ended);
  });
  EXPECT_LT(to_client_, 64U * 1024 * 1024);
}

}  // namespace
}  // namespace sallyport::http
