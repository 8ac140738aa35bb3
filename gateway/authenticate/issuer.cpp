#include "authenticate/issuer.hpp"

#include <algorithm>

#include "authenticate/key_cache.hpp"

namespace sallyport::authenticate {
namespace {

Error malformed(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

Result<KeySet> read_keys(const KeyFile& file, const std::vector<Algorithm>& algorithms, std::vector<std::string>& warnings) {
  // Public key files too may turn out to hold private keys: read like a secret, wiped after use.
  Result<Secret> content = read_secret_file(file.path, KeySet::kBytesMax);
  if (!content) return content.error();
  const std::string_view text(reinterpret_cast<const char*>(content->reveal().data()), content->size());
  switch (file.kind) {
    case KeyFile::Kind::jwks_file: return KeySet::from_jwks(text, warnings);
    case KeyFile::Kind::pem_file: return KeySet::from_pem(text, warnings);
    case KeyFile::Kind::secret_file: return KeySet::from_secret(std::move(*content), algorithms);
  }
  return malformed("no kind of key file");
}

Result<void> check_expectations(const Expectations& expectations) {
  if (expectations.issuer.empty()) return malformed("no issuer");
  if (expectations.audiences.empty()) return malformed("no audience");
  if (expectations.algorithms.empty()) return malformed("no algorithm");
  const auto symmetric = std::count_if(expectations.algorithms.begin(), expectations.algorithms.end(), is_symmetric);
  if (symmetric != 0 && static_cast<std::size_t>(symmetric) != expectations.algorithms.size()) {
    return malformed("HS* and public-key algorithms together: whoever knows the public key could sign");
  }
  return {};
}

Result<void> check_fit(const KeySet& keys, const std::vector<Algorithm>& algorithms, std::vector<std::string>& warnings) {
  if (is_symmetric(algorithms.front()) && keys.has_public_keys()) return malformed("HS* is allowed, but the keys are public ones");
  if (!is_symmetric(algorithms.front()) && keys.has_secrets()) return malformed("the keys are secrets, but no HS* is allowed");
  const auto first_served =
      std::find_if(algorithms.begin(), algorithms.end(), [&](Algorithm algorithm) { return keys.can_verify(algorithm); });
  if (first_served == algorithms.end()) return malformed("no key fits any of the allowed algorithms");
  for (const Algorithm algorithm : algorithms) {
    if (!keys.can_verify(algorithm)) warnings.push_back("no key for " + std::string(name(algorithm)) + ", which is allowed");
  }
  return {};
}

// Its only witness is the file: whatever is wrong with it, the issuer is asked anyway.
void recall_keys(const IssuerSettings& settings, KeySource& source, std::vector<std::string>& warnings) {
  const Result<CachedKeys> cached = read_cached_keys(settings.key_url->cache_file, settings.key_url->url);
  if (!cached) {
    if (cached.error().fault != Fault::not_found) warnings.push_back("its cached keys are not used: " + cached.error().detail);
    return;
  }
  std::vector<std::string> known;  // they were said when the set was fetched
  Result<KeySet> keys = read_fetched_keys(cached->jwks, settings.expectations, known);
  if (!keys) {
    warnings.push_back("its cached keys are not used: " + keys.error().detail);
    return;
  }
  source.publish(std::make_shared<const KeySet>(std::move(*keys)), sha256(cached->jwks), cached->fetched_at);
}

}  // namespace

Result<KeySet> read_fetched_keys(std::string_view jwks, const Expectations& expectations, std::vector<std::string>& warnings) {
  Result<KeySet> keys = KeySet::from_jwks(jwks, warnings);
  if (!keys) return keys;
  if (keys->has_secrets()) return malformed("it holds secrets (kty oct): whoever can read the URL could sign");
  if (auto checked = check_fit(*keys, expectations.algorithms, warnings); !checked) return checked.error();
  return keys;
}

Result<IssuerPtr> load_issuer(IssuerSettings settings, std::vector<std::string>& warnings) {
  const Expectations& expectations = settings.expectations;
  if (auto checked = check_expectations(expectations); !checked) return checked.error();
  if (settings.key_url) {
    if (is_symmetric(expectations.algorithms.front())) return malformed("HS* is allowed, but a URL can only serve public keys");
    auto fetched = std::make_shared<Issuer>();
    fetched->keys = std::make_shared<KeySource>(KeySourceLimits{});
    if (!settings.key_url->cache_file.empty()) recall_keys(settings, *fetched->keys, warnings);
    fetched->settings = std::move(settings);
    return IssuerPtr(std::move(fetched));
  }
  Result<KeySet> keys = read_keys(settings.keys, expectations.algorithms, warnings);
  if (!keys) return keys.error();
  if (auto checked = check_fit(*keys, expectations.algorithms, warnings); !checked) return checked.error();
  auto issuer = std::make_shared<Issuer>();
  issuer->keys = std::make_shared<KeySource>(std::move(*keys));
  issuer->settings = std::move(settings);
  return IssuerPtr(std::move(issuer));
}

}  // namespace sallyport::authenticate
