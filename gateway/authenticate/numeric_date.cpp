#include "authenticate/numeric_date.hpp"

#include <algorithm>
#include <cmath>

namespace sallyport::authenticate {
namespace {

constexpr std::int64_t kSecondsMax = 1'000'000'000'000'000;  // 31 million years, and exact as a double
constexpr std::int32_t kNanosPerSecond = 1'000'000'000;

Instant from_double(double number, Rounding rounding) noexcept {
  // JSON knows no NaN and no infinity. Clamped first: a double that does not fit has no defined integer.
  const double clamped = std::clamp(number, -static_cast<double>(kSecondsMax), static_cast<double>(kSecondsMax));
  const double whole = std::floor(clamped);
  Instant instant{static_cast<std::int64_t>(whole), 0};
  // Exact, but in the second before 1970, where it can round to a full one.
  const double fraction = std::min(clamped - whole, std::nextafter(1.0, 0.0));
  const double scaled = fraction * kNanosPerSecond;
  // What the multiplication rounded away, exactly; it says on which side of a whole nanosecond the true value lies.
  const double lost = std::fma(fraction, static_cast<double>(kNanosPerSecond), -scaled);
  const double below = std::floor(scaled);
  const bool is_whole = scaled == below;
  instant.nanoseconds = static_cast<std::int32_t>(below) - (is_whole && lost < 0 ? 1 : 0);
  if (rounding == Rounding::down || (is_whole && lost == 0)) return instant;
  return next_after(instant);
}

}  // namespace

std::optional<Instant> numeric_date(const Json& value, Rounding rounding) noexcept {
  if (const auto* number = std::get_if<std::int64_t>(&value.value())) return Instant{std::clamp(*number, -kSecondsMax, kSecondsMax), 0};
  if (const auto* number = std::get_if<std::uint64_t>(&value.value())) {
    return Instant{static_cast<std::int64_t>(std::min<std::uint64_t>(*number, kSecondsMax)), 0};
  }
  if (const auto* number = std::get_if<double>(&value.value())) return from_double(*number, rounding);
  return std::nullopt;
}

Instant instant_of(WallTime time) noexcept {
  const auto since = time.time_since_epoch();
  // Towards zero first: the first second of WallTime has no whole number of nanoseconds below it.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds);
  if (rest.count() >= 0) return {seconds.count(), static_cast<std::int32_t>(rest.count())};
  return {seconds.count() - 1, static_cast<std::int32_t>(rest.count() + kNanosPerSecond)};
}

WallTime wall_time_of(Instant instant) noexcept {
  const Instant first = instant_of(WallTime::min());
  const Instant last = instant_of(WallTime::max());
  if (instant <= first) return WallTime::min();
  if (instant >= last) return WallTime::max();
  // Whole seconds towards zero, or the product of the first and last second would overflow.
  const std::int64_t borrowed = instant.seconds < 0 ? 1 : 0;
  const auto whole = std::chrono::seconds(instant.seconds + borrowed);
  const auto rest = std::chrono::nanoseconds(instant.nanoseconds - borrowed * kNanosPerSecond);
  return WallTime(std::chrono::floor<WallTime::duration>(std::chrono::nanoseconds(whole) + rest));
}

Instant operator+(Instant instant, std::chrono::seconds seconds) noexcept {
  return {instant.seconds + seconds.count(), instant.nanoseconds};
}

Instant next_after(Instant instant) noexcept {
  if (instant.nanoseconds + 1 == kNanosPerSecond) return {instant.seconds + 1, 0};
  return {instant.seconds, instant.nanoseconds + 1};
}

}  // namespace sallyport::authenticate
