// What an operator may do to sessions and tokens: lent by app, asked by the admin API.
#pragma once

#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "store/records.hpp"

namespace sallyport::admin {

struct CreatedSession {
  std::string session;  // the cookie's value
  std::string handle;
  std::string cookie;  // the cookie's name
};

// What became of a reload: `problems` is empty when the configuration is in use.
struct ReloadReport {
  std::vector<std::string> problems;
  bool needs_restart = false;  // valid, but not for a process that runs
};

// Called on the admin listener's thread. Fault::unavailable, timed_out and whatever else is not named: the store could not be asked.
class Controls {
 public:
  virtual ~Controls() = default;
  // One of {"subject"|"session"|"token_id"|"family": "…"} and optionally "issued_before". Fault::malformed; too_large: no more can be kept.
  [[nodiscard]] virtual Task<Result<void>> revoke(Json document) = 0;
  // Fault::malformed and too_large: what is said of the subject; unsupported: no route takes sessions.
  [[nodiscard]] virtual Task<Result<CreatedSession>> create_session(std::string subject, Json claims) = 0;
  // Those that are not over.
  [[nodiscard]] virtual Task<Result<std::vector<store::Session>>> sessions_of(std::string subject) = 0;
};

}  // namespace sallyport::admin
