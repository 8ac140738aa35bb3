// Session cookies -> AuthOutcome: from memory when they are warm, from the store otherwise. One per worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "authenticate/session_settings.hpp"
#include "authenticate/tag_keys.hpp"
#include "base/task_group.hpp"
#include "identity/auth_outcome.hpp"
#include "store/store.hpp"

namespace sallyport::authenticate {

// Remembers sessions as long as the store tells what changes (store::Store::hears_changes). A remembered session is found by the cookie's
// text, compared whole; its idle and absolute ends are enforced here, on the monotonic clock, from what the store said was left; a use tells
// the store at most once per touch_interval, in the background. A session that changed while it was being fetched is used for the request
// that asked and not remembered. Requests for one cold session share one question.
class SessionAuthenticator final : public store::ChangeListener {
 public:
  static constexpr std::size_t kEntriesMax = 100'000;  // the default bound of the memory; least recently used go first, by approximation

  struct Surroundings {
    const store::RevocationList& revocations;
    const Clock& clock;
    TaskGroup& tasks;  // of the worker: touches in the background
    observe::WorkerMetrics& metrics;
  };
  explicit SessionAuthenticator(const Surroundings& surroundings, std::size_t entries_max = kEntriesMax);
  ~SessionAuthenticator() override;

  // Before the first request; the store is attached with *this as its listener.
  void use_store(store::Store& store) noexcept;
  void use_keys(TagKeysPtr keys) noexcept;
  [[nodiscard]] const TagKeysPtr& keys() const noexcept;

  // Of our own session cookie's value. nullopt: the store must be asked.
  [[nodiscard]] std::optional<identity::AuthOutcome> try_own(std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] Task<identity::AuthOutcome> ask_own(std::string cookie, SessionSettingsPtr settings);
  // Of the cookie of sessions.foreign.
  [[nodiscard]] std::optional<identity::AuthOutcome> try_foreign(std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] Task<identity::AuthOutcome> ask_foreign(std::string cookie, SessionSettingsPtr settings);

  // Whether the session behind an identity still stands; asks the store when memory does not know. For answers and tunnels that live long.
  // An identity of another method stands. Could-not-ask stands too: an outage ends nothing.
  [[nodiscard]] Task<bool> still_stands(identity::IdentityPtr identity);

  void session_changed(const store::Digest& key) override;
  void foreign_session_changed(std::string_view id) override;
  void everything_changed() override;

  [[nodiscard]] std::size_t remembered() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The claims of a session as an identity: subject, `roles`, `scope`, `auth_time` (else created_at) as an issuer with default pointers reads
// them. Pure. Refused where the subject is empty.
[[nodiscard]] std::variant<identity::IdentityFacts, identity::Refused> facts_of(const store::Session& session, const SessionSettings& settings,
                                                                                WallTime now);
[[nodiscard]] std::variant<identity::IdentityFacts, identity::Refused> facts_of(const store::ForeignSession& session,
                                                                                const ForeignSessions& settings, WallTime now);

// The id within an express-session cookie value, if one of the secrets signed it.
[[nodiscard]] std::optional<std::string> open_foreign_cookie(std::string_view value, const ForeignSessions& settings);

}  // namespace sallyport::authenticate
