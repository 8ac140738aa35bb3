// The sections `listeners` and `admin`.
#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/network.hpp"
#include "base/text.hpp"

namespace sallyport::app {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kGiB = 1024 * 1024 * kKiB;

// The address as the system spells it; empty when `text` is none.
std::string canonical_address(int family, const std::string& text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(family, text.c_str(), bytes.data()) != 1) return {};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (::inet_ntop(family, bytes.data(), out.data(), out.size()) == nullptr) return {};
  return out.data();
}

// nullopt with the reason in `reason`.
std::optional<Endpoint> parse_endpoint(std::string_view text, std::string& reason) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    reason = "has no port";
    return std::nullopt;
  }
  const std::string_view port_text = text.substr(colon + 1);
  const std::optional<std::uint64_t> port = parse_decimal(port_text);
  if (!port || *port > 65'535 || (port_text.size() > 1 && port_text.front() == '0')) {
    reason = "has no port from 1 to 65535";
    return std::nullopt;
  }
  if (*port == 0) {
    reason = "has port 0, which would be another one at every start";
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  const bool is_v6 = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (is_v6) host = host.substr(1, host.size() - 2);
  Endpoint endpoint;
  endpoint.host = canonical_address(is_v6 ? AF_INET6 : AF_INET, std::string(host));
  endpoint.port = static_cast<std::uint16_t>(*port);
  if (endpoint.host.empty() || endpoint.host.starts_with("::ffff:")) {
    reason = "has no IP address before the port";
    return std::nullopt;
  }
  endpoint.is_any = endpoint.host == "0.0.0.0" || endpoint.host == "::";
  endpoint.is_loopback = endpoint.host.starts_with("127.") || endpoint.host == "::1";
  return endpoint;
}

bool overlap(const Endpoint& a, const Endpoint& b) {
  if (a.port != b.port) return false;
  if (a.host == b.host || a.host == "::" || b.host == "::") return true;  // [::] takes IPv4 too
  const auto is_v4 = [](const Endpoint& endpoint) { return endpoint.host.find(':') == std::string::npos; };
  return (a.is_any && is_v4(b)) || (b.is_any && is_v4(a));
}

void claim_endpoint(Loading& loading, const Node& node, std::string owner, const Endpoint& endpoint) {
  for (const KnownEndpoint& taken : loading.endpoints) {
    if (overlap(taken.endpoint, endpoint)) {
      loading.problems.error(node.at, fmt::format("the address {} is already that of {}", shown(node), taken.owner));
    }
  }
  loading.endpoints.push_back({std::move(owner), endpoint});
}

std::optional<transport::CertificateFiles> read_certificate(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader pair(problems, node, "listeners[].tls.certificates[]");
  const Node* certificate = pair.require("certificate_file", "the path of a PEM file");
  const Node* key = pair.require("key_file", "the path of a PEM file");
  std::optional<std::string> certificate_path;
  std::optional<std::string> key_path;
  if (certificate != nullptr) certificate_path = read_file_path(problems, *certificate, FileSecrecy::public_);
  if (key != nullptr) key_path = read_file_path(problems, *key, FileSecrecy::secret);
  if (!certificate_path || !key_path) return std::nullopt;
  transport::CertificateFiles files{std::move(*certificate_path), std::move(*key_path)};
  check_certificate(problems, *certificate, *key, files);
  return files;
}

// Both keys or none: authorities that nobody is measured by, or a wish that nobody can fulfil, are mistakes.
void read_client_certificates(Loading& loading, const MapReader& tls, listen::TlsSettings& settings) {
  Problems& problems = loading.problems;
  const Node* authorities = tls.find("client_ca_file");
  const Node* wanted = tls.find("client_certificate");
  if (authorities == nullptr && wanted == nullptr) return;
  if (authorities == nullptr || wanted == nullptr) {
    const Node& given = authorities != nullptr ? *authorities : *wanted;
    problems.error(given.at, authorities != nullptr
                                 ? "client_ca_file does nothing without client_certificate; expected optional or required"
                                 : "client_certificate needs a client_ca_file, whose authorities count");
    return;
  }
  static const Words<bool> kWishes = {{"optional", false}, {"required", true}};
  const auto is_required = read_keyword(problems, *wanted, tls.path_of("client_certificate"), kWishes);
  const auto path = read_file_path(problems, *authorities, FileSecrecy::public_);
  if (!path || !is_required) return;
  if (const Result<void> usable = transport::check_authorities(*path); !usable) {
    problems.error(authorities->at, not_usable(*authorities, usable.error()));
    return;
  }
  settings.clients = listen::ClientCertificates{*path, *is_required};
}

