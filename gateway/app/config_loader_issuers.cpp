// The section `issuers`.
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/config_files.hpp"
#include "app/config_loading.hpp"
#include "base/text.hpp"
#include "identity/owned_names.hpp"
#include "upstream/https_fetcher.hpp"

namespace sallyport::app {
namespace {

using authenticate::Algorithm;
using authenticate::KeyFile;
using authenticate::KeyUrl;
using authenticate::TokenPlace;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr seconds kDefaultTolerance{5};
constexpr std::string_view kEdge = "edge";                        // the issuer of the tokens that the gateway itself issues (DESIGN §2.3)
constexpr std::string_view kCertificates = "client-certificate";  // the issuer of those that a client certificate names

// Where messages about an issuer's settings point to, as long as they are needed.
struct IssuerNodes {
  const Node* algorithms = nullptr;
  const Node* key_file = nullptr;
};

std::string all_algorithm_names() {
  std::string names;
  for (std::size_t i = 0; i < authenticate::kAlgorithmCount; ++i) {
    names += (i == 0 ? "" : ", ") + std::string(authenticate::name(static_cast<Algorithm>(i)));
  }
  return names;
}

std::vector<Algorithm> read_algorithms(Problems& problems, const Node& node) {
  std::vector<Algorithm> algorithms;
  const Node* symmetric = nullptr;
  const Node* asymmetric = nullptr;
  for (const Node* item : read_list(problems, node, "a list of algorithms like [ES256, RS256]")) {
    const auto text = read_text(problems, *item, "the name of an algorithm");
    if (!text) continue;
    const auto algorithm = authenticate::parse_algorithm(*text);
    if (!algorithm) {
      problems.error(item->at, equals_ignoring_case(*text, "none")
                                   ? std::string("'none' would accept tokens that nobody signed; expected one of: ") + all_algorithm_names()
                                   : fmt::format("{} is no algorithm; expected one of: {}", shown(*item), all_algorithm_names()));
      continue;
    }
    if (std::ranges::find(algorithms, *algorithm) != algorithms.end()) {
      problems.error(item->at, fmt::format("{} stands in the list twice", shown(*item)));
    }
    algorithms.push_back(*algorithm);
    (authenticate::is_symmetric(*algorithm) ? symmetric : asymmetric) = item;
  }
  if (symmetric != nullptr && asymmetric != nullptr) {
    problems.error(symmetric->at, fmt::format("{} stands beside {}: with both, a public key could pass for a shared secret; "
                                              "expected shared-secret (HS*) or public-key algorithms alone",
                                              shown(*symmetric), shown(*asymmetric)));
  }
  return algorithms;
}

constexpr std::string_view kKeyKinds = "jwks_file, jwks_url, pem_file, secret_file";

std::optional<KeyFile> read_key_file(Problems& problems, const MapReader& keys, IssuerNodes& nodes) {
  static constexpr std::pair<std::string_view, KeyFile::Kind> kKinds[] = {
      {"jwks_file", KeyFile::Kind::jwks_file}, {"pem_file", KeyFile::Kind::pem_file}, {"secret_file", KeyFile::Kind::secret_file}};
  std::optional<KeyFile> file;
  std::string_view first;
  for (const auto& [key, kind] : kKinds) {
    if (!keys.has(key)) continue;
    if (!first.empty()) {
      problems.error(keys.place_of(key), fmt::format("{} stands beside {}; expected one of {}", key, first, kKeyKinds));
      return std::nullopt;
    }
    first = key;
    const Node* value = keys.find(key);
    if (value == nullptr) continue;
    const bool is_secret = kind == KeyFile::Kind::secret_file;
    auto path = read_file_path(problems, *value, is_secret ? FileSecrecy::secret : FileSecrecy::public_);
    if (!path) continue;
    nodes.key_file = value;
    file = KeyFile{kind, std::move(*path)};
  }
  if (first.empty()) problems.error(keys.node().at, fmt::format("issuers[].keys names no keys; expected one of {}", kKeyKinds));
  return file;
}

// Where the last good set is kept: where the operator says, else beside the store's file.
void read_cache_file(Loading& loading, const MapReader& keys, const std::string& issuer, KeyUrl& url) {
  if (keys.has("cache_file")) {
    const Node* node = keys.find("cache_file");
    const auto path = node == nullptr ? std::nullopt : read_text(loading.problems, *node, "the path of a file");
    if (!path) return;
    url.cache_file = resolve(*node->at.source, *path);
    std::error_code ignored;
    if (path->ends_with('/') || std::filesystem::is_directory(url.cache_file, ignored)) {
      loading.problems.error(node->at, fmt::format("{} is a directory; expected the path of a file", shown(*node)));
    }
    return;
  }
  if (loading.has_store_path && !loading.settings.store.path.empty()) {
    url.cache_file = fmt::format("{}.keys/{}.json", loading.settings.store.path, issuer);
    return;
  }
  loading.problems.warning(keys.place_of("jwks_url"),
                           "the keys are kept nowhere: a restart while their URL is away has none; expected a cache_file beside");
}

std::optional<KeyUrl> read_key_url(Loading& loading, const MapReader& keys, const std::string& issuer) {
  Problems& problems = loading.problems;
  for (const std::string_view other : {"jwks_file", "pem_file", "secret_file"}) {
    if (!keys.has(other)) continue;
    problems.error(keys.place_of(other), fmt::format("{} stands beside jwks_url; expected one of {}", other, kKeyKinds));
    return std::nullopt;
  }
  const Node* node = keys.find("jwks_url");
  const auto text = node == nullptr ? std::nullopt : read_text(problems, *node, "the URL of a JWK Set, like https://issuer.example/keys");
  if (!text) return std::nullopt;
  const Result<upstream::FetchUrl> parsed = upstream::FetchUrl::parse(*text);
  if (!parsed) {
    // Not shown when it may hold a password.
    const bool may_hold_one = node->expanded || text->find('@') != std::string::npos;
    problems.error(node->at, may_hold_one ? "this is no URL of a JWK Set; expected https://HOST/PATH, without credentials"
                                          : fmt::format("{} {}", shown(*node), parsed.error().detail));
    return std::nullopt;
  }
  KeyUrl url;
  url.url = *text;
  if (const Node* ca_file = keys.find("ca_file")) {
    url.ca_file = read_file_path(problems, *ca_file, FileSecrecy::public_).value_or("");
    if (!parsed->is_tls) problems.error(keys.place_of("ca_file"), "ca_file stands here, but the URL is http://");
    transport::UpstreamTlsSettings tls;
    tls.ca_file = url.ca_file;
    if (!url.ca_file.empty()) {
      if (const auto context = transport::make_tls_client_context(tls); !context) problems.error(ca_file->at, context.error().detail);
      const Result<std::string> content = read_regular_file(url.ca_file, kKeyFileBytesMax);
      if (content) {
        const Sha256 digest = sha256(*content);
        url.ca_digest = hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
      }
    }
  }
  read_cache_file(loading, keys, issuer, url);
  return url;
}

// Into `settings`; false: reported.
bool read_keys(Loading& loading, const Node& node, authenticate::IssuerSettings& settings, IssuerNodes& nodes) {
  Problems& problems = loading.problems;
  const MapReader keys(problems, node, "issuers[].keys");
  if (!keys.is_map()) return false;
  nodes.key_file = &node;
  if (keys.has("jwks_url")) {
    settings.key_url = read_key_url(loading, keys, settings.name);
    return settings.key_url.has_value();
  }
  for (const std::string_view part : {"ca_file", "cache_file"}) {
    if (keys.has(part)) problems.error(keys.place_of(part), fmt::format("{} stands here without jwks_url, whose part it is", part));
  }
  std::optional<KeyFile> file = read_key_file(problems, keys, nodes);
  if (!file) return false;
  settings.keys = std::move(*file);
  return true;
}

std::optional<TokenPlace> read_token_place(Problems& problems, const Node& node) {
  constexpr std::string_view kExpected = "{ header: NAME } or { cookie: NAME }";
  const MapReader place(problems, node, "issuers[].token_from[]");
  if (!place.is_map()) return std::nullopt;
  if (place.node().members.size() != 1) {
    problems.error(node.at, fmt::format("one place is one key; expected {}", kExpected));
    return std::nullopt;
  }
  const bool is_header = place.has("header");
  const Node* name_node = place.find(is_header ? "header" : "cookie");
  if (name_node == nullptr) return std::nullopt;
  const auto name = read_text(problems, *name_node, is_header ? "the name of a header" : "the name of a cookie");
  if (!name) return std::nullopt;
  if (!is_token(*name)) {
    problems.error(name_node->at, fmt::format("{} is no name of a header or cookie (RFC 9110 §5.6.2)", shown(*name_node)));
    return std::nullopt;
  }
  if (!is_header) return TokenPlace{TokenPlace::Kind::cookie, *name};
  if (equals_ignoring_case(*name, "Authorization")) return TokenPlace{TokenPlace::Kind::authorization, {}};
  if (identity::OwnedNames::is_reserved(*name)) {
    problems.error(name_node->at,
                   fmt::format("{} is a reserved header; expected Authorization or a header of your own", shown(*name_node)));
    return std::nullopt;
  }
  return TokenPlace{TokenPlace::Kind::header, to_lower(*name)};
}

std::vector<TokenPlace> read_token_places(Problems& problems, const Node& node) {
  std::vector<TokenPlace> places;
  for (const Node* item : read_list(problems, node, "a list of { header: NAME } or { cookie: NAME }")) {
    const auto place = read_token_place(problems, *item);
    if (!place) continue;
    if (std::ranges::find(places, *place) != places.end()) problems.error(item->at, "this place stands in the list twice");
    places.push_back(*place);
  }
  return places;
}

void read_pointer(Problems& problems, const MapReader& claims, std::string_view key, JsonPointer& pointer) {
  const Node* node = claims.find(key);
  if (node == nullptr) return;
  if (auto read = read_json_pointer(problems, *node, "/realm_access/roles")) pointer = std::move(*read);
}

void read_issuer_value(Loading& loading, const Node& node, authenticate::Expectations& expectations) {
  Problems& problems = loading.problems;
  const auto text = read_text(problems, node, "the `iss` value of its tokens, like https://issuer.example");
  if (!text) return;
  expectations.issuer = *text;
  if (text->starts_with("http://"))
    problems.warning(node.at, fmt::format("{} is http://: whoever is on the way can pass for it", shown(node)));
  const auto without_slash = [](std::string_view iss) { return iss.ends_with('/') ? iss.substr(0, iss.size() - 1) : iss; };
  for (const KnownIssuer& other : loading.issuers) {
    if (other.iss == *text) {
      problems.error(node.at, fmt::format("the issuer '{}' has the same `iss` value; a token must belong to one issuer", other.name));
    } else if (!other.iss.empty() && without_slash(other.iss) == without_slash(*text)) {
      problems.warning(node.at, fmt::format("differs from the `iss` of '{}' in a trailing slash alone; they are two issuers", other.name));
    }
  }
}

std::string read_issuer_name(Loading& loading, const Node& node) {
  auto name = read_name(loading.problems, node);
  if (!name) return {};
  if (*name == kCertificates)
    loading.problems.error(node.at, "the name 'client-certificate' is taken by client certificates; expected another name");
  if (*name == kEdge) loading.problems.error(node.at, "the name 'edge' is taken by the gateway's own tokens; expected another name");
  if (find_issuer(loading, *name) != nullptr)
    loading.problems.error(node.at, fmt::format("another issuer has the name {} already", shown(node)));
  return *name;
}

// The parts that may be left out; each has its strict default.
void read_optional_parts(Loading& loading, const MapReader& reader, authenticate::IssuerSettings& settings) {
  Problems& problems = loading.problems;
  authenticate::Expectations& expectations = settings.expectations;
  if (const Node* node = reader.find("clock_tolerance")) {
    const auto value = read_duration(problems, *node, {milliseconds(0), minutes(5)});
    if (value) expectations.clock_tolerance = std::chrono::floor<seconds>(*value);
  }
  if (const Node* node = reader.find("max_age")) {
    const auto value = read_duration(problems, *node, {seconds(1), std::chrono::hours(24 * 366)});
    if (value) expectations.max_age = std::chrono::floor<seconds>(*value);
  }
  if (const Node* node = reader.find("require_claims")) {
    expectations.require_claims = read_texts(problems, *node, "a list of claim names like [sub]");
    std::erase(expectations.require_claims, "exp");  // always required
  }
  if (const Node* node = reader.find("token_type")) {
    expectations.token_type = read_text(problems, *node, "the `typ` of its tokens, like at+jwt");
  }
  if (const Node* node = reader.find("token_from")) {
    settings.token_from = read_token_places(problems, *node);
    for (const TokenPlace& place : settings.token_from) {
      if (place.kind == TokenPlace::Kind::cookie)
        loading.cookies.push_back({place.name, fmt::format("a token cookie of the issuer '{}'", settings.name)});
    }
  }
  if (const Node* node = reader.find("claims")) {
    const MapReader claims(problems, *node, "issuers[].claims");
    read_pointer(problems, claims, "roles", expectations.roles);
    read_pointer(problems, claims, "scopes", expectations.scopes);
  }
}

void check_key_file(Problems& problems, const Node& node, const KeyFile& file, const KnownIssuer& known) {
  if (file.kind == KeyFile::Kind::secret_file) return;  // looked at when it was read
  const Result<Secret> content = read_secret_file(file.path, kKeyFileBytesMax);
  if (!content) return;  // load_issuer() has read it
  if (!authenticate::holds_private_keys(text_of(*content))) return;
  check_is_closed(problems, node, file.path);
  if (known.issuer->keys->keys()->has_secrets()) return;
  problems.warning(node.at, fmt::format("{} holds private keys, which verify nothing; expected the public halves alone", shown(node)));
}

void load_keys(Loading& loading, authenticate::IssuerSettings settings, const IssuerNodes& nodes, KnownIssuer& known) {
  std::vector<std::string> warnings;
  const KeyFile file = settings.keys;
  const bool is_fetched = settings.key_url.has_value();
  Result<authenticate::IssuerPtr> issuer = authenticate::load_issuer(std::move(settings), warnings);
  for (const std::string& warning : warnings) loading.problems.warning(nodes.key_file->at, warning);
  if (!issuer) return loading.problems.error(nodes.key_file->at, issuer.error().detail);
  known.issuer = std::move(*issuer);
  if (!is_fetched) check_key_file(loading.problems, *nodes.key_file, file, known);
}

void read_issuer(Loading& loading, const Node& node) {
  Problems& problems = loading.problems;
  const std::size_t errors_before = problems.error_count();
  const MapReader reader(problems, node, "issuers[]");
  IssuerNodes nodes;
  authenticate::IssuerSettings settings{
      {},
      authenticate::Expectations{
          {}, {}, {}, kDefaultTolerance, std::nullopt, {"sub"}, std::nullopt, JsonPointer::member("roles"), JsonPointer::member("scope")},
      {},
      {TokenPlace{TokenPlace::Kind::authorization, {}}},
      std::nullopt};
  authenticate::Expectations& expectations = settings.expectations;

  if (const Node* name = reader.require("name", "a name that routes refer to")) settings.name = read_issuer_name(loading, *name);
  if (const Node* iss = reader.require("issuer", "the `iss` value of its tokens")) read_issuer_value(loading, *iss, expectations);
  if (const Node* audiences = reader.require("audiences", "a list of `aud` values, one of which a token must have")) {
    expectations.audiences = read_texts(problems, *audiences, "a list of `aud` values like [api]");
  }
  if (const Node* algorithms = reader.require("algorithms", "a list of algorithms like [ES256, RS256]")) {
    expectations.algorithms = read_algorithms(problems, *algorithms);
  }
  bool has_keys = false;
  if (const Node* value = reader.require("keys", fmt::format("one of {}", kKeyKinds)))
    has_keys = read_keys(loading, *value, settings, nodes);
  read_optional_parts(loading, reader, settings);

  KnownIssuer known{settings.name, expectations.issuer, node.at, nullptr};
  // Parts that the YAML reader refused are missing without an error of this issuer.
  const bool is_complete = has_keys && !expectations.issuer.empty() && !expectations.audiences.empty() && !expectations.algorithms.empty();
  if (problems.error_count() == errors_before && is_complete) {
    load_keys(loading, std::move(settings), nodes, known);
  }
  loading.issuers.push_back(std::move(known));
}

}  // namespace

void read_issuers(Loading& loading, const Node& node) {
  for (const Node* issuer : read_list(loading.problems, node, "a list of issuers")) read_issuer(loading, *issuer);
}

const KnownIssuer* find_issuer(const Loading& loading, std::string_view name) {
  const auto found = std::ranges::find(loading.issuers, name, &KnownIssuer::name);
  return found == loading.issuers.end() ? nullptr : &*found;
}

authenticate::CredentialPlan plan_of_every_kind(const Loading& loading) {
  std::vector<authenticate::IssuerPtr> issuers;
  for (const KnownIssuer& known : loading.issuers) {
    if (known.issuer != nullptr) issuers.push_back(known.issuer);  // otherwise it is at fault, and reported
  }
  return authenticate::make_default_plan(issuers, loading.sessions_used_at ? loading.sessions : nullptr);
}

}  // namespace sallyport::app
