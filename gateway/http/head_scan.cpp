#include "http/head_scan.hpp"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace sallyport::http {

namespace {

constexpr bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; }

// Whether any byte of the word is below 0x20.
constexpr bool has_control(std::uint64_t word) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kTops = 0x8080808080808080;
  return ((word - kOnes * 0x20) & ~word & kTops) != 0;
}

// Where the next control byte can be: everything before it is none. Many bytes at a time, because this runs over every byte of every head.
std::size_t skip_blocks(std::string_view bytes, std::size_t at) noexcept {
#ifdef __SSE2__
  constexpr std::size_t kBlock = sizeof(__m128i);
  const __m128i last_control = _mm_set1_epi8(0x1F);
  const __m128i tab = _mm_set1_epi8('\t');
  for (; at + kBlock <= bytes.size(); at += kBlock) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data() + at));
    const __m128i is_low = _mm_cmpeq_epi8(_mm_min_epu8(block, last_control), block);
    const int found = _mm_movemask_epi8(_mm_andnot_si128(_mm_cmpeq_epi8(block, tab), is_low));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(found)));
  }
#endif
  for (std::uint64_t word = 0; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if (has_control(word)) break;
  }
  return at;
}

// The first control byte but HTAB at or behind `at`; the size when there is none.
std::size_t next_control(std::string_view bytes, std::size_t at) noexcept {
  for (;;) {
    at = skip_blocks(bytes, at);
    const std::size_t end = std::min(at + sizeof(std::uint64_t), bytes.size());
    for (; at < end; ++at) {
      if (is_control(bytes[at])) return at;
    }
    if (at == bytes.size()) return at;
  }
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
