#include "authenticate/jwt.hpp"

#include <algorithm>
#include <array>

#include "authenticate/claims.hpp"
#include "authenticate/numeric_date.hpp"
#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

using identity::IdentityFacts;
using identity::RefusalReason;
using identity::Refused;

Refused refuse(RefusalReason reason, std::string detail) { return Refused{reason, std::move(detail)}; }

struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
};

std::variant<Parts, Refused> split_token(std::string_view token) {
  if (token.size() > kTokenBytesMax) return refuse(RefusalReason::token_too_large, std::to_string(token.size()) + " bytes");
  const std::size_t first = token.find('.');
  const std::size_t second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos) return refuse(RefusalReason::malformed, "not three parts");
  const Parts parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
  if (parts.signature.find('.') == token.npos) return parts;
  if (std::count(token.begin(), token.end(), '.') == 4) return refuse(RefusalReason::header_refused, "five parts: encrypted");
  return refuse(RefusalReason::malformed, "not three parts");
}

// RFC 7515 §4.1.9: media types compare without letter case, and "application/" may be left out when no other '/' follows.
std::string_view without_application(std::string_view type) {
  constexpr std::string_view kPrefix = "application/";
  if (type.size() <= kPrefix.size() || !equals_ignoring_case(type.substr(0, kPrefix.size()), kPrefix)) return type;
  const std::string_view rest = type.substr(kPrefix.size());
  return rest.find('/') == std::string_view::npos ? rest : type;
}

bool same_type(std::string_view a, std::string_view b) { return equals_ignoring_case(without_application(a), without_application(b)); }

// The claims.

// A NumericDate that may be absent, in the rounding that does not favour the token.
struct DateClaim {
  std::optional<Instant> down;
  std::optional<Instant> up;
};

std::optional<Refused> read_date(const Json& claims, std::string_view member, DateClaim& out) {
  const Json* value = claims.find(member);
  if (value == nullptr) return std::nullopt;
  out.down = numeric_date(*value, Rounding::down);
  out.up = numeric_date(*value, Rounding::up);
  if (!out.down || !out.up) return refuse(RefusalReason::claim_invalid, std::string(member) + " is no number");
  return std::nullopt;
}

struct Dates {
  DateClaim exp;
  DateClaim nbf;
  DateClaim iat;
};

std::optional<Refused> read_dates(const Json& claims, Dates& dates) {
  if (auto refused = read_date(claims, "exp", dates.exp)) return refused;
  if (auto refused = read_date(claims, "nbf", dates.nbf)) return refused;
  if (auto refused = read_date(claims, "iat", dates.iat)) return refused;
  if (!dates.exp.down) return refuse(RefusalReason::claim_missing, "exp");
  if (dates.exp.down->seconds >= kYear10000) return refuse(RefusalReason::claim_invalid, "exp is after the year 9999");
  if (dates.nbf.up && *dates.nbf.up > *dates.exp.down) return refuse(RefusalReason::claim_invalid, "nbf is after exp");
  return std::nullopt;
}

std::optional<Refused> check_dates(const Dates& dates, const Expectations& expectations, WallTime now, IdentityFacts& facts) {
  const Instant at = instant_of(now);
  const std::chrono::seconds tolerance = expectations.clock_tolerance;
  Instant end = *dates.exp.down + tolerance;
  if (at >= end) return refuse(RefusalReason::expired, "exp");
  if (dates.nbf.up && at + tolerance < *dates.nbf.up) return refuse(RefusalReason::not_yet_valid, "nbf");
  if (dates.iat.up && at + tolerance < *dates.iat.up) return refuse(RefusalReason::not_yet_valid, "iat");
  if (expectations.max_age) {
    if (!dates.iat.down) return refuse(RefusalReason::claim_missing, "iat");
    // The last moment that is young enough; one nanosecond later is the end.
    const Instant last = *dates.iat.down + *expectations.max_age + tolerance;
    if (at > last) return refuse(RefusalReason::too_old, "iat");
    end = std::min(end, next_after(last));
  }
  facts.expires_at = wall_time_of(end);
  if (dates.iat.down) facts.issued_at = wall_time_of(*dates.iat.down);
  return std::nullopt;
}

