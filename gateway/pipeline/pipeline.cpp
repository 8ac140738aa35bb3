// The order of the stages. This is the only file that knows it; each step says why it stands where it stands.
#include "pipeline/pipeline.hpp"

#include <optional>
#include <utility>

#include "http/client_address.hpp"
#include "pipeline/response_rules.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::size_t kSpareBuffersMax = 1024;
const std::vector<std::string> kNoCookies;

std::string_view incoming_traceparent(const http::Exchange& exchange) noexcept {
  const http::RequestHead& request = exchange.request();
  const http::Field* field = request.find(http::FieldId::traceparent);
  return field != nullptr && request.count(http::FieldId::traceparent) == 1 ? field->value : std::string_view{};
}

}  // namespace

// Counts the upstream's 401 before the client knows of it: whether he reads the answer to its end is up to him.
class Pipeline::FailureWatcher final : public upstream::AnswerWatcher {
 public:
  FailureWatcher(Pipeline& pipeline, const http::Exchange& exchange, RequestRecord& record)
      : pipeline_(pipeline), exchange_(exchange), record_(record) {}
  void on_status(int status) override {
    if (status == 401) pipeline_.count_failure(exchange_, record_);
    record_.attempts.clear();
  }

 private:
  Pipeline& pipeline_;
  const http::Exchange& exchange_;
  RequestRecord& record_;
};

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
    : authenticator_(surroundings.authenticator),
      session_issuer_(surroundings.session_issuer),
      token_pairs_(surroundings.token_pairs),
      live_exchanges_(surroundings.live_exchanges),
      log_(surroundings.access_log, surroundings.audit_log, surroundings.metrics, surroundings.clock),
      clock_(surroundings.clock),
      tunnels_(surroundings.tunnels),
      refresher_(surroundings.token_pairs, log_),
      own_endpoints_({surroundings.authenticator, surroundings.session_issuer, surroundings.token_pairs, surroundings.revoker, refresher_,
                      log_, surroundings.clock}),
      metrics_(surroundings.metrics),
      rate_limits_(surroundings.rate_limiter, surroundings.store, surroundings.metrics),
      overload_(surroundings.overload) {
  spare_buffers_.reserve(kSpareBuffersMax);
}

RequestRecord Pipeline::new_record(const http::Exchange& exchange) {
  const std::string_view forwarded = http::forwarded_request_id(exchange.peer(), exchange.request()).value_or(std::string_view{});
  return RequestRecord(observe::RequestId(ids_, forwarded), observe::TraceContext(incoming_traceparent(exchange), ids_));
}

