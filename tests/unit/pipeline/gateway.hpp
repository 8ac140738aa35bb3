// A pipeline before an upstream that answers as the test says.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pipeline/pipeline.hpp"
#include "support/fake_exchange.hpp"
#include "support/scripted_upstream.hpp"
#include "worker.hpp"

namespace sallyport::pipeline {

// Answers every request alike and keeps their heads. Its connections are threads' of their own.
class RecordingUpstream {
 public:
  ~RecordingUpstream() { hang_up(); }

  void answer_with(std::string text) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(text);
  }
  // The next answer is the last of its connection, which stays open until hang_up().
  void hold_after(std::string text) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(text);
    holds_ = true;
  }
  void hang_up() {
    const std::lock_guard lock(mutex_);
    holds_ = false;
    released_.notify_all();
  }
  [[nodiscard]] std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }
  [[nodiscard]] std::string last_head() const {
    const auto all = heads();
    return all.empty() ? "" : all.back();
  }
  [[nodiscard]] std::uint16_t port() const { return server_.port(); }

 private:
  void serve(testing::Peer& peer) {
    for (;;) {
      const std::string head = peer.read_head();
      if (head.empty()) return;
      std::unique_lock lock(mutex_);
      heads_.push_back(head);
      const std::string answer = answer_;
      const bool is_last = holds_;
      lock.unlock();
      if (!peer.write(answer)) return;
      if (!is_last) continue;
      lock.lock();
      released_.wait(lock, [this] { return !holds_; });
      return;
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::string answer_ = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  bool holds_ = false;
  std::vector<std::string> heads_;
  testing::ScriptedUpstream server_{{[this](testing::Peer& peer) { serve(peer); }}};
};

// "HTTP/1.1 200 OK" with those field lines and a body of two bytes.
inline std::string ok_with(std::string_view fields) { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + std::string(fields) + "\r\nok"; }

// Routes /public /api /optional, /login (session) and /token (tokens), one foreign issuer "corp" and tokens of our own.
class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() : edge_(testing::test_edge_keys()) {
    builder_.accept(testing::test_issuer("corp", "https://issuer.example", "api", authenticate::Algorithm::es256)).issue_tokens(edge_);
    builder_.add("public", "/public/**", authorize::Access::public_);
    builder_.add("api", "/api/**", authorize::Access::authenticated);
    builder_.add("optional", "/optional/**", authorize::Access::optional);
    builder_.add("admin", "/admin/**", authorize::Access::authenticated).policy.require = {authorize::RoleIs{"admin"}};
    builder_.add("login", "/login", authorize::Access::public_).establish = Establish::session;
    builder_.add("token", "/token", authorize::Access::public_).establish = Establish::tokens;
    builder_.add("step-up", "/step-up", authorize::Access::optional).establish = Establish::session;
  }
  ~GatewayTest() override {
    pipeline_.use(nullptr);  // the kept connections end, and with them the upstream's threads
  }

  // The road is built with the first request, so that a test may refine builder_ before it.
  void open() {
    if (snapshot_ != nullptr) return;
    snapshot_ = builder_.build();
    auto road = std::make_shared<Road>();
    road->snapshot = snapshot_;
    upstream::UpstreamSettings settings;
    settings.name = "web";
    settings.servers = {{.is_tls = false, .host = "127.0.0.1", .port = upstream_.port(), .weight = 1, .authority = "127.0.0.1"}};
    road->upstreams.push_back(testing::need(upstream::Upstream::create(settings, worker_.context, worker_.wheel)));
    pipeline_.use(std::move(road));
  }
  test::FakeExchange serve(std::string request) {
    open();
    test::FakeExchange exchange(std::move(request), {.listener = "public", .address = "192.0.2.1", .port = 50000, .is_tls = true});
    serve(exchange);
    return exchange;
  }
  void serve(test::FakeExchange& exchange) {
    open();
    EXPECT_FALSE(exchange.refused());
    worker_.run(pipeline_.handle(exchange));
  }
  static std::string request(std::string_view method, std::string_view target, const std::vector<std::string>& fields = {},
                             std::string_view body = "") {
    std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: gateway.example\r\n";
    for (const std::string& field : fields) text += field + "\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + std::string(body);
  }
  test::FakeExchange get(std::string_view target, const std::vector<std::string>& fields = {}) {
    return serve(request("GET", target, fields));
  }
  test::FakeExchange post(std::string_view target, const std::vector<std::string>& fields = {}, std::string_view body = "") {
    return serve(request("POST", target, fields, body));
  }

  static std::string cookie(std::string_view name, std::string_view value) {
    return "Cookie: " + std::string(name) + "=" + std::string(value);
  }
  static std::string session_cookie(std::string_view value) { return cookie("__Host-session", value); }
  static std::string access_cookie(std::string_view value) { return cookie("__Host-access", value); }
  static std::string refresh_cookie(std::string_view value) { return cookie("__Host-refresh", value); }
  static std::string bearer(std::string_view token) { return "Authorization: Bearer " + std::string(token); }
  static const std::string& same_origin() {
    static const std::string field = "Sec-Fetch-Site: same-origin";
    return field;
  }
  static const std::string& cross_site() {
    static const std::string field = "Sec-Fetch-Site: cross-site";
    return field;
  }
  static std::string establishment(std::string_view json) { return "X-Auth-Establish: " + base64url_encode(json) + "\r\n"; }

  // All Set-Cookie lines that begin with `name=`.
  static std::vector<std::string> cookies_set(const test::FakeExchange& exchange, std::string_view name) {
    std::vector<std::string> lines;
    for (const auto& [field, value] : exchange.fields()) {
      if (equals_ignoring_case(field, "Set-Cookie") && value.starts_with(std::string(name) + "=")) lines.push_back(value);
    }
    return lines;
  }
  static std::size_t count_cookies_set(const test::FakeExchange& exchange) {
    std::size_t count = 0;
    for (const auto& [field, value] : exchange.fields()) count += equals_ignoring_case(field, "Set-Cookie") ? 1 : 0;
    return count;
  }
  // The value that the one such line sets; "" when there is none, or several, or it clears.
  static std::string value_set(const test::FakeExchange& exchange, std::string_view name) {
    const auto lines = cookies_set(exchange, name);
    if (lines.size() != 1) return "";
    return lines[0].substr(name.size() + 1, lines[0].find(';') - name.size() - 1);
  }
  static bool is_cleared(const test::FakeExchange& exchange, std::string_view name) {
    const auto lines = cookies_set(exchange, name);
    return lines.size() == 1 && lines[0].starts_with(std::string(name) + "=;") && lines[0].find("Max-Age=0") != std::string::npos;
  }

  RecordingUpstream upstream_;
  TestWorker worker_;
  testing::SnapshotBuilder builder_;
  issue::EdgeKeysPtr edge_;
  SnapshotPtr snapshot_;
  LogFile access_;
  LogFile audit_;
  Pipeline pipeline_{{worker_.authenticator, worker_.session_issuer, worker_.token_pairs, worker_.revoker, worker_.live, worker_.metrics,
                      access_.log(), audit_.log(), worker_.clock, worker_.tunnels}};
};

}  // namespace sallyport::pipeline
