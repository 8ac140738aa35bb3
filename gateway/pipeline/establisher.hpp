// What an answer of a route with `establish` makes: a session or a token pair for whom the upstream has recognised (DESIGN §3.3).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "authenticate/authenticator.hpp"
#include "issue/session_issuer.hpp"
#include "issue/token_pairs.hpp"
#include "pipeline/request_log.hpp"
#include "pipeline/respond.hpp"
#include "pipeline/snapshot.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::pipeline {

// One per request on such a route; outlives its forwarding.
//
// A 2xx answer with exactly one X-Auth-Establish issues; any other answer passes as it is. Two of them, an alias of the name, or a value
// that is no establishment: 502, nothing is issued. A new login has a new id always, and what the request's cookies named before is ended
// (hazards G06); when either could not be done: 503, and the client is told of nothing new.
class Establisher final : public upstream::AnswerInterceptor {
 public:
  struct Surroundings {
    authenticate::Authenticator& authenticator;
    issue::SessionIssuer& session_issuer;
    issue::TokenPairs& token_pairs;
    RequestLog& log;
    const Clock& clock;
  };
  // `cookies`: what the answer carries when nothing is issued (of a refresh within this request).
  Establisher(const Surroundings& surroundings, const http::Exchange& exchange, const Route& route, const Snapshot& snapshot,
              const RequestRecord& record, std::vector<std::string> cookies);

  [[nodiscard]] Task<bool> on_answer(const http::ResponseHead& head, std::vector<http::Field>& add) override;

  // Set-Cookie lines of an answer that the interceptor does not see.
  [[nodiscard]] const std::vector<std::string>& cookies() const noexcept { return cookies_; }
  // After ForwardStatus::withheld: what the client is answered, cookies included.
  [[nodiscard]] Answer take_answer();

 private:
  [[nodiscard]] Task<Result<void>> issue(issue::Principal principal);
  [[nodiscard]] Task<Result<void>> issue_session(issue::Principal principal);
  [[nodiscard]] Task<Result<void>> issue_tokens(issue::Principal principal);
  // What the request's cookies named: ended, and their cookies cleared.
  [[nodiscard]] Task<Result<void>> end_previous();
  [[nodiscard]] std::vector<std::string> previous_families() const;
  bool withhold(Answer answer);
  void audit(const AuditEvent& event) const;

  Surroundings surroundings_;
  const http::Exchange& exchange_;
  const Route& route_;
  const Snapshot& snapshot_;
  const RequestRecord& record_;
  std::vector<std::string> cookies_;  // Set-Cookie lines; the answer's fields are views into them
  std::optional<Answer> answer_;
};

}  // namespace sallyport::pipeline
