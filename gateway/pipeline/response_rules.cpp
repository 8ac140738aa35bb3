#include "pipeline/response_rules.hpp"

#include "pipeline/cors.hpp"

namespace sallyport::pipeline {

RuleFields::RuleFields(const RequestRecord& record, const http::Exchange& exchange) : record_(record), exchange_(exchange) {
  if (record.quota) quota_.emplace(*record.quota);
}

void RuleFields::append_to(std::vector<http::Field>& fields) const {
  if (record_.rules->has_cors && !record_.rules->cors.passes) append_cors_fields(record_.rules->cors, exchange_.request(), fields);
  if (!quota_) return;
  fields.push_back({"RateLimit-Limit", quota_->limit});
  fields.push_back({"RateLimit-Remaining", quota_->remaining});
  fields.push_back({"RateLimit-Reset", quota_->reset});
}

Answer RuleFields::complete(const Answer& answer) const {
  Answer completed = answer;
  std::vector<http::Field> fields;
  if (record_.is_preflight) {
    // It says all there is to say of CORS itself.
    if (quota_) fields.push_back({"RateLimit-Limit", quota_->limit});
  } else {
    append_to(fields);
    if (record_.rules->answers.varies_by_origin) fields.push_back({"Vary", "Origin"});
  }
  if (record_.rules->answers.is_strict) upstream::add_security_headers(exchange_.peer().is_tls, fields);
  for (const http::Field& field : fields) completed.fields.emplace_back(field.name, field.value);
  return completed;
}

}  // namespace sallyport::pipeline
