#include "issue/token_pairs.hpp"

#include <string>

#include <gtest/gtest.h>

#include "workshop.hpp"

namespace sallyport::issue {
namespace {

using authenticate::SigningKey;
using identity::RefusalReason;

std::shared_ptr<SharedState> fresh_state() { return std::make_shared<SharedState>(); }

std::int64_t number(const Json& claims, const char* member) { return std::get<std::int64_t>(claims.find(member)->value()); }

class TokenPairsOf : public ::testing::TestWithParam<Algorithm> {};

TEST_P(TokenPairsOf, VerifyAsAnyIssuersDo) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(GetParam());
  const TokenPairPtr pair = gateway.begin(keys, alice(R"({"roles":["admin"],"scope":"orders:read orders:write","tenant":"acme"})"));
  const identity::IdentityPtr identity = Judge(keys, gateway.revocations).identity(pair->access, kStart);
  ASSERT_NE(identity, nullptr);
  const identity::IdentityFacts& facts = identity->facts();
  EXPECT_EQ(facts.subject, "alice");
  EXPECT_EQ(facts.issuer, "https://gateway.example");
  EXPECT_EQ(facts.issuer_name, "edge");
  EXPECT_EQ(facts.roles, std::vector<std::string>{"admin"});
  EXPECT_EQ(facts.scopes, (std::vector<std::string>{"orders:read", "orders:write"}));
  EXPECT_EQ(facts.family, pair->family);
  EXPECT_EQ(facts.issued_at, testing::kNow);
  EXPECT_EQ(facts.expires_at, testing::kNow + std::chrono::minutes(15) + seconds(5));
  EXPECT_EQ(facts.authenticated_at, testing::kNow);
  EXPECT_FALSE(facts.token_id.empty());
  EXPECT_EQ(*facts.claims.json().find("tenant")->string(), "acme");
}

TEST_P(TokenPairsOf, RefuseEveryFlippedCharacterOfTheirSignature) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(GetParam());
  const std::string token = gateway.begin(keys)->access;
  Judge judge(keys, gateway.revocations);
  ASSERT_NE(judge.identity(token, kStart), nullptr);
  for (std::size_t i = token.rfind('.') + 1; i < token.size(); ++i) {
    std::string flipped = token;
    flipped[i] = flipped[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(judge.identity(flipped, kStart), nullptr) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Algorithms, TokenPairsOf, ::testing::Values(Algorithm::es256, Algorithm::rs256, Algorithm::eddsa),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST(TokenPairs, SayWhatRfc9068AsksForAndWhoseTheyAre) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const TokenPairPtr pair = gateway.begin(keys, alice(R"({"tenant":"acme"})"));
  EXPECT_EQ(*header_of(pair->access).find("typ")->string(), "at+jwt");
  EXPECT_EQ(*header_of(pair->access).find("kid")->string(), "test-key");
  const Json claims = claims_of(pair->access);
  const std::string family_id = gateway.tags->open_refresh_token(pair->refresh)->family_id;
  EXPECT_EQ(claims, testing::need(Json::parse(R"({"tenant":"acme","auth_time":1700000000,"iss":"https://gateway.example","aud":"api",
      "sub":"alice","iat":1700000000,"exp":1700000900,"jti":")" +
                                              gateway.tags->token_id(family_id, 1) + R"(","sid":")" + store::handle_of(sha256(family_id)) +
                                              "\"}")));
  EXPECT_EQ(pair->family, *claims.find("sid")->string());
  EXPECT_EQ(pair->subject, "alice");
  EXPECT_EQ(pair->access_left, seconds(900));
  EXPECT_EQ(pair->refresh_left, std::chrono::hours(24 * 7));
}

TEST(TokenPairs, NameSeveralAudiencesAsAnArray) {
  Gateway gateway(fresh_state());
  TokenSettings settings = token_settings();
  settings.audiences = {"api", "files"};
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256, settings);
  const TokenPairPtr pair = gateway.begin(keys);
  EXPECT_EQ(*claims_of(pair->access).find("aud"), testing::need(Json::parse(R"(["api","files"])")));
  EXPECT_NE(Judge(keys, gateway.revocations).identity(pair->access, kStart), nullptr);
}

TEST(TokenPairs, LetNoClaimOfTheFamilySpeakForTheToken) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const std::string family_id = gateway.tags->make_family_id();
  store::Family family;
  family.key = sha256(family_id);
  family.subject = "alice";
  family.claims = testing::need(Json::parse(
      R"({"iss":"x","aud":"x","sub":"root","iat":1,"exp":9999999999,"nbf":1,"jti":"x","sid":"x","typ":"x","cnf":{},"tenant":"acme"})"));
  family.generation = 1;
  family.started_at = family.rotated_at = kStart;
  family.refresh_left = std::chrono::hours(1);
  const TokenPairPtr pair = testing::need(make_pair(family, family_id, *keys, *gateway.tags, gateway.revocations, kStart));
  const Json claims = claims_of(pair->access);
  EXPECT_EQ(*claims.find("sub")->string(), "alice");
  EXPECT_EQ(*claims.find("iss")->string(), "https://gateway.example");
  EXPECT_EQ(number(claims, "exp"), 1'700'000'900);
  EXPECT_EQ(*claims.find("tenant")->string(), "acme");
  EXPECT_EQ(number(claims, "auth_time"), testing::kNowSeconds) << "where the claims do not say when, it is when the family began";
  for (const char* member : {"nbf", "typ", "cnf"}) EXPECT_EQ(claims.find(member), nullptr) << member;
}

TEST(TokenPairs, OutliveTheReplacementOfTheKeyThatSignedThem) {
  Gateway gateway(fresh_state());
  const std::string first = testing::need(SigningKey::generate_jwks(Algorithm::es256, "2023-1"));
  const std::string second = testing::need(SigningKey::generate_jwks(Algorithm::es256, "2023-2"));
  const EdgeKeysPtr before = edge_keys(first);
  const EdgeKeysPtr both = edge_keys(joined({second, first}));
  const EdgeKeysPtr after = edge_keys(second);
  const TokenPairPtr old_pair = gateway.begin(before);
  EXPECT_NE(Judge(both, gateway.revocations).identity(old_pair->access, kStart), nullptr);
  const RefreshOutcome refreshed = gateway.refresh(old_pair->refresh, both);
  ASSERT_NE(pair_of(refreshed), nullptr) << "nobody is signed out";
  EXPECT_EQ(*header_of(pair_of(refreshed)->access).find("kid")->string(), "2023-2");
  EXPECT_NE(Judge(after, gateway.revocations).identity(pair_of(refreshed)->access, kStart), nullptr);
  EXPECT_EQ(Judge(after, gateway.revocations).refusal(old_pair->access, kStart), RefusalReason::unknown_key);
}

TEST(TokenPairs, EndWithTheirFamilyAtTheLatest) {
  Gateway gateway(fresh_state());
  TokenSettings settings = token_settings();
  settings.family_ttl = std::chrono::minutes(20);
  settings.refresh_ttl = std::chrono::minutes(19);
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256, settings);
  const TokenPairPtr pair = gateway.begin(keys);
  EXPECT_EQ(pair->refresh_left, std::chrono::minutes(19));
  gateway.advance(std::chrono::minutes(15));
  const TokenPairPtr last = pair_of(gateway.refresh(pair->refresh, keys));
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(number(claims_of(last->access), "exp"), testing::kNowSeconds + 20 * 60);
  EXPECT_EQ(last->access_left, std::chrono::minutes(5));
  EXPECT_EQ(last->refresh_left, std::chrono::minutes(5));
}

