#include "authenticate/identity_bytes.hpp"

#include "base/prefetch.hpp"

namespace sallyport::authenticate {
namespace {

std::size_t bytes_behind(const std::vector<std::string>& strings) noexcept {
  std::size_t total = strings.capacity() * sizeof(std::string);
  for (const std::string& text : strings) total += text.capacity();
  return total;
}

}  // namespace

std::size_t bytes_of(const identity::VerifiedIdentity& identity) noexcept {
  const identity::IdentityFacts& facts = identity.facts();
  return sizeof identity + facts.subject.capacity() + facts.issuer.capacity() + facts.issuer_name.capacity() + facts.token_id.capacity() +
         facts.session.capacity() + facts.family.capacity() + facts.key.capacity() + facts.certificate.capacity() +
         bytes_behind(facts.roles) + bytes_behind(facts.scopes) + facts.claims.bytes();
}

void prefetch_pieces(const identity::VerifiedIdentity* identity) noexcept {
  if (identity == nullptr) return;
  const identity::IdentityFacts& facts = identity->facts();
  for (const std::string* text : {&facts.subject, &facts.issuer, &facts.token_id, &facts.session, &facts.key}) prefetch(text->data());
  prefetch(facts.roles.data());
  prefetch(facts.scopes.data());
  facts.claims.prefetch_pieces();
}

}  // namespace sallyport::authenticate
