#include <random>

#include "stream_fixture.hpp"

namespace sallyport::transport {
namespace {

using test::connected_tcp;
using test::Descriptor;
using test::Loop;
using test::pause;
using test::read_text;
using test::read_to_end;
using test::TlsPeer;
using namespace std::chrono_literals;

constexpr auto kTlsPatience = 20s;

// One server context for all tests: P-256, "localhost", signed by itself.
struct TlsStreamTest : ::testing::Test {
  static SslContext make_server_context() {
    static const test::TemporaryFolder folder;
    static const test::IdentityFiles files =
        test::write_identity(folder, "server", test::make_identity({.common_name = "localhost", .alt_names = {test::dns("localhost")}}));
    Result<SslContext> context = make_tls_context(TlsRole::server, TlsVersion::v1_2);
    EXPECT_TRUE(use_certificate(context->get(), {files.certificate_file, files.key_file}));
    return std::move(*context);
  }

  // The server's handshake, with the client doing `client` on its own thread.
  Result<void> accept(const std::function<void(TlsPeer&)>& client, std::size_t piece = SIZE_MAX) {
    Result<void> outcome = make_error(Fault::internal, "never ran");
    std::thread thread([&] {
      TlsPeer tls(peer.get(), client_context.get(), piece);
      client(tls);
    });
    loop.run([](TlsStreamTest& self, Result<void>& result) -> Task<void> {
      self.stream.expire_after(kTlsPatience);
      result = co_await self.stream.accept_tls(self.server_context.get());
      if (!result) self.stream.abort();
    }(*this, outcome));
    thread.join();
    return outcome;
  }
  // The same, and then `server` goes on with the stream while the client still runs.
  void serve(const std::function<void(TlsPeer&)>& client, const std::function<Task<void>(Stream&)>& server, std::size_t piece = SIZE_MAX) {
    std::thread thread([&] {
      TlsPeer tls(peer.get(), client_context.get(), piece);
      client(tls);
    });
    loop.run([](TlsStreamTest& self, const std::function<Task<void>(Stream&)>& go_on) -> Task<void> {
      self.stream.expire_after(kTlsPatience);
      const Result<void> result = co_await self.stream.accept_tls(self.server_context.get());
      EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().detail);
      if (result) co_await go_on(self.stream);
      self.stream.abort();
    }(*this, server));
    thread.join();
  }

