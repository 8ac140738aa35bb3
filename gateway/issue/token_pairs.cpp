#include "issue/token_pairs.hpp"

#include <algorithm>
#include <array>

#include "issue/cookies.hpp"

namespace sallyport::issue {
namespace {

using std::chrono::seconds;

// What the gateway says of the token itself; members of these names that a family's claims might hold say nothing.
constexpr std::array<std::string_view, 10> kRegistered{"iss", "aud", "sub", "iat", "exp", "nbf", "jti", "sid", "typ", "cnf"};

Json json(std::string text) { return Json(Json::Value(std::move(text))); }
Json json(seconds time) { return Json(Json::Value(std::int64_t{time.count()})); }

Json audience(const std::vector<std::string>& audiences) {
  if (audiences.size() == 1) return json(audiences.front());
  JsonArray list;
  for (const std::string& one : audiences) list.push_back(json(one));
  return Json(Json::Value(std::move(list)));
}

seconds since_epoch(WallTime time) { return std::chrono::floor<seconds>(time.time_since_epoch()); }

struct Life {
  Json issued;
  seconds expires{};
  seconds lasts{};
};

// Whole seconds, unless a revocation of that second would then be read as one of this token.
Json date_of(const store::Family& family, const store::RevocationList& revocations) {
  const seconds second = since_epoch(family.rotated_at);
  const std::optional<WallTime> covered = revocations.revoked_until(family.subject);
  if (!covered || since_epoch(*covered) < second) return json(second);
  // Half a microsecond early: a double holds no microsecond exactly, and rounded up the date would be after a revocation of that moment.
  const auto exact = std::chrono::floor<std::chrono::microseconds>(family.rotated_at.time_since_epoch());
  return Json(Json::Value(std::chrono::duration<double>(exact).count() - 0.5e-6));
}

// By the store's clock, as far as it goes.
Result<Life> life_of(const store::Family& family, const TokenSettings& settings, const store::RevocationList& revocations, WallTime now) {
  const seconds issued = since_epoch(family.rotated_at);
  seconds expires = issued + settings.access_ttl;
  if (expires <= since_epoch(now)) {
    expires = std::min(since_epoch(now) + settings.access_ttl, expires + std::chrono::ceil<seconds>(settings.reuse_window));
  }
  const seconds family_end = since_epoch(family.started_at + settings.family_ttl);
  if (family_end <= issued) return make_error(Fault::not_found, "the family is over");
  expires = std::min(expires, family_end);
  return Life{date_of(family, revocations), expires, expires - issued};
}

Json claims_of(const store::Family& family, const Life& life, const TokenSettings& settings, std::string token_id) {
  JsonObject claims;
  if (const JsonObject* stated = family.claims.object()) {
    for (const JsonMember& member : *stated) {
      if (std::find(kRegistered.begin(), kRegistered.end(), member.first) == kRegistered.end()) claims.push_back(member);
    }
  }
  claims.emplace_back("iss", json(settings.issuer));
  claims.emplace_back("aud", audience(settings.audiences));
  claims.emplace_back("sub", json(family.subject));
  claims.emplace_back("iat", life.issued);
  claims.emplace_back("exp", json(life.expires));
  claims.emplace_back("jti", json(std::move(token_id)));
  claims.emplace_back("sid", json(store::handle_of(family.key)));
  const bool says_when = std::any_of(claims.begin(), claims.end(), [](const JsonMember& member) { return member.first == "auth_time"; });
  if (!says_when) claims.emplace_back("auth_time", json(since_epoch(family.started_at)));
  return Json(Json::Value(std::move(claims)));
}

// RFC 6749 §3.3, from a string or an array of strings.
std::string scope_of(const Json& claims) {
  const Json* scope = claims.find("scope");
  if (scope == nullptr) return {};
  if (scope->string() != nullptr) return *scope->string();
  std::string joined;
  const JsonArray* list = scope->array();
  for (const Json& one : list == nullptr ? JsonArray{} : *list) {
    if (one.string() == nullptr) return {};
    if (!joined.empty()) joined += ' ';
    joined += *one.string();
  }
  return joined;
}

// Of a credential that a revocation of this very family refuses, and one that the same revocations would refuse without it.
bool is_revoked_by_handle(const store::RevocationList& revocations, std::string_view handle, WallTime now) {
  store::RevocationList::Credential credential;
  credential.issued_at = WallTime{};
  if (revocations.revokes(credential, now)) return false;  // everything is: of this one nothing is known
  credential.family = handle;
  return revocations.revokes(credential, now);
}

}  // namespace

Result<TokenPairPtr> make_pair(const store::Family& family, std::string_view family_id, const EdgeKeys& keys,
                               const authenticate::TagKeys& tags, const store::RevocationList& revocations, WallTime now) {
  const Result<Life> life = life_of(family, keys.settings(), revocations, now);
  if (!life) return life.error();
  const Json claims = claims_of(family, *life, keys.settings(), tags.token_id(family_id, family.generation));
  Result<std::string> access = authenticate::sign_jwt(keys.signing_key(), claims.dump(), "at+jwt");
  if (!access) return access.error();
  TokenPair pair;
  pair.access = std::move(*access);
  pair.refresh = tags.refresh_token(family_id, family.generation);
  // Clocks may differ, and what is left may be less than a second: neither makes a pair that the client would throw away at once.
  pair.access_left = std::clamp(life->expires - since_epoch(now), seconds(1), life->lasts);
  pair.refresh_left = std::max(std::chrono::floor<seconds>(family.refresh_left), seconds(1));
  pair.subject = family.subject;
  pair.family = store::handle_of(family.key);
  pair.scope = scope_of(claims);
  return std::make_shared<const TokenPair>(std::move(pair));
}

Task<Result<TokenPairPtr>> TokenPairs::begin(Principal principal, EdgeKeysPtr keys, authenticate::TagKeysPtr tags) {
  if (!keys) co_return make_error(Fault::unsupported, "no tokens are issued here");
  if (!tags) co_return make_error(Fault::unavailable, "the keys of refresh tokens are not known yet");
  const std::string family_id = tags->make_family_id();
  store::NewFamily asked;
  asked.key = sha256(family_id);
  asked.subject = std::move(principal.subject);
  asked.claims = std::move(principal.claims);
  asked.refresh_ttl = keys->settings().refresh_ttl;
  asked.family_ttl = keys->settings().family_ttl;
  const store::Digest key = asked.key;
  const Result<store::Family> family = co_await surroundings_.store.create_family(std::move(asked));
  if (!family) co_return family.error();
  if (family->key != key) co_return make_error(Fault::unavailable, "the store answered for another family");

  const WallTime now = surroundings_.clock.wall_now();
  const std::string handle = store::handle_of(key);
  store::RevocationList::Credential credential;
  credential.subject = family->subject;
  credential.family = handle;
  credential.issued_at = family->started_at;
  // Within the millisecond of a revocation: what would be handed out is refused at once.
  if (surroundings_.revocations.revokes(credential, now)) {
    co_return make_error(Fault::unavailable, "a revocation covers the moment of this login");
  }
  co_return make_pair(*family, family_id, *keys, *tags, surroundings_.revocations, now);
}

Task<RefreshOutcome> TokenPairs::refresh(std::string refresh_token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags) {
  if (!keys) co_return RefreshUnavailable{"no tokens are issued here"};
  if (!tags) co_return RefreshUnavailable{"the keys of refresh tokens are not known yet"};
  std::optional<authenticate::RefreshToken> token = tags->open_refresh_token(refresh_token);
  if (!token) {
    surroundings_.metrics.refresh("malformed");
    co_return RefreshRefused{"malformed", {}, {}};
  }
  co_return co_await surroundings_.desks.refresh(surroundings_.executor, std::move(*token), std::move(keys), std::move(tags));
}

Task<Result<bool>> TokenPairs::end(std::string family_handle, std::chrono::milliseconds keep_for) {
  const std::optional<store::Digest> key = store::digest_of_handle(family_handle);
  if (!key) co_return false;
  // Once is enough: whoever presents the token of an ended family again and again must not fill the channel.
  if (!is_revoked_by_handle(surroundings_.revocations, family_handle, surroundings_.clock.wall_now())) {
    store::Revocation revocation;
    revocation.kind = store::Revocation::Kind::family;
    revocation.value = family_handle;
    revocation.keep_for = keep_for;
    const Result<void> revoked = co_await surroundings_.store.revoke(std::move(revocation));
    if (!revoked) co_return revoked.error();
    surroundings_.metrics.revocation("family");
  }
  // Not const: a const Result<bool> would be returned through its conversion to bool, as "it succeeded".
  Result<bool> ended = co_await surroundings_.store.end_family(*key);
  co_return ended;
}

std::string token_response_json(const TokenPair& pair) {
  JsonObject members;
  members.emplace_back("access_token", json(pair.access));
  members.emplace_back("token_type", json(std::string("Bearer")));
  members.emplace_back("expires_in", json(pair.access_left));
  members.emplace_back("refresh_token", json(pair.refresh));
  members.emplace_back("refresh_expires_in", json(pair.refresh_left));
  if (!pair.scope.empty()) members.emplace_back("scope", json(pair.scope));
  return Json(Json::Value(std::move(members))).dump();
}

std::vector<std::string> token_cookies(const TokenPair& pair, const TokenSettings& settings) {
  // The access cookie lives as long as the refresh cookie: an expired token in it is what asks for the refresh.
  return {set_cookie(settings.access_cookie, pair.access, settings.same_site, pair.refresh_left),
          set_cookie(settings.refresh_cookie, pair.refresh, settings.same_site, pair.refresh_left)};
}

std::vector<std::string> clear_token_cookies(const TokenSettings& settings) {
  return {clear_cookie(settings.access_cookie, settings.same_site), clear_cookie(settings.refresh_cookie, settings.same_site)};
}

}  // namespace sallyport::issue
