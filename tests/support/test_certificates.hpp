// Certificates made in the test: keys, authorities, leaves with any names and times. P-256, so that making one costs nothing.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace sallyport::test {

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct X509Deleter {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;
using Certificate = std::unique_ptr<X509, X509Deleter>;

inline Key make_ec_key(const char* curve = "P-256") {
  Key key(EVP_EC_gen(curve));
  if (!key) throw std::runtime_error("no EC key");
  return key;
}

inline Key make_rsa_key(unsigned bits) {
  Key key(EVP_RSA_gen(bits));
  if (!key) throw std::runtime_error("no RSA key");
  return key;
}

struct AltName {
  enum class Kind { dns, address, email, uri } kind = Kind::dns;
  std::string value;  // dns, email, uri: bytes as they are, NUL included; address: 4 or 16 raw bytes
};
inline AltName dns(std::string name) { return {AltName::Kind::dns, std::move(name)}; }
inline AltName email(std::string name) { return {AltName::Kind::email, std::move(name)}; }
inline AltName uri(std::string text) { return {AltName::Kind::uri, std::move(text)}; }
inline AltName ip(std::string raw) { return {AltName::Kind::address, std::move(raw)}; }

struct CertificateWish {
  std::string common_name;
  std::vector<AltName> alt_names;
  long not_before_seconds = -3600;  // from now
  long not_after_seconds = 3600 * 24;
  bool is_authority = false;
  const char* extended_key_usage = nullptr;  // "serverAuth", "clientAuth"
};

struct Identity {
  Certificate certificate;
  Key key;
};

inline GENERAL_NAME* make_general_name(const AltName& wish) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  const auto* bytes = reinterpret_cast<const unsigned char*>(wish.value.data());
  const int size = static_cast<int>(wish.value.size());
  if (wish.kind == AltName::Kind::address) {
    ASN1_OCTET_STRING* address = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(address, bytes, size);
    GENERAL_NAME_set0_value(name, GEN_IPADD, address);
  } else {
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, bytes, size);
    const int type = wish.kind == AltName::Kind::dns ? GEN_DNS : wish.kind == AltName::Kind::email ? GEN_EMAIL : GEN_URI;
    GENERAL_NAME_set0_value(name, type, text);
  }
  return name;
}

inline void add_extension(X509* certificate, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  if (extension == nullptr) throw std::runtime_error("no such extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Signed by `issuer`, or by itself when there is none.
inline Identity make_identity(const CertificateWish& wish, const Identity* issuer = nullptr, Key key = make_ec_key(),
                              const EVP_MD* digest = EVP_sha256()) {
  static long serial = 1;
  Certificate certificate(X509_new());
  X509* x509 = certificate.get();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), wish.not_before_seconds);
  X509_gmtime_adj(X509_getm_notAfter(x509), wish.not_after_seconds);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, issuer == nullptr ? X509_get_subject_name(x509) : X509_get_subject_name(issuer->certificate.get()));
  X509_set_pubkey(x509, key.get());
  if (wish.is_authority) {
    add_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x509, NID_key_usage, "critical,keyCertSign,cRLSign");
  }
  if (wish.extended_key_usage != nullptr) add_extension(x509, NID_ext_key_usage, wish.extended_key_usage);
  if (!wish.alt_names.empty()) {
    GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
    for (const AltName& name : wish.alt_names) sk_GENERAL_NAME_push(names, make_general_name(name));
    X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT);
    GENERAL_NAMES_free(names);
  }
  if (X509_sign(x509, issuer == nullptr ? key.get() : issuer->key.get(), digest) == 0) throw std::runtime_error("not signed");
  return {std::move(certificate), std::move(key)};
}

inline Identity make_authority(const std::string& name = "Test CA") {
  return make_identity({.common_name = name, .alt_names = {}, .is_authority = true});
}

template <class Write>
std::string to_pem(Write write) {
  BIO* memory = BIO_new(BIO_s_mem());
  write(memory);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  std::string pem(bytes, static_cast<std::size_t>(size));
  BIO_free(memory);
  return pem;
}

inline std::string certificate_pem(const Identity& identity) {
  return to_pem([&](BIO* out) { PEM_write_bio_X509(out, identity.certificate.get()); });
}

// With a password: encrypted with it.
inline std::string key_pem(const Identity& identity, const std::string& password = {}) {
  return to_pem([&](BIO* out) {
    std::string secret = password;
    PEM_write_bio_PrivateKey(out, identity.key.get(), secret.empty() ? nullptr : EVP_aes_256_cbc(),
                             secret.empty() ? nullptr : reinterpret_cast<unsigned char*>(secret.data()), static_cast<int>(secret.size()),
                             nullptr, nullptr);
  });
}

struct IdentityFiles {
  std::string certificate_file;
  std::string key_file;
};

inline IdentityFiles write_identity(const TemporaryFolder& folder, const std::string& stem, const Identity& identity) {
  return {folder.write(stem + ".crt", certificate_pem(identity)), folder.write(stem + ".key", key_pem(identity))};
}

}  // namespace sallyport::test
