#include "authenticate/session_authenticator.hpp"

#include <algorithm>
#include <utility>

#include "authenticate/session_authenticator_impl.hpp"

namespace sallyport::authenticate {
namespace {

using identity::AuthOutcome;
using identity::IdentityFacts;
using identity::IdentityPtr;
using identity::RefusalReason;
using identity::Refused;
using identity::Unavailable;

}  // namespace

bool SessionAuthenticator::Impl::hears(MonotonicTime now) noexcept {
  if (store == nullptr || !store->hears_changes(now)) return false;
  hearing.is_good(now);
  return true;
}

bool SessionAuthenticator::Impl::is_revoked(const IdentityFacts& facts, WallTime now) const {
  return around.revocations.revokes({.subject = facts.subject,
                                     .token_id = {},
                                     .session = facts.session,
                                     .family = {},
                                     .issued_at = facts.issued_at,
                                     .in_whole_seconds = false},
                                    now);
}

std::optional<Refused> SessionAuthenticator::Impl::check_revocations(CachedSession& session, WallTime now) const {
  // Before anything is asked: a revocation that comes meanwhile makes the next request ask again.
  const std::uint64_t generation = around.revocations.generation();
  if (session.revocations_seen == generation) return std::nullopt;
  if (is_revoked(session.identity->facts(), now)) return Refused{RefusalReason::revoked, "session"};
  session.revocations_seen = generation;
  return std::nullopt;
}

// After a reload: what the new settings might read otherwise is read again. Of our own sessions only the issuer is theirs.
bool SessionAuthenticator::Impl::fits(const CachedSession& session, const SessionSettings& settings) noexcept {
  if (session.settings.get() == &settings) return true;
  return session.kind == SessionKind::own && session.identity->facts().issuer == settings.issuer;
}

std::optional<AuthOutcome> SessionAuthenticator::Impl::use(const ImplPtr& self, CachedSession* session, const SessionSettings& settings) {
  if (session == nullptr) return std::nullopt;
  const Moment now = self->now();
  if (!self->hears(now.monotonic) || session->epoch != self->hearing.epoch() || !fits(*session, settings)) return std::nullopt;
  if (now.monotonic >= session->end) return std::nullopt;
  // By the clock that the authorizer looks at; it was set. The store knows what is left.
  if (now.wall >= session->identity->facts().expires_at) return std::nullopt;
  ++self->around.metrics.session_cache_hits;
  if (auto refused = self->check_revocations(*session, now.wall)) return std::move(*refused);
  IdentityPtr identity = session->identity;
  if (session->kind == SessionKind::own && now.monotonic >= session->next_touch) {
    session->next_touch = now.monotonic + settings.touch_interval();
    start_touch(self, store::Digest(session->key), settings);  // last: its answer may be there at once and take the entry away
  }
  return AuthOutcome(std::move(identity));
}

std::optional<AuthOutcome> SessionAuthenticator::Impl::recall(const ImplPtr& self, SessionKind kind, std::string_view cookie,
                                                              const SessionSettings& settings) {
  if (auto known = use(self, self->cache.find(kind, cookie), settings)) return known;
  auto opened = self->open(kind, cookie, settings);
  if (auto* outcome = std::get_if<AuthOutcome>(&opened)) return std::move(*outcome);
  // A foreign cookie can be spelled in many ways; all of them are one session, which is asked for once. Ours has one spelling.
  if (kind == SessionKind::foreign) {
    if (auto known = use(self, self->cache.find(kind, std::get<Subject>(opened).key), settings)) return known;
  }
  ++self->around.metrics.session_cache_misses;
  return std::nullopt;
}

// The store could not be asked. What was remembered while changes were heard is worth something for as long as the operator says.
std::optional<AuthOutcome> SessionAuthenticator::Impl::use_in_outage(CachedSession* session, const SessionSettings& settings) {
  if (session == nullptr || !fits(*session, settings) || !around.revocations.is_complete()) return std::nullopt;
  const std::optional<MonotonicTime> good_until = hearing.good_until(session->epoch);
  const Moment now = this->now();
  if (!good_until || now.monotonic - *good_until >= settings.serve_cached_for) return std::nullopt;
  if (now.monotonic >= session->end) return std::nullopt;
  if (auto refused = check_revocations(*session, now.wall)) return std::move(*refused);
  return AuthOutcome(session->identity);
}

auto SessionAuthenticator::Impl::open(SessionKind kind, std::string_view cookie, const SessionSettings& settings)
    -> std::variant<Subject, AuthOutcome> {
  if (kind == SessionKind::foreign) {
    std::optional<std::string> id = settings.foreign ? open_foreign_cookie(cookie, *settings.foreign) : std::nullopt;
    if (!id) return AuthOutcome(Refused{RefusalReason::malformed, "no session cookie that the application signed"});
    if (store == nullptr) return AuthOutcome(Unavailable{"no store yet"});
    const store::Digest key = key_of_foreign(*id);
    return Subject{kind, key, std::move(*id)};
  }
  if (!keys) return AuthOutcome(Unavailable{"the store has not told the secret of the session ids yet"});
  const std::optional<store::Digest> key = open_own(cookie);
  if (!key) return AuthOutcome(Refused{RefusalReason::malformed, "no session id of ours"});
  if (store == nullptr) return AuthOutcome(Unavailable{"no store yet"});
  return Subject{kind, *key, {}};
}

std::optional<store::Digest> SessionAuthenticator::Impl::open_own(std::string_view cookie) {
  const std::uint64_t hash = hash_of_cookie(cookie);
  if (last_opened && last_opened->hash == hash && last_opened->cookie == cookie) return last_opened->key;
  const std::optional<SessionId> id = keys->open_session_id(cookie);
  if (!id) return std::nullopt;
  if (!last_opened) last_opened.emplace();
  last_opened->hash = hash;
  last_opened->cookie = cookie;
  last_opened->key = id->key;
  return id->key;
}

bool SessionAuthenticator::Impl::remembers(SessionKind kind, const store::Digest& key, const std::string& subject) {
  const MonotonicTime now = around.clock.monotonic_now();
  if (!hears(now)) return false;
  const CachedSession* session = cache.find(kind, key);  // an open tunnel is a use: while it is remembered nobody asks the store
  if (session == nullptr || session->epoch != hearing.epoch()) return false;
  return now < session->end && session->identity->facts().subject == subject;
}

bool SessionAuthenticator::Impl::remembers(const IdentityPtr& identity) {
  const std::string& subject = identity->facts().subject;
  if (const auto* origin = std::get_deleter<ForeignOrigin>(identity)) {
    return remembers(SessionKind::foreign, key_of_foreign(origin->id), subject);
  }
  const std::optional<store::Digest> key = store::digest_of_handle(identity->facts().session);
  return key && remembers(SessionKind::own, *key, subject);
}

Task<bool> SessionAuthenticator::Impl::stands(ImplPtr self, IdentityPtr identity) {
  const IdentityFacts& facts = identity->facts();
  if (facts.method != identity::AuthMethod::session) co_return true;
  if (self->is_revoked(facts, self->around.clock.wall_now())) co_return false;
  if (self->store == nullptr || self->remembers(identity)) co_return true;
  if (const auto* origin = std::get_deleter<ForeignOrigin>(identity)) {
    Task<bool> asked = foreign_stands(self, *origin, facts.subject);
    co_return co_await std::move(asked);
  }
  const std::optional<store::Digest> key = store::digest_of_handle(facts.session);
  if (!key) co_return false;  // no session that could stand
  Task<bool> asked = own_stands(self, *key);
  co_return co_await std::move(asked);
}

Task<bool> SessionAuthenticator::Impl::own_stands(ImplPtr self, store::Digest key) {
  auto found = co_await self->store->find_session(key);
  co_return !found || found->has_value();
}

Task<bool> SessionAuthenticator::Impl::foreign_stands(ImplPtr self, ForeignOrigin origin, std::string subject) {
  const WallTime asked = self->around.clock.wall_now();
  std::string prefix = origin.settings->foreign->prefix;
  auto found = co_await self->store->find_foreign_session(std::move(prefix), std::move(origin.id));
  if (!found) co_return true;
  if (!*found) co_return false;
  const Reading reading = facts_of(**found, *origin.settings->foreign, asked);
  const auto* facts = std::get_if<IdentityFacts>(&reading);
  co_return facts != nullptr && facts->subject == subject;
}

SessionAuthenticator::SessionAuthenticator(const Surroundings& surroundings, std::size_t entries_max)
    : impl_(std::make_shared<Impl>(surroundings, entries_max)) {}
SessionAuthenticator::~SessionAuthenticator() = default;

void SessionAuthenticator::use_store(store::Store& store) noexcept { impl_->store = &store; }

void SessionAuthenticator::use_keys(TagKeysPtr keys) {
  if (keys == impl_->keys) return;
  impl_->keys = std::move(keys);
  impl_->last_opened.reset();
  impl_->cache.clear();
  impl_->mark_all_changed();
}

const TagKeysPtr& SessionAuthenticator::keys() const noexcept { return impl_->keys; }

std::optional<AuthOutcome> SessionAuthenticator::try_own(std::string_view cookie, const SessionSettings& settings) {
  return Impl::recall(impl_, SessionKind::own, cookie, settings);
}

Task<Authentication> SessionAuthenticator::ask_own(std::string cookie, SessionSettingsPtr settings) {
  return Impl::ask(impl_, SessionKind::own, std::move(cookie), std::move(settings));
}

std::optional<AuthOutcome> SessionAuthenticator::try_foreign(std::string_view cookie, const SessionSettings& settings) {
  return Impl::recall(impl_, SessionKind::foreign, cookie, settings);
}

Task<Authentication> SessionAuthenticator::ask_foreign(std::string cookie, SessionSettingsPtr settings) {
  return Impl::ask(impl_, SessionKind::foreign, std::move(cookie), std::move(settings));
}

Task<bool> SessionAuthenticator::still_stands(IdentityPtr identity) { return Impl::stands(impl_, std::move(identity)); }

bool SessionAuthenticator::is_remembered(const IdentityPtr& identity) const { return impl_->remembers(identity); }

std::optional<WallTime> SessionAuthenticator::idle_expires_at(const IdentityFacts& facts) {
  if (facts.method != identity::AuthMethod::session) return std::nullopt;
  const std::optional<store::Digest> key = store::digest_of_handle(facts.session);
  if (!key) return std::nullopt;  // of another application
  const CachedSession* session = impl_->cache.peek(SessionKind::own, *key);
  if (session == nullptr) return facts.idle_expires_at;  // not kept, or not any more
  const Impl::Moment now = impl_->now();
  return std::min(now.wall + std::chrono::floor<WallTime::duration>(session->end - now.monotonic), facts.expires_at);
}

void SessionAuthenticator::look_at_channel() noexcept { (void)impl_->hears(impl_->around.clock.monotonic_now()); }

void SessionAuthenticator::session_changed(const store::Digest& key) { impl_->mark_changed(SessionKind::own, key); }

void SessionAuthenticator::foreign_session_changed(std::string_view id) {
  impl_->mark_changed(SessionKind::foreign, Impl::key_of_foreign(id));
}

void SessionAuthenticator::everything_changed() {
  impl_->around.metrics.session_cache_invalidations += impl_->cache.size_of(impl_->hearing.epoch());
  impl_->hearing.everything_changed();
  impl_->mark_all_changed();
}

void SessionAuthenticator::everything_ended() {
  everything_changed();
  impl_->cache.clear();
}

std::size_t SessionAuthenticator::remembered() const noexcept { return impl_->cache.size_of(impl_->hearing.epoch()); }

}  // namespace sallyport::authenticate
