// One contiguous, growing run of bytes that is filled at the end and consumed at the front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace sallyport {

// Views into it are valid until the next call that is not const. Grows by doubling; never shrinks by itself:
// release() gives the memory back, for connections that fall idle.
class ByteBuffer {
 public:
  ByteBuffer() = default;
  ByteBuffer(ByteBuffer&& other) noexcept;
  ByteBuffer& operator=(ByteBuffer&& other) noexcept;
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer();

  [[nodiscard]] std::string_view view() const noexcept { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  // At least `bytes` of writable room behind the content; moves the content to the front or grows as needed.
  [[nodiscard]] std::span<char> prepare(std::size_t bytes);
  // The room behind the content as it is, without moving anything: views into the content stay good.
  [[nodiscard]] std::span<char> room() noexcept { return {data_ + end_, capacity_ - end_}; }
  // Makes `bytes` of what prepare() or room() gave part of the content.
  void commit(std::size_t bytes) noexcept { end_ += bytes; }
  // Drops `bytes` from the front.
  void consume(std::size_t bytes) noexcept {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void clear() noexcept { begin_ = end_ = 0; }
  // Cuts the content to its first `bytes`.
  void truncate(std::size_t bytes) noexcept { end_ = begin_ + bytes; }

  // `bytes` must not be a view into *this.
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    if (bytes.size() > capacity_ - end_) (void)prepare(bytes.size());
    std::memcpy(data_ + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
  }
  void append(char byte) { append(std::string_view(&byte, 1)); }
  void append_decimal(std::uint64_t number);
  void append_hex(std::uint64_t number);  // lower case, no prefix

  // Gives the memory back; the content is gone.
  void release() noexcept;

 private:
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace sallyport
