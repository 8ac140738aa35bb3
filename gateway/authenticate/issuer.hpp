// A party whose JWTs we accept (DESIGN §2.2 `issuers`).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "authenticate/jwt.hpp"

namespace sallyport::authenticate {

// Where a token may stand: of an issuer, only where its token_from says. `Authorization` means the Bearer scheme; any other header holds
// the bare token.
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
  std::vector<TokenPlace> token_from;  // empty: Authorization
};

// Immutable; shared by every worker through the snapshot.
struct Issuer {
  IssuerSettings settings;
  std::shared_ptr<const KeySet> keys;
  bool is_edge = false;  // ourselves: `sid` is the handle of a family, and an expired token in the cookie may be refreshed
};
using IssuerPtr = std::shared_ptr<const Issuer>;

// Reads and checks the key file against the settings. Fault::malformed: the file is no such key file; HS* allowed beside others, HS* with
// public keys, others with secrets; no key for any allowed algorithm; no algorithm or no audience at all. The file's own faults as
// read_secret_file has them. Warnings name keys that are skipped and allowed algorithms without a key.
[[nodiscard]] Result<IssuerPtr> load_issuer(IssuerSettings settings, std::vector<std::string>& warnings);

}  // namespace sallyport::authenticate
