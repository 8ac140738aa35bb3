#include "authenticate/session_authenticator.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "authenticate/session_cache.hpp"
#include "base/event.hpp"

namespace sallyport::authenticate {
namespace {

using identity::AuthOutcome;
using identity::IdentityFacts;
using identity::IdentityPtr;
using identity::RefusalReason;
using identity::Refused;
using identity::Unavailable;
using std::chrono::milliseconds;

// When the store was asked. What it says is left counts from there, so that no end is ever later than the store's.
struct Moment {
  WallTime wall;
  MonotonicTime monotonic;
};

milliseconds bounded(milliseconds left) noexcept { return std::min<milliseconds>(left, kSessionLifeMax); }

store::Digest key_of_foreign(std::string_view id) { return sha256(id); }

// What still_stands() needs of a foreign session and nobody else may see: the id opens the session to the application's own eyes. It rides
// in the deleter of the identity, where only std::get_deleter finds it.
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
struct Flight {
  Flight(Executor executor, Subject whose, std::string text, SessionSettingsPtr by)
      : subject(std::move(whose)), cookie(std::move(text)), settings(std::move(by)), landed(executor) {}

  const Subject subject;
  const std::string cookie;
  const SessionSettingsPtr settings;
  bool heard = false;    // changes were heard when it was asked
  bool changed = false;  // the session, or everything, since it was asked
  std::optional<AuthOutcome> outcome;
  Event landed;  // when the outcome is there
};
using FlightPtr = std::shared_ptr<Flight>;

// A cookie and whose key it is: of a cold session recall() opens the cookie, and ask() does again at once.
struct Opened {
  std::string cookie;
  store::Digest key{};
};

}  // namespace

struct SessionAuthenticator::Impl {
  Impl(const Surroundings& lent, std::size_t entries_max) : around(lent), cache(entries_max, bytes_max(entries_max)) {}
  static constexpr std::size_t bytes_max(std::size_t entries) { return std::max(entries, kEntriesUsual) * (kBytesMax / kEntriesUsual); }

  using ImplPtr = std::shared_ptr<Impl>;
  using FlightKey = std::pair<SessionKind, store::Digest>;
  class Landing;
  class Seeker;

  bool hears(MonotonicTime now) noexcept;
  [[nodiscard]] Moment now() const { return {around.clock.wall_now(), around.clock.monotonic_now()}; }
  [[nodiscard]] bool is_revoked(const IdentityFacts& facts) const;
  // The revocations' word on a remembered session; nullopt: it is good.
  std::optional<Refused> check_revocations(CachedSession& session) const;
  [[nodiscard]] static bool fits(const CachedSession& session, const SessionSettings& settings) noexcept;

  static std::optional<AuthOutcome> recall(const ImplPtr& self, SessionKind kind, std::string_view cookie, const SessionSettings& settings);
  // nullopt: it is not there, or not to be used without asking.
  static std::optional<AuthOutcome> use(const ImplPtr& self, CachedSession* session, const SessionSettings& settings);
  std::optional<AuthOutcome> use_in_outage(CachedSession* session, const SessionSettings& settings);
  [[nodiscard]] std::variant<Subject, AuthOutcome> open(SessionKind kind, std::string_view cookie, const SessionSettings& settings);
  [[nodiscard]] std::optional<store::Digest> open_own(std::string_view cookie);

