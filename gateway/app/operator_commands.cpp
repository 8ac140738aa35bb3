#include "app/operator_commands.hpp"

#include <ostream>

#include <fmt/format.h>

#include "app/admin_client.hpp"
#include "app/config_loader.hpp"
#include "app/open_store.hpp"
#include "app/operator_desk.hpp"
#include "base/json.hpp"

namespace sallyport::app {
namespace {

Json text(std::string value) { return Json(Json::Value(std::move(value))); }

int complain(const Streams& streams, int code, std::string_view why) {
  streams.error << "sallyport: " << why << '\n';
  return code;
}

std::optional<Settings> load(const std::string& path, const Streams& streams) {
  Loaded loaded = load_config(path, process_environment);
  for (const Problem& problem : loaded.problems) streams.error << problem.text() << '\n';
  return std::move(loaded.settings);
}

// What the gateway that runs says; nullopt when there is none to ask.
std::optional<AdminAnswer> ask_gateway(const Settings& settings, std::string_view path, const Json& document) {
  if (!settings.admin) return std::nullopt;
  Result<AdminAnswer> answer = post_to_admin(*settings.admin, path, document.dump());
  if (!answer) return std::nullopt;
  return std::move(*answer);
}

// An answer of the gateway that is no success.
int refused(const Streams& streams, const AdminAnswer& answer) {
  const Result<Json> problem = Json::parse(answer.body);
  const Json* detail = problem ? problem->find("detail") : nullptr;
  const std::string why = detail != nullptr && detail->string() != nullptr ? *detail->string() : std::string();
  return complain(streams, answer.status == 503 ? kStoreUnreachable : kRefused,
                  fmt::format("the gateway answers {}{}{}", answer.status, why.empty() ? "" : ": ", why));
}

// What the store itself says that is no success.
int refused(const Streams& streams, const Error& error) {
  switch (error.fault) {
    case Fault::malformed:
    case Fault::too_large:
    case Fault::unsupported: return complain(streams, kRefused, error.detail);
    default: return complain(streams, kStoreUnreachable, "the store cannot be asked: " + error.detail);
  }
}

// The store without a gateway, and what an operator may do in it.
struct OpenedDesk {
  std::unique_ptr<OpenedStore> store;
  std::unique_ptr<OperatorDesk> desk;
};

enum class Keys : unsigned char { needed, not_needed };

Result<OpenedDesk> open_desk(const Settings& settings, Keys keys) {
  Result<std::unique_ptr<OpenedStore>> opened = OpenedStore::open(settings);
  if (!opened) return opened.error();
  OpenedDesk result{std::move(*opened), nullptr};
  OpenedStore& store = *result.store;
  result.desk = std::make_unique<OperatorDesk>(OperatorDesk::Surroundings{
      settings.snapshot, settings.takes_sessions, store.store(), store.revocations(), store.clock(), store.tasks(), store.metrics()});
  if (keys == Keys::needed) {
    Result<authenticate::TagKeysPtr> agreed = store.keys(settings);
    if (!agreed) return agreed.error();
    result.desk->use_keys(std::move(*agreed));
  }
  return result;
}

}  // namespace

int create_session(const CreateSessionOptions& options, const Streams& streams) {
  const Result<Json> claims = Json::parse(options.claims);
  if (!claims || claims->object() == nullptr) return complain(streams, kUsage, "--claims is no JSON object");
  const std::optional<Settings> settings = load(options.config_path, streams);
  if (!settings) return kRefused;
  JsonObject document;
  document.emplace_back("subject", text(options.subject));
  document.emplace_back("claims", *claims);
  if (const auto answer = ask_gateway(*settings, "/sessions", Json(Json::Value(std::move(document))))) {
    const Result<Json> body = Json::parse(answer->body);
    const Json* session = body ? body->find("session") : nullptr;
    if (answer->status != 201 || session == nullptr || session->string() == nullptr) return refused(streams, *answer);
    streams.out << *session->string() << '\n';
    return kDone;
  }
  Result<OpenedDesk> opened = open_desk(*settings, Keys::needed);
  if (!opened) return refused(streams, opened.error());
  const Result<admin::CreatedSession> created = opened->store->ask(opened->desk->create_session(options.subject, *claims));
  if (!created) return refused(streams, created.error());
  streams.out << created->session << '\n';
  return kDone;
}

int revoke(const RevokeOptions& options, const Streams& streams) {
  const std::optional<Settings> settings = load(options.config_path, streams);
  if (!settings) return kRefused;
  JsonObject members;
  const std::pair<std::string_view, const std::optional<std::string>&> parts[] = {{"subject", options.subject},
                                                                                  {"session", options.session},
                                                                                  {"token_id", options.token_id},
                                                                                  {"family", options.family},
                                                                                  {"issued_before", options.issued_before}};
  for (const auto& [name, value] : parts) {
    if (value) members.emplace_back(name, text(*value));
  }
  const Json document(Json::Value(std::move(members)));
  if (const auto answer = ask_gateway(*settings, "/revocations", document)) {
    if (answer->status != 204) return refused(streams, *answer);
    streams.out << "revoked\n";
    return kDone;
  }
  Result<OpenedDesk> opened = open_desk(*settings, options.session || options.family ? Keys::needed : Keys::not_needed);
  if (!opened) return refused(streams, opened.error());
  const Result<void> revoked = opened->store->ask(opened->desk->revoke(document));
  if (!revoked) return refused(streams, revoked.error());
  streams.out << "revoked\n";
  return kDone;
}

}  // namespace sallyport::app
