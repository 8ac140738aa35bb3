// What becomes of a token: the reason of its refusal, or nullopt when it is accepted.
#pragma once

#include "support/token_factory.hpp"

namespace sallyport::authenticate {

using identity::RefusalReason;
using identity::Refused;

constexpr std::nullopt_t kAccepted = std::nullopt;

inline std::optional<RefusalReason> parse(std::string_view token) {
  const auto parsed = UnverifiedJwt::parse(token);
  const auto* refused = std::get_if<Refused>(&parsed);
  return refused == nullptr ? std::nullopt : std::optional(refused->reason);
}

inline std::optional<RefusalReason> verify(std::string_view token, const KeySet& keys, const Expectations& expected) {
  auto parsed = UnverifiedJwt::parse(token);
  if (const auto* refused = std::get_if<Refused>(&parsed)) return refused->reason;
  const auto verified = JwtVerifier::verify(std::get<UnverifiedJwt>(std::move(parsed)), keys, expected, testing::kNow);
  const auto* refused = std::get_if<Refused>(&verified);
  return refused == nullptr ? std::nullopt : std::optional(refused->reason);
}

inline std::optional<RefusalReason> verify(std::string_view token, Algorithm algorithm) {
  return verify(token, testing::test_key(algorithm).verifying, testing::expectations({algorithm}));
}

}  // namespace sallyport::authenticate
