// What a route's rules add to every answer of a request, whoever gives it: CORS, what is left of its rate limits, security headers.
#pragma once

#include <optional>
#include <vector>

#include "http/exchange.hpp"
#include "pipeline/rate_limits.hpp"
#include "pipeline/request_log.hpp"
#include "pipeline/respond.hpp"

namespace sallyport::pipeline {

class RuleFields {
 public:
  // Of what the record knows by now. The record, the exchange and the snapshot outlive this.
  RuleFields(const RequestRecord& record, const http::Exchange& exchange);
  RuleFields(const RuleFields&) = delete;
  RuleFields& operator=(const RuleFields&) = delete;

  // For an answer of the upstream: in place of what it says itself. The fields' views live as long as this.
  void append_to(std::vector<http::Field>& fields) const;
  // For an answer of ours. `response_headers` are for the upstream's answers only: ours say what they must.
  [[nodiscard]] Answer complete(const Answer& answer) const;

 private:
  const RequestRecord& record_;
  const http::Exchange& exchange_;
  std::optional<QuotaFields> quota_;
};

}  // namespace sallyport::pipeline
