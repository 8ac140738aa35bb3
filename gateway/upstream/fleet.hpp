// Every upstream of the process, looked after from one thread: active checks, ends of ejections, slow starts, what is logged and counted.
//
// How it is wired (app):
//   start     Fleet fleet({control, wheel, log});
//             auto prepared = fleet.prepare(settings.upstreams);   // fails as TLS files do
//             fleet.commit(*prepared);                             // begins the checks: before the workers start
//             each worker, in the order of the settings: road->upstreams.push_back(Upstream::create(shared, context, wheel));
//   reload    prepare() with the new settings. An upstream whose settings are equal comes back as the very same SharedUpstream, so a worker
//             keeps its Upstream (and the connections in it) where `old->shared() == new_shared`, and makes a new one elsewhere; then
//             commit(). What is prepared and never committed simply goes away.
//   metrics   process.upstreams = fleet.metrics();
//   end       fleet.stop() when the workers have drained; then co_await fleet.join() before the io_context runs out.
#pragma once

#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/result.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "transport/deadline_wheel.hpp"
#include "upstream/settings.hpp"
#include "upstream/shared_upstream.hpp"

namespace sallyport::upstream {

// Belongs to the control thread. Outlives nothing that the workers use: they hold their SharedUpstreams themselves.
class Fleet {
 public:
  using Upstreams = std::vector<SharedUpstreamPtr>;  // in the order of the settings
  struct Surroundings {
    boost::asio::io_context& context;
    transport::DeadlineWheel& wheel;
    const observe::Log& log;
  };
  static constexpr std::chrono::milliseconds kTick{100};  // how exact ends of ejections and slow starts are

  explicit Fleet(Surroundings surroundings);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Changes nothing. Fault as transport::make_tls_client_context.
  [[nodiscard]] Result<Upstreams> prepare(const std::vector<UpstreamSettings>& settings) const;
  // From now on these are looked after, and no others. What was known of servers that are in a changed upstream again goes with them.
  void commit(Upstreams upstreams);
  [[nodiscard]] const Upstreams& upstreams() const noexcept { return upstreams_; }

  // Ends every check, at once; nothing is begun any more.
  void stop();
  [[nodiscard]] Task<void> join();

  [[nodiscard]] std::vector<observe::UpstreamMetrics> metrics() const;

 private:
  class Watch;
  [[nodiscard]] static Task<void> tick(Fleet& self);
  void look_after(MonotonicTime now);
  void report(const SharedUpstream& upstream, const HealthEvent& event) const;

  Surroundings surroundings_;
  Upstreams upstreams_;
  std::vector<std::shared_ptr<Watch>> watches_;
  bool is_ticking_ = false;
  bool is_stopped_ = false;
  Timer timer_;
  TaskGroup tasks_;
};

}  // namespace sallyport::upstream
