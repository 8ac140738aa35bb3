#include "pipeline/request_log.hpp"

#include "base/secret.hpp"
#include "base/text.hpp"
#include "http/client_address.hpp"

namespace sallyport::pipeline {

std::string subject_hash(std::string_view subject) {
  const Sha256 digest = sha256(subject);
  return hex_encode(std::string_view(reinterpret_cast<const char*>(digest.data()), 8));
}

std::string_view SubjectHashes::of(std::string_view subject) {
  if (subject.size() > kSubjectBytesMax) return unremembered_ = subject_hash(subject);
  if (places_.empty()) places_.resize(kPlaces);
  Place& place = places_[std::hash<std::string_view>{}(subject) % kPlaces];
  if (place.hash.empty() || place.subject != subject) {
    place = Place{std::string(subject), subject_hash(subject)};
  }
  return place.hash;
}

std::string_view method_label(http::Method method) noexcept {
  switch (method) {
    case http::Method::get: return "GET";
    case http::Method::head: return "HEAD";
    case http::Method::post: return "POST";
    case http::Method::put: return "PUT";
    case http::Method::patch: return "PATCH";
    case http::Method::delete_: return "DELETE";
    case http::Method::options: return "OPTIONS";
    case http::Method::connect: return "CONNECT";
    case http::Method::trace: return "TRACE";
    case http::Method::other: return "other";
  }
  return "other";
}

void RequestLog::common_fields(const RequestRecord& record, const http::Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  const http::ClientAddress client = http::client_address(exchange.peer(), request);
  line_.text("request_id", record.id.view())
      .text("trace_id", record.trace.trace_id())
      .text("listener", exchange.peer().listener)
      .text("route", record.route)
      .text("client_ip", client.view())
      .text("method", request.method_text)
      .text("host", request.host_name)
      .text("path", request.target.path());  // without the query: it may hold anything
}

void RequestLog::finished(const RequestRecord& record, const http::Exchange& exchange) {
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(clock_.monotonic_now() - exchange.started_at());
  // A tunnel is as long as its talk, which says nothing about how fast we answer: its handshake counts.
  const auto answered_after = record.status == 101 ? record.upstream_time.value_or(duration) : duration;
  metrics_.request(record.route, method_label(exchange.request().method), record.status, answered_after);
  if (record.upstream_time) metrics_.upstream(record.upstream, *record.upstream_time);
  if (access_.is_off()) return;

  line_.begin(clock_.wall_now(), observe::Level::info, "request");
  common_fields(record, exchange);
  line_.number("status", record.status)
      .number("bytes_in", static_cast<std::int64_t>(exchange.bytes_in()))
      .number("bytes_out", static_cast<std::int64_t>(exchange.bytes_out()))
      .milliseconds("duration_ms", duration);
  if (!record.upstream.empty()) {
    line_.text("upstream", record.upstream).text("server", record.server);
    if (record.upstream_time) line_.milliseconds("upstream_ms", *record.upstream_time);
  }
  if (record.identity != nullptr) line_.text("subject_hash", hashes_.of(record.identity->facts().subject));
  line_.text("decision", record.decision).text("reason", record.reason);
  if (!record.detail.empty()) line_.text("detail", record.detail);
  access_.add(line_.end());
}

void RequestLog::decided(const RequestRecord& record, const http::Exchange& exchange) {
  metrics_.decision(record.route, record.auth_method, record.decision, record.reason);
  if (!audit_.is_off()) write_decision(record, exchange, 0);
}

void RequestLog::decided_often(const RequestRecord& record, const http::Exchange& exchange) {
  metrics_.decision(record.route, record.auth_method, record.decision, record.reason);
  if (audit_.is_off()) return;
  const MonotonicTime now = clock_.monotonic_now();
  if (now - often_since_ >= std::chrono::seconds(1)) {
    often_since_ = now;
    often_written_ = 0;
  }
  if (often_written_ == kOftenPerSecond) {
    ++often_unwritten_;
    return;
  }
  ++often_written_;
  write_decision(record, exchange, std::exchange(often_unwritten_, 0));
}

void RequestLog::write_decision(const RequestRecord& record, const http::Exchange& exchange, std::uint64_t unwritten) {
  line_.begin(clock_.wall_now(), record.decision == "allowed" ? observe::Level::info : observe::Level::warning, "decision");
  common_fields(record, exchange);
  line_.text("auth_method", record.auth_method);
  if (record.identity != nullptr) {
    line_.text("issuer", record.identity->facts().issuer_name).text("subject_hash", hashes_.of(record.identity->facts().subject));
  }
  line_.text("decision", record.decision).text("reason", record.reason).text("detail", record.detail);
  if (unwritten != 0) line_.number("unwritten", static_cast<std::int64_t>(unwritten));
  audit_.add(line_.end());
}

void RequestLog::event(const AuditEvent& event, const RequestRecord& record, const http::Exchange& exchange) {
  if (audit_.is_off()) return;
  line_.begin(clock_.wall_now(), event.level, event.name);
  common_fields(record, exchange);
  if (!event.subject.empty()) line_.text("subject_hash", hashes_.of(event.subject));
  if (!event.session.empty()) line_.text("session", event.session);
  if (!event.family.empty()) line_.text("family", event.family);
  if (!event.kind.empty()) line_.text("kind", event.kind);
  if (!event.detail.empty()) line_.text("detail", event.detail);
  audit_.add(line_.end());
}

}  // namespace sallyport::pipeline
