#include "listen/tls_server_context.hpp"

#include <set>

#include "support/manual_clock.hpp"
#include "unit/transport/stream_fixture.hpp"

namespace sallyport::listen {
namespace {

using test::connected_tcp;
using test::dns;
using test::make_identity;
using namespace std::chrono_literals;

struct TlsServerContextTest : testing::Test {
  transport::CertificateFiles certificate(const std::string& stem, std::vector<test::AltName> names, test::Key key = test::make_ec_key()) {
    const test::IdentityFiles files =
        test::write_identity(folder, stem, make_identity({.common_name = stem, .alt_names = std::move(names)}, nullptr, std::move(key)));
    return {files.certificate_file, files.key_file};
  }
  void SetUp() override {
    settings.certificates = {certificate("first", {dns("a.example"), dns("shared.example")}), certificate("second", {dns("b.example")}),
                             certificate("wild", {dns("*.wild.example"), dns("shared.example")})};
    rebuild();
  }
  void rebuild() {
    auto made = TlsServerContext::create(settings, "public", clock);
    ASSERT_TRUE(made) << made.error().detail;
    server = std::move(*made);
  }

  struct Outcome {
    bool client_ok = false;
    bool server_ok = false;
    std::string server_detail;
    std::string certificate;  // its common name
    std::string alpn;
    std::string alert;
    std::string sni;
    bool resumed = false;
    SSL_SESSION* session = nullptr;  // the client's, owned by the test
  };
  struct Wish {
    std::string server_name;
    std::string alpn;  // wire form
    SSL_SESSION* session = nullptr;
    int version = 0;
  };

  Outcome shake_hands(const Wish& wish) {
    test::Loop loop;
    const test::DescriptorPair pair = connected_tcp();
    test::Descriptor peer(pair.peer);
    transport::Stream stream(loop.context, pair.ours, loop.wheel);
    Outcome outcome;
    std::thread client([&] { outcome_of_client(peer.get(), wish, outcome); });
    loop.run([](transport::Stream& s, ssl_ctx_st* context, Outcome& out) -> Task<void> {
      s.expire_after(20s);
      const Result<void> accepted = co_await s.accept_tls(context);
      out.server_ok = accepted.has_value();
      if (!accepted) out.server_detail = accepted.error().detail;
      out.resumed = s.tls_resumed();
      out.sni = s.server_name();
      if (accepted) {
        const transport::IoResult sent = co_await s.write_all(std::string_view("x"));
        EXPECT_TRUE(sent.ok());
      }
      s.shutdown_write();
      std::array<char, 8> buffer{};
      const transport::IoResult end = co_await s.read_some(buffer);
      EXPECT_FALSE(end.ok());
      s.never_expire();
    }(stream, server->context(), outcome));
    client.join();
    return outcome;
  }

  static void outcome_of_client(int descriptor, const Wish& wish, Outcome& outcome) {
    const transport::SslContext context = test::plain_client_context();
    if (wish.version != 0) SSL_CTX_set_max_proto_version(context.get(), wish.version);
    test::TlsPeer tls(descriptor, context.get());
    if (!wish.server_name.empty()) SSL_set_tlsext_host_name(tls.ssl(), wish.server_name.c_str());
    if (!wish.alpn.empty()) {
      SSL_set_alpn_protos(tls.ssl(), reinterpret_cast<const unsigned char*>(wish.alpn.data()), static_cast<unsigned>(wish.alpn.size()));
    }
    if (wish.session != nullptr) SSL_set_session(tls.ssl(), wish.session);
    outcome.client_ok = tls.handshake();
    if (outcome.client_ok) {
      EXPECT_EQ(tls.read(), "x");  // the tickets of TLS 1.3 came before it
      outcome.session = SSL_get1_session(tls.ssl());
      const unsigned char* protocol = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(tls.ssl(), &protocol, &size);
      outcome.alpn.assign(reinterpret_cast<const char*>(protocol), size);
      X509* shown = SSL_get0_peer_certificate(tls.ssl());
      char name[64] = "";
      if (shown != nullptr) X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
      outcome.certificate = name;
    } else {
      const char* reason = ERR_reason_error_string(ERR_peek_error());
      outcome.alert = reason == nullptr ? "" : reason;
    }
    ERR_clear_error();
    SSL_shutdown(tls.ssl());
    tls.flush();
    ::shutdown(descriptor, SHUT_WR);
  }

  // A first visit to `name`, whose ticket the caller frees.
  SSL_SESSION* visit(const std::string& name, int version = 0) {
    const Outcome first = shake_hands({.server_name = name, .alpn = {}, .version = version});
    EXPECT_TRUE(first.client_ok) << first.server_detail;
    EXPECT_FALSE(first.resumed);
    return first.session;
  }
  Outcome revisit(const std::string& name, SSL_SESSION* session, int version = 0) {
    Outcome again = shake_hands({.server_name = name, .alpn = {}, .session = session, .version = version});
    SSL_SESSION_free(again.session);
    again.session = nullptr;
    return again;
  }

