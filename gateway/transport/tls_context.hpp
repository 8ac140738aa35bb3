// What servers and clients of TLS have in common: one owned SSL_CTX, made strict.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

struct ssl_ctx_st;

namespace sallyport::transport {

struct SslContextDeleter {
  void operator()(ssl_ctx_st* context) const noexcept;
};
using SslContext = std::unique_ptr<ssl_ctx_st, SslContextDeleter>;

enum class TlsVersion { v1_2, v1_3 };

// A context with everything that both sides share: TLS 1.2 and 1.3 only, AEAD suites with forward secrecy, no compression,
// no renegotiation, read-ahead, released buffers, moving write buffers, partial writes.
enum class TlsRole { server, client };
[[nodiscard]] Result<SslContext> make_tls_context(TlsRole role, TlsVersion minimum);

struct CertificateFiles {
  std::string certificate_file;  // PEM, leaf first, then its chain
  std::string key_file;          // PEM, not encrypted
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

// Loads both into `context`. Fault::not_found / unavailable (file), malformed (not PEM, encrypted), mismatch (the key is another
// certificate's). The detail names the file.
[[nodiscard]] Result<void> use_certificate(ssl_ctx_st* context, const CertificateFiles& files);

struct UpstreamTlsSettings {
  std::string ca_file;                       // empty: the system's authorities
  std::string server_name;                   // empty: the host of the server's URL
  std::vector<CertificateFiles> certificate; // none or one
  friend bool operator==(const UpstreamTlsSettings&, const UpstreamTlsSettings&) = default;
};

// A client context that verifies the peer (chain, name by SAN only, server purpose). Fault as use_certificate().
[[nodiscard]] Result<SslContext> make_tls_client_context(const UpstreamTlsSettings& settings);

// The oldest entry of this thread's OpenSSL error queue as text, and the queue is empty afterwards.
[[nodiscard]] std::string take_openssl_error();

}  // namespace sallyport::transport
