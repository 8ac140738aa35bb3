#include "observe/trace_context.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "base/secret.hpp"

namespace sallyport::observe {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kTraceId = 3;  // where each part begins in "00-<trace id>-<parent id>-<flags>"
constexpr std::size_t kParentId = 36;
constexpr std::size_t kFlags = 53;
constexpr std::size_t kTraceparentBytes = 55;

// Eight digits at a time, each in a byte of a word.
void write_hex(char* out, std::uint64_t number) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  for (const std::uint64_t half : {number >> 32, number & 0xFFFF'FFFF}) {
    std::uint64_t word = (half | half << 16) & 0x0000'FFFF'0000'FFFF;
    word = (word | word << 8) & 0x00FF'00FF'00FF'00FF;
    word = (word | word << 4) & 0x0F0F'0F0F'0F0F'0F0F;
    const std::uint64_t is_letter = (word + 6 * kOnes) >> 4 & kOnes;
    word += '0' * kOnes + is_letter * ('a' - '0' - 10);
    if constexpr (std::endian::native == std::endian::little) word = __builtin_bswap64(word);
    std::memcpy(out, &word, sizeof word);
    out += sizeof word;
  }
}

bool is_hex(std::string_view text) noexcept {
  // Lower case only (W3C Trace Context §3.2.2.3).
  return std::ranges::all_of(text, [](char c) { return kDigits.find(c) != std::string_view::npos; });
}

bool is_id(std::string_view text) noexcept { return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos; }

bool is_traceparent(std::string_view text) noexcept {
  return text.size() == kTraceparentBytes && text.starts_with("00-") && is_id(text.substr(kTraceId, 32)) && text[kParentId - 1] == '-' &&
         is_id(text.substr(kParentId, 16)) && text[kFlags - 1] == '-' && is_hex(text.substr(kFlags, 2));
}

}  // namespace

IdGenerator::IdGenerator() {
  fill_random({reinterpret_cast<unsigned char*>(state_.data()), sizeof(state_)});
  state_[0] |= 1;  // the one state that xoshiro never leaves is all zeros
}

// xoshiro256** (Blackman and Vigna).
std::uint64_t IdGenerator::next() noexcept {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

TraceContext::TraceContext(std::string_view incoming, IdGenerator& ids) : continued_(is_traceparent(incoming)) {
  if (continued_) {
    std::ranges::copy(incoming, text_.begin());
  } else {
    std::ranges::copy(std::string_view("00-"), text_.begin());
    write_hex(&text_[kTraceId], ids.next() | 1);  // never all zero
    write_hex(&text_[kTraceId + 16], ids.next());
    text_[kParentId - 1] = text_[kFlags - 1] = '-';
    text_[kFlags] = '0';
    text_[kFlags + 1] = '1';  // sampled
  }
  write_hex(&text_[kParentId], ids.next() | 1);
}

RequestId::RequestId(IdGenerator& ids, std::string_view given) : given_(given) {
  write_hex(text_.data(), ids.next());
  write_hex(text_.data() + 16, ids.next());
}

}  // namespace sallyport::observe