Task<void> Pipeline::handle(http::Exchange& exchange) {
  // One road from here to the end, whatever a reload does meanwhile (invariant 5).
  const std::shared_ptr<const Road> road = road_;
  RequestRecord record = new_record(exchange);
  // Before anything is done for it: what is under way shall end, and that takes what there is.
  std::optional<Overload::Entry> entry;
  if (overload_ != nullptr) entry.emplace(*overload_);
  if (entry && entry->refused()) {
    co_await refuse_overload(exchange, *entry->refused(), record);
  } else {
    co_await travel(exchange, *road, record);
  }
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

  // Before routing: another name than that of the TLS handshake would be served with a certificate that was shown to somebody else.
  if (is_misdirected(exchange.peer(), request)) {
    const Answer refusal = answer_for_misdirected();
    record.decision = "refused";
    record.reason = refusal.reason;
    log_.decided(record, exchange);
    co_await answer(exchange, refusal, record);
    co_return;
  }

  // Before routing: no route, `/**` included, may ever reach an upstream with our own prefix.
  if (is_own_endpoint(request.target.path())) {
    record.rules = road.snapshot->every_request.get();
    if (record.rules != nullptr) {
      const bool passes = co_await pass_limits(exchange, LimitStage::before, nullptr, kNoCookies, record);
      if (!passes) co_return;
    }
    co_await own_endpoint(exchange, road, record);
    co_return;
  }

  // Route, authenticate, authorize: no body yet, so that nobody uploads before being let in.
  if (const std::optional<BadRequest> bad = check_request(request)) {
    const Verdict verdict = *bad;
    co_await refuse_verdict(exchange, verdict, kNoCookies, record);
    co_return;
  }
  Question question{request, exchange.peer(), *road.snapshot, authenticator_, clock_.wall_now()};
  // By the method that it asks about: OPTIONS itself is nobody's wish, and browsers send no credential along.
  if (const std::optional<PreflightOn> preflight = find_preflight(question)) {
    co_await serve_preflight(exchange, road, *preflight, record);
    co_return;
  }
  const route::RouteOutcome routed = find_route(question);
  const auto* found = std::get_if<route::Found>(&routed);
  if (found == nullptr) {
    record.rules = road.snapshot->every_request.get();
    if (record.rules != nullptr) {
      const bool passes = co_await pass_limits(exchange, LimitStage::before, nullptr, kNoCookies, record);
      if (!passes) co_return;
    }
    const Verdict verdict = not_routed(routed);
    co_await refuse_verdict(exchange, verdict, kNoCookies, record);
    co_return;
  }
  const Route& route = road.snapshot->routes[found->route];

  // Before anybody's credential is looked at: who may not come at all, or comes too often, costs no cryptography.
  if (route.rules != nullptr) {
    const bool passes = co_await pass_gate(exchange, question, route, record);
    if (!passes) co_return;
  }

  // From memory wherever it knows; the store is asked about cold sessions only.
  auto attempt = try_authenticate(question, route);
  if (const auto* open = std::get_if<authenticate::OpenQuestion>(&attempt)) {
    authenticate::Authentication asked = co_await authenticator_.ask(*open, route.credentials, question.now, question.peer.certificate);
    attempt = std::move(asked);
    question.now = clock_.wall_now();
  }
  auto& who = std::get<authenticate::Authentication>(attempt);

  // Before judging: what is judged is the new access token, which the client will show next time.
  std::vector<std::string> cookies;
  if (const RefreshCookies refresh = refresh_cookies(question, who); refresh.count != 0) {
    const Asks asks = how_it_asks(request, route.websocket.has_value());
    RefreshedInLine refreshed =
        co_await refresher_.refresh_in_line(question, route.credentials, route.csrf, refresh, record, exchange, asks);
    who = std::move(refreshed.authentication);
    cookies = std::move(refreshed.cookies);
    question.now = clock_.wall_now();
    if (refreshed.denied) {
      const Verdict verdict = DeniedOn{&route, std::move(*refreshed.denied), nullptr};
      co_await refuse_verdict(exchange, verdict, cookies, record);
      co_return;
    }
  }

  // Before judging: a caller's requests count whatever he may do. Nobody's do when his credential was refused: that is another count.
  const auto* verified = std::get_if<identity::IdentityPtr>(&who.outcome);
  if (route.rules != nullptr && (verified != nullptr || std::holds_alternative<identity::NotPresented>(who.outcome))) {
    const identity::VerifiedIdentity* caller = verified != nullptr ? verified->get() : nullptr;
    const bool passes = co_await pass_limits(exchange, LimitStage::identified, caller, cookies, record);
    if (!passes) co_return;
  }

  // Whom the route had to know, and knows, is no guess. Elsewhere only the upstream can say.
  if (verified != nullptr && route.policy.access == authorize::Access::authenticated) record.attempts.clear();

  Verdict verdict = judge(question, *found, who);
  if (auto* allowed = std::get_if<Allowed>(&verdict)) {
    // Last: a route's own measure is for those who may use it, so that nobody else can use it up.
    if (route.rules != nullptr) {
      const bool passes = co_await pass_limits(exchange, LimitStage::admitted, nullptr, cookies, record);
      if (!passes) co_return;
    }
    const Admitted admitted{std::move(*allowed), std::move(cookies)};
    co_await forward(exchange, road, admitted, record);
    co_return;
  }
  co_await refuse_verdict(exchange, verdict, cookies, record);
}

