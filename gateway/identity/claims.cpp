#include "identity/claims.hpp"

#include <algorithm>

#include "base/prefetch.hpp"

namespace sallyport::identity {
namespace {

// What a value holds outside itself.
std::size_t bytes_behind(const Json& value) noexcept {
  std::size_t total = 0;
  if (const std::string* text = value.string()) return text->capacity();
  if (const JsonArray* array = value.array()) {
    total = array->capacity() * sizeof(Json);
    for (const Json& element : *array) total += bytes_behind(element);
  } else if (const JsonObject* object = value.object()) {
    total = object->capacity() * sizeof(JsonMember);
    for (const JsonMember& member : *object) total += member.first.capacity() + bytes_behind(member.second);
  }
  return total;
}

}  // namespace

void Claims::read() const {
  json_ = Json::parse_again(text_);
  std::string().swap(text_);  // an assignment would keep its room
}

std::size_t Claims::bytes() const noexcept {
  return bytes_once_read_ == 0 ? bytes_behind(json_) : std::max(bytes_once_read_, text_.capacity());
}

void Claims::prefetch_pieces() const noexcept {
  prefetch(text_.data());
  if (const JsonObject* members = json_.object()) {
    for (const JsonMember& member : *members) prefetch(&member);
  }
}

}  // namespace sallyport::identity
