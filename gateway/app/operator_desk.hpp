// What operators do to sessions and tokens, by the admin listener or by the command line.
#pragma once

#include "admin/controls.hpp"
#include "authenticate/session_authenticator.hpp"
#include "base/task_group.hpp"
#include "issue/revoker.hpp"
#include "issue/session_issuer.hpp"
#include "observe/metrics.hpp"
#include "pipeline/snapshot.hpp"
#include "store/store.hpp"

namespace sallyport::app {

// Belongs to the thread of its store, like everything that is lent to it; all of it outlives *this.
class OperatorDesk final : public admin::Controls {
 public:
  struct Surroundings {
    pipeline::SnapshotPtr snapshot;
    bool takes_sessions;  // some route does
    store::Store& store;
    const store::RevocationList& revocations;
    const Clock& clock;
    TaskGroup& tasks;
    observe::WorkerMetrics& metrics;
  };
  explicit OperatorDesk(const Surroundings& surroundings);

  // From the next question on.
  void use(pipeline::SnapshotPtr snapshot, bool takes_sessions);

  // Until then no session can be made and no cookie's value be opened (Fault::unavailable).
  void use_keys(authenticate::TagKeysPtr keys) { sessions_.use_keys(std::move(keys)); }

  [[nodiscard]] Task<Result<void>> revoke(Json document) override;
  [[nodiscard]] Task<Result<admin::CreatedSession>> create_session(std::string subject, Json claims) override;
  [[nodiscard]] Task<Result<std::vector<store::Session>>> sessions_of(std::string subject) override;

 private:
  Surroundings surroundings_;
  authenticate::SessionAuthenticator sessions_;  // holds the keys; nothing is recognised here
  issue::SessionIssuer issuer_;
  issue::Revoker revoker_;
};

}  // namespace sallyport::app
