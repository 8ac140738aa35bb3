// Bearer tokens -> AuthOutcome, through the cache. One per worker.
#pragma once

#include "authenticate/credentials.hpp"
#include "authenticate/verified_token_cache.hpp"
#include "identity/auth_outcome.hpp"

namespace sallyport::authenticate {

class JwtAuthenticator {
 public:
  // `cache` outlives *this.
  explicit JwtAuthenticator(VerifiedTokenCache& cache) : cache_(cache) {}

  // The issuer is the token's `iss`, matched exactly, among plan.issuers (the first of that name), and the token must stand at a place that
  // this issuer takes tokens from. A cached token answers only for the very issuer object that verified it: after a reload, and on a route
  // with another issuer of the same name, it is verified again; on a route without its issuer it is refused.
  [[nodiscard]] identity::AuthOutcome authenticate(const http::RequestHead& request, const CredentialPlan& plan, WallTime now);

 private:
  VerifiedTokenCache& cache_;
};

}  // namespace sallyport::authenticate
