// Permits for tests that begin behind authorization. The gateway itself has one maker of them: authorize::Authorizer.
#pragma once

#include <cstddef>
#include <utility>

#include "identity/permit.hpp"

namespace sallyport::testing {

class PermitBuilder {
 public:
  [[nodiscard]] static identity::Permit anonymous(std::size_t route = 0) { return identity::Permit(route, nullptr); }
  [[nodiscard]] static identity::Permit of(identity::IdentityPtr identity, std::size_t route = 0) {
    return identity::Permit(route, std::move(identity));
  }
};

}  // namespace sallyport::testing
