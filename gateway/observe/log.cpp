#include "observe/log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/json.hpp"
#include "base/text.hpp"

namespace sallyport::observe {
namespace {

void put_decimal(char* out, unsigned number, int digits) noexcept {
  for (int i = digits; i-- > 0; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

// "2026-01-31T12:00:00."
void print_second(std::array<char, 20>& out, std::chrono::sys_seconds second) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  constexpr std::string_view kForm = "0000-00-00T00:00:00.";
  std::ranges::copy(kForm, out.begin());
  put_decimal(&out[0], static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999)), 4);
  put_decimal(&out[5], static_cast<unsigned>(date.month()), 2);
  put_decimal(&out[8], static_cast<unsigned>(date.day()), 2);
  put_decimal(&out[11], static_cast<unsigned>(time.hours().count()), 2);
  put_decimal(&out[14], static_cast<unsigned>(time.minutes().count()), 2);
  put_decimal(&out[17], static_cast<unsigned>(time.seconds().count()), 2);
}

constexpr std::uint64_t repeated(unsigned char byte) noexcept { return 0x0101'0101'0101'0101U * byte; }

// A bit in each byte's place that is zero, and possibly in those above it.
constexpr std::uint64_t zeros(std::uint64_t bytes) noexcept { return (bytes - repeated(1)) & ~bytes & repeated(0x80); }

// Whether none of eight bytes needs a look: printable ASCII without '"' and '\\'.
constexpr bool is_plain(std::uint64_t bytes) noexcept {
  const std::uint64_t below_space = (bytes - repeated(0x20)) & ~bytes;
  const std::uint64_t special = zeros(bytes ^ repeated('"')) | zeros(bytes ^ repeated('\\')) | zeros(bytes ^ repeated(0x7F));
  return ((bytes | below_space | special) & repeated(0x80)) == 0;
}

// Nearly every value is: eight bytes at a time, because a line is written for every request.
bool is_plain(std::string_view text) noexcept {
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, text.data(), 8);
    if (!is_plain(bytes)) return false;
  }
  std::uint64_t rest = repeated(' ');
  if (!text.empty()) std::memcpy(&rest, text.data(), text.size());
  return is_plain(rest);
}

// The bytes of the well-formed UTF-8 sequence that `text` begins with; 0 when it begins with none.
std::size_t sequence_bytes(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return text.size() >= bytes && is_utf8(text.substr(0, bytes)) ? bytes : 0;
}

// With U+FFFD for each byte that belongs to no well-formed sequence, for DEL and for each C1 control.
std::string sanitized(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = sequence_bytes(text);
    const std::string_view sequence = text.substr(0, bytes);
    const bool is_c1 = bytes == 2 && sequence[0] == '\xC2' && static_cast<unsigned char>(sequence[1]) < 0xA0;
    out += bytes == 0 || is_c1 || sequence == "\x7F" ? kReplacement : sequence;
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out;
}

}  // namespace

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
  }
  return "unknown";
}

char* LogLine::room(std::size_t bytes) {
  if (buffer_.size() - used_ < bytes) buffer_.resize(std::max(used_ + bytes, 2 * buffer_.size()));
  return buffer_.data() + used_;
}

void LogLine::append(std::string_view bytes) {
  std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
  used_ += bytes.size();
}

void LogLine::member(std::string_view name) {
  char* out = room(name.size() + 4);
  *out++ = ',';
  *out++ = '"';
  std::memcpy(out, name.data(), name.size());
  out += name.size();
  *out++ = '"';
  *out++ = ':';
  used_ += name.size() + 4;
}

void LogLine::digits(std::int64_t value) {
  constexpr std::size_t kDigitsMax = 20;
  char* out = room(kDigitsMax);
  used_ += static_cast<std::size_t>(std::to_chars(out, out + kDigitsMax, value).ptr - out);
}

LogLine& LogLine::begin(WallTime now, Level level, std::string_view event) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second != stamped_) {
    print_second(stamp_, second);
    stamped_ = second;
  }
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now - second);
  std::array<char, 6> fraction{};
  put_decimal(fraction.data(), static_cast<unsigned>(microseconds.count()), 6);

  used_ = 0;
  append("{\"ts\":\"");
  append({stamp_.data(), stamp_.size()});
  append({fraction.data(), fraction.size()});
  append("Z\",\"level\":\"");
  append(name(level));
  append("\"");
  return text("event", event);
}

LogLine& LogLine::text(std::string_view name, std::string_view value) {
  if (!is_plain(value)) {
    std::string escaped;
    append_json_string(escaped, sanitized(value));
    member(name);
    append(escaped);
    return *this;
  }
  // ,"name":"value" in one go.
  char* const begin = room(name.size() + value.size() + 6);
  char* out = begin;
  *out++ = ',';
  *out++ = '"';
  out = std::copy_n(name.data(), name.size(), out);
  *out++ = '"';
  *out++ = ':';
  *out++ = '"';
  out = std::copy_n(value.data(), value.size(), out);
  *out++ = '"';
  used_ += static_cast<std::size_t>(out - begin);
  return *this;
}

LogLine& LogLine::number(std::string_view name, std::int64_t value) {
  member(name);
  digits(value);
  return *this;
}

LogLine& LogLine::decimal(std::string_view name, double value) {
  member(name);
  // Printed as thousandths in an integer: several times faster than any floating-point formatter.
  constexpr double kExactMax = 1e12;
  if (!(std::abs(value) < kExactMax)) {  // NaN too
    append(std::isfinite(value) ? Json(value).dump() : "null");
    return *this;
  }
  const std::int64_t thousandths = std::llround(value * 1000);
  const std::int64_t magnitude = std::abs(thousandths);
  if (thousandths < 0) append("-");
  digits(magnitude / 1000);
  std::array<char, 4> fraction{'.'};
  put_decimal(&fraction[1], static_cast<unsigned>(magnitude % 1000), 3);
  append({fraction.data(), fraction.size()});
  return *this;
}

LogLine& LogLine::boolean(std::string_view name, bool value) {
  member(name);
  append(value ? "true" : "false");
  return *this;
}

std::string_view LogLine::end() {
  append("}\n");
  return {buffer_.data(), used_};
}

void Log::event(Level level, std::string_view event, std::string_view detail) const {
  if (!enabled(level) || writer_.is_off()) return;
  LogLine line;
  line.begin(clock_.wall_now(), level, event).text("detail", detail);
  writer_.write(line.end());
}

void WorkerLog::add(std::string_view line) {
  if (is_off()) return;
  batch_ += line;
  if (batch_.size() >= kBatchBytes) flush();
}

void WorkerLog::flush() {
  if (batch_.empty()) return;
  writer_.write(batch_);
  batch_.clear();
}

}  // namespace sallyport::observe
