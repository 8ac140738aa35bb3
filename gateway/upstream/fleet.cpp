#include "upstream/fleet.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/secret.hpp"
#include "base/timer.hpp"
#include "http/limits.hpp"
#include "http/response_parser.hpp"
#include "transport/connector.hpp"

namespace sallyport::upstream {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kHeadBytesMax = 16 * 1024;
// A thread that was held up this long cannot tell a slow server from its own lateness.
constexpr milliseconds kOwnLatenessMax{250};

// Gateways and servers that started together do not stay in step.
milliseconds with_jitter(milliseconds interval) {
  const auto tenth = static_cast<std::uint64_t>(interval.count()) / 10;
  if (tenth == 0) return interval;
  return interval - milliseconds(tenth) + milliseconds(random_u64() % (2 * tenth + 1));
}

transport::Connector connector_to(const SharedUpstream& upstream, std::size_t index, boost::asio::io_context& context,
                                  transport::DeadlineWheel& wheel) {
  const ServerSettings& server = upstream.settings().servers[index];
  if (!server.unix_path.empty()) return {transport::UnixPath{server.unix_path}, context, wheel};
  return {server.host, server.port, server.is_tls ? upstream.tls() : nullptr, upstream.tls_name(index), context, wheel};
}

std::string_view name(HealthEvent::Kind kind) noexcept {
  switch (kind) {
    case HealthEvent::Kind::unhealthy: return "upstream_server_unhealthy";
    case HealthEvent::Kind::healthy: return "upstream_server_healthy";
    case HealthEvent::Kind::ejected: return "upstream_server_ejected";
    case HealthEvent::Kind::returned: return "upstream_server_returned";
  }
  return "upstream_server";
}

}  // namespace

// The active checks of one server.
class Fleet::Watch {
 public:
  Watch(SharedUpstreamPtr upstream, std::size_t server, boost::asio::io_context& context, transport::DeadlineWheel& wheel)
      : upstream_(std::move(upstream)),
        server_(server),
        connector_(connector_to(*upstream_, server, context, wheel)),
        timer_(context),
        request_(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sallyport-health\r\nConnection: close\r\n\r\n",
                             upstream_->settings().health->path, upstream_->settings().servers[server].host_field())) {}

  void end() {
    is_ended_ = true;
    timer_.cancel();
    if (stream_) stream_->abort();
  }

  static Task<void> run(std::shared_ptr<Watch> self) {
    const HealthSettings& health = *self->upstream_->settings().health;
    while (!self->is_ended_) {
      const MonotonicTime began = std::chrono::steady_clock::now();
      const MonotonicTime next = began + with_jitter(health.interval);
      Verdict verdict = co_await self->ask(began + health.timeout);
      self->stream_.reset();
      if (self->is_ended_) co_return;
      const MonotonicTime now = std::chrono::steady_clock::now();
      const bool is_own_fault = !verdict.is_good && now > began + health.timeout + kOwnLatenessMax;
      if (!is_own_fault) self->upstream_->board().checked(self->server_, verdict.is_good, verdict.why, health, now);
      self->timer_.expires_at(next);
      auto waited = co_await self->timer_.async_wait(as_result);
      static_cast<void>(waited);
    }
  }

 private:
  struct Verdict {
    bool is_good = false;
    std::string why;
  };

  Task<Verdict> ask(MonotonicTime deadline) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    Result<std::unique_ptr<transport::Stream>> connected = co_await connector_.connect(left);
    if (!connected) co_return Verdict{false, connected.error().detail};
    stream_ = std::move(*connected);
    if (is_ended_) co_return Verdict{};
    stream_->expire_at(deadline);
    const transport::IoResult written = co_await stream_->write_all(request_);
    if (!written.ok()) co_return Verdict{false, "the connection broke before the question was asked"};
    std::string input;
    int informational = 0;
    http::ResponseParser parser;
    http::ResponseHead head;
    for (;;) {
      const std::size_t filled = input.size();
      input.resize(kHeadBytesMax);
      const transport::IoResult read = co_await stream_->read_some(std::span<char>(input).subspan(filled));
      input.resize(filled + read.bytes);
      if (read.status == transport::IoStatus::timed_out) co_return Verdict{false, "no answer in time"};
      if (!read.ok()) co_return Verdict{false, "the connection broke before an answer"};
      for (;;) {
        const http::ResponseOutcome outcome = parser.parse(input, http::Method::get, head);
        if (const auto* refused = std::get_if<http::ResponseRefused>(&outcome)) co_return Verdict{false, std::string(refused->detail)};
        const auto* parsed = std::get_if<http::HeadParsed>(&outcome);
        if (parsed == nullptr) break;
        if (head.status >= 200) co_return Verdict{head.status < 300, fmt::format("answered {}", head.status)};
        if (++informational > http::Limits::kInformationalAnswersMax) co_return Verdict{false, "too many 1xx answers"};
        input.erase(0, parsed->bytes);
        parser.reset();
        if (input.empty()) break;
      }
      if (input.size() >= kHeadBytesMax) co_return Verdict{false, "the head of its answer is too large"};
    }
  }

  SharedUpstreamPtr upstream_;
  std::size_t server_;
  transport::Connector connector_;
  Timer timer_;
  std::string request_;
  std::unique_ptr<transport::Stream> stream_;
  bool is_ended_ = false;

 public:
  [[nodiscard]] const SharedUpstreamPtr& upstream() const noexcept { return upstream_; }
};

