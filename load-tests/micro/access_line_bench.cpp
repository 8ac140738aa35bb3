#include <memory>
#include <string>

#include "pipeline/request_log.hpp"
#include "request.hpp"
#include "stage.hpp"
#include "support/identity_builder.hpp"

namespace sallyport::micro {
namespace {

// A request that was answered, as far as its line tells of it.
class Answered final : public http::Exchange {
 public:
  [[nodiscard]] const http::RequestHead& request() const noexcept override { return request_.head(); }
  [[nodiscard]] const http::Peer& peer() const noexcept override { return peer_; }
  [[nodiscard]] MonotonicTime started_at() const noexcept override { return started_at_; }
  [[nodiscard]] std::uint64_t bytes_in() const noexcept override { return 0; }
  [[nodiscard]] std::uint64_t bytes_out() const noexcept override { return 1234; }

  [[nodiscard]] Task<http::BodyPiece> read_body() override { co_return http::BodyPiece{http::BodyState::end, {}}; }
  [[nodiscard]] http::BodyPiece buffered_body() override { return {http::BodyState::end, {}}; }
  void start(int /*status*/, std::span<const http::Field> /*fields*/, http::AnswerBody /*body*/) override {}
  [[nodiscard]] Task<bool> write(std::string_view /*bytes*/) override { co_return true; }
  [[nodiscard]] Task<bool> flush() override { co_return true; }
  [[nodiscard]] Task<bool> finish() override { co_return true; }
  [[nodiscard]] bool started() const noexcept override { return true; }
  void close_after() noexcept override {}
  void abort() noexcept override {}

 private:
  ParsedRequest request_{bearer(kSignedTokens[2])};
  http::Peer peer_{.listener = "public", .address = "192.0.2.1", .port = 50000, .is_tls = true};
  MonotonicTime started_at_ = std::chrono::steady_clock::now();
};

// Two moments that lie 1.234 ms apart, so that the lines are equal.
class StandingClock final : public Clock {
 public:
  explicit StandingClock(MonotonicTime begin) : end_(begin + std::chrono::microseconds(1234)) {}
  [[nodiscard]] WallTime wall_now() const override { return WallTime(std::chrono::microseconds(1'769'860'800'123'456)); }
  [[nodiscard]] MonotonicTime monotonic_now() const override { return end_; }

 private:
  MonotonicTime end_;
};

constexpr std::size_t kLineBytes = 500;

// The line of one request, put where it waits to be written; with the request's numbers, which are kept with or without a log.
class Logging {
 public:
  Logging() {
    record_.route = "orders";
    record_.upstream = "orders";
    record_.server = "10.0.0.17:8080";
    record_.upstream_time = std::chrono::microseconds(987);
    record_.status = 200;
    record_.decision = "allowed";
    record_.auth_method = "jwt";
    record_.identity = testing::IdentityBuilder().subject("00u1ab2cd3EF4gh5i6j7").build();
  }
  // Until a batch is handed over, whose memory is then there for the next one.
  void fill_batch() {
    for (std::size_t bytes = 0; bytes < observe::WorkerLog::kBatchBytes; bytes += kLineBytes) run();
    access_.flush();
  }
  void run() { log_.finished(record_, exchange_); }

 private:
  Answered exchange_;
  StandingClock clock_{exchange_.started_at()};
  observe::IdGenerator ids_;
  pipeline::RequestRecord record_{observe::RequestId(ids_), observe::TraceContext({}, ids_)};
  observe::LineWriter nowhere_{observe::Sink{observe::Sink::Kind::file, "/dev/null"}, observe::LogSettings::kQueueBytesMax};
  observe::WorkerLog access_{nowhere_};
  observe::WorkerLog audit_{nowhere_};
  observe::WorkerMetrics metrics_;
  pipeline::RequestLog log_{access_, audit_, metrics_, clock_};
};

}  // namespace

void add_access_lines(std::vector<Stage>& to) {
  to.push_back({"access line",
                [] {
                  auto at = std::make_shared<Logging>();
                  at->fill_batch();
                  return [at] { at->run(); };
                },
                [] {
                  return [line = std::string(kLineBytes, 'x'), to = std::string(kLineBytes, ' ')]() mutable {
                    keep(line);
                    to.assign(line);
                    keep(to);
                  };
                },
                "one copy of the line"});
}

}  // namespace sallyport::micro