listen::TlsSettings read_tls(Loading& loading, const Node& node) {
  listen::TlsSettings settings;
  const MapReader tls(loading.problems, node, "listeners[].tls");
  if (const Node* certificates = tls.require("certificates", "a list of { certificate_file, key_file }")) {
    for (const Node* pair : read_list(loading.problems, *certificates, "a list of { certificate_file, key_file }")) {
      if (auto files = read_certificate(loading, *pair)) settings.certificates.push_back(std::move(*files));
    }
  }
  static const Words<transport::TlsVersion> kVersions = {{"TLSv1.2", transport::TlsVersion::v1_2},
                                                         {"TLSv1.3", transport::TlsVersion::v1_3}};
  read_client_certificates(loading, tls, settings);
  if (const Node* version = tls.find("min_version")) {
    if (const auto value = read_keyword(loading.problems, *version, tls.path_of("min_version"), kVersions)) settings.min_version = *value;
  }
  return settings;
}

void read_limits(Loading& loading, const Node& node, listen::ListenerSettings& listener) {
  Problems& problems = loading.problems;
  const MapReader limits(problems, node, "listeners[].limits");
  if (const Node* value = limits.find("connections")) {
    if (const auto number = read_integer(problems, *value, 1, 1'000'000)) listener.connections_max = static_cast<std::uint32_t>(*number);
  }
  if (const Node* value = limits.find("connections_per_address")) {
    if (const auto number = read_integer(problems, *value, 1, 1'000'000)) {
      listener.connections_per_address_max = static_cast<std::uint32_t>(*number);
    }
  }
  if (const Node* value = limits.find("header_fields")) {
    if (const auto number = read_integer(problems, *value, 1, 1'000)) listener.limits.header_fields_max = *number;
  }
  // A head stays below 64 KiB: the parser underneath counts its fields in 16 bits.
  if (const Node* value = limits.find("header_bytes")) {
    if (const auto size = read_size(problems, *value, kKiB, 63 * kKiB)) listener.limits.header_bytes_max = *size;
  }
  if (const Node* value = limits.find("target_bytes")) {
    if (const auto size = read_size(problems, *value, 64, 63 * kKiB)) listener.limits.target_bytes_max = *size;
  }
  if (const Node* value = limits.find("body_bytes")) {
    if (const auto size = read_size(problems, *value, 0, 1024 * kGiB)) listener.limits.body_bytes_max = *size;
  }
  if (listener.limits.target_bytes_max > listener.limits.header_bytes_max) {
    problems.error(limits.place_of(limits.has("target_bytes") ? "target_bytes" : "header_bytes"),
                   "target_bytes is larger than header_bytes, which holds the whole head; expected at most as much");
  }
}

void read_timeouts(Loading& loading, const Node& node, http::Timeouts& timeouts) {
  const MapReader reader(loading.problems, node, "listeners[].timeouts");
  const std::pair<std::string_view, milliseconds*> phases[] = {{"handshake", &timeouts.handshake},
                                                               {"header", &timeouts.header},
                                                               {"body", &timeouts.body},
                                                               {"idle", &timeouts.idle},
                                                               {"write", &timeouts.write}};
  for (const auto& [key, timeout] : phases) {
    const Node* value = reader.find(key);
    if (value == nullptr) continue;
    if (const auto duration = read_duration(loading.problems, *value, kPhaseRange)) *timeout = *duration;
  }
}

// Trusting everybody's X-Forwarded-For would let everybody say who he is. An empty list trusts nobody.
void read_trusted_proxies(Loading& loading, const Node& node, listen::ListenerSettings& listener) {
  Problems& problems = loading.problems;
  if (node.kind != Node::Kind::sequence) {
    static_cast<void>(read_list(problems, node, "a list of networks like 10.0.0.0/8"));
    return;
  }
  for (const Node& item : node.items) {
    const auto network = read_network(problems, item);
    if (!network) continue;
    if (network->is_everything()) {
      problems.error(item.at, fmt::format("{} would trust everybody; expected the networks of your proxies", shown(item)));
    } else {
      listener.trusted_proxies.networks.push_back(*network);
    }
  }
}

// Who may connect at all.
void read_access_lists(Loading& loading, const MapReader& reader, listen::ListenerSettings& listener) {
  const auto read = [&](const Node& node) {
    std::vector<Network> networks;
    for (const Node* item : read_list(loading.problems, node, "a list of networks like 10.0.0.0/8")) {
      if (const auto network = read_network(loading.problems, *item)) networks.push_back(*network);
    }
    return networks;
  };
  if (const Node* allow = reader.find("allow")) listener.allow = read(*allow);
  if (const Node* deny = reader.find("deny")) listener.deny = read(*deny);
}

void read_proxy_protocol(Loading& loading, const MapReader& reader, listen::ListenerSettings& listener) {
  Problems& problems = loading.problems;
  if (const Node* value = reader.find("trusted_proxies")) read_trusted_proxies(loading, *value, listener);
  const Node* value = reader.find("proxy_protocol");
  if (value == nullptr) return;
  static const Words<listen::ProxyProtocol> kVersions = {{"off", listen::ProxyProtocol::off}, {"v1_v2", listen::ProxyProtocol::v1_v2}};
  const auto versions = read_keyword(problems, *value, reader.path_of("proxy_protocol"), kVersions);
  if (versions) listener.proxy_protocol = *versions;
  const Node* proxies = reader.find("trusted_proxies");
  const bool names_some = proxies != nullptr && (proxies->kind != Node::Kind::sequence || !proxies->items.empty());
  if (listener.proxy_protocol != listen::ProxyProtocol::off && !names_some) {
    problems.error(value->at,
                   "proxy_protocol without trusted_proxies refuses every connection; expected the networks of your balancers there");
  }
}

void read_listener(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "listeners[]");
  listen::ListenerSettings listener;
  if (const Node* name = reader.require("name", "a name for logs and metrics")) {
    listener.name = read_name(problems, *name).value_or("");
    const auto same = std::ranges::find(loading.settings.listeners, listener.name, &listen::ListenerSettings::name);
    if (!listener.name.empty() && same != loading.settings.listeners.end()) {
      problems.error(name->at, fmt::format("another listener has the name '{}' already", listener.name));
    }
  }
  if (const Node* tls = reader.find("tls")) listener.tls = read_tls(loading, *tls);
  if (const Node* address = reader.require("address", "an IP address and a port like 127.0.0.1:8443")) {
    if (const auto endpoint = read_endpoint(problems, *address)) {
      listener.host = endpoint->host;
      listener.port = endpoint->port;
      claim_endpoint(loading, *address, fmt::format("listener '{}'", listener.name), *endpoint);
      if (!reader.has("tls") && !endpoint->is_loopback) {
        problems.warning(address->at, "this listener has no tls and is not loopback: tokens pass the network in clear text");
      }
    }
  }
  read_proxy_protocol(loading, reader, listener);
  read_access_lists(loading, reader, listener);
  if (const Node* value = reader.find("limits")) read_limits(loading, *value, listener);
  if (const Node* value = reader.find("timeouts")) read_timeouts(loading, *value, listener.timeouts);
  loading.settings.listeners.push_back(std::move(listener));
}

}  // namespace

