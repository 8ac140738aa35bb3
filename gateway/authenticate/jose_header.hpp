// What of a JOSE header (RFC 7515 §4) counts here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "authenticate/keys.hpp"
#include "identity/auth_outcome.hpp"

namespace sallyport::authenticate {

inline constexpr std::size_t kHeaderBytesMax = 4 * 1024;  // decoded

struct JoseHeader {
  Algorithm algorithm{};
  std::optional<std::string> key_id;
  std::optional<std::string> type;

  // Reads the first part of a compact JWS into `out`. Refused: bad base64url, no strict JSON object, duplicate members, alg none or
  // unknown, a `kid` or `typ` that is no string, crit, b64, zip, jwk, jku, x5u, x5c, x5t, cty, JWE. Unknown members are ignored. Pure and
  // for any thread. Each thread remembers some of the headers that it accepted, by all their bytes: the tokens of an issuer share theirs.
  // What is refused is read anew each time.
  [[nodiscard]] static std::optional<identity::Refused> read(std::string_view encoded, JoseHeader& out);
};

}  // namespace sallyport::authenticate
