#include "store/records.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "base/text.hpp"

namespace sallyport::store {
namespace {

constexpr std::array<std::pair<Revocation::Kind, std::string_view>, 5> kKinds{{
    {Revocation::Kind::everything, "everything"},
    {Revocation::Kind::subject, "subject"},
    {Revocation::Kind::session, "session"},
    {Revocation::Kind::token_id, "token_id"},
    {Revocation::Kind::family, "family"},
}};

}  // namespace

Result<SessionClaims> SessionClaims::parse(std::string text, const JsonLimits& limits) {
  static constexpr std::array<std::string_view, 5> kNames{"roles", "scope", "auth_time", "sub", "iss"};  // first the Members
  static_assert(kNames.size() == std::tuple_size_v<decltype(read_)>);
  Result<SessionClaims> claims(boost::system::in_place_value);
  const Result<Json::Members> members = Json::parse_members(text, kNames, claims->read_, limits);
  if (!members) {
    claims = members.error();
    return claims;
  }
  claims->values_ = members->values;
  claims->names_owner_ = members->present >> (Member::auth_time + 1) != 0;
  claims->text_ = std::move(text);
  return claims;
}

std::string handle_of(const Digest& digest) {
  const auto digits = handle_digits(digest);
  return {digits.data(), digits.size()};
}

std::array<char, 2 * sizeof(Digest)> handle_digits(const Digest& digest) {
  std::array<char, 2 * sizeof(Digest)> digits;
  hex_encode({reinterpret_cast<const char*>(digest.data()), digest.size()}, digits.data());
  return digits;
}

std::optional<Digest> digest_of_handle(std::string_view handle) {
  Digest digest{};
  if (handle.size() != digest.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < handle.size(); ++i) {
    const char c = handle[i];
    if (c >= 'A' && c <= 'F') return std::nullopt;  // one spelling, so that handles compare as text
    const auto value = hex_digit(c);
    if (!value) return std::nullopt;
    digest[i / 2] = static_cast<unsigned char>((digest[i / 2] << 4) | *value);
  }
  return digest;
}

std::string_view name(Revocation::Kind kind) noexcept {
  for (const auto& [known, text] : kKinds) {
    if (known == kind) return text;
  }
  return "";  // no value of the enum comes here: a test walks through all
}

std::optional<Revocation::Kind> parse_revocation_kind(std::string_view text) noexcept {
  for (const auto& [kind, known] : kKinds) {
    if (known == text) return kind;
  }
  return std::nullopt;
}

}  // namespace sallyport::store