TEST(TokenPairs, EndWhenTheOperatorShortensTheLifeOfFamilies) {
  Gateway gateway(fresh_state());
  TokenSettings shorter = token_settings();
  shorter.family_ttl = std::chrono::minutes(10);
  shorter.refresh_ttl = std::chrono::minutes(10);
  const TokenPairPtr pair = gateway.begin(edge_keys(Algorithm::es256));
  gateway.advance(std::chrono::minutes(11));
  EXPECT_EQ(refusal_of(gateway.refresh(pair->refresh, edge_keys(Algorithm::es256, shorter))), "gone");
  EXPECT_TRUE(gateway.store.state().families.empty());
}

TEST(TokenPairs, AnswerAsRfc6749Section51Says) {
  TokenPair pair;
  pair.access = "a.b.c";
  pair.refresh = "r";
  pair.access_left = seconds(900);
  pair.refresh_left = seconds(604'800);
  EXPECT_EQ(token_response_json(pair),
            R"({"access_token":"a.b.c","token_type":"Bearer","expires_in":900,"refresh_token":"r","refresh_expires_in":604800})");
  pair.scope = "orders:read";
  EXPECT_EQ(*testing::need(Json::parse(token_response_json(pair))).find("scope")->string(), "orders:read");
}

TEST(TokenPairs, NameTheScopeOfTheToken) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  EXPECT_EQ(gateway.begin(keys, alice(R"({"scope":"a b"})"))->scope, "a b");
  EXPECT_EQ(gateway.begin(keys, alice(R"({"scope":["a","b"]})"))->scope, "a b");
  EXPECT_EQ(gateway.begin(keys, alice(R"({"scope":["a",1]})"))->scope, "");
  EXPECT_EQ(gateway.begin(keys, alice(R"({"scope":7})"))->scope, "");
  EXPECT_EQ(gateway.begin(keys)->scope, "");
}

