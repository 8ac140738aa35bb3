// Strict base64url (RFC 4648 §5): what decodes has one spelling only, and every byte string has one.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_alphabet(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

// The rules again, without tables.
bool is_strict(std::string_view text) {
  if (text.size() % 4 == 1) return false;
  for (const char c : text) {
    if (!is_alphabet(c)) return false;
  }
  if (text.size() % 4 == 2) return std::string_view("AQgw").find(text.back()) != std::string_view::npos;
  if (text.size() % 4 == 3) return std::string_view("AEIMQUYcgkosw048").find(text.back()) != std::string_view::npos;
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);

  const std::string encoded = sallyport::base64url_encode(input);
  require(is_strict(encoded));
  require(sallyport::base64url_decode(encoded) == input);

  const std::optional<std::string> decoded = sallyport::base64url_decode(input);
  require(decoded.has_value() == is_strict(input));
  if (decoded) require(sallyport::base64url_encode(*decoded) == input);

  std::string reused = "left over";
  require(sallyport::base64url_decode(input, reused) == decoded.has_value());
  if (decoded) require(reused == *decoded);
  return 0;
}
