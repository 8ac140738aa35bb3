// Sessions that were fetched, so that the next request with the same cookie costs a look-up. One per worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "authenticate/clock_map.hpp"
#include "authenticate/session_settings.hpp"
#include "base/clock.hpp"
#include "identity/verified_identity.hpp"
#include "store/records.hpp"

namespace sallyport::authenticate {

enum class SessionKind : unsigned char { own, foreign };

struct CachedSession {
  SessionKind kind = SessionKind::own;
  store::Digest key{};             // of a foreign one: SHA-256 of its id
  identity::IdentityPtr identity;  // its expires_at is the absolute end
  SessionSettingsPtr settings;     // by which it was read
  MonotonicTime as_of;             // when the store was asked
  MonotonicTime end;               // unless it is used; never beyond absolute_end
  MonotonicTime absolute_end;
  MonotonicTime next_touch;
  std::uint64_t revocations_seen = 0;  // as of VerifiedTokenCache::Hit
  std::uint64_t epoch = 0;             // of Hearing
};

// Bounded in entries and bytes. Found by the cookie's text, compared whole, and by the session's key; at most one entry per session.
// Decides nothing: what may still be used is for the SessionAuthenticator to say.
class SessionCache {
 public:
  SessionCache(std::size_t entries_max, std::size_t bytes_max);

  // For somebody who uses it: what is found stays longer than what nobody looks for.
  // nullptr: not here. Never allocates. Valid until the next call that is not const.
  [[nodiscard]] CachedSession* find(SessionKind kind, std::string_view cookie) noexcept;
  [[nodiscard]] CachedSession* find(SessionKind kind, const store::Digest& key) noexcept;
  // The same for our own book-keeping, which makes nothing stay.
  [[nodiscard]] CachedSession* peek(SessionKind kind, const store::Digest& key) noexcept;
  // Asks for the memory that the next insertion of that session reads first: there is something else to do until it comes.
  void prefetch(std::string_view cookie, const store::Digest& key) const noexcept {
    sessions_.prefetch(cookie);
    keys_.prefetch(hash_of_(key));
  }
  // Replaces what is there for that cookie, and for that session. Valid as from find(); nullptr: it is not kept, and `session` is as it
  // was.
  CachedSession* insert(std::string_view cookie, CachedSession&& session);
  // Whether it was there.
  bool forget(SessionKind kind, const store::Digest& key) noexcept;
  void clear();

  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }
  // Counts them one by one.
  [[nodiscard]] std::size_t size_of(std::uint64_t epoch) const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept { return sessions_.bytes(); }

 private:
  using Sessions = ClockMap<CachedSession>;
  using Place = Sessions::Place;
  static constexpr Place kNone = Sessions::kNone;

  [[nodiscard]] Place place_of(SessionKind kind, const store::Digest& key) const noexcept;
  [[nodiscard]] Place place_of(std::uint64_t hash, SessionKind kind, const store::Digest& key) const noexcept;
  void remove(Place at) noexcept;

  const KeyedHash hash_of_;
  Sessions sessions_;
  HashIndex keys_;
};

// Until when what was remembered was known to be true. An epoch ends when everything may have changed; what was remembered in it must be
// asked about anew, and only an outage makes it worth looking at.
class Hearing {
 public:
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  // Changes reach us at `now`.
  void is_good(MonotonicTime now) noexcept { good_until_ = now; }
  void everything_changed() noexcept {
    ended_[epoch_ % kRemembered] = good_until_;
    ++epoch_;
  }
  // nullopt: never, or too many epochs ago.
  [[nodiscard]] std::optional<MonotonicTime> good_until(std::uint64_t epoch) const noexcept {
    if (epoch == epoch_) return good_until_;
    return epoch_ - epoch > kRemembered ? std::nullopt : ended_[epoch % kRemembered];
  }

 private:
  static constexpr std::size_t kRemembered = 16;
  std::uint64_t epoch_ = 1;
  std::optional<MonotonicTime> good_until_;
  std::array<std::optional<MonotonicTime>, kRemembered> ended_;
};

}  // namespace sallyport::authenticate