  test::TemporaryFolder folder;
  test::ManualClock clock;
  TlsSettings settings;
  std::unique_ptr<TlsServerContext> server;
};

struct NameRow {
  const char* name;
  const char* server_name;
  const char* certificate;
};
struct ServerNames : TlsServerContextTest, testing::WithParamInterface<NameRow> {};

TEST_P(ServerNames, L05_ChooseTheCertificate) {
  const Outcome outcome = shake_hands({.server_name = GetParam().server_name, .alpn = {}});
  EXPECT_TRUE(outcome.client_ok) << outcome.server_detail;
  EXPECT_EQ(outcome.certificate, GetParam().certificate);
  EXPECT_EQ(outcome.sni, GetParam().server_name);
  SSL_SESSION_free(outcome.session);
}

const std::string kLongName =
    std::string(60, 'a') + "." + std::string(60, 'b') + "." + std::string(60, 'c') + "." + std::string(60, 'd') + ".example";

INSTANTIATE_TEST_SUITE_P(
    Tls, ServerNames,
    testing::Values(NameRow{"exact", "a.example", "first"}, NameRow{"exact_of_another", "b.example", "second"},
                    NameRow{"in_capitals", "B.Example", "second"}, NameRow{"with_a_trailing_dot", "b.example.", "second"},
                    NameRow{"by_wildcard", "x.wild.example", "wild"}, NameRow{"wildcard_is_one_label", "x.y.wild.example", "first"},
                    NameRow{"wildcard_needs_a_label", "wild.example", "first"},
                    NameRow{"of_two_that_fit_the_first", "shared.example", "first"}, NameRow{"unknown", "other.example", "first"},
                    NameRow{"long", kLongName.c_str(), "first"}, NameRow{"absent", "", "first"}),
    [](const auto& row) { return row.param.name; });

TEST_F(TlsServerContextTest, L05_NoNameStandsForAWildcardItself) {
  EXPECT_EQ(server->choose("x.wild.example"), 2U);
  EXPECT_EQ(server->choose("*.wild.example"), 0U);
  EXPECT_EQ(server->choose(".wild.example"), 0U);
  EXPECT_EQ(server->choose(""), 0U);
}

// The client's library refuses to send these, so the extension is put together by hand.
struct RawNameRow {
  const char* name;
  std::string extension;
  bool accepted;
};
struct RawServerNames : TlsServerContextTest, testing::WithParamInterface<RawNameRow> {};

std::string sni_extension(const std::string& host) {
  const auto two = [](std::size_t n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n & 0xff)}; };
  const std::string entry = std::string(1, '\0') + two(host.size()) + host;
  const std::string list = two(entry.size()) + entry;
  return two(0) + two(list.size()) + list;
}

// A TLS 1.2 hello with one suite, the extensions that the server needs, and the given server_name.
std::string client_hello(const std::string& server_name_extension) {
  const auto two = [](std::size_t n) { return std::string{static_cast<char>(n >> 8), static_cast<char>(n & 0xff)}; };
  const std::string groups("\x00\x0a\x00\x04\x00\x02\x00\x17", 8);
  const std::string formats("\x00\x0b\x00\x02\x01\x00", 6);
  const std::string signatures("\x00\x0d\x00\x04\x00\x02\x04\x03", 8);
  const std::string extensions = server_name_extension + groups + formats + signatures;
  const std::string body = std::string("\x03\x03", 2) + std::string(32, 'r') + std::string("\x00\x00\x02\xc0\x2b\x01\x00", 7) +
                           two(extensions.size()) + extensions;
  const std::string handshake = std::string("\x01\x00", 2) + two(body.size()) + body;
  return std::string("\x16\x03\x01", 3) + two(handshake.size()) + handshake;
}

TEST_P(RawServerNames, L05_AreAlertedWhenMalformed) {
  test::Loop loop;
  const test::DescriptorPair pair = connected_tcp();
  test::Descriptor peer(pair.peer);
  transport::Stream stream(loop.context, pair.ours, loop.wheel);
  peer.write(client_hello(GetParam().extension));
  boost::asio::post(loop.context, [&peer] { peer.shut_write(); });
  Result<void> outcome{};
  loop.run([](transport::Stream& s, ssl_ctx_st* context, Result<void>& out) -> Task<void> {
    s.expire_after(20s);
    out = co_await s.accept_tls(context);
    s.abort();
  }(stream, server->context(), outcome));
  const std::string answer = peer.read();
  ASSERT_FALSE(outcome);  // nobody finishes this handshake
  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(answer[0], GetParam().accepted ? '\x16' : '\x15') << outcome.error().detail;  // ServerHello or alert
}