TEST(TokenPairs, F03_SetAndClearTheirCookiesWithEveryAttribute) {
  TokenPair pair;
  pair.access = "a.b.c";
  pair.refresh = "r";
  pair.access_left = seconds(900);
  pair.refresh_left = seconds(604'800);
  EXPECT_EQ(token_cookies(pair, token_settings()),
            (std::vector<std::string>{"__Host-access=a.b.c; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=604800",
                                      "__Host-refresh=r; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=604800"}))
      << "the access cookie stays: an expired token in it is what asks for a refresh";
  EXPECT_EQ(clear_token_cookies(token_settings()),
            (std::vector<std::string>{"__Host-access=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
                                      "__Host-refresh=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"}));
}

TEST(TokenPairs, H14_EndByLogoutInTheListAndInTheStore) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const TokenPairPtr pair = gateway.begin(keys);
  const TokenPairPtr other = gateway.begin(keys);
  Judge judge(keys, gateway.revocations);
  ASSERT_NE(judge.identity(pair->access, kStart), nullptr);
  EXPECT_TRUE(run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1))).value());
  EXPECT_EQ(gateway.store.state().order, (std::vector<std::string>{"create_family", "create_family", "revoke", "end_family"}))
      << "the broadcast first: a crash in between leaves it refused";
  EXPECT_EQ(judge.refusal(pair->access, kStart), RefusalReason::revoked);
  EXPECT_EQ(refusal_of(gateway.refresh(pair->refresh, keys)), "gone");
  EXPECT_NE(judge.identity(other->access, kStart), nullptr);
  EXPECT_EQ(counted(gateway.metrics, "sallyport_revocations_total{kind=\"family\"}"), 1U);
}

TEST(TokenPairs, BroadcastALogoutOnce) {
  Gateway gateway(fresh_state());
  const TokenPairPtr pair = gateway.begin(edge_keys(Algorithm::es256));
  EXPECT_TRUE(run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1))).value());
  for (int i = 0; i < 10; ++i) {
    gateway.advance(seconds(1));
    EXPECT_FALSE(run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1))).value());
  }
  EXPECT_EQ(gateway.store.asked("revoke"), 1);
  EXPECT_FALSE(run(gateway.context, gateway.pairs.end("no handle", std::chrono::hours(1))).value());
}

TEST(TokenPairs, ALogoutThatWasCutOffIsFinishedByTheNext) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  const TokenPairPtr pair = gateway.begin(keys);
  gateway.store.refused["end_family"] = Fault::unavailable;
  EXPECT_FALSE(run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1))).has_value());
  EXPECT_EQ(Judge(keys, gateway.revocations).refusal(pair->access, kStart), RefusalReason::revoked);
  EXPECT_EQ(refusal_of(gateway.refresh(pair->refresh, keys)), "revoked") << "the store does not know it yet";
  gateway.store.refused.clear();
  (void)run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1)));
  EXPECT_TRUE(gateway.store.state().families.empty());
}

TEST(TokenPairs, ALogoutFailsWhereItCannotBeBroadcast) {
  Gateway gateway(fresh_state());
  const TokenPairPtr pair = gateway.begin(edge_keys(Algorithm::es256));
  for (const Fault fault : {Fault::unavailable, Fault::too_large}) {
    gateway.store.refused["revoke"] = fault;
    const Result<bool> ended = run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1)));
    ASSERT_FALSE(ended.has_value());
    EXPECT_EQ(ended.error().fault, fault);
  }
}

TEST(TokenPairs, ALogoutIsBroadcastThoughEverythingOlderIsRevoked) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  store::Revocation everything;
  everything.kind = store::Revocation::Kind::everything;
  everything.issued_before = kStart - seconds(10);
  ASSERT_TRUE(gateway.revocations.add(everything, kStart + seconds(1000), kStart));
  const TokenPairPtr pair = gateway.begin(keys);
  Judge judge(keys, gateway.revocations);
  ASSERT_NE(judge.identity(pair->access, kStart), nullptr);
  EXPECT_TRUE(run(gateway.context, gateway.pairs.end(pair->family, std::chrono::hours(1))).value());
  EXPECT_EQ(judge.refusal(pair->access, kStart), RefusalReason::revoked);
}

