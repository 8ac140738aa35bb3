// The rules on fields that requests and answers share: framing and Connection (RFC 9112 §6, RFC 9110 §7.6.1). Sans-IO.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/head.hpp"

namespace sallyport::http {

// More members than this in all Connection fields of a message are refused (hazards I06).
inline constexpr std::size_t kConnectionMembersMax = 64;

// [0-9]{1,15} without leading zeros; nullopt otherwise.
[[nodiscard]] std::optional<std::uint64_t> parse_content_length(std::string_view value) noexcept;

struct FramingFields {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
};
// At most one Content-Length, at most one Transfer-Encoding equal to `chunked`, that only on 1.1, never both; no name that spells one of the
// two with doubled or outer separators.
// Returns why the fields break that; empty when they do not.
[[nodiscard]] std::string_view read_framing(const std::vector<Field>& fields, Version version, FramingFields& framing) noexcept;

struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;

  // RFC 9112 §9.3.
  [[nodiscard]] bool persistent(Version version) const noexcept { return !close && (version == Version::http_1_1 || keep_alive); }
};
// Reads every Connection field and marks the fields that they name. Returns why a member is refused; empty when none is.
[[nodiscard]] std::string_view read_connection(std::vector<Field>& fields, ConnectionOptions& options) noexcept;

}  // namespace sallyport::http
