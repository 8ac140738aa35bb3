#include "observe/metrics.hpp"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "support/allocations.hpp"

namespace sallyport::observe {
namespace {

using namespace std::chrono_literals;
using test::allocations;
using testing::HasSubstr;
using testing::Not;

ProcessMetrics process() {
  ProcessMetrics process;
  process.version = "1.2.3";
  process.start_time_seconds = 1769860800;
  return process;
}

std::vector<std::string> samples(const std::string& text, std::string_view prefix) {
  std::vector<std::string> found;
  for (const std::string_view line : split(text, '\n')) {
    if (line.starts_with(prefix)) found.emplace_back(line);
  }
  return found;
}

TEST(DurationHistogram, PutsABoundIntoItsOwnBucket) {
  DurationHistogram histogram;
  histogram.observe(500us);
  histogram.observe(501us);
  histogram.observe(10s);
  histogram.observe(10'000'001us);
  histogram.observe(0us);
  histogram.observe(-5us);
  EXPECT_EQ(histogram.counts[0], 3U);
  EXPECT_EQ(histogram.counts[1], 1U);
  EXPECT_EQ(histogram.counts[13], 1U);
  EXPECT_EQ(histogram.counts[14], 1U);
  EXPECT_EQ(histogram.sum_microseconds, 20'001'002U);
}

TEST(DurationHistogram, HasTheBucketOfEachBound) {
  for (std::size_t i = 0; i < kDurationBuckets.size(); ++i) {
    DurationHistogram histogram;
    const auto bound = std::chrono::microseconds(std::llround(kDurationBuckets[i] * 1e6));
    histogram.observe(bound);
    histogram.observe(bound + 1us);
    EXPECT_EQ(histogram.counts[i], 1U) << kDurationBuckets[i];
    EXPECT_EQ(histogram.counts[i + 1], 1U) << kDurationBuckets[i];
  }
}

TEST(WorkerMetrics, CountsRequestsByRouteMethodAndCode) {
  WorkerMetrics metrics;
  metrics.request("orders", "GET", 200, 1ms);
  metrics.request("orders", "GET", 200, 3ms);
  metrics.request("orders", "GET", 401, 1ms);
  metrics.request("orders", "POST", 200, 1ms);
  metrics.request("", "other", 404, 1ms);
  const std::string text = exposition(process(), metrics);
  EXPECT_THAT(samples(text, "sallyport_requests_total"),
              testing::UnorderedElementsAre("sallyport_requests_total{route=\"orders\",method=\"GET\",code=\"200\"} 2",
                                            "sallyport_requests_total{route=\"orders\",method=\"GET\",code=\"401\"} 1",
                                            "sallyport_requests_total{route=\"orders\",method=\"POST\",code=\"200\"} 1",
                                            "sallyport_requests_total{route=\"\",method=\"other\",code=\"404\"} 1"));
  EXPECT_THAT(text, HasSubstr("# TYPE sallyport_requests_total counter\n"));
}

TEST(WorkerMetrics, ExposesHistogramsCumulatively) {
  WorkerMetrics metrics;
  metrics.request("r", "GET", 200, 1ms);
  metrics.request("r", "GET", 200, 2ms);
  metrics.request("r", "GET", 200, 60s);
  const std::string text = exposition(process(), metrics);
  const std::string name = "sallyport_request_duration_seconds";
  EXPECT_THAT(text, HasSubstr("# TYPE " + name + " histogram\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count{route=\"r\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum{route=\"r\"} 60.003"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{route=\"r\",le=\"0.0005\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{route=\"r\",le=\"0.001\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{route=\"r\",le=\"0.0025\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{route=\"r\",le=\"10\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{route=\"r\",le=\"+Inf\"} 3\n"));
  EXPECT_EQ(samples(text, name + "_bucket").size(), kDurationBuckets.size() + 1);
}

TEST(WorkerMetrics, ExposesWhatEachCallCounts) {
  WorkerMetrics metrics;
  metrics.upstream("web", 20ms);
  metrics.decision("orders", "jwt", "refused", "expired");
  metrics.decision("orders", "jwt", "refused", "expired");
  metrics.connection_opened("public");
  metrics.connection_opened("public");
  metrics.connection_closed("public");
  metrics.connection_refused("public", "full");
  metrics.handshake_failed("public");
  metrics.malformed_request("bad_host");
  metrics.token_cache_hits = 5;
  metrics.token_cache_misses = 2;
  metrics.token_cache_entries = 1;
  ProcessMetrics info = process();
  info.log_lines_lost = 7;
  info.certificate_expiry = {{"localhost", 1800000000}};
  info.config_reloads = {{"applied", 2}, {"refused", 1}};
  const std::string text = exposition(info, metrics);
  for (const std::string_view line :
       {"sallyport_upstream_duration_seconds_count{upstream=\"web\"} 1",
        "sallyport_auth_decisions_total{route=\"orders\",method=\"jwt\",result=\"refused\",reason=\"expired\"} 2",
        "sallyport_connections{listener=\"public\"} 1", "sallyport_connections_refused_total{listener=\"public\",reason=\"full\"} 1",
        "sallyport_tls_handshake_failures_total{listener=\"public\"} 1", "sallyport_malformed_requests_total{fault=\"bad_host\"} 1",
        "sallyport_token_cache_hits_total 5", "sallyport_token_cache_misses_total 2", "sallyport_token_cache_entries 1",
        "sallyport_log_lines_lost_total 7", "sallyport_certificate_expiry_timestamp_seconds{name=\"localhost\"} 1800000000",
        "sallyport_config_reload_total{result=\"applied\"} 2", "sallyport_config_reload_total{result=\"refused\"} 1",
        "sallyport_build_info{version=\"1.2.3\"} 1", "process_start_time_seconds 1769860800", "# TYPE sallyport_connections gauge",
        "# TYPE sallyport_log_lines_lost_total counter"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
}

TEST(WorkerMetrics, ExposesTheStoreTheSessionsAndTheTokens) {
  WorkerMetrics metrics;
  metrics.store_command("find_session", "ok");
  metrics.store_command("find_session", "ok");
  metrics.store_command("find_session", "timeout");
  metrics.refresh("rotated");
  metrics.revocation("subject");
  metrics.session_cache_hits = 3;
  metrics.session_cache_misses = 2;
  metrics.session_cache_invalidations = 1;
  metrics.live_exchanges = 4;
  ProcessMetrics info = process();
  EXPECT_THAT(exposition(info, metrics), HasSubstr("sallyport_store_up 0\n"));
  info.store_up = true;
  const std::string text = exposition(info, metrics);
  for (const std::string_view line :
       {"sallyport_store_up 1", "sallyport_store_commands_total{command=\"find_session\",result=\"ok\"} 2",
        "sallyport_store_commands_total{command=\"find_session\",result=\"timeout\"} 1", "sallyport_refresh_total{result=\"rotated\"} 1",
        "sallyport_revocations_total{kind=\"subject\"} 1", "sallyport_session_cache_hits_total 3", "sallyport_session_cache_misses_total 2",
        "sallyport_session_cache_invalidations_total 1", "sallyport_live_exchanges 4"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
}

TEST(WorkerMetrics, AddsUpTheStoreTheSessionsAndTheTokensOfTheWorkers) {
  WorkerMetrics worker;
  worker.store_command("find_session", "ok");
  worker.refresh("reused");
  worker.revocation("family");
  worker.session_cache_hits = 1;
  worker.session_cache_misses = 2;
  worker.session_cache_invalidations = 3;
  worker.live_exchanges = 4;
  WorkerMetrics sum;
  sum.add(worker);
  sum.add(worker);
  const std::string text = exposition(process(), sum);
  for (const std::string_view line :
       {"sallyport_store_commands_total{command=\"find_session\",result=\"ok\"} 2", "sallyport_refresh_total{result=\"reused\"} 2",
        "sallyport_revocations_total{kind=\"family\"} 2", "sallyport_session_cache_hits_total 2", "sallyport_session_cache_misses_total 4",
        "sallyport_session_cache_invalidations_total 6", "sallyport_live_exchanges 8"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
}

TEST(WorkerMetrics, LeavesOutFamiliesWithoutASample) {
  const std::string text = exposition(process(), WorkerMetrics());
  EXPECT_THAT(text, Not(HasSubstr("sallyport_requests_total")));
  EXPECT_THAT(text, HasSubstr("sallyport_token_cache_hits_total 0\n"));
}

TEST(WorkerMetrics, ExposesEachFamilyOnceAndEndsWithANewline) {
  WorkerMetrics metrics;
  metrics.request("a", "GET", 200, 1ms);
  metrics.request("b", "GET", 200, 1ms);
  const std::string text = exposition(process(), metrics);
  EXPECT_EQ(samples(text, "# TYPE sallyport_requests_total").size(), 1U);
  EXPECT_TRUE(text.ends_with('\n'));
}

TEST(WorkerMetrics, EscapesLabels) {
  WorkerMetrics metrics;
  metrics.request("a\"b\\c\nd", "GET", 200, 1ms);
  EXPECT_THAT(exposition(process(), metrics), HasSubstr("route=\"a\\\"b\\\\c\\nd\""));
}

TEST(WorkerMetrics, AddsUpTheWorkers) {
  WorkerMetrics a;
  a.request("r", "GET", 200, 1ms);
  a.connection_opened("public");
  a.decision("r", "jwt", "allowed", "policy");
  a.malformed_request("malformed");
  a.token_cache_hits = 1;
  WorkerMetrics b;
  b.request("r", "GET", 200, 1ms);
  b.request("r", "GET", 500, 1ms);
  b.request("only-b", "PUT", 201, 1ms);
  b.upstream("web", 1ms);
  b.connection_opened("public");
  b.handshake_failed("public");
  b.decision("r", "jwt", "allowed", "policy");
  b.malformed_request("malformed");
  b.token_cache_hits = 2;
  WorkerMetrics sum;
  sum.add(a);
  sum.add(b);
  const std::string text = exposition(process(), sum);
  for (const std::string_view line :
       {"sallyport_requests_total{route=\"r\",method=\"GET\",code=\"200\"} 2",
        "sallyport_requests_total{route=\"r\",method=\"GET\",code=\"500\"} 1",
        "sallyport_requests_total{route=\"only-b\",method=\"PUT\",code=\"201\"} 1",
        "sallyport_request_duration_seconds_count{route=\"r\"} 3", "sallyport_upstream_duration_seconds_count{upstream=\"web\"} 1",
        "sallyport_connections{listener=\"public\"} 2", "sallyport_tls_handshake_failures_total{listener=\"public\"} 1",
        "sallyport_auth_decisions_total{route=\"r\",method=\"jwt\",result=\"allowed\",reason=\"policy\"} 2",
        "sallyport_malformed_requests_total{fault=\"malformed\"} 2", "sallyport_token_cache_hits_total 3"}) {
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  }
}

TEST(WorkerMetrics, GivesAnIndependentCopy) {
  WorkerMetrics metrics;
  metrics.request("r", "GET", 200, 1ms);
  const WorkerMetrics copy = metrics;
  metrics.request("r", "GET", 200, 1ms);
  EXPECT_THAT(exposition(process(), copy), HasSubstr("code=\"200\"} 1\n"));
  EXPECT_THAT(exposition(process(), metrics), HasSubstr("code=\"200\"} 2\n"));
}

void one_of_each(WorkerMetrics& metrics) {
  constexpr std::string_view kLong = "a name that is too long for the short-string optimisation";
  metrics.request(kLong, "DELETE", 200, 1ms);
  metrics.upstream(kLong, 1ms);
  metrics.decision(kLong, "jwt", "refused", "a reason that is long enough to need memory of its own");
  metrics.connection_opened(kLong);
  metrics.connection_closed(kLong);
  metrics.connection_refused(kLong, "full");
  metrics.handshake_failed(kLong);
  metrics.malformed_request(kLong);
  metrics.store_command(kLong, "ok");
  metrics.refresh(kLong);
  metrics.revocation(kLong);
}

TEST(WorkerMetrics, AllocatesNothingOnceTheLabelsAreKnown) {
  WorkerMetrics metrics;
  const std::size_t cold = allocations();
  one_of_each(metrics);
  EXPECT_GT(allocations(), cold);
  const std::size_t warm = allocations();
  for (int i = 0; i < 100; ++i) one_of_each(metrics);
  EXPECT_EQ(allocations(), warm);
}

}  // namespace
}  // namespace sallyport::observe
