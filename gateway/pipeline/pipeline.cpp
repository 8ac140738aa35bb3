// The order of the stages. This is the only file that knows it; each step says why it stands where it stands.
#include "pipeline/pipeline.hpp"

#include "pipeline/session_endpoint.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kOwnPrefix = "/.gateway";
constexpr std::size_t kSpareBuffersMax = 1024;

// On segment borders: `/.gatewayx` is nobody's of ours.
bool is_own_endpoint(std::string_view path) noexcept {
  return path.starts_with(kOwnPrefix) && (path.size() == kOwnPrefix.size() || path[kOwnPrefix.size()] == '/');
}

std::string_view incoming_traceparent(const http::Exchange& exchange) noexcept {
  const http::RequestHead& request = exchange.request();
  const http::Field* field = request.find(http::FieldId::traceparent);
  return field != nullptr && request.count(http::FieldId::traceparent) == 1 ? field->value : std::string_view{};
}

}  // namespace

class Pipeline::HeadBuffer {
 public:
  explicit HeadBuffer(std::vector<ByteBuffer>& spare) : spare_(spare) {
    if (!spare_.empty()) {
      buffer_ = std::move(spare_.back());
      spare_.pop_back();
    }
    buffer_.clear();
  }
  HeadBuffer(const HeadBuffer&) = delete;
  HeadBuffer& operator=(const HeadBuffer&) = delete;
  ~HeadBuffer() {
    if (spare_.size() < kSpareBuffersMax) spare_.push_back(std::move(buffer_));
  }
  [[nodiscard]] ByteBuffer& bytes() noexcept { return buffer_; }

 private:
  std::vector<ByteBuffer>& spare_;
  ByteBuffer buffer_;
};

Pipeline::Pipeline(const Surroundings& surroundings)
    : authenticator_(surroundings.token_cache),
      log_(surroundings.access_log, surroundings.audit_log, surroundings.metrics, surroundings.clock),
      clock_(surroundings.clock) {
  spare_buffers_.reserve(kSpareBuffersMax);
}

RequestRecord Pipeline::new_record(const http::Exchange& exchange) {
  return RequestRecord(observe::RequestId(ids_), observe::TraceContext(incoming_traceparent(exchange), ids_));
}

Task<void> Pipeline::handle(http::Exchange& exchange) {
  // One road from here to the end, whatever a reload does meanwhile (invariant 5).
  const std::shared_ptr<const Road> road = road_;
  RequestRecord record = new_record(exchange);
  co_await travel(exchange, *road, record);
  // Every request ends here, however it ended.
  log_.finished(record, exchange);
}

Task<void> Pipeline::refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view detail) {
  RequestRecord record = new_record(exchange);
  record.decision = "refused";
  record.detail = detail;
  const Answer refusal = answer_for(fault);
  record.reason = refusal.reason;
  co_await answer(exchange, refusal, record);
  log_.decided(record, exchange);
  log_.malformed(fault);
  log_.finished(record, exchange);
}

Task<void> Pipeline::travel(http::Exchange& exchange, const Road& road, RequestRecord& record) {
  const http::RequestHead& request = exchange.request();

  // `OPTIONS *` asks the server itself, so no route and no upstream can answer it.
  if (request.target.form() == http::TargetForm::asterisk) {
    record.status = 204;
    exchange.start(204, {}, {});
    static_cast<void>(co_await exchange.finish());
    co_return;
  }

  // Before routing: no route, `/**` included, may ever reach an upstream with our own prefix.
  if (is_own_endpoint(request.target.path())) {
    co_await own_endpoint(exchange, road, record);
    co_return;
  }

  // Route, authenticate, authorize: no I/O and no body yet, so that nobody uploads before being let in.
  const Verdict verdict = decide(request, exchange.peer().address, *road.snapshot, authenticator_, clock_.wall_now());
  if (const auto* allowed = std::get_if<Allowed>(&verdict)) {
    co_await forward(exchange, road, *allowed, record);
    co_return;
  }

  record.decision = "refused";
  Answer refusal;
  if (const auto* denied = std::get_if<DeniedOn>(&verdict)) {
    refusal = answer_for(denied->denied);
    record.route = denied->route->name;
    record.identity = denied->identity;
    record.auth_method = denied->identity != nullptr ? identity::name(denied->identity->facts().method) : "none";
    record.reason = denied->denied.reason;
    record.detail = denied->denied.detail;
    log_.decided(record, exchange);
    co_await answer(exchange, refusal, record);
    co_return;
  }
  if (const auto* missed = std::get_if<NotRouted>(&verdict)) {
    refusal = answer_for(missed->outcome);
  } else {
    refusal = answer_for_two_credentials();
  }
  record.reason = refusal.reason;
  log_.decided(record, exchange);
  co_await answer(exchange, refusal, record);
}

