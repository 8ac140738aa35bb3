// A store whose clock, failures and pauses the test decides. Several of them may share one SharedState, as several gateways do.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "store/store.hpp"

namespace sallyport::issue {

// Stands where the test puts it.
class SteadyClock final : public Clock {
 public:
  explicit SteadyClock(WallTime wall) : wall_(wall) {}
  [[nodiscard]] WallTime wall_now() const override { return wall_; }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return MonotonicTime(wall_.time_since_epoch()); }
  void advance(std::chrono::milliseconds time) { wall_ += time; }
  void set(WallTime wall) { wall_ = wall; }

 private:
  WallTime wall_;
};

struct SharedState {
  struct FamilyRecord {
    store::Family family;
    WallTime refresh_end;
    WallTime family_end;
  };
  std::mutex mutex;
  std::map<store::Digest, store::NewSession> sessions;
  std::map<store::Digest, FamilyRecord> families;
  std::vector<store::Revocation> revocations;
  std::map<std::string, int> commands;  // how often each was asked
  std::vector<std::string> order;       // in which they took effect
};

class UnreliableStore final : public store::Store {
 public:
  UnreliableStore(std::shared_ptr<SharedState> state, const Clock& clock, store::RevocationList& revocations)
      : state_(std::move(state)), clock_(clock), revocations_(revocations) {}

