// NumericDate (RFC 7519 §2): JSON numbers as points in time, without overflow and without rounding that one did not ask for.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>

#include "base/clock.hpp"
#include "base/json.hpp"

namespace sallyport::authenticate {

// Seconds since 1970-01-01T00:00:00Z and nanoseconds, 0 to 999'999'999. Wider than WallTime, whose nanoseconds end in the year 2262.
struct Instant {
  std::int64_t seconds = 0;
  std::int32_t nanoseconds = 0;

  friend auto operator<=>(const Instant&, const Instant&) = default;
};

inline constexpr std::int64_t kYear10000 = 253'402'300'800;  // 10000-01-01T00:00:00Z

enum class Rounding : unsigned char { down, up };

// nullopt unless `value` is a number. Beyond 10^15 seconds on either side it is 10^15 seconds: the order stays right for every real moment.
[[nodiscard]] std::optional<Instant> numeric_date(const Json& value, Rounding rounding) noexcept;

[[nodiscard]] Instant instant_of(WallTime time) noexcept;
// The nearest WallTime that is not later; WallTime's own ends beyond them.
[[nodiscard]] WallTime wall_time_of(Instant instant) noexcept;

[[nodiscard]] Instant operator+(Instant instant, std::chrono::seconds seconds) noexcept;
// One nanosecond later.
[[nodiscard]] Instant next_after(Instant instant) noexcept;

}  // namespace sallyport::authenticate
