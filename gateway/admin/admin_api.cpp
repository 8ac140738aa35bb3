#include "admin/admin_api.hpp"

#include <stdexcept>
#include <utility>

#include "admin/operator_requests.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

namespace sallyport::admin {
namespace {

constexpr std::string_view kExposition = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kMethods = "GET, HEAD";
constexpr std::string_view kScheme = "Bearer ";

// The token of the one Authorization field, which must be of the Bearer scheme and hold nothing else.
std::optional<std::string_view> presented_token(const http::RequestHead& request) {
  if (request.count(http::FieldId::authorization) != 1) return std::nullopt;
  const std::string_view value = request.find(http::FieldId::authorization)->value;
  if (value.size() <= kScheme.size() || !equals_ignoring_case(value.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  return value.substr(kScheme.size());
}

bool lists(std::string_view methods, std::string_view method) {
  for (const std::string_view listed : split(methods, ',')) {
    if (trim_ows(listed) == method) return true;
  }
  return false;
}

}  // namespace

AdminApi::AdminApi(Sources sources, Controls& controls, const Clock& clock, std::optional<Secret> token)
    : sources_(std::move(sources)), controls_(controls), clock_(clock), token_(std::move(token)) {
  if (!sources_.why_not_ready || !sources_.metrics || !sources_.routes || !sources_.reload)
    throw std::invalid_argument("the admin API lacks a source");
  if (token_ && token_->empty()) throw std::invalid_argument("the admin API's token is empty");
}

void AdminApi::use_token(Secret token) {
  if (token.empty()) throw std::invalid_argument("the admin API's token is empty");
  if (token_) token_ = std::move(token);
}

std::optional<AdminApi::Endpoint> AdminApi::endpoint(std::string_view path) noexcept {
  if (path == "/livez") return Endpoint::livez;
  if (path == "/readyz") return Endpoint::readyz;
  if (path == "/metrics") return Endpoint::metrics;
  if (path == "/routes") return Endpoint::routes;
  if (path == "/revocations") return Endpoint::revocations;
  if (path == "/sessions") return Endpoint::sessions;
  if (path == "/reload") return Endpoint::reload;
  return std::nullopt;
}

std::string_view AdminApi::methods_of(Endpoint endpoint) noexcept {
  switch (endpoint) {
    case Endpoint::livez:
    case Endpoint::readyz:
    case Endpoint::metrics:
    case Endpoint::routes: return kMethods;
    case Endpoint::revocations:
    case Endpoint::reload: return "POST";
    case Endpoint::sessions: return "GET, HEAD, POST";
  }
  return {};
}

Task<void> AdminApi::handle(http::Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  const std::optional<Endpoint> wanted = endpoint(request.target.path());
  const bool is_probe = wanted == Endpoint::livez || wanted == Endpoint::readyz;
  std::optional<Answer> answered;
  if (!is_probe) answered = refusal(request);
  if (!answered && !wanted) answered = Answer::problem(404, "There is nothing at this address.");
  if (!answered && !lists(methods_of(*wanted), request.method_text)) {
    answered = Answer::problem(405, "The method is not allowed on this resource.");
    answered->fields.push_back({"Allow", methods_of(*wanted)});
  }
  const bool changes_things = wanted == Endpoint::revocations || wanted == Endpoint::sessions || wanted == Endpoint::reload;
  if (!answered && changes_things && !token_) answered = refuse_pages(request);
  if (!answered) {
    answered = co_await answer(*wanted, exchange);
    if (!answered) {
      exchange.abort();
      co_return;
    }
  }
  co_await send(exchange, std::move(*answered));
}

Task<void> AdminApi::refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view detail) {
  (void)detail;  // for logs, not for whoever sent this
  Answer refused = Answer::problem(http::status_of(fault), "The request was not understood.");
  if (fault == http::RequestFault::method_refused) refused.fields.push_back({"Allow", kMethods});
  exchange.close_after();
  co_await send(exchange, std::move(refused));
}

std::optional<Answer> AdminApi::refusal(const http::RequestHead& request) const {
  if (!token_) return std::nullopt;
  const std::span<const unsigned char> wanted = token_->reveal();
  const std::optional<std::string_view> token = presented_token(request);
  if (token && equal_in_constant_time(*token, {reinterpret_cast<const char*>(wanted.data()), wanted.size()})) return std::nullopt;
  Answer refused = Answer::problem(401, "The admin token is needed.");
  refused.fields.push_back({"WWW-Authenticate", R"(Bearer realm="sallyport admin")"});
  return refused;
}

Task<std::optional<Answer>> AdminApi::answer(Endpoint endpoint, http::Exchange& exchange) const {
  Answer found(200, kJson, "");
  switch (endpoint) {
    case Endpoint::livez: found.document = R"({"status":"alive"})"; break;
    case Endpoint::readyz: found = readiness(); break;
    case Endpoint::metrics: {
      Task<std::string> metrics = sources_.metrics();
      found.document = co_await std::move(metrics);
      found.content_type = kExposition;
      break;
    }
    case Endpoint::routes: {
      Task<std::string> routes = sources_.routes();
      found.document = co_await std::move(routes);
      break;
    }
    case Endpoint::revocations: {
      Task<std::optional<Answer>> posted = post_revocation(exchange, controls_);
      co_return co_await std::move(posted);
    }
    case Endpoint::sessions: {
      const bool is_post = exchange.request().method == http::Method::post;
      Task<std::optional<Answer>> sessions = is_post ? post_session(exchange, controls_) : list_sessions(exchange, controls_, clock_);
      co_return co_await std::move(sessions);
    }
    case Endpoint::reload: {
      Task<Answer> reloading = reload();
      co_return co_await std::move(reloading);
    }
  }
  co_return found;
}

Task<Answer> AdminApi::reload() const {
  Task<ReloadReport> reloading = sources_.reload();
  const ReloadReport report = co_await std::move(reloading);
  if (report.problems.empty()) co_return Answer(200, kJson, R"({"status":"reloaded"})");
  std::string document = R"({"status":"refused","problems":[)";
  for (const std::string& problem : report.problems) {
    if (&problem != report.problems.data()) document += ',';
    append_json_string(document, problem);
  }
  document += "]}";
  co_return Answer(report.needs_restart ? 409 : 422, kJson, std::move(document));
}

Answer AdminApi::readiness() const {
  const std::vector<std::string> reasons = sources_.why_not_ready();
  if (reasons.empty()) return {200, kJson, R"({"status":"ready"})"};
  std::string document = R"({"status":"not ready","reasons":[)";
  for (const std::string& reason : reasons) {
    if (&reason != reasons.data()) document += ',';
    append_json_string(document, reason);
  }
  document += "]}";
  return {503, kJson, std::move(document)};
}

Task<void> AdminApi::send(http::Exchange& exchange, Answer answer) {
  const observe::RequestId id(ids_);
  std::vector<http::Field> fields{{"Cache-Control", "no-store"}};
  if (answer.content_type == http::kProblemContentType) {
    answer.document = http::problem_json(answer.status, "", answer.document, id.view());
    fields.push_back({"X-Request-Id", id.view()});
  }
  if (!answer.content_type.empty()) fields.push_back({"Content-Type", answer.content_type});
  fields.insert(fields.end(), answer.fields.begin(), answer.fields.end());
  using Kind = http::AnswerBody::Kind;
  const http::AnswerBody body = answer.content_type.empty() ? http::AnswerBody{} : http::AnswerBody{Kind::sized, answer.document.size()};
  exchange.start(answer.status, fields, body);
  const bool written = co_await exchange.write(answer.document);
  if (!written) co_return;
  const bool finished = co_await exchange.finish();
  (void)finished;  // the session sees it too, and nothing else depends on it
}

}  // namespace sallyport::admin
