// Client certificates at TLS: which count, what a peer learns of them, and that tickets carry none where it does not belong.
#include "support/manual_clock.hpp"
#include "unit/listen/bench.hpp"

namespace sallyport::listen {
namespace {

using test::dns;
using test::email;
using test::Identity;
using test::make_authority;
using test::make_identity;
using test::uri;

struct Wish {
  const Identity* shown = nullptr;
  std::vector<const Identity*> chain = {};
  std::string server_name = "a.example";
  SSL_SESSION* session = nullptr;
  int version = TLS1_3_VERSION;
};

struct ClientCertificatesTest : testing::Test, Bench {
  ClientCertificatesTest() {
    const test::IdentityFiles files = test::write_identity(
        folder, "server", make_identity({.common_name = "a.example", .alt_names = {dns("a.example"), dns("b.example")}}));
    settings.tls = TlsSettings{{{files.certificate_file, files.key_file}},
                               transport::TlsVersion::v1_2,
                               ClientCertificates{folder.write("clients.crt", test::certificate_pem(authority)), true}};
    settings.timeouts.handshake = 20s;
  }
  void TearDown() override {
    SSL_SESSION_free(ticket);
    stop();
  }
  struct Outcome {
    bool served = false;
    bool resumed = false;
  };
  // Connects, and says something where it may. A ticket that comes is kept.
  Outcome visit(const Wish& wish) {
    Outcome outcome;
    const Descriptor socket = connect();
    const int seen_before = seen.ended;
    std::atomic<bool> done = false;
    std::thread client([&] {
      const transport::SslContext context = test::plain_client_context();
      SSL_CTX_set_max_proto_version(context.get(), wish.version);
      if (wish.shown != nullptr) {
        SSL_CTX_use_certificate(context.get(), wish.shown->certificate.get());
        SSL_CTX_use_PrivateKey(context.get(), wish.shown->key.get());
        for (const Identity* link : wish.chain) SSL_CTX_add1_chain_cert(context.get(), link->certificate.get());
      }
      test::TlsPeer tls(socket.get(), context.get());
      SSL_set_tlsext_host_name(tls.ssl(), wish.server_name.c_str());
      if (wish.session != nullptr) SSL_set_session(tls.ssl(), wish.session);
      if (tls.handshake() && tls.write("x") && tls.read() == "x") {
        outcome.served = true;
        outcome.resumed = SSL_session_reused(tls.ssl()) == 1;
        SSL_SESSION_free(ticket);
        ticket = SSL_get1_session(tls.ssl());
      }
      SSL_shutdown(tls.ssl());
      tls.flush();
      socket.shut_write();
      done = true;
    });
    run_until([&] { return done.load() && listener->connections() == 0; });
    client.join();
    EXPECT_EQ(seen.ended - seen_before, outcome.served ? 1 : 0);
    return outcome;
  }
  Outcome come_again(int version, Wish wish = {}) {
    wish.version = version;
    SSL_SESSION* shown = std::exchange(ticket, nullptr);
    wish.session = shown;
    const Outcome outcome = visit(wish);
    SSL_SESSION_free(shown);
    return outcome;
  }
  Identity client(std::string name = "orders", test::CertificateWish wish = {}) {
    wish.common_name = std::move(name);
    return make_identity(wish, &authority);
  }
  void reload(const ListenerSettings& next) {
    auto state = shared->prepare(next);
    ASSERT_TRUE(state) << state.error().detail;
    shared->commit(std::move(*state));
  }

