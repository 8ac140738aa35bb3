#include "app/key_fetcher.hpp"

#include <algorithm>

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include "authenticate/key_cache.hpp"
#include "base/secret.hpp"
#include "base/timer.hpp"

namespace sallyport::app {
namespace {

using authenticate::KeySource;
using observe::Level;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLifeLeast{60};
constexpr seconds kLifeMost{24 * 3600};
constexpr seconds kLifeUnstated{300};
constexpr milliseconds kRetryFirst{1'000};
constexpr milliseconds kRetryLast{60'000};
constexpr std::size_t kWarningsMax = 10;  // of one set, in the log

MonotonicTime now() { return std::chrono::steady_clock::now(); }

}  // namespace

milliseconds refresh_delay(std::optional<seconds> life, std::uint64_t roll) noexcept {
  const milliseconds good = std::clamp(life.value_or(kLifeUnstated), kLifeLeast, kLifeMost);
  return good - milliseconds(roll % static_cast<std::uint64_t>(good.count() / 10));
}

milliseconds retry_delay(std::uint32_t failures, std::uint64_t roll) noexcept {
  const std::uint32_t doublings = std::min<std::uint32_t>(failures == 0 ? 0 : failures - 1, 16);
  const milliseconds longest = std::min(kRetryFirst * (1U << doublings), kRetryLast);
  return longest - milliseconds(roll % static_cast<std::uint64_t>(longest.count() / 2));
}

struct KeyFetchers::Entry {
  Entry(const authenticate::IssuerSettings& issuer, boost::asio::io_context& control)
      : name(issuer.name), url(*issuer.key_url), expectations(issuer.expectations), timer(control) {}

  // Those that somebody still uses.
  template <class Act>
  void each_source(Act act) {
    std::erase_if(sources, [](const std::weak_ptr<KeySource>& source) { return source.expired(); });
    for (const std::weak_ptr<KeySource>& weak : sources) {
      if (const std::shared_ptr<KeySource> source = weak.lock()) act(*source);
    }
  }
  [[nodiscard]] bool is_wanted() {
    bool wanted = false;
    each_source([&](const KeySource& source) { wanted = wanted || source.is_wanted(); });
    return wanted;
  }

  const std::string name;
  const authenticate::KeyUrl url;
  const authenticate::Expectations expectations;
  Timer timer;
  std::unique_ptr<upstream::HttpsFetcher> fetcher;
  std::vector<std::weak_ptr<KeySource>> sources;  // of the snapshot in use, and of former ones
  std::optional<KeySource::Published> last;
  std::map<std::string, std::uint64_t> results;
  std::string failure;  // of the last fetch; empty when it succeeded
  std::uint32_t failures = 0;
  MonotonicTime next{};                      // when it is fetched unasked
  std::optional<MonotonicTime> last_wanted;  // when it was fetched for a request
  bool stopped = false;
};

KeyFetchers::KeyFetchers(const Surroundings& surroundings, const KeyFetcherLimits& limits) : surroundings_(surroundings), limits_(limits) {}

KeyFetchers::~KeyFetchers() { stop(); }

KeyFetchers::EntryPtr KeyFetchers::find(const authenticate::IssuerSettings& settings) const {
  // The algorithms say which sets can serve.
  const auto found = std::ranges::find_if(entries_, [&](const EntryPtr& entry) {
    return entry->name == settings.name && entry->url == *settings.key_url &&
           entry->expectations.algorithms == settings.expectations.algorithms;
  });
  return found == entries_.end() ? nullptr : *found;
}

void KeyFetchers::add_source(const EntryPtr& entry, const std::shared_ptr<KeySource>& source) {
  if (entry->last) {
    source->publish(entry->last->keys, entry->last->fingerprint, entry->last->fetched_at);
  } else {
    entry->last = source->published();  // of the cache file
  }
  const bool is_known = std::ranges::any_of(entry->sources, [&](const auto& known) { return known.lock() == source; });
  if (is_known) return;
  entry->sources.push_back(source);
  source->attach([executor = surroundings_.control.get_executor(), weak = std::weak_ptr<Entry>(entry)] {
    boost::asio::post(executor, [weak] {
      if (const EntryPtr wanted = weak.lock()) wanted->timer.cancel();
    });
  });
}

KeyFetchers::EntryPtr KeyFetchers::begin(const authenticate::Issuer& issuer) {
  auto entry = std::make_shared<Entry>(issuer.settings, surroundings_.control);
  add_source(entry, issuer.keys);
  surroundings_.tasks.spawn(keep_fetching(entry));
  return entry;
}

void KeyFetchers::end(Entry& entry) {
  entry.stopped = true;
  entry.each_source([](KeySource& source) { source.detach(); });
  entry.timer.cancel();
  if (entry.fetcher) entry.fetcher->abort();
}

void KeyFetchers::use(const std::vector<authenticate::IssuerPtr>& issuers) {
  std::vector<EntryPtr> used;
  for (const authenticate::IssuerPtr& issuer : issuers) {
    if (!issuer->settings.key_url) continue;
    EntryPtr entry = find(issuer->settings);
    if (entry != nullptr) {
      add_source(entry, issuer->keys);
    } else {
      entry = begin(*issuer);
    }
    used.push_back(std::move(entry));
  }
  for (const EntryPtr& entry : entries_) {
    if (std::ranges::find(used, entry) == used.end()) end(*entry);
  }
  entries_ = std::move(used);
}

void KeyFetchers::stop() {
  for (const EntryPtr& entry : entries_) end(*entry);
  entries_.clear();
}

// Spawned: `this` outlives it, because who owns both joins the tasks first.
Task<void> KeyFetchers::keep_fetching(EntryPtr entry) {
  while (!entry->stopped) {
    if (entry->is_wanted()) entry->last_wanted = now();
    entry->each_source([](KeySource& source) { source.begin_fetch(); });
    bool answered = false;
    try {
      Task<bool> fetching = fetch(entry);
      answered = co_await std::move(fetching);
    } catch (const std::exception& e) {
      fail(*entry, make_error(Fault::internal, e.what()));  // this task never ends by itself: nobody would fetch again
    }
    if (entry->stopped) co_return;
    entry->each_source([answered](KeySource& source) { source.end_fetch(answered); });
    Task<void> waiting = wait(entry);
    co_await std::move(waiting);
  }
}

Task<void> KeyFetchers::wait(EntryPtr entry) {
  while (!entry->stopped) {
    MonotonicTime until = entry->next;
    // Sources of several snapshots each have their say; together they may not ask more often than one.
    if (entry->is_wanted()) {
      const MonotonicTime allowed = entry->last_wanted ? *entry->last_wanted + limits_.ask_interval : MonotonicTime::min();
      until = std::min(until, allowed);
    }
    if (now() >= until) co_return;
    entry->timer.expires_at(until);
    auto waited = co_await entry->timer.async_wait(as_result);
    static_cast<void>(waited);  // over, or cancelled by somebody who wants something: the loop looks
  }
}

Task<bool> KeyFetchers::fetch(EntryPtr entry) {
  Result<void> taken = make_error(Fault::internal, "");
  std::optional<seconds> life;
  if (!entry->fetcher) {
    auto url = upstream::FetchUrl::parse(entry->url.url);
    auto made =
        url ? upstream::HttpsFetcher::create(std::move(*url), entry->url.ca_file, surroundings_.control, surroundings_.wheel, limits_.fetch)
            : Result<std::unique_ptr<upstream::HttpsFetcher>>(url.error());
    if (made) entry->fetcher = std::move(*made);
    if (!made) taken = made.error();
  }
  if (entry->fetcher) {
    Task<Result<upstream::HttpsFetcher::Document>> getting = entry->fetcher->get();
    Result<upstream::HttpsFetcher::Document> document = co_await std::move(getting);
    if (entry->stopped) co_return false;
    if (document) life = document->life;
    taken = document ? take(*entry, *document) : Result<void>(document.error());
  }
  if (taken) {
    ++entry->results["ok"];
    entry->failures = 0;
    entry->failure.clear();
    entry->next = now() + refresh_delay(life, random_u64());
    co_return true;
  }
  fail(*entry, taken.error());
  co_return false;
}

void KeyFetchers::fail(Entry& entry, const Error& error) const {
  ++entry.failures;
  entry.next = now() + retry_delay(entry.failures, random_u64());
  entry.failure = error.detail;
  ++entry.results[std::string(name(error.fault))];
  surroundings_.log.event(Level::warning, "keys_fetch_failed",
                          fmt::format("issuer '{}': {}; {}", entry.name, entry.failure,
                                      entry.last ? "its last keys stay in use" : "it has no keys, so its tokens cannot be judged"));
}

Result<void> KeyFetchers::take(Entry& entry, const upstream::HttpsFetcher::Document& document) {
  std::vector<std::string> warnings;
  Result<authenticate::KeySet> read = authenticate::read_fetched_keys(document.body, entry.expectations, warnings);
  if (!read) return make_error(Fault::malformed, "its key set cannot serve: " + read.error().detail);
  const auto keys = std::make_shared<const authenticate::KeySet>(std::move(*read));
  const Sha256 fingerprint = sha256(document.body);
  const bool changed = !entry.last || entry.last->fingerprint != fingerprint;
  entry.last = KeySource::Published{changed ? keys : entry.last->keys, fingerprint, surroundings_.clock.wall_now()};
  entry.each_source([&](KeySource& source) { source.publish(entry.last->keys, fingerprint, entry.last->fetched_at); });
  if (changed) {
    for (std::size_t i = 0; i < warnings.size() && i < kWarningsMax; ++i) {
      surroundings_.log.event(Level::warning, "keys_skipped", fmt::format("issuer '{}': {}", entry.name, warnings[i]));
    }
  }
  if (changed || entry.failures != 0) {
    surroundings_.log.event(Level::info, "keys_fetched",
                            fmt::format("issuer '{}': {} keys{}", entry.name, keys->size(), changed ? "" : ", unchanged"));
  }
  keep(entry, document.body);
  return {};
}

// Also when nothing changed: a restart must not believe the set older than it is.
void KeyFetchers::keep(Entry& entry, const std::string& jwks) const {
  if (entry.url.cache_file.empty()) return;
  Result<void> written = make_error(Fault::unsupported, "it holds private keys, which its URL must not serve");
  // Such members must never have left the issuer: what holds them is used (its public half), and written down nowhere.
  if (!authenticate::holds_private_keys(jwks))
    written = authenticate::write_cached_keys(entry.url.cache_file, entry.url.url, {jwks, entry.last->fetched_at});
  if (written) return;
  surroundings_.log.event(Level::warning, "keys_not_kept",
                          fmt::format("issuer '{}': its keys are not kept for a restart: {}", entry.name, written.error().detail));
}

std::vector<std::string> KeyFetchers::missing() const {
  std::vector<std::string> reasons;
  for (const EntryPtr& entry : entries_) {
    if (entry->last) continue;
    reasons.push_back(
        fmt::format("issuer '{}': its keys are not known yet{}{}", entry->name, entry->failure.empty() ? "" : ": ", entry->failure));
  }
  return reasons;
}

std::vector<observe::KeySetMetrics> KeyFetchers::metrics() const {
  std::vector<observe::KeySetMetrics> sets;
  for (const EntryPtr& entry : entries_) {
    observe::KeySetMetrics set;
    set.issuer = entry->name;
    set.fetches = entry->results;
    if (entry->last) {
      set.keys = entry->last->keys->size();
      const auto age = surroundings_.clock.wall_now() - entry->last->fetched_at;
      set.age_seconds = std::max(0.0, std::chrono::duration<double>(age).count());
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

}  // namespace sallyport::app
