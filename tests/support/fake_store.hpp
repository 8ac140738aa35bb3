// A store in memory that does as the test says: answers, hangs, fails, changes what it was asked for behind the asker's back, and counts.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>

#include "base/clock.hpp"
#include "store/store.hpp"

namespace sallyport::testing {

// On one thread, that of its io_context. Keeps what store::Store promises, by the clock it is given; whoever changes a session is told of
// by every listener before the call returns. Every call
//   1. is counted,
//   2. decides, from what is kept at that moment, what it will answer (a change takes place then),
//   3. calls on_decided, where the test may change or tell what it likes,
//   4. waits while hang() holds,
//   5. answers, unless fail_with() has an error by now.
class FakeStore final : public store::Store {
 public:
  FakeStore(boost::asio::io_context& context, const Clock& clock, store::RevocationList* revocations = nullptr)
      : clock_(clock), revocations_(revocations), released_(context.get_executor()) {
    released_.expires_at(std::chrono::steady_clock::time_point::max());
  }

  // What the test says.
  void fail_with(std::optional<Fault> fault) { fault_ = fault; }  // nullopt: works again
  void hang() { hangs_ = true; }
  // Later calls are answered; those that wait go on waiting until release().
  void pass() { hangs_ = false; }
  void release() {
    hangs_ = false;
    released_.cancel();
  }
  void on_decided(std::function<void(std::string_view command)> then) { on_decided_ = std::move(then); }
  void hear(bool hears) { hears_ = hears; }
  void add_listener(store::ChangeListener& listener) { listeners_.push_back(&listener); }
  void tell_everything_changed() {
    for (store::ChangeListener* listener : listeners_) listener->everything_changed();
  }
  // Answers of sessions carry this key instead of their own (hazards N08).
  void answer_as(std::optional<store::Digest> key) { answered_key_ = key; }

  // As another application, or an operator, would: directly, and told to the listeners.
  void put_foreign(std::string prefix, std::string id, std::string_view json,
                   std::optional<std::chrono::milliseconds> left = std::nullopt) {
    auto document = Json::parse(json);
    if (!document) throw std::invalid_argument("FakeStore: no JSON");
    foreign_[prefix + id] = {std::move(*document), left ? std::optional(now() + *left) : std::nullopt};
    tell_foreign(id);
  }
  void remove_foreign(const std::string& prefix, const std::string& id) {
    foreign_.erase(prefix + id);
    tell_foreign(id);
  }
  void remove_session(const store::Digest& key) {
    if (sessions_.erase(key) != 0) tell_session(key);
  }
  // Nobody is told.
  void lose_session(const store::Digest& key) { sessions_.erase(key); }
  void set_claims(const store::Digest& key, Json claims) {
    sessions_.at(key).claims = std::move(claims);
    tell_session(key);
  }
  void set_subject(const store::Digest& key, std::string subject) {
    sessions_.at(key).subject = std::move(subject);
    tell_session(key);
  }
  // Nothing is left, as after FLUSHALL; whoever listens is told.
  void flush() {
    sessions_.clear();
    foreign_.clear();
    families_.clear();
    for (store::ChangeListener* listener : listeners_) listener->everything_ended();
  }

