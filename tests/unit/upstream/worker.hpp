// One worker with one upstream: what a test forwards through.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "fake_exchange.hpp"
#include "support/scripted_upstream.hpp"
#include "support/permit_builder.hpp"
#include "upstream/upstream.hpp"

namespace sallyport::testing {

inline upstream::ServerSettings server_at(std::uint16_t port, std::uint32_t weight = 1, bool is_tls = false) {
  return {.is_tls = is_tls, .host = "127.0.0.1", .port = port, .weight = weight, .authority = "127.0.0.1:" + std::to_string(port)};
}

inline upstream::UpstreamSettings settings_for(std::vector<upstream::ServerSettings> servers) {
  upstream::UpstreamSettings settings;
  settings.name = "things";
  settings.servers = std::move(servers);
  settings.connect_timeout = std::chrono::seconds(5);
  settings.response_timeout = std::chrono::seconds(5);
  settings.idle_timeout = std::chrono::seconds(5);
  return settings;
}

class Worker {
 public:
  explicit Worker(upstream::UpstreamSettings settings) {
    Result<std::shared_ptr<upstream::Upstream>> made = upstream::Upstream::create(std::move(settings), context_, wheel_);
    if (!made) throw std::runtime_error(made.error().detail);
    upstream_ = std::move(*made);
  }
  explicit Worker(const ScriptedUpstream& server) : Worker(settings_for({server_at(server.port())})) {}
  ~Worker() {
    upstream_.reset();
    wheel_.stop();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs the worker until the exchange is over.
  upstream::ForwardResult forward(FakeExchange& exchange) {
    auto pending = begin(exchange);
    return finish(*pending);
  }

  struct Pending {
    ByteBuffer head;
    std::optional<identity::OutboundRequest> request;
    upstream::AnswerPolicy policy{.request_id = "id-1"};
    std::optional<upstream::ForwardResult> result;
  };
  // Starts it; several may be under way.
  std::unique_ptr<Pending> begin(FakeExchange& exchange, const std::function<void(upstream::AnswerPolicy&)>& change = {}) {
    auto pending = std::make_unique<Pending>();
    if (change) change(pending->policy);
    const identity::OwnedNames owned({});
    const identity::OutboundPlan plan{};
    auto built = identity::OutboundRequest::build(PermitBuilder::anonymous(), plan, owned, exchange.head,
                                                  {"192.0.2.1", "https", "id-1", "00-11111111111111111111111111111111-2222222222222222-01"},
                                                  pending->head);
    pending->request = std::get<identity::OutboundRequest>(std::move(built));
    boost::asio::co_spawn(context_, upstream_->forward(*pending->request, exchange, pending->policy),
                          [p = pending.get()](std::exception_ptr thrown, upstream::ForwardResult result) {
                            if (thrown) std::rethrow_exception(thrown);
                            p->result = result;
                          });
    return pending;
  }
  upstream::ForwardResult finish(Pending& pending) {
    run_until([&] { return pending.result.has_value(); });
    return pending.result.value();
  }
  // False when the condition did not come true in time.
  template <class Condition>
  bool run_until(Condition condition) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > patience) {
        ADD_FAILURE() << "nothing happens any more";
        return false;
      }
      context_.run_one_for(std::chrono::seconds(1));
      if (context_.stopped()) context_.restart();
    }
    return true;
  }

  // From a script's thread: returns when the worker has dealt with all that had arrived before. Events need a few rounds of the
  // io_context to come through, so that a handler goes round as often. False when the worker does not come to it.
  bool settle() {
    auto settled = std::make_shared<std::promise<void>>();
    std::future<void> done = settled->get_future();
    go_round(8, std::move(settled));
    return done.wait_for(std::chrono::seconds(10)) == std::future_status::ready;
  }

  upstream::Upstream& upstream() { return *upstream_; }
  boost::asio::io_context& context() { return context_; }
  transport::DeadlineWheel& wheel() { return wheel_; }

 private:
  void go_round(int rounds, std::shared_ptr<std::promise<void>> settled) {
    boost::asio::post(context_, [this, rounds, settled = std::move(settled)]() mutable {
      if (rounds == 0) return settled->set_value();
      go_round(rounds - 1, std::move(settled));
    });
  }

  boost::asio::io_context context_{1};
  transport::DeadlineWheel wheel_{context_};
  std::shared_ptr<upstream::Upstream> upstream_;
};

inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// That many 103s.
inline std::string hints(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  return text;
}

// A well-behaved server: answers every request without a body.
inline ScriptedUpstream::Script answering(std::string answer) {
  return [answer](Peer& peer) {
    while (!peer.read_head().empty()) {
      if (!peer.write(answer)) return;
    }
  };
}

}  // namespace sallyport::testing
