// The keyed hash under the name by which this folder knows it.
#pragma once

#include "base/keyed_hash.hpp"

namespace sallyport::authenticate {

using sallyport::KeyedHash;

}  // namespace sallyport::authenticate
