// Rate limits on a request's road: who waits, who is refused, and what counts as a failure.
#include <chrono>
#include <optional>
#include <utility>

#include "base/timer.hpp"
#include "http/client_address.hpp"
#include "pipeline/pipeline.hpp"

namespace sallyport::pipeline {
namespace {

// How long a request waits for others that may be failing to authenticate, and how often it looks.
constexpr std::chrono::milliseconds kAttemptPatience{2'000};
constexpr std::chrono::milliseconds kAttemptLook{20};

}  // namespace

Task<bool> Pipeline::pass_limits(http::Exchange& exchange, LimitStage stage, const identity::VerifiedIdentity* identity,
                                 const std::vector<std::string>& cookies, RequestRecord& record) {
  const std::vector<authorize::RateLimit>& limits = record.rules->limits;
  if (limits.empty()) co_return true;
  const http::ClientAddress client = http::client_address(exchange.peer(), exchange.request());
  const MonotonicTime now = exchange.started_at();
  std::optional<Answer> refusal;
  if (stage == LimitStage::before && RateLimits::counts_failures(limits)) {
    const Executor executor = co_await boost::asio::this_coro::executor;
    RateLimits::Begun begun = rate_limits_.begin_attempts(limits, client.view(), now, true, record);
    for (std::chrono::milliseconds waited{0}; begun.must_wait; waited += kAttemptLook) {
      Task<void> waiting = pause(executor, kAttemptLook);
      co_await std::move(waiting);
      begun = rate_limits_.begin_attempts(limits, client.view(), now, waited < kAttemptPatience, record);
    }
    refusal = std::move(begun.refusal);
  }
  if (refusal) {
    // It is told below.
  } else if (rate_limits_.has_exact(limits, stage)) {
    refusal = co_await rate_limits_.check_exactly(limits, stage, client.view(), identity, now, record);
  } else {
    refusal = rate_limits_.check(limits, stage, client.view(), identity, now, record);
  }
  if (!refusal) co_return true;
  record.decision = "refused";
  record.reason = refusal->reason;
  refusal->add_cookies(cookies);
  log_.decided_often(record, exchange);
  co_await answer(exchange, *refusal, record);
  co_return false;
}

void Pipeline::count_failure(const http::Exchange& exchange, RequestRecord& record) {
  if (record.rules == nullptr || record.rules->limits.empty()) return;
  const http::ClientAddress client = http::client_address(exchange.peer(), exchange.request());
  rate_limits_.authentication_failed(record.rules->limits, client.view(), exchange.started_at());
  record.attempts.clear();
}

Task<void> Pipeline::share_failure(const http::Exchange& exchange, const RequestRecord& record) {
  if (record.rules == nullptr || record.rules->limits.empty()) co_return;
  const http::ClientAddress client = http::client_address(exchange.peer(), exchange.request());
  if (rate_limits_.has_exact(record.rules->limits, LimitStage::before)) {
    co_await rate_limits_.share_failure(record.rules->limits, client.view());
  }
}

}  // namespace sallyport::pipeline
