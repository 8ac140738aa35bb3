// The command line's way to a gateway that runs: its admin listener.
#pragma once

#include <string>
#include <string_view>

#include "app/settings.hpp"
#include "base/result.hpp"

namespace sallyport::app {

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// POSTs a JSON document and waits for the answer, some seconds at most. Fault::unavailable: nobody listens, or whoever does gave no answer;
// the faults of a token_file that cannot be read.
[[nodiscard]] Result<AdminAnswer> post_to_admin(const AdminSettings& admin, std::string_view path, std::string_view document);

}  // namespace sallyport::app
