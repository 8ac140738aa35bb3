#include "transport/tls_context.hpp"

#include "stream_fixture.hpp"

namespace sallyport::transport {
namespace {

using test::connected_tcp;
using test::dns;
using test::Loop;
using test::make_authority;
using test::make_identity;
using namespace std::chrono_literals;

struct CertificateFilesTest : ::testing::Test {
  test::TemporaryFolder folder;
  test::Identity identity = make_identity({.common_name = "a.example", .alt_names = {dns("A.example"), dns("*.b.example")}});
  test::IdentityFiles files = test::write_identity(folder, "good", identity);

  static Fault fault_of(const CertificateFiles& wanted) {
    const Result<void> checked = check_certificate(wanted);
    EXPECT_FALSE(checked.has_value());
    return checked ? Fault::internal : checked.error().fault;
  }
};

TEST_F(CertificateFilesTest, APairThatFitsIsUsed) { EXPECT_TRUE(check_certificate({files.certificate_file, files.key_file})); }

TEST_F(CertificateFilesTest, L14_MissingFilesAreNamed) {
  const Result<void> no_certificate = check_certificate({folder.file("none.crt"), files.key_file});
  ASSERT_FALSE(no_certificate);
  EXPECT_EQ(no_certificate.error().fault, Fault::not_found);
  EXPECT_THAT(no_certificate.error().detail, ::testing::HasSubstr("none.crt"));
  EXPECT_EQ(fault_of({files.certificate_file, folder.file("none.key")}), Fault::not_found);
}

TEST_F(CertificateFilesTest, L14_BrokenFilesAreRefused) {
  const std::string noise = folder.write("noise", "no certificate");
  const std::string empty = folder.write("empty", "");
  const std::string cut = folder.write("cut", test::certificate_pem(identity).substr(0, 200));
  EXPECT_EQ(fault_of({noise, files.key_file}), Fault::malformed);
  EXPECT_EQ(fault_of({empty, files.key_file}), Fault::malformed);
  EXPECT_EQ(fault_of({cut, files.key_file}), Fault::malformed);
  EXPECT_EQ(fault_of({files.certificate_file, noise}), Fault::malformed);
  EXPECT_EQ(fault_of({files.certificate_file, files.certificate_file}), Fault::malformed);
  EXPECT_EQ(fault_of({files.key_file, files.key_file}), Fault::malformed);
  const std::string bad_chain = folder.write("bad_chain", test::certificate_pem(identity) + test::certificate_pem(identity).substr(0, 200));
  EXPECT_EQ(fault_of({bad_chain, files.key_file}), Fault::malformed);
}

TEST_F(CertificateFilesTest, L14_AnEncryptedKeyIsRefusedWithoutAskingForAPassword) {
  const std::string encrypted = folder.write("encrypted.key", test::key_pem(identity, "secret"));
  const Result<void> checked = check_certificate({files.certificate_file, encrypted});
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().fault, Fault::malformed);
  EXPECT_THAT(checked.error().detail, ::testing::HasSubstr("encrypted"));
}

TEST_F(CertificateFilesTest, L14_AKeyOfAnotherCertificateIsAMismatch) {
  const test::IdentityFiles other = test::write_identity(folder, "other", make_identity({.common_name = "b", .alt_names = {}}));
  EXPECT_EQ(fault_of({files.certificate_file, other.key_file}), Fault::mismatch);
  const test::IdentityFiles rsa =
      test::write_identity(folder, "rsa", make_identity({.common_name = "b", .alt_names = {}}, nullptr, test::make_rsa_key(2048)));
  EXPECT_EQ(fault_of({files.certificate_file, rsa.key_file}), Fault::mismatch);
}

TEST_F(CertificateFilesTest, AWeakKeyIsUnsupported) {
  const test::IdentityFiles weak =
      test::write_identity(folder, "weak", make_identity({.common_name = "b", .alt_names = {}}, nullptr, test::make_rsa_key(1024)));
  EXPECT_EQ(fault_of({weak.certificate_file, weak.key_file}), Fault::unsupported);
}

TEST_F(CertificateFilesTest, InspectionTellsNamesAndTimes) {
  const Result<CertificateFacts> facts = inspect_certificate(files.certificate_file);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "a.example");
  EXPECT_THAT(facts->dns_names, ::testing::ElementsAre("a.example", "*.b.example"));
  const WallTime now = std::chrono::system_clock::now();
  EXPECT_LT(facts->not_before, now);
  EXPECT_GT(facts->not_after, now + 23h);
  EXPECT_LT(facts->not_after, now + 25h);
}