INSTANTIATE_TEST_SUITE_P(Tls, RawServerNames,
                         testing::Values(RawNameRow{"a_good_one", sni_extension("b.example"), true},
                                         RawNameRow{"an_address", sni_extension("127.0.0.1"), true},
                                         RawNameRow{"with_255_bytes", sni_extension(std::string(255, 'a')), true},
                                         RawNameRow{"with_256_bytes", sni_extension(std::string(256, 'a')), false},
                                         RawNameRow{"with_a_nul", sni_extension(std::string("b.example\0.evil", 15)), false},
                                         RawNameRow{"empty_which_is_absent", sni_extension(""), true},
                                         RawNameRow{"cut", std::string("\x00\x00\x00\x05\x00\x09\x00\x00\x06", 9), false}),
                         [](const auto& row) { return row.param.name; });

struct AlpnRow {
  const char* name;
  std::string offered;
  bool accepted;
  const char* chosen;
};
struct Alpn : TlsServerContextTest, testing::WithParamInterface<AlpnRow> {};

TEST_P(Alpn, L13_IsHttp11OrNothing) {
  const Outcome outcome = shake_hands({.server_name = {}, .alpn = GetParam().offered});
  EXPECT_EQ(outcome.client_ok, GetParam().accepted);
  EXPECT_EQ(outcome.server_ok, GetParam().accepted);
  EXPECT_EQ(outcome.alpn, GetParam().chosen);
  if (!GetParam().accepted) {
    EXPECT_EQ(outcome.alert, "tlsv1 alert no application protocol");
  }
  SSL_SESSION_free(outcome.session);
}

INSTANTIATE_TEST_SUITE_P(Tls, Alpn,
                         testing::Values(AlpnRow{"none", "", true, ""}, AlpnRow{"http11", "\x08http/1.1", true, "http/1.1"},
                                         AlpnRow{"h2_first", "\x02h2\x08http/1.1", true, "http/1.1"},
                                         AlpnRow{"h2_only", "\x02h2", false, ""}, AlpnRow{"http10_only", "\x08http/1.0", false, ""},
                                         AlpnRow{"unknown", "\x05xyzzy", false, ""}, AlpnRow{"a_longer_name", "\x09http/1.10", false, ""}),
                         [](const auto& row) { return row.param.name; });

TEST_F(TlsServerContextTest, TlsOneTwoCanBeSwitchedOff) {
  settings.min_version = transport::TlsVersion::v1_3;
  rebuild();
  EXPECT_FALSE(shake_hands({.server_name = {}, .alpn = {}, .version = TLS1_2_VERSION}).server_ok);
  const Outcome newer = shake_hands({.server_name = {}, .alpn = {}});
  EXPECT_TRUE(newer.server_ok);
  SSL_SESSION_free(newer.session);
}

struct TicketVersions : TlsServerContextTest, testing::WithParamInterface<int> {};

TEST_P(TicketVersions, ATicketResumes) {
  SSL_SESSION* ticket = visit("a.example", GetParam());
  const Outcome again = revisit("a.example", ticket, GetParam());
  EXPECT_TRUE(again.client_ok);
  EXPECT_TRUE(again.resumed);
  EXPECT_EQ(again.sni, "a.example");
  SSL_SESSION_free(ticket);
}

TEST_P(TicketVersions, L07_ATicketForOneNameDoesNotResumeForAnother) {
  SSL_SESSION* ticket = visit("a.example", GetParam());
  for (const char* other : {"b.example", "shared.example", "x.wild.example", "unknown.example", ""}) {
    const Outcome elsewhere = revisit(other, ticket, GetParam());
    EXPECT_TRUE(elsewhere.client_ok) << other << ": " << elsewhere.server_detail;  // by a full handshake
    EXPECT_FALSE(elsewhere.resumed) << other;
  }
  SSL_SESSION_free(ticket);
}

TEST_P(TicketVersions, L07_ATicketOfAnotherListenerDoesNotResume) {
  SSL_SESSION* ticket = visit("a.example", GetParam());
  auto other = TlsServerContext::create(settings, "internal", clock);
  ASSERT_TRUE(other);
  server = std::move(*other);
  EXPECT_FALSE(revisit("a.example", ticket, GetParam()).resumed);
  SSL_SESSION_free(ticket);
}

TEST_P(TicketVersions, L17_TicketsResumeThroughARotationOfTheKeys) {
  SSL_SESSION_free(visit("a.example", GetParam()));  // the first key counts from here
  clock.advance(TicketKeyRing::kRotation - 1h);
  SSL_SESSION* ticket = visit("a.example", GetParam());
  clock.advance(1h);
  EXPECT_TRUE(revisit("a.example", ticket, GetParam()).resumed);
  SSL_SESSION_free(ticket);
}

