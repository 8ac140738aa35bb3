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

  // The issuer is the token's `iss`, matched exactly, among plan.issuers. A cached token of an issuer that the plan does not list is refused.
  [[nodiscard]] identity::AuthOutcome authenticate(const http::RequestHead& request, const CredentialPlan& plan, WallTime now);

 private:
  VerifiedTokenCache& cache_;
};

}  // namespace sallyport::authenticate
