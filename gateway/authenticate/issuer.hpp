// A party whose JWTs we accept (DESIGN §2.2 `issuers`).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "authenticate/jwt.hpp"
#include "authenticate/key_source.hpp"

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

// Keys that the issuer serves (`jwks_url`): app/key_fetcher.hpp fetches them.
struct KeyUrl {
  std::string url;         // checked: https, or http to this machine
  std::string ca_file;     // empty: the system's authorities
  std::string ca_digest;   // of its content, so that a changed file is another setting
  std::string cache_file;  // where the last good set is kept; empty: nowhere
  friend bool operator==(const KeyUrl&, const KeyUrl&) = default;
};

struct IssuerSettings {
  std::string name;
  Expectations expectations;
  KeyFile keys;                        // without key_url
  std::vector<TokenPlace> token_from;  // empty: Authorization
  std::optional<KeyUrl> key_url = {};
};

// Immutable; shared by every worker through the snapshot.
struct Issuer {
  IssuerSettings settings;
  // Not const: requests may ask it for keys, and the fetcher puts them there. It is safe from every thread.
  std::shared_ptr<KeySource> keys;
  bool is_edge = false;  // ourselves: `sid` is the handle of a family, and an expired token in the cookie may be refreshed
};
using IssuerPtr = std::shared_ptr<const Issuer>;

// Reads and checks the key file against the settings; with a URL nothing is fetched: the source has the keys of the cache file when it
// holds what that URL served, else none yet. Fault::malformed: the file is no such key file; HS* allowed beside others, HS* with public
// keys, others with secrets; no key for any allowed algorithm; no algorithm or no audience at all. The file's own faults as
// read_secret_file has them. Warnings name keys that are skipped and allowed algorithms without a key.
[[nodiscard]] Result<IssuerPtr> load_issuer(IssuerSettings settings, std::vector<std::string>& warnings);

// A fetched JWK Set, for tokens that must satisfy `expectations`. Fault::malformed, too_large: it cannot serve (KeySet::from_jwks); secrets
// (hazards D11); no key for any allowed algorithm. Warnings as load_issuer() has them.
[[nodiscard]] Result<KeySet> read_fetched_keys(std::string_view jwks, const Expectations& expectations, std::vector<std::string>& warnings);

}  // namespace sallyport::authenticate
