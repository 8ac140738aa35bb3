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
using std::chrono::milliseconds;

milliseconds bounded(milliseconds left) noexcept { return std::min<milliseconds>(left, kSessionLifeMax); }

}  // namespace

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

void SessionAuthenticator::Impl::Flight::told(Result<std::optional<store::Session>>&& found) {
  const ImplPtr impl = asker.lock();
  if (!impl) return;  // and nobody waits
  const Landing landing(*impl, *this);
  land_own(impl, *this, std::move(found));
}

Task<Authentication> SessionAuthenticator::Impl::ask(ImplPtr self, SessionKind kind, std::string cookie, SessionSettingsPtr settings) {
  Authentication authentication{.by_cookie = true};
  auto opened = self->open(kind, cookie, *settings);
  if (auto* outcome = std::get_if<AuthOutcome>(&opened)) {
    authentication.outcome = std::move(*outcome);
    co_return authentication;
  }
  const Executor executor = co_await boost::asio::this_coro::executor;
  const FlightPtr flight = board(self, executor, std::get<Subject>(std::move(opened)), std::move(cookie), settings);
  while (!flight->outcome) {
    Event::Wait landing = flight->landed.wait();
    co_await std::move(landing);  // or whoever gives this request up: the outcome decides
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (!flight->outcome && state.cancelled() != boost::asio::cancellation_type::none) {
      authentication.outcome = Unavailable{"nobody waits for it any more"};
      co_return authentication;
    }
  }
  std::optional<AuthOutcome> remembered;
  if (std::holds_alternative<Unavailable>(*flight->outcome)) {
    remembered = self->use_in_outage(self->cache.find(kind, flight->subject.key), *settings);
  }
  if (remembered) {
    authentication.outcome = std::move(*remembered);
  } else if (flight.use_count() == 1) {  // nobody else comes to look at it
    authentication.outcome = std::move(*flight->outcome);
  } else {
    authentication.outcome = *flight->outcome;
  }
  co_return authentication;
}

// The flight that will tell, or a new one. Whoever comes after a change must not learn from a question that was asked before it; and when
// changes are not heard nobody can say whether one came between.
auto SessionAuthenticator::Impl::board(const ImplPtr& self, const Executor& executor, Subject subject, std::string cookie,
                                       const SessionSettingsPtr& settings) -> FlightPtr {
  const FlightKey key(subject.kind, subject.key);
  const Moment now = self->now();
  const bool heard = self->hears(now.monotonic);
  const auto [begin, end] = self->flights.equal_range(key);
  const auto joined = std::find_if(begin, end, [&](const auto& entry) {
    const Flight& flight = *entry.second;
    return heard && flight.heard && !flight.changed && flight.settings == settings;
  });
  if (joined != end) return joined->second;
  if (!self->home) self->home.emplace(executor);
  auto flight = std::make_shared<Flight>(*self->home, std::move(subject), std::move(cookie), settings);
  flight->heard = heard;
  flight->asker = self;
  flight->asked = now;
  self->flights.emplace(key, flight);
  try {
    const bool is_own = key.first == SessionKind::own;
    if (is_own && self->store->seek_session(key.second, flight, now.monotonic)) return flight;
    Task<void> task = is_own ? fly_own(self, flight) : fly_foreign(self, flight);
    self->around.tasks.spawn(std::move(task));
  } catch (...) {  // no memory: nobody will tell, and nobody may wait for it
    const Landing landing(*self, *flight);
    throw;
  }
  return flight;
}

Task<void> SessionAuthenticator::Impl::fly_own(ImplPtr self, FlightPtr flight) {
  const Landing landing(*self, *flight);
  auto found = co_await self->store->find_session(flight->subject.key);
  land_own(self, *flight, std::move(found));
}

void SessionAuthenticator::Impl::land_own(const ImplPtr& self, Flight& flight, Result<std::optional<store::Session>>&& found) {
  self->cache.prefetch(flight.cookie, flight.subject.key);
  if (!found) {
    flight.outcome = Unavailable{found.error().detail};
    return;
  }
  if (!*found) {
    flight.outcome = self->forget(flight, Refused{RefusalReason::unknown_session, "session"});
    return;
  }
  const Moment& asked = flight.asked;
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
  const Moment& asked = flight->asked;
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

IdentityPtr SessionAuthenticator::Impl::make_identity(const Flight& flight, IdentityFacts&& facts) {
  struct Counted final : identity::VerifiedIdentity {  // in one piece with its counter: one line of memory less for each request
    explicit Counted(IdentityFacts&& facts) : VerifiedIdentity(std::move(facts)) {}
  };
  if (flight.subject.kind == SessionKind::own) return std::make_shared<const Counted>(std::move(facts));
  return IdentityPtr(new identity::VerifiedIdentity(std::move(facts)), ForeignOrigin{flight.subject.foreign_id, flight.settings});
}

AuthOutcome SessionAuthenticator::Impl::forget(const Flight& flight, Refused refused) {
  cache.forget(flight.subject.kind, flight.subject.key);
  return refused;
}

AuthOutcome SessionAuthenticator::Impl::conclude(const Flight& flight, Reading&& reading, CachedSession&& session) {
  if (auto* refused = std::get_if<Refused>(&reading)) return forget(flight, std::move(*refused));
  auto& facts = std::get<IdentityFacts>(reading);
  const std::uint64_t generation = around.revocations.generation();  // before they are asked
  const bool knows_revocations = around.revocations.is_complete();
  const bool revoked = is_revoked(facts, flight.asked.wall);  // as of then: one that is about to be forgotten counts for longer
  if (!revoked && !knows_revocations) return Unavailable{"what was revoked is not known yet"};
  const bool is_true = flight.heard && !flight.changed && hears(around.clock.monotonic_now());
  const CachedSession* older = cache.peek(flight.subject.kind, flight.subject.key);
  // What could not hear of a change may still replace what is older, which an outage can make useful, and is worth no more than that.
  const bool replaces_older = older != nullptr && older->as_of <= session.as_of;
  facts.idle_expires_at = facts.expires_at - (session.absolute_end - session.end);
  // What is not remembered cannot learn that its idle end moved.
  if (!is_true) facts.expires_at = *facts.idle_expires_at;
  session.kind = flight.subject.kind;
  session.key = flight.subject.key;
  session.identity = make_identity(flight, std::move(facts));
  session.settings = flight.settings;
  session.revocations_seen = revoked ? 0 : generation;  // a revoked one is kept to be refused from memory
  session.epoch = replaces_older && !is_true ? older->epoch : hearing.epoch();
  const CachedSession* const kept = is_true || replaces_older ? cache.insert(flight.cookie, std::move(session)) : nullptr;
  if (revoked) return Refused{RefusalReason::revoked, "session"};
  if (kept != nullptr) return kept->identity;
  return std::move(session.identity);
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
  CachedSession* const session = self->cache.peek(SessionKind::own, key);
  if (session == nullptr || session->as_of > asked) co_return;  // read since: the store knows better
  session->as_of = asked;
  session->end = std::min(asked + bounded(idle_timeout), session->absolute_end);
}

}  // namespace sallyport::authenticate
