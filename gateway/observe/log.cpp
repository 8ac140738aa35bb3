#include "observe/log.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/json.hpp"
#include "base/text.hpp"

namespace sallyport::observe {
namespace {

template <int kDigits>
char* write_digits(char* to, unsigned number) noexcept {
  for (int i = kDigits; i-- > 0; number /= 10) to[i] = static_cast<char>('0' + number % 10);
  return to + kDigits;
}

char* write_text(char* to, std::string_view text) noexcept {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

constexpr std::size_t kIntegerBytesMax = 20;

char* write_integer(char* to, std::int64_t number) noexcept { return std::to_chars(to, to + kIntegerBytesMax, number).ptr; }

// Sixteen bytes at a time, because a line is written for every request and nearly every value needs no escape.
using Block [[gnu::vector_size(16)]] = signed char;

// Copies a block. Not zero where a byte needs a look: all but printable ASCII without '"' and '\\'. Bytes from 0x80 up are negative.
Block copy_block(const char* from, char* to) noexcept {
  Block block;
  std::memcpy(&block, from, sizeof block);
  std::memcpy(to, &block, sizeof block);
  return (block < 0x20) | (block == '"') | (block == '\\') | (block == 0x7F);
}

// Copies `text`, and whatever it likes behind it up to the end of a block. False when some of it needs a look.
bool copy_plain(std::string_view text, char* to) noexcept {
  std::array<char, sizeof(Block)> padded;
  if (text.size() < padded.size()) {
    padded.fill(' ');
    if (!text.empty()) std::memcpy(padded.data(), text.data(), text.size());
    text = {padded.data(), padded.size()};
  }
  const std::size_t last = text.size() - sizeof(Block);  // this one overlaps the one before
  Block special = copy_block(text.data() + last, to + last);
  for (std::size_t at = 0; at < last; at += sizeof(Block)) special |= copy_block(text.data() + at, to + at);
  std::array<std::uint64_t, 2> found{};
  std::memcpy(found.data(), &special, sizeof special);
  return (found[0] | found[1]) == 0;
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

void LogLine::grow(std::size_t bytes) { buffer_.resize(std::max(used_ + bytes, 2 * buffer_.size())); }

void LogLine::stamp(std::chrono::sys_seconds second) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  char* to = write_text(stamp_.data(), "{\"ts\":\"");
  to = write_digits<4>(to, static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999)));
  *to++ = '-';
  to = write_digits<2>(to, static_cast<unsigned>(date.month()));
  *to++ = '-';
  to = write_digits<2>(to, static_cast<unsigned>(date.day()));
  *to++ = 'T';
  to = write_digits<2>(to, static_cast<unsigned>(time.hours().count()));
  *to++ = ':';
  to = write_digits<2>(to, static_cast<unsigned>(time.minutes().count()));
  *to++ = ':';
  to = write_digits<2>(to, static_cast<unsigned>(time.seconds().count()));
  *to = '.';
  stamped_ = second;
}

LogLine& LogLine::begin(WallTime now, Level level, std::string_view event) {
  constexpr std::string_view kBeforeLevel = "Z\",\"level\":\"";
  constexpr int kFractionDigits = 6;
  constexpr std::size_t kLevelBytesMax = 8;
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second != stamped_) stamp(second);
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now - second);
  used_ = 0;
  char* to = room(stamp_.size() + kFractionDigits + kBeforeLevel.size() + kLevelBytesMax + 1);
  to = write_text(to, {stamp_.data(), stamp_.size()});
  to = write_digits<kFractionDigits>(to, static_cast<unsigned>(microseconds.count()));
  to = write_text(to, kBeforeLevel);
  to = write_text(to, name(level));
  *to++ = '"';
  end_at(to);
  return text("event", event);
}

LogLine& LogLine::text(const MemberName& name, std::string_view value) {
  char* const to = name.write_before_string(room(MemberName::kRoom + value.size() + sizeof(Block)));
  if (!copy_plain(value, to)) [[unlikely]] {
    escaped_text(name, value);
    return *this;
  }
  to[value.size()] = '"';
  end_at(to + value.size() + 1);
  return *this;
}

// By itself, so that what it needs is no part of text().
[[gnu::noinline]] void LogLine::escaped_text(const MemberName& name, std::string_view value) {
  std::string escaped;
  append_json_string(escaped, sanitized(value));
  char* const to = name.write(room(MemberName::kRoom + escaped.size()));
  end_at(write_text(to, escaped));
}

LogLine& LogLine::number(const MemberName& name, std::int64_t value) {
  char* const to = name.write(room(MemberName::kRoom + kIntegerBytesMax));
  end_at(write_integer(to, value));
  return *this;
}

LogLine& LogLine::milliseconds(const MemberName& name, std::chrono::microseconds value) {
  constexpr std::int64_t kThousand = 1000;
  char* to = name.write(room(MemberName::kRoom + kIntegerBytesMax + 2));
  if (value.count() < 0) *to++ = '-';
  to = write_integer(to, std::abs(value.count() / kThousand));
  *to++ = '.';
  end_at(write_digits<3>(to, static_cast<unsigned>(std::abs(value.count() % kThousand))));
  return *this;
}

LogLine& LogLine::boolean(const MemberName& name, bool value) {
  char* const to = name.write(room(MemberName::kRoom + 5));
  end_at(write_text(to, value ? "true" : "false"));
  return *this;
}

std::string_view LogLine::end() {
  end_at(write_text(room(2), "}\n"));
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
