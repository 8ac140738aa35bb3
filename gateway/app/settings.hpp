// A whole configuration as typed values: what the loader makes of the YAML and app.cpp wires up.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/problem.hpp"
#include "base/overload.hpp"
#include "listen/settings.hpp"
#include "observe/log.hpp"
#include "pipeline/snapshot.hpp"
#include "store/store.hpp"
#include "upstream/settings.hpp"

namespace sallyport::app {

struct AdminSettings {
  std::string host;
  std::uint16_t port = 0;
  std::optional<std::string> token_file;
};

// A part of the configuration that a running gateway cannot change. `at` is where it stands.
struct FixedPart {
  std::string name;   // "workers", "listener 'public'"
  std::string value;  // as a message may show it
  Problem at;         // without a message
};

struct Settings {
  std::uint32_t workers = 1;  // resolved: never 0
  std::vector<listen::ListenerSettings> listeners;
  std::optional<AdminSettings> admin;
  store::StoreSettings store;
  std::size_t revocations_max = 1'000'000;
  bool takes_sessions = false;                    // some route does, or sessions are configured
  bool needs_store = false;                       // sessions or tokens are used: without the store nobody signs in
  std::size_t session_cache_entries = 100'000;    // `sessions: { cache_entries }`, of each worker
  std::vector<std::string> session_secret_files;  // `sessions: { secret_file }`; empty: the gateways agree on one through the store
  std::vector<upstream::UpstreamSettings> upstreams;
  observe::LogSettings log;
  std::chrono::milliseconds drain_timeout{30'000};  // `shutdown: { drain_timeout }`
  bool watches_files = true;                        // `reload: { watch }`
  std::chrono::milliseconds stall{1'000};           // `watchdog: { stall }`
  std::vector<FixedPart> fixed;
  OverloadSettings overload;
  pipeline::SnapshotPtr snapshot;  // routes, policies, issuers: compiled by the loader
};

}  // namespace sallyport::app
