// Date and time as people and programs write them (RFC 3339).
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace sallyport::issue {

struct DateTime {
  std::chrono::sys_seconds second;      // UTC
  std::chrono::nanoseconds fraction{};  // [0 s, 1 s), rounded up: digits beyond the ninth count as one more nanosecond
};

// RFC 3339 §5.6, strictly: `T` and `Z` in either case, a fraction of one or more digits, `Z` or an offset of +-HH:MM, days that the
// calendar has, the years 0001 to 9999. A leap second (23:59:60 UTC) is the second after it. nullopt otherwise.
[[nodiscard]] std::optional<DateTime> parse_date_time(std::string_view text) noexcept;

}  // namespace sallyport::issue
