// A named segment of a path.
#pragma once

#include <string_view>

namespace sallyport::http {

// The segment of the canonical path as it stands there (still percent-encoded where it was). Views into the table and the path.
struct PathParameter {
  std::string_view name;
  std::string_view value;
};

}  // namespace sallyport::http
