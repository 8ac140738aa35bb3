#include "app/config_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/config_loader.hpp"
#include "support/configuration_folder.hpp"

namespace sallyport::app {
namespace {

using sallyport::testing::ConfigurationFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr long kDay = 24L * 3600;

// A configuration with one certificate and one shared secret, whose files each test changes.
class ConfigFiles : public ::testing::Test {
 protected:
  ConfigFiles() {
    folder_.write("config/gateway.yaml", R"(version: 1
listeners:
  - name: public
    address: 127.0.0.1:8443
    tls:
      certificates:
        - certificate_file: tls/site.crt
          key_file: tls/site.key
admin:
  address: 127.0.0.1:9901
  token_file: secrets/admin.token
issuers:
  - name: batch
    issuer: https://batch.example
    audiences: [api]
    algorithms: [HS256]
    keys:
      secret_file: secrets/batch
upstreams: [ { name: web, servers: [ { url: http://127.0.0.1:9001 } ] } ]
policies: [ ../policies/p.yaml ]
)");
    folder_.write("policies/p.yaml", "version: 1\nroutes:\n  - { name: a, match: { path: /** }, access: authenticated, upstream: web }\n");
    write_certificate(100 * kDay);
  }

  void write_certificate(long not_after_seconds, long not_before_seconds = -3600) {
    identity_ = test::make_identity({.common_name = "site",
                                     .alt_names = {test::dns("site.example")},
                                     .not_before_seconds = not_before_seconds,
                                     .not_after_seconds = not_after_seconds});
    folder_.write("config/tls/site.crt", test::certificate_pem(identity_));
    folder_.write_secret("config/tls/site.key", test::key_pem(identity_));
  }

  // "LINE:COLUMN: message" of each problem.
  std::vector<std::string> problems() { return in_short(load().problems); }
  std::vector<std::string> warnings() { return in_short(load().warnings); }

  Loaded load() const {
    return load_config(folder_.file("config/gateway.yaml"), [](const std::string&) { return std::optional<std::string>(); });
  }
  std::vector<std::string> in_short(const std::vector<Problem>& problems) const {
    std::vector<std::string> lines;
    const std::string prefix = folder_.file("config/gateway.yaml") + ":";
    for (const Problem& problem : problems) {
      EXPECT_THAT(problem.text(), ::testing::StartsWith(prefix));
      lines.push_back(problem.text().substr(prefix.size()));
    }
    return lines;
  }

  ConfigurationFolder folder_;
  test::Identity identity_;
};

TEST_F(ConfigFiles, P09_AcceptsFilesThatAreAllRight) {
  EXPECT_THAT(problems(), IsEmpty());
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(ConfigFiles, P09_RefusesAPrivateKeyThatOthersCanRead) {
  for (const mode_t mode : {0644U, 0604U, 0602U, 0601U, 0660U, 0620U, 0666U, 0777U}) {
    folder_.set_mode("config/tls/site.key", mode);
    EXPECT_THAT(problems(), ElementsAre(::testing::AllOf(HasSubstr("8:21: "), HasSubstr("chmod 600")))) << std::oct << mode;
  }
  for (const mode_t mode : {0600U, 0400U, 0640U, 0440U}) {  // a group that reads is how services share a secret
    folder_.set_mode("config/tls/site.key", mode);
    EXPECT_THAT(problems(), IsEmpty()) << std::oct << mode;
  }
}

TEST_F(ConfigFiles, P09_RefusesSecretsThatOthersCanRead) {
  folder_.set_mode("config/secrets/batch", 0644);
  folder_.set_mode("config/secrets/admin.token", 0606);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("11:15: the file 'secrets/admin.token' holds a secret"),
                                      HasSubstr("18:20: the file 'secrets/batch' holds a secret")));
}

TEST_F(ConfigFiles, P09_LetsEverybodyReadACertificate) {
  folder_.set_mode("config/tls/site.crt", 0644);
  EXPECT_THAT(problems(), IsEmpty());
}

TEST_F(ConfigFiles, P09_RefusesAKeyOfAnotherCertificate) {
  folder_.write("config/tls/site.key", test::key_pem(test::make_identity({.common_name = "other", .alt_names = {}})));
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("8:21: ")));
}

TEST_F(ConfigFiles, P09_RefusesAnExpiredCertificateAndOneThatIsNotValidYet) {
  write_certificate(-3600, -2 * kDay);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("7:29: the certificate 'tls/site.crt' expired less than a day ago")));
  write_certificate(100 * kDay, kDay);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("7:29: the certificate 'tls/site.crt' is not valid yet")));
}