  Loop loop;
  test::DescriptorPair pair = connected_tcp();
  Stream stream{loop.context, pair.ours, loop.wheel};
  Descriptor peer{pair.peer};
  SslContext server_context = make_server_context();
  SslContext client_context = test::plain_client_context();
};

Task<void> echo(Stream& stream) {
  std::vector<char> buffer(16 * 1024);
  for (;;) {
    const IoResult got = co_await stream.read_some(buffer);
    if (!got.ok()) break;
    const IoResult sent = co_await stream.write_all(std::span(buffer).first(got.bytes));
    if (!sent.ok()) break;
  }
  stream.shutdown_write();
}

// A record that waits for the round's end is made before the next one: the peer would refuse them in another order.
TEST_F(TlsStreamTest, WhatIsWrittenSoonKeepsItsPlaceAmongTheRecords) {
  std::string got;
  serve(
      [&](TlsPeer& tls) {
        if (!tls.handshake()) return;
        tls.write("go");
        for (std::string piece = tls.read(); !piece.empty(); piece = tls.read()) got += piece;
      },
      [](Stream& stream) -> Task<void> {
        std::array<char, 2> go{};
        const IoResult read = co_await stream.read_some(go);
        EXPECT_TRUE(read.ok());
        EXPECT_TRUE(stream.write_soon(std::string_view("one ")).ok());
        EXPECT_TRUE(stream.write_soon(std::string_view("two ")).ok());
        const IoResult written = co_await stream.write_all(std::string_view("three "));
        EXPECT_TRUE(written.ok());
        EXPECT_TRUE(stream.write_soon(std::string_view("four")).ok());
        stream.shutdown_write();
      });
  EXPECT_EQ(got, "one two three four");
}

TEST_F(TlsStreamTest, NothingIsWrittenSoonWithoutHarm) {
  int ends = 0;
  serve(
      [&](TlsPeer& tls) {
        if (!tls.handshake()) return;
        tls.write("go");
        EXPECT_EQ(tls.read(), "body");
        EXPECT_EQ(tls.read(), "");
        ends = SSL_get_shutdown(tls.ssl());
      },
      [](Stream& stream) -> Task<void> {
        std::array<char, 2> go{};
        const IoResult read = co_await stream.read_some(go);
        EXPECT_TRUE(read.ok());
        const IoResult body = co_await stream.write_all(std::string_view("body"));
        EXPECT_TRUE(body.ok());
        EXPECT_TRUE(stream.write_soon(std::string_view()).ok());
        EXPECT_FALSE(stream.has_unsent());
        stream.shutdown_write();
      });
  EXPECT_NE(ends & SSL_RECEIVED_SHUTDOWN, 0) << "no close_notify";
}

struct VersionRow {
  const char* name;
  int version;
  const char* text;
};
struct TlsVersions : TlsStreamTest, ::testing::WithParamInterface<VersionRow> {};

TEST_P(TlsVersions, EchoesALotBothWays) {
  SSL_CTX_set_min_proto_version(client_context.get(), GetParam().version);
  SSL_CTX_set_max_proto_version(client_context.get(), GetParam().version);
  std::string sent;
  while (sent.size() < 1'000'000) sent += std::to_string(sent.size());
  std::string got;
  std::string_view version;
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        for (std::string_view rest = sent; !rest.empty();) {
          const std::string_view piece = rest.substr(0, 50'000);
          rest.remove_prefix(piece.size());
          ASSERT_TRUE(tls.write(piece));
          for (std::size_t want = got.size() + piece.size(); got.size() < want;) {
            const std::string more = tls.read();
            ASSERT_FALSE(more.empty());
            got += more;
          }
        }
        SSL_shutdown(tls.ssl());
        tls.flush();
      },
      [&](Stream& s) -> Task<void> {
        version = s.tls_version();
        return echo(s);
      });
  EXPECT_TRUE(got == sent);
  EXPECT_EQ(version, GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Tls, TlsVersions,
                         ::testing::Values(VersionRow{"tls12", TLS1_2_VERSION, "TLSv1.2"}, VersionRow{"tls13", TLS1_3_VERSION, "TLSv1.3"}),
                         [](const auto& row) { return row.param.name; });

struct OldVersionRow {
  const char* name;
  int version;
};
struct OldTlsVersions : TlsStreamTest, ::testing::WithParamInterface<OldVersionRow> {};

TEST_P(OldTlsVersions, L01_AreRefused) {
  SSL_CTX_set_min_proto_version(client_context.get(), GetParam().version);
  SSL_CTX_set_max_proto_version(client_context.get(), GetParam().version);
  SSL_CTX_set_cipher_list(client_context.get(), "ALL:@SECLEVEL=0");
  bool client_ok = true;
  const Result<void> outcome = accept([&](TlsPeer& tls) { client_ok = tls.handshake(); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error(), make_error(Fault::broken, "unsupported protocol"));
  EXPECT_FALSE(client_ok);
}

INSTANTIATE_TEST_SUITE_P(Tls, OldTlsVersions,
                         ::testing::Values(OldVersionRow{"tls10", TLS1_VERSION}, OldVersionRow{"tls11", TLS1_1_VERSION}),
                         [](const auto& row) { return row.param.name; });

struct SuiteRow {
  const char* name;
  const char* suite;
  bool accepted;
};
struct TlsSuites : TlsStreamTest, ::testing::WithParamInterface<SuiteRow> {};

TEST_P(TlsSuites, L02_AreOnlyTheModernOnes) {
  SSL_CTX_set_max_proto_version(client_context.get(), TLS1_2_VERSION);
  ASSERT_EQ(SSL_CTX_set_cipher_list(client_context.get(), (std::string(GetParam().suite) + ":@SECLEVEL=0").c_str()), 1);
  bool client_ok = false;
  const Result<void> outcome = accept([&](TlsPeer& tls) { client_ok = tls.handshake(); });
  EXPECT_EQ(outcome.has_value(), GetParam().accepted);
  EXPECT_EQ(client_ok, GetParam().accepted);
  if (!outcome) {
    EXPECT_EQ(outcome.error().detail, "no shared cipher");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Tls, TlsSuites,
    ::testing::Values(SuiteRow{"aes128_gcm", "ECDHE-ECDSA-AES128-GCM-SHA256", true},
                      SuiteRow{"chacha20", "ECDHE-ECDSA-CHACHA20-POLY1305", true}, SuiteRow{"cbc_sha1", "ECDHE-ECDSA-AES128-SHA", false},
                      SuiteRow{"cbc_sha256", "ECDHE-ECDSA-AES128-SHA256", false}, SuiteRow{"rsa_key_exchange", "AES128-GCM-SHA256", false},
                      SuiteRow{"finite_field_dh", "DHE-RSA-AES128-GCM-SHA256", false}, SuiteRow{"anonymous", "AECDH-AES128-SHA", false},
                      SuiteRow{"null_encryption", "ECDHE-ECDSA-NULL-SHA", false}, SuiteRow{"ccm8", "ECDHE-ECDSA-AES128-CCM8", false}),
    [](const auto& row) { return row.param.name; });

TEST_F(TlsStreamTest, L03_RenegotiationIsRefusedAndTheConnectionStaysWhatItWas) {
  SSL_CTX_set_max_proto_version(client_context.get(), TLS1_2_VERSION);
  int renegotiated = 1;
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        ASSERT_TRUE(tls.write("before"));
        ASSERT_EQ(tls.read(), "before");
        ASSERT_EQ(SSL_renegotiate(tls.ssl()), 1);
        renegotiated = tls.drive([&] { return SSL_do_handshake(tls.ssl()); });
        peer.close();
      },
      [](Stream& s) { return echo(s); });
  EXPECT_NE(renegotiated, 1);
}

void send_key_updates(TlsPeer& tls, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    ASSERT_EQ(SSL_key_update(tls.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    if (tls.drive([&] { return SSL_do_handshake(tls.ssl()); }) != 1) return;
  }
}

TEST_F(TlsStreamTest, L03_AFloodOfKeyUpdatesEndsTheConnection) {
  IoStatus end{};
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        for (int i = 0; i < 20; ++i) send_key_updates(tls, 50);
        tls.read();
      },
      [&](Stream& s) -> Task<void> {
        return [](Stream& same, IoStatus& status) -> Task<void> {
          std::array<char, 64> buffer{};
          const IoResult result = co_await same.read_some(buffer);
          status = result.status;
        }(s, end);
      });
  EXPECT_EQ(end, IoStatus::failed);
}

