// A session over TLS, where bytes can lie in OpenSSL that the kernel knows nothing of.
#include <gtest/gtest.h>

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

TEST(Http1SessionOverTls, AnswersWhatOpenSslHasReadWhenItGivesItsBuffersBack) {
  constexpr int kRequests = 200;
  const test::TemporaryFolder folder;
  const test::IdentityFiles files =
      test::write_identity(folder, "server", test::make_identity({.common_name = "localhost", .alt_names = {test::dns("localhost")}}));
  Result<transport::SslContext> context = transport::make_tls_context(transport::TlsRole::server, transport::TlsVersion::v1_2);
  ASSERT_TRUE(context && transport::use_certificate(context->get(), {files.certificate_file, files.key_file}));
  const transport::SslContext client_context = test::plain_client_context();
  test::Loop loop;
  const test::DescriptorPair pair = test::connected_tcp();
  const test::Descriptor peer(pair.peer);
  transport::Stream stream(loop.context, pair.ours, loop.wheel);
  StallingHandler handler;

  std::size_t answered = 0;
  std::thread client([&] {
    test::TlsPeer tls(peer.get(), client_context.get());
    ASSERT_TRUE(tls.handshake());
    // Each request in a record of its own, all of them in one go.
    for (int i = 0; i < kRequests; ++i) {
      const std::string request =
          "GET / HTTP/1.1\r\nHost: localhost\r\n" + std::string(i + 1 == kRequests ? "Connection: close\r\n" : "") + "\r\n";
      ASSERT_GT(SSL_write(tls.ssl(), request.data(), static_cast<int>(request.size())), 0);
    }
    ASSERT_TRUE(tls.flush());
    for (std::string piece = tls.read(); !piece.empty(); piece = tls.read()) {
      for (std::size_t at = 0; (at = piece.find("HTTP/1.1 204", at)) != std::string::npos; ++at) ++answered;
    }
  });
  loop.run(serve(stream, context->get(), handler));
  stream.abort();
  client.join();
  EXPECT_EQ(handler.handled, kRequests);
  EXPECT_EQ(answered, static_cast<std::size_t>(kRequests));
}

}  // namespace
}  // namespace sallyport::http
