// The road of a request through the stages. One per worker.
#pragma once

#include <memory>
#include <vector>

#include "authenticate/authenticator.hpp"
#include "base/overload.hpp"
#include "http/exchange.hpp"
#include "http/tunnel.hpp"
#include "issue/revoker.hpp"
#include "issue/session_issuer.hpp"
#include "issue/token_pairs.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "observe/trace_context.hpp"
#include "pipeline/establisher.hpp"
#include "pipeline/live_exchanges.hpp"
#include "pipeline/own_endpoints.hpp"
#include "pipeline/rate_limits.hpp"
#include "pipeline/refresher.hpp"
#include "pipeline/request_log.hpp"
#include "pipeline/respond.hpp"
#include "pipeline/snapshot.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::pipeline {

// A snapshot with the connections of this worker to its upstreams, in the snapshot's order. Replaced whole.
struct Road {
  SnapshotPtr snapshot;
  std::vector<std::shared_ptr<upstream::Upstream>> upstreams;
};

class Pipeline final : public http::RequestHandler {
 public:
  // What one worker lends to its pipeline; all of it outlives the pipeline.
  struct Surroundings {
    authenticate::Authenticator& authenticator;
    issue::SessionIssuer& session_issuer;
    issue::TokenPairs& token_pairs;
    issue::Revoker& revoker;
    LiveExchanges& live_exchanges;
    observe::WorkerMetrics& metrics;
    observe::WorkerLog& access_log;
    observe::WorkerLog& audit_log;
    const Clock& clock;
    http::Tunnels& tunnels;
    authorize::RateLimiter* rate_limiter = nullptr;  // of the process; nullptr: requests of limited routes get 503
    store::Store* store = nullptr;                   // for exact rate limits
    Overload* overload = nullptr;                    // of the process; nullptr: no request is one too many
  };
  explicit Pipeline(const Surroundings& surroundings);

  // From now on. Requests that are under way end with the road they began with.
  void use(std::shared_ptr<const Road> road) { road_ = std::move(road); }

  [[nodiscard]] Task<void> handle(http::Exchange& exchange) override;
  [[nodiscard]] Task<void> refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view detail) override;

 private:
  // What is known of a request when it may go on: the permit, and the cookies that its answer carries because tokens were refreshed.
  struct Admitted {
    Allowed allowed;
    std::vector<std::string> cookies;
  };

  [[nodiscard]] RequestRecord new_record(const http::Exchange& exchange);
  [[nodiscard]] Task<void> travel(http::Exchange& exchange, const Road& road, RequestRecord& record);
  [[nodiscard]] Task<void> own_endpoint(http::Exchange& exchange, const Road& road, RequestRecord& record);
  [[nodiscard]] Task<void> refuse_overload(http::Exchange& exchange, Overload::Reason reason, RequestRecord& record);
  // What a route's rules say before anybody is asked who he is. False: the request is answered.
  [[nodiscard]] Task<bool> pass_gate(http::Exchange& exchange, const Question& question, const Route& route, RequestRecord& record);
  // Whether the rate limits of that stage let the request pass; else it is answered.
  [[nodiscard]] Task<bool> pass_limits(http::Exchange& exchange, LimitStage stage, const identity::VerifiedIdentity* identity,
                                       const std::vector<std::string>& cookies, RequestRecord& record);
  [[nodiscard]] Task<void> serve_preflight(http::Exchange& exchange, const Road& road, const PreflightOn& preflight, RequestRecord& record);
  // An answer 401 is on its way: before it is sent, and to other gateways.
  void count_failure(const http::Exchange& exchange, RequestRecord& record);
  [[nodiscard]] Task<void> share_failure(const http::Exchange& exchange, const RequestRecord& record);
  [[nodiscard]] Task<void> refuse_verdict(http::Exchange& exchange, const Verdict& verdict, const std::vector<std::string>& cookies,
                                          RequestRecord& record);
  // Whom policy let in, and who goes no further all the same: the cookies of his refresh go along.
  [[nodiscard]] Task<void> refuse_admitted(http::Exchange& exchange, Answer& refusal, const Admitted& admitted, RequestRecord& record);
  [[nodiscard]] Task<void> forward(http::Exchange& exchange, const Road& road, const Admitted& admitted, RequestRecord& record);
  // Fills the record; the answer that is ours to give, where the upstream's is not on its way.
  [[nodiscard]] static std::optional<Answer> conclude(http::Exchange& exchange, const upstream::ForwardResult& result,
                                                      Establisher* establisher, RequestRecord& record);
  [[nodiscard]] Task<void> answer(http::Exchange& exchange, const Answer& answer, RequestRecord& record);

  // Buffers for outbound heads: as many as there are requests under way, used again and again.
  class HeadBuffer;
  class FailureWatcher;

  authenticate::Authenticator& authenticator_;
  issue::SessionIssuer& session_issuer_;
  issue::TokenPairs& token_pairs_;
  LiveExchanges& live_exchanges_;
  RequestLog log_;
  const Clock& clock_;
  http::Tunnels& tunnels_;
  Refresher refresher_;
  OwnEndpoints own_endpoints_;
  observe::IdGenerator ids_;
  observe::WorkerMetrics& metrics_;
  RateLimits rate_limits_;
  Overload* overload_;
  std::shared_ptr<const Road> road_;
  std::vector<ByteBuffer> spare_buffers_;
};

}  // namespace sallyport::pipeline
