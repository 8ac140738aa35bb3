// Finds the credential that decides (DESIGN §2.3 "Which credential decides", §3.5 "Credentials"; hazards B16-B19, F).
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/issuer.hpp"
#include "http/head.hpp"

namespace sallyport::authenticate {

// Compiled per route at load: the kinds in the order in which they decide. Adjacent and later `jwt` entries are one kind, at the first's
// place.
struct CredentialPlan {
  enum class Kind : unsigned char { jwt, session };
  std::vector<Kind> kinds;
  std::vector<IssuerPtr> issuers;        // that the jwt kind accepts
  std::vector<TokenPlace> token_places;  // of those issuers, in order, without repeats
};

struct NoCredential {};
struct BearerToken {
  std::string_view token;    // a view into the request
  std::uint64_t places = 0;  // bit i: it stands at plan.token_places[i]
};
struct TwoCredentials {
  std::string_view detail;
};  // static text; 400
// Something stands where a token should, but is none ("Bearer" alone, two tokens in one value): 401.
struct UnusableCredential {
  std::string_view detail;
};
using Credential = std::variant<NoCredential, BearerToken, TwoCredentials, UnusableCredential>;

// More places than this in one plan are a mistake of the configuration; those behind are not looked at.
inline constexpr std::size_t kTokenPlacesMax = 64;

// Two Authorization fields are TwoCredentials on every plan. Within the plan's places: two fields or cookies of one name, or different
// tokens, are TwoCredentials; the same token at two places is one credential; one place without a proper token is UnusableCredential,
// whatever the others hold. A scheme other than Bearer is no credential (DESIGN §3.5). Behind "Bearer" stand exactly one space and one or
// more bytes without a space; whether those are a token is for UnverifiedJws to say.
[[nodiscard]] Credential find_credential(const http::RequestHead& request, const CredentialPlan& plan);

}  // namespace sallyport::authenticate
