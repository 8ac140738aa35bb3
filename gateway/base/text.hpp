// Small strict text functions that several folders share. All are pure; none allocates unless it returns a string.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport {

// ASCII only: bytes 0x80-0xFF are left as they are.
[[nodiscard]] constexpr char ascii_lower(char c) noexcept { return (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c; }
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
[[nodiscard]] std::string to_lower(std::string_view text);

// RFC 9110 §5.6.2: one or more tchar. By table: every byte of every field's name is asked about.
inline constexpr auto kTokenBytes = [] {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'*+-.^_`|~")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}();
[[nodiscard]] constexpr bool is_tchar(unsigned char c) noexcept { return kTokenBytes[c]; }
[[nodiscard]] bool is_token(std::string_view text) noexcept;

// RFC 9110 §5.6.3: without leading and trailing SP and HTAB.
[[nodiscard]] std::string_view trim_ows(std::string_view text) noexcept;

// RFC 4648 §5 without padding, strictly: no '=', no '+' or '/', no white space, no length of 4n+1, unused trailing bits zero.
// nullopt otherwise. The empty text is the empty string.
[[nodiscard]] std::optional<std::string> base64url_decode(std::string_view text);
// Decodes into `out`, whose old contents are gone; false leaves it unspecified. The same rules.
[[nodiscard]] bool base64url_decode(std::string_view text, std::string& out);
[[nodiscard]] std::string base64url_encode(std::string_view bytes);

// RFC 4648 §4 with padding (PEM-like bodies, Basic credentials), strictly.
[[nodiscard]] std::string base64_encode(std::string_view bytes);

// Lower case.
[[nodiscard]] std::string hex_encode(std::string_view bytes);
// The same into `out`, which has two places for each byte; of a number: 16 digits.
void hex_encode(std::string_view bytes, char* out) noexcept;
void hex_encode(std::uint64_t number, char* out) noexcept;
[[nodiscard]] std::optional<int> hex_digit(char c) noexcept;

// Digits only, no sign, no space, no overflow; nullopt otherwise.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept;

// Whether `text` is well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

// Calls `visit` with each piece between `separator`s, the empty ones, too.
template <class Visit>
void each_piece(std::string_view text, char separator, Visit visit) {
  for (std::size_t end = text.find(separator); end != std::string_view::npos; end = text.find(separator)) {
    visit(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  visit(text);
}
// The same pieces; views into `text`.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace sallyport
