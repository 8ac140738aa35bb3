#include <gtest/gtest.h>

#include "authenticate/keys.hpp"
#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using namespace sallyport::testing;

// PEM and secret files cannot name their keys, and issuers name theirs all the same.
TEST(KeySet, FindsTheOnlyKeyOfASecretFileWhateverIdTheTokenNames) {
  const KeySet keys = need(KeySet::from_secret(Secret("0123456789abcdef0123456789abcdef-not-guessable"), {Algorithm::hs256}));
  EXPECT_NE(keys.find("2026-01", Algorithm::hs256), nullptr);
  EXPECT_NE(keys.find(std::nullopt, Algorithm::hs256), nullptr);
  EXPECT_EQ(keys.find("2026-01", Algorithm::rs256), nullptr) << "the key still decides the algorithm";
}

TEST(KeySet, RefusesAnUnknownIdInAJwkSet) {
  const KeySet& keys = test_key(Algorithm::es256).verifying;
  EXPECT_NE(keys.find("test-key", Algorithm::es256), nullptr);
  EXPECT_EQ(keys.find("another", Algorithm::es256), nullptr);
}

}  // namespace
}  // namespace sallyport::authenticate
