#include "pipeline/establisher.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "http/cookie.hpp"
#include "identity/owned_names.hpp"
#include "issue/cookies.hpp"
#include "pipeline/refresher.hpp"
#include "pipeline/request_cookies.hpp"

namespace sallyport::pipeline {
namespace {

constexpr std::string_view kEstablishField = "X-Auth-Establish";
// Cookies of one name that are looked at: a browser sends several only when somebody planted one.
constexpr std::size_t kPreviousMax = 8;

struct Stated {
  std::size_t count = 0;
  bool is_exact = false;   // the first, letter case aside
  std::string_view value;  // of the first
};

Stated establishment_in(const http::ResponseHead& head) noexcept {
  Stated stated;
  for (const http::Field& field : head.fields) {
    if (!identity::fold_alike(field.name, kEstablishField)) continue;
    if (stated.count++ == 0) stated = {.count = 1, .is_exact = equals_ignoring_case(field.name, kEstablishField), .value = field.value};
  }
  return stated;
}

// The values of the cookies of that name, at most kPreviousMax.
std::vector<std::string> values_of_cookie(const http::RequestHead& request, std::string_view name) {
  std::vector<std::string> values;
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::cookie) continue;
    http::CookieReader reader(field.value);
    http::CookiePair pair;
    while (reader.next(pair) && values.size() < kPreviousMax) {
      if (pair.name == name) values.emplace_back(pair.value);
    }
  }
  return values;
}

}  // namespace

Establisher::Establisher(const Surroundings& surroundings, const http::Exchange& exchange, const Route& route, const Snapshot& snapshot,
                         const RequestRecord& record, std::vector<std::string> cookies)
    : surroundings_(surroundings), exchange_(exchange), route_(route), snapshot_(snapshot), record_(record), cookies_(std::move(cookies)) {}

void Establisher::audit(const AuditEvent& event) const { surroundings_.log.event(event, record_, exchange_); }

bool Establisher::withhold(Answer answer) {
  answer_ = std::move(answer);
  return false;
}

Answer Establisher::take_answer() {
  Answer answer = answer_ ? std::move(*answer_) : answer_for_unavailable();
  answer.add_cookies(cookies_);
  return answer;
}

Task<bool> Establisher::on_answer(const http::ResponseHead& head, std::vector<http::Field>& add) {
  const Stated stated = establishment_in(head);
  const bool succeeded = head.status >= 200 && head.status < 300;
  if (stated.count != 0 && !succeeded) {
    audit({.name = "establish_ignored", .level = observe::Level::warning, .detail = "the answer is no 2xx"});
  }
  if (stated.count != 0 && succeeded) {
    // What an upstream says twice, or under a name that only looks like it, may be another's word that it passed on.
    Result<issue::Principal> principal = make_error(Fault::malformed, "it stands there more than once, or under an alias of its name");
    if (stated.count == 1 && stated.is_exact) principal = issue::read_establishment(stated.value, surroundings_.clock.wall_now());
    if (!principal) {
      audit({.name = "establish_refused", .level = observe::Level::warning, .detail = principal.error().detail});
      co_return withhold(answer_for_refused_establishment());
    }
    const Result<void> issued = co_await issue(std::move(*principal));
    if (!issued) {
      audit({.name = "establish_refused", .level = observe::Level::warning, .detail = issued.error().detail});
      co_return withhold(answer_for_unavailable());
    }
    if (answer_) co_return false;
  }
  for (const std::string& line : cookies_) add.push_back({"Set-Cookie", line, http::FieldId::set_cookie});
  // Whatever the upstream says of its answer: one that carries a credential is nobody else's.
  if (!cookies_.empty()) add.push_back({"Cache-Control", "no-store"});
  co_return true;
}

Task<Result<void>> Establisher::issue(issue::Principal principal) {
  // The new one first: when it cannot be had, the old one stays, and the client can try again.
  std::vector<std::string> before = std::exchange(cookies_, {});
  Result<void> done = make_error(Fault::internal, "the route establishes nothing");
  switch (route_.establish) {
    case Establish::nothing: break;
    case Establish::session: {
      Result<void> issued = co_await issue_session(std::move(principal));
      done = std::move(issued);
      break;
    }
    case Establish::tokens: {
      Result<void> issued = co_await issue_tokens(std::move(principal));
      done = std::move(issued);
      break;
    }
  }
  if (done) {
    Result<void> ended = co_await end_previous();
    done = std::move(ended);
  }
  if (!done) cookies_ = std::move(before);
  co_return done;
}

