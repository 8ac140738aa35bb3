// Everything below /.gateway (DESIGN §3.3): never routed, never seen by an upstream. One per worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "authenticate/authenticator.hpp"
#include "issue/revoker.hpp"
#include "issue/session_issuer.hpp"
#include "issue/token_pairs.hpp"
#include "pipeline/decide.hpp"
#include "pipeline/refresher.hpp"
#include "pipeline/request_log.hpp"
#include "pipeline/respond.hpp"

namespace sallyport::pipeline {

// On segment borders: `/.gatewayx` is nobody's of ours.
[[nodiscard]] bool is_own_endpoint(std::string_view path) noexcept;

class OwnEndpoints {
 public:
  // All of it outlives *this.
  struct Surroundings {
    authenticate::Authenticator& authenticator;
    issue::SessionIssuer& session_issuer;
    issue::TokenPairs& token_pairs;
    issue::Revoker& revoker;
    Refresher& refresher;
    RequestLog& log;
    const Clock& clock;
  };
  explicit OwnEndpoints(const Surroundings& surroundings) : surroundings_(surroundings) {}

  // The answer to a request for which is_own_endpoint() holds; nullopt when the client went away before it had asked. Fills the record,
  // and writes the decision to the audit log where there is one.
  [[nodiscard]] Task<std::optional<Answer>> serve(http::Exchange& exchange, const Snapshot& snapshot, RequestRecord& record);

 private:
  // One request, as its endpoint sees it.
  struct Visit {
    http::Exchange& exchange;
    RequestRecord& record;
    Question question;
  };

  [[nodiscard]] Task<std::optional<Answer>> call(std::string_view path, Visit& visit);

  // GET /.gateway/session: the caller as JSON, or why there is none (401, 400, 503, as on any route). An expired access cookie is
  // refreshed.
  [[nodiscard]] Task<Answer> session(Visit& visit);
  // POST /.gateway/refresh: with a form, RFC 6749 §6; without a body, by the refresh cookie.
  [[nodiscard]] Task<std::optional<Answer>> refresh(Visit& visit);
  [[nodiscard]] Task<Answer> refresh_by_form(Visit& visit, std::string body);
  [[nodiscard]] Task<Answer> refresh_by_cookie(Visit& visit);
  // POST /.gateway/logout: see logout.cpp for who is logged out.
  [[nodiscard]] Task<Answer> logout(Visit& visit);
  // GET /.gateway/jwks.json.
  [[nodiscard]] static Answer jwks(const Visit& visit);

  // Everything of ours that a request names, for logout.
  struct Named {
    std::string session_cookie;         // empty: none of ours
    std::string session;                // its handle
    std::vector<std::string> families;  // handles
    bool by_cookie = false;             // some of it by a cookie
    std::vector<std::string> cookie_families;
  };
  [[nodiscard]] std::optional<Answer> name_everything(const Visit& visit, const authenticate::Authentication& who, Named& named) const;
  [[nodiscard]] std::optional<Answer> refuse_forged_logout(const Visit& visit, const authenticate::Authentication& who,
                                                           const Named& named) const;
  // Why it could not be ended; nullopt when it is.
  [[nodiscard]] Task<std::optional<Answer>> end_everywhere(Visit& visit, const authenticate::Authentication& who);
  [[nodiscard]] Task<std::optional<Answer>> end_named(Visit& visit, const Named& named);

  // Who asks, by any credential; the store is asked where it must be.
  [[nodiscard]] Task<authenticate::Authentication> authenticate(Visit& visit);
  void note_identity(Visit& visit, const authenticate::Authentication& who) const;

  Surroundings surroundings_;
};

// {"subject": …}: what GET /.gateway/session says of a caller. `csrf_token` is left out where empty.
[[nodiscard]] std::string caller_document(const identity::IdentityFacts& facts, std::optional<WallTime> idle_expires_at,
                                          std::string_view csrf_token);

}  // namespace sallyport::pipeline