  // Calls so far, of one command or of all.
  [[nodiscard]] std::size_t calls(std::string_view command) const {
    const auto found = calls_.find(command);
    return found == calls_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::size_t calls() const {
    std::size_t total = 0;
    for (const auto& [command, count] : calls_) total += count;
    return total;
  }
  [[nodiscard]] std::size_t waiting() const { return waiting_; }
  [[nodiscard]] std::size_t session_count() const { return sessions_.size(); }
  [[nodiscard]] std::size_t family_count() const { return families_.size(); }
  [[nodiscard]] const std::vector<store::Revocation>& revoked() const { return revoked_; }

  Task<Result<void>> create_session(store::NewSession session) override {
    Result<void> answer = keep(std::move(session));
    return answer_with("create_session", std::move(answer));
  }
  Task<Result<std::optional<store::Session>>> find_session(store::Digest key) override {
    std::optional<store::Session> found;
    if (const auto at = live_session(key); at != sessions_.end()) found = as_answer(at->first, at->second);
    return answer_with<std::optional<store::Session>>("find_session", std::move(found));
  }
  // Without it whoever seeks has to find.
  void take_seekers(bool takes) { takes_seekers_ = takes; }
  // Who seeks next finds none.
  void run_out_of_memory() { lacks_memory_ = true; }
  bool seek_session(const store::Digest& key, std::shared_ptr<store::SessionSeeker> seeker, MonotonicTime /*now*/) override {
    if (std::exchange(lacks_memory_, false)) throw std::bad_alloc();
    if (!takes_seekers_) return false;
    boost::asio::co_spawn(released_.get_executor(), tell(find_session(key), std::move(seeker)), [](const std::exception_ptr&) {});
    return true;
  }
  Task<Result<bool>> touch_session(store::Digest key, std::chrono::milliseconds idle_timeout) override {
    const auto at = live_session(key);
    const bool is_there = at != sessions_.end();
    // As long as it cannot be answered nothing happens either: an outage, not a lost answer.
    if (is_there && !fault_) {
      at->second.last_seen_at = now();
      at->second.idle_end = std::min(now() + idle_timeout, at->second.absolute_end);
      last_touch_ = idle_timeout;
    }
    return answer_with<bool>("touch_session", is_there);
  }
  Task<Result<bool>> end_session(store::Digest key) override {
    const bool was_there = live_session(key) != sessions_.end();
    if (!fault_) remove_session(key);
    return answer_with<bool>("end_session", was_there);
  }
  Task<Result<std::vector<store::Session>>> sessions_of(std::string subject) override {
    std::vector<store::Session> found;
    for (const auto& [key, kept] : sessions_) {
      if (kept.subject == subject && kept.idle_end > now()) found.push_back(as_answer(key, kept));
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.created_at < b.created_at; });
    return answer_with<std::vector<store::Session>>("sessions_of", std::move(found));
  }
  Task<Result<std::optional<store::ForeignSession>>> find_foreign_session(std::string prefix, std::string id) override {
    std::optional<store::ForeignSession> found;
    if (const auto at = foreign_.find(prefix + id); at != foreign_.end() && !(at->second.end && *at->second.end <= now())) {
      found = store::ForeignSession{id, at->second.document, std::nullopt};
      if (at->second.end) found->left = left_until(*at->second.end);
    }
    if (found && answered_id_) found->id = *answered_id_;
    return answer_with<std::optional<store::ForeignSession>>("find_foreign_session", std::move(found));
  }
  // Answers of foreign sessions carry this id instead of their own.
  void answer_as_foreign(std::optional<std::string> id) { answered_id_ = std::move(id); }

  Task<Result<store::Family>> create_family(store::NewFamily family) override {
    if (fault_) return answer_with<store::Family>("create_family", error());
    KeptFamily kept{std::move(family.subject), std::move(family.claims), 1, now(), now(), {}, now() + family.family_ttl};
    kept.refresh_end = std::min(now() + family.refresh_ttl, kept.end);
    const auto at = families_.insert_or_assign(family.key, std::move(kept)).first;
    return answer_with<store::Family>("create_family", as_answer(at->first, at->second));
  }
  Task<Result<store::Rotation>> rotate_family(store::Digest key, std::uint64_t presented, store::RotationRules rules) override {
    if (fault_) return answer_with<store::Rotation>("rotate_family", error());
    return answer_with<store::Rotation>("rotate_family", rotate(key, presented, rules));
  }
  Task<Result<bool>> end_family(store::Digest key) override {
    const bool was_there = !fault_ && families_.erase(key) != 0;
    return answer_with<bool>("end_family", was_there);
  }
  Task<Result<void>> end_all_of(std::string subject) override {
    if (!fault_) {
      std::vector<store::Digest> ended;
      for (const auto& [key, kept] : sessions_) {
        if (kept.subject == subject) ended.push_back(key);
      }
      for (const store::Digest& key : ended) remove_session(key);
      std::erase_if(families_, [&](const auto& entry) { return entry.second.subject == subject; });
    }
    return answer_with("end_all_of", Result<void>());
  }
  Task<Result<void>> revoke(store::Revocation revocation) override {
    if (fault_) return answer_with("revoke", Result<void>(error()));
    if (!revocation.issued_before) revocation.issued_before = now();
    revoked_.push_back(revocation);
    if (revocations_ == nullptr || revocations_->add(revocation, now() + revocation.keep_for, now())) {
      return answer_with("revoke", Result<void>());
    }
    return answer_with("revoke", Result<void>(make_error(Fault::too_large, "too many revocations")));
  }
  Task<Result<Secret>> agree_on_secret(std::string name, Secret proposal) override {
    if (fault_) return answer_with<Secret>("agree_on_secret", error());
    const auto bytes = proposal.reveal();
    const std::string& kept = secrets_.try_emplace(std::move(name), bytes.begin(), bytes.end()).first->second;
    return answer_with<Secret>("agree_on_secret", Secret(std::string(kept)));
  }
  bool hears_changes(MonotonicTime /*now*/) const noexcept override { return hears_; }

  [[nodiscard]] std::chrono::milliseconds last_touch() const { return last_touch_; }  // its idle_timeout

 private:
  struct KeptSession {
    std::string subject;
    Json claims;
    WallTime created_at;
    WallTime last_seen_at;
    WallTime idle_end;
    WallTime absolute_end;
  };
  struct KeptFamily {
    std::string subject;
    Json claims;
    std::uint64_t generation;
    WallTime started_at;
    WallTime rotated_at;
    WallTime refresh_end;
    WallTime end;
  };
  struct KeptForeign {
    Json document;
    std::optional<WallTime> end;
  };
  using Sessions = std::map<store::Digest, KeptSession>;
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  [[nodiscard]] WallTime now() const { return clock_.wall_now(); }
  [[nodiscard]] Error error() const { return make_error(*fault_, "the test says so"); }
  [[nodiscard]] std::chrono::milliseconds left_until(WallTime end) const {
    return std::chrono::ceil<std::chrono::milliseconds>(end - now());
  }

