// The section `upstreams`: what its keys become.
#include "configuration_fixture.hpp"

namespace sallyport::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class ConfigUpstreams : public ConfigurationFixture {
 protected:
  // The one upstream, with these keys behind its servers.
  upstream::UpstreamSettings with(const std::string& keys) {
    return settings("[ { url: http://127.0.0.1:9001 } ]", "[ { url: http://127.0.0.1:9001 } ]" + keys).upstreams.front();
  }
};

TEST_F(ConfigUpstreams, HasDefaultsThatWatchServersAndCheckNothing) {
  const upstream::UpstreamSettings upstream = with("");
  EXPECT_EQ(upstream.balance, upstream::Balance::round_robin);
  EXPECT_FALSE(upstream.health);
  EXPECT_EQ(upstream.ejection, upstream::EjectionSettings{});
  EXPECT_FALSE(upstream.limits.requests);
  EXPECT_FALSE(upstream.limits.pending);
  EXPECT_EQ(upstream.retry_budget.percent, 10U);
  EXPECT_EQ(upstream.slow_start, milliseconds(0));
}

TEST_F(ConfigUpstreams, ReadsHowServersAreJudged) {
  const upstream::UpstreamSettings upstream = with(
      ", balance: least_requests"
      ", health: { path: /healthz, interval: 1s, timeout: 500ms, healthy_after: 4, unhealthy_after: 5 }"
      ", ejection: { failures: 7, for: 20s, percent_max: 30 }"
      ", slow_start: 30s"
      ", limits: { requests: 100, pending: 20 }"
      ", retry_budget: { percent: 20, least: 0 }");
  EXPECT_EQ(upstream.balance, upstream::Balance::least_requests);
  EXPECT_EQ(upstream.health, (upstream::HealthSettings{"/healthz", seconds(1), milliseconds(500), 4, 5}));
  EXPECT_EQ(upstream.ejection, (upstream::EjectionSettings{7, seconds(20), 30}));
  EXPECT_EQ(upstream.slow_start, seconds(30));
  EXPECT_EQ(upstream.limits, (upstream::LimitSettings{100, 20}));
  EXPECT_EQ(upstream.retry_budget, (upstream::RetryBudgetSettings{20, 0}));
}

TEST_F(ConfigUpstreams, ACheckEndsBeforeTheNextBegins) {
  EXPECT_EQ(with(", health: { path: / }").health->timeout, seconds(2));
  EXPECT_EQ(with(", health: { path: /, interval: 1s }").health->timeout, seconds(1));
}

TEST_F(ConfigUpstreams, EjectionCanBeOff) { EXPECT_FALSE(with(", ejection: off").ejection); }

TEST_F(ConfigUpstreams, ReadsUnixSockets) {
  const upstream::UpstreamSettings upstream =
      settings("[ { url: http://127.0.0.1:9001 } ]", "[ { url: unix:/run/a.sock }, { url: unix:/run/b.sock } ]").upstreams.front();
  EXPECT_EQ(upstream.servers[0].unix_path, "/run/a.sock");
  EXPECT_EQ(upstream.servers[0].authority, "unix:/run/a.sock");
  EXPECT_EQ(upstream.servers[0].host_field(), "localhost");
  EXPECT_FALSE(upstream.servers[0].is_tls);
}

TEST_F(ConfigUpstreams, RefusesAUnixSocketTwice) {
  EXPECT_THAT(problems("[ { url: http://127.0.0.1:9001 } ]", "[ { url: unix:/run/a.sock }, { url: unix:/run/a.sock } ]"),
              ::testing::ElementsAre(HasSubstr("twice")));
}

}  // namespace
}  // namespace sallyport::app
