#include "listen/tls_server_context.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::listen {
namespace {

constexpr std::string_view kProtocol = "http/1.1";

int ring_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool set_mac_key(EVP_MAC_CTX* mac, TicketKey& key) {
  std::string digest = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.authentication.data(), key.authentication.size()),
                               OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

// SSL_CTX_set_tlsext_ticket_key_evp_cb(3): -1 error, 0 no such key, 1 done, 2 done and the client should get a new ticket.
int on_ticket_key(SSL* ssl, unsigned char name[16], unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) noexcept {
  auto* ring = static_cast<TicketKeyRing*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ring_index()));
  if (ring == nullptr) return -1;
  try {
    if (encrypt == 1) {
      TicketKey key = ring->newest();
      std::ranges::copy(key.name, name);
      fill_random({iv, static_cast<std::size_t>(EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()))});
      if (EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.encryption.data(), iv) != 1) return -1;
      return set_mac_key(mac, key) ? 1 : -1;
    }
    std::optional<TicketKeyRing::Found> found = ring->find(std::span<const unsigned char, 16>(name, 16));
    if (!found) return 0;
    if (!set_mac_key(mac, found->key)) return -1;
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, found->key.encryption.data(), iv) != 1) return -1;
    return found->is_newest ? 1 : 2;
  } catch (...) {
    return -1;  // no randomness, no memory: no tickets
  }
}

// The host name of a server_name extension (RFC 6066 §3), lower case, without a trailing dot; empty when there is none or it is malformed,
// which OpenSSL's own parser then refuses.
std::string host_name(SSL* ssl) {
  const unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1) return {};
  constexpr std::size_t kPrefix = 5;  // list length, type, name length
  if (size <= kPrefix || bytes[2] != TLSEXT_NAMETYPE_host_name) return {};
  const std::size_t list = static_cast<std::size_t>(bytes[0] << 8 | bytes[1]);
  const std::size_t length = static_cast<std::size_t>(bytes[3] << 8 | bytes[4]);
  if (list != size - 2 || length != size - kPrefix) return {};
  std::string name = to_lower({reinterpret_cast<const char*>(bytes + kPrefix), length});
  if (name.ends_with('.')) name.pop_back();
  return name;
}

}  // namespace

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::create(const TlsSettings& settings, std::string listener, const Clock& clock,
                                                                   std::shared_ptr<TicketKeyRing> ticket_keys) {
  if (settings.certificates.empty()) return make_error(Fault::malformed, listener + ": TLS without a certificate");
  if (!ticket_keys) ticket_keys = std::make_shared<TicketKeyRing>(clock);
  std::unique_ptr<TlsServerContext> made(new TlsServerContext(std::move(listener), clock, std::move(ticket_keys)));
  made->asks_clients_ = settings.clients.has_value();
  made->requires_certificates_ = settings.clients && settings.clients->is_required;
  for (const transport::CertificateFiles& files : settings.certificates) {
    const Result<void> added = made->add(files, settings);
    if (!added) return added.error();
  }
  return made;
}

Result<void> TlsServerContext::add(const transport::CertificateFiles& files, const TlsSettings& settings) {
  Result<transport::SslContext> context = transport::make_tls_context(transport::TlsRole::server, settings.min_version);
  if (!context) return context.error();
  const Result<void> used = transport::use_certificate(context->get(), files);
  if (!used) return used.error();
  const Result<transport::CertificateFacts> facts = transport::inspect_certificate(files.certificate_file);
  if (!facts) return facts.error();
  prepare(context->get());
  if (settings.clients) {
    Result<std::string> digests =
        transport::ask_for_client_certificates(context->get(), settings.clients->ca_file, settings.clients->is_required);
    if (!digests) return digests.error();
    authorities_ = std::move(*digests);
  }
  const std::size_t index = contexts_.size();
  for (const std::string& name : facts->dns_names) by_name_.emplace(name, index);  // the first one keeps a name
  expiry_.emplace_back(facts->name, facts->not_after);
  contexts_.push_back(std::move(*context));
  return {};
}

void TlsServerContext::prepare(ssl_ctx_st* context) {
  SSL_CTX_set_client_hello_cb(context, &TlsServerContext::on_client_hello, this);
  SSL_CTX_set_alpn_select_cb(context, &TlsServerContext::on_alpn, nullptr);
  SSL_CTX_set_ex_data(context, ring_index(), ticket_keys_.get());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &on_ticket_key);
  SSL_CTX_set_session_ticket_cb(context, &TlsServerContext::on_ticket_made, &TlsServerContext::on_ticket_opened, this);
  SSL_CTX_set_timeout(context, std::chrono::seconds(kTicketLifetime).count());
  // Acknowledges the name, and lets a resumed TLS 1.2 session remember it.
  SSL_CTX_set_tlsext_servername_callback(context, +[](SSL*, int*, void*) -> int { return SSL_TLSEXT_ERR_OK; });
}