Task<void> Pipeline::refuse_verdict(http::Exchange& exchange, const Verdict& verdict, const std::vector<std::string>& cookies,
                                    RequestRecord& record) {
  record.decision = "refused";
  Answer refusal;
  if (const auto* denied = std::get_if<DeniedOn>(&verdict)) {
    refusal = answer_for(denied->denied);
    record.route = denied->route->name;
    record.identity = denied->identity;
    record.auth_method = denied->identity != nullptr ? identity::name(denied->identity->facts().method) : "none";
    record.reason = denied->denied.reason;
    record.detail = denied->denied.detail;
  } else {
    const auto* missed = std::get_if<NotRouted>(&verdict);
    refusal = missed != nullptr ? answer_for(missed->outcome) : answer_for_two_credentials();
    record.reason = refusal.reason;
  }
  refusal.add_cookies(cookies);
  log_.decided(record, exchange);
  if (refusal.status == 401) {
    count_failure(exchange, record);
    co_await share_failure(exchange, record);
  }
  co_await answer(exchange, refusal, record);
}

Task<void> Pipeline::refuse_overload(http::Exchange& exchange, Overload::Reason reason, RequestRecord& record) {
  const Answer refusal = answer_for_overload();
  record.decision = "refused";
  record.reason = refusal.reason;
  record.detail = Overload::name(reason);
  metrics_.overload_refused(Overload::name(reason));
  co_await answer(exchange, refusal, record);
}

Task<bool> Pipeline::pass_gate(http::Exchange& exchange, const Question& question, const Route& route, RequestRecord& record) {
  record.rules = route.rules.get();
  record.route = route.name;
  if (std::optional<authorize::Denied> denied = refuse_network(question, route)) {
    const Verdict verdict = DeniedOn{&route, std::move(*denied), nullptr};
    co_await refuse_verdict(exchange, verdict, kNoCookies, record);
    co_return false;
  }
  const bool passes = co_await pass_limits(exchange, LimitStage::before, nullptr, kNoCookies, record);
  co_return passes;
}

Task<void> Pipeline::serve_preflight(http::Exchange& exchange, const Road& road, const PreflightOn& preflight, RequestRecord& record) {
  const Question question{exchange.request(), exchange.peer(), *road.snapshot, authenticator_, clock_.wall_now()};
  const Route& route = *preflight.route;
  record.is_preflight = true;
  const bool passes = co_await pass_gate(exchange, question, route, record);
  if (!passes) co_return;
  const CorsPolicy& policy = route.rules->cors;
  if (!policy.passes) {
    const Answer own = answer_preflight(policy, preflight.preflight, exchange.request());
    metrics_.preflight(route.name, own.status == 204 ? "allowed" : "refused");
    record.decision = own.status == 204 ? "none" : "refused";
    record.reason = own.reason;
    co_await answer(exchange, own, record);
    co_return;
  }
  for (const LimitStage stage : {LimitStage::identified, LimitStage::admitted}) {
    const bool passes_on = co_await pass_limits(exchange, stage, nullptr, kNoCookies, record);
    if (!passes_on) co_return;
  }
  // The upstream answers. As nobody: no credential was looked at, and none goes along.
  metrics_.preflight(route.name, "passed");
  const authorize::RoutePolicy for_anybody{.access = authorize::Access::public_, .require = std::nullopt};
  const std::vector<http::PathParameter> no_parameters;
  const identity::AuthOutcome nobody = identity::NotPresented{};
  authorize::Decision decision = authorize::Authorizer::decide(
      preflight.index, for_anybody, nobody, no_parameters, http::client_address(exchange.peer(), exchange.request()).view(), question.now);
  const Admitted admitted{Allowed{&route, std::get<identity::Permit>(std::move(decision))}, {}};
  co_await forward(exchange, road, admitted, record);
}

