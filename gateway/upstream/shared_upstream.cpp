#include "upstream/shared_upstream.hpp"

#include <algorithm>

namespace sallyport::upstream {

Result<std::shared_ptr<SharedUpstream>> SharedUpstream::create(UpstreamSettings settings) {
  if (settings.servers.empty()) return make_error(Fault::malformed, "upstream " + settings.name + " has no servers");
  transport::SslContext tls;
  if (std::ranges::any_of(settings.servers, &ServerSettings::is_tls)) {
    Result<transport::SslContext> made = transport::make_tls_client_context(settings.tls.value_or(transport::UpstreamTlsSettings{}));
    if (!made) return made.error();
    tls = std::move(*made);
  }
  return std::make_shared<SharedUpstream>(std::move(settings), std::move(tls));
}

SharedUpstream::SharedUpstream(UpstreamSettings settings, transport::SslContext tls)
    : settings_(std::move(settings)),
      tls_(std::move(tls)),
      board_(settings_.servers.size(), settings_.ejection, settings_.slow_start),
      budget_(settings_.retry_budget) {}

const std::string& SharedUpstream::tls_name(std::size_t server) const noexcept {
  const bool is_named = settings_.tls && !settings_.tls->server_name.empty();
  return is_named ? settings_.tls->server_name : settings_.servers[server].host;
}

bool SharedUpstream::may_retry(MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  return budget_.take(now, totals().began);
}

std::shared_ptr<UpstreamCounts> SharedUpstream::add_worker() {
  auto counts = std::make_shared<UpstreamCounts>();
  const std::lock_guard lock(mutex_);
  workers_.push_back(counts);
  return counts;
}

void SharedUpstream::drop(const std::shared_ptr<UpstreamCounts>& counts) {
  const std::lock_guard lock(mutex_);
  if (std::erase(workers_, counts) != 0) gone_.add(*counts);
}

void SharedUpstream::advance(MonotonicTime now) {
  board_.advance(now);
  const std::lock_guard lock(mutex_);
  budget_.advance(now, totals().began);
}

void SharedUpstream::inherit(const SharedUpstream& other) {
  for (std::size_t i = 0; i < settings_.servers.size(); ++i) {
    const ServerSettings& ours = settings_.servers[i];
    const auto theirs = std::ranges::find_if(other.settings_.servers, [&](const ServerSettings& server) {
      return server.authority == ours.authority && server.is_tls == ours.is_tls;
    });
    if (theirs == other.settings_.servers.end()) continue;
    board_.inherit(i, other.board_, static_cast<std::size_t>(theirs - other.settings_.servers.begin()));
  }
  // Another path asked is another question.
  const bool same_question = settings_.health && other.settings_.health && settings_.health->path == other.settings_.health->path;
  if (!same_question) board_.forget_checks();
  const std::scoped_lock lock(mutex_, other.mutex_);
  gone_ = other.totals();
  gone_.ended = gone_.began;  // what is under way there is no request of ours
  ejections_before_ = other.ejections_before_ + other.board_.ejections();
}

void SharedUpstream::Totals::add(const UpstreamCounts& counts) noexcept {
  began += counts.began.get();
  ended += counts.ended.get();
  retried += counts.retried.get();
  retries_refused += counts.retries_refused.get();
  refused_unavailable += counts.refused_unavailable.get();
  refused_requests += counts.refused_requests.get();
  refused_pending += counts.refused_pending.get();
}

SharedUpstream::Totals SharedUpstream::totals() const {
  Totals sum = gone_;
  for (const auto& worker : workers_) sum.add(*worker);
  return sum;
}

observe::UpstreamMetrics SharedUpstream::metrics() const {
  observe::UpstreamMetrics metrics;
  metrics.name = settings_.name;
  for (std::size_t i = 0; i < settings_.servers.size(); ++i) {
    metrics.servers.emplace_back(settings_.servers[i].authority, board_.is_fit(i));
  }
  const std::lock_guard lock(mutex_);
  const Totals sum = totals();
  metrics.requests = sum.began - std::min(sum.began, sum.ended);  // a worker may go on counting meanwhile
  metrics.ejections = ejections_before_ + board_.ejections();
  metrics.retries = {{"sent", sum.retried}, {"over_budget", sum.retries_refused}};
  metrics.refused = {{"no_server", sum.refused_unavailable}, {"requests", sum.refused_requests}, {"pending", sum.refused_pending}};
  return metrics;
}

}  // namespace sallyport::upstream
