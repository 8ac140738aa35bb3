#include "authenticate/credentials.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/text.hpp"
#include "http/cookie.hpp"

namespace sallyport::authenticate {
namespace {

// What stands at one place.
struct Nothing {};
using Finding = std::variant<Nothing, std::string_view, TwoCredentials, UnusableCredential>;

// The value of an Authorization field. One space exactly stands behind the scheme: what is laxer for us could be read otherwise behind us.
Finding read_authorization(std::string_view value) {
  const auto end = std::find_if_not(value.begin(), value.end(), [](char c) { return is_tchar(static_cast<unsigned char>(c)); });
  const auto length = static_cast<std::size_t>(end - value.begin());
  const std::string_view scheme = value.substr(0, length);
  const std::string_view rest = value.substr(length);
  if (scheme.empty() || (!rest.empty() && rest.front() != ' ')) return UnusableCredential{"Authorization without a scheme"};
  if (!equals_ignoring_case(scheme, "bearer")) return Nothing{};
  const std::string_view token = rest.substr(rest.empty() ? 0 : 1);
  if (token.empty() || token.find(' ') != std::string_view::npos) return UnusableCredential{"Bearer without exactly one token"};
  return token;
}

Finding find_authorization(const http::RequestHead& request) {
  const http::Field* field = request.find(http::FieldId::authorization);
  if (field == nullptr) return Nothing{};
  return read_authorization(field->value);
}

Finding bare_token(std::string_view value, std::size_t count, std::string_view several) {
  if (count == 0) return Nothing{};
  if (count > 1) return TwoCredentials{several};
  if (value.empty()) return UnusableCredential{"an empty token"};
  return value;
}

Finding find_header(const http::RequestHead& request, std::string_view name) {
  std::string_view value;
  std::size_t count = 0;
  for (const http::Field& field : request.fields) {
    if (field.name.size() != name.size() || !equals_ignoring_case(field.name, name)) continue;
    value = field.value;
    ++count;
  }
  return bare_token(value, count, "two fields of the token's name");
}

struct Cookies {
  std::string_view value;  // of the last
  std::size_t count = 0;
};

Cookies cookies_of(const http::RequestHead& request, std::string_view name) {
  Cookies found;
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::cookie) continue;
    http::CookieReader reader(field.value);
    http::CookiePair pair;
    while (reader.next(pair)) {
      if (pair.name != name) continue;
      found.value = pair.value;
      ++found.count;
    }
  }
  return found;
}

// Of several cookies of one name nobody can say which is ours: another host of the site may have set one (hazards F02).
Finding find_cookie(const http::RequestHead& request, std::string_view name) {
  const Cookies found = cookies_of(request, name);
  return bare_token(found.value, found.count, "two cookies of the token's name");
}

Finding find_at(const http::RequestHead& request, const TokenPlace& place) {
  switch (place.kind) {
    case TokenPlace::Kind::authorization: return find_authorization(request);
    case TokenPlace::Kind::header: return find_header(request, place.name);
    case TokenPlace::Kind::cookie: return find_cookie(request, place.name);
  }
  return Nothing{};
}

// The places of one jwt step.
Credential find_token(const http::RequestHead& request, const CredentialPlan& plan, std::uint64_t looked_at) {
  BearerToken bearer;
  bearer.by_cookie = true;
  std::optional<UnusableCredential> unusable;
  const std::size_t places = std::min(plan.token_places.size(), kTokenPlacesMax);
  for (std::size_t i = 0; i < places; ++i) {
    const std::uint64_t place = std::uint64_t{1} << i;
    if ((looked_at & place) == 0) continue;
    const Finding finding = find_at(request, plan.token_places[i]);
    if (const auto* two = std::get_if<TwoCredentials>(&finding)) return *two;
    if (const auto* bad = std::get_if<UnusableCredential>(&finding)) unusable = *bad;
    const auto* token = std::get_if<std::string_view>(&finding);
    if (token == nullptr) continue;
    if (bearer.places != 0 && bearer.token != *token) return TwoCredentials{"different tokens at two places"};
    bearer.token = *token;
    bearer.places |= place;
    if (plan.token_places[i].kind != TokenPlace::Kind::cookie) bearer.by_cookie = false;
  }
  // After all places: two good tokens that differ are two credentials, whatever else stands beside them.
  if (unusable) return *unusable;
  if (bearer.places == 0) return NoCredential{};
  return bearer;
}

Credential find_session_cookie(const http::RequestHead& request, std::string_view name, bool is_foreign) {
  const Cookies found = cookies_of(request, name);
  if (found.count == 0) return NoCredential{};
  if (found.count > 1) return TwoCredentials{"two session cookies"};
  if (found.value.empty()) return UnusableCredential{"an empty session cookie"};
  return SessionCookie{found.value, is_foreign};
}