Task<Result<void>> Establisher::issue_session(issue::Principal principal) {
  const std::string subject = principal.subject;
  const Result<issue::IssuedSession> issued = co_await surroundings_.session_issuer.begin(std::move(principal), snapshot_.sessions);
  if (!issued) co_return issued.error();
  cookies_.push_back(issue::set_cookie(snapshot_.sessions->cookie_name, issued->cookie_value, snapshot_.sessions->same_site, std::nullopt));
  audit({.name = "session_begun", .subject = subject, .session = issued->handle});
  co_return Result<void>();
}

Task<Result<void>> Establisher::issue_tokens(issue::Principal principal) {
  if (snapshot_.edge == nullptr) co_return make_error(Fault::unsupported, "no tokens are configured");
  const authenticate::TagKeysPtr tags = surroundings_.authenticator.sessions().keys();
  if (tags == nullptr) co_return make_error(Fault::unavailable, "the keys of refresh tokens are not known yet");
  const Result<issue::TokenPairPtr> pair = co_await surroundings_.token_pairs.begin(std::move(principal), snapshot_.edge, tags);
  if (!pair) co_return pair.error();
  // A browser keeps them in cookies that no script can read; anyone else gets them as a token endpoint gives them.
  if (exchange_.request().find("Sec-Fetch-Mode") != nullptr) {
    cookies_ = issue::token_cookies(**pair, snapshot_.edge->settings());
  } else {
    answer_ = token_answer(issue::token_response_json(**pair));
  }
  audit({.name = "tokens_issued", .subject = (*pair)->subject, .family = (*pair)->family});
  co_return Result<void>();
}

std::vector<std::string> Establisher::previous_families() const {
  std::vector<std::string> families;
  const auto add = [&families](std::string handle) {
    if (!handle.empty() && std::ranges::find(families, handle) == families.end()) families.push_back(std::move(handle));
  };
  const issue::TokenSettings& settings = snapshot_.edge->settings();
  const authenticate::TagKeysPtr tags = surroundings_.authenticator.sessions().keys();
  for (const std::string& value : values_of_cookie(exchange_.request(), settings.refresh_cookie)) {
    const auto opened = tags != nullptr ? tags->open_refresh_token(value) : std::nullopt;
    if (opened) add(store::handle_of(opened->family_key));
  }
  const authenticate::CredentialPlan& plan = snapshot_.any_credential;
  for (const std::string& value : values_of_cookie(exchange_.request(), settings.access_cookie)) {
    const authenticate::BearerToken bearer{.token = value, .places = places_of_cookie(plan, settings.access_cookie), .by_cookie = true};
    const identity::AuthOutcome outcome = surroundings_.authenticator.tokens().authenticate(bearer, plan, surroundings_.clock.wall_now());
    if (const auto* verified = std::get_if<identity::IdentityPtr>(&outcome)) add((*verified)->facts().family);
  }
  return families;
}

Task<Result<void>> Establisher::end_previous() {
  const http::RequestHead& request = exchange_.request();
  std::vector<std::string> sessions = values_of_cookie(request, snapshot_.sessions->cookie_name);
  for (std::string& value : sessions) {
    const Result<bool> ended = co_await surroundings_.session_issuer.end(std::move(value), snapshot_.sessions);
    if (!ended) co_return ended.error();
    if (*ended) audit({.name = "session_ended", .detail = "replaced by a new login"});
  }
  // A dead credential that the browser went on sending would decide before the new one.
  if (route_.establish != Establish::session && cookies_named(request, snapshot_.sessions->cookie_name).count != 0) {
    cookies_.push_back(issue::clear_cookie(snapshot_.sessions->cookie_name, snapshot_.sessions->same_site));
  }
  if (snapshot_.edge == nullptr) co_return Result<void>();

  const std::vector<std::string> families = previous_families();
  for (const std::string& family : families) {
    const Result<bool> ended = co_await surroundings_.token_pairs.end(family, snapshot_.revocation_times.family);
    if (!ended) co_return ended.error();
    if (*ended) audit({.name = "revoked", .family = family, .kind = "family", .detail = "replaced by a new login"});
  }
  const issue::TokenSettings& settings = snapshot_.edge->settings();
  const bool had_tokens = cookies_named(request, settings.access_cookie).count + cookies_named(request, settings.refresh_cookie).count != 0;
  const bool sets_tokens = route_.establish == Establish::tokens && !answer_;
  if (had_tokens && !sets_tokens) {
    for (std::string& line : issue::clear_token_cookies(settings)) cookies_.push_back(std::move(line));
  }
  co_return Result<void>();
}

}  // namespace sallyport::pipeline
