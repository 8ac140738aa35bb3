// What a verified certificate of the other end says.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

struct x509_st;

namespace sallyport::transport {

// Made only from certificates that passed verification: the chain, the purpose and the time. What is here can be compared byte for byte
// and printed: alternative names that hold a NUL, a space or anything else that is no printable ASCII are left out.
struct PeerCertificate {
  std::string subject;  // RFC 2253, control bytes and UTF-8 escaped ("CN=orders,OU=payments"); empty when it has none or over 1 KiB
  std::vector<std::string> dns_names;  // of the subject alternative names, lower case
  std::vector<std::string> uris;       // of the same, as they stand: "spiffe://example.org/orders"
  std::size_t uri_count = 0;           // of the same, with those that are left out
  std::vector<std::string> emails;     // of the same, as they stand
  std::string thumbprint;              // base64url of the SHA-256 of the DER, as RFC 8705 §3.1 `x5t#S256` has it
  std::string shown_to;                // the name of the listener whose authorities vouch for it; the listener says so
  WallTime not_before;
  WallTime not_after;
};

// Fault::malformed when the certificate's extensions cannot be read or stand there twice; internal without memory.
[[nodiscard]] Result<PeerCertificate> describe_certificate(x509_st* certificate);

}  // namespace sallyport::transport
