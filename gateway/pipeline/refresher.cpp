#include "pipeline/refresher.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::pipeline {
namespace {

using identity::RefusalReason;

constexpr std::string_view kNoKeys = "the keys of refresh tokens are not known yet";

// For the audit log: RefreshRefused's words as those of any credential.
RefusalReason refusal_reason(std::string_view reason) noexcept {
  if (reason == "malformed") return RefusalReason::malformed;
  if (reason == "gone") return RefusalReason::expired;
  return RefusalReason::revoked;
}

}  // namespace

bool is_csrf_token_of_session(const authenticate::TagKeys& keys, std::string_view token, const std::string& session) {
  identity::IdentityFacts facts;
  facts.method = identity::AuthMethod::session;
  facts.session = session;
  return keys.is_csrf_token(token, authenticate::csrf_binding(facts));
}

bool is_csrf_token_of_family(const authenticate::TagKeys& keys, std::string_view token, const std::string& family) {
  identity::IdentityFacts facts;
  facts.family = family;
  return keys.is_csrf_token(token, authenticate::csrf_binding(facts));
}

std::uint64_t places_of_cookie(const authenticate::CredentialPlan& plan, std::string_view name) noexcept {
  std::uint64_t places = 0;
  const std::size_t count = std::min(plan.token_places.size(), authenticate::kTokenPlacesMax);
  for (std::size_t i = 0; i < count; ++i) {
    const authenticate::TokenPlace& place = plan.token_places[i];
    if (place.kind == authenticate::TokenPlace::Kind::cookie && place.name == name) places |= std::uint64_t{1} << i;
  }
  return places;
}

Task<issue::RefreshOutcome> Refresher::spend(std::string token, issue::EdgeKeysPtr keys, authenticate::TagKeysPtr tags,
                                             const RequestRecord& record, const http::Exchange& exchange) {
  if (tags == nullptr) co_return issue::RefreshUnavailable{std::string(kNoKeys)};
  issue::RefreshOutcome outcome = co_await token_pairs_.refresh(std::move(token), std::move(keys), std::move(tags));
  if (const auto* refused = std::get_if<issue::RefreshRefused>(&outcome); refused != nullptr && refused->reason == "reused") {
    // Somebody else has the token too. Who of the two is the thief cannot be told, so that both are out.
    const AuditEvent event{
        .name = "refresh_reused", .level = observe::Level::warning, .subject = refused->subject, .family = refused->family};
    log_.event(event, record, exchange);
  }
  if (const auto* pair = std::get_if<issue::TokenPairPtr>(&outcome)) {
    const AuditEvent event{.name = "tokens_refreshed", .subject = (*pair)->subject, .family = (*pair)->family};
    log_.event(event, record, exchange);
  }
  co_return outcome;
}

Task<Refresher::CookieOutcome> Refresher::spend_cookie(const Question& question, const authorize::CsrfPolicy& csrf, std::string_view cookie,
                                                       const RequestRecord& record, const http::Exchange& exchange, Asks asks) {
  authenticate::TagKeysPtr tags = question.authenticator.sessions().keys();
  if (tags == nullptr) co_return issue::RefreshOutcome(issue::RefreshUnavailable{std::string(kNoKeys)});
  // A forged one names nobody whom a forged request could harm.
  const std::optional<authenticate::RefreshToken> opened = tags->open_refresh_token(cookie);
  if (!opened) co_return issue::RefreshOutcome(issue::RefreshRefused{.reason = "malformed", .family = {}, .subject = {}});

  // Before it is spent: a page of another site must not be able to make its victim's browser rotate.
  const std::string family = store::handle_of(opened->family_key);
  const auto is_token_of_caller = [&family](const authenticate::TagKeys& keys, std::string_view token) {
    return is_csrf_token_of_family(keys, token, family);
  };
  ForgeryCheck check = check_forgery(question.request, question.peer, csrf, tags, is_token_of_caller, asks);
  if (check.denied) co_return std::move(*check.denied);

  issue::RefreshOutcome outcome = co_await spend(std::string(cookie), question.snapshot.edge, std::move(tags), record, exchange);
  co_return outcome;
}

Task<RefreshedInLine> Refresher::refresh_in_line(const Question& question, const authenticate::CredentialPlan& plan,
                                                 const authorize::CsrfPolicy& csrf, const RefreshCookies& cookies,
                                                 const RequestRecord& record, const http::Exchange& exchange, Asks asks) {
  RefreshedInLine result;
  result.authentication.by_cookie = true;
  identity::AuthOutcome& outcome = result.authentication.outcome;
  if (cookies.count != 1) {
    outcome = identity::Ambiguous{std::string(kTwoRefreshCookies)};
    co_return result;
  }
  CookieOutcome spent = co_await spend_cookie(question, csrf, cookies.value, record, exchange, asks);
  if (auto* denied = std::get_if<authorize::Denied>(&spent)) {
    result.denied = std::move(*denied);
    co_return result;
  }
  const auto& refreshed = std::get<issue::RefreshOutcome>(spent);
  const issue::TokenSettings& settings = question.snapshot.edge->settings();
  if (const auto* unavailable = std::get_if<issue::RefreshUnavailable>(&refreshed)) {
    outcome = identity::Unavailable{unavailable->detail};
  } else if (const auto* refused = std::get_if<issue::RefreshRefused>(&refreshed)) {
    outcome = identity::Refused{refusal_reason(refused->reason), "the refresh cookie: " + std::string(refused->reason)};
    result.cookies = issue::clear_token_cookies(settings);
  } else {
    const issue::TokenPairPtr& pair = std::get<issue::TokenPairPtr>(refreshed);
    result.cookies = issue::token_cookies(*pair, settings);
    const authenticate::BearerToken bearer{
        .token = pair->access, .places = places_of_cookie(plan, settings.access_cookie), .by_cookie = true};
    outcome = question.authenticator.tokens().authenticate(bearer, plan, question.now);
  }
  co_return result;
}

}  // namespace sallyport::pipeline