  static Task<AuthOutcome> ask(ImplPtr self, SessionKind kind, std::string cookie, SessionSettingsPtr settings);
  static FlightPtr board(const ImplPtr& self, Executor executor, Subject subject, const std::string& cookie,
                         const SessionSettingsPtr& settings);
  static Task<void> fly_own(ImplPtr self, FlightPtr flight);
  // What the store said of one of our own sessions, which it was asked for at `asked`.
  static void land_own(const ImplPtr& self, Flight& flight, const Moment& asked, Result<std::optional<store::Session>> found);
  static Task<void> fly_foreign(ImplPtr self, FlightPtr flight);
  // What the store said of a session: facts, or why it is none.
  using Reading = std::variant<IdentityFacts, Refused>;
  // Remembers it if that is safe. `session` has its kind, key, times of life and touch.
  AuthOutcome conclude(const Flight& flight, Reading reading, CachedSession session);
  AuthOutcome forget(const Flight& flight, Refused refused);
  [[nodiscard]] static IdentityPtr make_identity(const Flight& flight, IdentityFacts facts);
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
  std::optional<Opened> last_opened;  // by these keys
  SessionCache cache;
  Hearing hearing;
  std::multimap<FlightKey, FlightPtr> flights;
  std::set<store::Digest> touching;
};

// Whatever becomes of the flight: it leaves the table, and everybody who waits is woken.
class SessionAuthenticator::Impl::Landing {
 public:
  Landing(Impl& impl, Flight& flight) : impl_(impl), flight_(flight) {}
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;
  ~Landing() {
    if (!flight_.outcome) flight_.outcome = Unavailable{"the store's answer was lost"};
    const auto [begin, end] = impl_.flights.equal_range(FlightKey(flight_.subject.kind, flight_.subject.key));
    const auto own = std::find_if(begin, end, [&](const auto& entry) { return entry.second.get() == &flight_; });
    if (own != end) impl_.flights.erase(own);
    flight_.landed.wake();
  }

 private:
  Impl& impl_;
  Flight& flight_;
};

// A flight without a coroutine.
class SessionAuthenticator::Impl::Seeker final : public store::SessionSeeker {
 public:
  Seeker(ImplPtr impl, FlightPtr flight, const Moment& asked) : impl_(std::move(impl)), flight_(std::move(flight)), asked_(asked) {}
  void told(Result<std::optional<store::Session>> found) override {
    const Landing landing(*impl_, *flight_);
    land_own(impl_, *flight_, asked_, std::move(found));
  }

