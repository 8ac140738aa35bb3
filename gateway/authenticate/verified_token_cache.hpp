// Tokens that were verified, so that the next request with the same one costs a look-up. One per worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "authenticate/issuer.hpp"
#include "identity/verified_identity.hpp"

namespace sallyport::authenticate {

// Bounded in entries and bytes. The whole token is compared; the hash (keyed at random, so that nobody can aim collisions) only finds
// the place. Holds the issuer that vouched, because another route may not accept it. Never answers at or past the identity's expiry.
class VerifiedTokenCache {
 public:
  struct Hit {
    identity::IdentityPtr identity;
    const Issuer* issuer = nullptr;
    // The generation of the revocations at which the token was last found good; to be written when it is found good at another.
    std::uint64_t* revocations_seen = nullptr;
    // The generation of the issuer's keys that verified it (KeySource): at another one it must be verified again.
    std::uint64_t keys_generation = 0;
  };

  VerifiedTokenCache(std::size_t entries_max, std::size_t bytes_max);
  ~VerifiedTokenCache();

  // nullptr identity: not here, expired, or the clock stands before the moment of verification (it was set back: nbf and iat must be
  // asked again). The pointers are valid until the next call that is not const. Never allocates.
  [[nodiscard]] Hit find(std::string_view token, WallTime now);
  // `now` is when the token was verified. Replaces an entry of the same token; drops others, least recently used first by approximation
  // (CLOCK), until both bounds hold. A token that alone is over bytes_max is not kept, nor one that would push out others and is not worth
  // it (Admission): where hardly any token is shown twice, it must be inserted twice, too. Without `revocations_seen` they are asked at the
  // first use, without `keys_generation` it is verified again: no generation is 0.
  void insert(std::string_view token, IssuerPtr issuer, identity::IdentityPtr identity, WallTime now, std::uint64_t revocations_seen = 0,
              std::uint64_t keys_generation = 0);
  void clear();

  [[nodiscard]] std::size_t entries() const noexcept;
  // Of tokens and identities, claims included, estimated.
  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] std::uint64_t hits() const noexcept { return hits_; }
  [[nodiscard]] std::uint64_t misses() const noexcept { return misses_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
};

}  // namespace sallyport::authenticate
