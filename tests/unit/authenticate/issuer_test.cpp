#include "authenticate/issuer.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/token_factory.hpp"

namespace sallyport::authenticate {
namespace {

using ::testing::HasSubstr;
using testing::need;
using ::testing::SizeIs;
using testing::test_key;

class LoadIssuer : public ::testing::Test {
 protected:
  LoadIssuer() {
    std::string pattern = (std::filesystem::temp_directory_path() / "issuer_test.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
  }
  ~LoadIssuer() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, std::string_view content) const {
    const std::string path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  IssuerSettings settings(std::vector<Algorithm> algorithms, KeyFile keys) const {
    IssuerSettings out;
    out.name = "corp";
    out.expectations = testing::expectations(std::move(algorithms));
    out.keys = std::move(keys);
    return out;
  }
  Result<IssuerPtr> load(IssuerSettings settings) {
    warnings_.clear();
    return load_issuer(std::move(settings), warnings_);
  }
  Result<IssuerPtr> load_jwks(std::vector<Algorithm> algorithms, std::string_view jwks) {
    return load(settings(std::move(algorithms), {KeyFile::Kind::jwks_file, file("keys.json", jwks)}));
  }

  std::filesystem::path folder_;
  std::vector<std::string> warnings_;
};

constexpr std::string_view kSecret = "0123456789abcdefghijklmnopqrstuv-0123456789ABCDEFGHIJKLMNOPQRSTUV";

TEST_F(LoadIssuer, ReadsAJwkSet) {
  const Result<IssuerPtr> issuer = load_jwks({Algorithm::es256}, test_key(Algorithm::es256).public_jwks + "\n");
  ASSERT_TRUE(issuer) << issuer.error().detail;
  EXPECT_TRUE((*issuer)->keys->keys()->can_verify(Algorithm::es256));
  EXPECT_EQ((*issuer)->settings.name, "corp");
  EXPECT_THAT(warnings_, SizeIs(0));
}

TEST_F(LoadIssuer, ReadsASecretWithoutItsFinalNewline) {
  const Result<IssuerPtr> issuer =
      load(settings({Algorithm::hs256}, {KeyFile::Kind::secret_file, file("secret", std::string(kSecret) + "\n")}));
  ASSERT_TRUE(issuer) << issuer.error().detail;
  const std::string jwk_form = R"({"keys":[{"kty":"oct","k":")" + base64url_encode(kSecret) + "\"}]}";
  const std::vector<SigningKey> signing = need(SigningKey::from_jwks(jwk_form));
  const std::string signature = need(signing.front().sign("input"));
  EXPECT_EQ((*issuer)->keys->keys()->find(std::nullopt, Algorithm::hs256)->verify(Algorithm::hs256, "input", signature), Verification::valid);
}

TEST_F(LoadIssuer, SaysWhatIsWrongWithTheFile) {
  const auto fault = [&](KeyFile::Kind kind, std::string path) {
    const Result<IssuerPtr> issuer = load(settings({Algorithm::es256}, {kind, std::move(path)}));
    return issuer ? std::nullopt : std::optional(issuer.error().fault);
  };
  EXPECT_EQ(fault(KeyFile::Kind::jwks_file, folder_ / "missing"), Fault::not_found);
  EXPECT_EQ(fault(KeyFile::Kind::jwks_file, folder_), Fault::unavailable);
  EXPECT_EQ(fault(KeyFile::Kind::jwks_file, file("empty", "")), Fault::malformed);
  EXPECT_EQ(fault(KeyFile::Kind::jwks_file, file("large", std::string(KeySet::kBytesMax + 2, ' '))), Fault::too_large);
  EXPECT_EQ(fault(KeyFile::Kind::pem_file, file("jwks", test_key(Algorithm::es256).public_jwks)), Fault::malformed);
  EXPECT_EQ(fault(KeyFile::Kind::jwks_file, file("jwks", test_key(Algorithm::es256).public_jwks)), std::nullopt);
}

TEST_F(LoadIssuer, D10_RefusesShortAndWeakSecrets) {
  const auto is_good = [&](std::string_view secret, std::vector<Algorithm> algorithms) {
    return load(settings(std::move(algorithms), {KeyFile::Kind::secret_file, file("secret", secret)})).has_value();
  };
  EXPECT_TRUE(is_good(kSecret.substr(0, 32), {Algorithm::hs256}));
  EXPECT_FALSE(is_good(kSecret.substr(0, 31), {Algorithm::hs256}));
  EXPECT_FALSE(is_good(std::string(kSecret.substr(0, 31)) + "\n", {Algorithm::hs256})) << "the newline does not count";
  EXPECT_FALSE(is_good(kSecret.substr(0, 63), {Algorithm::hs256, Algorithm::hs512}));
  EXPECT_TRUE(is_good(kSecret.substr(0, 64), {Algorithm::hs256, Algorithm::hs512}));
  EXPECT_FALSE(is_good(std::string(64, 'x'), {Algorithm::hs256}));
}

TEST_F(LoadIssuer, P03_RefusesHmacBesidePublicKeysInEveryForm) {
  const std::string& es = test_key(Algorithm::es256).public_jwks;
  const std::string& hs = test_key(Algorithm::hs256).private_jwks;
  EXPECT_FALSE(load_jwks({Algorithm::es256, Algorithm::hs256}, es));
  EXPECT_FALSE(load_jwks({Algorithm::hs256}, es));
  const Result<IssuerPtr> secrets = load_jwks({Algorithm::es256}, hs);
  ASSERT_FALSE(secrets);
  EXPECT_THAT(secrets.error().detail, HasSubstr("secrets"));
  EXPECT_FALSE(load(settings({Algorithm::es256}, {KeyFile::Kind::secret_file, file("secret", kSecret)})));
  EXPECT_TRUE(load_jwks({Algorithm::hs256}, hs));
  EXPECT_TRUE(load_jwks({Algorithm::es256}, es));
}

TEST_F(LoadIssuer, P03_RefusesAnEmptyListAndOneThatNoKeyServes) {
  const std::string& es = test_key(Algorithm::es256).public_jwks;
  EXPECT_FALSE(load_jwks({}, es));
  EXPECT_FALSE(load_jwks({Algorithm::rs256}, es));
  EXPECT_FALSE(load_jwks({Algorithm::es384}, es));
  ASSERT_TRUE(load_jwks({Algorithm::rs256, Algorithm::es256}, es));
  ASSERT_THAT(warnings_, SizeIs(1));
  EXPECT_THAT(warnings_[0], HasSubstr("RS256"));
}

TEST_F(LoadIssuer, RefusesAnIssuerWithoutNameOrAudience) {
  const std::string path = file("keys.json", test_key(Algorithm::es256).public_jwks);
  IssuerSettings no_audience = settings({Algorithm::es256}, {KeyFile::Kind::jwks_file, path});
  no_audience.expectations.audiences.clear();
  EXPECT_FALSE(load(no_audience));
  IssuerSettings no_issuer = settings({Algorithm::es256}, {KeyFile::Kind::jwks_file, path});
  no_issuer.expectations.issuer.clear();
  EXPECT_FALSE(load(no_issuer));
  EXPECT_TRUE(load(settings({Algorithm::es256}, {KeyFile::Kind::jwks_file, path})));
}

TEST_F(LoadIssuer, PassesOnTheWarningsOfSkippedKeys) {
  const std::string& set = test_key(Algorithm::es256).public_jwks;
  ASSERT_TRUE(load_jwks({Algorithm::es256}, set.substr(0, set.size() - 2) + R"(,{"kty":"EC","use":"enc"}]})"));
  ASSERT_THAT(warnings_, SizeIs(1));
  EXPECT_THAT(warnings_[0], HasSubstr("key 2"));
}

}  // namespace
}  // namespace sallyport::authenticate
