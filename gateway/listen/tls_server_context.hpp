// What a TLS listener answers with: its certificates by name, ALPN, session tickets.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "listen/settings.hpp"
#include "listen/ticket_keys.hpp"
#include "transport/tls_context.hpp"

struct ssl_st;
struct ssl_session_st;

namespace sallyport::listen {

// Immutable but for its ticket keys; any thread. Outlives the connections that it accepted.
//   SNI: the certificate that names the host exactly, else by a wildcard for its first label (RFC 9525 §6.3), else the first one; of two
//   that
//     fit, the one configured first.
//   ALPN (RFC 7301): http/1.1; a client that offers only others is refused with no_application_protocol.
//   Tickets: bound to the listener, the certificate, the SNI name and the authorities of client certificates: a ticket for one name does
//   not resume for another (CVE-2025-23419). One that holds a client's certificate resumes only while everything in its chain is valid, and
//   none resumes without a certificate where one is required; else the handshake is a full one. Who resumes by TLS 1.3 gets a new ticket,
//   which ends when the first would have: kTicketLifetime after the full handshake (RFC 8446 §4.6.1). Client certificates:
//   transport::ask_for_client_certificates(), where the settings want them.
class TlsServerContext {
 public:
  static constexpr std::chrono::hours kTicketLifetime{2};

  // `listener` is the listener's name. Tickets of contexts with the same `ticket_keys` may resume; nullptr: it has its own.
  // Fault as transport::use_certificate(); malformed without any certificate.
  [[nodiscard]] static Result<std::unique_ptr<TlsServerContext>> create(const TlsSettings& settings, std::string listener,
                                                                        const Clock& clock,
                                                                        std::shared_ptr<TicketKeyRing> ticket_keys = nullptr);
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  // For Stream::accept_tls().
  [[nodiscard]] ssl_ctx_st* context() const noexcept { return contexts_.front().get(); }
  // Name and end of each certificate, in the order of the settings.
  [[nodiscard]] const std::vector<std::pair<std::string, WallTime>>& certificate_expiry() const noexcept { return expiry_; }
  [[nodiscard]] bool asks_clients() const noexcept { return asks_clients_; }
  // Stands for the authorities of client certificates and whether one is required.
  [[nodiscard]] std::string clients_digest() const;
  // Which certificate answers to `server_name` (lower case): an index into the settings' list.
  [[nodiscard]] std::size_t choose(std::string_view server_name) const;

 private:
  TlsServerContext(std::string listener, const Clock& clock, std::shared_ptr<TicketKeyRing> ticket_keys)
      : listener_(std::move(listener)), clock_(clock), ticket_keys_(std::move(ticket_keys)) {}
  [[nodiscard]] Result<void> add(const transport::CertificateFiles& files, const TlsSettings& settings);
  void prepare(ssl_ctx_st* context);

  // OpenSSL's callbacks; `self` and the context's extra data are this object.
  static int on_client_hello(ssl_st* ssl, int* alert, void* self);
  static int on_alpn(ssl_st* ssl, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
                     unsigned offered_size, void* self);
  // A ticket is about to be made of, or has been opened to, the session of `ssl` or `session`. SSL_CTX_set_session_ticket_cb(3).
  static int on_ticket_made(ssl_st* ssl, void* self);
  static int on_ticket_opened(ssl_st* ssl, ssl_session_st* session, const unsigned char* name, std::size_t name_size, int status,
                              void* self);
  [[nodiscard]] bool may_resume(ssl_session_st* session) const;
  [[nodiscard]] bool bind_session(ssl_st* ssl, std::size_t certificate, std::string_view server_name) const;

  std::string listener_;
  const Clock& clock_;
  std::shared_ptr<TicketKeyRing> ticket_keys_;
  bool asks_clients_ = false;
  bool requires_certificates_ = false;
  std::string authorities_;                                  // digests of those of client certificates
  std::vector<transport::SslContext> contexts_;              // one per certificate
  std::map<std::string, std::size_t, std::less<>> by_name_;  // "a.example", "*.example"
  std::vector<std::pair<std::string, WallTime>> expiry_;
};

}  // namespace sallyport::listen
