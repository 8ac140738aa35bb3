#include "authenticate/verified_token_cache.hpp"

#include <cstring>
#include <memory>

#include "authenticate/jwt_authenticator.hpp"
#include "base/keyed_hash.hpp"
#include "issuers.hpp"
#include "request.hpp"
#include "stage.hpp"

namespace sallyport::micro {
namespace {

struct TokenMemory {
  store::RevocationList revocations{1000};
  authenticate::VerifiedTokenCache cache{1024, 1 << 20};
  authenticate::JwtAuthenticator authenticator{cache, revocations};
  authenticate::CredentialPlan plan = authenticate::make_default_plan({issuer_of(kSignedTokens[2])}, nullptr);
  ParsedRequest request{bearer(kSignedTokens[2])};
  [[nodiscard]] std::size_t recall() {
    const authenticate::Credential found = authenticate::find_credential(request.head(), plan);
    return authenticator.authenticate(std::get<authenticate::BearerToken>(found), plan, testing::kNow).index();
  }
};

// Hashed, and compared with a copy.
Body hash_and_compare(std::string_view token) {
  return [hash = KeyedHash(), token, copy = std::string(token)] {
    keep(hash(token));
    keep(std::memcmp(copy.data(), token.data(), token.size()));
  };
}

}  // namespace

void add_verified_tokens(std::vector<Stage>& to) {
  to.push_back({"token remembered",
                [] {
                  auto at = std::make_shared<TokenMemory>();
                  if (at->recall() != 0) throw std::runtime_error("the token is not good");
                  return [at] { keep(at->recall()); };
                },
                [] { return hash_and_compare(kSignedTokens[2].token); }, "its hash, and one comparison"});
}

}  // namespace sallyport::micro
