// Strict JSON: what is read can be written and read again as the same value; writing is stable; caps hold.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "base/text.hpp"

namespace {

using sallyport::Json;
using sallyport::JsonArray;
using sallyport::JsonLimits;
using sallyport::JsonMember;
using sallyport::JsonObject;

void require(bool holds) {
  if (!holds) std::abort();
}

struct Extent {
  std::size_t depth = 0;
  std::size_t values = 0;
};

void measure(const Json& value, std::size_t depth, Extent& extent) {
  ++extent.values;
  if (const std::string* text = value.string()) require(sallyport::is_utf8(*text));
  if (const JsonArray* array = value.array()) {
    extent.depth = std::max(extent.depth, depth + 1);
    for (const Json& element : *array) measure(element, depth + 1, extent);
  }
  if (const JsonObject* object = value.object()) {
    extent.depth = std::max(extent.depth, depth + 1);
    for (const JsonMember& member : *object) {
      ++extent.values;
      require(sallyport::is_utf8(member.first));
      require(value.find(member.first) == &member.second);  // the only one of its name
      measure(member.second, depth + 1, extent);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JsonLimits limits;
  limits.bytes_max = 16 * 1024;
  limits.depth_max = 16;
  limits.values_max = 500;

  const auto first = Json::parse(text, limits);
  if (!first) return 0;
  require(size <= limits.bytes_max);
  require(!text.starts_with("\xEF\xBB\xBF"));
  Extent extent;
  measure(*first, 0, extent);
  require(extent.depth <= limits.depth_max && extent.values <= limits.values_max);

  JsonLimits room = limits;
  room.bytes_max = 1 << 20;  // escapes may make it longer than it was
  const std::string written = first->dump();
  const auto second = Json::parse(written, room);
  require(second.has_value());
  require(*first == *second && *second == *first);
  require(second->dump() == written);

  // Read as a pointer, the text gives itself back and finds something in the document or nothing.
  if (const auto pointer = sallyport::JsonPointer::parse(text)) {
    require(sallyport::JsonPointer::parse(pointer->text()).has_value());
    (void)pointer->find(*first);
  }
  return 0;
}
