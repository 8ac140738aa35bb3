#include "admin/admin_api.hpp"

#include <stdexcept>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"
#include "http/problem.hpp"

namespace sallyport::admin {
namespace {

constexpr std::string_view kJson = "application/json";
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

}  // namespace

struct AdminApi::Answer {
  int status;
  std::string_view content_type;
  std::string document;  // of a problem: its detail, until it is sent
  std::vector<http::Field> fields;

  Answer(int status, std::string_view content_type, std::string document)
      : status(status), content_type(content_type), document(std::move(document)) {}
};

AdminApi::AdminApi(Sources sources, std::optional<Secret> token) : sources_(std::move(sources)), token_(std::move(token)) {
  if (!sources_.why_not_ready || !sources_.metrics || !sources_.routes) throw std::invalid_argument("the admin API lacks a source");
  if (token_ && token_->empty()) throw std::invalid_argument("the admin API's token is empty");
}

std::optional<AdminApi::Endpoint> AdminApi::endpoint(std::string_view path) noexcept {
  if (path == "/livez") return Endpoint::livez;
  if (path == "/readyz") return Endpoint::readyz;
  if (path == "/metrics") return Endpoint::metrics;
  if (path == "/routes") return Endpoint::routes;
  return std::nullopt;
}

Task<void> AdminApi::handle(http::Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  const std::optional<Endpoint> wanted = endpoint(request.target.path());
  const bool is_probe = wanted == Endpoint::livez || wanted == Endpoint::readyz;
  if (!is_probe) {
    std::optional<Answer> refused = refusal(request);
    if (refused) {
      co_await send_problem(exchange, std::move(*refused));
      co_return;
    }
  }
  if (!wanted) {
    Answer missing(404, http::kProblemContentType, "There is nothing at this address.");
    co_await send_problem(exchange, std::move(missing));
    co_return;
  }
  if (request.method != http::Method::get && request.method != http::Method::head) {
    Answer wrong(405, http::kProblemContentType, "The method is not allowed on this resource.");
    wrong.fields.push_back({"Allow", kMethods});
    co_await send_problem(exchange, std::move(wrong));
    co_return;
  }
  const Answer found = co_await answer(*wanted);
  co_await send(exchange, found);
}

Task<void> AdminApi::refuse(http::Exchange& exchange, http::RequestFault fault, std::string_view detail) {
  (void)detail;  // for logs, not for whoever sent this
  Answer refused(http::status_of(fault), http::kProblemContentType, "The request was not understood.");
  if (fault == http::RequestFault::method_refused) refused.fields.push_back({"Allow", kMethods});
  exchange.close_after();
  co_await send_problem(exchange, std::move(refused));
}

std::optional<AdminApi::Answer> AdminApi::refusal(const http::RequestHead& request) const {
  if (!token_) return std::nullopt;
  const std::span<const unsigned char> wanted = token_->reveal();
  const std::optional<std::string_view> token = presented_token(request);
  if (token && equal_in_constant_time(*token, {reinterpret_cast<const char*>(wanted.data()), wanted.size()})) return std::nullopt;
  Answer refused(401, http::kProblemContentType, "The admin token is needed.");
  refused.fields.push_back({"WWW-Authenticate", R"(Bearer realm="sallyport admin")"});
  return refused;
}

Task<AdminApi::Answer> AdminApi::answer(Endpoint endpoint) const {
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
  }
  co_return found;
}

AdminApi::Answer AdminApi::readiness() const {
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

Task<void> AdminApi::send(http::Exchange& exchange, const Answer& answer) {
  std::vector<http::Field> fields{{"Content-Type", answer.content_type}, {"Cache-Control", "no-store"}};
  fields.insert(fields.end(), answer.fields.begin(), answer.fields.end());
  exchange.start(answer.status, fields, {http::AnswerBody::Kind::sized, answer.document.size()});
  const bool written = co_await exchange.write(answer.document);
  if (!written) co_return;
  const bool finished = co_await exchange.finish();
  (void)finished;  // the session sees it too, and nothing else depends on it
}

Task<void> AdminApi::send_problem(http::Exchange& exchange, Answer answer) {
  const observe::RequestId id(ids_);
  answer.document = http::problem_json(answer.status, "", answer.document, id.view());
  answer.fields.push_back({"X-Request-Id", id.view()});
  co_await send(exchange, answer);
}

}  // namespace sallyport::admin