TEST_F(TlsStreamTest, L03_KeyUpdatesBetweenDataAreServed) {
  std::string got;
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        for (int i = 0; i < 4; ++i) {
          send_key_updates(tls, Stream::kHandshakeMessagesMax / 2);
          ASSERT_TRUE(tls.write("x"));
          got += tls.read();
        }
        ASSERT_EQ(SSL_key_update(tls.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);  // ours must follow
        ASSERT_TRUE(tls.write("y"));
        got += tls.read();
        SSL_shutdown(tls.ssl());
        tls.flush();
      },
      [](Stream& s) { return echo(s); });
  EXPECT_EQ(got, "xxxxy");
}

TEST_F(TlsStreamTest, L04_NeitherCompressionNorEarlyDataIsOffered) {
  SSL_CTX_clear_options(client_context.get(), SSL_OP_NO_COMPRESSION);
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        EXPECT_EQ(SSL_get_current_compression(tls.ssl()), nullptr);
        ASSERT_TRUE(tls.write("x"));
        EXPECT_EQ(tls.read(), "x");  // the tickets came before it
        EXPECT_EQ(SSL_SESSION_get_max_early_data(SSL_get0_session(tls.ssl())), 0U);
        peer.close();
      },
      [](Stream& s) { return echo(s); });
}

TEST_F(TlsStreamTest, L09_AClientHelloInPiecesOfOneByteIsAccepted) {
  const Result<void> outcome = accept([](TlsPeer& tls) { EXPECT_TRUE(tls.handshake()); }, 1);
  EXPECT_TRUE(outcome.has_value());
}

struct GarbageRow {
  const char* name;
  std::string bytes;
  const char* detail;
};
struct TlsGarbage : TlsStreamTest, ::testing::WithParamInterface<GarbageRow> {};

TEST_P(TlsGarbage, L09_EndsTheHandshake) {
  peer.write(GetParam().bytes);
  Result<void> outcome{};
  loop.run([](TlsGarbage& self, Result<void>& result) -> Task<void> {
    self.stream.expire_after(kTlsPatience);
    result = co_await self.stream.accept_tls(self.server_context.get());
    self.stream.abort();
  }(*this, outcome));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().fault, Fault::broken);
  EXPECT_EQ(outcome.error().detail, GetParam().detail);
}

std::string random_bytes(std::size_t size) {
  std::mt19937 random(3);
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random() | 0x80);
  return bytes;
}

