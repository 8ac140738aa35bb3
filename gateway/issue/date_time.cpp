#include "issue/date_time.hpp"

#include <cstddef>

namespace sallyport::issue {
namespace {

// Reads from the front and remembers that something did not fit.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : rest_(text) {}

  // Exactly `digits` digits.
  [[nodiscard]] int number(std::size_t digits) noexcept {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) value = value * 10 + digit();
    return value;
  }
  [[nodiscard]] bool at_digit() const noexcept { return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; }
  [[nodiscard]] int digit() noexcept {
    if (!at_digit()) {
      good_ = false;
      return 0;
    }
    return next() - '0';
  }
  // The next character, if it is one of `allowed`; else NUL.
  char one_of(std::string_view allowed) noexcept {
    if (rest_.empty() || allowed.find(rest_.front()) == std::string_view::npos) {
      good_ = false;
      return '\0';
    }
    return next();
  }
  [[nodiscard]] bool skip(char c) noexcept {
    if (rest_.empty() || rest_.front() != c) return false;
    next();
    return true;
  }
  // Everything fitted and nothing is left.
  [[nodiscard]] bool ended_well() const noexcept { return good_ && rest_.empty(); }
  void fail() noexcept { good_ = false; }

 private:
  char next() noexcept {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  std::string_view rest_;
  bool good_ = true;
};

std::chrono::nanoseconds read_fraction(Reader& reader) noexcept {
  std::chrono::nanoseconds unit{100'000'000};
  std::chrono::nanoseconds fraction{0};
  bool is_more = false;
  do {
    const int digit = reader.digit();
    if (unit.count() == 0) {
      is_more = is_more || digit != 0;
    } else {
      fraction += digit * unit;
      unit /= 10;
    }
  } while (reader.at_digit());
  return is_more ? fraction + std::chrono::nanoseconds(1) : fraction;
}

std::chrono::minutes read_offset(Reader& reader) noexcept {
  const char sign = reader.one_of("Zz+-");
  if (sign == 'Z' || sign == 'z' || sign == '\0') return {};
  const int hours = reader.number(2);
  reader.one_of(":");
  const int minutes = reader.number(2);
  if (hours > 23 || minutes > 59) reader.fail();
  const std::chrono::minutes offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return sign == '-' ? -offset : offset;
}

}  // namespace

std::optional<DateTime> parse_date_time(std::string_view text) noexcept {
  using namespace std::chrono;
  Reader reader(text);
  const year y{reader.number(4)};
  reader.one_of("-");
  const month m{static_cast<unsigned>(reader.number(2))};
  reader.one_of("-");
  const day d{static_cast<unsigned>(reader.number(2))};
  reader.one_of("Tt");
  const int hour = reader.number(2);
  reader.one_of(":");
  const int minute = reader.number(2);
  reader.one_of(":");
  const int second = reader.number(2);
  nanoseconds fraction = reader.skip('.') ? read_fraction(reader) : nanoseconds(0);
  const minutes offset = read_offset(reader);

  const year_month_day date{y, m, d};
  if (!reader.ended_well() || y < year(1) || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  sys_seconds at = sys_days(date) + hours(hour) + minutes(minute) + seconds(second) - offset;
  if (second == 60) {
    // Only the last minute of a UTC day can have one.
    if (at != floor<days>(at)) return std::nullopt;
    fraction = nanoseconds(0);
  }
  if (fraction == seconds(1)) {
    at += seconds(1);
    fraction = nanoseconds(0);
  }
  return DateTime{at, fraction};
}

}  // namespace sallyport::issue
