// Tokens whose issuer serves its keys by URL: what is answered while the keys come, change, and do not come (hazards E).
#include <gtest/gtest.h>

#include "authenticate/authenticator.hpp"
#include "authenticate/key_cache.hpp"
#include "http/exchange.hpp"
#include "support/request_builder.hpp"
#include "support/temporary_folder.hpp"
#include "support/token_factory.hpp"
#include "unit/authenticate/session_bench.hpp"

namespace sallyport::authenticate {
namespace {

using testing::Claims;
using testing::kNow;
using testing::need;
using testing::RequestBuilder;
using testing::test_key;
using namespace std::chrono_literals;

constexpr std::string_view kUrl = "https://issuer.example/keys";

// The key that the issuer rotates to.
struct NextKey {
  std::string private_jwks = need(SigningKey::generate_jwks(Algorithm::es256, "next"));
  std::string public_jwks = need(SigningKey::public_jwks(private_jwks));
  std::vector<SigningKey> signing = need(SigningKey::from_jwks(private_jwks));
  [[nodiscard]] std::string token() const { return testing::compact(R"({"alg":"ES256","kid":"next"})", Claims().text(), signing.front()); }
};
const NextKey& next_key() {
  static const NextKey kKey;
  return kKey;
}

class FetchedKeys : public SessionBench {
 protected:
  FetchedKeys() {
    auto issuer = std::make_shared<Issuer>();
    issuer->settings.name = "corp";
    issuer->settings.expectations = testing::expectations({Algorithm::es256});
    issuer->settings.key_url.emplace();
    issuer->keys = std::make_shared<KeySource>(KeySourceLimits{});
    source_ = issuer->keys;
    source_->attach([this] { ++wanted_; });
    plan_ = make_default_plan({issuer}, nullptr);
  }
  void publish(const std::string& jwks) {
    std::vector<std::string> warnings;
    source_->publish(std::make_shared<const KeySet>(need(KeySet::from_jwks(jwks, warnings))), sha256(jwks), kNow);
  }
  static RequestBuilder with(const std::string& token) { return RequestBuilder().field("Authorization", "Bearer " + token); }
  std::string recall(const std::string& token) {
    const auto request = with(token);
    const http::RequestHead head = request.head();
    const auto attempt = authenticator_.try_authenticate(head, plan_, kNow);
    const auto* known = std::get_if<Authentication>(&attempt);
    return known != nullptr ? word_of(known->outcome) : "to be asked";
  }
  struct Asking {
    explicit Asking(const std::string& token) : request(with(token)), head(request.head()) {}
    RequestBuilder request;
    http::RequestHead head;
    std::unique_ptr<Pending<Authentication>> pending;
    [[nodiscard]] std::string word() const { return pending->result ? word_of(pending->result->outcome) : "waits"; }
  };
  std::unique_ptr<Asking> ask(const std::string& token) {
    auto asking = std::make_unique<Asking>(token);
    const Credential credential = find_credential(asking->head, plan_);
    asking->pending = begin(authenticator_.ask(std::get<BearerToken>(credential), plan_, kNow));
    return asking;
  }

