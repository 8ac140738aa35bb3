// Client certificates: as a credential of their own, and as what a token is bound to (RFC 8705).
#include <gtest/gtest.h>

#include "authenticate/authenticator.hpp"
#include "http/exchange.hpp"
#include "support/request_builder.hpp"
#include "support/token_factory.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityPtr;
using testing::Claims;
using testing::kNow;
using testing::need;
using testing::RequestBuilder;
using testing::test_key;
using namespace std::chrono_literals;

const std::string kThumbprint(43, 'A');

transport::PeerCertificate certificate_of(std::string subject, const std::string& thumbprint = kThumbprint) {
  transport::PeerCertificate certificate;
  certificate.subject = std::move(subject);
  certificate.dns_names = {"orders.example"};
  certificate.thumbprint = thumbprint;
  certificate.shown_to = "internal";
  certificate.not_before = kNow - 24h;
  certificate.not_after = kNow + 1h;
  return certificate;
}

IssuerPtr corp() {
  auto issuer = std::make_shared<Issuer>();
  std::vector<std::string> warnings;
  issuer->settings.name = "corp";
  issuer->settings.expectations = testing::expectations({Algorithm::es256});
  issuer->keys = std::make_shared<KeySource>(need(KeySet::from_jwks(test_key(Algorithm::es256).public_jwks, warnings)));
  return issuer;
}

std::string bound_token(const std::string& cnf) { return testing::good_token(Algorithm::es256, Claims().set("cnf", cnf)); }
std::string bound_to(const std::string& thumbprint) { return bound_token(R"({"x5t#S256":")" + thumbprint + R"("})"); }

class ClientCertificates : public SessionBench {
 protected:
  identity::AuthOutcome outcome(const RequestBuilder& request, const CredentialPlan& plan, const transport::PeerCertificate* certificate,
                                WallTime now = kNow) {
    const http::RequestHead head = request.head();
    return std::get<Authentication>(authenticator_.try_authenticate(head, plan, now, certificate)).outcome;
  }
  std::string judge(const std::string& token, const transport::PeerCertificate* certificate) {
    return word_of(outcome(RequestBuilder().field("Authorization", "Bearer " + token), tokens_plan_, certificate));
  }
  std::string judge(const transport::PeerCertificate* certificate, WallTime now = kNow) {
    return word_of(outcome(RequestBuilder(), certificates_plan_, certificate, now));
  }
  [[nodiscard]] bool revoke(store::Revocation::Kind kind, std::string value, WallTime issued_before = kNow) {
    return revocations_.add({kind, std::move(value), issued_before, 1h}, kNow + 1h, kNow);
  }

  VerifiedTokenCache cache_{1000, 10 * 1024 * 1024};
  JwtAuthenticator tokens_{cache_, revocations_};
  Authenticator authenticator_{tokens_, sessions_};
  CredentialPlan tokens_plan_ = make_default_plan({corp()}, nullptr);
  CredentialPlan certificates_plan_ = make_plan({{.is_session = false, .issuer = nullptr, .is_client_certificate = true}}, nullptr);
  transport::PeerCertificate orders_ = certificate_of("CN=orders,O=Example");
};

TEST_F(ClientCertificates, ABoundTokenCountsWithItsCertificateAlone) {
  const std::string token = bound_to(kThumbprint);
  EXPECT_EQ(judge(token, &orders_), "alice");
  const auto other = certificate_of("CN=orders,O=Example", std::string(42, 'B') + "A");
  EXPECT_EQ(judge(token, &other), "wrong_certificate");
  EXPECT_EQ(judge(token, nullptr), "wrong_certificate");
}

TEST_F(ClientCertificates, ABoundTokenIsCheckedAgainFromTheCache) {
  const std::string token = bound_to(kThumbprint);
  EXPECT_EQ(judge(token, nullptr), "wrong_certificate");
  EXPECT_EQ(judge(token, &orders_), "alice");
  EXPECT_EQ(judge(token, nullptr), "wrong_certificate");
  EXPECT_EQ(cache_.hits(), 2U);
}

TEST_F(ClientCertificates, ATokenThatIsNotBoundCountsWithAnyCertificate) {
  const std::string token = testing::good_token(Algorithm::es256);
  EXPECT_EQ(judge(token, &orders_), "alice");
  EXPECT_EQ(judge(token, nullptr), "alice");
}

TEST_F(ClientCertificates, ABindingThatNobodyCanCheckIsRefused) {
  const std::string thumbprint = R"("x5t#S256":")" + kThumbprint + "\"";
  for (const std::string& cnf :
       {std::string(R"({"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})"), std::string("{}"), std::string(R"({"kid":"k"})"),
        "{" + thumbprint + R"(,"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})", std::string(R"({"x5t":"abc"})")}) {
    EXPECT_EQ(judge(bound_token(cnf), &orders_), "wrong_certificate") << cnf;
  }
  for (const std::string& cnf :
       {std::string("null"), std::string("true"), std::string("[]"), std::string(R"({"x5t#S256":null})"), std::string(R"({"x5t#S256":""})"),
        R"({"x5t#S256":")" + kThumbprint + R"(="})", R"({"x5t#S256":[")" + kThumbprint + R"("]})"}) {
    EXPECT_EQ(judge(bound_token(cnf), &orders_), "claim_invalid") << cnf;
  }
}

TEST_F(ClientCertificates, IsACredentialWhereTheRouteNamesIt) {
  const auto made = outcome(RequestBuilder(), certificates_plan_, &orders_);
  const auto& facts = std::get<IdentityPtr>(made)->facts();
  EXPECT_EQ(facts.subject, "CN=orders,O=Example");
  EXPECT_EQ(facts.issuer, "client-certificate");
  EXPECT_EQ(facts.method, identity::AuthMethod::client_certificate);
  EXPECT_EQ(facts.expires_at, orders_.not_after);
  EXPECT_EQ(facts.claims.json().dump(), R"({"sub":"CN=orders,O=Example","dns_names":["orders.example"],"uris":[],"emails":[],"thumbprint":")" +
                                     kThumbprint + R"(","listener":"internal"})");
  EXPECT_TRUE(facts.roles.empty());
  EXPECT_EQ(std::get<IdentityPtr>(outcome(RequestBuilder(), certificates_plan_, &orders_)), std::get<IdentityPtr>(made))
      << "made once, and remembered";
}

