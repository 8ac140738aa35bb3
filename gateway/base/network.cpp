#include "base/network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/text.hpp"

namespace sallyport {
namespace {

constexpr unsigned kV4Bits = 32;
constexpr unsigned kV6Bits = 128;
constexpr std::size_t kMappedPrefixBytes = 12;
constexpr std::array<unsigned char, kMappedPrefixBytes> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static_assert(IpAddress::kTextBytesMax == INET6_ADDRSTRLEN);

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

std::optional<IpAddress> IpAddress::parse(std::string_view text) noexcept {
  std::array<char, kTextBytesMax> terminated{};
  if (text.empty() || text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::ranges::copy(text, terminated.begin());
  std::array<unsigned char, 16> bytes{};
  if (inet_pton(AF_INET, terminated.data(), bytes.data()) == 1) return from_v4(std::span(bytes).first<4>());
  if (inet_pton(AF_INET6, terminated.data(), bytes.data()) != 1) return std::nullopt;
  return from_v6(bytes);
}

IpAddress IpAddress::from_v4(std::span<const unsigned char, 4> bytes) noexcept {
  IpAddress address;
  std::ranges::copy(bytes, address.bytes_.begin());
  address.is_v4_ = true;
  return address;
}

IpAddress IpAddress::from_v6(std::span<const unsigned char, 16> bytes) noexcept {
  if (std::ranges::equal(kMappedPrefix, bytes.first<kMappedPrefixBytes>())) {
    IpAddress address = from_v4(bytes.last<4>());
    address.was_mapped_ = true;
    return address;
  }
  IpAddress address;
  std::ranges::copy(bytes, address.bytes_.begin());
  return address;
}

std::string_view IpAddress::write(std::span<char, kTextBytesMax> into) const noexcept {
  const char* text = inet_ntop(is_v4_ ? AF_INET : AF_INET6, bytes_.data(), into.data(), static_cast<socklen_t>(into.size()));
  return text == nullptr ? std::string_view{} : std::string_view(text);
}

std::string IpAddress::text() const {
  std::array<char, kTextBytesMax> buffer{};
  return std::string(write(buffer));
}

Result<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return make_error(Fault::malformed, "not an IP address or network, like 10.0.0.0/8");

  Network network;
  network.bytes_ = address->bytes();
  network.is_v4_ = address->is_v4();
  const unsigned bits_max = address->is_v4() ? kV4Bits : kV6Bits;
  network.prefix_ = bits_max;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto prefix = parse_decimal(digits);
    const unsigned mapped_bits = address->was_mapped() ? kV6Bits - kV4Bits : 0;
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

bool Network::contains(const IpAddress& address) const noexcept {
  return address.is_v4() == is_v4_ && agree(address.bytes(), bytes_, prefix_);
}

bool Network::contains(std::string_view address) const noexcept {
  const auto parsed = IpAddress::parse(address);
  return parsed && contains(*parsed);
}

bool contains(const std::vector<Network>& networks, const IpAddress& address) noexcept {
  return std::ranges::any_of(networks, [&](const Network& network) { return network.contains(address); });
}

}  // namespace sallyport
