#include "app/operator_desk.hpp"

namespace sallyport::app {

OperatorDesk::OperatorDesk(const Surroundings& surroundings)
    : surroundings_(surroundings),
      sessions_({surroundings.revocations, surroundings.clock, surroundings.tasks, surroundings.metrics}, 1),
      issuer_(surroundings.store, sessions_),
      revoker_(surroundings.store, surroundings.snapshot->revocation_times, surroundings.metrics) {}

void OperatorDesk::use(pipeline::SnapshotPtr snapshot, bool takes_sessions) {
  revoker_.use(snapshot->revocation_times);
  surroundings_.snapshot = std::move(snapshot);
  surroundings_.takes_sessions = takes_sessions;
}

Task<Result<void>> OperatorDesk::revoke(Json document) {
  Result<store::Revocation> revocation =
      issue::read_revocation(document, sessions_.keys().get(), revoker_.times(), surroundings_.clock.wall_now());
  if (!revocation) co_return revocation.error();
  Task<Result<void>> revoking = revoker_.revoke(std::move(*revocation));
  co_return co_await std::move(revoking);
}

Task<Result<admin::CreatedSession>> OperatorDesk::create_session(std::string subject, Json claims) {
  if (!surroundings_.takes_sessions) co_return make_error(Fault::unsupported, "no route takes sessions");
  Result<issue::Principal> principal = issue::make_principal(std::move(subject), std::move(claims), surroundings_.clock.wall_now());
  if (!principal) co_return principal.error();
  const authenticate::SessionSettingsPtr settings = surroundings_.snapshot->sessions;
  Task<Result<issue::IssuedSession>> beginning = issuer_.begin(std::move(*principal), settings);
  Result<issue::IssuedSession> begun = co_await std::move(beginning);
  if (!begun) {
    // Whatever the store finds wrong, it is not what the operator said: that was checked above.
    co_return make_error(Fault::unavailable, begun.error().detail);
  }
  co_return admin::CreatedSession{std::move(begun->cookie_value), std::move(begun->handle), settings->cookie_name};
}

Task<Result<std::vector<store::Session>>> OperatorDesk::sessions_of(std::string subject) {
  return surroundings_.store.sessions_of(std::move(subject));
}

}  // namespace sallyport::app
