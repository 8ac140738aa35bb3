// What an identity takes in memory.
#pragma once

#include <cstddef>

#include "identity/verified_identity.hpp"

namespace sallyport::authenticate {

// With all it holds, claims included; estimated from capacities.
[[nodiscard]] std::size_t bytes_of(const identity::VerifiedIdentity& identity) noexcept;

// Asks for what it points to ahead of its use; nullptr is no harm.
void prefetch_pieces(const identity::VerifiedIdentity* identity) noexcept;

}  // namespace sallyport::authenticate
