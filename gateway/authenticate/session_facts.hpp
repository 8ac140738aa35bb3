// Sessions as the store keeps them -> facts about the caller. Pure: no clock, no store, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "authenticate/session_settings.hpp"
#include "identity/auth_outcome.hpp"
#include "store/records.hpp"

namespace sallyport::authenticate {

// Nothing is remembered for longer than this, whatever a store says is left of it: so that adding it to a moment cannot overflow.
inline constexpr std::chrono::hours kSessionLifeMax{24 * 365 * 100};
// A foreign session without an end of its own is read anew after this.
inline constexpr std::chrono::hours kForeignLifeMax{24};
// How far in our future an `auth_time` may lie: clocks differ.
inline constexpr std::chrono::seconds kAuthTimeTolerance{5};

// `now` is when the store was asked: what is left counts from there.
// The claims say `sub` and `iss` as the facts do, whatever the session says there; roles, scope and auth_time are read as an issuer with
// default pointers reads them. Without `auth_time` the session's beginning is when the caller was authenticated; with one that cannot be
// read nobody knows. expires_at is the absolute end.
// Uses `session` up. Refused: no subject, nothing left.
[[nodiscard]] std::variant<identity::IdentityFacts, identity::Refused> facts_of(store::Session&& session, const SessionSettings& settings,
                                                                                WallTime now);
// issuer and issuer_name are settings.name. roles and scopes are read from the mapped claims `roles` and `scope`, issued_at and
// authenticated_at from mapped `iat` and `auth_time`: a record has neither by itself, and what has no issued_at is older than every
// revocation of its subject. expires_at is the sooner of the record's end, `cookie.expires` and kForeignLifeMax from now.
// Refused: no object with an object `cookie` in it, `cookie.expires` neither absent, null nor a time as JavaScript writes it, or past; no
// subject, or one that is neither a non-empty string nor an integer.
[[nodiscard]] std::variant<identity::IdentityFacts, identity::Refused> facts_of(const store::ForeignSession& session,
                                                                                const ForeignSessions& settings, WallTime now);

// The id within an express-session cookie value, if one of the secrets signed it: 1 to 200 visible ASCII characters, because it becomes
// part of a key of the store. The value may be percent-encoded, strictly.
[[nodiscard]] std::optional<std::string> open_foreign_cookie(std::string_view value, const ForeignSessions& settings);

}  // namespace sallyport::authenticate
