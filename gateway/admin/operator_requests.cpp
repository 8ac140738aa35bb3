#include "admin/operator_requests.hpp"

#include <algorithm>
#include <variant>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/text.hpp"

namespace sallyport::admin {
namespace {

using http::BodyState;

// The body as a JSON object; an Answer when it is none; std::monostate when the client is gone.
using ReadBody = std::variant<std::monostate, Answer, Json>;

// No form of a page can send this type without asking first (CORS).
bool is_json(const http::RequestHead& request) {
  if (request.count(http::FieldId::content_type) != 1) return false;
  const std::string_view type = request.find(http::FieldId::content_type)->value;
  return equals_ignoring_case(trim_ows(type.substr(0, type.find(';'))), kJson);
}

Task<ReadBody> read_object(http::Exchange& exchange) {
  if (!is_json(exchange.request())) co_return Answer::problem(415, "The body must be application/json.");
  std::string text;
  for (;;) {
    const http::BodyPiece piece = co_await exchange.read_body();
    if (piece.state == BodyState::end) break;
    if (piece.state == BodyState::gone) co_return std::monostate{};
    if (piece.state == BodyState::timed_out) co_return Answer::problem(408, "The body did not come in time.");
    if (piece.state == BodyState::malformed) co_return Answer::problem(400, "The framing of the body is malformed.");
    if (piece.state == BodyState::too_large || text.size() + piece.bytes.size() > kBodyBytesMax) {
      co_return Answer::problem(413, "The body is larger than 64 KiB.");
    }
    text.append(piece.bytes);
  }
  Result<Json> document = Json::parse(text);
  if (!document || document->object() == nullptr) co_return Answer::problem(400, "The body is no JSON object.");
  co_return std::move(*document);
}

Answer could_not_ask(std::string detail) {
  Answer answer = Answer::problem(503, std::move(detail));
  answer.fields.push_back({"Retry-After", "1", http::FieldId::retry_after});
  return answer;
}

// Of what the operator said; nothing of it is repeated.
Answer malformed(const Error& error) { return Answer::problem(400, fmt::format("The request cannot be understood: {}.", error.detail)); }

std::string date_time(WallTime time) { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(time)); }

Json text(std::string value) { return Json(Json::Value(std::move(value))); }

std::optional<std::string> percent_decode(std::string_view encoded) {
  std::string decoded;
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    if (encoded[i] != '%') {
      decoded += encoded[i];
      continue;
    }
    if (encoded.size() - i < 3) return std::nullopt;
    const auto high = hex_digit(encoded[i + 1]);
    const auto low = hex_digit(encoded[i + 2]);
    if (!high || !low) return std::nullopt;
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

// `subject=S` and nothing else, percent-encoded; '+' is a plus. nullopt otherwise.
std::optional<std::string> queried_subject(std::string_view query) {
  constexpr std::string_view kName = "subject=";
  if (!query.starts_with(kName) || query.find('&') != std::string_view::npos) return std::nullopt;
  auto subject = percent_decode(query.substr(kName.size()));
  if (!subject || subject->empty() || !is_utf8(*subject)) return std::nullopt;
  return subject;
}

bool is_local_name(std::string_view host) {
  const bool is_v4 = std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return host == "localhost" || host.starts_with('[') || is_v4;
}

}  // namespace

std::optional<Answer> refuse_pages(const http::RequestHead& request) {
  constexpr std::string_view kRefused = "The request comes from a web page; this listener serves programs on this machine alone.";
  if (request.count(http::FieldId::origin) != 0) return Answer::problem(403, std::string(kRefused));
  for (const http::Field& field : request.fields) {
    if (field.id != http::FieldId::sec_fetch_site) continue;
    if (field.value != "none" && field.value != "same-origin") return Answer::problem(403, std::string(kRefused));
  }
  if (is_local_name(request.host_name)) return std::nullopt;
  return Answer::problem(403, "The Host must be an IP address or localhost; a listener that asks for a token takes every other.");
}

Task<std::optional<Answer>> post_revocation(http::Exchange& exchange, Controls& controls) {
  ReadBody body = co_await read_object(exchange);
  if (std::holds_alternative<std::monostate>(body)) co_return std::nullopt;
  if (auto* refused = std::get_if<Answer>(&body)) co_return std::move(*refused);
  Task<Result<void>> revoking = controls.revoke(std::move(std::get<Json>(body)));
  const Result<void> revoked = co_await std::move(revoking);
  if (revoked) co_return Answer(204, {}, {});
  switch (revoked.error().fault) {
    case Fault::malformed: co_return malformed(revoked.error());
    case Fault::too_large: co_return could_not_ask("No more revocations can be kept (revocations.entries_max); nothing was revoked.");
    default: co_return could_not_ask("The store could not be asked; whether it is revoked is not known. Send it again.");
  }
}

Task<std::optional<Answer>> post_session(http::Exchange& exchange, Controls& controls) {
  ReadBody body = co_await read_object(exchange);
  if (std::holds_alternative<std::monostate>(body)) co_return std::nullopt;
  if (auto* refused = std::get_if<Answer>(&body)) co_return std::move(*refused);
  const JsonObject& members = *std::get<Json>(body).object();
  std::optional<std::string> subject;
  Json claims{Json::Value(JsonObject{})};
  for (const auto& [name, value] : members) {
    if (name == "subject" && value.string() != nullptr) {
      subject = *value.string();
    } else if (name == "claims" && value.object() != nullptr) {
      claims = value;
    } else {
      co_return Answer::problem(400, R"(Expected {"subject": "...", "claims": {...}} and nothing else; claims may be left out.)");
    }
  }
  if (!subject) co_return Answer::problem(400, "The subject is missing.");
  Task<Result<CreatedSession>> creating = controls.create_session(std::move(*subject), std::move(claims));
  Result<CreatedSession> created = co_await std::move(creating);
  if (!created) {
    switch (created.error().fault) {
      case Fault::malformed:
      case Fault::too_large: co_return malformed(created.error());
      case Fault::unsupported: co_return Answer::problem(409, "No route of this configuration takes sessions.");
      default: co_return could_not_ask("The store could not be asked.");
    }
  }
  JsonObject document;
  document.emplace_back("session", text(std::move(created->session)));
  document.emplace_back("handle", text(std::move(created->handle)));
  document.emplace_back("cookie", text(std::move(created->cookie)));
  co_return Answer(201, kJson, Json(Json::Value(std::move(document))).dump());
}

Task<std::optional<Answer>> list_sessions(http::Exchange& exchange, Controls& controls, const Clock& clock) {
  std::optional<std::string> subject = queried_subject(exchange.request().target.query());
  if (!subject) co_return Answer::problem(400, "Expected ?subject=S, percent-encoded, and nothing else.");
  Task<Result<std::vector<store::Session>>> asking = controls.sessions_of(std::move(*subject));
  const Result<std::vector<store::Session>> sessions = co_await std::move(asking);
  if (!sessions) co_return could_not_ask("The store could not be asked.");
  const WallTime now = clock.wall_now();
  JsonArray list;
  for (const store::Session& session : *sessions) {
    JsonObject object;
    object.emplace_back("handle", text(store::handle_of(session.key)));
    object.emplace_back("created_at", text(date_time(session.created_at)));
    object.emplace_back("last_seen_at", text(date_time(session.last_seen_at)));
    object.emplace_back("idle_expires_at", text(date_time(now + session.idle_left)));
    object.emplace_back("expires_at", text(date_time(now + session.absolute_left)));
    list.emplace_back(Json::Value(std::move(object)));
  }
  co_return Answer(200, kJson, Json(Json::Value(std::move(list))).dump());
}

}  // namespace sallyport::admin
