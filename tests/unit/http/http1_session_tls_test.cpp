// A session over TLS, where bytes can lie in OpenSSL that the kernel knows nothing of.
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "../transport/stream_fixture.hpp"
#include "http/http1_session.hpp"

namespace sallyport::http {
namespace {

// Answers everything with 204. The process stands still for a moment with the first, as virtual machines do.
class StallingHandler final : public RequestHandler {
 public:
  Task<void> handle(Exchange& exchange) override {
    if (handled++ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    exchange.start(204, {}, {});
    static_cast<void>(co_await exchange.finish());
  }
  Task<void> refuse(Exchange& exchange, RequestFault, std::string_view) override {
    exchange.abort();
    co_return;
  }

  int handled = 0;
};

Task<void> serve(transport::Stream& stream, ssl_ctx_st* context, RequestHandler& handler) {
  stream.expire_after(std::chrono::seconds(20));
  const Result<void> accepted = co_await stream.accept_tls(context);
  EXPECT_TRUE(accepted);
  stream.never_expire();
  const Peer peer{.listener = "test", .address = "127.0.0.1", .is_tls = true};
  const Limits limits;
  Timeouts timeouts;
  timeouts.buffered = std::chrono::milliseconds(0);
  timeouts.idle = std::chrono::seconds(5);
  const Draining draining;
  const SystemClock clock;
  const SessionContext session{handler, limits, timeouts, draining, clock};
  SessionState state;
  co_await serve_http1(stream, peer, session, state);
}

// A session with one client, who writes each of `records` as one of TLS, all in one go, and reads to the end. What he read.
std::string talk(RequestHandler& handler, const std::vector<std::string>& records) {
  const test::TemporaryFolder folder;
  const test::IdentityFiles files =
      test::write_identity(folder, "server", test::make_identity({.common_name = "localhost", .alt_names = {test::dns("localhost")}}));
  Result<transport::SslContext> context = transport::make_tls_context(transport::TlsRole::server, transport::TlsVersion::v1_2);
  EXPECT_TRUE(context && transport::use_certificate(context->get(), {files.certificate_file, files.key_file}));
  const transport::SslContext client_context = test::plain_client_context();
  test::Loop loop;
  const test::DescriptorPair pair = test::connected_tcp();
  const test::Descriptor peer(pair.peer);
  transport::Stream stream(loop.context, pair.ours, loop.wheel);

  std::string answers;
  std::thread client([&] {
    test::TlsPeer tls(peer.get(), client_context.get());
    ASSERT_TRUE(tls.handshake());
    for (const std::string& record : records) ASSERT_GT(SSL_write(tls.ssl(), record.data(), static_cast<int>(record.size())), 0);
    ASSERT_TRUE(tls.flush());
    for (std::string piece = tls.read(); !piece.empty(); piece = tls.read()) answers += piece;
  });
  loop.run(serve(stream, context->get(), handler));
  stream.abort();
  client.join();
  return answers;
}

TEST(Http1SessionOverTls, AnswersWhatOpenSslHasReadWhenItGivesItsBuffersBack) {
  constexpr int kRequests = 200;
  std::vector<std::string> requests(kRequests - 1, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  requests.emplace_back("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  StallingHandler handler;
  const std::string answers = talk(handler, requests);
  EXPECT_EQ(handler.handled, kRequests);
  int answered = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 204", at)) != std::string::npos; ++at) ++answered;
  EXPECT_EQ(answered, kRequests);
}

// Takes what can be had of a body without waiting, once everything has come, and then waits for the rest.
class HastyHandler final : public RequestHandler {
 public:
  Task<void> handle(Exchange& exchange) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    BodyPiece piece = exchange.buffered_body();
    for (; piece.state == BodyState::more && !piece.bytes.empty(); piece = exchange.buffered_body()) hasty.push_back(piece.bytes.size());
    while (piece.state == BodyState::more) {
      piece = co_await exchange.read_body();
      rest += piece.bytes.size();
    }
    exchange.start(204, {}, {});
    static_cast<void>(co_await exchange.finish());
  }
  Task<void> refuse(Exchange& exchange, RequestFault, std::string_view) override {
    exchange.abort();
    co_return;
  }

  std::vector<std::size_t> hasty;
  std::size_t rest = 0;
};

const std::string kPost = "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 8000\r\n\r\n";

TEST(Http1SessionOverTls, TakesAllOfARecordThatIsLargerThanTheFirstRead) {
  HastyHandler handler;
  talk(handler, {kPost + std::string(8'000, 'b')});
  EXPECT_EQ(std::accumulate(handler.hasty.begin(), handler.hasty.end(), std::size_t(0)), 8'000U);
  EXPECT_EQ(handler.rest, 0U);
}

TEST(Http1SessionOverTls, M14_TakesFewOfManySmallRecordsWithoutAWait) {
  std::vector<std::string> records(8'000, "b");
  records.insert(records.begin(), kPost);
  HastyHandler handler;
  talk(handler, records);
  EXPECT_LT(handler.hasty.size(), 10U);
  EXPECT_EQ(std::accumulate(handler.hasty.begin(), handler.hasty.end(), std::size_t(0)) + handler.rest, 8'000U);
}

}  // namespace
}  // namespace sallyport::http
