// Token pairs: a signed access JWT and a refresh token that is spent once (RFC 6749 §6, RFC 9068, RFC 9700 §2.2.2).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "authenticate/tag_keys.hpp"
#include "issue/edge_keys.hpp"
#include "issue/establishment.hpp"
#include "store/store.hpp"

namespace sallyport::issue {

struct TokenPair {
  std::string access;
  std::string refresh;
  std::chrono::seconds access_left{};  // from now; > 0
  std::chrono::seconds refresh_left{};
  std::string subject;
  std::string family;  // handle
  std::string scope;   // as the access token says it; empty: the claim is not there
};
using TokenPairPtr = std::shared_ptr<const TokenPair>;

// A refresh token that is not (any more) good: 400 invalid_grant. `reason` is one of: malformed, gone, reused, revoked. Of several who
// present the same reused token at once, one hears `reused` and the others `gone`, as they would one after the other.
struct RefreshRefused {
  std::string_view reason;  // static
  std::string family;       // handle, where the token was ours
  std::string subject;      // of reused, for the audit log
};
struct RefreshUnavailable {  // 503; nothing was spent, or a retry within the reuse window gets the same successor
  std::string detail;
};
using RefreshOutcome = std::variant<RefreshUnavailable, RefreshRefused, TokenPairPtr>;

// Dates and signs the access token of a generation. `iat` is when the generation began (by the store's clock), so that every answer with
// the same successor says the same: a whole second, because that is what libraries expect; but where a revocation of the subject falls
// into that second, the very moment (RFC 7519 §2 allows a fraction), so that this one is after it and the next one is not too late.
// `exp` is access_ttl later and never after the family's end. Only a pair that would be over already, because access_ttl is shorter than
// the reuse window, is extended: to access_ttl from `now`, and by reuse_window at most. Beside that `now` only says what is left.
// Fault::not_found: the family is older than family_ttl allows by now.
[[nodiscard]] Result<TokenPairPtr> make_pair(const store::Family& family, std::string_view family_id, const EdgeKeys& keys,
                                             const authenticate::TagKeys& tags, const store::RevocationList& revocations, WallTime now);

// Rotations of one worker. The same refresh token presented by many at once is one question to the store. A rotation that began ends,
// whether or not anybody still waits for it: its state lives until then, the desk need not. Counts what became of each token.
class RefreshDesk {
 public:
  struct Surroundings {
    store::Store& store;
    const store::RevocationList& revocations;
    const Clock& clock;
    observe::WorkerMetrics& metrics;
  };
  explicit RefreshDesk(const Surroundings& surroundings);
  ~RefreshDesk();

  // Cancelled (total or terminal), it answers RefreshUnavailable at once; the rotation goes on.
  [[nodiscard]] Task<RefreshOutcome> refresh(authenticate::RefreshToken token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags);
  // Rotations that have not come to their end: at shutdown the store has to wait for them.
  [[nodiscard]] std::size_t under_way() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// All desks of the process. A family belongs to one worker's desk, so that "at once" holds for the whole replica; other workers ask over.
class RefreshDesks {
 public:
  // Before any worker runs; `desk` lives on `executor`'s thread as long as requests do, and no io_context goes before all threads ended.
  void add(Executor executor, RefreshDesk& desk);
  // On the asking worker's thread. The rotation completes even if nobody waits for it any more.
  [[nodiscard]] Task<RefreshOutcome> refresh(Executor asking, authenticate::RefreshToken token, EdgeKeysPtr keys,
                                             authenticate::TagKeysPtr tags) const;

 private:
  struct Member {
    Executor executor;
    RefreshDesk* desk;
  };
  std::vector<Member> members_;
};

// Begins and ends families, and is where a worker refreshes. One per worker.
class TokenPairs {
 public:
  struct Surroundings {
    store::Store& store;
    const store::RevocationList& revocations;
    const RefreshDesks& desks;
    const Clock& clock;
    observe::WorkerMetrics& metrics;
    Executor executor;
  };
  explicit TokenPairs(const Surroundings& surroundings) : surroundings_(surroundings) {}

  // A new family. Fault::unavailable also while the keys are not known yet, and when a revocation covers this very moment.
  [[nodiscard]] Task<Result<TokenPairPtr>> begin(Principal principal, EdgeKeysPtr keys, authenticate::TagKeysPtr tags);
  // `refresh_token` as it was presented. A family that reuse revoked is broadcast as revoked before this returns.
  [[nodiscard]] Task<RefreshOutcome> refresh(std::string refresh_token, EdgeKeysPtr keys, authenticate::TagKeysPtr tags);
  // Ends the family (logout) and broadcasts it, first the latter: its access tokens are known by the broadcast alone. False: there was
  // none. An error: ask again.
  [[nodiscard]] Task<Result<bool>> end(std::string family_handle, std::chrono::milliseconds keep_for);

 private:
  Surroundings surroundings_;
};

// RFC 6749 §5.1.
[[nodiscard]] std::string token_response_json(const TokenPair& pair);
// The two Set-Cookie lines.
[[nodiscard]] std::vector<std::string> token_cookies(const TokenPair& pair, const TokenSettings& settings);
[[nodiscard]] std::vector<std::string> clear_token_cookies(const TokenSettings& settings);

}  // namespace sallyport::issue
