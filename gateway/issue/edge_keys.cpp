#include "issue/edge_keys.hpp"

#include <algorithm>

namespace sallyport::issue {
namespace {

using authenticate::Algorithm;
using authenticate::SigningKey;

constexpr std::chrono::seconds kClockTolerance{5};

Error bad_keys(std::string detail) { return make_error(Fault::malformed, std::move(detail)); }

Result<void> check_keys(const std::vector<SigningKey>& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string label = "key " + std::to_string(i + 1);
    // Whoever verifies our tokens would have to know the secret, and could then sign.
    if (is_symmetric(keys[i].algorithm())) return bad_keys(label + ": a secret cannot sign tokens that others verify");
    if (keys.size() > 1 && !keys[i].key_id()) return bad_keys(label + ": without a kid it cannot be told from the others");
  }
  return {};
}

std::vector<Algorithm> algorithms_of(const std::vector<SigningKey>& keys) {
  std::vector<Algorithm> algorithms;
  for (const SigningKey& key : keys) {
    if (std::find(algorithms.begin(), algorithms.end(), key.algorithm()) == algorithms.end()) algorithms.push_back(key.algorithm());
  }
  return algorithms;
}

authenticate::IssuerSettings issuer_settings(const TokenSettings& settings, const std::vector<SigningKey>& keys) {
  authenticate::IssuerSettings issuer{
      .name = std::string(authenticate::kEdgeIssuerName),
      .expectations = {.issuer = settings.issuer,
                       .audiences = settings.audiences,
                       .algorithms = algorithms_of(keys),
                       .clock_tolerance = kClockTolerance,
                       .max_age = std::nullopt,
                       .require_claims = {"sub"},
                       .token_type = "at+jwt",
                       .roles = JsonPointer::member("roles"),
                       .scopes = JsonPointer::member("scope")},
      .keys = {.kind = authenticate::KeyFile::Kind::jwks_file, .path = settings.signing_keys_file},
      .token_from = {},
  };
  issuer.token_from.push_back({.kind = authenticate::TokenPlace::Kind::authorization, .name = {}});
  issuer.token_from.push_back({.kind = authenticate::TokenPlace::Kind::cookie, .name = settings.access_cookie});
  return issuer;
}

}  // namespace

Result<std::shared_ptr<const EdgeKeys>> EdgeKeys::create(TokenSettings settings, std::string_view private_jwks,
                                                         std::vector<std::string>& warnings) {
  if (settings.issuer.empty()) return bad_keys("no issuer");
  if (settings.audiences.empty()) return bad_keys("no audience");
  Result<std::vector<SigningKey>> keys = SigningKey::from_jwks(private_jwks);
  if (!keys) return keys.error();
  if (auto checked = check_keys(*keys); !checked) return checked.error();
  Result<std::string> public_jwks = SigningKey::public_jwks(private_jwks);
  if (!public_jwks) return public_jwks.error();
  Result<authenticate::KeySet> verifying = authenticate::KeySet::from_jwks(*public_jwks, warnings);
  if (!verifying) return verifying.error();
  // A key that signs what nobody accepts is a mistake to be heard of now, not at the first login.
  if (verifying->size() != keys->size()) return bad_keys("a key of the set cannot verify");

  auto issuer = std::make_shared<authenticate::Issuer>();
  issuer->settings = issuer_settings(settings, *keys);
  issuer->keys = std::make_shared<authenticate::KeySource>(std::move(*verifying));
  issuer->is_edge = true;

  std::shared_ptr<EdgeKeys> edge(new EdgeKeys());
  edge->settings_ = std::move(settings);
  edge->keys_ = std::move(*keys);
  edge->issuer_ = std::move(issuer);
  edge->public_jwks_ = std::move(*public_jwks);
  return std::shared_ptr<const EdgeKeys>(std::move(edge));
}

}  // namespace sallyport::issue