Task<void> Pipeline::refuse_admitted(http::Exchange& exchange, Answer& refusal, const Admitted& admitted, RequestRecord& record) {
  refusal.add_cookies(admitted.cookies);
  record.decision = "refused";
  record.reason = refusal.reason;
  log_.decided(record, exchange);
  co_await answer(exchange, refusal, record);
}

Task<void> Pipeline::forward(http::Exchange& exchange, const Road& road, const Admitted& admitted, RequestRecord& record) {
  const Allowed& allowed = admitted.allowed;
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
    Answer refusal = answer_for_loop();
    co_await refuse_admitted(exchange, refusal, admitted, record);
    co_return;
  }

  // A handshake must be a good one before anybody is asked: what came behind a bad one belongs to nobody.
  std::optional<http::WebSocketHandshake> websocket;
  if (route.websocket && http::asks_for_websocket(request)) {
    auto handshake = http::read_handshake(request);
    if (const auto* refused = std::get_if<http::HandshakeRefused>(&handshake)) {
      Answer refusal = answer_for_bad_handshake(*refused);
      record.detail = refused->detail;
      co_await refuse_admitted(exchange, refusal, admitted, record);
      co_return;
    }
    websocket = std::get<http::WebSocketHandshake>(std::move(handshake));
  }

  // Strip theirs, set ours: only now, because only a permit makes an outbound request (invariant 1).
  HeadBuffer head(spare_buffers_);
  const http::ClientAddress client = http::client_address(exchange.peer(), request);
  const identity::OutboundContext context{
      .client_address = client.view(),
      .scheme = exchange.peer().is_tls ? std::string_view("https") : std::string_view("http"),
      .request_id = record.id.view(),
      .traceparent = record.trace.traceparent(),
      .websocket = websocket ? &*websocket : nullptr,
      .is_preflight = record.is_preflight,
  };
  const auto built =
      identity::OutboundRequest::build(allowed.permit, route.outbound, road.snapshot->owned_names, request, context, head.bytes());
  if (const auto* refused = std::get_if<identity::ClaimRefused>(&built)) {
    Answer refusal = answer_for_refused_claim();
    record.detail = refused->header + ": " + refused->detail;
    co_await refuse_admitted(exchange, refusal, admitted, record);
    co_return;
  }
  if (route.policy.access != authorize::Access::public_) log_.decided(record, exchange);

  // Who established something knows its cookies better than we do.
  std::unique_ptr<Establisher> establisher;
  std::vector<http::Field> add;
  if (route.establish != Establish::nothing) {
    const Establisher::Surroundings surroundings{authenticator_, session_issuer_, token_pairs_, log_, clock_};
    establisher = std::make_unique<Establisher>(surroundings, exchange, route, *road.snapshot, record, admitted.cookies);
  } else if (!admitted.cookies.empty()) {
    for (const std::string& line : admitted.cookies) add.push_back({"Set-Cookie", line, http::FieldId::set_cookie});
    // Whatever the upstream says of its answer: one that carries a credential is nobody else's.
    add.push_back({"Cache-Control", "no-store"});
  }

  // What the upstream says of these things gives way: it knows neither the limits nor, with `cors`, who may read the answer.
  std::optional<RuleFields> rule_fields;
  if (record.rules != nullptr) rule_fields.emplace(record, exchange);
  if (rule_fields) rule_fields->append_to(add);

  // Long answers end with their caller's session or token. Not those that sign in: they end the caller's old session themselves.
  upstream::Interruption interruption;
  std::optional<LiveExchanges::Entry> live;
  if (record.identity != nullptr && establisher == nullptr) live.emplace(live_exchanges_, record.identity, exchange.peer(), interruption);

  // A sign-in that failed is told by the service itself.
  std::optional<FailureWatcher> watcher;
  if (record.rules != nullptr && RateLimits::counts_failures(record.rules->limits)) watcher.emplace(*this, exchange, record);

  upstream::Upstream& upstream = *road.upstreams[route.upstream];
  const upstream::AnswerPolicy policy{.request_id = record.id.view(),
                                      .add = add,
                                      .our_cookies = road.snapshot->our_cookies,
                                      .rules = record.rules != nullptr ? &record.rules->answers : nullptr,
                                      .interceptor = establisher.get(),
                                      .watcher = watcher ? &*watcher : nullptr,
                                      .interruption = live ? &interruption : nullptr,
                                      .tunnels = &tunnels_,
                                      .tunnel_idle_timeout = websocket ? route.websocket->idle_timeout : std::chrono::milliseconds(0)};
  const upstream::ForwardResult result = co_await upstream.forward(std::get<identity::OutboundRequest>(built), exchange, policy);
  record.upstream = upstream.settings().name;
  record.server = result.server;
  if (result.upstream_status != 0) record.upstream_time = result.upstream_time;
  if (result.established_unasked) {
    const AuditEvent event{.name = "establish_ignored", .level = observe::Level::warning, .detail = "the route establishes nothing"};
    log_.event(event, record, exchange);
  }
  // However the answer ended.
  if (result.upstream_status == 401) co_await share_failure(exchange, record);
  // Only what the upstream did not begin is ours to answer.
  std::optional<Answer> instead = conclude(exchange, result, establisher.get(), record);
  if (instead) {
    if (establisher == nullptr) instead->add_cookies(admitted.cookies);
    co_await answer(exchange, *instead, record);
  }
  if (result.tunnel_end && *result.tunnel_end != http::TunnelEnd::closed) record.reason = http::name(*result.tunnel_end);
  if (interruption.fired()) record.reason = "caller_ended";
}

