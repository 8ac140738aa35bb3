// Several servers, one of them at fault: what requests hear of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/un.h>

#include "support/temporary_folder.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using http::Method;
using testing::answering;
using testing::ClosedPort;
using testing::FakeExchange;
using testing::kOk;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::server_at;
using testing::settings_for;
using testing::Worker;

// Takes every request and drops it unanswered.
ScriptedUpstream::Script dropping(std::atomic<int>& dropped) {
  return [&dropped](Peer& peer) {
    if (!peer.read_head().empty()) ++dropped;
  };
}

ScriptedUpstream::Script counting(std::atomic<int>& answered) {
  return [&answered](Peer& peer) {
    while (!peer.read_head().empty()) {
      ++answered;
      if (!peer.write(kOk)) return;
    }
  };
}

TEST(Balancing, O14_RepeatsAGetThatANewConnectionLostAtAnotherServer) {
  std::atomic<int> dropped = 0;
  std::atomic<int> answered = 0;
  ScriptedUpstream bad({dropping(dropped)});
  ScriptedUpstream good({counting(answered)});
  {
    Worker worker(settings_for({server_at(bad.port(), 1000), server_at(good.port())}));
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
    EXPECT_EQ(result.server, "127.0.0.1:" + std::to_string(good.port()));
  }
  bad.stop();
  good.stop();
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(answered, 1);
}

TEST(Balancing, O14_NeverSendsAPostToAnotherServer) {
  std::atomic<int> dropped = 0;
  std::atomic<int> answered = 0;
  ScriptedUpstream bad({dropping(dropped)});
  ScriptedUpstream good({counting(answered)});
  {
    Worker worker(settings_for({server_at(bad.port(), 1000), server_at(good.port())}));
    FakeExchange exchange(Method::post, "POST");
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::broken);
  }
  bad.stop();
  good.stop();
  EXPECT_EQ(dropped, 1);
  EXPECT_EQ(answered, 0);
}

TEST(Balancing, O14_RepeatsNothingOnceABytesOfAnAnswerCame) {
  std::atomic<int> answered = 0;
  ScriptedUpstream bad({[](Peer& peer) {
    peer.read_head();
    peer.write("garbage\r\n\r\n");
  }});
  ScriptedUpstream good({counting(answered)});
  {
    Worker worker(settings_for({server_at(bad.port(), 1000), server_at(good.port())}));
    FakeExchange exchange;
    EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::broken);
  }
  good.stop();
  EXPECT_EQ(answered, 0);
}

TEST(Balancing, O14_RepeatsNoMoreThanTheBudgetAllows) {
  std::atomic<int> dropped = 0;
  std::atomic<int> answered = 0;
  ScriptedUpstream bad({dropping(dropped)});
  ScriptedUpstream good({counting(answered)});
  UpstreamSettings settings = settings_for({server_at(bad.port()), server_at(good.port())});
  settings.retry_budget = {.percent = 10, .least = 2};
  settings.ejection = std::nullopt;
  int failed = 0;
  {
    Worker worker(std::move(settings));
    for (int i = 0; i < 40; ++i) {
      FakeExchange exchange;
      if (worker.forward(exchange).status != ForwardStatus::answered) ++failed;
    }
    EXPECT_EQ(worker.upstream().shared()->metrics().retries[0].second, 40U / 2U - static_cast<unsigned>(failed));
    EXPECT_EQ(worker.upstream().shared()->metrics().retries[1].second, static_cast<unsigned>(failed));
  }
  bad.stop();
  EXPECT_EQ(dropped, 20);
  EXPECT_GE(failed, 20 - 6);
  EXPECT_LT(failed, 20);
}

TEST(Balancing, O01_EjectsAServerThatCannotBeReached) {
  const ClosedPort nobody;
  ScriptedUpstream good({answering(std::string(kOk))});
  Worker worker(settings_for({server_at(nobody.port()), server_at(good.port())}));
  for (int i = 0; i < 20; ++i) {
    FakeExchange exchange(Method::post, "POST");
    ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered) << "nothing was sent to who could not be reached";
  }
  EXPECT_TRUE(worker.upstream().shared()->board().is_merely_ejected(0));
  EXPECT_FALSE(worker.upstream().shared()->board().is_merely_ejected(1));
}

TEST(Balancing, EjectsAServerThatAnswersGarbageAndTriesItAgain) {
  std::atomic<bool> is_mended = false;
  const auto garbage = [&](Peer& peer) {
    while (!peer.read_head().empty()) {
      if (!peer.write(is_mended ? kOk : "garbage\r\n\r\n")) return;
    }
  };
  ScriptedUpstream bad({garbage});
  ScriptedUpstream good({answering(std::string(kOk))});
  Worker worker(settings_for({server_at(bad.port()), server_at(good.port())}));
  SharedUpstream& shared = *worker.upstream().shared();
  const auto ask = [&worker] {
    FakeExchange exchange;
    return worker.forward(exchange).status;
  };
  int broken = 0;
  for (int i = 0; i < 40; ++i) broken += ask() == ForwardStatus::broken ? 1 : 0;
  EXPECT_EQ(broken, 5);
  const MonotonicTime now = std::chrono::steady_clock::now();
  shared.advance(now + std::chrono::seconds(11));
  EXPECT_EQ(ask(), ForwardStatus::broken) << "the one request of the trial";
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(), ForwardStatus::answered);
  is_mended = true;
  shared.advance(now + std::chrono::seconds(32));
  EXPECT_EQ(ask(), ForwardStatus::answered);
  EXPECT_TRUE(shared.board().is_plain());
  EXPECT_EQ(shared.metrics().ejections, 2U);
}

