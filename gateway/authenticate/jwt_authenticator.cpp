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

// What only our own tokens say.
std::optional<Refused> read_edge_claims(identity::IdentityFacts& facts) {
  const Json* sid = facts.claims.find("sid");
  if (sid == nullptr || sid->is_null()) return Refused{RefusalReason::claim_missing, "sid"};
  if (sid->string() == nullptr || sid->string()->empty()) return Refused{RefusalReason::claim_invalid, "sid is no string or empty"};
  facts.family = *sid->string();
  return std::nullopt;
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
  if (auto* facts = std::get_if<identity::IdentityFacts>(&verified)) {
    facts->issuer_name = issuer->settings.name;
    if (auto refused = issuer->is_edge ? read_edge_claims(*facts) : std::nullopt) verified = std::move(*refused);
  }
  if (auto* refused = std::get_if<Refused>(&verified)) refused->detail = issuer->settings.name + ": " + refused->detail;
  return verified;
}

}  // namespace

bool JwtAuthenticator::is_revoked(const identity::IdentityFacts& facts, WallTime now) const {
  store::RevocationList::Credential credential{.subject = facts.subject,
                                               .token_id = facts.token_id,
                                               .session = {},
                                               .family = facts.family,
                                               .issued_at = facts.issued_at,
                                               .in_whole_seconds = false};
  // An iat without a fraction stands for its whole second.
  credential.in_whole_seconds = facts.issued_at && std::chrono::floor<std::chrono::seconds>(*facts.issued_at) == *facts.issued_at;
  return revocations_.revokes(credential, now);
}

JwtAuthenticator::Judgement JwtAuthenticator::judge(const BearerToken& bearer, const CredentialPlan& plan, WallTime now) {
  // Before anything is asked: a revocation that comes meanwhile makes the next request ask again.
  const std::uint64_t generation = revocations_.generation();
  VerifiedTokenCache::Hit hit = cache_.find(bearer.token, now);
  // What vouched for the token elsewhere does not vouch for it here (hazards C29): another route, another issuer.
  if (hit.identity && lists(plan, hit.issuer) && takes_tokens_from(*hit.issuer, plan, bearer.places)) {
    if (*hit.revocations_seen != generation) {
      // It stays where it is: to be refused from memory is cheaper than to be verified again.
      if (is_revoked(hit.identity->facts(), now)) return {Refused{RefusalReason::revoked, hit.identity->facts().issuer_name}};
      *hit.revocations_seen = generation;
    }
    return {std::move(hit.identity)};
  }

  IssuerPtr issuer;
  auto verified = verify(bearer, plan, now, issuer);
  if (auto* refused = std::get_if<Refused>(&verified)) {
    // The signature is checked before any date: what is expired was good.
    const bool is_expired_edge_token = refused->reason == RefusalReason::expired && issuer && issuer->is_edge;
    return {std::move(*refused), is_expired_edge_token};
  }
  auto& facts = std::get<identity::IdentityFacts>(verified);
  if (is_revoked(facts, now)) return {Refused{RefusalReason::revoked, issuer->settings.name}};
  const identity::IdentityPtr identity(new identity::VerifiedIdentity(std::move(facts)));
  cache_.insert(bearer.token, std::move(issuer), identity, now, generation);
  return {identity};
}

}  // namespace sallyport::authenticate
