#include "observe/trace_context.hpp"

#include <algorithm>
#include <bit>
#include <span>

#include "base/secret.hpp"
#include "base/text.hpp"

namespace sallyport::observe {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kTraceId = 3;  // where each part begins in "00-<trace id>-<parent id>-<flags>"
constexpr std::size_t kParentId = 36;
constexpr std::size_t kFlags = 53;
constexpr std::size_t kTraceparentBytes = 55;

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
    hex_encode(ids.next() | 1, &text_[kTraceId]);  // never all zero
    hex_encode(ids.next(), &text_[kTraceId + 16]);
    text_[kParentId - 1] = text_[kFlags - 1] = '-';
    text_[kFlags] = '0';
    text_[kFlags + 1] = '1';  // sampled
  }
  hex_encode(ids.next() | 1, &text_[kParentId]);
}

RequestId::RequestId(IdGenerator& ids, std::string_view given) : given_(given) {
  hex_encode(ids.next(), text_.data());
  hex_encode(ids.next(), text_.data() + 16);
}

}  // namespace sallyport::observe
