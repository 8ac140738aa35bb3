// The version that `sallyport --version` and the metrics show.
#pragma once

#include <string_view>

namespace sallyport::app {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace sallyport::app