TEST_F(ConfigFiles, P09_WarnsOfACertificateThatExpiresWithinThirtyDays) {
  write_certificate(29 * kDay);
  EXPECT_THAT(problems(), IsEmpty());
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("7:29: the certificate 'tls/site.crt' expires in 2")));
  write_certificate(kDay + kDay / 2);
  EXPECT_THAT(warnings(), ElementsAre(EndsWith("'tls/site.crt' expires in 1 day")));
  write_certificate(31 * kDay);
  EXPECT_THAT(warnings(), IsEmpty());
}

TEST_F(ConfigFiles, P09_RefusesAnEncryptedKeyWithoutAskingForItsPassword) {
  folder_.write("config/tls/site.key", test::key_pem(identity_, "password"));
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("8:21: ")));
}

TEST_F(ConfigFiles, P09_RefusesFilesThatAreNoPem) {
  folder_.write("config/tls/site.crt", "hello");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("7:29: ")));
  write_certificate(100 * kDay);
  folder_.write("config/tls/site.key", "hello");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("8:21: ")));
}

TEST_F(ConfigFiles, P09_RefusesMissingEmptyAndOddFiles) {
  const std::string path = folder_.file("config/secrets/batch");
  const auto with = [&](auto make) {
    std::filesystem::remove_all(path);
    make();
    return problems();
  };
  EXPECT_THAT(
      with([] {}),
      ElementsAre(
          "18:20: the file 'secrets/batch' cannot be used: there is no such file; relative paths start at the folder of this file"));
  EXPECT_THAT(with([&] { std::filesystem::create_directory(path); }),
              ElementsAre(HasSubstr("18:20: the file 'secrets/batch' cannot be used: this is a directory")));
  EXPECT_THAT(with([&] { ASSERT_EQ(::symlink("batch", path.c_str()), 0); }),
              ElementsAre(HasSubstr("18:20: the file 'secrets/batch' cannot be used: Too many levels")));
  EXPECT_THAT(with([&] { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }),
              ElementsAre("18:20: the file 'secrets/batch' cannot be used: this is no regular file"));
  EXPECT_THAT(with([&] { folder_.write_secret("config/secrets/batch", ""); }), ElementsAre("18:20: the file 'secrets/batch' is empty"));
  EXPECT_THAT(with([&] { folder_.write_secret("config/secrets/batch", "\n"); }), ElementsAre(HasSubstr("18:20: ")));
}

TEST_F(ConfigFiles, P09_LooksThroughALinkAtWhatItPointsTo) {
  std::filesystem::rename(folder_.file("config/secrets/batch"), folder_.file("config/secrets/real"));
  ASSERT_EQ(::symlink("real", folder_.file("config/secrets/batch").c_str()), 0);
  EXPECT_THAT(problems(), IsEmpty());
  folder_.set_mode("config/secrets/real", 0644);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("18:20: ")));
}

TEST_F(ConfigFiles, P03_D10_RefusesShortAndWellKnownSecrets) {
  folder_.write_secret("config/secrets/batch", std::string(16, 'a') + "0123456789abcde");  // 31 bytes for HS256
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("18:20: ")));
  folder_.write_secret("config/secrets/batch", "your-256-bit-secret");
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("18:20: ")));
  folder_.write_secret("config/secrets/batch", "your-256-bit-secret-your-256-bit-secret");
  const auto told = problems();
  for (const std::string& line : told) EXPECT_THAT(line, ::testing::Not(HasSubstr("your-256-bit-secret-your")));
}

TEST_F(ConfigFiles, WarnsOfAShortAdminToken) {
  folder_.write_secret("config/secrets/admin.token", "secret\n");
  EXPECT_THAT(problems(), IsEmpty());
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("11:15: the token in 'secrets/admin.token' is shorter than 16 bytes")));
}

