// Bearer tokens -> AuthOutcome, through the cache. One per worker. Pure memory: never waits.
#pragma once

#include "authenticate/credentials.hpp"
#include "authenticate/verified_token_cache.hpp"
#include "identity/auth_outcome.hpp"
#include "store/revocation_list.hpp"

namespace sallyport::authenticate {

class JwtAuthenticator {
 public:
  // Both outlive *this.
  JwtAuthenticator(VerifiedTokenCache& cache, const store::RevocationList& revocations) : cache_(cache), revocations_(revocations) {}

  // The issuer is the token's `iss`, matched exactly, among plan.issuers (the first of that name), and the token must stand at a place that
  // this issuer takes tokens from. A cached token answers only for the very issuer object that verified it: after a reload, and on a route
  // with another issuer of the same name, it is verified again; on a route without its issuer it is refused.
  // Revocations are asked for every token, cached ones too (one comparison while none was added). A token of the edge must say its family
  // (`sid`): without, it could not be revoked with it.
  [[nodiscard]] identity::AuthOutcome authenticate(const BearerToken& bearer, const CredentialPlan& plan, WallTime now) {
    return judge(bearer, plan, now).outcome;
  }

  struct Judgement {
    identity::AuthOutcome outcome;
    // Refused as `expired`, and our own: the edge signed it, for us, and nothing but its age is known against it.
    bool is_expired_edge_token = false;
  };
  [[nodiscard]] Judgement judge(const BearerToken& bearer, const CredentialPlan& plan, WallTime now);

 private:
  [[nodiscard]] bool is_revoked(const identity::IdentityFacts& facts, WallTime now) const;

  VerifiedTokenCache& cache_;
  const store::RevocationList& revocations_;
};

}  // namespace sallyport::authenticate
