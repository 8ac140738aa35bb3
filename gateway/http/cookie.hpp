// The Cookie field (RFC 6265 §4.2.1), read strictly, without copies (hazards F).
#pragma once

#include <string_view>

namespace sallyport::http {

struct CookiePair {
  std::string_view name;
  std::string_view value;  // as it came; quotes are part of the value
  std::string_view text;   // name=value as it stands in the field
};

// Walks the pairs of one Cookie field value. A piece that is no `token=cookie-octets` pair is skipped by next() and
// counted in malformed(): such a piece can never be ours.
class CookieReader {
 public:
  explicit CookieReader(std::string_view field_value) noexcept : rest_(field_value) {}
  // False at the end.
  [[nodiscard]] bool next(CookiePair& pair) noexcept;
  [[nodiscard]] std::size_t malformed() const noexcept { return malformed_; }

 private:
  std::string_view rest_;
  std::size_t malformed_ = 0;
};

}  // namespace sallyport::http
