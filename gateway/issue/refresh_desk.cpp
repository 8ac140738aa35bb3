// The desks where refresh tokens are spent: one question to the store for all who present the same one.
#include <map>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/timer.hpp"
#include "issue/token_pairs.hpp"

namespace sallyport::issue {
namespace {

using Outcome = store::Rotation::Outcome;

// A rotation under way and what became of it.
struct Flight {
  explicit Flight(const Executor& executor) : landed(executor) { landed.expires_at(std::chrono::steady_clock::time_point::max()); }

  Timer landed;  // never by time: the end of the rotation cancels the waits
  RefreshOutcome outcome = RefreshUnavailable{"the rotation broke off"};
  Outcome answer = Outcome::gone;
  bool is_over = false;
  bool is_told = false;  // to the first who waited
};

std::string text_of(const Error& error) { return std::string(name(error.fault)) + ": " + error.detail; }

}  // namespace

struct RefreshDesk::Impl {
  using FlightKey = std::pair<store::Digest, std::uint64_t>;

  explicit Impl(const Surroundings& given) : surroundings(given) {}

  Surroundings surroundings;
  std::map<FlightKey, std::shared_ptr<Flight>> flights;

  // Owns what it uses: it is spawned, and may outlive everybody who asked.
  [[nodiscard]] static Task<void> fly(std::shared_ptr<Impl> impl, std::shared_ptr<Flight> flight, authenticate::RefreshToken token,
                                      EdgeKeysPtr keys, authenticate::TagKeysPtr tags);
  static void take_off(const std::shared_ptr<Impl>& impl, const Executor& executor, const std::shared_ptr<Flight>& flight,
                       authenticate::RefreshToken token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags);
  void land(const FlightKey& key, Flight& flight);

  [[nodiscard]] Task<RefreshOutcome> judge(const store::Rotation& rotation, const authenticate::RefreshToken& token, const EdgeKeys& keys,
                                           const authenticate::TagKeys& tags);
  [[nodiscard]] Task<RefreshOutcome> hand_out(const store::Family& family, const authenticate::RefreshToken& token, const EdgeKeys& keys,
                                              const authenticate::TagKeys& tags);
  [[nodiscard]] Task<RefreshOutcome> condemn(const store::Family& family, std::string handle, std::chrono::milliseconds keep_for);
  [[nodiscard]] Task<RefreshOutcome> refuse(std::string_view reason, store::Digest family);
  [[nodiscard]] bool is_revoked(const store::Family& family, std::string_view handle) const;

