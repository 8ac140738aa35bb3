#include "listen/proxy_protocol.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace sallyport::listen {
namespace {

using State = ProxyHeader::State;
using namespace std::string_view_literals;

constexpr std::string_view kSignature2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::string_view kSignature1 = "PROXY "sv;
constexpr std::size_t kLine1BytesMax = 107;  // CRLF included
constexpr std::size_t kLine1BytesMin = 15;   // "PROXY UNKNOWN\r\n"
constexpr std::size_t kFixed2Bytes = 16;

constexpr ProxyHeader kMalformed{};

ProxyHeader need(std::size_t size) { return {.state = State::need_more, .size = size}; }
ProxyHeader local(std::size_t size) { return {.state = State::complete, .size = size}; }

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  const std::optional<std::uint64_t> port = parse_decimal(text);
  if (!port || *port > 65'535) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

// The address as its family wants it: an IPv4-mapped one is IPv6 here, and IPv4 for everybody else.
std::optional<IpAddress> parse_of_family(std::string_view text, bool is_v4) {
  const bool looks_v4 = text.find(':') == std::string_view::npos;
  return looks_v4 == is_v4 ? IpAddress::parse(text) : std::nullopt;
}

ProxyHeader parse_line(std::string_view line, std::size_t size) {
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return local(size);
  std::array<std::string_view, 5> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t space = line.find(' ');
    if ((space == std::string_view::npos) != (i + 1 == words.size())) return kMalformed;
    words[i] = line.substr(0, space);
    if (space != std::string_view::npos) line.remove_prefix(space + 1);
  }
  if (words[0] != "TCP4" && words[0] != "TCP6") return kMalformed;
  const bool is_v4 = words[0] == "TCP4";
  const auto source = parse_of_family(words[1], is_v4);
  const auto destination = parse_of_family(words[2], is_v4);
  const auto source_port = parse_port(words[3]);
  const auto destination_port = parse_port(words[4]);
  if (!source || !destination || !source_port || !destination_port) return kMalformed;
  return {.state = State::complete, .size = size, .address = *source, .port = *source_port};
}

ProxyHeader parse_version_1(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, kLine1BytesMax);
  const std::size_t end = start.find("\r\n");
  if (end == std::string_view::npos) {
    // A line feed alone is no end and has no place before it.
    if (bytes.size() >= kLine1BytesMax || start.find('\n') != std::string_view::npos) return kMalformed;
    return need(std::max(kLine1BytesMin, bytes.size() + 1));
  }
  const std::string_view line = start.substr(0, end);
  const bool is_clean = std::ranges::all_of(line, [](char c) { return c >= 0x20 && c <= 0x7e; });
  return is_clean ? parse_line(line.substr(kSignature1.size()), end + 2) : kMalformed;
}

std::size_t big_endian_16(std::string_view bytes, std::size_t at) {
  return static_cast<std::size_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}

bool tlvs_fit(std::string_view tlvs) {
  while (!tlvs.empty()) {
    constexpr std::size_t kHead = 3;  // a type and a length
    if (tlvs.size() < kHead) return false;
    const std::size_t size = kHead + big_endian_16(tlvs, 1);
    if (size > tlvs.size()) return false;
    tlvs.remove_prefix(size);
  }
  return true;
}

std::span<const unsigned char> raw(std::string_view bytes) { return {reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}; }

ProxyHeader parse_version_2(std::string_view bytes) {
  if (bytes.size() < kFixed2Bytes) return need(kFixed2Bytes);
  const auto version_and_command = static_cast<unsigned char>(bytes[12]);
  const auto family_and_protocol = static_cast<unsigned char>(bytes[13]);
  const std::size_t size = kFixed2Bytes + big_endian_16(bytes, 14);
  if (version_and_command >> 4 != 2 || (version_and_command & 0xf) > 1 || size > kProxyHeaderBytesMax) return kMalformed;
  if (bytes.size() < size) return need(size);
  const bool is_local = (version_and_command & 0xf) == 0;
  const std::string_view body = bytes.substr(kFixed2Bytes, size - kFixed2Bytes);
  if (is_local) return local(size);  // §2.2: whatever the family says is ignored
  switch (family_and_protocol) {
    case 0x00: return local(size);
    case 0x11: {
      constexpr std::size_t kAddresses = 12;
      if (body.size() < kAddresses || !tlvs_fit(body.substr(kAddresses))) return kMalformed;
      const IpAddress source = IpAddress::from_v4(raw(body).first<4>());
      return {.state = State::complete, .size = size, .address = source, .port = static_cast<std::uint16_t>(big_endian_16(body, 8))};
    }
    case 0x21: {
      constexpr std::size_t kAddresses = 36;
      if (body.size() < kAddresses || !tlvs_fit(body.substr(kAddresses))) return kMalformed;
      const IpAddress source = IpAddress::from_v6(raw(body).first<16>());
      return {.state = State::complete, .size = size, .address = source, .port = static_cast<std::uint16_t>(big_endian_16(body, 32))};
    }
    case 0x31: {
      constexpr std::size_t kAddresses = 216;
      return body.size() < kAddresses || !tlvs_fit(body.substr(kAddresses)) ? kMalformed : local(size);
    }
    default: return kMalformed;
  }
}

bool begins_alike(std::string_view bytes, std::string_view signature) {
  const std::size_t common = std::min(bytes.size(), signature.size());
  return bytes.substr(0, common) == signature.substr(0, common);
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) noexcept {
  if (bytes.empty()) return need(kLine1BytesMin);
  if (begins_alike(bytes, kSignature2)) return parse_version_2(bytes);
  if (begins_alike(bytes, kSignature1)) return parse_version_1(bytes);
  return kMalformed;
}

}  // namespace sallyport::listen
