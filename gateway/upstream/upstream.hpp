// One upstream as one worker uses it: balancing over its servers, kept connections, forwarding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/byte_buffer.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"
#include "http/tunnel.hpp"
#include "identity/outbound_request.hpp"
#include "observe/metrics.hpp"
#include "transport/deadline_wheel.hpp"
#include "upstream/answer_rules.hpp"
#include "upstream/settings.hpp"
#include "upstream/shared_upstream.hpp"

namespace sallyport::upstream {

// How forwarding ended. Everything but `answered` and `answer_cut` left the downstream answer unstarted: pipeline/respond writes it.
enum class ForwardStatus : std::uint8_t {
  answered,        // the answer went downstream whole
  answer_cut,      // it began and could not be finished: the exchange was aborted, so that it does not look complete
  connect_failed,  // 502
  broken,          // 502: refused, reset, framing fault
  timed_out,       // 504
  body_refused,    // the client's body was at fault; `body` says how (400, 408, 413) — the upstream's request was not completed
  client_gone,     // nobody is left to answer
  withheld,        // the interceptor keeps the answer for itself: nothing went downstream
  unavailable,     // 503: active checks say that no server is fit; nobody was asked
  overloaded,      // 503: as much is under way as may be; nobody was asked
};

struct ForwardResult {
  ForwardStatus status;
  http::BodyState body = http::BodyState::end;
  int upstream_status = 0;                      // of the final head; 0 when there was none
  std::chrono::microseconds upstream_time{};    // from the first byte sent to the answer's head
  std::string_view server;                      // authority of the server that was asked last; lives as long as the Upstream
  bool established_unasked = false;             // an X-Auth-Establish was removed from an answer that nobody intercepts
  std::optional<http::TunnelEnd> tunnel_end{};  // the answer was a 101, and this is how its tunnel ended
  std::string_view detail;                      // static text or a view that lives as long as the Upstream; for our log
};

// Looks at an answer between its arrival and its way down.
class AnswerInterceptor {
 public:
  virtual ~AnswerInterceptor() = default;
  // Once, with the final head, X-Auth-Establish included; may take its time. True: relay the answer, with `add` added. False: nothing is
  // relayed, the upstream's body is dropped, and whoever called forward() answers (ForwardStatus::withheld). The fields' views outlive the
  // exchange's answer.
  [[nodiscard]] virtual Task<bool> on_answer(const http::ResponseHead& head, std::vector<http::Field>& add) = 0;
};

// Hears how an upstream answers, before the client can know it.
class AnswerWatcher {
 public:
  virtual ~AnswerWatcher() = default;
  // Once, with the status of the final head.
  virtual void on_status(int status) = 0;
};

// Ends a forwarding from outside, on the same thread: the client is cut off and the upstream's connection given up. One per request.
class Interruption {
 public:
  // By whoever wants it to end. Harmless when nothing goes on.
  void fire() noexcept {
    fired_ = true;
    if (act_ != nullptr) act_(owner_);
  }
  [[nodiscard]] bool fired() const noexcept { return fired_; }
  // By the forwarding: what ends it, for as long as it goes on; nullptr takes it back.
  void arm(void (*act)(void* owner) noexcept, void* owner) noexcept {
    act_ = act;
    owner_ = owner;
  }

 private:
  void (*act_)(void* owner) noexcept = nullptr;
  void* owner_ = nullptr;
  bool fired_ = false;
};

// What is added to or taken from an answer.
struct AnswerPolicy {
  std::string_view request_id{};  // sent as X-Request-Id
  bool drop_establish = true;     // X-Auth-Establish never reaches the client
  // Our own fields, in place of the upstream's of the same name (but for Set-Cookie). Views outlive the answer.
  std::span<const http::Field> add{};
  std::span<const std::string> our_cookies{};  // an upstream's Set-Cookie of one of these names is dropped (hazards F12)
  const AnswerRules* rules = nullptr;          // the route's; applied to what the upstream said, before what is ours is added
  AnswerInterceptor* interceptor = nullptr;
  AnswerWatcher* watcher = nullptr;
  Interruption* interruption = nullptr;
  // For a request with a WebSocket handshake, which becomes a tunnel when the upstream agrees.
  http::Tunnels* tunnels = nullptr;
  std::chrono::milliseconds tunnel_idle_timeout{};
};

// Belongs to one worker. Outlives its exchanges: held by shared_ptr in the worker's table, so that a reload can replace it.
class Upstream {
 public:
  struct Impl;
  // What every worker has of `shared` (see fleet.hpp).
  [[nodiscard]] static std::shared_ptr<Upstream> create(SharedUpstreamPtr shared, boost::asio::io_context& context,
                                                        transport::DeadlineWheel& wheel);
  // One that shares nothing with other workers. Fault as transport::make_tls_client_context.
  [[nodiscard]] static Result<std::shared_ptr<Upstream>> create(UpstreamSettings settings, boost::asio::io_context& context,
                                                                transport::DeadlineWheel& wheel);
  ~Upstream();

  // Sends `request` and streams the body and the answer, with back-pressure both ways; a tunnel to its end, with an end of its own to say
  // where it is interrupted. One retry on a kept connection that died before the
  // first byte of an answer, where RFC 9110 §9.2.2 allows and the body can be sent again. `request` comes from a Permit: invariant 1.
  [[nodiscard]] Task<ForwardResult> forward(const identity::OutboundRequest& request, http::Exchange& exchange, const AnswerPolicy& policy);

  [[nodiscard]] const UpstreamSettings& settings() const noexcept;
  [[nodiscard]] const SharedUpstreamPtr& shared() const noexcept;
  [[nodiscard]] std::size_t idle_connections() const noexcept;
  // Closes kept connections. Those in use end with their exchange.
  void close_idle();

 private:
  explicit Upstream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::upstream