std::optional<Endpoint> read_endpoint(Problems& problems, const Node& node) {
  constexpr std::string_view kExpected = "an IP address and a port like 127.0.0.1:8443 or \"[::1]:8443\"";
  const auto text = read_text(problems, node, kExpected);
  if (!text) return std::nullopt;
  std::string reason;
  auto endpoint = parse_endpoint(*text, reason);
  if (!endpoint) problems.error(node.at, fmt::format("{} {}; expected {}", shown(node), reason, kExpected));
  return endpoint;
}

void read_listeners(Loading& loading, const Node& node) {
  for (const Node* listener : read_list(loading.problems, node, "a list of listeners, each with a name and an address")) {
    read_listener(loading, *listener);
  }
}

void read_admin(Loading& loading, const Node& node) {
  constexpr std::size_t kTokenBytesMin = 16;
  Problems& problems = loading.problems;
  const MapReader reader(problems, node, "admin");
  AdminSettings admin;
  const Node* token_file = reader.find("token_file");
  if (token_file != nullptr) admin.token_file = read_file_path(problems, *token_file, FileSecrecy::secret);
  if (admin.token_file) {
    const Result<Secret> token = read_secret_file(*admin.token_file);
    if (!token) {
      problems.error(token_file->at, not_usable(*token_file, token.error()));
    } else if (token->size() < kTokenBytesMin) {
      problems.warning(token_file->at,
                       fmt::format("the token in {} is shorter than {} bytes and can be guessed", shown(*token_file), kTokenBytesMin));
    }
  }
  const Node* address = reader.require("address", "an IP address and a port like 127.0.0.1:9901");
  if (address == nullptr) return;
  const auto endpoint = read_endpoint(problems, *address);
  if (!endpoint) return;
  claim_endpoint(loading, *address, "admin listener", *endpoint);
  if (!endpoint->is_loopback) {
    if (reader.has("token_file")) {
      problems.warning(address->at, "the admin listener is not loopback and has no TLS: its token passes the network in clear text");
    } else {
      problems.error(address->at, fmt::format("the admin listener at {} is not loopback; expected 127.0.0.1 or [::1], or a token_file",
                                              shown(*address)));
    }
  }
  admin.host = endpoint->host;
  admin.port = endpoint->port;
  loading.settings.admin = std::move(admin);
}

}  // namespace sallyport::app