 private:
  const ImplPtr impl_;
  const FlightPtr flight_;
  const Moment asked_;
};

bool SessionAuthenticator::Impl::hears(MonotonicTime now) noexcept {
  if (store == nullptr || !store->hears_changes()) return false;
  hearing.is_good(now);
  return true;
}

bool SessionAuthenticator::Impl::is_revoked(const IdentityFacts& facts) const {
  return around.revocations.revokes({.subject = facts.subject,
                                     .token_id = {},
                                     .session = facts.session,
                                     .family = {},
                                     .issued_at = facts.issued_at,
                                     .in_whole_seconds = false},
                                    around.clock.wall_now());
}

std::optional<Refused> SessionAuthenticator::Impl::check_revocations(CachedSession& session) const {
  // Before anything is asked: a revocation that comes meanwhile makes the next request ask again.
  const std::uint64_t generation = around.revocations.generation();
  if (session.revocations_seen == generation) return std::nullopt;
  if (is_revoked(session.identity->facts())) return Refused{RefusalReason::revoked, "session"};
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
  if (auto refused = self->check_revocations(*session)) return std::move(*refused);
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
  // A foreign cookie can be spelled in many ways; all of them are one session, which is asked for once.
  if (auto known = use(self, self->cache.find(kind, std::get<Subject>(opened).key), settings)) return known;
  ++self->around.metrics.session_cache_misses;
  return std::nullopt;
}

// The store could not be asked. What was remembered while changes were heard is worth something for as long as the operator says.
std::optional<AuthOutcome> SessionAuthenticator::Impl::use_in_outage(CachedSession* session, const SessionSettings& settings) {
  if (session == nullptr || !fits(*session, settings) || !around.revocations.is_complete()) return std::nullopt;
  const std::optional<MonotonicTime> good_until = hearing.good_until(session->epoch);
  const MonotonicTime now = around.clock.monotonic_now();
  if (!good_until || now - *good_until >= settings.serve_cached_for) return std::nullopt;
  if (now >= session->end) return std::nullopt;
  if (auto refused = check_revocations(*session)) return std::move(*refused);
  return AuthOutcome(session->identity);
}

std::variant<Subject, AuthOutcome> SessionAuthenticator::Impl::open(SessionKind kind, std::string_view cookie,
                                                                    const SessionSettings& settings) {
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
  if (last_opened && equal_in_constant_time(last_opened->cookie, cookie)) return last_opened->key;
  const std::optional<SessionId> id = keys->open_session_id(cookie);
  if (!id) return std::nullopt;
  if (!last_opened) last_opened.emplace();
  last_opened->cookie = cookie;
  last_opened->key = id->key;
  return id->key;
}

Task<AuthOutcome> SessionAuthenticator::Impl::ask(ImplPtr self, SessionKind kind, std::string cookie, SessionSettingsPtr settings) {
  auto opened = self->open(kind, cookie, *settings);
  if (auto* outcome = std::get_if<AuthOutcome>(&opened)) co_return std::move(*outcome);
  const Executor executor = co_await boost::asio::this_coro::executor;
  const FlightPtr flight = board(self, executor, std::get<Subject>(std::move(opened)), cookie, settings);
  while (!flight->outcome) {
    Event::Wait landing = flight->landed.wait();
    co_await std::move(landing);  // or whoever gives this request up: the outcome decides
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (!flight->outcome && state.cancelled() != boost::asio::cancellation_type::none)
      co_return Unavailable{"nobody waits for it any more"};
  }
  if (std::holds_alternative<Unavailable>(*flight->outcome)) {
    CachedSession* const remembered = self->cache.find(kind, flight->subject.key);
    if (auto known = self->use_in_outage(remembered, *settings)) co_return std::move(*known);
  }
  co_return *flight->outcome;
}

// The flight that will tell, or a new one. Whoever comes after a change must not learn from a question that was asked before it; and when
// changes are not heard nobody can say whether one came between.
FlightPtr SessionAuthenticator::Impl::board(const ImplPtr& self, Executor executor, Subject subject, const std::string& cookie,
                                            const SessionSettingsPtr& settings) {
  const FlightKey key(subject.kind, subject.key);
  const bool heard = self->hears(self->around.clock.monotonic_now());
  const auto [begin, end] = self->flights.equal_range(key);
  const auto joined = std::find_if(begin, end, [&](const auto& entry) {
    const Flight& flight = *entry.second;
    return heard && flight.heard && !flight.changed && flight.settings == settings;
  });
  if (joined != end) return joined->second;
  const auto flight = std::make_shared<Flight>(executor, std::move(subject), cookie, settings);
  flight->heard = heard;
  self->flights.emplace(key, flight);
  const bool is_own = key.first == SessionKind::own;
  if (is_own && self->store->seek_session(key.second, std::make_shared<Seeker>(self, flight, self->now()))) return flight;
  Task<void> task = is_own ? fly_own(self, flight) : fly_foreign(self, flight);
  self->around.tasks.spawn(std::move(task));
  return flight;
}

Task<void> SessionAuthenticator::Impl::fly_own(ImplPtr self, FlightPtr flight) {
  const Landing landing(*self, *flight);
  const Moment asked = self->now();
  auto found = co_await self->store->find_session(flight->subject.key);
  land_own(self, *flight, asked, std::move(found));
}

void SessionAuthenticator::Impl::land_own(const ImplPtr& self, Flight& flight, const Moment& asked,
                                          Result<std::optional<store::Session>> found) {
  if (!found) {
    flight.outcome = Unavailable{found.error().detail};
    return;
  }
  if (!*found) {
    flight.outcome = self->forget(flight, Refused{RefusalReason::unknown_session, "session"});
    return;
  }
  const SessionSettings& settings = *flight.settings;
  store::Session& session = **found;
  if (session.key != flight.subject.key) {
    flight.outcome = Unavailable{"the store answered with another session"};
    return;
  }
  CachedSession cached;
  cached.as_of = asked.monotonic;
  cached.absolute_end = asked.monotonic + bounded(session.absolute_left);
  cached.end = asked.monotonic + bounded(std::min(session.idle_left, session.absolute_left));
  // How much of the idle time is gone tells when the store last heard of a use; nothing does, where the absolute end caps what is left.
  const bool is_capped = session.idle_left >= session.absolute_left;
  const milliseconds unused = is_capped ? milliseconds(0) : std::max(settings.idle_timeout - session.idle_left, milliseconds(0));
  const bool is_touch_due = unused >= settings.touch_interval();
  cached.next_touch = asked.monotonic + settings.touch_interval() - (is_touch_due ? milliseconds(0) : unused);
  flight.outcome = self->conclude(flight, facts_of(std::move(session), settings, asked.wall), std::move(cached));
  if (is_touch_due && std::holds_alternative<IdentityPtr>(*flight.outcome)) start_touch(self, flight.subject.key, settings);
}

Task<void> SessionAuthenticator::Impl::fly_foreign(ImplPtr self, FlightPtr flight) {
  const Landing landing(*self, *flight);
  const ForeignSessions& settings = *flight->settings->foreign;
  const Moment asked = self->now();
  std::string prefix = settings.prefix;
  std::string id = flight->subject.foreign_id;
  auto found = co_await self->store->find_foreign_session(std::move(prefix), std::move(id));
  if (!found) {
    flight->outcome = Unavailable{found.error().detail};
    co_return;
  }
  if (!*found) {
    flight->outcome = self->forget(*flight, Refused{RefusalReason::unknown_session, settings.name});
    co_return;
  }
  const store::ForeignSession& session = **found;
  if (session.id != flight->subject.foreign_id) {
    flight->outcome = Unavailable{"the store answered with another session"};
    co_return;
  }
  Reading reading = facts_of(session, settings, asked.wall);
  CachedSession cached;
  cached.as_of = asked.monotonic;
  if (const auto* facts = std::get_if<IdentityFacts>(&reading)) {
    cached.absolute_end = asked.monotonic + std::chrono::floor<MonotonicTime::duration>(facts->expires_at - asked.wall);
  }
  cached.end = cached.absolute_end;
  flight->outcome = self->conclude(*flight, std::move(reading), std::move(cached));
}

IdentityPtr SessionAuthenticator::Impl::make_identity(const Flight& flight, IdentityFacts facts) {
  const auto* identity = new identity::VerifiedIdentity(std::move(facts));
  if (flight.subject.kind == SessionKind::own) return IdentityPtr(identity);
  return IdentityPtr(identity, ForeignOrigin{flight.subject.foreign_id, flight.settings});
}

AuthOutcome SessionAuthenticator::Impl::forget(const Flight& flight, Refused refused) {
  cache.forget(flight.subject.kind, flight.subject.key);
  return refused;
}

AuthOutcome SessionAuthenticator::Impl::conclude(const Flight& flight, Reading reading, CachedSession session) {
  if (auto* refused = std::get_if<Refused>(&reading)) return forget(flight, std::move(*refused));
  auto& facts = std::get<IdentityFacts>(reading);
  const std::uint64_t generation = around.revocations.generation();  // before they are asked
  const bool knows_revocations = around.revocations.is_complete();
  const bool revoked = is_revoked(facts);
  if (!revoked && !knows_revocations) return Unavailable{"what was revoked is not known yet"};
  const bool is_true = flight.heard && !flight.changed && hears(around.clock.monotonic_now());
  const CachedSession* older = cache.find(flight.subject.kind, flight.subject.key);
  // What could not hear of a change may still replace what is older, which an outage can make useful, and is worth no more than that.
  const bool replaces_older = older != nullptr && older->as_of <= session.as_of;
  // What is not remembered cannot learn that its idle end moved.
  if (!is_true) facts.expires_at -= session.absolute_end - session.end;
  session.kind = flight.subject.kind;
  session.key = flight.subject.key;
  session.identity = make_identity(flight, std::move(facts));
  session.settings = flight.settings;
  session.revocations_seen = revoked ? 0 : generation;  // a revoked one is kept to be refused from memory
  session.epoch = replaces_older && !is_true ? older->epoch : hearing.epoch();
  IdentityPtr identity = session.identity;
  if (is_true || replaces_older) cache.insert(flight.cookie, std::move(session));
  if (revoked) return Refused{RefusalReason::revoked, "session"};
  return identity;
}

void SessionAuthenticator::Impl::mark_changed(SessionKind kind, const store::Digest& key) {
  const auto [begin, end] = flights.equal_range(FlightKey(kind, key));
  std::for_each(begin, end, [](const auto& entry) { entry.second->changed = true; });
  if (cache.forget(kind, key)) ++around.metrics.session_cache_invalidations;
}

void SessionAuthenticator::Impl::mark_all_changed() {
  for (const auto& [key, flight] : flights) flight->changed = true;
}

// One at a time: whoever else finds it due meanwhile leaves it to this one.
void SessionAuthenticator::Impl::start_touch(const ImplPtr& self, const store::Digest& key, const SessionSettings& settings) {
  if (!self->touching.insert(key).second) return;
  Task<void> task = touch(self, key, settings.idle_timeout);
  self->around.tasks.spawn(std::move(task));
}

Task<void> SessionAuthenticator::Impl::touch(ImplPtr self, store::Digest key, milliseconds idle_timeout) {
  struct Done {
    Impl& impl;
    const store::Digest& key;
    ~Done() { impl.touching.erase(key); }
  } const done{*self, key};
  const MonotonicTime asked = self->around.clock.monotonic_now();
  auto touched = co_await self->store->touch_session(key, idle_timeout);
  if (!touched) co_return;  // the idle end stays where it was; the next use after the interval tries again
  if (!*touched) {
    self->mark_changed(SessionKind::own, key);
    co_return;
  }
  CachedSession* const session = self->cache.find(SessionKind::own, key);
  if (session == nullptr || session->as_of > asked) co_return;  // read since: the store knows better
  session->as_of = asked;
  session->end = std::min(asked + bounded(idle_timeout), session->absolute_end);
}

bool SessionAuthenticator::Impl::remembers(SessionKind kind, const store::Digest& key, const std::string& subject) {
  const MonotonicTime now = around.clock.monotonic_now();
  if (!hears(now)) return false;
  const CachedSession* session = cache.find(kind, key);
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
  if (self->is_revoked(facts)) co_return false;
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

Task<AuthOutcome> SessionAuthenticator::ask_own(std::string cookie, SessionSettingsPtr settings) {
  return Impl::ask(impl_, SessionKind::own, std::move(cookie), std::move(settings));
}

std::optional<AuthOutcome> SessionAuthenticator::try_foreign(std::string_view cookie, const SessionSettings& settings) {
  return Impl::recall(impl_, SessionKind::foreign, cookie, settings);
}

Task<AuthOutcome> SessionAuthenticator::ask_foreign(std::string cookie, SessionSettingsPtr settings) {
  return Impl::ask(impl_, SessionKind::foreign, std::move(cookie), std::move(settings));
}

Task<bool> SessionAuthenticator::still_stands(IdentityPtr identity) { return Impl::stands(impl_, std::move(identity)); }

bool SessionAuthenticator::is_remembered(const IdentityPtr& identity) const { return impl_->remembers(identity); }

std::optional<WallTime> SessionAuthenticator::idle_expires_at(const IdentityFacts& facts) {
  if (facts.method != identity::AuthMethod::session) return std::nullopt;
  const std::optional<store::Digest> key = store::digest_of_handle(facts.session);
  if (!key) return std::nullopt;  // of another application
  const CachedSession* session = impl_->cache.find(SessionKind::own, *key);
  if (session == nullptr) return facts.expires_at;
  const Moment now = impl_->now();
  return std::min(now.wall + std::chrono::floor<WallTime::duration>(session->end - now.monotonic), facts.expires_at);
}

void SessionAuthenticator::look_at_channel() noexcept { (void)impl_->hears(impl_->around.clock.monotonic_now()); }

void SessionAuthenticator::session_changed(const store::Digest& key) { impl_->mark_changed(SessionKind::own, key); }

void SessionAuthenticator::foreign_session_changed(std::string_view id) { impl_->mark_changed(SessionKind::foreign, key_of_foreign(id)); }

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
