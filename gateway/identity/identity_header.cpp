#include <array>

#include "base/text.hpp"
#include "identity/outbound_request.hpp"

namespace sallyport::identity {
namespace {


FactKind fact_of(std::string_view source) noexcept {
  if (source == "sub") return FactKind::subject;
  if (source == "iss") return FactKind::issuer;
  if (source == "method") return FactKind::method;
  if (source == "roles") return FactKind::roles;
  if (source == "scopes") return FactKind::scopes;
  return FactKind::claim;
}

}  // namespace

std::vector<IdentityHeader> default_identity_headers() {
  return {
      {"X-Auth-Subject", FactKind::subject, std::nullopt},
      {"X-Auth-Issuer", FactKind::issuer, std::nullopt},
      {std::string(kMethodHeader), FactKind::method, std::nullopt},
      {"X-Auth-Roles", FactKind::roles, std::nullopt},
      {"X-Auth-Scopes", FactKind::scopes, std::nullopt},
  };
}

Result<IdentityHeader> parse_identity_header(std::string_view field_name, std::string_view source) {
  if (!is_token(field_name)) return make_error(Fault::malformed, "a field name is a token (RFC 9110 §5.1)");
  if (OwnedNames::is_reserved(field_name)) return make_error(Fault::malformed, "the name is reserved: the field has a meaning of its own");
  if (source.empty()) return make_error(Fault::malformed, "names no claim");

  IdentityHeader header{.name = std::string(field_name), .fact = fact_of(source), .pointer = std::nullopt};
  if (fold_alike(field_name, kMethodHeader) && header.fact != FactKind::method) {
    return make_error(Fault::malformed, "X-Auth-Method always says how the caller was authenticated");
  }
  if (header.fact != FactKind::claim) return header;
  if (source.front() != '/') {
    header.pointer = JsonPointer::member(source);
    return header;
  }
  auto pointer = JsonPointer::parse(source);
  if (!pointer) return pointer.error();
  header.pointer = std::move(*pointer);
  return header;
}

}  // namespace sallyport::identity
