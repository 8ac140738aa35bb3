// The last good key set of an issuer in a file, so that a restart serves while the issuer is away.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace sallyport::authenticate {

// The file: one line, {"url":"…","fetched_at":<Unix seconds>,"sha256":"<base64url of the set's>"}, then the set as the URL served it.
// Whoever can write it can sign: it belongs where the store's file is.
struct CachedKeys {
  std::string jwks;
  WallTime fetched_at;
};

// Fault::not_found: no such file; mismatch: it holds what another URL served; malformed: torn or no such file at all; unavailable,
// too_large.
[[nodiscard]] Result<CachedKeys> read_cached_keys(const std::string& path, std::string_view url);

// All or nothing: a new file, flushed and renamed over the old one, for its owner alone. Makes the last folder of `path` where it is
// missing. Fault::unavailable with the system's reason: the old file is as it was.
[[nodiscard]] Result<void> write_cached_keys(const std::string& path, std::string_view url, const CachedKeys& keys);

}  // namespace sallyport::authenticate
