#include "authenticate/session_facts.hpp"

#include <algorithm>
#include <utility>

#include "authenticate/claims.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityFacts;
using identity::RefusalReason;
using identity::Refused;

constexpr std::size_t kForeignIdCharsMax = 200;

// The claims with `sub` and `iss` of our own in front: a requirement or a header that names them means what was established.
Json complete(JsonObject claims, const IdentityFacts& facts) {
  JsonObject out;
  out.reserve(claims.size() + 2);
  out.emplace_back("sub", Json(Json::Value(facts.subject)));
  out.emplace_back("iss", Json(Json::Value(facts.issuer)));
  for (JsonMember& member : claims) {
    if (member.first != "sub" && member.first != "iss") out.push_back(std::move(member));
  }
  return Json(Json::Value(std::move(out)));
}

// The same of claims that stay text, unless that would name something twice or be no JSON.
identity::Claims complete(const store::SessionClaims& claims, const IdentityFacts& facts) {
  if (claims.names_owner() || !claims.text().starts_with('{') || !is_utf8(facts.subject)) {
    Json document = claims.json();
    return identity::Claims(complete(std::get<JsonObject>(std::move(document).take()), facts));
  }
  constexpr std::size_t kOwnMembers = 2;
  constexpr std::size_t kFrame = 32;
  std::string text;
  text.reserve(facts.subject.size() + facts.issuer.size() + claims.text().size() + kFrame);
  text += R"({"sub":)";
  append_json_string(text, facts.subject);
  text += R"(,"iss":)";
  append_json_string(text, facts.issuer);
  if (claims.values() > 1) text += ',';  // the object itself is one
  text.append(claims.text(), 1);
  return {std::move(text), claims.values() + 2 * kOwnMembers};
}

// nullptr: there is none.
struct CommonClaims {
  const Json* roles;
  const Json* scope;
  const Json* auth_time;
};

void read_common_claims(IdentityFacts& facts, const CommonClaims& claims, WallTime now) {
  facts.method = identity::AuthMethod::session;
  facts.roles = read_roles(claims.roles, facts.roles_unreadable);
  facts.scopes = read_scopes(claims.scope, facts.scopes_unreadable);
  facts.authenticated_at = read_authentication_time(claims.auth_time, instant_of(now) + kAuthTimeTolerance);
}

// A run of `count` digits at the front of `text`, which it takes away.
std::optional<int> take_digits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return std::nullopt;
  const std::optional<std::uint64_t> number = parse_decimal(text.substr(0, count));
  if (!number) return std::nullopt;
  text.remove_prefix(count);
  return static_cast<int>(*number);
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

// RFC 3339 as Date.prototype.toISOString writes it: UTC, with or without milliseconds. A leap second is none that JavaScript knows.
std::optional<WallTime> read_javascript_time(std::string_view text) {
  const auto year = take_digits(text, 4);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_digits(text, 2);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_digits(text, 2);
  if (!day || !take(text, 'T')) return std::nullopt;
  const auto hour = take_digits(text, 2);
  if (!hour || *hour > 23 || !take(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2);
  if (!minute || *minute > 59 || !take(text, ':')) return std::nullopt;
  const auto second = take_digits(text, 2);
  if (!second || *second > 59) return std::nullopt;
  int milliseconds = 0;
  if (take(text, '.')) {
    const auto fraction = take_digits(text, 3);
    if (!fraction) return std::nullopt;
    milliseconds = *fraction;
  }
  if (text != "Z") return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) return std::nullopt;
  const std::chrono::seconds seconds = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
                                       std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return wall_time_of({seconds.count(), milliseconds * 1'000'000});
}

// nullopt in `end`: the cookie ends with the browser, which says nothing here.
std::optional<Refused> read_cookie_end(const Json& document, std::optional<WallTime>& end) {
  const Json* cookie = document.find("cookie");
  if (cookie == nullptr || cookie->object() == nullptr) return Refused{RefusalReason::claim_invalid, "no object member cookie"};
  const Json* expires = cookie->find("expires");
  if (expires == nullptr || expires->is_null()) return std::nullopt;
  if (expires->string() != nullptr) end = read_javascript_time(*expires->string());
  if (!end) return Refused{RefusalReason::claim_invalid, "cookie.expires is no time"};
  return std::nullopt;
}

std::optional<Refused> read_subject(const Json& document, const JsonPointer& pointer, std::string& subject) {
  const Json* value = pointer.find(document);
  if (value == nullptr || value->is_null()) return Refused{RefusalReason::claim_missing, "the subject"};
  if (const std::string* text = value->string(); text != nullptr && !text->empty()) {
    subject = *text;
  } else if (const auto* number = std::get_if<std::int64_t>(&value->value())) {
    subject = std::to_string(*number);
  } else if (const auto* large = std::get_if<std::uint64_t>(&value->value())) {
    subject = std::to_string(*large);
  } else {
    return Refused{RefusalReason::claim_invalid, "the subject is neither a non-empty string nor an integer"};
  }
  return std::nullopt;
}

