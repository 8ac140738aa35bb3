#include "upstream/fleet.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/scripted_upstream.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using std::chrono::milliseconds;
using testing::ClosedPort;
using ::testing::HasSubstr;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::server_at;
using testing::settings_for;

class FleetTest : public ::testing::Test {
 protected:
  ~FleetTest() override {
    fleet_.stop();
    bool is_over = false;
    boost::asio::co_spawn(context_, fleet_.join(), [&](std::exception_ptr) { is_over = true; });
    run_until([&] { return is_over; });
    wheel_.stop();
  }
  void run_until(const std::function<bool()>& condition) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), patience) << "nothing happens any more";
      context_.run_one_for(std::chrono::seconds(1));
      if (context_.stopped()) context_.restart();
    }
  }
  static UpstreamSettings checked(std::vector<ServerSettings> servers) {
    UpstreamSettings settings = settings_for(std::move(servers));
    settings.health = HealthSettings{
        .path = "/healthz", .interval = milliseconds(10), .timeout = milliseconds(2000), .healthy_after = 2, .unhealthy_after = 2};
    return settings;
  }
  SharedUpstreamPtr use(const UpstreamSettings& settings) {
    Result<Fleet::Upstreams> prepared = fleet_.prepare({settings});
    if (!prepared) throw std::runtime_error(prepared.error().detail);
    SharedUpstreamPtr upstream = prepared->front();
    fleet_.commit(std::move(*prepared));
    return upstream;
  }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_};
  SystemClock clock_;
  observe::LineWriter writer_{{observe::Sink::Kind::off, {}}, 1024};
  observe::Log log_{writer_, observe::Level::info, clock_};
  Fleet fleet_{{context_, wheel_, log_}};
};

// Answers each connection's one question with what `answer` says now.
ScriptedUpstream::Script telling(std::atomic<const char*>& answer, std::atomic<int>& questions, std::string* question = nullptr) {
  return [&answer, &questions, question](Peer& peer) {
    const std::string head = peer.read_head();
    if (question != nullptr && questions == 0) *question = head;
    ++questions;
    peer.write(answer.load());
  };
}

constexpr const char* kGood = "HTTP/1.1 204 No Content\r\n\r\n";
constexpr const char* kBad = "HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n";

TEST_F(FleetTest, O08_FindsAServerBadAndGoodAgain) {
  std::atomic<const char*> answer = kGood;
  std::atomic<int> questions = 0;
  std::string question;
  ScriptedUpstream server({telling(answer, questions, &question)});
  const SharedUpstreamPtr upstream = use(checked({server_at(server.port())}));
  EXPECT_TRUE(upstream->board().is_fit(0));
  run_until([&] { return questions >= 3; });
  EXPECT_TRUE(upstream->board().is_fit(0));
  answer = kBad;
  run_until([&] { return !upstream->board().is_fit(0); });
  EXPECT_FALSE(fleet_.metrics().front().servers.front().second);
  answer = kGood;
  run_until([&] { return upstream->board().is_fit(0); });
  EXPECT_THAT(question, ::testing::StartsWith("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
}

TEST_F(FleetTest, O08_TakesGarbageRedirectsAndClosedConnectionsForBad) {
  for (const char* text : {"garbage\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "", "HTTP/1.1 200"}) {
    SCOPED_TRACE(text);
    std::atomic<const char*> answer = text;
    std::atomic<int> questions = 0;
    ScriptedUpstream server({telling(answer, questions)});
    const SharedUpstreamPtr upstream = use(checked({server_at(server.port())}));
    run_until([&] { return upstream->board().is_unhealthy(0); });
    fleet_.commit({});
  }
}

TEST_F(FleetTest, O08_FindsOutThatNobodyListensAndThatNobodyAnswers) {
  const ClosedPort nobody;
  std::promise<void> over;
  std::shared_future<void> is_over = over.get_future().share();
  ScriptedUpstream silent({[is_over](Peer&) { is_over.wait(); }});
  UpstreamSettings settings = checked({server_at(nobody.port()), server_at(silent.port())});
  settings.health->timeout = milliseconds(50);
  const SharedUpstreamPtr upstream = use(settings);
  run_until([&] { return upstream->board().is_unhealthy(0) && upstream->board().is_unhealthy(1); });
  over.set_value();
  fleet_.stop();
}

TEST_F(FleetTest, PassesOverInformationalAnswers) {
  std::atomic<const char*> answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::atomic<int> questions = 0;
  ScriptedUpstream server({telling(answer, questions)});
  const SharedUpstreamPtr upstream = use(checked({server_at(server.port())}));
  run_until([&] { return questions >= 5; });
  EXPECT_TRUE(upstream->board().is_fit(0));
}

TEST_F(FleetTest, P12_KeepsWhatHasNotChanged) {
  const ClosedPort nobody;
  const UpstreamSettings settings = checked({server_at(nobody.port())});
  const SharedUpstreamPtr upstream = use(settings);
  run_until([&] { return upstream->board().is_unhealthy(0); });
  EXPECT_EQ(use(settings), upstream);
  UpstreamSettings other = settings;
  other.servers.push_back(server_at(nobody.port() == 1 ? 2 : 1));
  const SharedUpstreamPtr changed = use(other);
  EXPECT_NE(changed, upstream);
  EXPECT_TRUE(changed->board().is_unhealthy(0)) << "what is known of a server goes along";
  EXPECT_TRUE(changed->board().is_fit(1));
  other.health.reset();
  EXPECT_TRUE(use(other)->board().is_plain()) << "nobody would ever find it well again";
}

TEST_F(FleetTest, P12_ChangedContentsOfTheSameFilesAreAnotherUpstream) {
  UpstreamSettings settings = settings_for({server_at(1)});
  settings.tls_contents = "one";
  const SharedUpstreamPtr upstream = use(settings);
  settings.tls_contents = "two";
  EXPECT_NE(use(settings), upstream);
}

TEST_F(FleetTest, P12_PreparingChangesNothing) {
  const SharedUpstreamPtr upstream = use(settings_for({server_at(1)}));
  UpstreamSettings broken = settings_for({server_at(1, 1, true)});
  broken.tls = transport::UpstreamTlsSettings{.ca_file = "/no/such/file", .server_name = {}, .certificate = {}};
  const Result<Fleet::Upstreams> prepared = fleet_.prepare({broken});
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().detail, HasSubstr("/no/such/file"));
  EXPECT_EQ(fleet_.upstreams().front(), upstream);
}

TEST_F(FleetTest, CountsGoOnWhenSettingsChange) {
  UpstreamSettings settings = settings_for({server_at(1)});
  const SharedUpstreamPtr upstream = use(settings);
  const auto counts = upstream->add_worker();
  counts->refused_pending.add(7);
  settings.retries = 0;
  use(settings);
  EXPECT_EQ(fleet_.metrics().front().refused[2].second, 7U);
  upstream->drop(counts);
}

}  // namespace
}  // namespace sallyport::upstream
