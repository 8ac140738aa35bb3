// The proof that policy allowed this caller on this route. Only the authorizer makes one (invariant 1).
#pragma once

#include <optional>
#include <utility>

#include "identity/verified_identity.hpp"

namespace sallyport::authorize {
class Authorizer;
}
namespace sallyport::testing {
class PermitBuilder;
}

namespace sallyport::identity {

class Permit {
 public:
  // nullptr: the route lets anonymous callers in.
  [[nodiscard]] const VerifiedIdentity* identity() const noexcept { return identity_.get(); }
  // The same, to be kept beyond the permit's life.
  [[nodiscard]] const IdentityPtr& shared_identity() const noexcept { return identity_; }
  // The index of the route that was judged, in the snapshot's table.
  [[nodiscard]] std::size_t route() const noexcept { return route_; }

 private:
  friend class authorize::Authorizer;
  friend class testing::PermitBuilder;
  Permit(std::size_t route, IdentityPtr identity) : route_(route), identity_(std::move(identity)) {}

  std::size_t route_;
  IdentityPtr identity_;
};

}  // namespace sallyport::identity
