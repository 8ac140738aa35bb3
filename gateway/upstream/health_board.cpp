#include "upstream/health_board.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace sallyport::upstream {

HealthBoard::HealthBoard(std::size_t servers, std::optional<EjectionSettings> ejection, std::chrono::milliseconds slow_start)
    : size_(servers), ejection_(ejection), slow_start_(slow_start), servers_(std::make_unique<Server[]>(servers)) {}

bool HealthBoard::claim_trial(std::size_t server, bool is_repeatable) noexcept {
  const std::uint32_t seen = word(server);
  if ((seen & kOnTrial) == 0 || (!is_repeatable && (seen & kTrialOfAny) == 0)) return false;
  const std::lock_guard lock(mutex_);
  Slow& slow = servers_[server].slow;
  if (!slow.trial_since || slow.is_claimed || slow.is_unhealthy) return false;
  slow.is_claimed = true;
  publish(server);
  return true;
}

void HealthBoard::gave_up_trial(std::size_t server) noexcept {
  const std::lock_guard lock(mutex_);
  servers_[server].slow.is_claimed = false;
  publish(server);
}

void HealthBoard::succeeded(std::size_t server, bool on_trial, MonotonicTime now) noexcept {
  servers_[server].failures.store(0, std::memory_order_relaxed);
  if (!on_trial) return;
  const std::lock_guard lock(mutex_);
  Slow& slow = servers_[server].slow;
  slow.is_claimed = false;
  if (slow.trial_since) {  // else it was judged again meanwhile
    come_back(slow, now);
    note(HealthEvent::Kind::returned, server, "a request succeeded");
  }
  publish(server);
}

void HealthBoard::failed(std::size_t server, bool on_trial, MonotonicTime now) noexcept {
  if (!ejection_) return;
  const std::uint32_t failures = servers_[server].failures.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!on_trial && failures < ejection_->failures) return;
  const std::lock_guard lock(mutex_);
  Slow& slow = servers_[server].slow;
  servers_[server].failures.store(0, std::memory_order_relaxed);
  if (on_trial) {
    slow.is_claimed = false;
    if (slow.trial_since) eject(server, now);
  } else if (!slow.is_ejected && may_eject(server)) {
    eject(server, now);
  }
  publish(server);
}

bool HealthBoard::may_eject(std::size_t server) const noexcept {
  std::size_t out = 1;
  std::size_t others_fit = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    if (i == server) continue;
    const Slow& slow = servers_[i].slow;
    if (slow.is_ejected) ++out;
    if (!slow.is_ejected && !slow.is_unhealthy) ++others_fit;
  }
  return others_fit != 0 && out * 100 <= size_ * ejection_->percent_max;
}

void HealthBoard::eject(std::size_t server, MonotonicTime now) {
  Slow& slow = servers_[server].slow;
  // Who was back for as long as he had been out begins anew.
  const bool is_repeated = slow.is_ejected || (slow.repetitions != 0 && now - slow.back_since < slow.out_for);
  slow.repetitions = is_repeated ? std::min(slow.repetitions + 1, kRepetitionsMax) : 1;
  slow.out_for = ejection_->time * slow.repetitions;
  slow.out_until = now + slow.out_for;
  slow.is_ejected = true;
  slow.trial_since.reset();
  slow.warming_since.reset();
  ejections_.fetch_add(1, std::memory_order_relaxed);
  note(HealthEvent::Kind::ejected, server, fmt::format("requests to it fail; it is left out for {} ms", slow.out_for.count()));
}

void HealthBoard::come_back(Slow& slow, MonotonicTime now) const noexcept {
  slow.is_ejected = false;
  slow.trial_since.reset();
  slow.back_since = now;
  slow.warming_since.reset();
  slow.share = kFullShare;
  if (slow_start_.count() == 0) return;
  slow.warming_since = now;
  slow.share = kFirstShare;
}

void HealthBoard::checked(std::size_t server, bool is_good, std::string_view why, const HealthSettings& health, MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  Slow& slow = servers_[server].slow;
  slow.good = is_good ? slow.good + 1 : 0;
  slow.bad = is_good ? 0 : slow.bad + 1;
  const bool is_first = !std::exchange(slow.is_settled, true);
  // Who has never been seen well may just be starting: one good answer is enough.
  const std::uint32_t good_enough = slow.was_healthy ? health.healthy_after : 1;
  slow.was_healthy = slow.was_healthy || is_good;
  if (!is_good && !slow.is_unhealthy && (is_first || slow.bad >= health.unhealthy_after)) {
    slow.is_unhealthy = true;
    note(HealthEvent::Kind::unhealthy, server, std::string(why));
  } else if (is_good && slow.is_unhealthy && slow.good >= good_enough) {
    slow.is_unhealthy = false;
    servers_[server].failures.store(0, std::memory_order_relaxed);
    come_back(slow, now);
    note(HealthEvent::Kind::healthy, server, std::string(why));
  }
  publish(server);
}

void HealthBoard::advance(MonotonicTime now) {
  if (is_plain()) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < size_; ++i) {
    Slow& slow = servers_[i].slow;
    if (slow.is_ejected && !slow.trial_since && now >= slow.out_until) slow.trial_since = now;
    slow.takes_any = slow.trial_since && now - *slow.trial_since >= slow.out_for;
    if (slow.warming_since) {
      const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - *slow.warming_since);
      if (since >= slow_start_) {
        slow.warming_since.reset();
        slow.share = kFullShare;
      } else {
        const auto grown = static_cast<std::uint32_t>(since.count() * (kFullShare - kFirstShare) / slow_start_.count());
        slow.share = kFirstShare + grown;
      }
    }
    publish(i);
  }
}

void HealthBoard::inherit(std::size_t server, const HealthBoard& other, std::size_t theirs) {
  const std::scoped_lock lock(mutex_, other.mutex_);
  Slow& slow = servers_[server].slow;
  slow = other.servers_[theirs].slow;
  slow.is_claimed = false;
  slow.good = slow.bad = 0;
  if (!ejection_) {
    slow.is_ejected = false;
    slow.trial_since.reset();
  }
  publish(server);
}

void HealthBoard::forget_checks() {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < size_; ++i) {
    servers_[i].slow.is_unhealthy = false;
    servers_[i].slow.is_settled = false;
    publish(i);
  }
}

void HealthBoard::publish(std::size_t server) noexcept {
  const Slow& slow = servers_[server].slow;
  std::uint32_t next = slow.is_unhealthy || slow.is_ejected ? 0 : slow.share;
  if (slow.is_unhealthy) next |= kUnhealthy;
  if (slow.is_ejected) next |= kEjected;
  if (slow.trial_since && !slow.is_claimed && !slow.is_unhealthy) next |= kOnTrial | (slow.takes_any ? kTrialOfAny : 0);
  const std::uint32_t before = servers_[server].word.exchange(next, std::memory_order_relaxed);
  if (before == kFullShare && next != kFullShare) special_.fetch_add(1, std::memory_order_relaxed);
  if (before != kFullShare && next == kFullShare) special_.fetch_sub(1, std::memory_order_relaxed);
}

void HealthBoard::note(HealthEvent::Kind kind, std::size_t server, std::string detail) {
  if (events_.size() < kEventsMax) events_.push_back({kind, server, std::move(detail)});
}

std::vector<HealthEvent> HealthBoard::take_events() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

}  // namespace sallyport::upstream
