// The issuer of the tokens that are always the same.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "signed_tokens.hpp"
#include "support/snapshot_builder.hpp"

namespace sallyport::micro {

inline authenticate::KeySet keys_of(const SignedToken& token) {
  std::vector<std::string> warnings;
  return testing::need(authenticate::KeySet::from_jwks(token.jwks, warnings));
}

inline authenticate::IssuerPtr issuer_of(const SignedToken& token) {
  auto issuer = std::make_shared<authenticate::Issuer>();
  issuer->settings.name = "corp";
  issuer->settings.expectations = testing::expectations({token.algorithm});
  issuer->settings.token_from = {authenticate::TokenPlace{}};
  issuer->keys = std::make_shared<authenticate::KeySource>(keys_of(token));
  return issuer;
}

}  // namespace sallyport::micro
