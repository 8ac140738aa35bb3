// Bodies on their way to an upstream that speaks TLS, whose answer comes in parts of a record.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tls_server.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using testing::FakeExchange;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::TlsServer;
using testing::Worker;

// A worker that spins never comes back to its test: the process ends instead.
class Watchdog {
 public:
  Watchdog() { ::alarm(60); }
  ~Watchdog() { ::alarm(0); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
};

class TlsUploading : public ::testing::Test {
 protected:
  UpstreamSettings settings_for(const ScriptedUpstream& server) {
    UpstreamSettings settings = testing::settings_for({testing::server_at(server.port(), 1, true)});
    settings.tls = transport::UpstreamTlsSettings{
        .ca_file = folder_.write("ca.crt", test::certificate_pem(authority_)), .server_name = "orders.internal", .certificate = {}};
    return settings;
  }
  // A body that is larger than all buffers between the two ends: it waits until the server reads.
  static constexpr std::size_t kBodyBytes = 32 * 1024 * 1024;
  static void add_body(FakeExchange& exchange) {
    exchange.sized_body(kBodyBytes);
    for (std::size_t at = 0; at < kBodyBytes; at += 16 * 1024) exchange.body.push_back({std::string(16 * 1024, 'x'), false});
  }
  // Starts it and goes on until the body waits for room.
  static std::unique_ptr<Worker::Pending> begin_and_get_stuck(Worker& worker, FakeExchange& exchange, std::promise<void>& is_stuck) {
    std::unique_ptr<Worker::Pending> pending = worker.begin(exchange);
    for (std::size_t before = 0; before != exchange.body.size(); worker.context().run_one_for(std::chrono::milliseconds(300))) {
      before = exchange.body.size();
    }
    is_stuck.set_value();
    return pending;
  }

  const Watchdog watchdog_;
  test::TemporaryFolder folder_;
  test::Identity authority_ = test::make_authority();
  TlsServer tls_{folder_, "good",
                 test::make_identity({.common_name = "orders.internal", .alt_names = {test::dns("orders.internal")}}, &authority_)};
};

TEST_F(TlsUploading, M14_WaitsForTheRestOfARecordWithTheHeadOfAnEarlyAnswer) {
  std::promise<void> is_stuck;
  Worker* running = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
                            peer.read_head();
                            is_stuck.get_future().wait();
                            const std::string record = peer.seal("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
                            peer.write_sealed(record.substr(0, 20));
                            EXPECT_TRUE(running->settle());
                            peer.write_sealed(record.substr(20));
                            peer.read_to_end();  // a close with unread bytes would reset the answer away
                          }},
                          tls_.context.get());
  Worker worker(settings_for(server));
  running = &worker;
  FakeExchange exchange(http::Method::post, "POST");
  add_body(exchange);
  const auto pending = begin_and_get_stuck(worker, exchange, is_stuck);
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.status, 413);
  EXPECT_EQ(exchange.written, "big");
}

TEST_F(TlsUploading, M14_WaitsForTheRestOfARecordOfAnAnswerBesideTheBody) {
  std::promise<void> is_stuck;
  Worker* running = nullptr;
  ScriptedUpstream server({[&](Peer& peer) {
                            peer.read_head();
                            is_stuck.get_future().wait();
                            const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                            peer.write(head + "3\r\none\r\n");
                            EXPECT_TRUE(running->settle());
                            const std::string record = peer.seal("3\r\ntwo\r\n");
                            peer.write_sealed(record.substr(0, 20));
                            EXPECT_TRUE(running->settle());
                            peer.write_sealed(record.substr(20));
                            peer.read_exactly(kBodyBytes);
                            peer.write("0\r\n\r\n");
                          }},
                          tls_.context.get());
  Worker worker(settings_for(server));
  running = &worker;
  FakeExchange exchange(http::Method::post, "POST");
  exchange.may_keep_reading = true;
  add_body(exchange);
  const auto pending = begin_and_get_stuck(worker, exchange, is_stuck);
  const ForwardResult result = worker.finish(*pending);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written, "onetwo");
  EXPECT_TRUE(exchange.finished);
}

}  // namespace
}  // namespace sallyport::upstream
