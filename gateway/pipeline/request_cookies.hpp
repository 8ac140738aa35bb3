// The cookies of one name in a request.
#pragma once

#include <cstddef>
#include <string_view>

#include "http/head.hpp"

namespace sallyport::pipeline {

struct NamedCookies {
  std::size_t count = 0;
  std::string_view value;  // of the first; a view into the request
};
// In all Cookie fields, by the exact name. No allocation.
[[nodiscard]] NamedCookies cookies_named(const http::RequestHead& request, std::string_view name) noexcept;

}  // namespace sallyport::pipeline
