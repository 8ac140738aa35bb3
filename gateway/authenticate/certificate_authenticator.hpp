// Client certificates -> AuthOutcome. One per worker. Pure memory: never waits.
#pragma once

#include "authenticate/clock_map.hpp"
#include "identity/auth_outcome.hpp"
#include "store/revocation_list.hpp"

namespace sallyport::transport {
struct PeerCertificate;
}

namespace sallyport::authenticate {

// Of a certificate that the TLS handshake verified (chain, purpose, time). The subject is the certificate's own ("CN=orders,O=Example");
// of one without, its only URI, with a scheme ("spiffe://example.org/orders"). The issuer is "client-certificate". Claims: dns_names, uris, emails
// (lists, empty ones too), thumbprint, and listener: whose authorities vouched for it. No roles, no scopes.
// Refused: neither a subject nor exactly one URI; expired since the handshake; revoked, by its subject (when its validity began before
// the revocation) or by its thumbprint as a token id. Unavailable: the revocations are not complete yet.
class CertificateAuthenticator {
 public:
  static constexpr std::size_t kEntriesMax = 4'096;
  static constexpr std::size_t kBytesMax = 16 * 1024 * 1024;

  // Outlives *this.
  explicit CertificateAuthenticator(const store::RevocationList& revocations) : revocations_(revocations), known_(kEntriesMax, kBytesMax) {}

  [[nodiscard]] identity::AuthOutcome authenticate(const transport::PeerCertificate& certificate, WallTime now);

 private:
  struct Entry {
    identity::IdentityPtr identity;
    std::uint64_t revocations_seen = 0;
    std::string listener;  // a certificate that two of them take is made anew each time it changes over
  };
  [[nodiscard]] bool is_revoked(const identity::IdentityFacts& facts, WallTime now) const;

  const store::RevocationList& revocations_;
  ClockMap<Entry> known_;  // by thumbprint, so that a warm request makes no identity anew
};

}  // namespace sallyport::authenticate
