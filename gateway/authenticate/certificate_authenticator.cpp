#include "authenticate/certificate_authenticator.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "http/exchange.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityFacts;
using identity::RefusalReason;
using identity::Refused;

constexpr std::string_view kIssuer = "client-certificate";

Json list_of(const std::vector<std::string>& texts) {
  JsonArray list;
  for (const std::string& text : texts) list.emplace_back(text);
  return Json(std::move(list));
}

bool is_letter(char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }

// RFC 3986 §3.1. Whoever writes certificates may write anything where a URI belongs.
bool has_scheme(std::string_view uri) {
  const std::string_view scheme = uri.substr(0, uri.find(':'));
  const auto is_of_scheme = [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; };
  return scheme.size() < uri.size() && !scheme.empty() && is_letter(scheme.front()) && std::ranges::all_of(scheme, is_of_scheme);
}

// Empty: nobody. What has a scheme never reads as a subject, which begins with a type and '=', nor the other way round.
std::string subject_of(const transport::PeerCertificate& certificate) {
  if (!certificate.subject.empty()) return certificate.subject;
  const bool is_known_by_uri = certificate.uri_count == 1 && certificate.uris.size() == 1 && has_scheme(certificate.uris.front());
  return is_known_by_uri ? certificate.uris.front() : std::string();
}

IdentityFacts facts_of(const transport::PeerCertificate& certificate) {
  IdentityFacts facts;
  facts.subject = subject_of(certificate);
  facts.issuer = kIssuer;
  facts.issuer_name = kIssuer;
  facts.method = identity::AuthMethod::client_certificate;
  JsonObject claims;
  claims.emplace_back("sub", Json(facts.subject));
  claims.emplace_back("dns_names", list_of(certificate.dns_names));
  claims.emplace_back("uris", list_of(certificate.uris));
  claims.emplace_back("emails", list_of(certificate.emails));
  claims.emplace_back("thumbprint", Json(certificate.thumbprint));
  claims.emplace_back("listener", Json(certificate.shown_to));
  facts.claims = identity::Claims(Json(std::move(claims)));
  facts.expires_at = certificate.not_after;
  facts.issued_at = certificate.not_before;
  facts.token_id = certificate.thumbprint;
  return facts;
}

}  // namespace

bool CertificateAuthenticator::is_revoked(const IdentityFacts& facts, WallTime now) const {
  return revocations_.revokes({.subject = facts.subject,
                               .token_id = facts.token_id,
                               .session = {},
                               .family = {},
                               .issued_at = facts.issued_at,
                               .in_whole_seconds = true},
                              now);
}

identity::AuthOutcome CertificateAuthenticator::authenticate(const transport::PeerCertificate& certificate, WallTime now) {
  // A connection may outlive what it was opened with.
  if (now >= certificate.not_after) return Refused{RefusalReason::expired, "the client certificate"};
  // Before anything is asked: a revocation that comes meanwhile makes the next request ask again.
  const std::uint64_t generation = revocations_.generation();
  const auto at = known_.find(certificate.thumbprint);
  if (at != known_.kNone && known_[at].listener == certificate.shown_to) {
    known_.use(at);
    Entry& entry = known_[at];
    if (entry.revocations_seen != generation) {
      const bool knows_revocations = revocations_.is_complete();
      if (is_revoked(entry.identity->facts(), now)) return Refused{RefusalReason::revoked, "the client certificate"};
      if (!knows_revocations) return identity::Unavailable{"what was revoked is not known yet"};
      entry.revocations_seen = generation;
    }
    return entry.identity;
  }
  IdentityFacts facts = facts_of(certificate);
  if (facts.subject.empty()) return Refused{RefusalReason::claim_missing, "the client certificate has neither a subject nor one URI"};
  const bool knows_revocations = revocations_.is_complete();
  if (is_revoked(facts, now)) return Refused{RefusalReason::revoked, "the client certificate"};
  if (!knows_revocations) return identity::Unavailable{"what was revoked is not known yet"};
  const identity::IdentityPtr identity(new identity::VerifiedIdentity(std::move(facts)));
  known_.insert(certificate.thumbprint, Entry{identity, generation, certificate.shown_to}, [](auto) {});
  return identity;
}

}  // namespace sallyport::authenticate
