#include "http/head_scan.hpp"

#include <cstring>

namespace sallyport::http {

namespace {

constexpr bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; }

// The first control byte but HTAB at or behind `at`; the size when there is none. Eight bytes at a time: this runs over every
// byte of every head.
std::size_t next_control(std::string_view bytes, std::size_t at) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kTops = 0x8080808080808080;
  while (at < bytes.size()) {
    if (at + sizeof(std::uint64_t) <= bytes.size()) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + at, sizeof word);
      if (((word - kOnes * 0x20) & ~word & kTops) == 0) {  // no byte below 0x20
        at += sizeof word;
        continue;
      }
    }
    const std::size_t end = at + sizeof(std::uint64_t) < bytes.size() ? at + sizeof(std::uint64_t) : bytes.size();
    for (; at < end; ++at) {
      if (is_control(bytes[at])) return at;
    }
  }
  return bytes.size();
}

HeadScan refused(std::size_t position, std::string_view detail) noexcept { return {HeadScan::State::refused, position, detail}; }

}  // namespace

HeadScan scan_head(std::string_view bytes, std::size_t from, LeadingEmptyLine leading) noexcept {
  std::size_t at = from;
  while (true) {
    // Behind a scanned position every LF is that of a CRLF, so a line begins where an LF stands before.
    const bool line_begins = at == 0 || bytes[at - 1] == '\n';
    if (line_begins && at < bytes.size() && (bytes[at] == ' ' || bytes[at] == '\t')) {
      return refused(at, "a line begins with white space");
    }
    const std::size_t line_start = line_begins ? at : bytes.size();
    at = next_control(bytes, at);
    if (at == bytes.size()) return {HeadScan::State::incomplete, at, {}};
    if (bytes[at] == '\n') return refused(at, "a line feed without carriage return");
    if (bytes[at] != '\r') return refused(at, "a control byte");
    if (at + 1 == bytes.size()) return {HeadScan::State::incomplete, at, {}};
    if (bytes[at + 1] != '\n') return refused(at, "a carriage return without line feed");
    if (at == line_start) {
      const bool first_line = at == 0;
      if (!first_line && at != 2) return {HeadScan::State::complete, at + 2, {}};
      if (at == 2 || leading == LeadingEmptyLine::refuse) return refused(at, "an empty line before the first line");
    }
    at += 2;
  }
}

}  // namespace sallyport::http