std::optional<Answer> Pipeline::conclude(http::Exchange& exchange, const upstream::ForwardResult& result, Establisher* establisher,
                                         RequestRecord& record) {
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
    case upstream::ForwardStatus::withheld: {
      Answer instead = establisher->take_answer();
      record.reason = instead.reason;
      return instead;
    }
    case upstream::ForwardStatus::connect_failed:
    case upstream::ForwardStatus::broken:
    case upstream::ForwardStatus::timed_out:
    case upstream::ForwardStatus::unavailable:
    case upstream::ForwardStatus::overloaded:
    case upstream::ForwardStatus::body_refused: {
      Answer failure = answer_for(result);
      record.reason = failure.reason;
      record.detail = result.detail;
      // It has issued nothing, and has the cookies of the refresh.
      if (establisher != nullptr) failure.add_cookies(establisher->cookies());
      return failure;
    }
  }
  return std::nullopt;
}

Task<void> Pipeline::own_endpoint(http::Exchange& exchange, const Road& road, RequestRecord& record) {
  const std::optional<Answer> own = co_await own_endpoints_.serve(exchange, *road.snapshot, record);
  if (!own) {
    record.status = 499;
    record.reason = "client_gone";
    exchange.abort();
    co_return;
  }
  if (own->status == 401) {
    count_failure(exchange, record);
    co_await share_failure(exchange, record);
  }
  co_await answer(exchange, *own, record);
}

Task<void> Pipeline::answer(http::Exchange& exchange, const Answer& answer, RequestRecord& record) {
  record.attempts.clear();  // one that failed is counted
  if (record.rules == nullptr) {
    record.status = co_await send(exchange, answer, record.id.view());
    co_return;
  }
  const RuleFields rule_fields(record, exchange);
  const Answer completed = rule_fields.complete(answer);
  record.status = co_await send(exchange, completed, record.id.view());
}

}  // namespace sallyport::pipeline
