// Begins and ends sessions. One per worker.
#pragma once

#include <string>

#include "authenticate/session_authenticator.hpp"
#include "issue/establishment.hpp"
#include "store/store.hpp"

namespace sallyport::issue {

struct IssuedSession {
  std::string cookie_value;
  std::string handle;
};

class SessionIssuer {
 public:
  // Both outlive *this; the keys are the authenticator's.
  SessionIssuer(store::Store& store, authenticate::SessionAuthenticator& sessions) : store_(store), sessions_(sessions) {}

  // Always a new id. Fault::unavailable also while the keys are not known yet.
  [[nodiscard]] Task<Result<IssuedSession>> begin(Principal principal, authenticate::SessionSettingsPtr settings);
  // The session behind a cookie's value: broadcasts its revocation, so that open answers end too, and deletes it. False: there was none, or
  // the value is not ours. In this order, so that a failure between leaves a session that can be ended again. An error: it may live; ask
  // again.
  [[nodiscard]] Task<Result<bool>> end(std::string cookie_value, authenticate::SessionSettingsPtr settings);
  [[nodiscard]] Task<Result<bool>> end_by_handle(std::string handle, authenticate::SessionSettingsPtr settings);

 private:
  store::Store& store_;
  authenticate::SessionAuthenticator& sessions_;
};

}  // namespace sallyport::issue
