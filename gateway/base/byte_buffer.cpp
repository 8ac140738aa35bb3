#include "base/byte_buffer.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

namespace sallyport {
namespace {

constexpr std::size_t kCapacityMin = 256;

}  // namespace

ByteBuffer::ByteBuffer(ByteBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)) {}

ByteBuffer& ByteBuffer::operator=(ByteBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  if (this != &other) other.release();
  return *this;
}

ByteBuffer::~ByteBuffer() { std::free(data_); }

std::span<char> ByteBuffer::prepare(std::size_t bytes) {
  if (bytes <= capacity_ - end_) return room();
  const std::size_t held = size();
  if (bytes > std::numeric_limits<std::size_t>::max() / 4 - held) throw std::bad_alloc();
  if (held + bytes <= capacity_) {
    std::memmove(data_, data_ + begin_, held);
  } else {
    // malloc, not new[]: the memory need not be zeroed.
    const std::size_t capacity = std::max({held + bytes, capacity_ * 2, kCapacityMin});
    char* data = static_cast<char*>(std::malloc(capacity));
    if (data == nullptr) throw std::bad_alloc();
    if (held != 0) std::memcpy(data, data_ + begin_, held);
    std::free(data_);
    data_ = data;
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
  return room();
}

void ByteBuffer::append_decimal(std::uint64_t number) {
  constexpr std::size_t kDigitsMax = 20;
  if (number < 10) return append(static_cast<char>('0' + number));
  const std::span<char> out = prepare(kDigitsMax);
  commit(static_cast<std::size_t>(std::to_chars(out.data(), out.data() + out.size(), number).ptr - out.data()));
}

void ByteBuffer::append_hex(std::uint64_t number) {
  constexpr std::size_t kDigitsMax = 16;
  const std::span<char> out = prepare(kDigitsMax);
  commit(static_cast<std::size_t>(std::to_chars(out.data(), out.data() + out.size(), number, 16).ptr - out.data()));
}

void ByteBuffer::release() noexcept {
  std::free(data_);
  data_ = nullptr;
  capacity_ = begin_ = end_ = 0;
}

}  // namespace sallyport
