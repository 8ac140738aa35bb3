// Spending the refresh cookie of a browser: within a request whose access cookie has expired (DESIGN §3.3 "Transparent refresh"), and for
// POST /.gateway/refresh. One per worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "issue/token_pairs.hpp"
#include "pipeline/decide.hpp"
#include "pipeline/forgery.hpp"
#include "pipeline/request_log.hpp"

namespace sallyport::pipeline {

// What became of a refresh within a request.
struct RefreshedInLine {
  authenticate::Authentication authentication;  // what the request is judged by from now on
  std::optional<authorize::Denied> denied;      // the CSRF check failed: nothing was spent, and nothing else is judged
  std::vector<std::string> cookies;             // Set-Cookie lines that the answer carries, whatever it is
};

class Refresher {
 public:
  // All of it outlives *this.
  Refresher(issue::TokenPairs& token_pairs, RequestLog& log) : token_pairs_(token_pairs), log_(log) {}

  // Call it when refresh_cookies() found some. In this order: two refresh cookies are ambiguous; one that is not ours is refused without
  // asking anybody, and both cookies are cleared; one that another site made the browser send is denied before it is spent; then the store
  // decides. The successor's access token is judged as any token, as if it had stood in the access cookie. A token that is no longer good
  // is refused like an expired one, and both cookies are cleared; could-not-ask clears nothing.
  [[nodiscard]] Task<RefreshedInLine> refresh_in_line(const Question& question, const authenticate::CredentialPlan& plan,
                                                      const authorize::CsrfPolicy& csrf, const RefreshCookies& cookies,
                                                      const RequestRecord& record, const http::Exchange& exchange,
                                                      Asks asks = Asks::ordinarily);

  // Denied: by the CSRF check. `question.snapshot.edge` is not null.
  using CookieOutcome = std::variant<authorize::Denied, issue::RefreshOutcome>;
  [[nodiscard]] Task<CookieOutcome> spend_cookie(const Question& question, const authorize::CsrfPolicy& csrf, std::string_view cookie,
                                                 const RequestRecord& record, const http::Exchange& exchange,
                                                 Asks asks = Asks::ordinarily);
  // The same for a token that nobody can have been made to send.
  [[nodiscard]] Task<issue::RefreshOutcome> spend(std::string token, issue::EdgeKeysPtr keys, authenticate::TagKeysPtr tags,
                                                  const RequestRecord& record, const http::Exchange& exchange);

 private:
  issue::TokenPairs& token_pairs_;
  RequestLog& log_;
};

// Whether a double-submit token is the one of a session or of a family, by its handle.
[[nodiscard]] bool is_csrf_token_of_session(const authenticate::TagKeys& keys, std::string_view token, const std::string& session);
[[nodiscard]] bool is_csrf_token_of_family(const authenticate::TagKeys& keys, std::string_view token, const std::string& family);

// Bit i: plan.token_places[i] is the cookie of that name. For BearerToken::places.
[[nodiscard]] std::uint64_t places_of_cookie(const authenticate::CredentialPlan& plan, std::string_view name) noexcept;

}  // namespace sallyport::pipeline