INSTANTIATE_TEST_SUITE_P(
    Tls, TlsGarbage,
    ::testing::Values(GarbageRow{"K23_plain_http", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http request"},
                      GarbageRow{"noise", random_bytes(64), "wrong version number"},
                      GarbageRow{"L12_record_too_long", std::string("\x16\x03\x01\x48\x01", 5) + std::string(64, 'x'),
                                 "packet length too long"},
                      GarbageRow{"wrong_hello_length", std::string("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", 10), "length too short"},
                      GarbageRow{"application_data_first", std::string("\x17\x03\x03\x00\x05hello", 10), "unexpected message"}),
    [](const auto& row) { return row.param.name; });

TEST_F(TlsStreamTest, AClientThatGoesAwayInTheHandshakeIsNoError) {
  peer.close();
  Result<void> outcome{};
  loop.run([](TlsStreamTest& self, Result<void>& result) -> Task<void> {
    self.stream.expire_after(kTlsPatience);
    result = co_await self.stream.accept_tls(self.server_context.get());
    self.stream.never_expire();
  }(*this, outcome));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().fault, Fault::closed);
}

TEST_F(TlsStreamTest, L10_AStalledHandshakeMeetsTheDeadline) {
  peer.write(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));  // a hello that does not go on
  Result<void> outcome{};
  loop.run([](TlsStreamTest& self, Result<void>& result) -> Task<void> {
    self.stream.expire_after(50ms);
    result = co_await self.stream.accept_tls(self.server_context.get());
  }(*this, outcome));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().fault, Fault::timed_out);
}

TEST_F(TlsStreamTest, L10_AHandshakeByteByByteDoesNotMoveTheDeadline) {
  bool over = false;
  loop.spawn([](Descriptor& slow, const bool& done) -> Task<void> {
    slow.write(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
    for (int i = 0; i < 400 && !done; ++i) {
      slow.write("x");
      co_await pause(5ms);
    }
  }(peer, over));
  Result<void> outcome{};
  loop.run([](TlsStreamTest& self, Result<void>& result, bool& done) -> Task<void> {
    self.stream.expire_after(100ms);
    result = co_await self.stream.accept_tls(self.server_context.get());
    done = true;
  }(*this, outcome, over));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().fault, Fault::timed_out);
}

TEST_F(TlsStreamTest, L11_AnEndWithoutCloseNotifyIsATruncation) {
  IoStatus end{};
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        ASSERT_TRUE(tls.write("half"));
        peer.shut_write();  // a FIN and no more: closing with tickets unread would be a reset
      },
      [&](Stream& s) -> Task<void> {
        return [](Stream& same, IoStatus& status) -> Task<void> {
          const std::string all = co_await read_to_end(same, status);
          EXPECT_EQ(all, "half");
        }(s, end);
      });
  EXPECT_EQ(end, IoStatus::truncated);
}

TEST_F(TlsStreamTest, L11_AnEndWithCloseNotifyIsOrderly) {
  IoStatus end{};
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        ASSERT_TRUE(tls.write("whole"));
        SSL_shutdown(tls.ssl());
        tls.flush();
        peer.shut_write();
      },
      [&](Stream& s) -> Task<void> {
        return [](Stream& same, IoStatus& status) -> Task<void> {
          const std::string all = co_await read_to_end(same, status);
          EXPECT_EQ(all, "whole");
        }(s, end);
      });
  EXPECT_EQ(end, IoStatus::closed);
}

TEST_F(TlsStreamTest, L12_ARecordThatDoesNotAuthenticateEndsTheConnection) {
  IoStatus end{};
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        peer.write(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
        tls.read();
      },
      [&](Stream& s) -> Task<void> {
        return [](Stream& same, IoStatus& status) -> Task<void> {
          const std::string all = co_await read_to_end(same, status);
          EXPECT_EQ(all, "");
          same.shutdown_write();
        }(s, end);
      });
  EXPECT_EQ(end, IoStatus::failed);
}

TEST_F(TlsStreamTest, ShutdownSendsACloseNotifyBeforeTheFin) {
  bool orderly = false;
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        EXPECT_EQ(tls.read(), "bye");
        EXPECT_EQ(tls.read(), "");
        orderly = (SSL_get_shutdown(tls.ssl()) & SSL_RECEIVED_SHUTDOWN) != 0;
        ASSERT_TRUE(tls.write("after"));  // the other direction is still open
      },
      [](Stream& s) -> Task<void> {
        const IoResult sent = co_await s.write_all(std::string_view("bye"));
        EXPECT_TRUE(sent.ok());
        s.shutdown_write();
        std::array<char, 64> buffer{};
        const IoResult got = co_await s.read_some(buffer);
        EXPECT_EQ(read_text(got, buffer), "after");
      });
  EXPECT_TRUE(orderly);
}

