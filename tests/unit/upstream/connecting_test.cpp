// Reaching an upstream: which server, what may be tried again, and TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tls_server.hpp"
#include "worker.hpp"

namespace sallyport::upstream {
namespace {

using http::Method;
using testing::answering;
using testing::ClosedPort;
using testing::FakeExchange;
using ::testing::HasSubstr;
using testing::kOk;
using testing::Peer;
using testing::ScriptedUpstream;
using testing::server_at;
using testing::settings_for;
using testing::TlsServer;
using testing::Worker;

TEST(Connecting, O01_ReportsARefusedConnection) {
  const ClosedPort nobody;
  Worker worker(settings_for({server_at(nobody.port())}));
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::connect_failed);
  EXPECT_THAT(result.detail, HasSubstr("refused"));
  EXPECT_EQ(result.upstream_status, 0);
  EXPECT_FALSE(exchange.started());
}

TEST(Connecting, O01_ReportsANameThatDoesNotExist) {
  ServerSettings server = server_at(80);
  server.host = "no-such-host.invalid";
  UpstreamSettings settings = settings_for({server});
  settings.connect_timeout = std::chrono::seconds(10);
  Worker worker(std::move(settings));
  FakeExchange exchange;
  const ForwardStatus status = worker.forward(exchange).status;
  // Without a name server the resolver may also take longer than the timeout.
  EXPECT_TRUE(status == ForwardStatus::connect_failed || status == ForwardStatus::timed_out);
  EXPECT_FALSE(exchange.started());
}

TEST(Connecting, LooksUpNames) {
  ScriptedUpstream server({answering(std::string(kOk))});
  ServerSettings named = server_at(server.port());
  named.host = "localhost";
  Worker worker(settings_for({named}));
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written, "ok");
}

TEST(Connecting, O01_GoesToTheNextServerWhateverTheMethodIs) {
  const ClosedPort nobody;
  ScriptedUpstream server({[](Peer& peer) {
    peer.read_head();
    const std::string body = peer.read_exactly(5);
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body);
    peer.read_to_end();
  }});
  Worker worker(settings_for({server_at(nobody.port(), 1000), server_at(server.port())}));
  FakeExchange exchange(Method::post, "POST");
  exchange.sized_body(5);
  exchange.body.push_back({"hello", true});
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(result.server, "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(exchange.written, "hello");
}

TEST(Connecting, O01_AsksEachUnreachableServerOnce) {
  const ClosedPort first;
  const ClosedPort second;
  Worker worker(settings_for({server_at(first.port()), server_at(second.port())}));
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::connect_failed);
}

TEST(Connecting, TimesOutAServerThatDoesNotAcceptTls) {
  std::promise<void> over;
  ScriptedUpstream server({[&](Peer&) { over.get_future().wait(); }});
  test::TemporaryFolder folder;
  UpstreamSettings settings = settings_for({server_at(server.port(), 1, true)});
  settings.tls = transport::UpstreamTlsSettings{
      .ca_file = folder.write("ca.crt", test::certificate_pem(test::make_authority())), .server_name = {}, .certificate = {}};
  settings.connect_timeout = std::chrono::milliseconds(150);
  Worker worker(std::move(settings));
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::timed_out);
  over.set_value();
}

TEST(Connecting, SpreadsRequestsOverServersByWeight) {
  std::atomic<int> first = 0;
  std::atomic<int> second = 0;
  const auto counting = [](std::atomic<int>& count) {
    return [&count](Peer& peer) {
      while (!peer.read_head().empty()) {
        ++count;
        peer.write(kOk);
      }
    };
  };
  ScriptedUpstream heavy({counting(first)});
  ScriptedUpstream light({counting(second)});
  {
    Worker worker(settings_for({server_at(heavy.port(), 3), server_at(light.port(), 1)}));
    for (int i = 0; i < 40; ++i) {
      FakeExchange exchange;
      ASSERT_EQ(worker.forward(exchange).status, ForwardStatus::answered);
    }
    EXPECT_EQ(worker.upstream().idle_connections(), 2U);
  }
  EXPECT_EQ(first, 30);
  EXPECT_EQ(second, 10);
}

