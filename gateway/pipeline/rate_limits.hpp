// The rate limits of a request: which of its route's rules apply when, and what the answer says about them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authorize/rate_limit.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"
#include "identity/verified_identity.hpp"
#include "observe/metrics.hpp"
#include "pipeline/respond.hpp"
#include "pipeline/route_rules.hpp"
#include "store/store.hpp"

namespace sallyport::pipeline {

struct RequestRecord;

// When a rule is asked. `address` and `failed_authentication` before anybody's credential is looked at; `subject` once it was (an anonymous
// caller counts by his address); `route` when nothing else is in the way of the upstream. Preflights that the upstream answers have a
// bucket of the route's measure to themselves.
enum class LimitStage : unsigned char { before, identified, admitted };

class RateLimits {
 public:
  // `store`: for exact rules; nullptr: they are decided here. `limiter` nullptr: whoever is limited gets 503.
  RateLimits(authorize::RateLimiter* limiter, store::Store* store, observe::WorkerMetrics& metrics)
      : limiter_(limiter), store_(store), metrics_(metrics) {}

  // Whether failed authentications are counted.
  [[nodiscard]] static bool counts_failures(const std::vector<authorize::RateLimit>& rules) noexcept;
  // First, where they are. Without a refusal the record has the attempts and the request may go on, unless it `must_wait`, which it may:
  // as many requests as may fail are under way, and most of them will not.
  struct Begun {
    std::optional<Answer> refusal = {};
    bool must_wait = false;
  };
  [[nodiscard]] Begun begin_attempts(const std::vector<authorize::RateLimit>& rules, std::string_view address, MonotonicTime now,
                                     bool may_wait, RequestRecord& record);
  // The refusal; nullopt: the request may go on. Remembers the tightest quota in the record. Never asks the store.
  [[nodiscard]] std::optional<Answer> check(const std::vector<authorize::RateLimit>& rules, LimitStage stage, std::string_view address,
                                            const identity::VerifiedIdentity* identity, MonotonicTime now, RequestRecord& record);
  // The same, and asks the store about the rules that are exact.
  [[nodiscard]] Task<std::optional<Answer>> check_exactly(const std::vector<authorize::RateLimit>& rules, LimitStage stage,
                                                          std::string_view address, const identity::VerifiedIdentity* identity,
                                                          MonotonicTime now, RequestRecord& record);
  [[nodiscard]] bool has_exact(const std::vector<authorize::RateLimit>& rules, LimitStage stage) const noexcept;

  // An answer 401, ours or the upstream's. Before the attempts end, and before the client knows.
  void authentication_failed(const std::vector<authorize::RateLimit>& rules, std::string_view address, MonotonicTime now);
  // The same for rules that are exact, where has_exact(…, before); after authentication_failed().
  [[nodiscard]] Task<void> share_failure(const std::vector<authorize::RateLimit>& rules, std::string_view address);

 private:
  [[nodiscard]] Answer refuse(const authorize::RateLimit& rule, const authorize::Quota& quota, RequestRecord& record);

  authorize::RateLimiter* limiter_;
  store::Store* store_;
  observe::WorkerMetrics& metrics_;
};

// RateLimit-Limit, -Remaining, -Reset as text (draft-ietf-httpapi-ratelimit-headers-03: whole seconds, rounded up).
struct QuotaFields {
  explicit QuotaFields(const authorize::Quota& quota);
  std::string limit;
  std::string remaining;
  std::string reset;
};

}  // namespace sallyport::pipeline