TEST_F(CertificateFilesTest, InspectionLeavesOutNamesWithANul) {
  const auto odd = make_identity({.common_name = "cn",
                                  .alt_names = {dns(std::string("a.example\0.evil.example", 23)), test::ip(std::string("\x7f\0\0\1", 4)),
                                                test::ip(std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01")}});
  const test::IdentityFiles written = test::write_identity(folder, "odd", odd);
  const Result<CertificateFacts> facts = inspect_certificate(written.certificate_file);
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->dns_names.empty());
  EXPECT_THAT(facts->addresses, ::testing::ElementsAre("127.0.0.1", "2001:0db8:0000:0000:0000:0000:0000:0001"));
  EXPECT_EQ(facts->name, "127.0.0.1");
}

TEST_F(CertificateFilesTest, InspectionFallsBackToTheSubject) {
  const test::IdentityFiles plain = test::write_identity(folder, "plain", make_identity({.common_name = "some service", .alt_names = {}}));
  const Result<CertificateFacts> facts = inspect_certificate(plain.certificate_file);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->name, "/CN=some service");
  EXPECT_EQ(inspect_certificate(folder.file("none")).error().fault, Fault::not_found);
}

// --- upstreams, as connect_tls() judges them ---

struct UpstreamRow {
  const char* name;
  test::CertificateWish wish;
  std::string asked_for;
  bool accepted;
  bool self_signed = false;
};

struct UpstreamCertificates : ::testing::TestWithParam<UpstreamRow> {};

struct HandshakeEnds {
  Result<void> client = make_error(Fault::internal, "never ran");
  Result<void> server = make_error(Fault::internal, "never ran");
  std::string sni;
  std::string version;
};

// Both ends are ours, on one loop.
HandshakeEnds shake_hands(SSL_CTX* server_context, SSL_CTX* client_context, const std::string& name) {
  Loop loop;
  const test::DescriptorPair pair = connected_tcp();
  Stream server(loop.context, pair.ours, loop.wheel);
  Stream client(loop.context, pair.peer, loop.wheel);
  HandshakeEnds ends;
  loop.spawn([](Stream& stream, SSL_CTX* context, HandshakeEnds& out) -> Task<void> {
    stream.expire_after(20s);
    out.server = co_await stream.accept_tls(context);
    out.sni = stream.server_name();
    stream.never_expire();
  }(server, server_context, ends));
  loop.run([](Stream& stream, SSL_CTX* context, std::string wanted, HandshakeEnds& out) -> Task<void> {
    stream.expire_after(20s);
    out.client = co_await stream.connect_tls(context, std::move(wanted));
    out.version = stream.tls_version();
    stream.abort();
  }(client, client_context, name, ends));
  return ends;
}

TEST_P(UpstreamCertificates, L15_AreJudgedByChainTimePurposeAndName) {
  const UpstreamRow& row = GetParam();
  const test::TemporaryFolder folder;
  const test::Identity authority = make_authority();
  const test::Identity leaf = make_identity(row.wish, row.self_signed ? nullptr : &authority);
  const test::IdentityFiles files = test::write_identity(folder, "leaf", leaf);
  const std::string ca_file = folder.write("ca.crt", test::certificate_pem(authority));

  const Result<SslContext> client = make_tls_client_context({ca_file, {}, {}});
  ASSERT_TRUE(client);
  Result<SslContext> server = make_tls_context(TlsRole::server, TlsVersion::v1_2);
  ASSERT_TRUE(use_certificate(server->get(), {files.certificate_file, files.key_file}));

  const HandshakeEnds ends = shake_hands(server->get(), client->get(), row.asked_for);
  EXPECT_EQ(ends.client.has_value(), row.accepted) << (ends.client ? "accepted" : ends.client.error().detail);
  if (!row.accepted) {
    ASSERT_FALSE(ends.client);
    EXPECT_EQ(ends.client.error().fault, Fault::mismatch) << ends.client.error().detail;
  }
}

const std::string kLoopback("\x7f\0\0\1", 4);

INSTANTIATE_TEST_SUITE_P(
    Tls, UpstreamCertificates,
    ::testing::Values(
        UpstreamRow{"the_right_name", {.common_name = "x", .alt_names = {dns("orders.internal")}}, "orders.internal", true},
        UpstreamRow{"the_right_name_in_capitals", {.common_name = "x", .alt_names = {dns("orders.internal")}}, "Orders.Internal", true},
        UpstreamRow{
            "one_of_several_names", {.common_name = "x", .alt_names = {dns("a.b"), dns("orders.internal")}}, "orders.internal", true},
        UpstreamRow{"a_wildcard", {.common_name = "x", .alt_names = {dns("*.internal.example")}}, "orders.internal.example", true},
        UpstreamRow{"a_wildcard_for_two_labels", {.common_name = "x", .alt_names = {dns("*.example.com")}}, "a.b.example.com", false},
        UpstreamRow{"a_wildcard_for_no_label", {.common_name = "x", .alt_names = {dns("*.example.com")}}, "example.com", false},
        UpstreamRow{"a_partial_wildcard", {.common_name = "x", .alt_names = {dns("ord*.example.com")}}, "orders.example.com", false},
        UpstreamRow{"another_name", {.common_name = "x", .alt_names = {dns("billing.internal")}}, "orders.internal", false},
        UpstreamRow{"a_longer_name", {.common_name = "x", .alt_names = {dns("orders.internal.evil")}}, "orders.internal", false},
        UpstreamRow{"the_common_name_only", {.common_name = "orders.internal", .alt_names = {}}, "orders.internal", false},
        UpstreamRow{"the_common_name_beside_another_san",
                    {.common_name = "orders.internal", .alt_names = {dns("billing.internal")}},
                    "orders.internal",
                    false},
        UpstreamRow{"a_nul_in_the_name",
                    {.common_name = "x", .alt_names = {dns(std::string("orders.internal\0.evil", 21))}},
                    "orders.internal",
                    false},
        UpstreamRow{
            "the_name_as_an_email_address", {.common_name = "x", .alt_names = {test::email("orders.internal")}}, "orders.internal", false},
        UpstreamRow{"the_right_address", {.common_name = "x", .alt_names = {test::ip(kLoopback)}}, "127.0.0.1", true},
        UpstreamRow{"another_address", {.common_name = "x", .alt_names = {test::ip(kLoopback)}}, "127.0.0.2", false},
        UpstreamRow{"an_address_as_a_dns_name", {.common_name = "127.0.0.1", .alt_names = {dns("127.0.0.1")}}, "127.0.0.1", false},
        UpstreamRow{"expired",
                    {.common_name = "x", .alt_names = {dns("orders.internal")}, .not_before_seconds = -7200, .not_after_seconds = -60},
                    "orders.internal",
                    false},
        UpstreamRow{"not_yet_valid",
                    {.common_name = "x", .alt_names = {dns("orders.internal")}, .not_before_seconds = 3600, .not_after_seconds = 7200},
                    "orders.internal",
                    false},
        UpstreamRow{"signed_by_itself", {.common_name = "x", .alt_names = {dns("orders.internal")}}, "orders.internal", false, true},
        UpstreamRow{"for_servers",
                    {.common_name = "x", .alt_names = {dns("orders.internal")}, .extended_key_usage = "serverAuth"},
                    "orders.internal",
                    true},
        UpstreamRow{"for_clients_only",
                    {.common_name = "x", .alt_names = {dns("orders.internal")}, .extended_key_usage = "clientAuth"},
                    "orders.internal",
                    false}),
    [](const auto& row) { return row.param.name; });

struct UpstreamTlsTest : ::testing::Test {
  test::TemporaryFolder folder;
  test::Identity authority = make_authority();
  std::string ca_file = folder.write("ca.crt", test::certificate_pem(authority));
  test::IdentityFiles files = test::write_identity(
      folder, "leaf",
      make_identity({.common_name = "x", .alt_names = {dns("orders.internal"), test::ip(std::string("\x7f\0\0\1", 4))}}, &authority));
  Result<SslContext> client = make_tls_client_context({ca_file, {}, {}});
  Result<SslContext> server = make_tls_context(TlsRole::server, TlsVersion::v1_2);

  void SetUp() override {
    ASSERT_TRUE(client);
    ASSERT_TRUE(use_certificate(server->get(), {files.certificate_file, files.key_file}));
  }
};

TEST_F(UpstreamTlsTest, TheNameGoesOutAsSniButAnAddressDoesNot) {
  HandshakeEnds ends = shake_hands(server->get(), client->get(), "orders.internal");
  ASSERT_TRUE(ends.client);
  EXPECT_TRUE(ends.server);
  EXPECT_EQ(ends.sni, "orders.internal");
  EXPECT_EQ(ends.version, "TLSv1.3");
  ends = shake_hands(server->get(), client->get(), "127.0.0.1");
  ASSERT_TRUE(ends.client);
  EXPECT_EQ(ends.sni, "");
}

TEST_F(UpstreamTlsTest, L15_NoNameIsNoConnection) {
  for (const std::string& name : {std::string(), std::string("orders.internal\0.evil", 21)}) {
    const HandshakeEnds ends = shake_hands(server->get(), client->get(), name);
    ASSERT_FALSE(ends.client);
    EXPECT_EQ(ends.client.error().fault, Fault::malformed);
  }
}

TEST_F(UpstreamTlsTest, L15_AnOldServerIsRefused) {
  SslContext old(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_security_level(old.get(), 0);
  SSL_CTX_set_cipher_list(old.get(), "ALL:@SECLEVEL=0");
  SSL_CTX_set_max_proto_version(old.get(), TLS1_1_VERSION);
  ASSERT_TRUE(use_certificate(old.get(), {files.certificate_file, files.key_file}));
  const HandshakeEnds ends = shake_hands(old.get(), client->get(), "orders.internal");
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().fault, Fault::broken);
}

TEST_F(UpstreamTlsTest, L15_AWeakChainIsRefused) {
  SslContext lax(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_security_level(lax.get(), 0);
  const test::IdentityFiles weak = test::write_identity(
      folder, "weak", make_identity({.common_name = "x", .alt_names = {dns("orders.internal")}}, &authority, test::make_rsa_key(1024)));
  ASSERT_TRUE(use_certificate(lax.get(), {weak.certificate_file, weak.key_file}));
  const HandshakeEnds ends = shake_hands(lax.get(), client->get(), "orders.internal");
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().fault, Fault::mismatch) << ends.client.error().detail;
}

TEST_F(UpstreamTlsTest, WithoutACaFileTheSystemsAuthoritiesDecide) {
  const Result<SslContext> system = make_tls_client_context({{}, {}, {}});
  ASSERT_TRUE(system);
  const HandshakeEnds ends = shake_hands(server->get(), system->get(), "orders.internal");
  ASSERT_FALSE(ends.client);
  EXPECT_EQ(ends.client.error().fault, Fault::mismatch);
}

TEST_F(UpstreamTlsTest, ABrokenCaFileIsRefused) {
  EXPECT_EQ(make_tls_client_context({folder.file("none"), {}, {}}).error().fault, Fault::not_found);
  EXPECT_EQ(make_tls_client_context({folder.write("noise", "x"), {}, {}}).error().fault, Fault::malformed);
}

TEST_F(UpstreamTlsTest, OurOwnCertificateIsShownWhenAskedFor) {
  const test::IdentityFiles own =
      test::write_identity(folder, "own", make_identity({.common_name = "gateway", .alt_names = {}}, &authority));
  const Result<SslContext> with = make_tls_client_context({ca_file, {}, {{own.certificate_file, own.key_file}}});
  ASSERT_TRUE(with);
  SSL_CTX_set_verify(server->get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  ASSERT_EQ(SSL_CTX_load_verify_file(server->get(), ca_file.c_str()), 1);
  SSL_CTX_set_max_proto_version(server->get(), TLS1_2_VERSION);  // where the client learns of the refusal within the handshake
  EXPECT_TRUE(shake_hands(server->get(), with->get(), "orders.internal").client);
  EXPECT_FALSE(shake_hands(server->get(), client->get(), "orders.internal").client);
  EXPECT_EQ(make_tls_client_context({ca_file, {}, {{own.certificate_file, files.key_file}}}).error().fault, Fault::mismatch);
}

TEST(OpensslError, IsTakenOnceAndTheQueueIsEmptyAfterwards) {
  ERR_clear_error();
  EXPECT_EQ(take_openssl_error(), "");
  ERR_raise(ERR_LIB_SSL, SSL_R_HTTP_REQUEST);
  ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
  EXPECT_EQ(take_openssl_error(), "http request");
  EXPECT_EQ(ERR_peek_error(), 0U);
}

}  // namespace
}  // namespace sallyport::transport
