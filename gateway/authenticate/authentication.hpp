// What is known of a request's credential.
#pragma once

#include "identity/auth_outcome.hpp"

namespace sallyport::authenticate {

struct Authentication {
  identity::AuthOutcome outcome = identity::NotPresented{};
  // The credential came in a cookie: a page of another site may have made the browser send it (CSRF). A client certificate goes along in
  // the same way, and is known by the identity's method.
  bool by_cookie = false;
  // Nothing was presented, or it was the access cookie of ours and good but for its age; and the plan takes our access cookie. A refresh
  // cookie may stand in for it.
  bool may_refresh = false;
};

}  // namespace sallyport::authenticate
