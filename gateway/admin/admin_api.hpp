// The admin listener's answers (DESIGN §3.3): /livez, /readyz, /metrics, /routes, /revocations, /sessions, /reload.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/answer.hpp"
#include "admin/controls.hpp"
#include "base/clock.hpp"
#include "base/secret.hpp"
#include "base/task.hpp"
#include "http/exchange.hpp"
#include "observe/trace_context.hpp"

namespace sallyport::admin {

// What the application lends. Called on the admin listener's worker, once per request that asks for it; each must be set.
struct Sources {
  std::function<std::vector<std::string>()> why_not_ready;  // starting, draining; empty: ready. Text for operators
  std::function<Task<std::string>()> metrics;               // Prometheus' text format 0.0.4, of all workers
  std::function<Task<std::string>()> routes;                // JSON (route_list)
  std::function<Task<ReloadReport>()> reload;               // takes the configuration over as it is now, or says why not
};

// Any Host is answered, but for /revocations, /sessions and /reload without a token (refuse_pages()). With a token, everything but /livez
// and /readyz needs `Authorization: Bearer TOKEN`: 401 otherwise, before a path is told from one that does not exist. Refusals are problem
// documents, and nothing may be cached.
class AdminApi final : public http::RequestHandler {
 public:
  // `token`: nullopt only where the listener is reachable from this machine alone. Throws std::invalid_argument for an empty token or a
  // source that is not set. `controls` and `clock` outlive *this.
  AdminApi(Sources sources, Controls& controls, const Clock& clock, std::optional<Secret> token);

  // From the next request on; whether one is asked for stays as it is. Throws std::invalid_argument for an empty token.
  void use_token(Secret token);

  [[nodiscard]] Task<void> handle(http::Exchange& exchange) override;
  [[nodiscard]] Task<void> refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view detail) override;

 private:
  enum class Endpoint : unsigned char { livez, readyz, metrics, routes, revocations, sessions, reload };

  [[nodiscard]] static std::optional<Endpoint> endpoint(std::string_view path) noexcept;
  [[nodiscard]] static std::string_view methods_of(Endpoint endpoint) noexcept;  // as in Allow
  // The refusal of a request that may not see what needs the token; nullopt when it may.
  [[nodiscard]] std::optional<Answer> refusal(const http::RequestHead& request) const;
  // nullopt: the client is gone.
  [[nodiscard]] Task<std::optional<Answer>> answer(Endpoint endpoint, http::Exchange& exchange) const;
  [[nodiscard]] Answer readiness() const;
  // POST /reload: 200, 422 (the configuration is at fault) or 409 (it takes a restart), with the problems.
  [[nodiscard]] Task<Answer> reload() const;
  [[nodiscard]] Task<void> send(http::Exchange& exchange, Answer answer);

  Sources sources_;
  Controls& controls_;
  const Clock& clock_;
  std::optional<Secret> token_;
  observe::IdGenerator ids_;
};

}  // namespace sallyport::admin
