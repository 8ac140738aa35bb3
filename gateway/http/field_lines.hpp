// The field lines of a head, taken apart (RFC 9112 §5). Sans-IO. Why it is our own: docs/adr/0009-field-lines.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/head.hpp"

namespace sallyport::http {

enum class FieldLines : std::uint8_t {
  good,
  malformed,  // a name that is no token, white space before the colon, no colon, a DEL
  too_many,   // more than `fields_max`
};

// `lines` is what follows the first line of a head that scan_head found complete, its empty line included: every CR in it is that of a
// CRLF, no line begins with white space, and the only control bytes are HTAB and DEL. Appends views into it to `fields`, in order.
[[nodiscard]] FieldLines read_field_lines(std::string_view lines, std::size_t fields_max, std::vector<Field>& fields);

}  // namespace sallyport::http
