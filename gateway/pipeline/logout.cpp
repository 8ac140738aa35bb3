// POST /.gateway/logout. Who is logged out:
//
//   what ends        the session that the session cookie names, the families that the refresh cookie, the access cookie and a bearer token
//                    of ours name; with ?everywhere=true everything of the caller's subject, on every replica
//   what is cleared  all our cookies, and by Clear-Site-Data what the site's scripts have stored
//   again            a session that is over already, or a token that was revoked, is no reason to refuse: 204, so that a second click ends
//   well nobody           401: without any credential, with a bearer token that is no good (its family may live on), and with
//   ?everywhere=true when
//                    nothing says any more whose everything is meant
//   not ours         409: a session of another application and a token of another issuer are ended where they were issued
//   store away       503, and no cookie is cleared: the session may still be good
#include <algorithm>
#include <utility>

#include "issue/cookies.hpp"
#include "pipeline/forgery.hpp"
#include "pipeline/form.hpp"
#include "pipeline/own_endpoints.hpp"
#include "pipeline/request_cookies.hpp"

namespace sallyport::pipeline {
namespace {

using authenticate::Authentication;
using identity::IdentityPtr;

void add_once(std::vector<std::string>& handles, const std::string& handle) {
  if (!handle.empty() && std::ranges::find(handles, handle) == handles.end()) handles.push_back(handle);
}

// nullopt: a query that is not known here. A misspelled `everywhere` must not look as if it had been heard.
std::optional<bool> wants_everywhere(const http::Target& target) {
  if (target.query().empty()) return false;
  const std::optional<Form> query = Form::parse(target.query());
  const std::string* value = query && query->size() == 1 ? query->find("everywhere") : nullptr;
  if (value == nullptr || (*value != "true" && *value != "false")) return std::nullopt;
  return *value == "true";
}

bool is_revoked(const Authentication& who) {
  const auto* refused = std::get_if<identity::Refused>(&who.outcome);
  return refused != nullptr && refused->reason == identity::RefusalReason::revoked;
}

// The refusal that a route would give; nullopt for an identity.
std::optional<authorize::Denied> denial(const Authentication& who, WallTime now) {
  const authorize::RoutePolicy policy{authorize::Access::authenticated, std::nullopt};
  authorize::Decision decision = authorize::Authorizer::decide(0, policy, who.outcome, {}, {}, now);
  if (auto* denied = std::get_if<authorize::Denied>(&decision)) return std::move(*denied);
  return std::nullopt;
}

Answer refuse(RequestRecord& record, const authorize::Denied& denied) {
  record.decision = "refused";
  record.reason = denied.reason;
  record.detail = denied.detail;
  return answer_for(denied);
}

Answer refuse(RequestRecord& record, Answer answer, std::string_view detail = {}) {
  record.decision = "refused";
  record.reason = answer.reason;
  record.detail = detail;
  return answer;
}

Answer farewell(const Snapshot& snapshot) {
  Answer answer = empty_answer();
  answer.fields.emplace_back("Set-Cookie", issue::clear_cookie(snapshot.sessions->cookie_name, snapshot.sessions->same_site));
  if (snapshot.edge != nullptr) answer.add_cookies(issue::clear_token_cookies(snapshot.edge->settings()));
  answer.fields.emplace_back("Clear-Site-Data", R"("cookies", "storage")");
  return answer;
}

}  // namespace

Task<Answer> OwnEndpoints::logout(Visit& visit) {
  RequestRecord& record = visit.record;
  const std::optional<bool> everywhere = wants_everywhere(visit.question.request.target);
  if (!everywhere) co_return refuse(record, answer_for_bad_query());

  const Authentication who = co_await authenticate(visit);
  note_identity(visit, who);
  const bool is_verified = std::holds_alternative<IdentityPtr>(who.outcome);
  // Two credentials are 400, and what could not be asked is 503; a cookie that is no good is as good as logged out.
  const bool is_dead = is_revoked(who) || (who.by_cookie && std::holds_alternative<identity::Refused>(who.outcome));
  const bool is_absent = std::holds_alternative<identity::NotPresented>(who.outcome);
  if (!is_verified && !is_dead && !is_absent) co_return refuse(record, denial(who, visit.question.now).value_or(forged()));

  Named named;
  if (std::optional<Answer> refusal = name_everything(visit, who, named)) co_return std::move(*refusal);
  // Before anything ends.
  if (std::optional<Answer> refusal = refuse_forged_logout(visit, who, named)) co_return std::move(*refusal);

  if (*everywhere) {
    std::optional<Answer> refusal = co_await end_everywhere(visit, who);
    if (refusal) co_return std::move(*refusal);
  } else if (is_verified && named.session.empty() && named.families.empty()) {
    co_return refuse(record, answer_for_foreign_logout());
  }
  std::optional<Answer> refusal = co_await end_named(visit, named);
  if (refusal) co_return std::move(*refusal);
  record.decision = "allowed";
  co_return farewell(visit.question.snapshot);
}

std::optional<Answer> OwnEndpoints::name_everything(const Visit& visit, const Authentication& who, Named& named) const {
  const Question& question = visit.question;
  const Snapshot& snapshot = question.snapshot;
  const NamedCookies session = cookies_named(question.request, snapshot.sessions->cookie_name);
  NamedCookies access;
  NamedCookies refresh;
  if (snapshot.edge != nullptr) {
    access = cookies_named(question.request, snapshot.edge->settings().access_cookie);
    refresh = cookies_named(question.request, snapshot.edge->settings().refresh_cookie);
  }
  if (session.count > 1 || access.count > 1 || refresh.count > 1) return refuse(visit.record, answer_for_two_credentials());
  const bool has_cookies = session.count + access.count + refresh.count != 0;
  if (std::holds_alternative<identity::NotPresented>(who.outcome) && !has_cookies) {
    return refuse(visit.record, denial(who, question.now).value_or(forged()));
  }

  const authenticate::TagKeysPtr& keys = question.authenticator.sessions().keys();
  if (session.count + refresh.count != 0 && keys == nullptr) {
    return refuse(visit.record, answer_for_unavailable(), "the keys of session ids are not known yet");
  }
  if (session.count != 0) {
    named.session_cookie = session.value;
    if (const auto opened = keys->open_session_id(session.value)) named.session = store::handle_of(opened->key);
  }
  if (refresh.count != 0) {
    if (const auto opened = keys->open_refresh_token(refresh.value)) {
      add_once(named.cookie_families, store::handle_of(opened->family_key));
    }
  }
  if (access.count != 0) {
    const authenticate::CredentialPlan& plan = snapshot.any_credential;
    const authenticate::BearerToken bearer{
        .token = access.value, .places = places_of_cookie(plan, snapshot.edge->settings().access_cookie), .by_cookie = true};
    const identity::AuthOutcome outcome = question.authenticator.tokens().authenticate(bearer, plan, question.now);
    if (const auto* verified = std::get_if<IdentityPtr>(&outcome)) add_once(named.cookie_families, (*verified)->facts().family);
  }
  named.families = named.cookie_families;
  if (const auto* verified = std::get_if<IdentityPtr>(&who.outcome)) add_once(named.families, (*verified)->facts().family);
  return std::nullopt;
}

std::optional<Answer> OwnEndpoints::refuse_forged_logout(const Visit& visit, const Authentication& who, const Named& named) const {
  const auto* verified = std::get_if<IdentityPtr>(&who.outcome);
  // No page can make a browser send a bearer token; and where nothing that is any good was named, nobody can be harmed.
  if (verified != nullptr && !who.by_cookie) return std::nullopt;
  if (verified == nullptr && named.session.empty() && named.cookie_families.empty()) return std::nullopt;
  const auto is_token_of_caller = [&](const authenticate::TagKeys& keys, std::string_view token) {
    if (verified != nullptr && keys.is_csrf_token(token, authenticate::csrf_binding((*verified)->facts()))) return true;
    if (!named.session.empty() && is_csrf_token_of_session(keys, token, named.session)) return true;
    return std::ranges::any_of(named.cookie_families,
                               [&](const std::string& family) { return is_csrf_token_of_family(keys, token, family); });
  };
  const authorize::CsrfPolicy policy;
  const ForgeryCheck check = check_forgery(visit.question.request, visit.question.peer, policy,
                                           visit.question.authenticator.sessions().keys(), std::cref(is_token_of_caller));
  if (check.denied) return refuse(visit.record, *check.denied);
  return std::nullopt;
}

Task<std::optional<Answer>> OwnEndpoints::end_everywhere(Visit& visit, const Authentication& who) {
  const Question& question = visit.question;
  std::string subject;
  if (const auto* verified = std::get_if<IdentityPtr>(&who.outcome)) {
    // Another issuer's subject may be called like one of ours: only whom we signed in ourselves may end all that goes by that name.
    if ((*verified)->facts().issuer_name != authenticate::kEdgeIssuerName) co_return refuse(visit.record, answer_for_foreign_logout());
    subject = (*verified)->facts().subject;
  } else if (const RefreshCookies found = refresh_cookies(question, who); found.count == 1) {
    // The access cookie is too old to say whose it was; the refresh cookie says it by being spent, and its family ends anyway.
    const authorize::CsrfPolicy csrf;
    const Refresher::CookieOutcome spent =
        co_await surroundings_.refresher.spend_cookie(question, csrf, found.value, visit.record, visit.exchange);
    if (const auto* denied = std::get_if<authorize::Denied>(&spent)) co_return refuse(visit.record, *denied);
    const auto& outcome = std::get<issue::RefreshOutcome>(spent);
    if (const auto* unavailable = std::get_if<issue::RefreshUnavailable>(&outcome)) {
      co_return refuse(visit.record, answer_for_unavailable(), unavailable->detail);
    }
    if (const auto* pair = std::get_if<issue::TokenPairPtr>(&outcome)) subject = (*pair)->subject;
  }
  if (subject.empty()) {
    const authorize::Denied denied{.why = authorize::Denied::Why::credential_refused,
                                   .reason = name(authorize::Denied::Why::credential_refused),
                                   .detail = "nothing says whose sessions and tokens are meant",
                                   .scopes = {}};
    co_return refuse(visit.record, denied);
  }
  const Result<void> revoked = co_await surroundings_.revoker.revoke_subject(subject);
  if (!revoked) co_return refuse(visit.record, answer_for_unavailable(), revoked.error().detail);
  const AuditEvent event{.name = "revoked", .subject = subject, .kind = "subject", .detail = "logout everywhere"};
  surroundings_.log.event(event, visit.record, visit.exchange);
  co_return std::nullopt;
}

Task<std::optional<Answer>> OwnEndpoints::end_named(Visit& visit, const Named& named) {
  const Snapshot& snapshot = visit.question.snapshot;
  const std::string subject = visit.record.identity != nullptr ? visit.record.identity->facts().subject : std::string();
  if (!named.session.empty()) {
    const Result<bool> ended = co_await surroundings_.session_issuer.end(named.session_cookie, snapshot.sessions);
    if (!ended) co_return refuse(visit.record, answer_for_unavailable(), ended.error().detail);
    const AuditEvent event{.name = "session_ended", .subject = subject, .session = named.session, .detail = "logout"};
    if (*ended) surroundings_.log.event(event, visit.record, visit.exchange);
  }
  for (const std::string& family : named.families) {
    const Result<bool> ended = co_await surroundings_.token_pairs.end(family, snapshot.revocation_times.family);
    if (!ended) co_return refuse(visit.record, answer_for_unavailable(), ended.error().detail);
    const AuditEvent event{.name = "revoked", .subject = subject, .family = family, .kind = "family", .detail = "logout"};
    if (*ended) surroundings_.log.event(event, visit.record, visit.exchange);
  }
  co_return std::nullopt;
}

}  // namespace sallyport::pipeline