class AfterARevocation : public ::testing::Test {
 protected:
  void revoke_alice() {
    store::Revocation revocation;
    revocation.kind = store::Revocation::Kind::subject;
    revocation.value = "alice";
    revocation.keep_for = std::chrono::hours(1);
    ASSERT_TRUE(run(gateway_.context, gateway_.store.revoke(revocation)));
  }

  Gateway gateway_{fresh_state()};
  EdgeKeysPtr keys_ = edge_keys(Algorithm::es256);
  Judge judge_{keys_, gateway_.revocations};
};

TEST_F(AfterARevocation, ANewLoginOfTheSameSecondIsGood) {
  const TokenPairPtr before = gateway_.begin(keys_);
  gateway_.advance(milliseconds(100));
  revoke_alice();
  gateway_.advance(milliseconds(1));
  const TokenPairPtr after = gateway_.begin(keys_);
  EXPECT_EQ(judge_.refusal(before->access, gateway_.clock.wall_now()), RefusalReason::revoked);
  EXPECT_NE(judge_.identity(after->access, gateway_.clock.wall_now()), nullptr);
  EXPECT_NEAR(claims_of(after->access).find("iat")->number().value(), 1'700'000'000.401, 1e-6);
  EXPECT_EQ(number(claims_of(after->access), "exp"), testing::kNowSeconds + 900) << "nothing is gained";
}

TEST_F(AfterARevocation, TheNextOneOfTheSameSecondHitsTheNewLoginToo) {
  for (int round = 0; round < 20; ++round) {
    revoke_alice();
    gateway_.advance(milliseconds(1));
    const TokenPairPtr pair = gateway_.begin(keys_);
    ASSERT_NE(judge_.identity(pair->access, gateway_.clock.wall_now()), nullptr) << round;
    revoke_alice();
    ASSERT_EQ(judge_.refusal(pair->access, gateway_.clock.wall_now()), RefusalReason::revoked) << round;
    gateway_.advance(milliseconds(1));
  }
}

TEST_F(AfterARevocation, ALogoutOfTheSameSecondHitsTheNewLoginToo) {
  revoke_alice();
  gateway_.advance(milliseconds(1));
  const TokenPairPtr pair = gateway_.begin(keys_);
  ASSERT_TRUE(run(gateway_.context, gateway_.pairs.end(pair->family, std::chrono::hours(1))).value());
  EXPECT_EQ(judge_.refusal(pair->access, gateway_.clock.wall_now()), RefusalReason::revoked);
}

TEST_F(AfterARevocation, ALoginOfTheVeryMillisecondIsToBeTriedAgain) {
  revoke_alice();
  const auto begun = run(gateway_.context, gateway_.pairs.begin(alice(), keys_, gateway_.tags));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().fault, Fault::unavailable);
}

TEST_F(AfterARevocation, TokensOfLaterSecondsAreDatedInWholeOnes) {
  revoke_alice();
  gateway_.advance(seconds(1));
  EXPECT_EQ(number(claims_of(gateway_.begin(keys_)->access), "iat"), testing::kNowSeconds + 1);
}

TEST(TokenPairs, BeginNothingWithoutKeysOrStore) {
  Gateway gateway(fresh_state());
  const EdgeKeysPtr keys = edge_keys(Algorithm::es256);
  EXPECT_EQ(run(gateway.context, gateway.pairs.begin(alice(), keys, nullptr)).error().fault, Fault::unavailable);
  EXPECT_EQ(run(gateway.context, gateway.pairs.begin(alice(), nullptr, gateway.tags)).error().fault, Fault::unsupported);
  EXPECT_TRUE(is_unavailable(run(gateway.context, gateway.pairs.refresh("x", keys, nullptr))));
  EXPECT_TRUE(is_unavailable(run(gateway.context, gateway.pairs.refresh("x", nullptr, gateway.tags))));
  EXPECT_EQ(gateway.store.asked(), 0);
  gateway.store.refused["create_family"] = Fault::unavailable;
  EXPECT_EQ(run(gateway.context, gateway.pairs.begin(alice(), keys, gateway.tags)).error().fault, Fault::unavailable);
}

}  // namespace
}  // namespace sallyport::issue
