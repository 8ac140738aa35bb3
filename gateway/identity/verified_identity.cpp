#include "identity/verified_identity.hpp"

namespace sallyport::identity {

std::string_view name(AuthMethod method) noexcept {
  switch (method) {
    case AuthMethod::jwt: return "jwt";
    case AuthMethod::session: return "session";
  }
  return "unknown";
}

}  // namespace sallyport::identity
