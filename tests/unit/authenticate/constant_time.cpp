#include "unit/authenticate/constant_time.hpp"

#include <openssl/crypto.h>

namespace sallyport::testing {
namespace {
thread_local ConstantTimeComparisons comparisons;  // tests verify on several threads
}

ConstantTimeComparisons constant_time_comparisons() noexcept { return comparisons; }

}  // namespace sallyport::testing

// Takes the place of OpenSSL's own in this executable.
extern "C" int CRYPTO_memcmp(const void* a, const void* b, std::size_t length) {
  ++sallyport::testing::comparisons.count;
  sallyport::testing::comparisons.last_length = length;
  const auto* left = static_cast<const volatile unsigned char*>(a);
  const auto* right = static_cast<const volatile unsigned char*>(b);
  unsigned char difference = 0;
  for (std::size_t i = 0; i < length; ++i) difference = static_cast<unsigned char>(difference | (left[i] ^ right[i]));
  return difference;
}
