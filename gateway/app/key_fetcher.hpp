// Fetches the keys of the issuers that serve them by URL (`keys: { jwks_url }`), in the background, on the control thread.
//
// Wiring (app.cpp), where `issuers` are Snapshot::issuers:
//   key_fetchers_({control_, wheel_, tasks_, log_, clock_})  // a member behind what it uses
//   start:    key_fetchers_.use(issuers);                    // before the workers start
//   reload:   key_fetchers_.use(new_issuers);                // before the workers get the new snapshot: it fills the new sources
//   /readyz:  for each of key_fetchers_.missing(): a reason
//   /metrics: process.key_sets = key_fetchers_.metrics();
//   end:      key_fetchers_.stop();                          // before tasks_ is joined and wheel_ is stopped, after the workers ended
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "authenticate/issuer.hpp"
#include "base/clock.hpp"
#include "base/task_group.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "transport/deadline_wheel.hpp"
#include "upstream/https_fetcher.hpp"

namespace sallyport::app {

// How long a set is good whose answer stated `life`: 1 minute to 24 hours, 5 minutes unless stated. `roll` is random: the set is fetched
// again within the last tenth of that time, so that gateways that started together do not ask together.
[[nodiscard]] std::chrono::milliseconds refresh_delay(std::optional<std::chrono::seconds> life, std::uint64_t roll) noexcept;
// Until the next try, after `failures` of them in a row (from 1): doubling from 1 s to 1 min, of which a random half is left out.
[[nodiscard]] std::chrono::milliseconds retry_delay(std::uint32_t failures, std::uint64_t roll) noexcept;

struct KeyFetcherLimits {
  upstream::FetchLimits fetch{};
  std::chrono::milliseconds ask_interval = authenticate::KeySourceLimits{}.ask_interval;  // between fetches that requests cause
};

// Belongs to the control thread. Each issuer is fetched by a task of its own: at start, before its keys' stated life ends, again after
// failures, and when a request shows a key that is not there. The last good set stays in use however long the issuer is away, and is kept
// in its cache file. A set that cannot serve counts as a failure and changes nothing.
//
// Log events: keys_fetched (info: the keys changed, or the issuer answers again), keys_fetch_failed (warning), keys_skipped (warning: a key
// of the set that is not used), keys_not_kept (warning: the cache file).
class KeyFetchers {
 public:
  struct Surroundings {
    boost::asio::io_context& control;
    transport::DeadlineWheel& wheel;
    TaskGroup& tasks;
    const observe::Log& log;
    const Clock& clock;
  };
  explicit KeyFetchers(const Surroundings& surroundings, const KeyFetcherLimits& limits = {});
  ~KeyFetchers();
  KeyFetchers(const KeyFetchers&) = delete;
  KeyFetchers& operator=(const KeyFetchers&) = delete;

  // From now on these; those without a URL are passed over. One whose settings did not change goes on with the keys that it has, which its
  // new source gets at once; the sources of former snapshots get them too, as long as requests use them.
  void use(const std::vector<authenticate::IssuerPtr>& issuers);
  // Nobody is asked any more; the tasks end within FetchLimits::connect.
  void stop();

  // Why the gateway is not ready: a line for each issuer whose keys are not known.
  [[nodiscard]] std::vector<std::string> missing() const;
  [[nodiscard]] std::vector<observe::KeySetMetrics> metrics() const;

 private:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  [[nodiscard]] EntryPtr find(const authenticate::IssuerSettings& settings) const;
  [[nodiscard]] EntryPtr begin(const authenticate::Issuer& issuer);
  void add_source(const EntryPtr& entry, const std::shared_ptr<authenticate::KeySource>& source);
  static void end(Entry& entry);
  [[nodiscard]] Task<void> keep_fetching(EntryPtr entry);
  [[nodiscard]] Task<bool> fetch(EntryPtr entry);
  // A fetch has failed, and is tried again.
  void fail(Entry& entry, const Error& error) const;
  [[nodiscard]] Task<void> wait(EntryPtr entry);
  [[nodiscard]] Result<void> take(Entry& entry, const upstream::HttpsFetcher::Document& document);
  void keep(Entry& entry, const std::string& jwks) const;

  Surroundings surroundings_;
  KeyFetcherLimits limits_;
  std::vector<EntryPtr> entries_;
};

}  // namespace sallyport::app