Task<void> Pipeline::forward(http::Exchange& exchange, const Road& road, const Allowed& allowed, RequestRecord& record) {
  const Route& route = *allowed.route;
  const http::RequestHead& request = exchange.request();
  record.route = route.name;
  record.decision = "allowed";
  if (const identity::VerifiedIdentity* identity = allowed.permit.identity()) {
    record.identity = allowed.permit.shared_identity();
    record.auth_method = identity::name(identity->facts().method);
  }

  // A request that keeps coming back would go round for ever, each time with a fresh permit.
  if (identity::is_looping(request)) {
    const Answer refusal = answer_for_loop();
    record.decision = "refused";
    record.reason = refusal.reason;
    log_.decided(record, exchange);
    co_await answer(exchange, refusal, record);
    co_return;
  }

  // Strip theirs, set ours: only now, because only a permit makes an outbound request (invariant 1).
  HeadBuffer head(spare_buffers_);
  const identity::OutboundContext context{
      .client_address = exchange.peer().address,
      .scheme = exchange.peer().is_tls ? std::string_view("https") : std::string_view("http"),
      .request_id = record.id.view(),
      .traceparent = record.trace.traceparent(),
  };
  const auto built =
      identity::OutboundRequest::build(allowed.permit, route.outbound, road.snapshot->owned_names, request, context, head.bytes());
  if (const auto* refused = std::get_if<identity::ClaimRefused>(&built)) {
    const Answer refusal = answer_for_refused_claim();
    record.decision = "refused";
    record.reason = refusal.reason;
    record.detail = refused->header + ": " + refused->detail;
    log_.decided(record, exchange);
    co_await answer(exchange, refusal, record);
    co_return;
  }
  if (route.policy.access != authorize::Access::public_) log_.decided(record, exchange);

  upstream::Upstream& upstream = *road.upstreams[route.upstream];
  const upstream::AnswerPolicy policy{.request_id = record.id.view()};
  const upstream::ForwardResult result = co_await upstream.forward(std::get<identity::OutboundRequest>(built), exchange, policy);
  record.upstream = upstream.settings().name;
  record.server = result.server;
  if (result.upstream_status != 0) record.upstream_time = result.upstream_time;

  // Only what the upstream did not begin is ours to answer.
  switch (result.status) {
    case upstream::ForwardStatus::answered: record.status = result.upstream_status; break;
    case upstream::ForwardStatus::answer_cut:
      record.status = result.upstream_status;
      record.reason = "answer_cut";
      break;
    case upstream::ForwardStatus::client_gone:
      record.status = 499;  // logged only: there is nobody to answer
      record.reason = "client_gone";
      exchange.abort();
      break;
    case upstream::ForwardStatus::connect_failed:
    case upstream::ForwardStatus::broken:
    case upstream::ForwardStatus::timed_out:
    case upstream::ForwardStatus::body_refused: {
      const Answer failure = answer_for(result);
      record.reason = failure.reason;
      record.detail = result.detail;
      co_await answer(exchange, failure, record);
      break;
    }
  }
}

Task<void> Pipeline::own_endpoint(http::Exchange& exchange, const Road& road, RequestRecord& record) {
  const http::RequestHead& request = exchange.request();
  if (request.target.path() != "/.gateway/session") {
    const Answer refusal = answer_for_unknown_endpoint();
    record.reason = refusal.reason;
    co_await answer(exchange, refusal, record);
    co_return;
  }
  record.route = "/.gateway/session";
  if (request.method != http::Method::get && request.method != http::Method::head) {
    const Answer refusal = answer_for_wrong_endpoint_method("GET, HEAD");
    record.reason = refusal.reason;
    co_await answer(exchange, refusal, record);
    co_return;
  }
  const SessionAnswer session = describe_caller(request, *road.snapshot, authenticator_, clock_.wall_now());
  if (const auto* document = std::get_if<std::string>(&session)) {
    record.decision = "allowed";
    log_.decided(record, exchange);
    const int status = co_await send_json(exchange, *document, record.id.view());
    record.status = status;
    co_return;
  }
  const auto& denied = std::get<authorize::Denied>(session);
  record.decision = "refused";
  record.reason = denied.reason;
  record.detail = denied.detail;
  log_.decided(record, exchange);
  const Answer refusal = answer_for(denied);
  co_await answer(exchange, refusal, record);
}

Task<void> Pipeline::answer(http::Exchange& exchange, const Answer& answer, RequestRecord& record) {
  const int status = co_await send(exchange, answer, record.id.view());
  record.status = status;
}

}  // namespace sallyport::pipeline
