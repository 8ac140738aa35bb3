// What the store keeps: sessions, refresh-token families, revocations. Times are by the store's own clock (Redis' TIME, or this
// process's), so that gateways whose clocks differ agree; what is left of a life is a duration, counted from the moment of the answer.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/secret.hpp"

namespace sallyport::store {

// What a record is stored under: the SHA-256 of the secret id that its owner holds, so that a copy of the store is no set of live
// sessions. Every record carries its own key; one that came for another is thrown away with its connection (hazards N08).
using Digest = Sha256;

// 64 lower-case hex digits: a digest as it stands in keys, in the admin API and in logs. It opens nothing.
[[nodiscard]] std::string handle_of(const Digest& digest);
// The same without an allocation.
[[nodiscard]] std::array<char, 2 * sizeof(Digest)> handle_digits(const Digest& digest);
// nullopt unless exactly that.
[[nodiscard]] std::optional<Digest> digest_of_handle(std::string_view handle);

// A shared token bucket (GCRA).
struct RateQuestion {
  Digest bucket{};
  std::chrono::microseconds interval{};   // of one token; > 0
  std::chrono::microseconds fill_time{};  // from empty to full; at least `interval`
  enum class Kind : unsigned char {
    take,    // a token when there is one
    look,    // none
    charge,  // one whether there is one or not
  } kind = Kind::take;
};
struct RateAnswer {
  bool allowed = false;              // there was a token
  std::chrono::microseconds owed{};  // until the bucket is full again
};

struct NewSession {
  Digest key{};
  std::string subject;
  Json claims;  // an object
  std::chrono::milliseconds idle_timeout{};
  std::chrono::milliseconds absolute_timeout{};
};

// The claims of a session: a JSON object that was checked whole and stays text. What every request asks for was read.
class SessionClaims {
 public:
  enum Member : std::uint8_t { roles, scope, auth_time };

  // As Json::parse(); Fault::malformed also when it is no object.
  [[nodiscard]] static Result<SessionClaims> parse(std::string text, const JsonLimits& limits);

  // Null, too, where there is none of that name.
  [[nodiscard]] const Json& operator[](Member member) const noexcept { return read_[member]; }
  // It says `sub` or `iss`, which are not for it to say.
  [[nodiscard]] bool names_owner() const noexcept { return names_owner_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  // As JsonLimits counts them.
  [[nodiscard]] std::size_t values() const noexcept { return values_; }
  // All of it, read anew with each call.
  [[nodiscard]] Json json() const { return Json::parse_again(text_); }

 private:
  std::string text_;
  std::array<Json, 5> read_;  // by Member, then `sub` and `iss`
  std::size_t values_ = 0;
  bool names_owner_ = false;
};

struct Session {
  Digest key{};
  std::string subject;  // never empty
  SessionClaims claims;
  WallTime created_at{};
  WallTime last_seen_at{};
  std::chrono::milliseconds idle_left{};      // until the idle timeout, never beyond the absolute one; > 0
  std::chrono::milliseconds absolute_left{};  // > 0
};

// A session that another application wrote, as it wrote it.
struct ForeignSession {
  std::string id;
  Json document;
  std::optional<std::chrono::milliseconds> left;  // of the key's life; nullopt: it has no end
};

struct NewFamily {
  Digest key{};
  std::string subject;
  Json claims;  // an object: what every access token of the family says beside the registered claims
  std::chrono::milliseconds refresh_ttl{};
  std::chrono::milliseconds family_ttl{};
};

// A family as an answer found or left it.
struct Family {
  Digest key{};
  std::string subject;
  Json claims;
  std::uint64_t generation = 0;  // of the refresh token that is good now; the first is 1
  WallTime started_at{};
  WallTime rotated_at{};                     // when this generation began
  std::chrono::milliseconds refresh_left{};  // of this generation's refresh token, never beyond the family's end
};

struct RotationRules {
  std::chrono::milliseconds reuse_window{};
  std::chrono::milliseconds refresh_ttl{};
};

// What became of a refresh token that was presented (DESIGN §2.2 `tokens`; docs/sessions-and-tokens.md draws it).
struct Rotation {
  enum class Outcome : std::uint8_t {
    rotated,   // it was the good one and is spent now; `family` is the next generation
    repeated,  // it was the one before, within the reuse window: `family` is the same successor as before, nothing changed
    reused,    // spent before that, or never given out: the family is ended by this very call, and its revocation (Kind::family) kept
               // and broadcast as by revoke(), for StoreSettings::revocations_kept; `family` is what it was
    gone,      // unknown, expired, or revoked already; `family` is empty
  } outcome = Outcome::gone;
  Family family;
};

// A revocation as it is asked for and as replicas hear of it.
struct Revocation {
  enum class Kind : std::uint8_t { everything, subject, session, token_id, family };
  Kind kind = Kind::subject;
  std::string value;  // the subject; the `jti`; the handle of a session or family; empty for everything
  // What was issued at or before it is revoked. nullopt in a request: now, by the store's clock. A session, family or token is revoked
  // whatever stands here: its own time may come from a clock that is ahead.
  std::optional<WallTime> issued_before;
  std::chrono::milliseconds keep_for{};  // how long it matters; > 0
};
[[nodiscard]] std::string_view name(Revocation::Kind kind) noexcept;  // "everything", "subject", "session", "token_id", "family"
[[nodiscard]] std::optional<Revocation::Kind> parse_revocation_kind(std::string_view text) noexcept;

}  // namespace sallyport::store
