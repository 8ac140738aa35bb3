// What servers and clients of TLS have in common: one owned SSL_CTX, made strict.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

struct ssl_ctx_st;

namespace sallyport::transport {

struct SslContextDeleter {
  void operator()(ssl_ctx_st* context) const noexcept;
};
using SslContext = std::unique_ptr<ssl_ctx_st, SslContextDeleter>;

enum class TlsVersion { v1_2, v1_3 };

// A context with everything that both sides share: TLS 1.2 and 1.3 only, AEAD suites with forward secrecy, no compression,
// no renegotiation, no early data, security level 2 (RSA from 2048 bits, no SHA-1), read-ahead, released buffers, moving write buffers,
// partial writes. A server's has neither certificate nor tickets yet: listen/tls_server_context adds them.
enum class TlsRole { server, client };
[[nodiscard]] Result<SslContext> make_tls_context(TlsRole role, TlsVersion minimum);

struct CertificateFiles {
  std::string certificate_file;  // PEM, leaf first, then its chain
  std::string key_file;          // PEM, not encrypted
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

// Loads both into `context`. Fault::not_found / unavailable (file), malformed (not PEM, encrypted), mismatch (the key is another
// certificate's), unsupported (too weak for the context). The detail names the file.
[[nodiscard]] Result<void> use_certificate(ssl_ctx_st* context, const CertificateFiles& files);

// Whether use_certificate() would do, without a context to keep. Faults as there.
[[nodiscard]] Result<void> check_certificate(const CertificateFiles& files);

// Makes a server's context ask clients for a certificate and verify it: chain up to an authority of `ca_file`, at most kClientChainDepthMax
// certificates between, client purpose, time. A bad one ends the handshake; without one it ends when `is_required`. Returns a digest of
// the authorities. Fault::not_found / unavailable (file), malformed (not PEM).
inline constexpr int kClientChainDepthMax = 4;
[[nodiscard]] Result<std::string> ask_for_client_certificates(ssl_ctx_st* context, const std::string& ca_file, bool is_required);
// Whether ask_for_client_certificates() would do.
[[nodiscard]] Result<void> check_authorities(const std::string& ca_file);

struct CertificateFacts {
  std::string name;  // the first DNS name, else the first address, else the subject
  WallTime not_before;
  WallTime not_after;
  std::vector<std::string>
      dns_names;  // of the subject alternative names, lower case; "*.example.com" as it stands. Without those that hold a NUL
  std::vector<std::string> addresses;  // IP addresses of the same, as text
};

// The first certificate of a PEM file. Fault as use_certificate().
[[nodiscard]] Result<CertificateFacts> inspect_certificate(const std::string& file);

struct UpstreamTlsSettings {
  std::string ca_file;                        // empty: the system's authorities
  std::string server_name;                    // empty: the host of the server's URL
  std::vector<CertificateFiles> certificate;  // none or one
  friend bool operator==(const UpstreamTlsSettings&, const UpstreamTlsSettings&) = default;
};

// A client context that verifies the peer (chain, name by SAN only, server purpose). Stream::connect_tls says which name. Fault as
// use_certificate().
[[nodiscard]] Result<SslContext> make_tls_client_context(const UpstreamTlsSettings& settings);

// The oldest entry of this thread's OpenSSL error queue as text ("http request"), or empty; the queue is empty afterwards.
[[nodiscard]] std::string take_openssl_error();

}  // namespace sallyport::transport
