#include "authenticate/identity_bytes.hpp"

#include "base/prefetch.hpp"

namespace sallyport::authenticate {
namespace {

// What a value holds outside itself.
std::size_t bytes_behind(const Json& value) noexcept {
  std::size_t total = 0;
  if (const std::string* text = value.string()) return text->capacity();
  if (const JsonArray* array = value.array()) {
    total = array->capacity() * sizeof(Json);
    for (const Json& element : *array) total += bytes_behind(element);
  } else if (const JsonObject* object = value.object()) {
    total = object->capacity() * sizeof(JsonMember);
    for (const JsonMember& member : *object) total += member.first.capacity() + bytes_behind(member.second);
  }
  return total;
}

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
         bytes_behind(facts.roles) + bytes_behind(facts.scopes) + bytes_behind(facts.claims);
}

void prefetch_pieces(const identity::VerifiedIdentity* identity) noexcept {
  if (identity == nullptr) return;
  const identity::IdentityFacts& facts = identity->facts();
  for (const std::string* text : {&facts.subject, &facts.issuer, &facts.token_id, &facts.session, &facts.key}) prefetch(text->data());
  prefetch(facts.roles.data());
  prefetch(facts.scopes.data());
  if (const JsonObject* claims = facts.claims.object()) {
    for (const JsonMember& member : *claims) prefetch(&member);
  }
}

}  // namespace sallyport::authenticate
