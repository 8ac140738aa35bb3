// PEM (RFC 7468): SubjectPublicKeyInfo, PKCS #1, certificates, and the public half of private keys.
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "authenticate/keys_material.hpp"

namespace sallyport::authenticate {
namespace {

using BioPtr = std::unique_ptr<BIO, FreeWith<&BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, FreeWith<&X509_free>>;

// What PEM_read_bio allocates. The data may be a private key: wiped.
struct Block {
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(length));
  }

  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
};

// The public half alone, by way of its encoding: nothing private stays in memory longer than this takes.
PkeyPtr public_half(const PkeyPtr& pkey) {
  unsigned char* encoded = nullptr;
  const int length = pkey ? i2d_PUBKEY(pkey.get(), &encoded) : 0;
  if (length <= 0) return nullptr;
  const unsigned char* at = encoded;
  PkeyPtr half(d2i_PUBKEY(nullptr, &at, length));
  OPENSSL_free(encoded);
  return half;
}

// nullptr when the block's kind is none that holds a key, or its content does not parse to its last byte.
PkeyPtr key_of(const Block& block) {
  const std::string_view kind(block.name);
  const unsigned char* at = block.data;
  PkeyPtr pkey;
  if (kind == "PUBLIC KEY") {
    pkey.reset(d2i_PUBKEY(nullptr, &at, block.length));
  } else if (kind == "RSA PUBLIC KEY") {
    pkey.reset(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &at, block.length));
  } else if (kind == "CERTIFICATE") {
    const CertificatePtr certificate(d2i_X509(nullptr, &at, block.length));
    if (certificate) pkey.reset(X509_get_pubkey(certificate.get()));
  } else if (kind == "PRIVATE KEY" || kind == "RSA PRIVATE KEY" || kind == "EC PRIVATE KEY") {
    pkey.reset(d2i_AutoPrivateKey(nullptr, &at, block.length));
  }
  if (!pkey || at != block.data + block.length) return nullptr;
  return public_half(pkey);
}

std::size_t count_begin_lines(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  std::size_t count = 0;
  for (std::size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at + kBegin.size())) ++count;
  return count;
}

Result<KeyMaterial> read_block(const Block& block) {
  const CleanErrorQueue clean;
  Result<KeyMaterial> material = accept_public_key(key_of(block));
  if (!material) return material;
  if (auto prepared = prepare(*material); !prepared) return prepared.error();
  return material;
}

}  // namespace

Result<KeySet> KeySet::from_pem(std::string_view text, std::vector<std::string>& warnings) {
  const CleanErrorQueue clean;
  if (text.size() > kBytesMax) return make_error(Fault::too_large, "more than " + std::to_string(kBytesMax) + " bytes");
  const std::size_t blocks = count_begin_lines(text);
  if (blocks == 0) return make_error(Fault::malformed, "no PEM block");
  if (blocks > kKeysMax) return make_error(Fault::too_large, "more than " + std::to_string(kKeysMax) + " keys");
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  KeySet keys;
  keys.keys_have_ids_ = false;
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::string label = "PEM block " + std::to_string(i + 1);
    Block block;
    if (!bio || PEM_read_bio(bio.get(), &block.name, &block.header, &block.data, &block.length) != 1) {
      return make_error(Fault::malformed, label + " is damaged");
    }
    const std::string_view kind(block.name);
    if (kind == "EC PARAMETERS") continue;  // `openssl ecparam -genkey` writes it before the key, which repeats it
    if (kind == "ENCRYPTED PRIVATE KEY" || *block.header != '\0') return make_error(Fault::malformed, label + " is encrypted");
    Result<KeyMaterial> material = read_block(block);
    if (!material) {
      warnings.push_back(label + " (" + printable(kind) + ") is not used: " + material.error().detail);
      continue;
    }
    keys.add(std::move(*material));
  }
  if (keys.size() == 0)
    return make_error(Fault::malformed, "no PEM block holds a key that can serve" + (warnings.empty() ? "" : "; " + warnings.back()));
  return keys;
}

}  // namespace sallyport::authenticate