  test::TemporaryFolder folder;
  const Identity authority = make_authority("Clients");
  SSL_SESSION* ticket = nullptr;
};

TEST_F(ClientCertificatesTest, L08_AGoodOneIsKnownToWhoServes) {
  start();
  const Identity orders = client();
  EXPECT_TRUE(visit({.shown = &orders}).served);
  EXPECT_THAT(seen.subjects, testing::ElementsAre("CN=orders"));
}

TEST_F(ClientCertificatesTest, L08_RequiredMeansThatNobodyComesWithout) {
  start();
  EXPECT_FALSE(visit({}).served);
  EXPECT_FALSE(visit({.version = TLS1_2_VERSION}).served);
}

TEST_F(ClientCertificatesTest, OptionalMeansThatAnybodyMayAndHasNone) {
  settings.tls->clients->is_required = false;
  start();
  EXPECT_TRUE(visit({}).served);
  const Identity orders = client();
  EXPECT_TRUE(visit({.shown = &orders}).served);
  EXPECT_THAT(seen.subjects, testing::ElementsAre("", "CN=orders"));
}

TEST_F(ClientCertificatesTest, AListenerThatAsksForNoneKnowsNone) {
  settings.tls->clients.reset();
  start();
  const Identity orders = client();
  EXPECT_TRUE(visit({.shown = &orders}).served);
  EXPECT_THAT(seen.subjects, testing::ElementsAre(""));
}

TEST_F(ClientCertificatesTest, L08_BadOnesAreRefusedEvenWhereNoneIsNeeded) {
  settings.tls->clients->is_required = false;
  start();
  const Identity stranger_authority = make_authority("Clients");  // of the same name
  const std::pair<const char*, Identity> bad[] = {
      {"expired", client("old", {.common_name = {}, .alt_names = {}, .not_after_seconds = -60})},
      {"not yet valid", client("new", {.common_name = {}, .alt_names = {}, .not_before_seconds = 3600})},
      {"another authority's", make_identity({.common_name = "orders", .alt_names = {}}, &stranger_authority)},
      {"its own", make_identity({.common_name = "orders", .alt_names = {}})},
      {"a server's", client("server", {.common_name = {}, .alt_names = {}, .extended_key_usage = "serverAuth"})},
  };
  for (const auto& [what, identity] : bad) EXPECT_FALSE(visit({.shown = &identity}).served) << what;
  const Identity good = client("client", {.common_name = {}, .alt_names = {}, .extended_key_usage = "clientAuth"});
  EXPECT_TRUE(visit({.shown = &good}).served);
}

TEST_F(ClientCertificatesTest, L08_AChainHasALimit) {
  start();
  std::vector<Identity> links;
  const Identity* issuer = &authority;
  const auto chain_of = [&] {
    std::vector<const Identity*> chain;
    for (const Identity& link : links) chain.push_back(&link);
    return chain;
  };
  links.reserve(16);
  for (int i = 0; i < transport::kClientChainDepthMax; ++i) {
    links.push_back(make_identity({.common_name = "link " + std::to_string(i), .alt_names = {}, .is_authority = true}, issuer));
    issuer = &links.back();
  }
  const Identity last = make_identity({.common_name = "far", .alt_names = {}}, issuer);
  EXPECT_TRUE(visit({.shown = &last, .chain = chain_of()}).served);
  links.push_back(make_identity({.common_name = "one more", .alt_names = {}, .is_authority = true}, issuer));
  const Identity beyond = make_identity({.common_name = "too far", .alt_names = {}}, &links.back());
  EXPECT_FALSE(visit({.shown = &beyond, .chain = chain_of()}).served);
}

TEST_F(ClientCertificatesTest, L08_NamesThatHoldANulAreNobodys) {
  const Identity orders = client("orders", {.common_name = {},
                                            .alt_names = {dns(std::string("good.example\0.evil", 18)), dns("Orders.Example"),
                                                          email(std::string("a\0b", 3)), email("a@b.example")}});
  const Result<transport::PeerCertificate> facts = transport::describe_certificate(orders.certificate.get());
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_THAT(facts->dns_names, testing::ElementsAre("orders.example"));
  EXPECT_THAT(facts->emails, testing::ElementsAre("a@b.example"));
  EXPECT_EQ(facts->thumbprint.size(), 43U);
  EXPECT_EQ(facts->uri_count, 0U);
}

TEST_F(ClientCertificatesTest, L08_CountsTheUrisThatItLeavesOut) {
  const Identity orders =
      client("orders", {.common_name = {}, .alt_names = {uri("spiffe://a.example/x"), uri(std::string("spiffe://a\0b", 12))}});
  const Result<transport::PeerCertificate> facts = transport::describe_certificate(orders.certificate.get());
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_THAT(facts->uris, testing::ElementsAre("spiffe://a.example/x"));
  EXPECT_EQ(facts->uri_count, 2U);
}

struct Tickets : ClientCertificatesTest, testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Tls, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& row) { return row.param == TLS1_2_VERSION ? "tls12" : "tls13"; });

TEST_P(Tickets, AResumedSessionStillHasItsCertificate) {
  start();
  const Identity orders = client();
  ASSERT_TRUE(visit({.shown = &orders, .version = GetParam()}).served);
  for (int i = 0; i < 2; ++i) {
    const Outcome again = come_again(GetParam());
    EXPECT_TRUE(again.served && again.resumed) << i;
  }
  EXPECT_THAT(seen.subjects, testing::ElementsAre("CN=orders", "CN=orders", "CN=orders"));
}

TEST_P(Tickets, L07_NoCertificateGoesAlongToAnotherName) {
  settings.tls->clients->is_required = false;
  start();
  const Identity orders = client();
  ASSERT_TRUE(visit({.shown = &orders, .version = GetParam()}).served);
  const Outcome elsewhere = come_again(GetParam(), {.server_name = "b.example"});
  EXPECT_TRUE(elsewhere.served);
  EXPECT_FALSE(elsewhere.resumed);
  EXPECT_THAT(seen.subjects, testing::ElementsAre("CN=orders", ""));
}

TEST_P(Tickets, L07_NoTicketWithoutACertificateOpensWhatRequiresOne) {
  settings.tls->clients->is_required = false;
  start();
  ASSERT_TRUE(visit({.version = GetParam()}).served);
  ListenerSettings next = settings;
  next.tls->clients->is_required = true;
  reload(next);
  EXPECT_FALSE(come_again(GetParam()).served);
}