  VerifiedTokenCache cache_{1000, 10 * 1024 * 1024};
  JwtAuthenticator tokens_{cache_, revocations_};
  Authenticator authenticator_{tokens_, sessions_};
  std::shared_ptr<KeySource> source_;
  CredentialPlan plan_;
  int wanted_ = 0;
  const std::string first_ = test_key(Algorithm::es256).public_jwks;
  std::string es_ = testing::good_token(Algorithm::es256);
  std::string next_ = next_key().token();
};

TEST_F(FetchedKeys, E05_TheFirstTokenOfANewKeyWaitsForOneFetchAndSucceeds) {
  publish(first_);
  EXPECT_EQ(recall(es_), "alice");
  EXPECT_EQ(recall(next_), "to be asked");
  const auto first = ask(next_);
  const auto second = ask(next_);
  EXPECT_EQ(first->word(), "waits");
  EXPECT_EQ(wanted_, 1);
  source_->begin_fetch();
  publish(next_key().public_jwks);
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(first->word(), "alice");
  EXPECT_EQ(second->word(), "alice");
  EXPECT_EQ(recall(next_), "alice");
}

TEST_F(FetchedKeys, E04_AStrangersKeyIsRefusedOnceTheIssuerWasAsked) {
  publish(first_);
  const auto stranger = ask(next_);
  source_->begin_fetch();
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(stranger->word(), "unknown_key");
  EXPECT_EQ(recall(next_), "unknown_key") << "and again without asking";
  EXPECT_EQ(recall(es_), "alice");
  EXPECT_EQ(wanted_, 1);
}

TEST_F(FetchedKeys, E01_CouldNotAskIsNeitherYesNorNo) {
  publish(first_);
  const auto stranger = ask(next_);
  source_->begin_fetch();
  source_->end_fetch(false);
  settle();
  EXPECT_EQ(stranger->word(), "unavailable");
  EXPECT_EQ(recall(next_), "unavailable");
  EXPECT_EQ(recall(es_), "alice") << "the keys that are there stay good";
}

TEST_F(FetchedKeys, E06_WithoutAnyKeysTokensWaitAndAreNeverRefused) {
  EXPECT_EQ(recall(es_), "to be asked");
  const auto early = ask(es_);
  source_->begin_fetch();
  source_->end_fetch(false);
  settle();
  EXPECT_EQ(early->word(), "unavailable");
  EXPECT_EQ(recall(es_), "unavailable");
  source_->begin_fetch();
  publish(first_);
  source_->end_fetch(true);
  EXPECT_EQ(recall(es_), "alice");
}

TEST_F(FetchedKeys, OnlyAnUnknownKeyIsAskedFor) {
  publish(first_);
  EXPECT_EQ(recall(es_.substr(0, es_.size() - 8) + "AAAAAAAA"), "bad_signature");
  EXPECT_EQ(recall(testing::good_token(Algorithm::es256, Claims().set("exp", 1))), "expired");
  EXPECT_EQ(recall(testing::good_token(Algorithm::hs256)), "algorithm_refused") << "not on the issuer's list";
  EXPECT_EQ(wanted_, 0);
}

TEST_F(FetchedKeys, E05_ATokenOfAKeyThatIsGoneIsNotGoodFromTheCache) {
  publish(first_);
  EXPECT_EQ(recall(es_), "alice");
  EXPECT_EQ(recall(es_), "alice");
  EXPECT_EQ(cache_.hits(), 1U);
  publish(next_key().public_jwks);
  EXPECT_NE(recall(es_), "alice");
  const auto asking = ask(es_);
  source_->begin_fetch();
  source_->end_fetch(true);
  settle();
  EXPECT_EQ(asking->word(), "unknown_key");
  EXPECT_EQ(recall(next_), "alice");
}

TEST_F(FetchedKeys, OnesThatStayAreVerifiedAgainAndThenRemembered) {
  std::vector<std::string> warnings;
  publish(first_);
  EXPECT_EQ(recall(es_), "alice");
  const std::string& jwks = test_key(Algorithm::es256).public_jwks;
  source_->publish(std::make_shared<const KeySet>(need(KeySet::from_jwks(jwks, warnings))), sha256("another text"), kNow);
  EXPECT_EQ(recall(es_), "alice");
  const std::uint64_t hits = cache_.hits();
  EXPECT_EQ(recall(es_), "alice");
  EXPECT_EQ(cache_.hits(), hits + 1);
  EXPECT_EQ(cache_.entries(), 1U);
}

TEST_F(FetchedKeys, E08_WhoWaitsWhenTheSourceIsGivenUpIsAnswered) {
  const auto early = ask(es_);
  source_->detach();
  settle();
  EXPECT_EQ(early->word(), "unavailable");
}

// The issuer as the loader makes it.

class LoadFetchedIssuer : public ::testing::Test {
 protected:
  Result<IssuerPtr> load(std::vector<Algorithm> algorithms = {Algorithm::es256}) {
    IssuerSettings settings;
    settings.name = "corp";
    settings.expectations = testing::expectations(std::move(algorithms));
    settings.key_url = KeyUrl{std::string(kUrl), {}, {}, path_};
    warnings_.clear();
    return load_issuer(std::move(settings), warnings_);
  }
  test::TemporaryFolder folder_;
  std::string path_ = folder_.file("corp.json");
  std::vector<std::string> warnings_;
};

TEST_F(LoadFetchedIssuer, HasNoKeysAtFirst) {
  const auto issuer = load();
  ASSERT_TRUE(issuer);
  EXPECT_TRUE((*issuer)->keys->is_fetched());
  EXPECT_EQ((*issuer)->keys->keys(), nullptr);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(LoadFetchedIssuer, E01_BeginsWithTheKeysThatWereKept) {
  ASSERT_TRUE(write_cached_keys(path_, kUrl, {test_key(Algorithm::es256).public_jwks, kNow}));
  const auto issuer = load();
  ASSERT_TRUE(issuer);
  ASSERT_NE((*issuer)->keys->keys(), nullptr);
  EXPECT_TRUE((*issuer)->keys->keys()->can_verify(Algorithm::es256));
  EXPECT_EQ((*issuer)->keys->published()->fetched_at, kNow);
}

TEST_F(LoadFetchedIssuer, KeptKeysThatDoNotFitAreAWarning) {
  ASSERT_TRUE(write_cached_keys(path_, kUrl, {test_key(Algorithm::rs256).public_jwks, kNow}));
  const auto issuer = load();
  ASSERT_TRUE(issuer);
  EXPECT_EQ((*issuer)->keys->keys(), nullptr);
  EXPECT_EQ(warnings_.size(), 1U);
  ASSERT_TRUE(write_cached_keys(path_, "https://other.example/", {test_key(Algorithm::es256).public_jwks, kNow}));
  EXPECT_EQ((*load())->keys->keys(), nullptr);
  EXPECT_EQ(warnings_.size(), 1U);
}

TEST_F(LoadFetchedIssuer, D11_TakesNoSharedSecrets) {
  EXPECT_FALSE(load({Algorithm::hs256}));
  std::vector<std::string> warnings;
  const auto expected = testing::expectations({Algorithm::es256});
  EXPECT_FALSE(
      read_fetched_keys(R"({"keys":[{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldC0xMjM"}]})", expected, warnings));
  EXPECT_TRUE(read_fetched_keys(test_key(Algorithm::es256).public_jwks, expected, warnings));
}

TEST_F(LoadFetchedIssuer, E03_WhatIsNoKeySetIsRefused) {
  const auto expected = testing::expectations({Algorithm::es256});
  for (const std::string_view text : {"", "<html>", R"({"keys":null})", R"({"keys":{}})", R"({"keys":[]})", R"({"keys":[{"kty":"EC"}]})"}) {
    std::vector<std::string> warnings;
    EXPECT_FALSE(read_fetched_keys(text, expected, warnings)) << text;
  }
  std::string one_bad = test_key(Algorithm::es256).public_jwks;
  one_bad.insert(one_bad.find('[') + 1, R"({"kty":"EC","kid":"bad"},)");
  std::vector<std::string> warnings;
  const auto good = read_fetched_keys(one_bad, expected, warnings);
  ASSERT_TRUE(good) << good.error().detail;
  EXPECT_EQ(good->size(), 1U);
  EXPECT_EQ(warnings.size(), 1U);
}

}  // namespace
}  // namespace sallyport::authenticate