TEST(Balancing, ATrialSucceedsWithTheHeadOfAnAnswerThatHasNoEnd) {
  std::atomic<int> requests = 0;
  const auto first_garbage_then_endless = [&](Peer& peer) {
    while (!peer.read_head().empty()) {
      const bool is_bad = ++requests <= 5;
      peer.write(is_bad ? "garbage\r\n\r\n" : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n");
      if (is_bad) return;
    }
  };
  ScriptedUpstream bad({first_garbage_then_endless});
  ScriptedUpstream good({answering(std::string(kOk))});
  {
    Worker worker(settings_for({server_at(bad.port()), server_at(good.port())}));
    SharedUpstream& shared = *worker.upstream().shared();
    for (int i = 0; i < 40 && !shared.board().is_merely_ejected(0); ++i) {
      FakeExchange exchange;
      static_cast<void>(worker.forward(exchange));
    }
    ASSERT_TRUE(shared.board().is_merely_ejected(0));
    shared.advance(std::chrono::steady_clock::now() + std::chrono::seconds(11));
    FakeExchange endless;
    const auto pending = worker.begin(endless);
    worker.run_until([&] { return endless.started(); });
    EXPECT_FALSE(pending->result) << "it goes on";
    EXPECT_TRUE(shared.board().is_plain()) << "and nobody waits for its end";
    bad.stop();
    worker.finish(*pending);
  }
}

TEST(Balancing, TakesAServersOwnErrorsForAnswers) {
  ScriptedUpstream first({answering("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")});
  ScriptedUpstream second({answering("HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n")});
  Worker worker(settings_for({server_at(first.port()), server_at(second.port())}));
  for (int i = 0; i < 20; ++i) {
    FakeExchange exchange;
    ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
  }
  EXPECT_TRUE(worker.upstream().shared()->board().is_plain());
}

TEST(Balancing, O08_RefusesAtOnceWhenEveryServerIsUnhealthy) {
  ScriptedUpstream server({answering(std::string(kOk))});
  Worker worker(server);
  SharedUpstream& shared = *worker.upstream().shared();
  shared.board().checked(0, false, "answered 500", {}, {});
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::unavailable);
  EXPECT_FALSE(exchange.started());
  EXPECT_EQ(shared.metrics().refused[0].second, 1U);
  EXPECT_EQ(shared.metrics().requests, 0U);
  shared.board().checked(0, true, "answered 200", {}, {});
  FakeExchange again;
  EXPECT_EQ(worker.forward(again).status, ForwardStatus::answered);
}

class Limits : public ::testing::Test {
 protected:
  // The first request is held until let_go().
  ScriptedUpstream::Script holding() {
    return [this](Peer& peer) {
      peer.read_head();
      held_.set_value();
      let_go_.get_future().wait();
      peer.write(kOk);
      peer.read_to_end();
    };
  }
  std::promise<void> held_;
  std::promise<void> let_go_;
};

TEST_F(Limits, RefusesRequestsBeyondTheLimitAtOnce) {
  for (const bool by_pending : {false, true}) {
    SCOPED_TRACE(by_pending);
    held_ = {};
    let_go_ = {};
    ScriptedUpstream server({holding()});
    UpstreamSettings settings = settings_for({server_at(server.port())});
    (by_pending ? settings.limits.pending : settings.limits.requests) = 1;
    Worker worker(std::move(settings));
    FakeExchange first;
    const auto pending = worker.begin(first);
    std::future<void> held = held_.get_future();
    worker.run_until([&] { return held.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
    EXPECT_EQ(worker.upstream().shared()->metrics().requests, 1U);
    FakeExchange second;
    EXPECT_EQ(worker.forward(second).status, ForwardStatus::overloaded);
    let_go_.set_value();
    EXPECT_EQ(worker.finish(*pending).status, ForwardStatus::answered);
    FakeExchange third;
    EXPECT_NE(worker.forward(third).status, ForwardStatus::overloaded) << "there is room again";
    EXPECT_EQ(worker.upstream().shared()->metrics().requests, 0U);
    EXPECT_EQ(worker.upstream().shared()->metrics().refused[by_pending ? 2 : 1].second, 1U);
  }
}

ServerSettings server_at_path(const std::string& path) {
  ServerSettings server = server_at(0);
  server.host.clear();
  server.authority = "unix:" + path;
  server.unix_path = path;
  return server;
}

TEST(Balancing, ReachesAServerBehindAUnixSocket) {
  test::TemporaryFolder folder;
  const std::string path = (folder.path() / "app.sock").string();
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 8), 0);
  std::thread server([listener] {
    Peer peer(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), nullptr);
    while (!peer.read_head().empty()) peer.write(kOk);
  });
  {
    Worker worker(settings_for({server_at_path(path)}));
    for (int i = 0; i < 3; ++i) {
      FakeExchange exchange;
      const ForwardResult result = worker.forward(exchange);
      EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
    }
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  server.join();
  ::close(listener);
}

TEST(Balancing, O01_ReportsAUnixSocketThatIsNotThere) {
  test::TemporaryFolder folder;
  const std::string path = (folder.path() / "nobody.sock").string();
  Worker worker(settings_for({server_at_path(path)}));
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::connect_failed);
}

}  // namespace
}  // namespace sallyport::upstream
