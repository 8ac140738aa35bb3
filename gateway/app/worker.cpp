#include "app/worker.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

namespace sallyport::app {

Worker::Worker(const Shared& shared)
    : work_(context_.get_executor()),
      wheel_(context_),
      tasks_(context_, [&shared](std::string_view what) { shared.log.event(observe::Level::error, "task_failed", what); }),
      flush_timer_(context_),
      look_timer_(context_),
      log_(shared.log),
      access_log_(shared.access_writer),
      audit_log_(shared.audit_writer),
      token_cache_(kTokenCacheEntriesMax, kTokenCacheBytesMax),
      tokens_(token_cache_, shared.revocations),
      sessions_({shared.revocations, shared.clock, tasks_, metrics_}, shared.settings->session_cache_entries),
      authenticator_(tokens_, sessions_),
      store_(shared.store.attach(context_, wheel_, sessions_, metrics_)),
      session_issuer_(*store_, sessions_),
      refresh_desk_({*store_, shared.revocations, shared.clock, metrics_}),
      token_pairs_({*store_, shared.revocations, shared.desks, shared.clock, metrics_, context_.get_executor()}),
      revoker_(*store_, shared.settings->snapshot->revocation_times, metrics_),
      live_exchanges_({shared.revocations, sessions_, shared.clock, tasks_}),
      tunnels_(wheel_, metrics_),
      pipeline_({authenticator_, session_issuer_, token_pairs_, revoker_, live_exchanges_, metrics_, access_log_, audit_log_, shared.clock,
                 tunnels_, shared.rate_limiter, store_.get(), shared.overload}) {
  sessions_.use_store(*store_);
  shared.desks.add(context_.get_executor(), refresh_desk_);
}

Worker::~Worker() = default;

Result<std::unique_ptr<Worker>> Worker::create(const Shared& shared) {
  std::unique_ptr<Worker> worker(new Worker(shared));
  worker->road_ = worker->make_road(*shared.settings, shared.upstreams);
  worker->pipeline_.use(worker->road_);
  worker->live_exchanges_.use(shared.settings->snapshot->issuers);

  for (const std::shared_ptr<listen::SharedListener>& listener : shared.listeners) {
    Result<std::unique_ptr<listen::Listener>> bound = listen::Listener::bind(
        listener, {worker->context_, worker->wheel_, worker->pipeline_, worker->draining_, worker->metrics_, shared.log, shared.clock,
                   &http::serve_http1, shared.overload});
    if (!bound) return bound.error();
    worker->listeners_.push_back(std::move(*bound));
  }
  return worker;
}

std::shared_ptr<const pipeline::Road> Worker::make_road(const Settings& settings, const upstream::Fleet::Upstreams& upstreams) {
  auto road = std::make_shared<pipeline::Road>();
  road->snapshot = settings.snapshot;
  for (const upstream::SharedUpstreamPtr& wanted : upstreams) {
    std::shared_ptr<upstream::Upstream> upstream;
    if (road_) {
      const auto same = std::ranges::find_if(road_->upstreams, [&](const auto& known) { return known->shared() == wanted; });
      if (same != road_->upstreams.end()) upstream = *same;
    }
    if (!upstream) upstream = upstream::Upstream::create(wanted, context_, wheel_);
    road->upstreams.push_back(std::move(upstream));
  }
  return road;
}

Task<void> Worker::prepare(std::shared_ptr<const Settings> settings, upstream::Fleet::Upstreams upstreams) {
  next_road_ = make_road(*settings, upstreams);
  co_return;
}

Task<void> Worker::commit() {
  if (!next_road_) co_return;
  road_ = std::exchange(next_road_, nullptr);
  revoker_.use(road_->snapshot->revocation_times);
  pipeline_.use(road_);
  live_exchanges_.use(road_->snapshot->issuers);
}

Task<void> Worker::end_distrusted() {
  for (const std::unique_ptr<listen::Listener>& listener : listeners_) listener->end_distrusted();
  co_return;
}

void Worker::start() {
  for (const std::unique_ptr<listen::Listener>& listener : listeners_) listener->start();
  tasks_.spawn(flush_logs());
  tasks_.spawn(look_after_callers());
  thread_ = std::thread([this] { context_.run(); });
}

Task<void> Worker::flush_logs() {
  while (!finishing_) {
    flush_timer_.expires_after(kLogFlushInterval);
    auto waited = co_await flush_timer_.async_wait(as_result);
    static_cast<void>(waited);
    access_log_.flush();
    audit_log_.flush();
  }
}

// Whoever lost his session or whose token ran out loses what he still has open, too.
Task<void> Worker::look_after_callers() {
  while (!finishing_) {
    look_timer_.expires_after(pipeline::LiveExchanges::kInterval);
    auto waited = co_await look_timer_.async_wait(as_result);
    static_cast<void>(waited);
    if (finishing_) co_return;
    sessions_.look_at_channel();
    try {
      live_exchanges_.look_through();
    } catch (const std::exception& e) {
      log_.event(observe::Level::error, "task_failed", e.what());  // the next one goes on
    }
  }
}

void Worker::use_keys(authenticate::TagKeysPtr keys) {
  boost::asio::post(context_, [this, keys = std::move(keys)]() mutable { sessions_.use_keys(std::move(keys)); });
}

void Worker::drain(MonotonicTime deadline, std::chrono::milliseconds patience, std::function<void()> on_drained) {
  boost::asio::post(context_, [this, deadline, patience, on_drained = std::move(on_drained)]() mutable {
    begin_drain(deadline, patience, std::move(on_drained));
  });
}

void Worker::begin_drain(MonotonicTime deadline, std::chrono::milliseconds patience, std::function<void()> on_drained) {
  const bool first = !draining_.value;
  draining_.value = true;
  draining_.patience = first ? patience : std::chrono::milliseconds(0);
  tunnels_.drain(deadline);  // before their connections are cut
  for (const std::unique_ptr<listen::Listener>& listener : listeners_) listener->drain(deadline);
  if (!first) return;
  if (patience > std::chrono::milliseconds(0)) tasks_.spawn(lose_patience(deadline, patience));
  tasks_.spawn(report_drained(std::move(on_drained)));
}

// Who has said nothing by then is idle.
Task<void> Worker::lose_patience(MonotonicTime deadline, std::chrono::milliseconds patience) {
  Timer timer(context_.get_executor());
  const auto end = std::chrono::steady_clock::now() + patience;
  const auto is_empty = [](const auto& listener) { return listener->connections() == 0; };
  while (std::chrono::steady_clock::now() < end && draining_.patience != std::chrono::milliseconds(0)) {
    if (std::ranges::all_of(listeners_, is_empty)) co_return;
    timer.expires_after(kRotationPoll);
    auto waited = co_await timer.async_wait(as_result);
    static_cast<void>(waited);
  }
  draining_.patience = std::chrono::milliseconds(0);
  for (const std::unique_ptr<listen::Listener>& listener : listeners_) listener->drain(deadline);
}

Task<void> Worker::report_drained(std::function<void()> on_drained) {
  for (const std::unique_ptr<listen::Listener>& listener : listeners_) co_await listener->join();
  on_drained();
}

Task<void> Worker::wind_down() {
  finishing_ = true;
  flush_timer_.cancel();
  look_timer_.cancel();
  co_await tasks_.join();
  // Rotations that nobody waits for any more still come to their end: half of one would be a refresh token that is neither old nor new.
  while (refresh_desk_.under_way() != 0) {
    look_timer_.expires_after(kRotationPoll);
    auto waited = co_await look_timer_.async_wait(as_result);
    static_cast<void>(waited);
  }
  next_road_.reset();
  road_.reset();
  pipeline_.use(nullptr);  // the upstreams' kept connections end with it
  store_.reset();
  wheel_.stop();
  work_.reset();
}

void Worker::join() {
  thread_.join();
  access_log_.flush();
  audit_log_.flush();
}

Task<observe::WorkerMetrics> Worker::copy_metrics() {
  metrics_.token_cache_hits = token_cache_.hits();
  metrics_.token_cache_misses = token_cache_.misses();
  metrics_.token_cache_entries = token_cache_.entries();
  metrics_.live_exchanges = static_cast<std::int64_t>(live_exchanges_.size());
  co_return metrics_;
}

}  // namespace sallyport::app
