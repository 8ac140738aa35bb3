// A keyed hash of short texts for tables in memory.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/secret.hpp"

namespace sallyport {

// Keyed at random and fast, not cryptographic: what collides costs a comparison of two texts and nothing else. Without the key nobody can
// aim.
class KeyedHash {
 public:
  KeyedHash() : key_{random_u64(), random_u64(), random_u64(), random_u64()} {}

  [[nodiscard]] std::uint64_t operator()(std::string_view text) const noexcept {
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t a = key_[0];
    std::uint64_t b = key_[1];
    for (; left > 32; at += 32, left -= 32) {  // two chains, so that the multiplications overlap
      a = fold(word(at) ^ key_[2], word(at + 8) ^ a);
      b = fold(word(at + 16) ^ key_[3], word(at + 24) ^ b);
    }
    std::array<char, 32> tail{};
    if (left != 0) std::memcpy(tail.data(), at, left);
    a = fold(word(tail.data()) ^ key_[2], word(tail.data() + 8) ^ a);
    b = fold(word(tail.data() + 16) ^ key_[3], word(tail.data() + 24) ^ b);
    return fold(a ^ text.size() ^ key_[1], b ^ key_[0]);
  }

  // Of what is itself a hash, which whoever chooses the text may have chosen in part: a few instructions.
  [[nodiscard]] std::uint64_t operator()(const Sha256& digest) const noexcept {
    const auto* const at = reinterpret_cast<const char*>(digest.data());
    return fold(word(at) ^ key_[0], word(at + 8) ^ key_[1]);
  }

 private:
  // The word at `at`, in the order of this machine: the hash never leaves the process.
  static std::uint64_t word(const char* at) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }

  // Both halves of the 128-bit product, folded: one multiplication spreads each bit of either factor over the whole word.
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::array<std::uint64_t, 4> key_;
};

}  // namespace sallyport