  [[nodiscard]] RefreshOutcome tell(Flight& flight);
};

RefreshDesk::RefreshDesk(const Surroundings& surroundings) : impl_(std::make_shared<Impl>(surroundings)) {}
RefreshDesk::~RefreshDesk() = default;

std::size_t RefreshDesk::under_way() const noexcept { return impl_->flights.size(); }

Task<RefreshOutcome> RefreshDesk::refresh(authenticate::RefreshToken token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags) {
  const std::shared_ptr<Impl> impl = impl_;
  const Impl::FlightKey key(token.family_key, token.generation);
  std::shared_ptr<Flight> flight;
  if (const auto found = impl->flights.find(key); found != impl->flights.end()) {
    flight = found->second;
  } else {
    const Executor executor = co_await boost::asio::this_coro::executor;
    flight = std::make_shared<Flight>(executor);
    impl->flights.emplace(key, flight);
    Impl::take_off(impl, executor, flight, std::move(token), std::move(keys), std::move(tags));
  }
  if (!flight->is_over) {
    const auto woken = co_await flight->landed.async_wait(as_result);
    (void)woken;  // always aborted, by the landing or by whoever cancels this wait: is_over tells
  }
  if (!flight->is_over) co_return RefreshUnavailable{"nobody waits any more"};
  co_return impl->tell(*flight);
}

void RefreshDesk::Impl::take_off(const std::shared_ptr<Impl>& impl, const Executor& executor, const std::shared_ptr<Flight>& flight,
                                 authenticate::RefreshToken token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags) {
  const FlightKey key(token.family_key, token.generation);
  try {
    boost::asio::co_spawn(executor, fly(impl, flight, std::move(token), std::move(keys), std::move(tags)),
                          [impl, flight, key](const std::exception_ptr&) { impl->land(key, *flight); });
  } catch (...) {
    // Those who come later must not wait for what never began.
    impl->flights.erase(key);
    throw;
  }
}

void RefreshDesk::Impl::land(const FlightKey& key, Flight& flight) {
  flight.is_over = true;
  flights.erase(key);
  flight.landed.cancel();
}

Task<void> RefreshDesk::Impl::fly(std::shared_ptr<Impl> impl, std::shared_ptr<Flight> flight, authenticate::RefreshToken token,
                                  EdgeKeysPtr keys, authenticate::TagKeysPtr tags) {
  if (!impl->surroundings.revocations.is_complete()) {  // before anything is spent
    flight->outcome = RefreshUnavailable{"what was revoked is not known yet"};
    co_return;
  }
  const store::RotationRules rules{keys->settings().reuse_window, keys->settings().refresh_ttl};
  const Result<store::Rotation> rotation = co_await impl->surroundings.store.rotate_family(token.family_key, token.generation, rules);
  if (!rotation) {
    flight->outcome = RefreshUnavailable{text_of(rotation.error())};
    co_return;
  }
  flight->answer = rotation->outcome;
  flight->outcome = co_await impl->judge(*rotation, token, *keys, *tags);
}

Task<RefreshOutcome> RefreshDesk::Impl::judge(const store::Rotation& rotation, const authenticate::RefreshToken& token,
                                              const EdgeKeys& keys, const authenticate::TagKeys& tags) {
  switch (rotation.outcome) {
    case Outcome::rotated:
    case Outcome::repeated: return hand_out(rotation.family, token, keys, tags);
    case Outcome::reused: return condemn(rotation.family, store::handle_of(token.family_key), keys.settings().family_ttl);
    case Outcome::gone: break;
  }
  return refuse("gone", token.family_key);
}

// The store's yes is not the last word: a logout, or a revocation of the subject, may have come while it answered (hazards H14).
Task<RefreshOutcome> RefreshDesk::Impl::hand_out(const store::Family& family, const authenticate::RefreshToken& token, const EdgeKeys& keys,
                                                 const authenticate::TagKeys& tags) {
  if (family.key != token.family_key || family.generation != token.generation + 1) {
    co_return RefreshUnavailable{"the store answered for another family or generation"};
  }
  const std::string handle = store::handle_of(token.family_key);
  const bool revoked = is_revoked(family, handle);
  Result<TokenPairPtr> pair = make_error(Fault::not_found, "revoked");
  if (!revoked) pair = make_pair(family, token.family_id, keys, tags, surroundings.revocations, surroundings.clock.wall_now());
  if (pair) co_return std::move(*pair);
  if (pair.error().fault != Fault::not_found) co_return RefreshUnavailable{text_of(pair.error())};
  const Result<bool> ended = co_await surroundings.store.end_family(token.family_key);
  (void)ended;  // it is refused whatever became of the record
  co_return RefreshRefused{revoked ? "revoked" : "gone", handle, {}};
}

bool RefreshDesk::Impl::is_revoked(const store::Family& family, std::string_view handle) const {
  store::RevocationList::Credential credential;
  credential.subject = family.subject;
  credential.family = handle;
  credential.issued_at = family.started_at;
  return surroundings.revocations.revokes(credential, surroundings.clock.wall_now());
}

// The store has ended the family and broadcast it. Where the list has not got it even so (its broadcast failed after the end), it is asked
// again, because the family's access tokens are refused by the list alone; if that fails too they live out their minutes, and the thief
// still holds nothing that can be refreshed.
Task<RefreshOutcome> RefreshDesk::Impl::condemn(const store::Family& family, std::string handle, std::chrono::milliseconds keep_for) {
  Result<void> revoked;
  if (!is_revoked(family, handle)) {
    store::Revocation revocation;
    revocation.kind = store::Revocation::Kind::family;
    revocation.value = handle;
    revocation.keep_for = keep_for;
    revoked = co_await surroundings.store.revoke(std::move(revocation));
  }
  if (revoked) surroundings.metrics.revocation("family");
  co_return RefreshRefused{"reused", std::move(handle), family.subject};
}

Task<RefreshOutcome> RefreshDesk::Impl::refuse(std::string_view reason, store::Digest family) {
  co_return RefreshRefused{reason, store::handle_of(family), {}};
}

// Each hears what the store would have told them, had they asked one after the other.
RefreshOutcome RefreshDesk::Impl::tell(Flight& flight) {
  RefreshOutcome outcome = flight.outcome;
  const bool is_first = !std::exchange(flight.is_told, true);
  if (std::holds_alternative<RefreshUnavailable>(outcome)) {
    surroundings.metrics.refresh("unavailable");
  } else if (auto* refused = std::get_if<RefreshRefused>(&outcome)) {
    if (!is_first && flight.answer == Outcome::reused) {
      refused->reason = "gone";
      refused->subject.clear();
    }
    surroundings.metrics.refresh(refused->reason);
  } else {
    surroundings.metrics.refresh(is_first && flight.answer == Outcome::rotated ? "rotated" : "repeated");
  }
  return outcome;
}

void RefreshDesks::add(Executor executor, RefreshDesk& desk) { members_.push_back({std::move(executor), &desk}); }

Task<RefreshOutcome> RefreshDesks::refresh(Executor asking, authenticate::RefreshToken token, EdgeKeysPtr keys,
                                           authenticate::TagKeysPtr tags) const {
  if (members_.empty()) co_return RefreshUnavailable{"no desk"};
  // A digest's bytes are random: any of them choose evenly.
  std::size_t choice = 0;
  for (std::size_t i = 0; i < sizeof(choice); ++i) choice = choice << 8U | token.family_key[i];
  const Member& owner = members_[choice % members_.size()];
  Task<RefreshOutcome> asked = owner.desk->refresh(std::move(token), std::move(keys), std::move(tags));
  if (owner.executor == asking) co_return co_await std::move(asked);
  auto spawned = boost::asio::co_spawn(owner.executor, std::move(asked), as_result);
  auto answered = co_await std::move(spawned);
  auto& [exception, outcome] = answered;
  if (exception) co_return RefreshUnavailable{"the rotation broke off"};
  co_return std::move(outcome);
}

}  // namespace sallyport::issue
