// A party whose JWTs we accept (DESIGN §2.2 `issuers`).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "authenticate/jwt.hpp"

namespace sallyport::authenticate {

// Where a token may stand. `Authorization` means the Bearer scheme; any other header holds the bare token.
struct TokenPlace {
  enum class Kind : unsigned char { authorization, header, cookie } kind = Kind::authorization;
  std::string name;  // of header (lower case) or cookie (exact)
  friend bool operator==(const TokenPlace&, const TokenPlace&) = default;
};

struct KeyFile {
  enum class Kind : unsigned char { jwks_file, pem_file, secret_file } kind = Kind::jwks_file;
  std::string path;
};

struct IssuerSettings {
  std::string name;
  Expectations expectations;
  KeyFile keys;
  std::vector<TokenPlace> token_from;  // default: Authorization
};

// Immutable; shared by every worker through the snapshot.
struct Issuer {
  IssuerSettings settings;
  std::shared_ptr<const KeySet> keys;
};
using IssuerPtr = std::shared_ptr<const Issuer>;

// Reads and checks the key file against the settings: each allowed algorithm family must have a key, HS* only with secrets and never
// beside public keys. Warnings name skipped keys.
[[nodiscard]] Result<IssuerPtr> load_issuer(IssuerSettings settings, std::vector<std::string>& warnings);

}  // namespace sallyport::authenticate
