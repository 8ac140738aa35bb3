#include "upstream/assignment.hpp"

#include <chrono>

namespace sallyport::upstream {

Assignment::~Assignment() {
  give_up();
  if (is_chosen_) upstream_.balancer.ended(server_);
  if (is_pending_) upstream_.shared->end_pending();
  if (!has_entered_) return;
  upstream_.shared->leave();
  upstream_.counts->ended.add();
}

Assignment::Entry Assignment::enter() {
  SharedUpstream& shared = *upstream_.shared;
  UpstreamCounts& counts = *upstream_.counts;
  if (!shared.enter()) {
    counts.refused_requests.add();
    return Entry::overloaded;
  }
  has_entered_ = true;
  counts.began.add();
  if (!shared.begin_pending()) {
    counts.refused_pending.add();
    return Entry::overloaded;
  }
  is_pending_ = true;
  const std::optional<Pick> pick = upstream_.balancer.pick(shared.board(), {}, is_repeatable_);
  if (!pick) {
    counts.refused_unavailable.add();
    return Entry::unavailable;
  }
  take(*pick);
  return Entry::admitted;
}

bool Assignment::move_on(const std::vector<bool>& tried) {
  const std::optional<Pick> pick = upstream_.balancer.pick(upstream_.shared->board(), tried, is_repeatable_);
  if (!pick) return false;
  give_up();
  upstream_.balancer.ended(server_);
  take(*pick);
  return true;
}

void Assignment::take(const Pick& pick) noexcept {
  server_ = pick.server;
  on_trial_ = pick.on_trial;
  is_judged_ = false;
  is_chosen_ = true;
  upstream_.balancer.began(server_);
}

void Assignment::heard() noexcept {
  if (!is_pending_) return;
  is_pending_ = false;
  upstream_.shared->end_pending();
  if (!on_trial_) return;
  // It answers, which is what the trial was about: the rest may take hours, and is judged like that of any other request.
  succeeded();
  on_trial_ = false;
  is_judged_ = false;
}

void Assignment::succeeded() noexcept {
  if (is_judged_) return;
  is_judged_ = true;
  HealthBoard& board = upstream_.shared->board();
  if (on_trial_ || board.has_failed(server_)) board.succeeded(server_, on_trial_, std::chrono::steady_clock::now());
}

void Assignment::failed() noexcept {
  if (is_judged_) return;
  is_judged_ = true;
  upstream_.shared->board().failed(server_, on_trial_, std::chrono::steady_clock::now());
}

void Assignment::give_up() noexcept {
  if (on_trial_ && !is_judged_) upstream_.shared->board().gave_up_trial(server_);
  is_judged_ = true;
  on_trial_ = false;
}

}  // namespace sallyport::upstream
