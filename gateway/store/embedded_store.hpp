// The store in this process (DESIGN §6): SQLite is the only truth. open_embedded_store() of store/store.hpp opens it; here is what tests
// and tools want beyond that.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "store/embedded_engine.hpp"
#include "store/store.hpp"

namespace sallyport::store {

[[nodiscard]] Result<std::unique_ptr<StoreService>> open_embedded_store(const StoreSettings& settings,
                                                                        const StoreSurroundings& surroundings, const EngineLimits& limits);

}  // namespace sallyport::store
