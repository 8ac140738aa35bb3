#include "pipeline/decide.hpp"

#include <memory>

#include "base/keyed_hash.hpp"
#include "issuers.hpp"
#include "request.hpp"
#include "stage.hpp"
#include "support/manual_clock.hpp"

namespace sallyport::micro {
namespace {

// All that is decided about a request with a remembered token: check, route, authenticate, judge.
class Deciding {
 public:
  Deciding() {
    builder_.accept(issuer_of(kSignedTokens[2]));
    builder_.add("public", "/public/**", authorize::Access::public_);
    builder_.add("orders", "/api/v1/orders/**", authorize::Access::authenticated).policy.require = {authorize::ScopeIs{"orders:read"}};
    snapshot_ = builder_.build();
  }
  [[nodiscard]] bool run() {
    const pipeline::Question question{request_.head(), peer_, *snapshot_, authenticator_, testing::kNow};
    if (pipeline::check_request(question.request)) return false;
    const route::RouteOutcome routed = pipeline::find_route(question);
    const auto& found = std::get<route::Found>(routed);
    const auto attempt = pipeline::try_authenticate(question, snapshot_->routes[found.route]);
    const auto* who = std::get_if<authenticate::Authentication>(&attempt);
    return who != nullptr && std::holds_alternative<pipeline::Allowed>(pipeline::judge(question, found, *who));
  }

 private:
  boost::asio::io_context context_{1};
  test::ManualClock clock_;
  observe::WorkerMetrics metrics_;
  TaskGroup tasks_{context_, [](std::string_view) {}};
  store::RevocationList revocations_{1000};
  authenticate::VerifiedTokenCache cache_{1024, 1 << 20};
  authenticate::JwtAuthenticator tokens_{cache_, revocations_};
  authenticate::SessionAuthenticator sessions_{{revocations_, clock_, tasks_, metrics_}};
  authenticate::Authenticator authenticator_{tokens_, sessions_};
  testing::SnapshotBuilder builder_;
  pipeline::SnapshotPtr snapshot_;
  http::Peer peer_{.listener = "public", .address = "192.0.2.1", .port = 50000, .is_tls = true};
  ParsedRequest request_{bearer(kSignedTokens[2])};
};

}  // namespace

void add_decisions(std::vector<Stage>& to) {
  to.push_back({"decision",
                [] {
                  auto at = std::make_shared<Deciding>();
                  if (!at->run()) throw std::runtime_error("the request is not allowed");
                  return [at] { keep(at->run()); };
                },
                [] {
                  return [hash = KeyedHash(), path = std::string("/api/v1/orders/4711"), token = std::string(kSignedTokens[2].token)] {
                    keep(hash(path));
                    keep(hash(token));
                  };
                },
                "the hashes of path and token"});
}

}  // namespace sallyport::micro
