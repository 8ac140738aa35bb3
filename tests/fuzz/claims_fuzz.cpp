// Any bytes as claims, correctly signed. Whatever is accepted must satisfy every expectation by an independent reading.
#include <cmath>
#include <cstdint>

#include "authenticate/jwt.hpp"
#include "fuzz/require.hpp"
#include "support/token_factory.hpp"

namespace {

using namespace sallyport;
using authenticate::Algorithm;
using authenticate::JwtVerifier;
using authenticate::UnverifiedJwt;

constexpr double kNow = static_cast<double>(testing::kNowSeconds);
constexpr double kTolerance = 5;

struct Keys {
  authenticate::SigningKey signing;
  authenticate::KeySet verifying;
  std::string header = R"({"alg":"HS256"})";

  static Keys make() {
    const std::string jwks = R"({"keys":[{"kty":"oct","k":"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}]})";
    std::vector<std::string> warnings;
    return {std::move(testing::need(authenticate::SigningKey::from_jwks(jwks)).front()),
            testing::need(authenticate::KeySet::from_jwks(jwks, warnings))};
  }
};

bool names_api(const Json* aud) {
  if (aud == nullptr) return false;
  if (aud->string() != nullptr) return *aud->string() == "api";
  if (aud->array() == nullptr) return false;
  for (const Json& one : *aud->array()) {
    if (one.string() != nullptr && *one.string() == "api") return true;
  }
  return false;
}

void check_accepted(std::string_view text, const identity::IdentityFacts& facts) {
  const Result<Json> claims = Json::parse(text);
  require(claims && claims->object() != nullptr, "accepted claims are an object");
  const auto number = [&](const char* member) { return claims->find(member) == nullptr ? std::nullopt : claims->find(member)->number(); };
  const auto exp = number("exp");
  require(exp && *exp + kTolerance > kNow && *exp < 253402300800.0, "exp is in the future and before the year 10000");
  require(claims->find("nbf") == nullptr || (number("nbf") && *number("nbf") <= kNow + kTolerance && *number("nbf") <= *exp),
          "nbf has come");
  require(claims->find("iat") == nullptr ||
              (number("iat") && *number("iat") <= kNow + kTolerance && *number("iat") >= kNow - 3600 - kTolerance),
          "iat is young enough");
  require(claims->find("iat") != nullptr, "max_age needs iat");
  require(*claims->find("iss")->string() == "https://issuer.example", "the issuer is ours");
  require(names_api(claims->find("aud")), "the audience is ours");
  require(!facts.subject.empty() && facts.subject == *claims->find("sub")->string(), "the subject is sub");
  require(facts.expires_at > testing::kNow, "not yet expired");
  require(facts.expires_at <= testing::kNow + std::chrono::seconds(3600 + 2 * 5 + 1), "no longer than max_age");
  for (const std::string& scope : facts.scopes)
    require(claims->find("scope")->array() != nullptr || scope.find(' ') == std::string::npos, "no space in a scope of a string");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Keys keys = Keys::make();
  static const authenticate::Expectations expected = [] {
    auto expectations = testing::expectations({Algorithm::hs256});
    expectations.max_age = std::chrono::seconds(3600);
    return expectations;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.size() > authenticate::kTokenBytesMax) return 0;
  auto parsed = UnverifiedJwt::parse(testing::compact(keys.header, text, keys.signing));
  if (!std::holds_alternative<UnverifiedJwt>(parsed)) return 0;
  const auto verified = JwtVerifier::verify(std::get<UnverifiedJwt>(std::move(parsed)), keys.verifying, expected, testing::kNow);
  if (const auto* facts = std::get_if<identity::IdentityFacts>(&verified)) {
    check_accepted(text, *facts);
  } else {
    require(std::get<identity::Refused>(verified).reason != identity::RefusalReason::bad_signature, "the signature is good");
  }
  return 0;
}
