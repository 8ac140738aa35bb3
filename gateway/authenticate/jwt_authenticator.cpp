#include "authenticate/jwt_authenticator.hpp"

#include <algorithm>

namespace sallyport::authenticate {
namespace {

using identity::RefusalReason;
using identity::Refused;

// Whether the issuer takes tokens from one of the places where this one stands. A plan of several issuers looks at the places of all of
// them.
bool takes_tokens_from(const Issuer& issuer, const CredentialPlan& plan, std::uint64_t places) {
  static const std::vector<TokenPlace> kDefault{TokenPlace{}};
  const std::vector<TokenPlace>& taken = issuer.settings.token_from.empty() ? kDefault : issuer.settings.token_from;
  for (std::size_t i = 0; i < plan.token_places.size() && i < kTokenPlacesMax; ++i) {
    if ((places >> i & 1U) == 0) continue;
    if (std::find(taken.begin(), taken.end(), plan.token_places[i]) != taken.end()) return true;
  }
  return false;
}

IssuerPtr issuer_of(const CredentialPlan& plan, std::optional<std::string_view> claimed) {
  if (!claimed) return nullptr;
  const auto match = std::find_if(plan.issuers.begin(), plan.issuers.end(),
                                  [&](const IssuerPtr& issuer) { return issuer->settings.expectations.issuer == *claimed; });
  return match == plan.issuers.end() ? nullptr : *match;
}

bool lists(const CredentialPlan& plan, const Issuer* issuer) {
  return std::any_of(plan.issuers.begin(), plan.issuers.end(), [&](const IssuerPtr& listed) { return listed.get() == issuer; });
}

std::variant<identity::IdentityFacts, Refused> verify(const BearerToken& bearer, const CredentialPlan& plan, WallTime now,
                                                      IssuerPtr& issuer) {
  auto parsed = UnverifiedJwt::parse(bearer.token);
  if (auto* refused = std::get_if<Refused>(&parsed)) return std::move(*refused);
  const UnverifiedJwt& token = std::get<UnverifiedJwt>(parsed);
  issuer = issuer_of(plan, token.claimed_issuer());
  if (!issuer) return Refused{RefusalReason::unknown_issuer, "none that this route accepts"};
  if (!takes_tokens_from(*issuer, plan, bearer.places)) {
    return Refused{RefusalReason::unknown_issuer, issuer->settings.name + ": takes no tokens from where this one stood"};
  }
  auto verified = JwtVerifier::verify(token, *issuer->keys, issuer->settings.expectations, now);
  if (auto* refused = std::get_if<Refused>(&verified)) {
    refused->detail = issuer->settings.name + ": " + refused->detail;
  } else {
    std::get<identity::IdentityFacts>(verified).issuer_name = issuer->settings.name;
  }
  return verified;
}

}  // namespace

identity::AuthOutcome JwtAuthenticator::authenticate(const http::RequestHead& request, const CredentialPlan& plan, WallTime now) {
  const Credential credential = find_credential(request, plan);
  if (std::holds_alternative<NoCredential>(credential)) return identity::NotPresented{};
  if (const auto* two = std::get_if<TwoCredentials>(&credential)) return identity::Ambiguous{std::string(two->detail)};
  if (const auto* unusable = std::get_if<UnusableCredential>(&credential))
    return Refused{RefusalReason::malformed, std::string(unusable->detail)};
  const BearerToken& bearer = std::get<BearerToken>(credential);

  VerifiedTokenCache::Hit hit = cache_.find(bearer.token, now);
  // What vouched for the token elsewhere does not vouch for it here (hazards C29): another route, another issuer.
  if (hit.identity && lists(plan, hit.issuer) && takes_tokens_from(*hit.issuer, plan, bearer.places)) return std::move(hit.identity);

  IssuerPtr issuer;
  auto verified = verify(bearer, plan, now, issuer);
  if (auto* refused = std::get_if<Refused>(&verified)) return std::move(*refused);
  const identity::IdentityPtr identity(new identity::VerifiedIdentity(std::get<identity::IdentityFacts>(std::move(verified))));
  cache_.insert(bearer.token, std::move(issuer), identity, now);
  return identity;
}

}  // namespace sallyport::authenticate
