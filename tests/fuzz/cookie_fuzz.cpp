// CookieReader: what it hands out is a token and cookie octets, in order, from the field itself (hazards F).
#include "http/cookie.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "fuzz/require.hpp"

using sallyport::require;
using sallyport::http::CookiePair;
using sallyport::http::CookieReader;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view field(reinterpret_cast<const char*>(data), size);
  CookieReader reader(field);
  CookiePair pair;
  const char* last = field.data();
  std::size_t pairs = 0;
  while (reader.next(pair)) {
    ++pairs;
    require(pair.text.data() >= last, "pairs come in order");
    require(pair.text.data() + pair.text.size() <= field.data() + field.size(), "a pair lies in the field");
    last = pair.text.data() + pair.text.size();
    require(sallyport::is_token(pair.name), "a name is a token");
    require(pair.text.size() == pair.name.size() + 1 + pair.value.size(), "the text is name=value");
    require(pair.text.starts_with(pair.name) && pair.text.ends_with(pair.value), "and in that order");
    for (const char c : pair.value) {
      const auto byte = static_cast<unsigned char>(c);
      require(byte > 0x20 && byte < 0x7F && c != ',' && c != ';' && c != '\\', "a value holds cookie octets and outer quotes");
    }
    const std::size_t quote = pair.value.find('"');
    require(quote == std::string_view::npos || (quote == 0 && pair.value.find('"', 1) == pair.value.size() - 1),
            "quotes stand outside only");
  }
  require(!reader.next(pair), "the end is the end");
  require(pairs + reader.malformed() <= size + 1, "each piece is counted once");
  return 0;
}
