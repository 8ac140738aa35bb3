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
  // A token that is bound to a client certificate counts only with `certificate`, which the connection showed (nullptr: none).
  // A token whose key is not among the keys, and may yet come, is Unavailable; so is a good one while the revocations are not complete.
  [[nodiscard]] identity::AuthOutcome authenticate(const BearerToken& bearer, const CredentialPlan& plan, WallTime now,
                                                   const transport::PeerCertificate* certificate = nullptr) {
    return judge(bearer, plan, now, certificate).outcome;
  }

  [[nodiscard]] const store::RevocationList& revocations() const noexcept { return revocations_; }

  struct Judgement {
    identity::AuthOutcome outcome;
    // Refused as `expired`, and our own: the edge signed it, for us, and nothing but its age is known against it.
    bool is_expired_edge_token = false;
    // The source that may yet bring the token's key: ask it (KeySource::ask) for `key_id`, and judge again. nullptr: it is decided.
    std::shared_ptr<KeySource> worth_asking = nullptr;
    std::optional<std::string> key_id = std::nullopt;
  };
  // `asked`: has just brought all keys there are; what they do not verify is refused.
  [[nodiscard]] Judgement judge(const BearerToken& bearer, const CredentialPlan& plan, WallTime now,
                                const transport::PeerCertificate* certificate = nullptr, const KeySource* asked = nullptr);

 private:
  struct Verification;
  [[nodiscard]] bool is_revoked(const identity::IdentityFacts& facts, WallTime now) const;
  [[nodiscard]] static Judgement without_key(Verification& verification, const KeySource* asked);

  VerifiedTokenCache& cache_;
  const store::RevocationList& revocations_;
};

}  // namespace sallyport::authenticate
