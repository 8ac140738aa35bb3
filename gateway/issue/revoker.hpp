// Revocations as they are asked for: admin API, command line, logout everywhere (DESIGN §3.3).
#pragma once

#include <string>
#include <string_view>

#include "authenticate/tag_keys.hpp"
#include "base/json.hpp"
#include "store/store.hpp"

namespace sallyport::issue {

// How long each kind matters: as long as anything could still be presented that it refuses.
struct RevocationTimes {
  std::chrono::milliseconds session{std::chrono::hours(24)};       // sessions.absolute_timeout
  std::chrono::milliseconds family{std::chrono::hours(24 * 30)};   // tokens.family_ttl
  std::chrono::milliseconds everything_else{std::chrono::hours(24 * 31)};  // subjects, token ids: foreign tokens may live that long
};

// One of {"subject"|"session"|"token_id"|"family": "…"} and optionally "issued_before" (RFC 3339); "issued_before" alone is everything.
// `session` is a cookie's value or a handle, `family` a refresh token or a handle. Fault::malformed for anything else, unknown members
// included; unavailable while `tags` is null and a cookie's value must be opened.
[[nodiscard]] Result<store::Revocation> read_revocation(const Json& document, const authenticate::TagKeys* tags, const RevocationTimes& times);

class Revoker {
 public:
  Revoker(store::Store& store, const RevocationTimes& times, observe::WorkerMetrics& metrics) : store_(store), times_(times), metrics_(metrics) {}

  // Broadcasts it, then tidies the store. When it returns without error, this replica refuses, and the others do within milliseconds.
  [[nodiscard]] Task<Result<void>> revoke(store::Revocation revocation);
  [[nodiscard]] Task<Result<void>> revoke_subject(std::string subject);
  [[nodiscard]] const RevocationTimes& times() const noexcept { return times_; }

 private:
  store::Store& store_;
  RevocationTimes times_;
  observe::WorkerMetrics& metrics_;
};

}  // namespace sallyport::issue
