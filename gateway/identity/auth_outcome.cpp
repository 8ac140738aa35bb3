#include "identity/auth_outcome.hpp"

namespace sallyport::identity {

std::string_view name(RefusalReason reason) noexcept {
  switch (reason) {
    case RefusalReason::malformed: return "malformed";
    case RefusalReason::header_refused: return "header_refused";
    case RefusalReason::algorithm_refused: return "algorithm_refused";
    case RefusalReason::token_type_refused: return "token_type_refused";
    case RefusalReason::unknown_key: return "unknown_key";
    case RefusalReason::bad_signature: return "bad_signature";
    case RefusalReason::unknown_issuer: return "unknown_issuer";
    case RefusalReason::wrong_audience: return "wrong_audience";
    case RefusalReason::expired: return "expired";
    case RefusalReason::not_yet_valid: return "not_yet_valid";
    case RefusalReason::too_old: return "too_old";
    case RefusalReason::claim_invalid: return "claim_invalid";
    case RefusalReason::claim_missing: return "claim_missing";
    case RefusalReason::token_too_large: return "token_too_large";
    case RefusalReason::unknown_session: return "unknown_session";
    case RefusalReason::revoked: return "revoked";
    case RefusalReason::wrong_certificate: return "wrong_certificate";
  }
  return "unknown";
}

}  // namespace sallyport::identity
