// Tokens for tests: good ones, and ones whose every byte the test decides.
#pragma once

#include <chrono>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "authenticate/jwt.hpp"
#include "authenticate/keys.hpp"
#include "base/clock.hpp"
#include "base/text.hpp"

namespace sallyport::testing {

// The moment at which the tests of tokens happen.
inline constexpr std::int64_t kNowSeconds = 1'700'000'000;
inline constexpr WallTime kNow{std::chrono::seconds(kNowSeconds)};

template <class T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error("test data: " + result.error().detail);
  return std::move(*result);
}

// A key that signs and the set that verifies what it signs. kid "test-key".
struct TestKey {
  std::string private_jwks;
  std::string public_jwks;  // of a secret: the private set, because it verifies too
  authenticate::SigningKey signing;
  authenticate::KeySet verifying;

  static TestKey from_private_jwks(std::string private_jwks, bool is_secret) {
    std::string public_jwks = is_secret ? private_jwks : need(authenticate::SigningKey::public_jwks(private_jwks));
    std::vector<std::string> warnings;
    authenticate::KeySet verifying = need(authenticate::KeySet::from_jwks(public_jwks, warnings));
    auto signing = std::move(need(authenticate::SigningKey::from_jwks(private_jwks)).front());
    return {std::move(private_jwks), std::move(public_jwks), std::move(signing), std::move(verifying)};
  }
};

// Made once per process and algorithm: RSA keys take their time.
inline const TestKey& test_key(authenticate::Algorithm algorithm) {
  static std::map<authenticate::Algorithm, TestKey> keys;
  const auto found = keys.find(algorithm);
  if (found != keys.end()) return found->second;
  std::string jwks = need(authenticate::SigningKey::generate_jwks(algorithm, "test-key"));
  return keys.emplace(algorithm, TestKey::from_private_jwks(std::move(jwks), is_symmetric(algorithm))).first->second;
}

inline const std::vector<authenticate::Algorithm>& all_algorithms() {
  using enum authenticate::Algorithm;
  static const std::vector<authenticate::Algorithm> all{hs256, hs384, hs512, rs256, rs384, rs512, ps256,
                                                        ps384, ps512, es256, es384, es512, eddsa};
  return all;
}

// base64url(header) . base64url(payload) . base64url(signature over both): header and payload are any bytes.
inline std::string compact(std::string_view header, std::string_view payload, const authenticate::SigningKey& key) {
  std::string token = base64url_encode(header) + "." + base64url_encode(payload);
  const std::string signature = need(key.sign(token));
  return token + "." + base64url_encode(signature);
}

inline std::string header_for(authenticate::Algorithm algorithm) {
  return R"({"alg":")" + std::string(name(algorithm)) + R"(","typ":"JWT","kid":"test-key"})";
}

// Claims as raw JSON text per member, in order: good ones at kNow unless the test replaces, adds or removes some.
class Claims {
 public:
  Claims() {
    set("iss", R"("https://issuer.example")").set("aud", R"("api")").set("sub", R"("alice")");
    set("exp", std::to_string(kNowSeconds + 600)).set("iat", std::to_string(kNowSeconds));
  }
  Claims& set(std::string_view name, std::string_view json) {
    for (auto& [known, value] : members_) {
      if (known == name) {
        value = json;
        return *this;
      }
    }
    members_.emplace_back(name, json);
    return *this;
  }
  Claims& set(std::string_view name, std::int64_t number) { return set(name, std::to_string(number)); }
  Claims& remove(std::string_view name) {
    std::erase_if(members_, [&](const auto& member) { return member.first == name; });
    return *this;
  }
  [[nodiscard]] std::string text() const {
    std::string out = "{";
    for (const auto& [name, value] : members_) {
      if (out.size() > 1) out += ',';
      append_json_string(out, name);
      out += ':';
      out += value;
    }
    return out + "}";
  }

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

inline std::string good_token(authenticate::Algorithm algorithm, const Claims& claims = {}) {
  return compact(header_for(algorithm), claims.text(), test_key(algorithm).signing);
}

// What Claims() satisfies.
inline authenticate::Expectations expectations(std::vector<authenticate::Algorithm> algorithms) {
  return {.issuer = "https://issuer.example",
          .audiences = {"api"},
          .algorithms = std::move(algorithms),
          .clock_tolerance = std::chrono::seconds(5),
          .max_age = std::nullopt,
          .require_claims = {"sub"},
          .token_type = std::nullopt,
          .roles = JsonPointer::member("roles"),
          .scopes = JsonPointer::member("scope")};
}

}  // namespace sallyport::testing
