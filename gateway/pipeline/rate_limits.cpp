#include "pipeline/rate_limits.hpp"

#include <algorithm>

#include "base/secret.hpp"
#include "pipeline/request_log.hpp"

namespace sallyport::pipeline {
namespace {

using authorize::LimitBy;
using authorize::Quota;
using authorize::RateLimit;
using std::chrono::microseconds;

LimitStage stage_of(LimitBy by) noexcept {
  switch (by) {
    case LimitBy::address:
    case LimitBy::failed_authentication: return LimitStage::before;
    case LimitBy::subject: return LimitStage::identified;
    case LimitBy::route: return LimitStage::admitted;
  }
  return LimitStage::before;
}

std::uint64_t seconds_up(std::chrono::nanoseconds time) noexcept {
  return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(time).count());
}

// Whose bucket it is.
class Key {
 public:
  Key(const RateLimit& rule, std::string_view address, const identity::VerifiedIdentity* identity, bool is_preflight) : address_(address) {
    if (rule.by == LimitBy::route) {
      // Anybody sends preflights: he must not use up what is for those who may use the route.
      if (is_preflight) text_ = "preflight";
      return;
    }
    if (rule.by != LimitBy::subject) {
      text_ = address_.view();
    } else if (identity != nullptr) {
      // Two issuers may name two people alike.
      subject_.append("s").append(identity->facts().issuer_name).append(1, '\0').append(identity->facts().subject);
      text_ = subject_;
    } else {
      subject_.append("a").append(address_.view());
      text_ = subject_;
    }
  }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  [[nodiscard]] std::string_view view() const noexcept { return text_; }

 private:
  authorize::AddressKey address_;
  std::string subject_;
  std::string_view text_;
};

void remember(const Quota& quota, RequestRecord& record) {
  if (!record.quota || quota.remaining < record.quota->remaining) record.quota = quota;
}

store::RateQuestion question_about(const RateLimit& rule, std::string_view key, store::RateQuestion::Kind kind) {
  std::string name = rule.name;
  name.append(1, '\0').append(key);
  const auto interval = std::max(std::chrono::round<microseconds>(rule.interval()), microseconds(1));
  return {sha256(name), interval, interval * static_cast<std::int64_t>(rule.burst), kind};
}

Quota quota_of(const RateLimit& rule, const store::RateQuestion& asked, const store::RateAnswer& answer) {
  const microseconds left = asked.fill_time - answer.owed;
  Quota quota{.allowed = answer.allowed, .limit = rule.burst, .until_full = answer.owed};
  quota.remaining = static_cast<std::uint64_t>(left / asked.interval);
  if (left < asked.interval) quota.retry_after = asked.interval - left;
  return quota;
}

}  // namespace

bool RateLimits::has_exact(const std::vector<RateLimit>& rules, LimitStage stage) const noexcept {
  return store_ != nullptr &&
         std::ranges::any_of(rules, [stage](const RateLimit& rule) { return rule.exact && stage_of(rule.by) == stage; });
}

Answer RateLimits::refuse(const RateLimit& rule, const Quota& quota, RequestRecord& record) {
  record.quota = quota;
  record.detail = rule.name;
  metrics_.rate_limited(record.route, authorize::name(rule.by));
  return answer_for_rate_limit(std::max<std::uint64_t>(seconds_up(quota.retry_after), 1));
}

std::optional<Answer> RateLimits::check(const std::vector<RateLimit>& rules, LimitStage stage, std::string_view address,
                                        const identity::VerifiedIdentity* identity, MonotonicTime now, RequestRecord& record) {
  for (const RateLimit& rule : rules) {
    if (stage_of(rule.by) != stage || rule.by == LimitBy::failed_authentication) continue;
    if (limiter_ == nullptr) return answer_for_unavailable();
    const Key key(rule, address, identity, record.is_preflight);
    const Quota quota = limiter_->take(rule, key.view(), now);
    if (!quota.allowed) return refuse(rule, quota, record);
    remember(quota, record);
  }
  return std::nullopt;
}

bool RateLimits::counts_failures(const std::vector<RateLimit>& rules) noexcept {
  return std::ranges::any_of(rules, [](const RateLimit& rule) { return rule.by == LimitBy::failed_authentication; });
}

RateLimits::Begun RateLimits::begin_attempts(const std::vector<RateLimit>& rules, std::string_view address, MonotonicTime now,
                                             bool may_wait, RequestRecord& record) {
  if (limiter_ == nullptr) return {.refusal = answer_for_unavailable()};
  record.attempts.clear();
  for (const RateLimit& rule : rules) {
    if (rule.by != LimitBy::failed_authentication) continue;
    authorize::RateLimiter::Begun begun = limiter_->begin(rule, authorize::AddressKey(address).view(), now);
    if (begun.attempt) {
      record.attempts.push_back(std::move(*begun.attempt));
      continue;
    }
    // Who holds one and waits for another would make others wait.
    record.attempts.clear();
    if (begun.is_crowded && may_wait) return {.must_wait = true};
    return {.refusal = refuse(rule, begun.quota, record)};
  }
  return {};
}

// Our own bucket first: it knows a part of what the shared one knows, so what it refuses would be refused there, too, and a flood does not
// reach the store.
Task<std::optional<Answer>> RateLimits::check_exactly(const std::vector<RateLimit>& rules, LimitStage stage, std::string_view address,
                                                      const identity::VerifiedIdentity* identity, MonotonicTime now,
                                                      RequestRecord& record) {
  std::optional<Answer> refused = check(rules, stage, address, identity, now, record);
  if (refused) co_return refused;
  for (const RateLimit& rule : rules) {
    if (!rule.exact || stage_of(rule.by) != stage) continue;
    const Key key(rule, address, identity, record.is_preflight);
    const bool counts = rule.by != LimitBy::failed_authentication;
    const auto kind = counts ? store::RateQuestion::Kind::take : store::RateQuestion::Kind::look;
    const store::RateQuestion question = question_about(rule, key.view(), kind);
    const Result<store::RateAnswer> answer = co_await store_->limit_rate(question);
    if (!answer) {
      // What this process knows alone has let it pass. A store of its own has nothing to add.
      if (answer.error().fault != Fault::unsupported) metrics_.rate_limit_decided_alone(record.route);
      continue;
    }
    const Quota quota = quota_of(rule, question, *answer);
    if (!quota.allowed) {
      refused = refuse(rule, quota, record);
      co_return refused;
    }
    if (counts) remember(quota, record);
  }
  co_return std::nullopt;
}

void RateLimits::authentication_failed(const std::vector<RateLimit>& rules, std::string_view address, MonotonicTime now) {
  if (limiter_ == nullptr) return;
  for (const RateLimit& rule : rules) {
    if (rule.by == LimitBy::failed_authentication) limiter_->charge(rule, authorize::AddressKey(address).view(), now);
  }
}

Task<void> RateLimits::share_failure(const std::vector<RateLimit>& rules, std::string_view address) {
  for (const RateLimit& rule : rules) {
    if (rule.by != LimitBy::failed_authentication || !rule.exact) continue;
    const Key key(rule, address, nullptr, false);
    const store::RateQuestion question = question_about(rule, key.view(), store::RateQuestion::Kind::charge);
    const Result<store::RateAnswer> answer = co_await store_->limit_rate(question);
    static_cast<void>(answer);
  }
}

QuotaFields::QuotaFields(const Quota& quota)
    : limit(std::to_string(quota.limit)),
      remaining(std::to_string(quota.remaining)),
      reset(std::to_string(seconds_up(quota.allowed ? quota.until_full : quota.retry_after))) {}

}  // namespace sallyport::pipeline
