#include "authenticate/jwt_authenticator.hpp"

#include <algorithm>

#include "http/exchange.hpp"

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
  const Json* sid = facts.claims.json().find("sid");
  if (sid == nullptr || sid->is_null()) return Refused{RefusalReason::claim_missing, "sid"};
  if (sid->string() == nullptr || sid->string()->empty()) return Refused{RefusalReason::claim_invalid, "sid is no string or empty"};
  facts.family = *sid->string();
  return std::nullopt;
}

// RFC 8705 §3: whoever has the token but not the key of the certificate is not the one it was given to.
std::optional<Refused> check_certificate(const identity::IdentityFacts& facts, const transport::PeerCertificate* certificate) {
  if (facts.certificate.empty()) return std::nullopt;
  if (certificate == nullptr) {
    return Refused{RefusalReason::wrong_certificate, facts.issuer_name + ": bound to a client certificate, and none was shown"};
  }
  if (certificate->thumbprint == facts.certificate) return std::nullopt;
  return Refused{RefusalReason::wrong_certificate, facts.issuer_name + ": bound to another client certificate"};
}

}  // namespace

// What verifying a token came to.
struct JwtAuthenticator::Verification {
  std::variant<identity::IdentityFacts, Refused> result = Refused{RefusalReason::malformed, {}};
  IssuerPtr issuer;                   // nullptr: refused before it was known
  std::uint64_t keys_generation = 0;  // of the keys that were asked; 0: there are none yet
  std::optional<std::string> key_id;

  static Verification make(const BearerToken& bearer, const CredentialPlan& plan, WallTime now) {
    Verification made;
    if (auto refused = made.verify(bearer, plan, now)) {
      if (made.issuer) refused->detail = made.issuer->settings.name + ": " + refused->detail;
      made.result = std::move(*refused);
    }
    return made;
  }
  // Whether other keys might say otherwise.
  [[nodiscard]] bool lacks_key() const {
    const auto* refused = std::get_if<Refused>(&result);
    return refused != nullptr && refused->reason == RefusalReason::unknown_key && issuer && issuer->keys->is_fetched();
  }

 private:
  // The facts are in `result` when nothing is refused.
  std::optional<Refused> verify(const BearerToken& bearer, const CredentialPlan& plan, WallTime now) {
    auto parsed = UnverifiedJwt::parse(bearer.token);
    if (auto* refused = std::get_if<Refused>(&parsed)) return std::move(*refused);
    auto& token = std::get<UnverifiedJwt>(parsed);
    issuer = issuer_of(plan, token.claimed_issuer());
    if (!issuer) return Refused{RefusalReason::unknown_issuer, "none that this route accepts"};
    if (!takes_tokens_from(*issuer, plan, bearer.places)) {
      return Refused{RefusalReason::unknown_issuer, "takes no tokens from where this one stood"};
    }
    key_id = token.key_id();
    const KeySource::Current current = issuer->keys->current();
    keys_generation = current.generation;
    if (current.keys == nullptr) return Refused{RefusalReason::unknown_key, "its keys are not known yet"};
    result = JwtVerifier::verify(std::move(token), *current.keys, issuer->settings.expectations, now);
    if (auto* refused = std::get_if<Refused>(&result)) return std::move(*refused);
    auto& facts = std::get<identity::IdentityFacts>(result);
    facts.issuer_name = issuer->settings.name;
    return issuer->is_edge ? read_edge_claims(facts) : std::nullopt;
  }
};

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

// Could not ask is not no: only keys that are known to be all there are refuse a token for want of one.
JwtAuthenticator::Judgement JwtAuthenticator::without_key(Verification& verification, const KeySource* asked) {
  const std::shared_ptr<KeySource>& source = verification.issuer->keys;
  auto& refused = std::get<Refused>(verification.result);
  if (asked == source.get() && verification.keys_generation != 0) return {std::move(refused)};
  switch (source->prospect(verification.key_id, std::chrono::steady_clock::now())) {
    case KeySource::Prospect::none: return {std::move(refused)};
    case KeySource::Prospect::unavailable: return {identity::Unavailable{refused.detail + ", and its issuer could not be asked"}};
    case KeySource::Prospect::worth_asking: break;
  }
  Judgement judgement{identity::Unavailable{refused.detail + ", and its issuer was not asked yet"}};
  judgement.worth_asking = source;
  judgement.key_id = std::move(verification.key_id);
  return judgement;
}

JwtAuthenticator::Judgement JwtAuthenticator::judge(const BearerToken& bearer, const CredentialPlan& plan, WallTime now,
                                                    const transport::PeerCertificate* certificate, const KeySource* asked) {
  // Before anything is asked: a revocation that comes meanwhile makes the next request ask again.
  const std::uint64_t generation = revocations_.generation();
  VerifiedTokenCache::Hit hit = cache_.find(bearer.token, now);
  // What vouched for the token elsewhere does not vouch for it here (hazards C29): another route, another issuer, other keys.
  if (hit.identity && lists(plan, hit.issuer) && takes_tokens_from(*hit.issuer, plan, bearer.places) &&
      hit.issuer->keys->generation() == hit.keys_generation) {
    if (auto refused = check_certificate(hit.identity->facts(), certificate)) return {std::move(*refused)};
    if (*hit.revocations_seen != generation) {
      // It stays where it is: to be refused from memory is cheaper than to be verified again.
      const bool knows_revocations = revocations_.is_complete();
      if (is_revoked(hit.identity->facts(), now)) return {Refused{RefusalReason::revoked, hit.identity->facts().issuer_name}};
      if (!knows_revocations) return {identity::Unavailable{"what was revoked is not known yet"}};
      *hit.revocations_seen = generation;
    }
    return {std::move(hit.identity)};
  }

  Verification verification = Verification::make(bearer, plan, now);
  if (verification.lacks_key()) return without_key(verification, asked);
  if (auto* refused = std::get_if<Refused>(&verification.result)) {
    // The signature is checked before any date: what is expired was good.
    const bool is_expired_edge_token = refused->reason == RefusalReason::expired && verification.issuer && verification.issuer->is_edge;
    return {std::move(*refused), is_expired_edge_token};
  }
  auto& facts = std::get<identity::IdentityFacts>(verification.result);
  const bool knows_revocations = revocations_.is_complete();
  if (is_revoked(facts, now)) return {Refused{RefusalReason::revoked, verification.issuer->settings.name}};
  if (!knows_revocations) return {identity::Unavailable{"what was revoked is not known yet"}};
  struct Counted final : identity::VerifiedIdentity {  // in one piece with its counter: one line of memory less for each request
    explicit Counted(identity::IdentityFacts&& facts) : VerifiedIdentity(std::move(facts)) {}
  };
  const identity::IdentityPtr identity = std::make_shared<const Counted>(std::move(facts));
  cache_.insert(bearer.token, std::move(verification.issuer), identity, now, generation, verification.keys_generation);
  // After it is remembered: others may show it with their certificate, and it need not be verified for each that may not.
  if (auto refused = check_certificate(identity->facts(), certificate)) return {std::move(*refused)};
  return {identity};
}

}  // namespace sallyport::authenticate