TEST_F(ConfigFiles, D10_RefusesAReadableKeySetThatHoldsSecrets) {
  const std::string config = sallyport::testing::read_file(folder_.file("config/gateway.yaml"));
  std::string changed = config;
  changed.replace(changed.find("secret_file: secrets/batch"), 26, "jwks_file: secrets/batch  ");
  folder_.write("config/gateway.yaml", changed);
  folder_.write_secret("config/secrets/batch", authenticate::SigningKey::generate_jwks(authenticate::Algorithm::hs256, "k").value());
  EXPECT_THAT(problems(), IsEmpty());
  folder_.set_mode("config/secrets/batch", 0644);
  EXPECT_THAT(problems(), ElementsAre(HasSubstr("18:18: the file 'secrets/batch' holds a secret")));
}

TEST_F(ConfigFiles, D12_WarnsOfPrivateKeysWherePublicOnesBelong) {
  const Loaded reference = load_config(folder_.file("config/gateway.reference.yaml"), process_environment);
  ASSERT_TRUE(reference.settings);
  folder_.write_secret("config/keys/corp.jwks.json", folder_.private_keys());
  const auto load_reference = [&] { return load_config(folder_.file("config/gateway.reference.yaml"), process_environment); };
  const Loaded closed = load_reference();
  EXPECT_TRUE(closed.settings);
  EXPECT_THAT(closed.warnings, Contains(::testing::Field(&Problem::message, HasSubstr("holds private keys, which verify nothing"))));
  folder_.set_mode("config/keys/corp.jwks.json", 0644);
  EXPECT_FALSE(load_reference().settings);
}

class ExpandPattern : public ::testing::Test {
 protected:
  ExpandPattern() {
    std::filesystem::create_directories(folder_.file("policies/more"));
    for (const char* name : {"policies/b.yaml", "policies/a.yaml", "policies/.hidden.yaml", "policies/c.txt", "policies/more/d.yaml"}) {
      folder_.write(name, "x");
    }
  }
  std::vector<std::string> names(const std::string& pattern) const {
    const Source source{folder_.file("config/x.yaml"), folder_.file("config")};
    const auto found = expand_pattern(source, pattern);
    std::vector<std::string> names;
    if (!found) return {found.error().detail};
    for (const std::string& path : *found) names.push_back(path.substr(folder_.file("").size()));
    return names;
  }
  test::TemporaryFolder folder_;
};

TEST_F(ExpandPattern, FindsFilesInOrderBesideTheConfiguration) {
  EXPECT_THAT(names("../policies/*.yaml"), ElementsAre("policies/a.yaml", "policies/b.yaml"));
  EXPECT_THAT(names("../policies/[b-z].*"), ElementsAre("policies/b.yaml", "policies/c.txt"));
  EXPECT_THAT(names("../*/more/?.yaml"), ElementsAre("policies/more/d.yaml"));
  EXPECT_THAT(names(folder_.file("policies/a.yaml")), ElementsAre("policies/a.yaml"));
}

TEST_F(ExpandPattern, SaysWhenThereIsNone) {
  EXPECT_THAT(names("../policies/*.yml"), ElementsAre("no file fits this pattern"));
  EXPECT_THAT(names("../nowhere/*.yaml"), ElementsAre("no file fits this pattern"));
  EXPECT_THAT(names("../policies/mor*"), ElementsAre("no file fits this pattern"));  // a folder is no policy
}

TEST_F(ExpandPattern, GivesUpOnPatternsThatLookAtTheWholeMachine) {
  EXPECT_THAT(names("/*/*/*/*/*/*/*/*"), ElementsAre("the pattern looks at more than 10000 files"));
}

TEST(ReadRegularFile, CapsWhatItReads) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("f", std::string(2048, 'x'));
  EXPECT_EQ(read_regular_file(path, 2048).value().size(), 2048U);
  EXPECT_EQ(read_regular_file(path, 2047).error().fault, Fault::too_large);
  EXPECT_EQ(read_regular_file("/dev/zero", 10).error().fault, Fault::unavailable);
  EXPECT_EQ(read_regular_file(folder.file("none"), 10).error().fault, Fault::not_found);
}

}  // namespace
}  // namespace sallyport::app