// A server that answers once, then takes `requests` more on the kept connection and drops it unanswered.
struct DyingServer {
  std::atomic<int> dropped = 0;
  std::atomic<int> answered = 0;
  ScriptedUpstream::Script first() {
    return [this](Peer& peer) {
      peer.read_head();
      peer.write(kOk);
      if (!peer.read_head().empty()) ++dropped;
    };
  }
  ScriptedUpstream::Script later() {
    return [this](Peer& peer) {
      while (!peer.read_head().empty()) {
        ++answered;
        if (!peer.write(kOk)) return;
      }
    };
  }
};

ForwardStatus forward_on_a_dying_connection(Worker& worker, FakeExchange& exchange) {
  FakeExchange warm_up;
  EXPECT_EQ(worker.forward(warm_up).status, ForwardStatus::answered);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  return worker.forward(exchange).status;
}

TEST(Connecting, O03_RetriesAnIdempotentRequestOnceOnANewConnection) {
  DyingServer dying;
  ScriptedUpstream server({dying.first(), dying.later()});
  {
    Worker worker(server);
    FakeExchange exchange;
    EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::answered);
    EXPECT_EQ(exchange.written, "ok");
    EXPECT_EQ(worker.upstream().idle_connections(), 1U);
  }
  server.stop();
  EXPECT_EQ(dying.dropped, 1);
  EXPECT_EQ(dying.answered, 1);
  EXPECT_EQ(server.connections(), 2);
}

TEST(Connecting, O03_NeverSendsAPostTwice) {
  for (const bool with_body : {false, true}) {
    SCOPED_TRACE(with_body);
    DyingServer dying;
    ScriptedUpstream server({dying.first(), dying.later()});
    {
      Worker worker(server);
      FakeExchange exchange(Method::post, "POST");
      if (with_body) {
        exchange.sized_body(5);
        exchange.body.push_back({"hello", true});
      }
      EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::broken);
      EXPECT_FALSE(exchange.started());
    }
    server.stop();
    EXPECT_EQ(dying.dropped, 1);
    EXPECT_EQ(dying.answered, 0);
    EXPECT_EQ(server.connections(), 1);
  }
}