  // Commands answer with this and do nothing.
  std::map<std::string, Fault> refused;
  // Commands are done, but the answer is lost.
  std::map<std::string, Fault> lost;
  // Whether the end of a family by reuse is heard of, as it should be.
  bool broadcasts_reuse = true;
  // rotate_family is done at once and answers only after let_go().
  void hold_rotations(Executor executor) {
    gate_.emplace(executor);
    gate_->expires_at(std::chrono::steady_clock::time_point::max());
  }
  void let_go() {
    const std::optional<Timer> gate = std::exchange(gate_, std::nullopt);  // its destruction ends the waits
  }
  [[nodiscard]] SharedState& state() { return *state_; }
  [[nodiscard]] int asked(const std::string& command) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->commands.find(command);
    return found == state_->commands.end() ? 0 : found->second;
  }
  [[nodiscard]] int asked() const {
    const std::lock_guard lock(state_->mutex);
    int sum = 0;
    for (const auto& [command, count] : state_->commands) sum += count;
    return sum;
  }

  Task<Result<void>> create_session(store::NewSession session) override {
    const std::optional<Error> refusal = begin("create_session");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    state_->sessions.emplace(session.key, session);
    co_return ending("create_session");
  }
  Task<Result<std::optional<store::Session>>> find_session(store::Digest key) override {
    const std::optional<Error> refusal = begin("find_session");
    if (refusal) co_return *refusal;
    std::optional<store::Session> found;
    {
      const std::lock_guard lock(state_->mutex);
      if (const auto at = state_->sessions.find(key); at != state_->sessions.end()) {
        const store::NewSession& kept = at->second;
        found = store::Session{
            key, kept.subject, *store::SessionClaims::parse(kept.claims.dump(), {}), {}, {}, kept.idle_timeout, kept.absolute_timeout};
      }
    }
    const Result<void> end = ending("find_session");
    if (!end) co_return end.error();
    co_return found;
  }
  Task<Result<bool>> touch_session(store::Digest, std::chrono::milliseconds) override { co_return unused(); }
  Task<Result<bool>> end_session(store::Digest key) override {
    const std::optional<Error> refusal = begin("end_session");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    const bool was_there = state_->sessions.erase(key) != 0;
    const Result<void> end = ending("end_session");
    if (!end) co_return end.error();
    co_return was_there;
  }
  Task<Result<std::vector<store::Session>>> sessions_of(std::string) override { co_return unused(); }
  Task<Result<std::optional<store::ForeignSession>>> find_foreign_session(std::string, std::string) override { co_return unused(); }

  Task<Result<store::Family>> create_family(store::NewFamily asked) override {
    const std::optional<Error> refusal = begin("create_family");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    const WallTime now = now_in_milliseconds();
    SharedState::FamilyRecord record;
    record.family = {asked.key, asked.subject, asked.claims, 1, now, now, std::min(asked.refresh_ttl, asked.family_ttl)};
    record.family_end = now + asked.family_ttl;
    record.refresh_end = now + record.family.refresh_left;
    state_->families[asked.key] = record;
    const Result<void> end = ending("create_family");
    if (!end) co_return end.error();
    co_return record.family;
  }

  Task<Result<store::Rotation>> rotate_family(store::Digest key, std::uint64_t presented, store::RotationRules rules) override {
    const std::optional<Error> refusal = begin("rotate_family");
    if (refusal) co_return *refusal;
    const store::Rotation rotation = rotate(key, presented, rules);
    if (gate_) {
      const auto woken = co_await gate_->async_wait(as_result);
      (void)woken;
    }
    const Result<void> end = ending("rotate_family");
    if (!end) co_return end.error();
    co_return rotation;
  }

  Task<Result<bool>> end_family(store::Digest key) override {
    const std::optional<Error> refusal = begin("end_family");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    const bool was_there = state_->families.erase(key) != 0;
    const Result<void> end = ending("end_family");
    if (!end) co_return end.error();
    co_return was_there;
  }

  Task<Result<void>> end_all_of(std::string subject) override {
    const std::optional<Error> refusal = begin("end_all_of");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    std::erase_if(state_->sessions, [&](const auto& entry) { return entry.second.subject == subject; });
    std::erase_if(state_->families, [&](const auto& entry) { return entry.second.family.subject == subject; });
    co_return ending("end_all_of");
  }

  Task<Result<void>> revoke(store::Revocation revocation) override {
    const std::optional<Error> refusal = begin("revoke");
    if (refusal) co_return *refusal;
    const std::lock_guard lock(state_->mutex);
    if (!revocation.issued_before) revocation.issued_before = now_in_milliseconds();
    if (!revocations_.add(revocation, clock_.wall_now() + revocation.keep_for, clock_.wall_now())) {
      co_return make_error(Fault::too_large, "full");
    }
    state_->revocations.push_back(revocation);
    co_return ending("revoke");
  }

  Task<Result<Secret>> agree_on_secret(std::string, Secret) override { co_return unused(); }
  bool hears_changes(MonotonicTime /*now*/) const noexcept override { return true; }

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  static Error unused() { return make_error(Fault::unsupported, "not a part of this fake"); }

  std::optional<Error> begin(const std::string& command) {
    const std::lock_guard lock(state_->mutex);
    ++state_->commands[command];
    const auto found = refused.find(command);
    if (found == refused.end()) return std::nullopt;
    return make_error(found->second, "as the test asked");
  }
  // Called with or without the lock: `order` is only looked at by tests of one thread.
  Result<void> ending(const std::string& command) {
    if (is_recorded) state_->order.push_back(command);
    const auto found = lost.find(command);
    if (found != lost.end()) return make_error(found->second, "the answer was lost");
    return {};
  }

  [[nodiscard]] WallTime now_in_milliseconds() const { return std::chrono::floor<std::chrono::milliseconds>(clock_.wall_now()); }

  store::Rotation rotate(const store::Digest& key, std::uint64_t presented, const store::RotationRules& rules) {
    using Outcome = store::Rotation::Outcome;
    const std::lock_guard lock(state_->mutex);
    const WallTime now = now_in_milliseconds();
    const auto found = state_->families.find(key);
    if (found == state_->families.end()) return {Outcome::gone, {}};
    SharedState::FamilyRecord& record = found->second;
    if (now >= record.refresh_end) return {Outcome::gone, {}};
    if (presented == record.family.generation) {
      ++record.family.generation;
      record.family.rotated_at = now;
      record.refresh_end = std::min(now + rules.refresh_ttl, record.family_end);
      return {Outcome::rotated, as_left(record, now)};
    }
    if (presented + 1 == record.family.generation && now < record.family.rotated_at + rules.reuse_window) {
      return {Outcome::repeated, as_left(record, now)};
    }
    store::Rotation reused{Outcome::reused, as_left(record, now)};
    state_->families.erase(found);
    if (broadcasts_reuse) {
      const store::Revocation revocation{store::Revocation::Kind::family, store::handle_of(key), now, std::chrono::hours(24 * 31)};
      (void)revocations_.add(revocation, now + revocation.keep_for, now);
    }
    return reused;
  }
  static store::Family as_left(const SharedState::FamilyRecord& record, WallTime now) {
    store::Family family = record.family;
    family.refresh_left = std::chrono::duration_cast<std::chrono::milliseconds>(record.refresh_end - now);
    return family;
  }

 public:
  bool is_recorded = true;

 private:
  std::shared_ptr<SharedState> state_;
  const Clock& clock_;
  store::RevocationList& revocations_;
  std::optional<Timer> gate_;
};

}  // namespace sallyport::issue
