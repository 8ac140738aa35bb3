#include "http/cookie.hpp"

#include <array>

#include "base/text.hpp"

namespace sallyport::http {

namespace {

// RFC 6265 §4.1.1.
constexpr bool is_cookie_octet(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7F && c != '"' && c != ',' && c != ';' && c != '\\';
}

constexpr std::array<bool, 256> kCookieOctets = [] {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0; byte < table.size(); ++byte) table[byte] = is_cookie_octet(static_cast<char>(byte));
  return table;
}();

bool is_cookie_value(std::string_view value) noexcept {
  if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
  bool is_good = true;  // of all, without a branch for each: nearly every value is good to its end
  for (const char c : value) is_good &= kCookieOctets[static_cast<unsigned char>(c)];
  return is_good;
}

bool read_pair(std::string_view piece, CookiePair& pair) noexcept {
  const std::size_t equals = piece.find('=');
  if (equals == std::string_view::npos) return false;
  pair = {piece.substr(0, equals), piece.substr(equals + 1), piece};
  return is_token(pair.name) && is_cookie_value(pair.value);
}

}  // namespace

bool CookieReader::next(CookiePair& pair) noexcept {
  while (!rest_.empty()) {
    const std::size_t semicolon = rest_.find(';');
    const std::string_view piece = rest_.substr(0, semicolon);
    rest_.remove_prefix(semicolon == std::string_view::npos ? rest_.size() : semicolon + 1);
    // The one space that the grammar wants. Further white space belongs to the name and makes it none.
    if (rest_.starts_with(' ')) rest_.remove_prefix(1);
    if (read_pair(piece, pair)) return true;
    ++malformed_;
  }
  return false;
}

}  // namespace sallyport::http