Credential find_session(const http::RequestHead& request, const SessionSettings& sessions) {
  Credential own = find_session_cookie(request, sessions.cookie_name, false);
  if (!std::holds_alternative<NoCredential>(own) || !sessions.foreign) return own;
  return find_session_cookie(request, sessions.foreign->cookie, true);
}

Credential find_at_step(const http::RequestHead& request, const CredentialPlan& plan, const CredentialPlan::Step& step,
                        const transport::PeerCertificate* certificate) {
  switch (step.kind) {
    case CredentialPlan::Step::Kind::jwt: return find_token(request, plan, step.places);
    case CredentialPlan::Step::Kind::session: return find_session(request, *plan.sessions);
    case CredentialPlan::Step::Kind::client_certificate:
      if (certificate == nullptr) return NoCredential{};
      return ClientCertificate{certificate};
  }
  return NoCredential{};
}

// Takes the issuer into the plan. The bits of its places.
std::uint64_t add_issuer(CredentialPlan& plan, const IssuerPtr& issuer) {
  static const std::vector<TokenPlace> kDefault{TokenPlace{}};
  if (!issuer) throw std::invalid_argument("a plan of credentials with an issuer that is none");
  if (std::find(plan.issuers.begin(), plan.issuers.end(), issuer) == plan.issuers.end()) plan.issuers.push_back(issuer);
  std::uint64_t places = 0;
  for (const TokenPlace& place : issuer->settings.token_from.empty() ? kDefault : issuer->settings.token_from) {
    auto known = std::find(plan.token_places.begin(), plan.token_places.end(), place);
    if (known == plan.token_places.end()) known = plan.token_places.insert(known, place);
    const auto index = static_cast<std::size_t>(known - plan.token_places.begin());
    if (index < kTokenPlacesMax) places |= std::uint64_t{1} << index;
  }
  return places;
}

}  // namespace

CredentialPlan make_plan(const std::vector<CredentialEntry>& entries, SessionSettingsPtr sessions) {
  using Step = CredentialPlan::Step;
  CredentialPlan plan;
  plan.sessions = std::move(sessions);
  for (const CredentialEntry& entry : entries) {
    const Step::Kind kind = entry.is_client_certificate ? Step::Kind::client_certificate
                            : entry.is_session          ? Step::Kind::session
                                                        : Step::Kind::jwt;
    if (entry.is_session && !plan.sessions) throw std::invalid_argument("a plan of credentials with sessions but without their settings");
    auto step = std::find_if(plan.steps.begin(), plan.steps.end(), [&](const Step& known) { return known.kind == kind; });
    if (step == plan.steps.end()) step = plan.steps.insert(step, Step{kind, 0});
    if (kind == Step::Kind::jwt) step->places |= add_issuer(plan, entry.issuer);
  }
  return plan;
}

CredentialPlan make_default_plan(const std::vector<IssuerPtr>& issuers, SessionSettingsPtr sessions) {
  using Step = CredentialPlan::Step;
  CredentialPlan plan;
  plan.sessions = std::move(sessions);
  std::uint64_t every = 0;
  for (const IssuerPtr& issuer : issuers) every |= add_issuer(plan, issuer);
  std::uint64_t in_cookies = 0;
  for (std::size_t i = 0; i < plan.token_places.size() && i < kTokenPlacesMax; ++i) {
    if (plan.token_places[i].kind == TokenPlace::Kind::cookie) in_cookies |= std::uint64_t{1} << i;
  }
  if ((every & ~in_cookies) != 0) plan.steps.push_back({Step::Kind::jwt, every & ~in_cookies});
  if (plan.sessions) plan.steps.push_back({Step::Kind::session, 0});
  if (in_cookies != 0) plan.steps.push_back({Step::Kind::jwt, in_cookies});
  return plan;
}

Credential find_credential(const http::RequestHead& request, const CredentialPlan& plan, const transport::PeerCertificate* certificate) {
  if (request.count(http::FieldId::authorization) > 1) return TwoCredentials{"two Authorization fields"};
  for (const CredentialPlan::Step& step : plan.steps) {
    Credential found = find_at_step(request, plan, step, certificate);
    if (!std::holds_alternative<NoCredential>(found)) return found;
  }
  return NoCredential{};
}

std::optional<std::string_view> only_cookie(const http::RequestHead& request, std::string_view name) {
  const Cookies found = cookies_of(request, name);
  if (found.count != 1) return std::nullopt;
  return found.value;
}

}  // namespace sallyport::authenticate
