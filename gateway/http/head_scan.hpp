// The end of a head, found in the raw bytes before any parser sees them (DESIGN §5; hazards §0.1 Gap12, K08, K09).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport::http {

enum class LeadingEmptyLine : std::uint8_t { skip_one, refuse };  // RFC 9112 §2.2: one CRLF before a request line is ignored

struct HeadScan {
  enum class State : std::uint8_t { incomplete, complete, refused } state;
  // incomplete: where to go on; complete: the bytes of the head, its empty line included; refused: the byte that is wrong.
  // Everything before it has only CRLF line ends, no fold, and no control byte but HTAB and DEL (which the grammar refuses).
  std::size_t position;
  std::string_view detail;  // of refused; static text
};

// Goes on at `from`, which is 0 or the position of an earlier incomplete scan of the same bytes.
[[nodiscard]] HeadScan scan_head(std::string_view bytes, std::size_t from, LeadingEmptyLine leading) noexcept;

}  // namespace sallyport::http
