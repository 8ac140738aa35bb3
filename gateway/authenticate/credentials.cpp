#include "authenticate/credentials.hpp"

#include <algorithm>

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

// Of several cookies of one name nobody can say which is ours: another host of the site may have set one (hazards F02).
Finding find_cookie(const http::RequestHead& request, std::string_view name) {
  std::string_view value;
  std::size_t count = 0;
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::cookie) continue;
    http::CookieReader reader(field.value);
    http::CookiePair pair;
    while (reader.next(pair)) {
      if (pair.name != name) continue;
      value = pair.value;
      ++count;
    }
  }
  return bare_token(value, count, "two cookies of the token's name");
}

Finding find_at(const http::RequestHead& request, const TokenPlace& place) {
  switch (place.kind) {
    case TokenPlace::Kind::authorization: return find_authorization(request);
    case TokenPlace::Kind::header: return find_header(request, place.name);
    case TokenPlace::Kind::cookie: return find_cookie(request, place.name);
  }
  return Nothing{};
}

}  // namespace

Credential find_credential(const http::RequestHead& request, const CredentialPlan& plan) {
  if (request.count(http::FieldId::authorization) > 1) return TwoCredentials{"two Authorization fields"};
  if (std::find(plan.kinds.begin(), plan.kinds.end(), CredentialPlan::Kind::jwt) == plan.kinds.end()) return NoCredential{};
  BearerToken bearer;
  std::optional<UnusableCredential> unusable;
  const std::size_t places = std::min(plan.token_places.size(), kTokenPlacesMax);
  for (std::size_t i = 0; i < places; ++i) {
    const Finding finding = find_at(request, plan.token_places[i]);
    if (const auto* two = std::get_if<TwoCredentials>(&finding)) return *two;
    if (const auto* bad = std::get_if<UnusableCredential>(&finding)) unusable = *bad;
    const auto* token = std::get_if<std::string_view>(&finding);
    if (token == nullptr) continue;
    if (bearer.places != 0 && bearer.token != *token) return TwoCredentials{"different tokens at two places"};
    bearer.token = *token;
    bearer.places |= std::uint64_t{1} << i;
  }
  // After all places: two good tokens that differ are two credentials, whatever else stands beside them.
  if (unusable) return *unusable;
  if (bearer.places == 0) return NoCredential{};
  return bearer;
}

}  // namespace sallyport::authenticate
