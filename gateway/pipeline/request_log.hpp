// What is remembered of one request, and how it becomes a log line, an audit line and numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authorize/rate_limit.hpp"
#include "http/exchange.hpp"
#include "identity/verified_identity.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "observe/trace_context.hpp"
#include "pipeline/route_rules.hpp"

namespace sallyport::pipeline {

// The views are into the snapshot, the upstream and static text, which outlive the request; filled as it goes along its road.
struct RequestRecord {
  RequestRecord(observe::RequestId request_id, observe::TraceContext trace_context) : id(request_id), trace(trace_context) {}

  observe::RequestId id;
  observe::TraceContext trace;
  std::string_view route;     // empty: none matched
  std::string_view upstream;  // "orders 127.0.0.1:9001" is two fields: name here, server below
  std::string_view server;
  std::optional<std::chrono::microseconds> upstream_time;
  int status = 0;             // what the client was answered; 0: nothing
  std::string_view decision;  // "allowed", "refused", "none"
  std::string_view reason;    // a word from a fixed set; empty when allowed
  std::string detail;         // why, for a person; never of a token's content. Owned: what said it ends before the line is written
  std::string_view auth_method = "none";
  identity::IdentityPtr identity;
  const RouteRules* rules = nullptr;      // of its route, or of every request where no route matched; nullptr: there are none
  std::optional<authorize::Quota> quota;  // the tightest of the rate limits that were asked
  std::vector<authorize::RateLimiter::Attempt> attempts;  // while it is open whether this is a failed authentication
  bool is_preflight = false;                              // of CORS: nobody is known, and nobody's credential passes
};

// Something that the gateway did to a session, a token family or a subject, beside deciding about a request. Handles open nothing.
struct AuditEvent {
  std::string_view name;  // session_begun, session_ended, tokens_issued, tokens_refreshed, refresh_reused, revoked, establish_refused,
                          // establish_ignored
  observe::Level level = observe::Level::info;
  std::string_view subject = {};  // logged as its hash
  std::string_view session = {};  // handle
  std::string_view family = {};   // handle
  std::string_view kind = {};     // of revoked: what was (session, family, subject)
  std::string_view detail = {};   // for a person; never of a token's content
};

// The first 16 hex digits of the subject's SHA-256: tells callers apart in a log without naming them.
[[nodiscard]] std::string subject_hash(std::string_view subject);

// The same, remembered for as many subjects as there are places: a hash for each line would cost more than the rest of the line.
class SubjectHashes {
 public:
  static constexpr std::size_t kPlaces = 1024;
  static constexpr std::size_t kSubjectBytesMax = 255;  // longer ones are hashed each time

  // Valid until the next call.
  [[nodiscard]] std::string_view of(std::string_view subject);

 private:
  struct Place {
    std::string subject;
    std::string hash;  // empty: nobody's yet
  };
  std::vector<Place> places_;  // empty until a subject is logged
  std::string unremembered_;
};

class RequestLog {
 public:
  RequestLog(observe::WorkerLog& access, observe::WorkerLog& audit, observe::WorkerMetrics& metrics, const Clock& clock)
      : access_(access), audit_(audit), metrics_(metrics), clock_(clock) {}

  // Once per request, when its answer is out or given up.
  void finished(const RequestRecord& record, const http::Exchange& exchange);
  // A decision about a caller: every refusal, and every identity that was let in.
  void decided(const RequestRecord& record, const http::Exchange& exchange);
  // The same for decisions that a flood makes by the thousand: at most kOftenPerSecond of them are written in a second; the next line that
  // is says how many were not.
  void decided_often(const RequestRecord& record, const http::Exchange& exchange);
  void event(const AuditEvent& event, const RequestRecord& record, const http::Exchange& exchange);
  void malformed(http::RequestFault fault) { metrics_.malformed_request(http::name(fault)); }

 private:
  static constexpr std::uint64_t kOftenPerSecond = 20;
  void common_fields(const RequestRecord& record, const http::Exchange& exchange);
  void write_decision(const RequestRecord& record, const http::Exchange& exchange, std::uint64_t unwritten);

  observe::WorkerLog& access_;
  observe::WorkerLog& audit_;
  observe::WorkerMetrics& metrics_;
  const Clock& clock_;
  observe::LogLine line_;
  SubjectHashes hashes_;
  MonotonicTime often_since_{};  // the second that is counted
  std::uint64_t often_written_ = 0;
  std::uint64_t often_unwritten_ = 0;
};

// The `method` label: a known method or "other".
[[nodiscard]] std::string_view method_label(http::Method method) noexcept;

}  // namespace sallyport::pipeline
