// What a token or a session says of its subject, as a JSON object.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/json.hpp"

namespace sallyport::identity {

// Read already, or kept as text that was checked and is read when somebody first asks: most routes ask for no claim of a session.
// Immutable to see; of one thread.
class Claims {
 public:
  Claims() = default;
  explicit Claims(Json object) : json_(std::move(object)) {}
  // `text`: an object that Json::parse() accepts, of so many values as JsonLimits counts them.
  Claims(std::string text, std::size_t values)
      : text_(std::move(text)), bytes_once_read_(values * (sizeof(JsonMember) + kStringEnd) + text_.size()) {}

  // All of them. Valid while *this lives.
  [[nodiscard]] const Json& json() const {
    if (!text_.empty()) read();
    return json_;
  }
  // What it holds outside itself, at most; the same before and after it was read.
  [[nodiscard]] std::size_t bytes() const noexcept;
  // Asks for the memory of what is about to be destroyed.
  void prefetch_pieces() const noexcept;

 private:
  static constexpr std::size_t kStringEnd = 1;
  void read() const;

  mutable Json json_;
  mutable std::string text_;         // empty: it was read
  std::size_t bytes_once_read_ = 0;  // at most: a member is the largest of values, and strings are no longer than what is written
};

}  // namespace sallyport::identity
