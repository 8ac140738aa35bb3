// Exchanges under way whose issuer, key or client certificate counts no more.
#include <gtest/gtest.h>

#include "pipeline/live_exchanges.hpp"
#include "support/identity_builder.hpp"
#include "worker.hpp"

namespace sallyport::pipeline {
namespace {

using authenticate::Algorithm;
using sallyport::testing::IdentityBuilder;
using sallyport::testing::test_issuer;

struct LongAnswer {
  LongAnswer(TestWorker& worker, identity::IdentityPtr identity) : entry(worker.live, std::move(identity), peer, interruption) {}
  http::Peer peer;
  upstream::Interruption interruption;
  LiveExchanges::Entry entry;
  [[nodiscard]] bool ended() const { return interruption.fired(); }
};

authenticate::KeySource::KeysPtr keys_of(Algorithm algorithm) {
  std::vector<std::string> warnings;
  return std::make_shared<const authenticate::KeySet>(
      testing::need(authenticate::KeySet::from_jwks(testing::test_key(algorithm).public_jwks, warnings)));
}

class LiveTrustTest : public ::testing::Test {
 protected:
  void use(std::vector<authenticate::IssuerPtr> issuers) {
    worker_.live.use(issuers);
    worker_.live.look_through();
  }
  static authenticate::IssuerPtr corp(Algorithm algorithm = Algorithm::es256) {
    return test_issuer("corp", "https://issuer.example", "api", algorithm);
  }
  static authenticate::IssuerPtr fetched(const std::shared_ptr<authenticate::KeySource>& keys) {
    auto issuer = std::make_shared<authenticate::Issuer>(*corp());
    issuer->keys = keys;
    return issuer;
  }
  // As the authenticator makes it.
  identity::IdentityPtr verified(const authenticate::IssuerPtr& issuer, Algorithm algorithm = Algorithm::es256) {
    const auto plan = authenticate::make_default_plan({issuer}, nullptr);
    const std::string token = testing::good_token(algorithm);
    const identity::AuthOutcome outcome = worker_.tokens.authenticate({token, 1, false}, plan, worker_.clock.wall_now());
    return std::get<identity::IdentityPtr>(outcome);
  }

  TestWorker worker_;
};

TEST_F(LiveTrustTest, P13_TheSameKeysReadAnewEndNothing) {
  use({corp()});
  const LongAnswer exchange(worker_, verified(corp()));
  use({corp()});
  use({test_issuer("other", "https://other.example", "api", Algorithm::rs256), corp()});
  EXPECT_FALSE(exchange.ended());
}

TEST_F(LiveTrustTest, P13_EndsThoseWhoseIssuerIsGone) {
  use({corp()});
  const LongAnswer by_token(worker_, verified(corp()));
  const LongAnswer by_session(worker_, IdentityBuilder().method(identity::AuthMethod::session).build());
  use({test_issuer("corp", "https://elsewhere.example", "api", Algorithm::es256)});
  EXPECT_TRUE(by_token.ended());
  EXPECT_FALSE(by_session.ended()) << "no issuer vouched for it";
}

TEST_F(LiveTrustTest, E05_EndsThoseWhoseKeyIsGoneFromItsFile) {
  use({corp()});
  const LongAnswer exchange(worker_, verified(corp()));
  use({corp(Algorithm::rs256)});
  EXPECT_TRUE(exchange.ended());
}

TEST_F(LiveTrustTest, E05_EndsThoseWhoseKeyIsGoneFromAFetchedSet) {
  const auto source = std::make_shared<authenticate::KeySource>(authenticate::KeySourceLimits{});
  const authenticate::IssuerPtr issuer = fetched(source);
  source->publish(keys_of(Algorithm::es256), sha256("one"), worker_.clock.wall_now());
  use({issuer});
  const LongAnswer exchange(worker_, verified(issuer));
  worker_.live.look_through();
  EXPECT_FALSE(exchange.ended());
  source->publish(keys_of(Algorithm::es384), sha256("two"), worker_.clock.wall_now());
  worker_.live.look_through();
  EXPECT_TRUE(exchange.ended());
}

TEST_F(LiveTrustTest, E12_KeysThatAreStillToBeFetchedEndNothing) {
  use({corp()});
  const LongAnswer exchange(worker_, verified(corp()));
  const auto source = std::make_shared<authenticate::KeySource>(authenticate::KeySourceLimits{});
  use({fetched(source)});
  EXPECT_FALSE(exchange.ended());
  source->publish(keys_of(Algorithm::rs256), sha256("one"), worker_.clock.wall_now());
  worker_.live.look_through();
  EXPECT_TRUE(exchange.ended());
}

TEST_F(LiveTrustTest, L08_EndsWhatCountsWithACertificateWhenItsConnectionIsDistrusted) {
  LongAnswer by_certificate(worker_, IdentityBuilder().method(identity::AuthMethod::client_certificate).build());
  LongAnswer bound(worker_, IdentityBuilder().certificate("thumbprint").build());
  LongAnswer by_token(worker_, IdentityBuilder().build());
  worker_.live.look_through();
  EXPECT_FALSE(by_certificate.ended() || bound.ended());
  for (LongAnswer* each : {&by_certificate, &bound, &by_token}) each->peer.is_distrusted = true;
  worker_.live.look_through();
  EXPECT_TRUE(by_certificate.ended());
  EXPECT_TRUE(bound.ended());
  EXPECT_FALSE(by_token.ended());
}

}  // namespace
}  // namespace sallyport::pipeline
