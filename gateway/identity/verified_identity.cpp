#include "identity/verified_identity.hpp"

namespace sallyport::identity {

std::string_view name(AuthMethod method) noexcept {
  switch (method) {
    case AuthMethod::jwt: return "jwt";
    case AuthMethod::session: return "session";
    case AuthMethod::client_certificate: return "client_certificate";
  }
  return "unknown";
}

}  // namespace sallyport::identity
