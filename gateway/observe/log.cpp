#include "observe/log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/json.hpp"
#include "base/text.hpp"

namespace sallyport::observe {
namespace {

void put_decimal(char* out, unsigned number, int digits) noexcept {
  for (int i = digits; i-- > 0; number /= 10) out[i] = static_cast<char>('0' + number % 10);
}

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 20> digits{};
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
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

bool is_plain_ascii(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x7F; });
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

void LogLine::name(std::string_view name) {
  line_ += ",\"";
  line_ += name;
  line_ += "\":";
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

  line_.assign("{\"ts\":\"");
  line_.append(stamp_.data(), stamp_.size());
  line_.append(fraction.data(), fraction.size());
  line_ += "Z\",\"level\":\"";
  line_ += observe::name(level);
  line_ += '"';
  return text("event", event);
}

LogLine& LogLine::text(std::string_view name, std::string_view value) {
  this->name(name);
  if (is_plain_ascii(value)) {
    append_json_string(line_, value);
  } else {
    append_json_string(line_, sanitized(value));
  }
  return *this;
}

LogLine& LogLine::number(std::string_view name, std::int64_t value) {
  this->name(name);
  append_number(line_, value);
  return *this;
}

LogLine& LogLine::decimal(std::string_view name, double value) {
  this->name(name);
  // Printed as thousandths in an integer: several times faster than any floating-point formatter.
  constexpr double kExactMax = 1e12;
  if (!(std::abs(value) < kExactMax)) {  // NaN too
    line_ += std::isfinite(value) ? Json(value).dump() : "null";
    return *this;
  }
  const std::int64_t thousandths = std::llround(value * 1000);
  if (thousandths < 0) line_ += '-';
  append_number(line_, std::abs(thousandths) / 1000);
  std::array<char, 4> fraction{'.'};
  put_decimal(&fraction[1], static_cast<unsigned>(std::abs(thousandths) % 1000), 3);
  line_.append(fraction.data(), fraction.size());
  return *this;
}

LogLine& LogLine::boolean(std::string_view name, bool value) {
  this->name(name);
  line_ += value ? "true" : "false";
  return *this;
}

std::string_view LogLine::end() {
  line_ += "}\n";
  return line_;
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
