// What a listener is configured with (DESIGN §2.2 `listeners`). Units are in the types; the loader has checked the ranges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "http/limits.hpp"
#include "transport/tls_context.hpp"

namespace sallyport::listen {

struct TlsSettings {
  std::vector<transport::CertificateFiles> certificates;  // chosen by SNI; the first answers when none fits
  transport::TlsVersion min_version = transport::TlsVersion::v1_2;
};

struct ListenerSettings {
  std::string name;
  std::string host;  // an IP address without brackets
  std::uint16_t port = 0;
  std::optional<TlsSettings> tls;          // nullopt: clear text
  std::uint32_t connections_max = 20'000;  // of all workers together
  http::Limits limits;
  http::Timeouts timeouts;
};

}  // namespace sallyport::listen
