// IP addresses and networks of them, as configuration and proxies write them.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sallyport {

// An IPv4 or IPv6 address without a zone. IPv4-mapped IPv6 addresses are IPv4 ones.
class IpAddress {
 public:
  static constexpr std::size_t kTextBytesMax = 46;  // with the end that inet_ntop writes

  // As inet_pton reads it: no leading zeros, no short forms, no zone, no brackets. nullopt for anything else.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text) noexcept;
  [[nodiscard]] static IpAddress from_v4(std::span<const unsigned char, 4> bytes) noexcept;
  [[nodiscard]] static IpAddress from_v6(std::span<const unsigned char, 16> bytes) noexcept;

  [[nodiscard]] bool is_v4() const noexcept { return is_v4_; }
  [[nodiscard]] bool was_mapped() const noexcept { return was_mapped_; }
  // IPv4 in the first four; the rest is zero then.
  [[nodiscard]] const std::array<unsigned char, 16>& bytes() const noexcept { return bytes_; }
  // The one spelling of RFC 5952, in `into`.
  [[nodiscard]] std::string_view write(std::span<char, kTextBytesMax> into) const noexcept;
  [[nodiscard]] std::string text() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) noexcept { return a.is_v4_ == b.is_v4_ && a.bytes_ == b.bytes_; }

 private:
  IpAddress() = default;
  std::array<unsigned char, 16> bytes_{};
  bool is_v4_ = false;
  bool was_mapped_ = false;
};

// An IPv4 or IPv6 network. IPv4-mapped IPv6 addresses count as IPv4.
class Network {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or one address. Fault::malformed; host bits that are set are malformed.
  [[nodiscard]] static Result<Network> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
  [[nodiscard]] bool contains(std::string_view address) const noexcept;  // false for what is no address
  [[nodiscard]] bool is_everything() const noexcept { return prefix_ == 0; }
  [[nodiscard]] static bool is_address(std::string_view text) noexcept { return IpAddress::parse(text).has_value(); }
  friend bool operator==(const Network&, const Network&) = default;

 private:
  std::array<unsigned char, 16> bytes_{};
  unsigned prefix_ = 0;
  bool is_v4_ = false;
};

// Whether one of them holds it; no network holds nothing.
[[nodiscard]] bool contains(const std::vector<Network>& networks, const IpAddress& address) noexcept;

}  // namespace sallyport
