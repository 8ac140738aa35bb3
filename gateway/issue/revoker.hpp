// Revocations as they are asked for: admin API, command line, logout everywhere (DESIGN §3.3).
#pragma once

#include <string>
#include <string_view>

#include "authenticate/tag_keys.hpp"
#include "base/json.hpp"
#include "store/store.hpp"

namespace sallyport::issue {

// How long each kind matters: as long as anything could still be presented that it refuses. App makes the store keep them for longest().
struct RevocationTimes {
  std::chrono::milliseconds session{std::chrono::hours(24)};               // sessions.absolute_timeout
  std::chrono::milliseconds family{std::chrono::hours(24 * 30)};           // tokens.family_ttl
  std::chrono::milliseconds everything_else{std::chrono::hours(24 * 31)};  // subjects, token ids: foreign tokens may live that long

  // Of subjects and of everything it is the longest, because they refuse sessions and families too.
  [[nodiscard]] std::chrono::milliseconds of(store::Revocation::Kind kind) const noexcept;
  [[nodiscard]] std::chrono::milliseconds longest() const noexcept;
};

// An `issued_before` that is later than this after `now` is refused: until then every new login would be, too.
inline constexpr std::chrono::seconds kRevocationSkewMax{5};
inline constexpr std::size_t kRevokedValueBytesMax = 1024;

// One of {"subject"|"session"|"token_id"|"family": "…"} and optionally "issued_before" (RFC 3339); "issued_before" alone is everything.
// `session` is a cookie's value or a handle (of a foreign session "NAME:" and its handle), `family` a refresh token or a handle.
// `issued_before` is read strictly, with any offset and fraction, rounded up to a millisecond; before 1970 or after now + 5 s it is
// malformed. Fault::malformed for anything else, unknown members included; unavailable while `tags` is null and a cookie's value must be
// opened. The detail never holds a value.
[[nodiscard]] Result<store::Revocation> read_revocation(const Json& document, const authenticate::TagKeys* tags,
                                                        const RevocationTimes& times, WallTime now);

class Revoker {
 public:
  Revoker(store::Store& store, const RevocationTimes& times, observe::WorkerMetrics& metrics)
      : store_(store), times_(times), metrics_(metrics) {}

  // Broadcasts it, then tidies the store. When it returns without error, this replica refuses, and the others do within milliseconds; a
  // session or token that is issued from then on is dated later than a revocation of its subject as of now, and good.
  // Tidying (ending the records) is done only of a revocation without issued_before, because younger ones are to live; that it fails is no
  // failure of the revocation, which stands for as long as the records could.
  [[nodiscard]] Task<Result<void>> revoke(store::Revocation revocation);
  [[nodiscard]] Task<Result<void>> revoke_subject(std::string subject);
  [[nodiscard]] const RevocationTimes& times() const noexcept { return times_; }
  // From the next revocation on.
  void use(const RevocationTimes& times) noexcept { times_ = times; }

 private:
  [[nodiscard]] Task<void> tidy(store::Revocation::Kind kind, std::string value);

  store::Store& store_;
  RevocationTimes times_;
  observe::WorkerMetrics& metrics_;
};

}  // namespace sallyport::issue
