// Ids that only this gateway (and its replicas) can have made: random bytes with a keyed tag, so that a forged one is refused without
// asking the store. Session ids and refresh tokens are made and opened here, and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"
#include "store/records.hpp"

namespace sallyport::authenticate {

// 64 characters of base64url: 48 bytes, so that no bits are left over and each value has one spelling.
inline constexpr std::size_t kTaggedIdChars = 64;

struct SessionId {
  store::Digest key{};  // SHA-256 of the random bytes: what the store knows it by
};

struct RefreshToken {
  std::string family_id;        // 24 secret bytes; needed to make the successor
  store::Digest family_key{};   // SHA-256 of them
  std::uint64_t generation = 0;  // from 1
};

// The keys behind the tags. Immutable, shared by all workers. The first secret makes, all of them open: a secret can be replaced
// without signing anybody out. Tags of sessions, refresh tokens and CSRF tokens never verify as each other: each kind has a key of its own,
// derived from the secret (HMAC-SHA256 of a label).
class TagKeys {
 public:
  // At least one, each of 32 bytes or more: std::invalid_argument otherwise.
  explicit TagKeys(std::vector<Secret> secrets);
  ~TagKeys();

  struct NewSessionId {
    std::string text;  // the cookie's value
    store::Digest key{};
  };
  [[nodiscard]] NewSessionId make_session_id() const;
  // nullopt: not 64 characters of base64url, or not ours. Constant time in the tag.
  [[nodiscard]] std::optional<SessionId> open_session_id(std::string_view text) const;

  [[nodiscard]] std::string make_family_id() const;  // 24 random bytes
  // Always the same text for the same arguments: what makes the reuse window exact.
  [[nodiscard]] std::string refresh_token(std::string_view family_id, std::uint64_t generation) const;
  [[nodiscard]] std::optional<RefreshToken> open_refresh_token(std::string_view text) const;
  // The `jti` of the access token of that generation: the same for every answer that carries the same successor.
  [[nodiscard]] std::string token_id(std::string_view family_id, std::uint64_t generation) const;

  // The double-submit token of whoever `binding` names (RFC-less; OWASP's "signed double submit"). 43 characters of base64url.
  [[nodiscard]] std::string csrf_token(std::string_view binding) const;
  [[nodiscard]] bool is_csrf_token(std::string_view text, std::string_view binding) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};
using TagKeysPtr = std::shared_ptr<const TagKeys>;  // null until the store has told the shared secret

}  // namespace sallyport::authenticate
