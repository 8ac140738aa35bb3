// What GET /routes shows: the routes that serve, as they were understood.
#pragma once

#include <string>

#include "pipeline/snapshot.hpp"

namespace sallyport::admin {

// A JSON array in the order of the configuration: {"name","source","match":{"host"?,"path","methods"?},"access","upstream"}. A member that
// the route does not restrict is left out. Nothing of keys, issuers' secrets or identities. Pure.
[[nodiscard]] std::string route_list(const pipeline::Snapshot& snapshot);

}  // namespace sallyport::admin
