// Finds the credential that decides (DESIGN §2.3 "Which credential decides", §3.5 "Credentials"; hazards B16-B19, F).
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/issuer.hpp"
#include "http/head.hpp"

namespace sallyport::authenticate {

// Compiled per route at load: the kinds in the order in which they decide. Adjacent and later `jwt` entries are one kind, at the first's place.
struct CredentialPlan {
  enum class Kind : unsigned char { jwt, session };
  std::vector<Kind> kinds;
  std::vector<IssuerPtr> issuers;       // that the jwt kind accepts
  std::vector<TokenPlace> token_places; // of those issuers, in order, without repeats
};

struct NoCredential {};
struct BearerToken { std::string_view token; };  // a view into the request
struct TwoCredentials { std::string_view detail; };  // static text; 400
// Something stands where a token should, but is none ("Bearer" alone, two tokens in one value): 401.
struct UnusableCredential { std::string_view detail; };
using Credential = std::variant<NoCredential, BearerToken, TwoCredentials, UnusableCredential>;

[[nodiscard]] Credential find_credential(const http::RequestHead& request, const CredentialPlan& plan);

}  // namespace sallyport::authenticate