// RFC 7519 §4.1.3: a string, or an array of strings.
std::optional<Refused> check_audience(const Json& claims, const std::vector<std::string>& audiences) {
  const Json* aud = claims.find("aud");
  if (aud == nullptr) return refuse(RefusalReason::wrong_audience, "no aud");
  const auto is_ours = [&](const std::string& value) { return std::find(audiences.begin(), audiences.end(), value) != audiences.end(); };
  if (const std::string* one = aud->string()) {
    if (is_ours(*one)) return std::nullopt;
    return refuse(RefusalReason::wrong_audience, "aud");
  }
  const JsonArray* many = aud->array();
  const auto is_string = [](const Json& value) { return value.string() != nullptr; };
  if (many == nullptr || !std::all_of(many->begin(), many->end(), is_string)) {
    return refuse(RefusalReason::claim_invalid, "aud is neither a string nor an array of strings");
  }
  if (std::any_of(many->begin(), many->end(), [&](const Json& value) { return is_ours(*value.string()); })) return std::nullopt;
  return refuse(RefusalReason::wrong_audience, "aud");
}

std::optional<Refused> check_issuer(const Json& claims, const std::string& issuer) {
  const Json* iss = claims.find("iss");
  if (iss == nullptr || iss->string() == nullptr || *iss->string() != issuer) return refuse(RefusalReason::unknown_issuer, "iss");
  return std::nullopt;
}

// A claim that must be a string when present.
std::optional<Refused> read_string(const Json& claims, std::string_view member, std::string& out) {
  const Json* value = claims.find(member);
  if (value == nullptr) return std::nullopt;
  if (value->string() == nullptr) return refuse(RefusalReason::claim_invalid, std::string(member) + " is no string");
  out = *value->string();
  return std::nullopt;
}

std::optional<Refused> check_required(const Json& claims, const std::vector<std::string>& required) {
  for (const std::string& member : required) {
    const Json* value = claims.find(member);
    if (value == nullptr || value->is_null()) return refuse(RefusalReason::claim_missing, member);
    if (member == "sub" && (value->string() == nullptr || value->string()->empty())) {
      return refuse(RefusalReason::claim_invalid, "sub is no string or empty");
    }
  }
  return std::nullopt;
}

std::optional<Refused> check_claims(const Json& claims, const Expectations& expectations, WallTime now, IdentityFacts& facts) {
  Dates dates;
  if (auto refused = check_issuer(claims, expectations.issuer)) return refused;
  if (auto refused = check_audience(claims, expectations.audiences)) return refused;
  if (auto refused = read_dates(claims, dates)) return refused;
  if (auto refused = check_dates(dates, expectations, now, facts)) return refused;
  if (auto refused = check_required(claims, expectations.require_claims)) return refused;
  if (auto refused = read_string(claims, "sub", facts.subject)) return refused;
  return read_string(claims, "jti", facts.token_id);
}

// RFC 7800 §3.1, RFC 8705 §3.1. A proof of possession that is not asked for would make a stolen token as good as its owner.
std::optional<Refused> read_confirmation(const Json& claims, std::string& certificate) {
  constexpr std::size_t kThumbprintLength = 43;  // of a SHA-256 in base64url
  const Json* cnf = claims.find("cnf");
  if (cnf == nullptr) return std::nullopt;
  const JsonObject* members = cnf->object();
  if (members == nullptr) return refuse(RefusalReason::claim_invalid, "cnf is no object");
  if (members->size() != 1 || members->front().first != "x5t#S256") {
    return refuse(RefusalReason::wrong_certificate, "cnf asks for more than a client certificate");
  }
  const std::string* thumbprint = members->front().second.string();
  if (thumbprint == nullptr || thumbprint->size() != kThumbprintLength || !base64url_decode(*thumbprint)) {
    return refuse(RefusalReason::claim_invalid, "cnf.x5t#S256 is no SHA-256");
  }
  certificate = *thumbprint;
  return std::nullopt;
}

std::optional<Refused> check_token_type(const UnverifiedJws& token, const std::optional<std::string>& expected) {
  if (!expected || (token.type() && same_type(*token.type(), *expected))) return std::nullopt;
  return refuse(RefusalReason::token_type_refused, token.type() ? "typ" : "no typ");
}

}  // namespace

std::optional<Refused> UnverifiedJws::read(std::string_view token, std::string& payload) {
  auto split = split_token(token);
  if (auto* refused = std::get_if<Refused>(&split)) return std::move(*refused);
  const Parts& parts = std::get<Parts>(split);
  if (auto refused = JoseHeader::read(parts.header, header_)) return refused;
  // An empty payload would be detached content (RFC 7515, appendix F), an empty signature an unsecured JWS.
  if (parts.payload.empty() || !base64url_decode(parts.payload, payload))
    return refuse(RefusalReason::malformed, "the payload is no base64url");
  if (parts.signature.empty() || !base64url_decode(parts.signature, signature_)) {
    return refuse(RefusalReason::malformed, "the signature is no base64url");
  }
  signing_input_ = token.substr(0, token.size() - parts.signature.size() - 1);
  return std::nullopt;
}

