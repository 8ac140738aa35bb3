// Asks for memory ahead of its use: a hint that changes nothing but when it is there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sallyport {

// The whole of *object, which may be anywhere; nullptr is no harm.
template <class T>
inline void prefetch(const T* object) noexcept {
  constexpr std::size_t kLineBytes = 64;
  const auto begin = reinterpret_cast<std::uintptr_t>(object);
  for (std::size_t at = 0; at < sizeof(T); at += kLineBytes) __builtin_prefetch(reinterpret_cast<const void*>(begin + at));
}

}  // namespace sallyport
