// Every small way to damage a run of bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sallyport::testing {

// visit(mutant, bit) for each bit of `bytes`, flipped alone.
template <class Visit>
void for_each_flipped_bit(std::string_view bytes, Visit visit) {
  std::string mutant(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<char>(1U << (bit % 8));
    mutant[bit / 8] = static_cast<char>(mutant[bit / 8] ^ mask);
    visit(std::string_view(mutant), bit);
    mutant[bit / 8] = static_cast<char>(mutant[bit / 8] ^ mask);
  }
}

// visit(prefix) for each proper prefix of `bytes`, the empty one included.
template <class Visit>
void for_each_cut(std::string_view bytes, Visit visit) {
  for (std::size_t length = 0; length < bytes.size(); ++length) visit(bytes.substr(0, length));
}

}  // namespace sallyport::testing