  Result<void> keep(store::NewSession session) {
    if (fault_) return error();
    if (session.subject.empty()) return make_error(Fault::malformed, "no subject");
    KeptSession kept{std::move(session.subject), std::move(session.claims), now(), now(), {}, now() + session.absolute_timeout};
    kept.idle_end = std::min(now() + session.idle_timeout, kept.absolute_end);
    sessions_.insert_or_assign(session.key, std::move(kept));
    return {};
  }
  [[nodiscard]] Sessions::iterator live_session(const store::Digest& key) {
    const auto at = sessions_.find(key);
    return at == sessions_.end() || at->second.idle_end <= now() ? sessions_.end() : at;
  }
  [[nodiscard]] store::Session as_answer(const store::Digest& key, const KeptSession& kept) const {
    return {answered_key_.value_or(key),
            kept.subject,
            *store::SessionClaims::parse(kept.claims.dump(), {}),
            kept.created_at,
            kept.last_seen_at,
            left_until(kept.idle_end),
            left_until(kept.absolute_end)};
  }
  [[nodiscard]] store::Family as_answer(const store::Digest& key, const KeptFamily& kept) const {
    return {key, kept.subject, kept.claims, kept.generation, kept.started_at, kept.rotated_at, left_until(kept.refresh_end)};
  }
  store::Rotation rotate(const store::Digest& key, std::uint64_t presented, const store::RotationRules& rules) {
    using Outcome = store::Rotation::Outcome;
    const auto at = families_.find(key);
    if (at == families_.end() || at->second.refresh_end <= now()) return {};
    KeptFamily& kept = at->second;
    if (presented == kept.generation) {
      ++kept.generation;
      kept.rotated_at = now();
      kept.refresh_end = std::min(now() + rules.refresh_ttl, kept.end);
      return {Outcome::rotated, as_answer(key, kept)};
    }
    if (presented + 1 == kept.generation && now() - kept.rotated_at <= rules.reuse_window) return {Outcome::repeated, as_answer(key, kept)};
    store::Rotation reused{Outcome::reused, as_answer(key, kept)};
    families_.erase(at);
    return reused;
  }

  void tell_session(const store::Digest& key) {
    for (store::ChangeListener* listener : listeners_) listener->session_changed(key);
  }
  void tell_foreign(const std::string& id) {
    for (store::ChangeListener* listener : listeners_) listener->foreign_session_changed(id);
  }

  template <class T>
  Task<Result<T>> answer_with(std::string_view command, std::type_identity_t<Result<T>> answer) {
    return deliver(this, command, std::move(answer));
  }
  Task<Result<void>> answer_with(std::string_view command, Result<void> answer) { return deliver(this, command, std::move(answer)); }

  static Task<void> tell(Task<Result<std::optional<store::Session>>> asked, std::shared_ptr<store::SessionSeeker> seeker) {
    auto found = co_await std::move(asked);
    seeker->told(std::move(found));
  }

  template <class T>
  static Task<Result<T>> deliver(FakeStore* self, std::string_view command, Result<T> answer) {
    ++self->calls_[command];
    if (const auto then = self->on_decided_) then(command);  // a copy: it may replace itself
    ++self->waiting_;
    for (bool waits = self->hangs_; waits; waits = self->hangs_) {
      auto woken = co_await self->released_.async_wait(as_result);
      (void)woken;  // released, or the asker was cancelled: the next line tells
      const auto state = co_await boost::asio::this_coro::cancellation_state;
      if (state.cancelled() != boost::asio::cancellation_type::none) break;
    }
    --self->waiting_;
    if (self->fault_) co_return self->error();
    co_return answer;
  }

  const Clock& clock_;
  store::RevocationList* revocations_;
  Timer released_;  // never expires
  std::optional<Fault> fault_;
  bool hangs_ = false;
  bool hears_ = true;
  bool takes_seekers_ = true;
  bool lacks_memory_ = false;
  std::size_t waiting_ = 0;
  std::function<void(std::string_view)> on_decided_;
  std::vector<store::ChangeListener*> listeners_;
  std::optional<store::Digest> answered_key_;
  std::optional<std::string> answered_id_;
  std::map<std::string_view, std::size_t> calls_;
  Sessions sessions_;
  std::map<std::string, KeptForeign> foreign_;
  std::map<store::Digest, KeptFamily> families_;
  std::map<std::string, std::string> secrets_;
  std::vector<store::Revocation> revoked_;
  std::chrono::milliseconds last_touch_{};
};

}  // namespace sallyport::testing