std::variant<UnverifiedJws, Refused> UnverifiedJws::parse(std::string_view token) {
  std::variant<UnverifiedJws, Refused> result;  // made where it stays
  std::string payload;
  if (auto refused = std::get<UnverifiedJws>(result).read(token, payload)) result = std::move(*refused);
  return result;
}

std::variant<UnverifiedJwt, Refused> UnverifiedJwt::parse(std::string_view token) {
  std::variant<UnverifiedJwt, Refused> result;  // made where it stays
  if (auto refused = std::get<UnverifiedJwt>(result).read_claims(token)) result = std::move(*refused);
  return result;
}

std::optional<Refused> UnverifiedJwt::read_claims(std::string_view token) {
  std::string payload;
  if (auto refused = read(token, payload)) return refused;
  Result<Json> claims = Json::parse(payload, {.bytes_max = kTokenBytesMax});
  if (!claims || claims->object() == nullptr) return refuse(RefusalReason::malformed, "the claims are no strict JSON object");
  claims_ = std::move(*claims);
  return std::nullopt;
}

std::optional<std::string_view> UnverifiedJwt::claimed_issuer() const noexcept {
  const Json* iss = claims_.find("iss");
  if (iss == nullptr || iss->string() == nullptr) return std::nullopt;
  return *iss->string();
}

std::variant<const VerificationKey*, Refused> JwtVerifier::find_signer(const UnverifiedJws& token, const KeySet& keys,
                                                                       const std::vector<Algorithm>& algorithms) {
  if (std::find(algorithms.begin(), algorithms.end(), token.algorithm()) == algorithms.end()) {
    return refuse(RefusalReason::algorithm_refused, std::string(name(token.algorithm())) + " is not on the list");
  }
  const VerificationKey* key = keys.find(token.key_id(), token.algorithm());
  if (key == nullptr) {
    // The key exists but is none for this algorithm: an attempt to have one key used as another (hazards D01-D04).
    if (token.key_id() && keys.has_key_id(*token.key_id())) return refuse(RefusalReason::algorithm_refused, "not the key's algorithm");
    return refuse(RefusalReason::unknown_key, token.key_id() ? "unknown kid" : "no kid, and not exactly one key fits");
  }
  if (key->verify(token.algorithm(), token.signing_input_, token.signature_) != Verification::valid) {
    return refuse(RefusalReason::bad_signature, key->key_id() ? "with a known kid" : "without a kid");
  }
  return key;
}

std::optional<Refused> JwtVerifier::verify_signature(const UnverifiedJws& token, const KeySet& keys,
                                                     const std::vector<Algorithm>& algorithms) {
  auto signer = find_signer(token, keys, algorithms);
  if (auto* refused = std::get_if<Refused>(&signer)) return std::move(*refused);
  return std::nullopt;
}

std::variant<IdentityFacts, Refused> JwtVerifier::verify(UnverifiedJwt&& token, const KeySet& keys, const Expectations& expectations,
                                                         WallTime now) {
  std::variant<IdentityFacts, Refused> result;  // made where it stays
  if (auto refused = establish(token, keys, expectations, now, std::get<IdentityFacts>(result))) result = std::move(*refused);
  return result;
}

std::optional<Refused> JwtVerifier::establish(UnverifiedJwt& token, const KeySet& keys, const Expectations& expectations, WallTime now,
                                              IdentityFacts& facts) {
  auto signer = find_signer(token, keys, expectations.algorithms);
  if (auto* refused = std::get_if<Refused>(&signer)) return std::move(*refused);
  if (auto refused = check_token_type(token, expectations.token_type)) return refused;
  if (auto refused = check_claims(token.claims_, expectations, now, facts)) return refused;
  if (auto refused = read_confirmation(token.claims_, facts.certificate)) return refused;
  facts.issuer = expectations.issuer;
  facts.key = std::get<const VerificationKey*>(signer)->fingerprint();
  facts.method = identity::AuthMethod::jwt;
  facts.roles = read_roles(expectations.roles.find(token.claims_), facts.roles_unreadable);
  facts.scopes = read_scopes(expectations.scopes.find(token.claims_), facts.scopes_unreadable);
  facts.authenticated_at = read_authentication_time(token.claims_.find("auth_time"), instant_of(now) + expectations.clock_tolerance);
  facts.claims = identity::Claims(std::move(token.claims_));
  return std::nullopt;
}

}  // namespace sallyport::authenticate
