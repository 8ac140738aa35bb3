// Takes a message's framing off: content-length, chunked (RFC 9112 §7.1), until close. Sans-IO, for both directions.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/head.hpp"
#include "http/limits.hpp"

namespace sallyport::http {

// Trailers and chunk extensions are checked, counted against their limits and dropped.
class BodyDecoder {
 public:
  enum class State : std::uint8_t { more, end, malformed, too_large };
  struct Step {
    State state;
    std::size_t consumed;     // bytes of the input that are done with
    std::string_view content; // a view into the input; may be empty when only framing was consumed
  };

  // `trailer_bytes_max` caps the trailer section, kChunkLineBytesMax each chunk-size line; `bytes_max` the content.
  void start(Framing framing, std::uint64_t content_length, std::uint64_t bytes_max, std::size_t trailer_bytes_max,
             std::size_t trailer_fields_max);
  // Takes one step on `input`. more with consumed == 0 means that more input is needed. After end, nothing is consumed any more.
  [[nodiscard]] Step step(std::string_view input);
  // The input ended (the peer closed): true when that completes the body (until_close), or it was complete.
  [[nodiscard]] bool end_of_input() noexcept;
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] std::uint64_t content_bytes() const noexcept { return content_bytes_; }

 private:
  enum class Chunk : std::uint8_t { size_line, data, data_end, trailer };
  [[nodiscard]] Step step_chunked(std::string_view input);

  Framing framing_ = Framing::none;
  std::uint64_t remaining_ = 0;
  std::uint64_t bytes_max_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::size_t trailer_bytes_max_ = 0;
  std::size_t trailer_fields_max_ = 0;
  std::size_t trailer_bytes_ = 0;
  std::size_t trailer_fields_ = 0;
  Chunk chunk_ = Chunk::size_line;
  bool complete_ = false;
};

}  // namespace sallyport::http
