#include "listen/tls_server_context.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/ssl.h>

#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::listen {
namespace {

constexpr std::string_view kProtocol = "http/1.1";
constexpr long kTicketLifetimeSeconds = 2 * 3600;

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

Result<std::unique_ptr<TlsServerContext>> TlsServerContext::create(const TlsSettings& settings, std::string listener, const Clock& clock) {
  if (settings.certificates.empty()) return make_error(Fault::malformed, listener + ": TLS without a certificate");
  std::unique_ptr<TlsServerContext> made(new TlsServerContext(std::move(listener), clock));
  for (const transport::CertificateFiles& files : settings.certificates) {
    const Result<void> added = made->add(files, settings.min_version);
    if (!added) return added.error();
  }
  return made;
}

Result<void> TlsServerContext::add(const transport::CertificateFiles& files, transport::TlsVersion minimum) {
  Result<transport::SslContext> context = transport::make_tls_context(transport::TlsRole::server, minimum);
  if (!context) return context.error();
  const Result<void> used = transport::use_certificate(context->get(), files);
  if (!used) return used.error();
  const Result<transport::CertificateFacts> facts = transport::inspect_certificate(files.certificate_file);
  if (!facts) return facts.error();
  prepare(context->get());
  const std::size_t index = contexts_.size();
  for (const std::string& name : facts->dns_names) by_name_.emplace(name, index);  // the first one keeps a name
  expiry_.emplace_back(facts->name, facts->not_after);
  contexts_.push_back(std::move(*context));
  return {};
}

void TlsServerContext::prepare(ssl_ctx_st* context) {
  SSL_CTX_set_client_hello_cb(context, &TlsServerContext::on_client_hello, this);
  SSL_CTX_set_alpn_select_cb(context, &TlsServerContext::on_alpn, nullptr);
  SSL_CTX_set_ex_data(context, ring_index(), &ticket_keys_);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &on_ticket_key);
  SSL_CTX_set_timeout(context, kTicketLifetimeSeconds);
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

bool TlsServerContext::bind_session(ssl_st* ssl, std::size_t certificate, std::string_view server_name) const {
  std::string text = listener_;
  text += '\0';
  text += std::to_string(certificate);
  text += '\0';
  text += server_name;
  const Sha256 id = sha256(text);
  static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH);
  return SSL_set_session_id_context(ssl, id.data(), static_cast<unsigned>(id.size())) == 1;
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
