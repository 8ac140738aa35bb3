#include "transport/peer_certificate.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>

#include "base/free_with.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::transport {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, FreeWith<&GENERAL_NAMES_free>>;
using BioPtr = std::unique_ptr<BIO, FreeWith<&BIO_free_all>>;

void free_bytes(unsigned char* bytes) { OPENSSL_free(bytes); }
using BytesPtr = std::unique_ptr<unsigned char, FreeWith<&free_bytes>>;

constexpr std::size_t kSubjectBytesMax = 1024;
constexpr std::size_t kNameBytesMax = 2048;
constexpr std::size_t kNamesMax = 256;  // of each kind; a certificate with more is not described further

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e; });
}

// A time that cannot be read is the one that makes the certificate invalid.
WallTime wall_time(const ASN1_TIME* time, WallTime when_unreadable) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return when_unreadable;
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

// RFC 2253, as UTF-8 with every control byte and every byte beyond ASCII escaped: two different subjects never print alike.
std::string subject_text(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (!out) return {};
  if (X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  if (bytes == nullptr || size <= 0 || static_cast<std::size_t>(size) > kSubjectBytesMax) return {};
  std::string text(bytes, static_cast<std::size_t>(size));
  const bool is_clean = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; });
  return is_clean ? text : std::string{};
}

void keep(const ASN1_STRING* value, std::vector<std::string>& into) {
  const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                              static_cast<std::size_t>(ASN1_STRING_length(value)));
  if (text.empty() || text.size() > kNameBytesMax || into.size() == kNamesMax || !is_printable_ascii(text)) return;
  into.emplace_back(text);
}

Result<void> collect_names(X509* certificate, PeerCertificate& into) {
  int position = -1;  // -1: there is none; anything else that comes with nullptr is a broken one, or two
  const NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &position, nullptr)));
  if (!names) {
    ERR_clear_error();
    if (position == -1) return {};
    return make_error(Fault::malformed, "the certificate's alternative names cannot be read");
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    switch (name->type) {
      case GEN_DNS: keep(name->d.dNSName, into.dns_names); break;
      case GEN_URI:
        keep(name->d.uniformResourceIdentifier, into.uris);
        ++into.uri_count;
        break;
      case GEN_EMAIL: keep(name->d.rfc822Name, into.emails); break;
      default: break;
    }
  }
  for (std::string& name : into.dns_names) name = to_lower(name);
  return {};
}

}  // namespace

Result<PeerCertificate> describe_certificate(x509_st* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) {
    ERR_clear_error();
    return make_error(Fault::internal, "the certificate cannot be written down");
  }
  const BytesPtr owner(der);
  const Sha256 digest = sha256(std::string_view(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)));
  PeerCertificate facts;
  facts.thumbprint = base64url_encode(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
  facts.subject = subject_text(certificate);
  facts.not_before = wall_time(X509_get0_notBefore(certificate), WallTime::max());
  facts.not_after = wall_time(X509_get0_notAfter(certificate), WallTime::min());
  const Result<void> collected = collect_names(certificate, facts);
  if (!collected) return collected.error();
  return facts;
}

}  // namespace sallyport::transport
