#include "base/text.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#include <simdjson.h>

namespace sallyport {
namespace {

constexpr std::string_view kUrlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// For each of the four places of a group: the byte's six bits, shifted to where they belong in the group's 24.
// A byte outside the alphabet has a bit above those, so that one comparison per group finds it.
constexpr std::uint32_t kNotInAlphabet = 0x8000'0000;

struct DecodeTables {
  std::array<std::array<std::uint32_t, 256>, 4> place{};
};

constexpr DecodeTables make_decode_tables() {
  DecodeTables tables;
  for (auto& place : tables.place) place.fill(kNotInAlphabet);
  for (std::size_t value = 0; value < kUrlAlphabet.size(); ++value) {
    for (std::size_t place = 0; place < 4; ++place) {
      tables.place[place][static_cast<unsigned char>(kUrlAlphabet[value])] = static_cast<std::uint32_t>(value) << (18 - 6 * place);
    }
  }
  return tables;
}

constexpr DecodeTables kDecode = make_decode_tables();

std::uint32_t bits(std::size_t place, char c) noexcept { return kDecode.place[place][static_cast<unsigned char>(c)]; }

enum class Padding : bool { none, equals_signs };

std::string encode(std::string_view bytes, std::string_view alphabet, Padding padding) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  const auto at = [&](std::size_t index) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[index])); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (unsigned shift : {18U, 12U, 6U, 0U}) out.push_back(alphabet[group >> shift & 63U]);
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 0) return out;
  const std::uint32_t group = at(i) << 16 | (rest == 2 ? at(i + 1) << 8 : 0U);
  out.push_back(alphabet[group >> 18 & 63U]);
  out.push_back(alphabet[group >> 12 & 63U]);
  if (rest == 2) out.push_back(alphabet[group >> 6 & 63U]);
  if (padding == Padding::equals_signs) out.append(3 - rest, '=');
  return out;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i])) return false;
  }
  return true;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = ascii_lower(c);
  return out;
}

bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_tchar(static_cast<unsigned char>(c))) return false;
  }
  return !text.empty();
}

std::string_view trim_ows(std::string_view text) noexcept {
  const auto is_ows = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_ows(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_ows(text.back())) text.remove_suffix(1);
  return text;
}

bool base64url_decode(std::string_view text, std::string& out) {
  const std::size_t tail = text.size() % 4;
  if (tail == 1) return false;
  const std::size_t groups = text.size() / 4;
  out.resize(groups * 3 + (tail == 0 ? 0 : tail - 1));
  const char* in = text.data();
  char* to = out.data();
  std::uint32_t seen = 0;  // every group's bits together: the loop needs no branch for bytes outside the alphabet
  for (std::size_t i = 0; i < groups; ++i, in += 4, to += 3) {
    const std::uint32_t group = bits(0, in[0]) | bits(1, in[1]) | bits(2, in[2]) | bits(3, in[3]);
    seen |= group;
    to[0] = static_cast<char>(group >> 16 & 0xFFU);
    to[1] = static_cast<char>(group >> 8 & 0xFFU);
    to[2] = static_cast<char>(group & 0xFFU);
  }
  if (tail != 0) {
    const std::uint32_t group = bits(0, in[0]) | bits(1, in[1]) | (tail == 3 ? bits(2, in[2]) : 0U);
    seen |= group;
    const std::uint32_t unused = tail == 2 ? group & 0xFFFFU : group & 0xFFU;
    if (unused != 0) return false;
    to[0] = static_cast<char>(group >> 16 & 0xFFU);
    if (tail == 3) to[1] = static_cast<char>(group >> 8 & 0xFFU);
  }
  return (seen & kNotInAlphabet) == 0;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  std::string out;
  if (!base64url_decode(text, out)) return std::nullopt;
  return out;
}

std::string base64url_encode(std::string_view bytes) { return encode(bytes, kUrlAlphabet, Padding::none); }

std::string base64_encode(std::string_view bytes) { return encode(bytes, kAlphabet, Padding::equals_signs); }

void hex_encode(std::string_view bytes, char* out) noexcept {
  static constexpr auto kPairs = [] {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> pairs{};
    for (std::size_t byte = 0; byte < pairs.size(); ++byte) pairs[byte] = {kDigits[byte >> 4], kDigits[byte & 15U]};
    return pairs;
  }();
  for (const char c : bytes) {
    const auto& pair = kPairs[static_cast<unsigned char>(c)];
    std::memcpy(out, pair.data(), pair.size());
    out += pair.size();
  }
}

void hex_encode(std::uint64_t number, char* out) noexcept {
  std::array<char, sizeof number> bytes;
  if constexpr (std::endian::native == std::endian::little) number = __builtin_bswap64(number);
  std::memcpy(bytes.data(), &number, sizeof number);
  hex_encode({bytes.data(), bytes.size()}, out);
}

std::string hex_encode(std::string_view bytes) {
  std::string out(bytes.size() * 2, '\0');
  hex_encode(bytes, out.data());
  return out;
}

std::optional<int> hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::optional<std::uint64_t> parse_decimal(std::string_view text) noexcept {
  constexpr std::size_t kNeverTooLarge = 19;  // digits; for those std::from_chars takes four times as long
  std::uint64_t number = 0;
  if (text.empty()) return std::nullopt;
  if (text.size() <= kNeverTooLarge) {
    for (const char c : text) {
      const unsigned digit = static_cast<unsigned char>(c) - unsigned{'0'};
      if (digit > 9) return std::nullopt;
      number = number * 10 + digit;
    }
    return number;
  }
  // It takes no sign for an unsigned type, and no white space for any.
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_utf8(std::string_view text) noexcept { return text.empty() || simdjson::validate_utf8(text.data(), text.size()); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  each_piece(text, separator, [&](std::string_view piece) { pieces.push_back(piece); });
  return pieces;
}

}  // namespace sallyport
