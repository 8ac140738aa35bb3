#include "authenticate/claims.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace sallyport::authenticate {
namespace {

// Of an array: every element, or none when one of them is no string.
std::vector<std::string> strings_of(const JsonArray& array, bool& unreadable) {
  std::vector<std::string> out;
  out.reserve(array.size());
  for (const Json& value : array) {
    if (value.string() == nullptr) {
      unreadable = true;
      return {};
    }
    out.push_back(*value.string());
  }
  return out;
}

}  // namespace

std::vector<std::string> read_roles(const Json* claim, bool& unreadable) {
  if (claim == nullptr || claim->is_null()) return {};
  if (const JsonArray* array = claim->array()) return strings_of(*array, unreadable);
  const std::string* one = claim->string();
  unreadable = one == nullptr;
  return one == nullptr || one->empty() ? std::vector<std::string>{} : std::vector<std::string>{*one};
}

// Another separator than a single space is part of a scope; an empty piece is none.
std::vector<std::string> read_scopes(const Json* claim, bool& unreadable) {
  if (claim == nullptr || claim->is_null()) return {};
  if (const JsonArray* array = claim->array()) return strings_of(*array, unreadable);
  std::vector<std::string> out;
  const std::string* const scopes = claim->string();
  unreadable = scopes == nullptr;
  if (unreadable) return out;
  constexpr std::size_t kUsual = 4;
  out.reserve(std::min(kUsual, 1 + static_cast<std::size_t>(std::ranges::count(*scopes, ' '))));
  each_piece(*scopes, ' ', [&](std::string_view piece) {
    if (!piece.empty()) out.emplace_back(piece);
  });
  return out;
}

std::optional<WallTime> read_authentication_time(const Json* claim, Instant latest) {
  const std::optional<Instant> date = claim == nullptr ? std::nullopt : numeric_date(*claim, Rounding::down);
  if (!date || *date > latest) return std::nullopt;
  return wall_time_of(*date);
}

}  // namespace sallyport::authenticate