TEST_F(ClientCertificates, L08_SaysToWhichListenerItWasShown) {
  const auto listener_of = [&](const transport::PeerCertificate& certificate) {
    const auto made = outcome(RequestBuilder(), certificates_plan_, &certificate);
    return std::get<IdentityPtr>(made)->facts().claims.json().find("listener")->dump();
  };
  EXPECT_EQ(listener_of(orders_), R"("internal")");
  auto elsewhere = orders_;
  elsewhere.shown_to = "partners";
  EXPECT_EQ(listener_of(elsewhere), R"("partners")") << "not what is remembered of the other";
  EXPECT_EQ(listener_of(orders_), R"("internal")");
}

TEST_F(ClientCertificates, IsNoCredentialByDefault) {
  EXPECT_EQ(word_of(outcome(RequestBuilder(), tokens_plan_, &orders_)), "not presented");
  EXPECT_EQ(word_of(outcome(RequestBuilder(), make_default_plan({corp()}, settings_), &orders_)), "not presented");
}

TEST_F(ClientCertificates, L08_WithoutOneNobodyIsKnown) { EXPECT_EQ(judge(nullptr), "not presented"); }

TEST_F(ClientCertificates, TheFirstKindThatIsThereDecides) {
  const CredentialPlan both = make_plan({{.is_session = false, .issuer = corp(), .is_client_certificate = false},
                                         {.is_session = false, .issuer = nullptr, .is_client_certificate = true}},
                                        nullptr);
  EXPECT_EQ(word_of(outcome(RequestBuilder(), both, &orders_)), "CN=orders,O=Example");
  EXPECT_EQ(word_of(outcome(RequestBuilder().field("Authorization", "Bearer x"), both, &orders_)), "malformed")
      << "a bad token does not fall through";
}

TEST_F(ClientCertificates, L08_EndsWithTheCertificate) {
  EXPECT_EQ(judge(&orders_, kNow + 59min), "CN=orders,O=Example");
  EXPECT_EQ(judge(&orders_, kNow + 1h), "expired");
}

TEST_F(ClientCertificates, OneWithoutASubjectIsKnownByItsUri) {
  auto workload = certificate_of("");
  EXPECT_EQ(judge(&workload), "claim_missing");
  workload.uris = {"spiffe://example.org/orders"};
  workload.uri_count = 1;
  EXPECT_EQ(judge(&workload), "spiffe://example.org/orders");
  auto two = certificate_of("", std::string(42, 'C') + "A");
  two.uris = {"spiffe://example.org/orders", "spiffe://example.org/admin"};
  two.uri_count = 2;
  EXPECT_EQ(judge(&two), "claim_missing");
  two.uris.pop_back();  // as one is left out that cannot be printed
  EXPECT_EQ(judge(&two), "claim_missing");
}

TEST_F(ClientCertificates, L08_WhatReadsAsASubjectIsNoUri) {
  auto forger = certificate_of("");
  forger.uri_count = 1;
  for (const char* uri : {"CN=admin", "CN=admin,O=x:y", "orders", ":orders", "/orders", "1a:orders", "spiffe//example.org", "a=b:c"}) {
    forger.uris = {uri};
    EXPECT_EQ(judge(&forger), "claim_missing") << uri;
  }
  forger.uris = {"urn:example:orders"};
  EXPECT_EQ(judge(&forger), "urn:example:orders");
}

TEST_F(ClientCertificates, L08_IsRevokedBySubjectAndByThumbprint) {
  EXPECT_EQ(judge(&orders_), "CN=orders,O=Example");
  const auto fresh = certificate_of("CN=fresh", std::string(42, 'D') + "A");
  ASSERT_TRUE(revoke(store::Revocation::Kind::token_id, kThumbprint));
  EXPECT_EQ(judge(&orders_), "revoked") << "also when it is remembered";
  EXPECT_EQ(judge(&fresh), "CN=fresh");
  ASSERT_TRUE(revoke(store::Revocation::Kind::subject, "CN=fresh"));
  EXPECT_EQ(judge(&fresh), "revoked");
  auto renewed = certificate_of("CN=fresh", std::string(42, 'E') + "A");
  renewed.not_before = kNow + 1min;
  EXPECT_EQ(judge(&renewed), "CN=fresh") << "a certificate that was made after the revocation";
}

TEST_F(ClientCertificates, N01_NoneIsGoodBeforeWhatWasRevokedIsKnown) {
  revocations_.expect_history();
  EXPECT_TRUE(std::holds_alternative<identity::Unavailable>(outcome(RequestBuilder(), certificates_plan_, &orders_)));
  revocations_.complete();
  EXPECT_EQ(judge(&orders_), "CN=orders,O=Example");
  revocations_.expect_history();  // nothing is heard any more
  EXPECT_TRUE(std::holds_alternative<identity::Unavailable>(outcome(RequestBuilder(), certificates_plan_, &orders_)));
}

}  // namespace
}  // namespace sallyport::authenticate