Fleet::Fleet(Surroundings surroundings)
    : surroundings_(surroundings),
      timer_(surroundings.context),
      tasks_(surroundings.context,
             [&log = surroundings.log](std::string_view what) { log.event(observe::Level::error, "task_failed", what); }) {}

Fleet::~Fleet() = default;

Result<Fleet::Upstreams> Fleet::prepare(const std::vector<UpstreamSettings>& settings) const {
  Upstreams prepared;
  prepared.reserve(settings.size());
  for (const UpstreamSettings& wanted : settings) {
    const auto kept = std::ranges::find_if(upstreams_, [&](const SharedUpstreamPtr& upstream) { return upstream->settings() == wanted; });
    if (kept != upstreams_.end()) {
      prepared.push_back(*kept);
      continue;
    }
    Result<SharedUpstreamPtr> made = SharedUpstream::create(wanted);
    if (!made) return make_error(made.error().fault, "upstream '" + wanted.name + "': " + made.error().detail);
    prepared.push_back(std::move(*made));
  }
  return prepared;
}

void Fleet::commit(Upstreams upstreams) {
  const auto stays = [&](const SharedUpstreamPtr& upstream) { return std::ranges::find(upstreams, upstream) != upstreams.end(); };
  std::erase_if(watches_, [&](const std::shared_ptr<Watch>& watch) {
    if (stays(watch->upstream())) return false;
    watch->end();
    return true;
  });
  for (const SharedUpstreamPtr& upstream : upstreams) {
    if (std::ranges::find(upstreams_, upstream) != upstreams_.end()) continue;
    const auto before = std::ranges::find_if(
        upstreams_, [&](const SharedUpstreamPtr& other) { return other->settings().name == upstream->settings().name; });
    if (before != upstreams_.end()) upstream->inherit(**before);
    if (!upstream->settings().health || is_stopped_) continue;
    for (std::size_t i = 0; i < upstream->settings().servers.size(); ++i) {
      watches_.push_back(std::make_shared<Watch>(upstream, i, surroundings_.context, surroundings_.wheel));
      tasks_.spawn(Watch::run(watches_.back()));
    }
  }
  upstreams_ = std::move(upstreams);
  if (!std::exchange(is_ticking_, true) && !is_stopped_) tasks_.spawn(tick(*this));
}

void Fleet::stop() {
  is_stopped_ = true;
  timer_.cancel();
  for (const std::shared_ptr<Watch>& watch : watches_) watch->end();
}

Task<void> Fleet::join() { co_await tasks_.join(); }

Task<void> Fleet::tick(Fleet& self) {
  while (!self.is_stopped_) {
    self.look_after(std::chrono::steady_clock::now());
    self.timer_.expires_after(kTick);
    auto waited = co_await self.timer_.async_wait(as_result);
    static_cast<void>(waited);
  }
}

void Fleet::look_after(MonotonicTime now) {
  for (const SharedUpstreamPtr& upstream : upstreams_) {
    upstream->advance(now);
    for (const HealthEvent& event : upstream->board().take_events()) report(*upstream, event);
  }
}

void Fleet::report(const SharedUpstream& upstream, const HealthEvent& event) const {
  const bool is_bad = event.kind == HealthEvent::Kind::unhealthy || event.kind == HealthEvent::Kind::ejected;
  surroundings_.log.event(
      is_bad ? observe::Level::warning : observe::Level::info, name(event.kind),
      fmt::format("{}: {}: {}", upstream.settings().name, upstream.settings().servers[event.server].authority, event.detail));
}

std::vector<observe::UpstreamMetrics> Fleet::metrics() const {
  std::vector<observe::UpstreamMetrics> metrics;
  metrics.reserve(upstreams_.size());
  for (const SharedUpstreamPtr& upstream : upstreams_) metrics.push_back(upstream->metrics());
  return metrics;
}

}  // namespace sallyport::upstream