TEST_F(TlsStreamTest, M03_ATlsPeerThatDoesNotReadMeetsTheDeadlineOfTheWrite) {
  IoResult outcome{};
  serve([&](TlsPeer& tls) { ASSERT_TRUE(tls.handshake()); },
        [&](Stream& s) -> Task<void> {
          return [](Stream& same, IoResult& result) -> Task<void> {
            const std::string much(16 * 1024 * 1024, 'a');
            same.expire_after(60ms);
            result = co_await same.write_all(much);
          }(s, outcome);
        });
  EXPECT_EQ(outcome.status, IoStatus::timed_out);
  EXPECT_LT(outcome.bytes, 16U * 1024 * 1024);
}

TEST_F(TlsStreamTest, ABigWriteSurvivesManyFullSocketBuffers) {
  std::string got;
  const std::string much(16 * 1024 * 1024, 'a');
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        for (std::string piece = tls.read(); !piece.empty(); piece = tls.read()) got += piece;
        peer.shut_write();
      },
      [&](Stream& s) -> Task<void> {
        return [](Stream& same, const std::string& all) -> Task<void> {
          const IoResult sent = co_await same.write_all(all);
          EXPECT_TRUE(sent.ok());
          same.shutdown_write();
          std::array<char, 8> buffer{};
          const IoResult end = co_await same.read_some(buffer);  // until the client has read it all and gone
          EXPECT_FALSE(end.ok());
        }(s, much);
      });
  EXPECT_TRUE(got == much);
}

TEST_F(TlsStreamTest, AbortWakesATlsReader) {
  IoStatus end{};
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        tls.read();
      },
      [&](Stream& s) -> Task<void> {
        return [](Loop& loop, Stream& same, IoStatus& status) -> Task<void> {
          loop.spawn([](Stream& victim) -> Task<void> {
            co_await pause(20ms);
            victim.abort();
          }(same));
          std::array<char, 8> buffer{};
          const IoResult result = co_await same.read_some(buffer);
          status = result.status;
        }(loop, s, end);
      });
  EXPECT_EQ(end, IoStatus::failed);
}

TEST_F(TlsStreamTest, BytesThatOpenSslHoldsAreReadWithoutWaiting) {
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        ASSERT_TRUE(tls.write("abcdef"));
        EXPECT_EQ(tls.read(), "done");
      },
      [](Stream& s) -> Task<void> {
        std::array<char, 2> two{};
        IoResult got = co_await s.read_some(two);
        EXPECT_EQ(read_text(got, two), "ab");
        EXPECT_TRUE(s.has_buffered_input());
        EXPECT_FALSE(s.is_silent());
        got = s.try_read(two);
        EXPECT_EQ(read_text(got, two), "cd");
        got = s.try_read(two);
        EXPECT_EQ(read_text(got, two), "ef");
        EXPECT_FALSE(s.has_buffered_input());
        EXPECT_EQ(s.try_read(two).status, IoStatus::would_block);
        const IoResult sent = co_await s.write_all(std::string_view("done"));
        EXPECT_TRUE(sent.ok());
      });
}

// HAProxy 46b1fec0e: errors that a failed signature check left on the thread must not be taken for the connection's.
TEST_F(TlsStreamTest, R06_ErrorsOfOthersOnThisThreadDoNotEndTheConnection) {
  std::string got;
  serve(
      [&](TlsPeer& tls) {
        ASSERT_TRUE(tls.handshake());
        for (int i = 0; i < 3; ++i) {
          ASSERT_TRUE(tls.write("x"));
          got += tls.read();
        }
        SSL_shutdown(tls.ssl());
        tls.flush();
      },
      [](Stream& s) -> Task<void> {
        std::array<char, 8> buffer{};
        for (;;) {
          ERR_raise(ERR_LIB_RSA, RSA_R_BAD_SIGNATURE);
          const IoResult result = co_await s.read_some(buffer);
          if (!result.ok()) break;
          ERR_raise(ERR_LIB_RSA, RSA_R_BAD_SIGNATURE);
          const IoResult sent = co_await s.write_all(std::span(buffer).first(result.bytes));
          EXPECT_TRUE(sent.ok());
        }
        ERR_clear_error();
      });
  EXPECT_EQ(got, "xxx");
}

}  // namespace
}  // namespace sallyport::transport
