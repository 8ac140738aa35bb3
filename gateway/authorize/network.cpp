#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "authorize/policy.hpp"
#include "base/text.hpp"

namespace sallyport::authorize {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;
constexpr std::size_t kMappedPrefixBytes = 12;
constexpr std::array<unsigned char, kMappedPrefixBytes> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Address {
  std::array<unsigned char, 16> bytes{};  // IPv4 in the first four
  bool is_v4 = false;
  bool was_mapped = false;
};

// inet_pton is strict: no leading zeros, no short forms, no zone.
std::optional<Address> parse_address(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.empty() || text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::ranges::copy(text, terminated.begin());

  Address address;
  if (inet_pton(AF_INET, terminated.data(), address.bytes.data()) == 1) {
    address.is_v4 = true;
    return address;
  }
  if (inet_pton(AF_INET6, terminated.data(), address.bytes.data()) != 1) return std::nullopt;
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin())) {
    std::array<unsigned char, 16> v4{};
    std::copy_n(address.bytes.begin() + kMappedPrefixBytes, 4, v4.begin());
    return Address{.bytes = v4, .is_v4 = true, .was_mapped = true};
  }
  return address;
}

// Whether the first `bits` bits agree.
bool agree(const std::array<unsigned char, 16>& a, const std::array<unsigned char, 16>& b, unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  const unsigned left = bits % 8;
  if (left == 0) return true;
  const unsigned mask = 0xffU << (8 - left) & 0xffU;
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return make_error(Fault::malformed, "not an IP address or network, like 10.0.0.0/8");

  Network network;
  network.bytes_ = address->bytes;
  network.is_v4_ = address->is_v4;
  const unsigned bits_max = address->is_v4 ? kV4Bits : kV6Bits;
  network.prefix_ = bits_max;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto prefix = parse_decimal(digits);
    const unsigned mapped_bits = address->was_mapped ? kV6Bits - kV4Bits : 0;
    if (!prefix || digits.size() > 3 || (digits.size() > 1 && digits.front() == '0') || *prefix < mapped_bits ||
        *prefix > bits_max + mapped_bits) {
      return make_error(Fault::malformed, "the number of network bits is wrong");
    }
    network.prefix_ = static_cast<unsigned>(*prefix) - mapped_bits;
  }

  const std::array<unsigned char, 16> zeros{};
  std::array<unsigned char, 16> host = network.bytes_;
  for (unsigned bit = 0; bit != network.prefix_; ++bit) host[bit / 8] &= static_cast<unsigned char>(~(0x80U >> bit % 8));
  if (host != zeros) return make_error(Fault::malformed, "bits are set behind the network's bits");
  return network;
}

bool Network::is_address(std::string_view text) noexcept { return parse_address(text).has_value(); }

bool Network::contains(std::string_view address) const noexcept {
  const auto parsed = parse_address(address);
  return parsed && parsed->is_v4 == is_v4_ && agree(parsed->bytes, bytes_, prefix_);
}

}  // namespace sallyport::authorize
