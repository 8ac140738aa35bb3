// Finds the credential that decides (DESIGN §2.3 "Which credential decides", §3.5 "Credentials"; hazards B16-B19, F).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/issuer.hpp"
#include "authenticate/session_settings.hpp"
#include "http/head.hpp"

namespace sallyport::transport {
struct PeerCertificate;
}

namespace sallyport::authenticate {

// Compiled per route at load: what is accepted, in the order in which it decides. The first step of which something is present decides,
// good or bad; what stands at later steps is not looked at (DESIGN §2.3).
struct CredentialPlan {
  struct Step {
    enum class Kind : unsigned char { jwt, session, client_certificate } kind = Kind::jwt;
    std::uint64_t places = 0;  // of jwt: bit i stands for token_places[i]
  };
  std::vector<Step> steps;
  std::vector<IssuerPtr> issuers;        // that jwt steps accept
  std::vector<TokenPlace> token_places;  // of those issuers, in order, without repeats
  SessionSettingsPtr sessions;           // never null where a step is `session`
};

// A route's `credentials`: adjacent and later `jwt` entries are one step, at the first's place, over all places of their issuers.
struct CredentialEntry {
  bool is_session = false;
  IssuerPtr issuer;  // of jwt
  bool is_client_certificate = false;  // neither of both
};
[[nodiscard]] CredentialPlan make_plan(const std::vector<CredentialEntry>& entries, SessionSettingsPtr sessions);
// A route without `credentials`: tokens in header fields, then the session cookie, then tokens in cookies. Never a client certificate: a
// route says so when a connection alone is to let somebody in.
[[nodiscard]] CredentialPlan make_default_plan(const std::vector<IssuerPtr>& issuers, SessionSettingsPtr sessions);

struct NoCredential {};
struct BearerToken {
  std::string_view token;    // a view into the request
  std::uint64_t places = 0;  // bit i: it stands at plan.token_places[i]
  bool by_cookie = false;    // at no header field
};
struct SessionCookie {
  std::string_view value;   // a view into the request
  bool is_foreign = false;  // of sessions.foreign
};
struct ClientCertificate {
  const transport::PeerCertificate* certificate;  // never nullptr; as long as the connection
};
struct TwoCredentials {
  std::string_view detail;
};  // static text; 400
// Something stands where a credential should, but is none ("Bearer" alone, two tokens in one value): 401.
struct UnusableCredential {
  std::string_view detail;
};
using Credential = std::variant<NoCredential, BearerToken, SessionCookie, ClientCertificate, TwoCredentials, UnusableCredential>;

// More places than this in one plan are a mistake of the configuration; those behind are not looked at.
inline constexpr std::size_t kTokenPlacesMax = 64;

// Two Authorization fields are TwoCredentials on every plan. Within the places of the step that decides: two fields or cookies of one
// name, or different tokens, are TwoCredentials; the same token at two places is one credential; one place without a proper token is
// UnusableCredential, whatever the others hold. Two session cookies of one name are TwoCredentials. Of our own session cookie and a foreign
// one, ours decides. A scheme other than Bearer is no credential (DESIGN §3.5). Behind "Bearer" stand exactly one space and one or
// more bytes without a space; whether those are a token is for UnverifiedJws to say.
[[nodiscard]] Credential find_credential(const http::RequestHead& request, const CredentialPlan& plan,
                                         const transport::PeerCertificate* certificate = nullptr);

// The value of the one cookie of that name; nullopt when there is none, and when there are several.
[[nodiscard]] std::optional<std::string_view> only_cookie(const http::RequestHead& request, std::string_view name);

}  // namespace sallyport::authenticate
