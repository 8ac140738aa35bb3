// One worker's issuing side over a unreliable store, with real keys and the real verifier.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "authenticate/jwt_authenticator.hpp"
#include "base/text.hpp"
#include "issue/token_pairs.hpp"
#include "support/token_factory.hpp"
#include "unreliable_store.hpp"

namespace sallyport::issue {

using authenticate::Algorithm;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Between two seconds, as moments are.
inline constexpr WallTime kStart = testing::kNow + milliseconds(300);

inline TokenSettings token_settings() {
  TokenSettings settings;
  settings.issuer = "https://gateway.example";
  settings.audiences = {"api"};
  settings.signing_keys_file = "edge.jwks.json";
  return settings;
}

// One private JWK Set of several.
inline std::string joined(const std::vector<std::string>& sets) {
  JsonArray keys;
  for (const std::string& text : sets) {
    const Json set = testing::need(Json::parse(text));
    for (const Json& key : *set.find("keys")->array()) keys.push_back(key);
  }
  return R"({"keys":)" + Json(Json::Value(keys)).dump() + "}";
}

inline EdgeKeysPtr edge_keys(const std::string& private_jwks, const TokenSettings& settings = token_settings()) {
  std::vector<std::string> warnings;
  return testing::need(EdgeKeys::create(settings, private_jwks, warnings));
}
inline EdgeKeysPtr edge_keys(Algorithm algorithm, const TokenSettings& settings = token_settings()) {
  return edge_keys(testing::test_key(algorithm).private_jwks, settings);
}

inline authenticate::TagKeysPtr tag_keys(char seed = 'k') {
  std::vector<Secret> secrets;
  secrets.emplace_back(std::string(32, seed));
  return std::make_shared<const authenticate::TagKeys>(std::move(secrets));
}

inline Principal alice(const std::string& claims = "{}") {
  return testing::need(make_principal("alice", testing::need(Json::parse(claims)), kStart));
}

// The claims of a compact token, unverified.
inline Json claims_of(const std::string& token) {
  const auto parts = split(token, '.');
  return testing::need(Json::parse(base64url_decode(parts.at(1)).value()));
}
inline Json header_of(const std::string& token) { return testing::need(Json::parse(base64url_decode(split(token, '.').at(0)).value())); }

// Runs a task to its end on a context that nobody else runs.
template <class T>
T run(boost::asio::io_context& context, Task<T> task) {
  std::optional<T> result;
  std::exception_ptr thrown;
  boost::asio::co_spawn(context.get_executor(), std::move(task), [&](std::exception_ptr exception, T value) {
    thrown = std::move(exception);
    result.emplace(std::move(value));
  });
  context.restart();
  context.run();
  if (thrown) std::rethrow_exception(thrown);
  return std::move(result.value());
}

inline std::uint64_t counted(const observe::WorkerMetrics& metrics, const std::string& series) {
  const std::string text = observe::exposition({}, metrics);
  const std::size_t at = text.find("\n" + series + " ");
  if (at == std::string::npos) return 0;
  return std::stoull(text.substr(at + series.size() + 2));
}

// How a gateway judges an access token.
class Judge {
 public:
  Judge(const EdgeKeysPtr& keys, const store::RevocationList& revocations)
      : plan_(authenticate::make_default_plan({keys->issuer()}, std::make_shared<authenticate::SessionSettings>())),
        authenticator_(cache_, revocations) {}

  [[nodiscard]] identity::AuthOutcome outcome(const std::string& token, WallTime now) {
    return authenticator_.authenticate({token, 1, false}, plan_, now);
  }
  [[nodiscard]] identity::IdentityPtr identity(const std::string& token, WallTime now) {
    identity::AuthOutcome judged = outcome(token, now);
    auto* accepted = std::get_if<identity::IdentityPtr>(&judged);
    return accepted == nullptr ? nullptr : *accepted;
  }
  [[nodiscard]] std::optional<identity::RefusalReason> refusal(const std::string& token, WallTime now) {
    const identity::AuthOutcome judged = outcome(token, now);
    const auto* refused = std::get_if<identity::Refused>(&judged);
    return refused == nullptr ? std::nullopt : std::optional(refused->reason);
  }

 private:
  authenticate::CredentialPlan plan_;
  authenticate::VerifiedTokenCache cache_{100, 1024 * 1024};
  authenticate::JwtAuthenticator authenticator_;
};

// A gateway of one worker.
struct Gateway {
  explicit Gateway(std::shared_ptr<SharedState> state, WallTime start = kStart)
      : clock(start), store(std::move(state), store_clock, revocations) {
    desks.add(context.get_executor(), desk);
  }

  boost::asio::io_context context;
  SteadyClock clock;                // the gateway's
  SteadyClock store_clock{kStart};  // the store's
  store::RevocationList revocations{1000};
  UnreliableStore store;
  observe::WorkerMetrics metrics;
  authenticate::TagKeysPtr tags = tag_keys();
  RefreshDesk desk{{store, revocations, clock, metrics}};
  RefreshDesks desks;
  TokenPairs pairs{{store, revocations, desks, clock, metrics, context.get_executor()}};

  void advance(milliseconds time) {
    clock.advance(time);
    store_clock.advance(time);
  }
  [[nodiscard]] TokenPairPtr begin(const EdgeKeysPtr& keys, Principal principal = alice()) {
    return testing::need(run(context, pairs.begin(std::move(principal), keys, tags)));
  }
  [[nodiscard]] RefreshOutcome refresh(const std::string& token, const EdgeKeysPtr& keys) {
    return run(context, pairs.refresh(token, keys, tags));
  }
  [[nodiscard]] std::uint64_t refreshed(const std::string& result) const {
    return counted(metrics, "sallyport_refresh_total{result=\"" + result + "\"}");
  }
};

inline TokenPairPtr pair_of(const RefreshOutcome& outcome) {
  const auto* pair = std::get_if<TokenPairPtr>(&outcome);
  return pair == nullptr ? nullptr : *pair;
}
// "" when it was not refused.
inline std::string refusal_of(const RefreshOutcome& outcome) {
  const auto* refused = std::get_if<RefreshRefused>(&outcome);
  return refused == nullptr ? std::string() : std::string(refused->reason);
}
inline bool is_unavailable(const RefreshOutcome& outcome) { return std::holds_alternative<RefreshUnavailable>(outcome); }

}  // namespace sallyport::issue
