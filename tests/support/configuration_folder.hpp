// A folder with every file that config/gateway.reference.yaml names: keys, certificates and secrets made for the test.
#pragma once

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "authenticate/keys.hpp"
#include "support/test_certificates.hpp"

namespace sallyport::testing {

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("no such file: " + path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// <folder>/config and <folder>/policies, as in the repository.
class ConfigurationFolder {
 public:
  ConfigurationFolder() {
    for (const char* name : {"config", "config/tls", "config/keys", "config/secrets", "policies", "state"}) {
      std::filesystem::create_directory(folder_.file(name));
    }
    for (const char* stem : {"config/tls/localhost", "config/tls/gateway"}) {
      test::write_identity(
          folder_, stem,
          test::make_identity({.common_name = "localhost", .alt_names = {test::dns("localhost")}, .not_after_seconds = 100L * 24 * 3600}));
      close(std::string(stem) + ".key");
    }
    write("config/tls/internal-ca.crt", test::certificate_pem(test::make_authority()));
    write("config/keys/corp.jwks.json", public_keys());
    write("config/keys/partner.pem", test::certificate_pem(test::make_identity({.common_name = "partner", .alt_names = {}})));
    write_secret("config/secrets/batch", "bmF0dXJhbCBzZWxlY3Rpb24gaXMgbm90IHJhbmRvbSBhdCBhbGw");
    write_secret("config/secrets/admin.token", "4f9a60c1d2e37b5880aa17c6");
    write_secret("config/secrets/redis", "a password of Redis");
    write_secret("config/secrets/session", "the first of two secrets, 32 bytes or more");
    write_secret("config/secrets/session.old", "the second of two secrets, 32 bytes or more");
    write_secret("config/secrets/express", "keyboard cat");
    write("config/tls/clients-ca.crt", test::certificate_pem(test::make_authority()));
    write("config/tls/redis-ca.crt", test::certificate_pem(test::make_authority()));
    write_secret("config/keys/edge.jwks.json",
                 authenticate::SigningKey::generate_jwks(authenticate::Algorithm::es256, "edge-1").value());
    copy("config/gateway.reference.yaml");
    copy("policies/reference.yaml");
  }

  [[nodiscard]] std::string file(const std::string& name) const { return folder_.file(name); }
  std::string write(const std::string& name, const std::string& content) const { return folder_.write(name, content); }
  std::string write_secret(const std::string& name, const std::string& content) const {
    write(name, content);
    close(name);
    return file(name);
  }
  void set_mode(const std::string& name, mode_t mode) const {
    if (::chmod(file(name).c_str(), mode) != 0) throw std::runtime_error("chmod failed");
  }
  void close(const std::string& name) const { set_mode(name, 0600); }

  // ES256 and RS256, private; the public halves stand in config/keys/corp.jwks.json.
  [[nodiscard]] const std::string& private_keys() const { return private_keys_; }

 private:
  void copy(const std::string& name) const { write(name, read_file(std::string(SALLYPORT_SOURCE_DIR) + "/" + name)); }

  std::string public_keys() {
    const auto elliptic = authenticate::SigningKey::generate_jwks(authenticate::Algorithm::es256, "es").value();
    const auto rsa = authenticate::SigningKey::generate_jwks(authenticate::Algorithm::rs256, "rsa").value();
    private_keys_ = elliptic;
    private_keys_.insert(private_keys_.rfind(']'), "," + rsa.substr(rsa.find('[') + 1, rsa.rfind(']') - rsa.find('[') - 1));
    return authenticate::SigningKey::public_jwks(private_keys_).value();
  }

  test::TemporaryFolder folder_;
  std::string private_keys_;
};

}  // namespace sallyport::testing