TEST_P(Tickets, L07_AnExpiredCertificateDoesNotComeBackByTicket) {
  test::ManualClock later;
  auto made = SharedListener::create(settings, later);
  ASSERT_TRUE(made) << made.error().detail;
  shared = std::move(*made);
  listener = bind();
  listener->start();
  const Identity brief = client("brief", {.common_name = {}, .alt_names = {}, .not_after_seconds = 3600});
  ASSERT_TRUE(visit({.shown = &brief, .version = GetParam()}).served);
  later.advance(59min);
  EXPECT_TRUE(come_again(GetParam()).resumed);
  later.advance(2min);
  EXPECT_FALSE(come_again(GetParam()).served) << "a full handshake, which needs the certificate itself";
}

TEST_P(Tickets, L17_TicketsResumeAfterAReload) {
  start();
  const Identity orders = client();
  ASSERT_TRUE(visit({.shown = &orders, .version = GetParam()}).served);
  const test::IdentityFiles renewed =
      test::write_identity(folder, "server", make_identity({.common_name = "a.example", .alt_names = {dns("a.example")}}));
  ListenerSettings next = settings;
  next.tls->certificates = {{renewed.certificate_file, renewed.key_file}};
  reload(next);
  const Outcome again = come_again(GetParam());
  EXPECT_TRUE(again.served);
  EXPECT_TRUE(again.resumed);
}

TEST_P(Tickets, L17_NotWhenTheAuthoritiesChanged) {
  start();
  const Identity orders = client();
  ASSERT_TRUE(visit({.shown = &orders, .version = GetParam()}).served);
  const Identity others = make_authority("Others");
  folder.write("clients.crt", test::certificate_pem(others));
  reload(settings);
  EXPECT_FALSE(come_again(GetParam(), {.shown = &orders}).served);
  const Identity theirs = make_identity({.common_name = "theirs", .alt_names = {}}, &others);
  EXPECT_TRUE(visit({.shown = &theirs, .version = GetParam()}).served);
}

TEST_F(ClientCertificatesTest, L08_WhichCertificatesCountIsWhatConnectionsWereLetInOn) {
  start();
  std::uint64_t trust = shared->state()->trust;
  ListenerSettings next = settings;
  const auto expect_trust = [&](const char* what, bool moves) {
    reload(next);
    EXPECT_EQ(shared->state()->trust, trust + (moves ? 1 : 0)) << what;
    trust = shared->state()->trust;
  };
  expect_trust("nothing", false);
  const test::IdentityFiles renewed =
      test::write_identity(folder, "renewed", make_identity({.common_name = "a.example", .alt_names = {dns("a.example")}}));
  next.tls->certificates = {{renewed.certificate_file, renewed.key_file}};
  expect_trust("our certificate", false);
  folder.write("clients.crt", test::certificate_pem(make_authority("Others")));
  expect_trust("the authorities", true);
  next.tls->clients->is_required = false;
  expect_trust("whether one is required", true);
  next.tls->min_version = transport::TlsVersion::v1_3;
  expect_trust("the least version", true);
  next.tls->clients.reset();
  expect_trust("whether one is asked for", true);
  ASSERT_TRUE(shared->prepare(settings));
  expect_trust("what was prepared and not committed", false);
}

TEST_F(ClientCertificatesTest, L14_AReloadWithABrokenFileChangesNothing) {
  start();
  const Identity orders = client();
  const std::pair<const char*, std::function<void(ListenerSettings&)>> breakages[] = {
      {"no file", [&](ListenerSettings& next) { next.tls->certificates[0].certificate_file = folder.file("none"); }},
      {"no certificate", [&](ListenerSettings& next) { next.tls->certificates[0].certificate_file = folder.write("x", "no PEM"); }},
      {"another key", [&](ListenerSettings& next) { next.tls->certificates[0].key_file = folder.write("y", test::key_pem(orders)); }},
      {"an encrypted key",
       [&](ListenerSettings& next) { next.tls->certificates[0].key_file = folder.write("z", test::key_pem(orders, "p")); }},
      {"no authorities", [&](ListenerSettings& next) { next.tls->clients->ca_file = folder.write("v", "no PEM"); }},
  };
  for (const auto& [what, breaking] : breakages) {
    ListenerSettings next = settings;
    breaking(next);
    EXPECT_FALSE(shared->prepare(next)) << what;
    EXPECT_TRUE(visit({.shown = &orders}).served) << what;
  }
}

TEST_F(ClientCertificatesTest, TheExpiryOfTheCertificateInUseIsKnown) {
  start();
  const WallTime before = shared->certificate_expiry().at(0).second;
  const test::IdentityFiles longer = test::write_identity(
      folder, "server", make_identity({.common_name = "a.example", .alt_names = {dns("a.example")}, .not_after_seconds = 3600L * 24 * 90}));
  ListenerSettings next = settings;
  next.tls->certificates = {{longer.certificate_file, longer.key_file}};
  reload(next);
  EXPECT_GT(shared->certificate_expiry().at(0).second, before + 24h * 80);
}

}  // namespace
}  // namespace sallyport::listen
