// Identities for tests that begin behind authentication.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "identity/verified_identity.hpp"

namespace sallyport::testing {

// IdentityBuilder().subject("alice").roles({"admin"}).claims(R"({"tenant":"acme"})").build().
// Unless told otherwise: alice of https://issuer.example (named "corp"), by JWT, expiring in the year 2100, with `sub` and `iss` as claims.
class IdentityBuilder {
 public:
  IdentityBuilder() {
    facts_.subject = "alice";
    facts_.issuer = "https://issuer.example";
    facts_.issuer_name = "corp";
    facts_.expires_at = WallTime(std::chrono::seconds(4'102'444'800));
    claims(R"({"sub":"alice","iss":"https://issuer.example"})");
  }

  IdentityBuilder& subject(std::string value) { return set(facts_.subject, std::move(value)); }
  IdentityBuilder& issuer(std::string value) { return set(facts_.issuer, std::move(value)); }
  IdentityBuilder& issuer_name(std::string value) { return set(facts_.issuer_name, std::move(value)); }
  IdentityBuilder& method(identity::AuthMethod value) { return set(facts_.method, value); }
  IdentityBuilder& roles(std::vector<std::string> value) { return set(facts_.roles, std::move(value)); }
  IdentityBuilder& scopes(std::vector<std::string> value) { return set(facts_.scopes, std::move(value)); }
  IdentityBuilder& roles_unreadable() { return set(facts_.roles_unreadable, true); }
  IdentityBuilder& scopes_unreadable() { return set(facts_.scopes_unreadable, true); }
  IdentityBuilder& expires_at(WallTime value) { return set(facts_.expires_at, value); }
  IdentityBuilder& issued_at(WallTime value) { return set(facts_.issued_at, std::optional(value)); }
  IdentityBuilder& authenticated_at(WallTime value) { return set(facts_.authenticated_at, std::optional(value)); }
  IdentityBuilder& token_id(std::string value) { return set(facts_.token_id, std::move(value)); }
  IdentityBuilder& certificate(std::string value) { return set(facts_.certificate, std::move(value)); }
  // A JSON object as text. Fills nothing else: subject() and claims() may disagree when a test wants them to.
  IdentityBuilder& claims(std::string_view json) {
    auto parsed = Json::parse(json);
    if (!parsed) throw std::invalid_argument("IdentityBuilder: claims are no JSON");
    return set(facts_.claims, identity::Claims(std::move(*parsed)));
  }

  [[nodiscard]] identity::IdentityFacts facts() const { return facts_; }
  [[nodiscard]] identity::IdentityPtr build() const {
    return identity::IdentityPtr(new identity::VerifiedIdentity(identity::IdentityFacts(facts_)));
  }

 private:
  template <class T>
  IdentityBuilder& set(T& member, T value) {
    member = std::move(value);
    return *this;
  }

  identity::IdentityFacts facts_;
};

}  // namespace sallyport::testing