TEST_P(TicketVersions, L17_ATicketWhoseKeyIsGoneMeansAFullHandshake) {
  SSL_SESSION* ticket = visit("a.example", GetParam());
  rebuild();
  const Outcome late = revisit("a.example", ticket, GetParam());
  EXPECT_TRUE(late.client_ok);
  EXPECT_FALSE(late.resumed);
  SSL_SESSION_free(ticket);
}

// As RFC 8446 §C.4 wants it: who shows a ticket twice is known again by it.
TEST_F(TlsServerContextTest, WhoSpendsEachTicketOnceResumesTenTimesInARow) {
  std::set<std::string> spent;
  SSL_SESSION* session = visit("a.example");
  for (int i = 0; i < 10; ++i) {
    const unsigned char* ticket = nullptr;
    std::size_t size = 0;
    SSL_SESSION_get0_ticket(session, &ticket, &size);
    EXPECT_TRUE(spent.emplace(reinterpret_cast<const char*>(ticket), size).second) << i;
    const Outcome again = shake_hands({.server_name = "a.example", .alpn = {}, .session = session});
    EXPECT_TRUE(again.resumed) << i;
    SSL_SESSION_free(std::exchange(session, again.session));
  }
  SSL_SESSION_free(session);
}

TEST_P(TicketVersions, L07_ARenewedTicketEndsWhenTheFirstWouldHave) {
  SSL_SESSION* ticket = visit("a.example", GetParam());
  for (int hour = 1; hour <= 2; ++hour) {
    clock.advance(1h);
    const Outcome again = shake_hands({.server_name = "a.example", .alpn = {}, .session = ticket, .version = GetParam()});
    EXPECT_TRUE(again.resumed);
    SSL_SESSION_free(std::exchange(ticket, again.session));
  }
  clock.advance(1s);
  const Outcome late = revisit("a.example", ticket, GetParam());
  EXPECT_TRUE(late.client_ok);
  EXPECT_FALSE(late.resumed);
  SSL_SESSION_free(ticket);
}

INSTANTIATE_TEST_SUITE_P(Tls, TicketVersions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& row) { return row.param == TLS1_2_VERSION ? "tls12" : "tls13"; });

TEST_F(TlsServerContextTest, TheExpiryOfEveryCertificateIsKnown) {
  const WallTime now = std::chrono::system_clock::now();
  ASSERT_EQ(server->certificate_expiry().size(), 3U);
  EXPECT_EQ(server->certificate_expiry()[0].first, "a.example");
  EXPECT_EQ(server->certificate_expiry()[2].first, "*.wild.example");
  EXPECT_GT(server->certificate_expiry()[0].second, now + 23h);
  EXPECT_LT(server->certificate_expiry()[0].second, now + 25h);
}

TEST_F(TlsServerContextTest, L14_BadCertificatesAreFaults) {
  settings.certificates[1].key_file = settings.certificates[0].key_file;
  EXPECT_EQ(TlsServerContext::create(settings, "public", clock).error().fault, Fault::mismatch);
  settings.certificates[1].key_file = folder.file("none");
  EXPECT_EQ(TlsServerContext::create(settings, "public", clock).error().fault, Fault::not_found);
  settings.certificates.clear();
  EXPECT_EQ(TlsServerContext::create(settings, "public", clock).error().fault, Fault::malformed);
}

struct TicketKeyRingTest : testing::Test {
  test::ManualClock clock;
  TicketKeyRing ring{clock};
};

TEST_F(TicketKeyRingTest, TheNewestKeyStaysUntilTheRotation) {
  const TicketKey key = ring.newest();
  clock.advance(TicketKeyRing::kRotation - 1s);
  EXPECT_EQ(ring.newest().name, key.name);
  clock.advance(1s);
  const TicketKey next = ring.newest();
  EXPECT_NE(next.name, key.name);
  EXPECT_NE(next.encryption, key.encryption);
  EXPECT_NE(next.authentication, key.authentication);
  const auto found = ring.find(key.name);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->is_newest);
  EXPECT_EQ(found->key.encryption, key.encryption);
  EXPECT_TRUE(ring.find(next.name)->is_newest);
}

TEST_F(TicketKeyRingTest, AKeyIsGoneAfterThreeRotations) {
  const TicketKey key = ring.newest();
  clock.advance(TicketKeyRing::kRotation * static_cast<int>(TicketKeyRing::kKept) - 1s);
  EXPECT_TRUE(ring.find(key.name));
  clock.advance(1s);
  EXPECT_FALSE(ring.find(key.name));
}

TEST_F(TicketKeyRingTest, AnUnknownKeyIsNotFound) {
  TicketKey key = ring.newest();
  key.name[3] ^= 1;
  EXPECT_FALSE(ring.find(key.name));
}

}  // namespace
}  // namespace sallyport::listen