std::size_t TlsServerContext::choose(std::string_view server_name) const {
  const auto exact = by_name_.find(server_name);
  if (exact != by_name_.end()) return server_name.starts_with('*') ? 0 : exact->second;
  const std::size_t dot = server_name.find('.');
  if (dot == std::string_view::npos || dot == 0) return 0;
  const auto wildcard = by_name_.find("*" + std::string(server_name.substr(dot)));
  return wildcard == by_name_.end() ? 0 : wildcard->second;
}

std::string TlsServerContext::clients_digest() const {
  return (asks_clients_ ? (requires_certificates_ ? "required" : "optional") : "none") + authorities_;
}

bool TlsServerContext::bind_session(ssl_st* ssl, std::size_t certificate, std::string_view server_name) const {
  std::string text = listener_;
  text += '\0';
  text += std::to_string(certificate);
  text += '\0';
  text += server_name;
  text += '\0';
  text += clients_digest();
  const Sha256 id = sha256(text);
  static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH);
  return SSL_set_session_id_context(ssl, id.data(), static_cast<unsigned>(id.size())) == 1;
}

// How long a ticket is good goes along as its own data, and from a session that it resumed into the ticket that renews it: OpenSSL itself
// counts from the newest. The client's chain has to be looked at now, because a ticket holds only the first certificate of it.
int TlsServerContext::on_ticket_made(ssl_st* ssl, void* self) {
  SSL_SESSION* session = SSL_get_session(ssl);
  if (session == nullptr || SSL_session_reused(ssl) == 1) return 1;
  const auto& here = *static_cast<const TlsServerContext*>(self);
  std::int64_t end = std::chrono::system_clock::to_time_t(here.clock_.wall_now() + kTicketLifetime);
  STACK_OF(X509)* chain = SSL_get0_verified_chain(ssl);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, i)), &parts) != 1) return 0;
    end = std::min(end, static_cast<std::int64_t>(::timegm(&parts)));
  }
  return SSL_SESSION_set1_ticket_appdata(session, &end, sizeof end);
}

bool TlsServerContext::may_resume(ssl_session_st* session) const {
  const bool has_certificate = SSL_SESSION_get0_peer(session) != nullptr;
  if (has_certificate ? !asks_clients_ : requires_certificates_) return false;
  void* data = nullptr;
  std::size_t size = 0;
  std::int64_t end = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || data == nullptr || size != sizeof end) return false;
  std::memcpy(&end, data, sizeof end);
  return std::chrono::system_clock::to_time_t(clock_.wall_now()) <= end;
}

// A client spends a ticket of TLS 1.3 once (RFC 8446 §C.4), so that whoever resumes needs another one.
int TlsServerContext::on_ticket_opened(ssl_st* ssl, ssl_session_st* session, const unsigned char* /*name*/, std::size_t /*name_size*/,
                                       int status, void* self) {
  const auto& here = *static_cast<const TlsServerContext*>(self);
  switch (status) {
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW: {
      if (!here.may_resume(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
      const bool renews = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) >= TLS1_3_VERSION;
      return renews ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
    }
    case SSL_TICKET_EMPTY:
    case SSL_TICKET_NO_DECRYPT: return SSL_TICKET_RETURN_IGNORE_RENEW;
    default: return SSL_TICKET_RETURN_IGNORE;
  }
}

// Before OpenSSL looks at tickets: its servername callback would come after it had resumed a session.
int TlsServerContext::on_client_hello(ssl_st* ssl, int* alert, void* self) {
  const auto& here = *static_cast<const TlsServerContext*>(self);
  *alert = SSL_AD_INTERNAL_ERROR;
  try {
    const std::string name = host_name(ssl);
    const std::size_t index = here.choose(name);
    if (SSL_set_SSL_CTX(ssl, here.contexts_[index].get()) == nullptr) return SSL_CLIENT_HELLO_ERROR;
    return here.bind_session(ssl, index, name) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
  } catch (...) {
    return SSL_CLIENT_HELLO_ERROR;
  }
}

int TlsServerContext::on_alpn(ssl_st* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                              unsigned offered_size, void* /*self*/) {
  for (std::size_t i = 0; i < offered_size; i += 1 + std::size_t{offered[i]}) {
    const std::size_t size = offered[i];
    if (i + 1 + size > offered_size) break;
    if (std::string_view(reinterpret_cast<const char*>(offered + i + 1), size) != kProtocol) continue;
    *chosen = offered + i + 1;
    *chosen_size = static_cast<unsigned char>(size);
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace sallyport::listen
