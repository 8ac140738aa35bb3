// The inside of the SessionAuthenticator, for its own files: session_authenticator.cpp judges what is remembered, session_questions.cpp
// asks the store.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>

#include "authenticate/session_authenticator.hpp"
#include "authenticate/session_cache.hpp"
#include "base/event.hpp"

namespace sallyport::authenticate {

struct SessionAuthenticator::Impl {
  using AuthOutcome = identity::AuthOutcome;
  using IdentityFacts = identity::IdentityFacts;
  using IdentityPtr = identity::IdentityPtr;
  using Refused = identity::Refused;
  using milliseconds = std::chrono::milliseconds;

  // When the store was asked. What it says is left counts from there, so that no end is ever later than the store's.
  struct Moment {
    WallTime wall;
    MonotonicTime monotonic;
  };

  // What still_stands() needs of a foreign session and nobody else may see: the id opens the session to the application's own eyes. It
  // rides in the deleter of the identity, where only std::get_deleter finds it.
  struct ForeignOrigin {
    std::string id;
    SessionSettingsPtr settings;
    void operator()(const identity::VerifiedIdentity* identity) const noexcept { delete identity; }
  };

  // A session of ours or of another application, by its cookie; opened.
  struct Subject {
    SessionKind kind = SessionKind::own;
    store::Digest key{};
    std::string foreign_id;
  };

  // One question to the store, for everybody who asks the same while it is under way.
  struct Flight final : store::SessionSeeker {
    Flight(const Event::Home& home, Subject whose, std::string text, SessionSettingsPtr by)
        : subject(std::move(whose)), cookie(std::move(text)), settings(std::move(by)), landed(home) {}
    // Of a question that is asked in no coroutine.
    void told(Result<std::optional<store::Session>>&& found) override;

    const Subject subject;
    const std::string cookie;
    const SessionSettingsPtr settings;
    bool heard = false;    // changes were heard when it was asked
    bool changed = false;  // the session, or everything, since it was asked
    std::optional<AuthOutcome> outcome;
    Event landed;               // when the outcome is there
    std::weak_ptr<Impl> asker;  // who has it in its table
    Moment asked{};             // when it began
  };
  using FlightPtr = std::shared_ptr<Flight>;

  // A cookie and whose key it is: of a cold session recall() opens the cookie, and ask() does again at once. Known again by a keyed hash
  // and only then by its text, so that the time of comparing tells a guesser nothing.
  struct Opened {
    std::uint64_t hash;
    std::string cookie;
    store::Digest key;
  };

  Impl(const Surroundings& lent, std::size_t entries_max) : around(lent), cache(entries_max, bytes_max(entries_max)) {}
  static constexpr std::size_t bytes_max(std::size_t entries) { return std::max(entries, kEntriesUsual) * (kBytesMax / kEntriesUsual); }

  using ImplPtr = std::shared_ptr<Impl>;
  using FlightKey = std::pair<SessionKind, store::Digest>;
  struct FlightHash {
    // A piece of a SHA-256 is as good as any hash of it.
    std::size_t operator()(const FlightKey& key) const noexcept {
      std::size_t piece = 0;
      std::memcpy(&piece, key.second.data(), sizeof piece);
      return piece;
    }
  };
  class Landing;

  bool hears(MonotonicTime now) noexcept;
  [[nodiscard]] Moment now() const { return {around.clock.wall_now(), around.clock.monotonic_now()}; }
  [[nodiscard]] bool is_revoked(const IdentityFacts& facts, WallTime now) const;
  // The revocations' word on a remembered session; nullopt: it is good.
  std::optional<Refused> check_revocations(CachedSession& session, WallTime now) const;
  [[nodiscard]] static store::Digest key_of_foreign(std::string_view id) { return sha256(id); }
  [[nodiscard]] static bool fits(const CachedSession& session, const SessionSettings& settings) noexcept;

  static std::optional<AuthOutcome> recall(const ImplPtr& self, SessionKind kind, std::string_view cookie, const SessionSettings& settings);
  // nullopt: it is not there, or not to be used without asking.
  static std::optional<AuthOutcome> use(const ImplPtr& self, CachedSession* session, const SessionSettings& settings);
  std::optional<AuthOutcome> use_in_outage(CachedSession* session, const SessionSettings& settings);
  [[nodiscard]] std::variant<Subject, AuthOutcome> open(SessionKind kind, std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] std::optional<store::Digest> open_own(std::string_view cookie);

  static Task<Authentication> ask(ImplPtr self, SessionKind kind, std::string cookie, SessionSettingsPtr settings);
  static FlightPtr board(const ImplPtr& self, const Executor& executor, Subject subject, std::string cookie,
                         const SessionSettingsPtr& settings);
  static Task<void> fly_own(ImplPtr self, FlightPtr flight);
  // What the store said of one of our own sessions.
  static void land_own(const ImplPtr& self, Flight& flight, Result<std::optional<store::Session>>&& found);
  static Task<void> fly_foreign(ImplPtr self, FlightPtr flight);
  // What the store said of a session: facts, or why it is none.
  using Reading = std::variant<IdentityFacts, Refused>;
  // Remembers it if that is safe. `session` has its kind, key, times of life and touch.
  AuthOutcome conclude(const Flight& flight, Reading&& reading, CachedSession&& session);
  AuthOutcome forget(const Flight& flight, Refused refused);
  [[nodiscard]] static IdentityPtr make_identity(const Flight& flight, IdentityFacts&& facts);
  void mark_changed(SessionKind kind, const store::Digest& key);
  void mark_all_changed();

  static void start_touch(const ImplPtr& self, const store::Digest& key, const SessionSettings& settings);
  static Task<void> touch(ImplPtr self, store::Digest key, milliseconds idle_timeout);

  [[nodiscard]] bool remembers(SessionKind kind, const store::Digest& key, const std::string& subject);
  [[nodiscard]] bool remembers(const IdentityPtr& identity);
  static Task<bool> stands(ImplPtr self, IdentityPtr identity);
  static Task<bool> own_stands(ImplPtr self, store::Digest key);
  static Task<bool> foreign_stands(ImplPtr self, ForeignOrigin origin, std::string subject);

  Surroundings around;
  store::Store* store = nullptr;
  TagKeysPtr keys;
  KeyedHash hash_of_cookie;
  std::optional<Opened> last_opened;  // by these keys
  SessionCache cache;
  Hearing hearing;
  std::optional<Event::Home> home;  // of the flights' events: the worker's io_context, on which `around.tasks` run, too
  std::unordered_multimap<FlightKey, FlightPtr, FlightHash> flights;
  std::set<store::Digest> touching;
};

}  // namespace sallyport::authenticate