JsonObject mapped_claims(const Json& document, const ForeignSessions& settings) {
  JsonObject claims;
  for (const auto& [name, pointer] : settings.claims) {
    if (const Json* value = pointer.find(document)) claims.emplace_back(name, *value);
  }
  return claims;
}

// Of `%` exactly with two hex digits behind it.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const std::optional<int> high = hex_digit(text[i + 1]);
    const std::optional<int> low = hex_digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

bool is_visible_ascii(char c) noexcept { return c > 0x20 && c < 0x7F; }

// cookie-signature's: base64 with its padding cut off.
std::string signature_of(std::string_view id, const Secret& secret) {
  const Sha256 digest = hmac_sha256(secret, id);
  std::string text = base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
  text.erase(text.find_last_not_of('=') + 1);
  return text;
}

}  // namespace

std::variant<IdentityFacts, Refused> facts_of(store::Session&& session, const SessionSettings& settings, WallTime now) {
  using Member = store::SessionClaims::Member;
  std::variant<IdentityFacts, Refused> reading;  // the one thing that is returned, so that nothing is moved
  if (session.subject.empty()) {
    reading = Refused{RefusalReason::claim_missing, "the session's subject"};
    return reading;
  }
  if (session.absolute_left.count() <= 0 || session.idle_left.count() <= 0) {
    reading = Refused{RefusalReason::expired, "session"};
    return reading;
  }
  auto& facts = std::get<IdentityFacts>(reading);
  facts.subject = std::move(session.subject);
  facts.issuer = settings.issuer;
  facts.issuer_name = kEdgeIssuerName;
  const Json& time = session.claims[Member::auth_time];
  read_common_claims(facts, {&session.claims[Member::roles], &session.claims[Member::scope], &time}, now);
  if (time.is_null()) facts.authenticated_at = session.created_at;
  facts.issued_at = session.created_at;
  facts.expires_at = now + std::min<std::chrono::milliseconds>(session.absolute_left, kSessionLifeMax);
  facts.session = store::handle_of(session.key);
  facts.claims = complete(session.claims, facts);
  return reading;
}

std::variant<IdentityFacts, Refused> facts_of(const store::ForeignSession& session, const ForeignSessions& settings, WallTime now) {
  IdentityFacts facts;
  if (session.document.object() == nullptr) return Refused{RefusalReason::malformed, settings.name + ": no object"};
  std::optional<WallTime> cookie_end;
  if (auto refused = read_cookie_end(session.document, cookie_end)) return std::move(*refused);
  if (auto refused = read_subject(session.document, settings.subject, facts.subject)) return std::move(*refused);
  facts.expires_at = now + kForeignLifeMax;
  if (session.left && *session.left < kForeignLifeMax) facts.expires_at = now + *session.left;
  if (cookie_end) facts.expires_at = std::min(facts.expires_at, *cookie_end);
  if (facts.expires_at <= now) return Refused{RefusalReason::expired, settings.name + ": session"};
  facts.issuer = settings.name;
  facts.issuer_name = settings.name;
  Json claims = complete(mapped_claims(session.document, settings), facts);
  read_common_claims(facts, {claims.find("roles"), claims.find("scope"), claims.find("auth_time")}, now);
  if (const Json* iat = claims.find("iat")) {
    if (const auto date = numeric_date(*iat, Rounding::down)) facts.issued_at = wall_time_of(*date);
  }
  facts.claims = identity::Claims(std::move(claims));
  facts.session = settings.name + ":" + store::handle_of(sha256(session.id));
  return facts;
}

std::optional<std::string> open_foreign_cookie(std::string_view value, const ForeignSessions& settings) {
  const std::optional<std::string> decoded = percent_decode(value);
  if (!decoded || !decoded->starts_with("s:")) return std::nullopt;
  const std::string_view text = std::string_view(*decoded).substr(2);
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot > kForeignIdCharsMax) return std::nullopt;
  const std::string_view id = text.substr(0, dot);
  const std::string_view signature = text.substr(dot + 1);
  if (!std::all_of(id.begin(), id.end(), is_visible_ascii)) return std::nullopt;
  const auto signed_it = [&](const Secret& secret) { return equal_in_constant_time(signature_of(id, secret), signature); };
  if (std::none_of(settings.secrets.begin(), settings.secrets.end(), signed_it)) return std::nullopt;
  return std::string(id);
}

}  // namespace sallyport::authenticate
