// Session cookies -> AuthOutcome: from memory when they are warm, from the store otherwise. One per worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "authenticate/authentication.hpp"
#include "authenticate/session_facts.hpp"
#include "authenticate/session_settings.hpp"
#include "authenticate/tag_keys.hpp"
#include "base/task_group.hpp"
#include "identity/auth_outcome.hpp"
#include "store/store.hpp"

namespace sallyport::authenticate {

// Remembers sessions as long as the store tells what changes (store::Store::hears_changes). A remembered session is found by the cookie's
// text, compared whole, or by its key once the cookie's signature was checked; its idle and absolute ends are enforced here, on the
// monotonic clock, from what the store said was left: at the end the store is asked, because another replica may have seen a use. A use
// tells the store at most once per touch_interval, in the background. A session that changed while it was being fetched is used for the
// requests that asked by then and not remembered. Requests for one cold session share one question, which goes on when one of them goes
// away.
//
// Identities: expires_at is the absolute end; of a session that could not be remembered it is the idle end.
// Refused: no cookie of ours (nothing is asked), no such session, no subject in it, revoked. Unavailable: the keys or the store could not
// be asked, except that within serve_cached_for of the last moment at which changes were heard, what was remembered then is used, up to its
// ends and unless it was revoked.
class SessionAuthenticator final : public store::ChangeListener {
 public:
  // Bounds of the memory; least recently used go first, by approximation. In bytes it has kBytesMax, and as much for each entry where more
  // of them are asked for.
  static constexpr std::size_t kEntriesUsual = 100'000;
  static constexpr std::size_t kBytesMax = 128 * 1024 * 1024;

  struct Surroundings {
    const store::RevocationList& revocations;
    const Clock& clock;
    TaskGroup& tasks;  // of the worker: questions and touches in the background. Joined before *this and the store end
    observe::WorkerMetrics& metrics;
  };
  explicit SessionAuthenticator(const Surroundings& surroundings, std::size_t entries_max = kEntriesUsual);
  ~SessionAuthenticator() override;

  // Before the first request; the store is attached with *this as its listener, and outlives every use. Without a store: Unavailable.
  void use_store(store::Store& store) noexcept;
  // Forgets everything: what other keys opened counts no more. The same keys again change nothing.
  void use_keys(TagKeysPtr keys);
  [[nodiscard]] const TagKeysPtr& keys() const noexcept;

  // Of our own session cookie's value. nullopt: the store must be asked. Never allocates nor locks when it answers from memory, but for a
  // touch.
  [[nodiscard]] std::optional<identity::AuthOutcome> try_own(std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] Task<Authentication> ask_own(std::string cookie, SessionSettingsPtr settings);
  // Of the cookie of sessions.foreign, which settings must have.
  [[nodiscard]] std::optional<identity::AuthOutcome> try_foreign(std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] Task<Authentication> ask_foreign(std::string cookie, SessionSettingsPtr settings);

  // Whether the session behind an identity still stands, as the same subject's; asks the store when memory does not know. For answers and
  // tunnels that live long. Is no use of the session. An identity of another method stands. Could-not-ask stands too: an outage ends
  // nothing.
  [[nodiscard]] Task<bool> still_stands(identity::IdentityPtr identity);
  // Whether memory knows that it does.
  [[nodiscard]] bool is_remembered(const identity::IdentityPtr& identity) const;

  // Of one of our own sessions, by its identity: when it ends unless it is used. nullopt for any other identity.
  [[nodiscard]] std::optional<WallTime> idle_expires_at(const identity::IdentityFacts& facts);

  // Notes whether changes are heard now. To be called about once a second: without requests nobody else would look, and serve_cached_for
  // would count from the last request instead of the moment when the channel was lost.
  void look_at_channel() noexcept;

  void session_changed(const store::Digest& key) override;
  void foreign_session_changed(std::string_view id) override;
  void everything_changed() override;
  void everything_ended() override;

  // How many sessions can be answered from memory. Counts them: not for the road of a request.
  [[nodiscard]] std::size_t remembered() const noexcept;

 private:
  struct Impl;
  // Shared with the tasks in the background, so that the last of them cannot outlive what it uses.
  std::shared_ptr<Impl> impl_;
};

}  // namespace sallyport::authenticate