TEST(Connecting, O03_DoesNotRetryWhenRetriesAreOff) {
  DyingServer dying;
  ScriptedUpstream server({dying.first(), dying.later()});
  UpstreamSettings settings = settings_for({server_at(server.port())});
  settings.retries = 0;
  Worker worker(std::move(settings));
  FakeExchange exchange;
  EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::broken);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Connecting, O03_DoesNotRetryOnAConnectionThatWasNew) {
  ScriptedUpstream server({[](Peer& peer) { peer.read_head(); }, answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::broken);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Connecting, O03_DoesNotRetryOnceAnAnswerBegan) {
  ScriptedUpstream server({[](Peer& peer) {
                             peer.read_head();
                             peer.write(kOk);
                             peer.read_head();
                             peer.write("H");
                           },
                           answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange;
  EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::broken);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Connecting, O03_SendsAWholeBodyAgainWithAnIdempotentRequest) {
  std::string again;
  ScriptedUpstream server({[](Peer& peer) {
                             peer.read_head();
                             peer.write(kOk);
                             peer.read_head();
                             peer.read_exactly(5);
                           },
                           [&](Peer& peer) {
                             peer.read_head();
                             again = peer.read_exactly(5);
                             peer.write(kOk);
                             peer.read_to_end();
                           }});
  Worker worker(server);
  FakeExchange exchange(Method::put, "PUT");
  exchange.sized_body(5);
  exchange.body.push_back({"hello", true});
  EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::answered);
  EXPECT_EQ(again, "hello");
}

TEST(Connecting, O03_DoesNotRetryABodyThatIsPartlyGone) {
  std::promise<void> dropped;
  ScriptedUpstream server({[&](Peer& peer) {
                             peer.read_head();
                             peer.write(kOk);
                             peer.read_head();
                             peer.read_exactly(5);
                             peer.reset();
                             dropped.set_value();
                           },
                           answering(std::string(kOk))});
  Worker worker(server);
  FakeExchange exchange(Method::put, "PUT");
  exchange.sized_body(10);
  exchange.body.push_back({"hello", false});
  exchange.body.push_back({"world", false, [&] { dropped.get_future().wait(); }});
  EXPECT_EQ(forward_on_a_dying_connection(worker, exchange), ForwardStatus::broken);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Connecting, O03_AClosedKeptConnectionCostsNothing) {
  std::promise<void> closed;
  ScriptedUpstream server({[&](Peer& peer) {
                             peer.read_head();
                             peer.write(kOk);
                             peer.close();
                             closed.set_value();
                           },
                           answering(std::string(kOk))});
  UpstreamSettings settings = settings_for({server_at(server.port())});
  settings.retries = 0;
  Worker worker(std::move(settings));
  FakeExchange warm_up;
  EXPECT_EQ(worker.forward(warm_up).status, ForwardStatus::answered);
  closed.get_future().wait();
  FakeExchange exchange(Method::post, "POST");
  EXPECT_EQ(worker.forward(exchange).status, ForwardStatus::answered) << "seen before anything was sent: even a POST may go";
}

// TLS --------------------------------------------------------------------------------------------------------------------------

class ConnectingTls : public ::testing::Test {
 protected:
  test::CertificateWish wish(std::vector<test::AltName> names) {
    return {.common_name = "orders.internal", .alt_names = std::move(names), .extended_key_usage = "serverAuth"};
  }
  UpstreamSettings tls_settings(const ScriptedUpstream& server, std::string name) {
    UpstreamSettings settings = settings_for({server_at(server.port(), 1, true)});
    settings.tls = transport::UpstreamTlsSettings{
        .ca_file = folder_.write("ca.crt", test::certificate_pem(authority_)), .server_name = std::move(name), .certificate = {}};
    return settings;
  }
  // Nothing may be sent to a server that could not prove who it is.
  void expect_refused(SSL_CTX* context, const std::string& name) {
    std::string seen;
    ScriptedUpstream server({[&](Peer& peer) { seen = peer.read_to_end(); }}, context);
    {
      Worker worker(tls_settings(server, name));
      FakeExchange exchange;
      const ForwardResult result = worker.forward(exchange);
      EXPECT_EQ(result.status, ForwardStatus::connect_failed);
      EXPECT_FALSE(result.detail.empty());
      EXPECT_FALSE(exchange.started());
    }
    server.stop();
    EXPECT_EQ(seen, "");
  }

  test::TemporaryFolder folder_;
  test::Identity authority_ = test::make_authority();
};

TEST_F(ConnectingTls, L15_ForwardsToAServerThatProvesItsName) {
  TlsServer tls(folder_, "good", test::make_identity(wish({test::dns("orders.internal")}), &authority_));
  std::string name;
  ScriptedUpstream server({[&](Peer& peer) {
                            name = peer.server_name();
                            answering(std::string(kOk))(peer);
                          }},
                          tls.context.get());
  Worker worker(tls_settings(server, "orders.internal"));
  for (int i = 0; i < 3; ++i) {
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    ASSERT_EQ(result.status, ForwardStatus::answered) << result.detail;
    EXPECT_EQ(exchange.written, "ok");
  }
  EXPECT_EQ(name, "orders.internal") << "SNI";
  EXPECT_EQ(server.connections(), 1) << "session tickets behind the handshake are no noise";
}

TEST_F(ConnectingTls, L15_ChecksTheServersAddressWhenNoNameIsGiven) {
  TlsServer tls(folder_, "address", test::make_identity(wish({test::ip(std::string("\x7f\0\0\x01", 4))}), &authority_));
  ScriptedUpstream server({answering(std::string(kOk))}, tls.context.get());
  Worker worker(tls_settings(server, ""));
  FakeExchange exchange;
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
}

TEST_F(ConnectingTls, L08_ShowsItsCertificateToAServerThatAsks) {
  TlsServer tls(folder_, "asking", test::make_identity(wish({test::dns("orders.internal")}), &authority_));
  folder_.write("clients.crt", test::certificate_pem(authority_));
  ASSERT_EQ(SSL_CTX_load_verify_file(tls.context.get(), folder_.file("clients.crt").c_str()), 1);
  SSL_CTX_set_verify(tls.context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ScriptedUpstream server({answering(std::string(kOk))}, tls.context.get());
  const test::Identity gateway = test::make_identity(
      {.common_name = "gateway", .alt_names = {test::dns("gateway.internal")}, .extended_key_usage = "clientAuth"}, &authority_);
  const test::IdentityFiles files = test::write_identity(folder_, "gateway", gateway);
  for (const bool shows : {true, false}) {
    SCOPED_TRACE(shows);
    UpstreamSettings settings = tls_settings(server, "orders.internal");
    if (shows) settings.tls->certificate = {{files.certificate_file, files.key_file}};
    Worker worker(std::move(settings));
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status == ForwardStatus::answered, shows) << result.detail;
  }
}

TEST_F(ConnectingTls, L15_RefusesAnotherName) {
  TlsServer tls(folder_, "other", test::make_identity(wish({test::dns("users.internal")}), &authority_));
  expect_refused(tls.context.get(), "orders.internal");
}

TEST_F(ConnectingTls, L15_RefusesANameThatStandsInTheCommonNameOnly) {
  TlsServer tls(folder_, "cn", test::make_identity(wish({}), &authority_));
  expect_refused(tls.context.get(), "orders.internal");
}

TEST_F(ConnectingTls, L15_RefusesASelfSignedCertificate) {
  TlsServer tls(folder_, "self", test::make_identity(wish({test::dns("orders.internal")})));
  expect_refused(tls.context.get(), "orders.internal");
}

TEST_F(ConnectingTls, L15_RefusesAnExpiredCertificate) {
  test::CertificateWish expired = wish({test::dns("orders.internal")});
  expired.not_before_seconds = -7200;
  expired.not_after_seconds = -3600;
  TlsServer tls(folder_, "expired", test::make_identity(expired, &authority_));
  expect_refused(tls.context.get(), "orders.internal");
}

TEST_F(ConnectingTls, L15_RefusesTls10) {
  TlsServer tls(folder_, "old", test::make_identity(wish({test::dns("orders.internal")}), &authority_));
  SSL_CTX_set_min_proto_version(tls.context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(tls.context.get(), TLS1_VERSION);
  SSL_CTX_set_security_level(tls.context.get(), 0);
  expect_refused(tls.context.get(), "orders.internal");
}

TEST_F(ConnectingTls, L11_CutsAnAnswerThatWasTruncated) {
  TlsServer tls(folder_, "cut", test::make_identity(wish({test::dns("orders.internal")}), &authority_));
  for (const bool in_order : {true, false}) {
    SCOPED_TRACE(in_order ? "close_notify" : "FIN alone");
    ScriptedUpstream server({[&](Peer& peer) {
                              peer.read_head();
                              peer.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
                              if (in_order) peer.close_notify();
                            }},
                            tls.context.get());
    Worker worker(tls_settings(server, "orders.internal"));
    FakeExchange exchange;
    const ForwardResult result = worker.forward(exchange);
    EXPECT_EQ(result.status, in_order ? ForwardStatus::answered : ForwardStatus::answer_cut);
    EXPECT_EQ(exchange.finished, in_order);
    EXPECT_EQ(exchange.aborted, !in_order);
  }
}

TEST_F(ConnectingTls, StreamsLargeBodiesBothWays) {
  TlsServer tls(folder_, "large", test::make_identity(wish({test::dns("orders.internal")}), &authority_));
  constexpr std::size_t kPieces = 256;
  constexpr std::size_t kPieceBytes = 16 * 1024;
  ScriptedUpstream server({[&](Peer& peer) {
                            peer.read_head();
                            const std::string body = peer.read_exactly(kPieces * kPieceBytes);
                            peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
                            peer.read_to_end();
                          }},
                          tls.context.get());
  Worker worker(tls_settings(server, "orders.internal"));
  FakeExchange exchange(Method::post, "POST");
  exchange.sized_body(kPieces * kPieceBytes);
  std::string sent;
  for (std::size_t i = 0; i < kPieces; ++i) {
    exchange.body.push_back({std::string(kPieceBytes, static_cast<char>('a' + i % 26)), false});
    sent += exchange.body.back().bytes;
  }
  const ForwardResult result = worker.forward(exchange);
  EXPECT_EQ(result.status, ForwardStatus::answered) << result.detail;
  EXPECT_EQ(exchange.written, sent);
  EXPECT_LE(exchange.largest_write, 64U * 1024);
  EXPECT_EQ(worker.upstream().idle_connections(), 1U);
}

}  // namespace
}  // namespace sallyport::upstream
