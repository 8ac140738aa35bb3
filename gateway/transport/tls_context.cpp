#include "transport/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/free_with.hpp"
#include "base/text.hpp"

namespace sallyport::transport {
namespace {

// Forward secrecy and AEAD only. AES-128 first: the cheapest where the CPU has AES; a client that puts ChaCha20 first gets it.
constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kSuites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr int kSecurityLevel = 2;
constexpr int kChainDepthMax = 10;

using File = std::unique_ptr<std::FILE, FreeWith<&std::fclose>>;
using X509Ptr = std::unique_ptr<X509, FreeWith<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<&EVP_PKEY_free>>;

void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, X509_free); }
using ChainPtr = std::unique_ptr<STACK_OF(X509), FreeWith<&free_chain>>;

Result<File> open_file(const std::string& path) {
  File file(std::fopen(path.c_str(), "re"));
  if (file) return file;
  const int error = errno;
  return make_error(error == ENOENT ? Fault::not_found : Fault::unavailable, path + ": " + std::strerror(error));
}

// OpenSSL would ask for a password on the terminal; an encrypted key is refused instead.
int refuse_password(char* /*into*/, int /*size*/, int /*is_write*/, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

struct CertificateChain {
  X509Ptr leaf;
  ChainPtr rest;
};

Result<CertificateChain> read_chain(const std::string& path) {
  Result<File> file = open_file(path);
  if (!file) return file.error();
  ERR_clear_error();
  CertificateChain chain{X509Ptr(PEM_read_X509_AUX(file->get(), nullptr, nullptr, nullptr)), ChainPtr(sk_X509_new_null())};
  if (!chain.leaf) {
    ERR_clear_error();
    return make_error(Fault::malformed, path + ": no PEM certificate in it");
  }
  while (X509* next = PEM_read_X509(file->get(), nullptr, nullptr, nullptr)) sk_X509_push(chain.rest.get(), next);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return make_error(Fault::malformed, path + ": a certificate of the chain is broken");
  return chain;
}

Result<KeyPtr> read_key(const std::string& path) {
  Result<File> file = open_file(path);
  if (!file) return file.error();
  ERR_clear_error();
  bool is_encrypted = false;
  KeyPtr key(PEM_read_PrivateKey(file->get(), nullptr, &refuse_password, &is_encrypted));
  ERR_clear_error();
  if (is_encrypted) return make_error(Fault::malformed, path + ": the key is encrypted; an unencrypted PEM key is expected");
  if (!key) return make_error(Fault::malformed, path + ": no PEM private key in it");
  return key;
}

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return WallTime::min();  // unreadable: as if it had long passed
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  const int size = ASN1_STRING_length(address);
  std::string text;
  if (size == 4) {
    for (int i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + std::to_string(bytes[i]);
  } else if (size == 16) {
    for (int i = 0; i < 16; i += 2) {
      text += i == 0 ? "" : ":";
      text += hex_encode(std::string_view(reinterpret_cast<const char*>(bytes + i), 2));
    }
  }
  return text;
}

void collect_names(X509* certificate, CertificateFacts& facts) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      const ASN1_IA5STRING* text = name->d.dNSName;
      const std::string_view dns(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                 static_cast<std::size_t>(ASN1_STRING_length(text)));
      if (dns.find('\0') == std::string_view::npos) facts.dns_names.push_back(to_lower(dns));
    } else if (name->type == GEN_IPADD) {
      facts.addresses.push_back(address_text(name->d.iPAddress));
    }
  }
  GENERAL_NAMES_free(names);
}

std::string display_name(X509* certificate) {
  std::array<char, 256> text{};
  X509_NAME_oneline(X509_get_subject_name(certificate), text.data(), static_cast<int>(text.size()));
  return text.data();
}

Error internal_error(const char* what) { return make_error(Fault::internal, std::string(what) + ": " + take_openssl_error()); }

}  // namespace

void SslContextDeleter::operator()(ssl_ctx_st* context) const noexcept { SSL_CTX_free(context); }

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return {};
  const char* reason = ERR_reason_error_string(code);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

