// What a ScriptedUpstream needs to speak TLS.
#pragma once

#include <openssl/ssl.h>

#include <stdexcept>
#include <string>

#include "support/test_certificates.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::testing {

struct TlsServer {
  transport::SslContext context;

  TlsServer(const test::TemporaryFolder& folder, const std::string& stem, const test::Identity& identity) {
    const test::IdentityFiles files = test::write_identity(folder, stem, identity);
    context.reset(SSL_CTX_new(TLS_server_method()));
    if (SSL_CTX_use_certificate_file(context.get(), files.certificate_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context.get(), files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::runtime_error("server certificate");
    }
  }
};

}  // namespace sallyport::testing