Result<SslContext> make_tls_context(TlsRole role, TlsVersion minimum) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(role == TlsRole::server ? TLS_server_method() : TLS_client_method()));
  if (!context) return internal_error("SSL_CTX_new");
  SSL_CTX* ctx = context.get();
  SSL_CTX_set_security_level(ctx, kSecurityLevel);
  const bool is_set = SSL_CTX_set_min_proto_version(ctx, minimum == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_cipher_list(ctx, kSuites12) == 1 &&
                      SSL_CTX_set_ciphersuites(ctx, kSuites13) == 1 && SSL_CTX_set1_groups_list(ctx, kGroups) == 1 &&
                      SSL_CTX_set_max_early_data(ctx, 0) == 1 && SSL_CTX_set_recv_max_early_data(ctx, 0) == 1;
  if (!is_set) return internal_error("TLS settings");
  SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION | SSL_OP_LEGACY_SERVER_CONNECT);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);  // tickets only: nothing that grows with the clients
  return context;
}

Result<void> use_certificate(ssl_ctx_st* context, const CertificateFiles& files) {
  Result<CertificateChain> chain = read_chain(files.certificate_file);
  if (!chain) return chain.error();
  Result<KeyPtr> key = read_key(files.key_file);
  if (!key) return key.error();
  X509* leaf = chain->leaf.get();
  ERR_clear_error();
  if (X509_check_private_key(leaf, key->get()) != 1) {
    ERR_clear_error();
    return make_error(Fault::mismatch, files.key_file + ": not the key of the certificate in " + files.certificate_file);
  }
  if (SSL_CTX_use_cert_and_key(context, leaf, key->get(), chain->rest.get(), 1) != 1) {
    return make_error(Fault::unsupported, files.certificate_file + ": " + take_openssl_error());
  }
  return {};
}

Result<void> check_certificate(const CertificateFiles& files) {
  Result<SslContext> context = make_tls_context(TlsRole::server, TlsVersion::v1_2);
  if (!context) return context.error();
  return use_certificate(context->get(), files);
}

Result<std::string> ask_for_client_certificates(ssl_ctx_st* context, const std::string& ca_file, bool is_required) {
  const Result<CertificateChain> authorities = read_chain(ca_file);
  if (!authorities) return authorities.error();
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  std::string digests;
  const auto add = [&](X509* authority) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (X509_digest(authority, EVP_sha256(), digest.data(), &size) != 1 || X509_STORE_add_cert(store, authority) != 1) return false;
    digests.append(reinterpret_cast<const char*>(digest.data()), size);
    return SSL_CTX_add_client_CA(context, authority) == 1;
  };
  ERR_clear_error();
  bool added = add(authorities->leaf.get());
  for (int i = 0; added && i < sk_X509_num(authorities->rest.get()); ++i) added = add(sk_X509_value(authorities->rest.get(), i));
  if (!added) return make_error(Fault::malformed, ca_file + ": " + take_openssl_error());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_verify_depth(context, kClientChainDepthMax);
  return digests;
}

Result<void> check_authorities(const std::string& ca_file) {
  Result<SslContext> context = make_tls_context(TlsRole::server, TlsVersion::v1_2);
  if (!context) return context.error();
  const Result<std::string> asked = ask_for_client_certificates(context->get(), ca_file, true);
  if (!asked) return asked.error();
  return {};
}

Result<CertificateFacts> inspect_certificate(const std::string& file) {
  Result<CertificateChain> chain = read_chain(file);
  if (!chain) return chain.error();
  X509* leaf = chain->leaf.get();
  CertificateFacts facts{{}, wall_time(X509_get0_notBefore(leaf)), wall_time(X509_get0_notAfter(leaf)), {}, {}};
  collect_names(leaf, facts);
  if (!facts.dns_names.empty()) {
    facts.name = facts.dns_names.front();
  } else {
    facts.name = facts.addresses.empty() ? display_name(leaf) : facts.addresses.front();
  }
  return facts;
}

Result<SslContext> make_tls_client_context(const UpstreamTlsSettings& settings) {
  Result<SslContext> context = make_tls_context(TlsRole::client, TlsVersion::v1_2);
  if (!context) return context.error();
  SSL_CTX* ctx = context->get();
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_verify_depth(ctx, kChainDepthMax);
  // By the subject alternative name alone: a common name is no host name (RFC 9525 §2).
  X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(ctx), X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (settings.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(ctx) != 1) return internal_error("the system's certificate authorities");
  } else {
    const Result<CertificateChain> authorities = read_chain(settings.ca_file);  // for its faults: OpenSSL's own say less
    if (!authorities) return authorities.error();
    if (SSL_CTX_load_verify_file(ctx, settings.ca_file.c_str()) != 1) {
      return make_error(Fault::malformed, settings.ca_file + ": " + take_openssl_error());
    }
  }
  if (!settings.certificate.empty()) {
    const Result<void> used = use_certificate(ctx, settings.certificate.front());
    if (!used) return used.error();
  }
  return context;
}

}  // namespace sallyport::transport
